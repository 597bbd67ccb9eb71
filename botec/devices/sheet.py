"""What a device file may say, and how it is read: figures with their source, units in their keys.

>>> from pathlib import Path
>>> read(Path("my.toml"), 'title = "Mine"\\nmemory.GiB = 24\\nbandwidth.GBps = 900').memory
25769803776
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from botec.errors import BadInput, nearest

#: Types of numbers that devices multiply at a rate of their own.
DTYPES = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8")
TEXTS = ("title", "vendor", "generation", "kind", "note")
CAPABILITY = "cuda.capability"


@dataclass(frozen=True)
class Spec:
    """A figure a device file may have: its title, its unit on a page, what 1 of it is there.

    A figure outside ``least`` to ``most`` was written in another unit.
    """

    title: str
    unit: str
    factor: float
    least: float
    most: float


def rates(group: str, title: str) -> dict[str, Spec]:
    """One figure for each type of numbers, in 10**12 operations a second."""
    spec = (1e12, 0.01, 100_000)
    return {f"{group}.{dtype}": Spec(title.format(dtype), "flop/s", *spec) for dtype in DTYPES}


SPECS: dict[str, Spec] = {
    "memory.GiB": Spec("memory", "B", 2**30, 1, 8192),
    "memory.usable-GiB": Spec("usable memory", "B", 2**30, 0.5, 8192),
    "bandwidth.GBps": Spec("bandwidth", "GB/s", 1, 1, 100_000),
    "cache.MiB": Spec("cache", "B", 2**20, 0.1, 4096),
    **rates("tflops", "{} peak"),
    **rates("measured-tflops", "{} measured"),
    "power.W": Spec("power", "W", 1, 1, 20_000),
    "link.GBps": Spec("link", "GB/s", 1, 0.1, 10_000),
    "price.USD-per-hour": Spec("price", "$/h", 1, 0.001, 10_000),
    CAPABILITY: Spec("CUDA capability", "", 1, 0, 0),
    "release.year": Spec("release", "", 1, 1990, 2100),
}


@dataclass(frozen=True)
class Datum:
    """One figure as its source writes it, the ``source``, and its ``date`` (or when it was read).

    ``value`` is a number in the unit of its key, or the text of a CUDA capability.
    """

    value: float | int | str
    source: str
    date: str = ""


@dataclass(frozen=True)
class Device:
    """A device: its ``name`` in botec, its ``title``, and the figures its file has.

    What nobody knows is ``None``. Peaks are those of dense products with sums in fp32, as data
    sheets give them: half of what they print for 2:4 sparsity.
    """

    name: str
    title: str
    vendor: str = ""
    generation: str = ""
    kind: str = ""
    aliases: tuple[str, ...] = ()
    note: str = ""
    figures: Mapping[str, Datum] = field(default_factory=dict, hash=False)

    def given(self, key: str) -> float | int | None:
        """The figure called ``key`` as the file has it."""
        datum = self.figures.get(key)
        return None if datum is None or isinstance(datum.value, str) else datum.value

    def number(self, key: str) -> float | int | None:
        """The figure called ``key`` in bytes, flop/s, GB/s, watts or dollars an hour."""
        value = self.given(key)
        if value is None:
            return None
        scaled = value * SPECS[key].factor
        return int(scaled) if scaled == int(scaled) else scaled

    @property
    def memory(self) -> int | None:
        """Bytes of its memory."""
        found = self.number("memory.GiB")
        return None if found is None else int(found)

    @property
    def usable(self) -> int | None:
        """Bytes a framework is given of it; the whole memory where nobody has said less."""
        found = self.number("memory.usable-GiB")
        return self.memory if found is None else int(found)

    @property
    def bandwidth(self) -> float | None:
        """Bytes a second between memory and chip."""
        found = self.number("bandwidth.GBps")
        return None if found is None else found * 1e9

    @property
    def power(self) -> float | None:
        """Watts at most."""
        return self.number("power.W")

    @property
    def capability(self) -> tuple[int, int] | None:
        """CUDA's compute capability: ``(8, 0)``."""
        datum = self.figures.get(CAPABILITY)
        if datum is None:
            return None
        major, _, minor = str(datum.value).partition(".")
        return int(major), int(minor)

    @property
    def architecture(self) -> int | None:
        """The same in one number, as kernels are built for it: 80 for sm_80."""
        return 10 * self.capability[0] + self.capability[1] if self.capability else None

    def peak(self, dtype: str) -> float | None:
        """Operations a second of a dense matrix product at most; a multiply-add is two."""
        return self.number(f"tflops.{dtype}")

    def measured(self, dtype: str) -> float | None:
        """The most that somebody has measured of :meth:`peak`."""
        return self.number(f"measured-tflops.{dtype}")


def read(path: Path, text: str) -> Device:
    """The device a file describes; it has the file's name.

    Raises :class:`~botec.errors.BadInput` for a file that is no TOML, a figure that is unknown
    (nearest ones named), no number, or written in another unit.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        seen = f"{path.name} is not TOML ({error})"
        raise BadInput(seen, "write lines such as memory.GiB = 24") from None
    try:
        return device_from(found, path.stem, path.name)
    except BadInput as error:
        raise error.about(path.name) from None


def device_from(found: dict[str, Any], name: str, file: str) -> Device:
    texts = {key: plain_text(key, found.pop(key)) for key in TEXTS if key in found}
    aliases = found.pop("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(one, str) for one in aliases):
        raise BadInput(f"aliases is {aliases!r}", 'write aliases = ["…"]')
    figures = {key: datum_from(key, value, file) for key, value in leaves(found)}
    title = texts.pop("title", name)
    return Device(name, title, **texts, aliases=tuple(aliases), figures=figures)


def plain_text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{key} is {value!r}", f'write {key} = "…"')
    return value


def leaves(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """``("memory.GiB", …)`` for every figure of a nested table."""
    for key, value in table.items():
        if isinstance(value, Mapping) and "value" not in value:
            yield from leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def datum_from(key: str, given: Any, file: str) -> Datum:
    """A figure with its source, or a bare one, whose source is the file."""
    if key not in SPECS:
        do = nearest(key, SPECS) or "see botec/devices/README.md for what it may say"
        raise BadInput(f"unknown figure {key}", do)
    entry = dict(given) if isinstance(given, Mapping) else {"value": given}
    value, source, day = (entry.pop(name, None) for name in ("value", "source", "date"))
    if entry:
        raise BadInput(f"{key} has {', '.join(entry)}", "give value, source and date")
    text = day.isoformat() if isinstance(day, date) else str(day or "")
    return Datum(checked(key, value), str(source or file), text)


def checked(key: str, value: Any) -> float | int | str:
    """``value`` where it can be a figure called ``key``."""
    if key == CAPABILITY:
        return capability_from(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadInput(f"{key} is {value!r}", "give a number")
    spec = SPECS[key]
    if not spec.least <= value <= spec.most:
        do = f"give it in {key.rpartition('.')[2]}, {spec.least:,} to {spec.most:,}"
        raise BadInput(f"{key} is {value:,}", do)
    return value


def capability_from(value: Any) -> str:
    major, point, minor = str(value).partition(".")
    if not (isinstance(value, (str, float)) and point and major.isdigit() and minor.isdigit()):
        raise BadInput(f"{CAPABILITY} is {value!r}", 'write it as "8.0"')
    return f"{major}.{minor}"
