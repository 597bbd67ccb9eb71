"""How fast a device does what: a rate for every class of ops, memory, and what a call costs.

A :class:`Speeds` says where it comes from, its ``basis``: ``measured-here`` (this machine,
by ``botec calibrate``), ``calibrated`` (class efficiencies and a scalar fitted to public
measurements of this device), ``data-sheet`` (the same efficiencies, the scalar unknown), or
``assumed`` (nothing is known of this machine).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from botec.analyses.duration.classes import BACKWARD
from botec.analyses.duration.slowdowns import Slowdown
from botec.devices import Device
from botec.errors import BadInput

MEASURED, CALIBRATED, SHEET = "measured-here", "calibrated", "data-sheet"
ASSUMED = "assumed"
USUAL = "elementwise"
LARGE = 2**25  # bytes: DEFAULT_MMAP_THRESHOLD_MAX of GNU's malloc
FILE = Path(__file__).with_name("efficiencies.toml")
SHORT = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "float64": "fp64"}
LONG = {short: name for name, short in SHORT.items()}
TF32 = "tf32"
EAGER = (
    "Times are of eager PyTorch, channels first. In timm's tables channels-last differs from it "
    "by 10 % at the median, torch.compile by 58 %."
)
CLOCKED_HIGHER = ("consumer", "workstation")
TENSOR_FLOAT = (8, 0)  # from this CUDA capability on cuDNN takes float32 convolutions in TF32
PRECISION_TYPES = {
    "fp32": "fp32", "bf16": "bf16", "fp16": "fp16", "amp-bf16": "bf16", "amp-fp16": "fp16",
}  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Work a second, by how much work one call is: straight lines between logarithms.

    One entry is a constant. Beyond the ends the first and the last hold.
    """

    sizes: tuple[float, ...]
    rates: tuple[float, ...]

    def at(self, work: Any) -> Any:
        """The rate of calls of so much ``work`` (numbers or arrays)."""
        import numpy as np

        if len(self.rates) == 1:
            return self.rates[0]
        logarithm = np.log(np.maximum(work, 1.0))
        return np.exp(np.interp(logarithm, np.log(self.sizes), np.log(self.rates)))


def constant(rate: float) -> Rate:
    """The same rate for every size."""
    return Rate((1.0,), (rate,))


@dataclass(frozen=True)
class Speeds:
    """What one device reaches.

    ``products`` are multiply-add classes by ``(class, dtype)`` in operations a second (a
    multiply-add is two), ``memory`` bytes a second by class; a call takes its class's entry of
    ``slowdowns`` times as long as both say. ``overhead`` is what every op costs besides, ``view``
    what one costs that only looks. ``sharpness`` is the power of the smooth maximum. Times lie
    between ``low`` and ``high`` times the best figure with 80 %. ``peaks`` and ``bandwidth`` are
    the roof; ``None`` where nobody knows it. ``exact`` are seconds of ops that were timed one by
    one, by class, type, operations and bytes. ``fresh`` are seconds a byte of results of more than
    :data:`LARGE` bytes, for which a CPU's allocator asks the system every time.
    """

    title: str
    basis: str
    products: Mapping[tuple[str, str], Rate]
    memory: Mapping[tuple[str, str], Rate]
    overhead: float
    view: float
    sharpness: float
    low: float
    high: float
    peaks: Mapping[str, float] = field(default_factory=dict)
    bandwidth: float | None = None
    notes: tuple[str, ...] = ()
    exact: Mapping[tuple[Any, ...], float] = field(default_factory=dict)
    slowdowns: Mapping[tuple[str, str], Slowdown] = field(default_factory=dict)
    fresh: float = 0.0

    def product(self, name: str, dtype: str) -> Rate | None:
        """The rate of a class that multiplies; its float32 rate where its own type has none."""
        return first_of(self.products, name, dtype)

    def moving(self, name: str, dtype: str) -> Rate:
        """The bandwidth of a class; that of elementwise ops where it has none of its own."""
        return first_of(self.memory, name, dtype) or first_of(self.memory, USUAL, dtype)

    def slowdown(self, name: str, dtype: str) -> Slowdown | None:
        """How a class stays below both, by size; ``None`` where nothing is known of it."""
        own = name if first_of(self.memory, name, dtype) else USUAL
        return first_of(self.slowdowns, own, dtype)

    def peak(self, dtype: str) -> float | None:
        """The roof of products of a type, in operations a second."""
        return self.peaks.get(dtype)


def first_of(known: Mapping[tuple[str, str], Any], name: str, dtype: str) -> Any:
    """What is known of a class: of the type, of any type, of float32; else of its forward pass."""
    for own in dict.fromkeys((name, name.removesuffix(BACKWARD))):
        for key in ((own, dtype), (own, ""), (own, "float32")):
            if key in known:
                return known[key]
    return None


@cache
def fitted() -> dict[str, Any]:
    """The shipped file of efficiencies: fitted once on public measurements, with its errors."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def speeds_of(device: Device, train: bool = False, scalar: float | None = None) -> Speeds:
    """What a device of the catalogue is expected to reach; ``scalar`` is used instead of its own.

    Raises :class:`BadInput` where its data sheet has no bandwidth or no rate of products.
    """
    if device.bandwidth is None or not rates_of(device):
        missing = "bandwidth" if device.bandwidth is None else "rate of products"
        do = "describe the device in a file, --device my.toml, or name another"
        raise BadInput(f"the {missing} of {device.title} is not known", do, device.name)
    found = fitted()
    own = found["devices"].get(device.name)
    basis = CALIBRATED if own else SHEET
    entry = own or found["kinds"].get(device.kind) or {"scalar": 1.0}
    factor = entry["scalar"] if scalar is None else scalar
    kind = "train" if train else "infer"
    band = entry if "low" in entry else found["bands"][f"{basis}.{kind}"]
    return Speeds(
        title=device.title,
        basis=basis,
        products=dict(products(device, found["operations"], factor)),
        memory={
            (name, ""): constant(device.bandwidth * share / factor)
            for name, share in found["bytes"].items()
        },
        overhead=found["overhead"][kind] * factor,
        view=0.0,
        sharpness=found["sharpness"],
        low=band["low"],
        high=band["high"],
        peaks={LONG.get(dtype, dtype): rate for dtype, rate in rates_of(device).items()},
        bandwidth=device.bandwidth,
        notes=notes(device, basis),
    )


def rates_of(device: Device) -> dict[str, float]:
    """Peaks of the types a network computes in, those the sheet has."""
    found = {dtype: device.peak(dtype) for dtype in ("fp64", "fp32", TF32, "fp16", "bf16")}
    return {dtype: rate for dtype, rate in found.items() if rate is not None}


def products(device: Device, shares: Mapping[str, float], factor: float) -> Any:
    """Rates of the classes that multiply, for each type the device has."""
    rates = rates_of(device)
    tensor_float = (device.capability or (0, 0)) >= TENSOR_FLOAT and TF32 in rates
    for name, share in shares.items():
        for dtype, rate in rates.items():
            if dtype == "fp32" and tensor_float and name.startswith("convolution"):
                rate = rates[TF32]
            if dtype in LONG:
                ceiling = reachable(device, dtype, rate)
                yield (name, LONG[dtype]), constant(ceiling * share / factor)


def reachable(device: Device, dtype: str, peak: float) -> float:
    """What a large product reaches of a peak: measured where somebody has, else as is usual.

    The measured share of bf16 stands for all types: best shapes, best settings (the table of
    maximum achievable matmul rates in stas00/ml-engineering). Consumer cards keep clocks above
    those their peaks are worked out with, and reach them whole.
    """
    measured, sheet = device.measured("bf16"), device.peak("bf16")
    if measured and sheet:
        return peak * measured / sheet
    return peak * (1.0 if device.kind in CLOCKED_HIGHER else fitted()["ceiling"])


def check_precision(device: Device, precision: str) -> None:
    """Raises :class:`BadInput` where a device has no rate for a precision, naming what it has."""
    wanted = PRECISION_TYPES[precision]
    known = rates_of(device)
    if wanted in known or not known:
        return
    amp = precision.startswith("amp-")
    near = [name for name in ("fp16", "bf16", "fp32") if name in known and name != wanted]
    offer = "fp32" if near[0] == "fp32" else f"amp-{near[0]}" if amp else near[0]
    seen = f"{device.title} has no {wanted}; it has {', '.join(known)}"
    raise BadInput(seen, f"use --precision {offer}", f"--precision {precision}")


def notes(device: Device, basis: str) -> tuple[str, ...]:
    """What the reader must know of where the speeds come from."""
    found = fitted()
    words = [found["devices"].get(device.name, {}).get("note", found["note"])]
    if device.kind != "CPU":
        words.append(EAGER)
    if basis == SHEET:
        words.append(
            f"Nothing was ever timed on {device.title} for this: its data sheet stands for it."
        )
    if device.vendor and device.vendor != found["vendor"]:
        words.append(
            f"The efficiencies come from {found['vendor']} devices; {device.vendor}'s kernels "
            "reach others."
        )
    return tuple(words)
