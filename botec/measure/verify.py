"""``botec verify``: the report of an estimate with its measured column filled on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from botec.errors import BotecError
from botec.inputs import Input
from botec.measure.allocator import RealPeak, real_peak
from botec.measure.choices import prepared
from botec.measure.clock import Timing, time_step
from botec.measure.operations import Judged, counted_update, explained, judged
from botec.measure.realise import Step, realise
from botec.program import Setting
from botec.read.settings import CHOICES, settle
from botec.read.source import Source
from botec.report import Figure, Figures, Measured, Report, Section
from botec.units import Quantity

#: How far count and measurement may lie apart, as a share of the measurement, and why not exactly.
TOLERANCES = {
    "multiplications.": 0.0,  # both are whole numbers of the same operations
    "parameters": 0.0,  # the same weights
    "memory.peak": 0.01,  # scalars of a few bytes, kernels that keep small states
}
#: The libraries' own buffers come on top of the tensors: mostly below a quarter of them.
HEADROOM = 1.25
OPTIMIZER = "adamw"
MEMORY_HOW = "the CPU allocator's own events in a real steady step"


def verify(model: Any, *inputs: Input, device: str = "cpu", **options: Any) -> Report:
    """The estimate of ``model`` beside a real run of it on this machine's CPU.

    ``options`` are those of :func:`botec.read`: the real step follows every one of them.

    Filled: ``multiplications.*`` (the framework's counter, an independent judge), ``parameters``,
    ``memory.peak`` (bytes, the CPU allocator), ``time.*`` (seconds, the clock). Where count and
    measurement differ, a note says by how much and why, as far as it is known.

    Raises :class:`BotecError` where the model does not fit into this machine's free memory or
    another device is asked for, and whatever ``estimate`` raises.
    """
    if device != "cpu":
        asked = f"verify on device {device}"
        raise BotecError("a real run here is on this machine's CPU", "leave the device out", asked)
    from botec.estimate import estimate

    setting = setting_of({name: options[name] for name in CHOICES if name in options})
    point = {name: size for name, size in options.items() if name not in CHOICES}
    report = estimate(model, *inputs, device=device, **options)
    refuse_what_does_not_fit(report, free_bytes())
    source = source_of(model, setting.train, inputs)
    ready = partial(prepared, setting=setting)
    step = real_step(source, point, setting, ready, options.get("optimizer", OPTIMIZER))
    peak = real_peak(step)  # first: the profiler tells no frees of what was there before it
    operations = judged(
        source, point, train=setting.train, precision=setting.precision, real=step, prepare=ready
    )
    operations = replace(operations.times(setting.accumulate), update=counted_update(step))
    return measured_report(report, step, operations, peak, time_step(step))


def setting_of(choices: Mapping[str, Any]) -> Setting:
    """The setting that :func:`botec.read` makes of these choices. Raises :class:`BadInput`."""
    usual = {"train": True, "optimizer": OPTIMIZER, "precision": "fp32", "checkpoint": False}
    return settle(**{"device": "cpu", **usual, **choices})


def real_step(
    source: Source, point: Mapping[str, int], setting: Setting, ready: Any, optimizer: Any
) -> Step:
    """The step that ``setting`` describes; ``optimizer`` may be a class or a function."""
    return realise(
        source, point, train=setting.train, precision=setting.precision, prepare=ready,
        optimizer=optimizer, scaler=setting.scaler, master=setting.master,
        accumulate=setting.accumulate, zero_grad=setting.zero_grad, first_step=setting.first_step,
    )  # fmt: skip


def source_of(model: Any, train: bool, inputs: tuple[Input, ...]) -> Source:
    """Where the model comes from; a module in hand is copied, its weights stay untouched."""
    from botec.read.doors import open_source
    from botec.read.from_file import source_of_module

    if isinstance(model, str):
        return open_source(model, train, inputs)
    source: Source = source_of_module(model, inputs)
    return replace(source, build=lambda: deepcopy(source.build()))


def measured_report(
    report: Report, step: Step, operations: Judged, peak: RealPeak, timing: Timing
) -> Report:
    """``report`` with the measured column filled from these four, and notes on what differs."""
    figures: dict[str, Figure] = {}
    for key, measured in measurements(report, step, operations, peak).items():
        if key in report.figures:
            figures[key] = replace(report.figures[key], measured=measured)
    times = time_figures(report, timing)
    filled = report.with_figures({**figures, **times})
    filled = with_times(filled, tuple(times))
    return replace(filled, notes=filled.notes + tuple(differences(filled)))


def measurements(
    report: Report, step: Step, operations: Judged, peak: RealPeak
) -> dict[str, Measured]:
    """What was measured beside the counts, by key."""
    size = sum(weight.numel() for weight in step.model.parameters())
    found = {
        "parameters": Measured(size, "entries of the real model's parameters, tied ones once"),
        "memory.peak": Measured(peak.peak, MEMORY_HOW, scratch(report, peak)),
    }
    for name in ("forward", "backward", "step"):
        key, value = f"multiplications.{name}", getattr(operations, name)
        if value is not None:
            counted = value_of(report.figures.get(key))
            why = explained(operations.faults, name, counted, value)
            found[key] = Measured(value, operations.how, why)
    return found


def scratch(report: Report, peak: RealPeak) -> str | None:
    """Why the real peak is not the counted one, where kernels' own scratch is the reason."""
    counted = value_of(report.figures.get("memory.peak"))
    allowed = TOLERANCES["memory.peak"]
    if counted is None or abs(counted - peak.peak) <= allowed * peak.peak:
        return None
    if abs(counted - peak.peak_at_boundaries) > allowed * peak.peak_at_boundaries:
        return None
    op, _ = peak.largest_scratch
    return (
        f"between ops the peak is {Quantity(peak.peak_at_boundaries, 'B')}; the rest is scratch "
        f"that kernels take and give back inside one op, most of it in {op}"
    )


def time_figures(report: Report, timing: Timing) -> dict[str, Figure]:
    """``time.*`` in seconds, with the quarters of the runs below and above."""
    figures = {}
    for name in ("forward", "backward", "optimizer", "step"):
        taken = timing.phases.get(name)
        if taken is None:
            continue
        key, measured = f"time.{name}", Measured(taken.median, timing.how)
        title = "time of the step" if name == "step" else f"time, {name}"
        new = Figure(key, title, "s", low=taken.low, high=taken.high)
        figures[key] = replace(report.figures.get(key, new), measured=measured)
    return figures


def with_times(report: Report, keys: tuple[str, ...]) -> Report:
    """``report`` with a section where the times stand, unless they have a place already."""
    placed = {
        key
        for section in report.sections
        for part in section.parts
        if isinstance(part, Figures)
        for key in part.keys
    }
    missing = tuple(key for key in keys if key not in placed)
    if not missing:
        return report
    return replace(
        report, sections=(*report.sections, Section("Measured time", (Figures(missing),)))
    )


def differences(report: Report) -> Iterator[str]:
    """One sentence for each figure whose count and measurement lie further apart than allowed."""
    for figure in beyond(report):
        yield f"{sentence(figure)}; {figure.measured.why or 'no cause known'}"  # type: ignore[union-attr]


def disagreements(report: Report) -> tuple[str, ...]:
    """The differences beyond tolerance that no known cause explains: a check that failed."""
    unexplained = (
        figure for figure in beyond(report) if figure.measured and not figure.measured.why
    )
    return tuple(map(sentence, unexplained))


def beyond(report: Report) -> Iterator[Figure]:
    """The figures whose count and measurement lie further apart than :data:`TOLERANCES` allows."""
    for key, figure in report.figures.items():
        allowed = next(
            (share for start, share in TOLERANCES.items() if key.startswith(start)), None
        )
        counted = value_of(figure)
        if allowed is None or counted is None or figure.measured is None:
            continue
        if abs(counted - figure.measured.value) > allowed * abs(figure.measured.value):
            yield figure


def sentence(figure: Figure) -> str:
    """``"memory.peak: counted 10 B, measured 12 B (-16.7 %)"``."""
    counted, measured = value_of(figure) or 0, figure.measured.value if figure.measured else 0
    share = f" ({100 * (counted - measured) / measured:+.1f} %)" if measured else ""
    both = [Quantity(value, figure.unit).exact for value in (counted, measured)]
    return f"{figure.key}: counted {both[0]}, measured {both[1]}{share}"


def value_of(figure: Figure | None) -> float | int | None:
    """The counted value, where there is one."""
    return figure.counted.value if figure and figure.counted else None


def refuse_what_does_not_fit(report: Report, free: int | None) -> None:
    """Raises :class:`BotecError` where the counted peak is more than this machine has free."""
    peak = value_of(report.figures.get("memory.peak"))
    if peak is None or free is None or peak * HEADROOM <= free:
        return
    needed, there = Quantity(int(peak * HEADROOM), "B"), Quantity(free, "B")
    raise BotecError(
        f"a real run takes {needed} (the counted peak and a quarter more), {there} are free",
        "ask with a smaller batch or use a larger machine",
        "verify",
    )


def free_bytes() -> int | None:
    """Bytes this process may still take: the machine's, or its container's where that is less."""
    found = [size for size in (free_of_machine(), free_of_container()) if size is not None]
    return min(found, default=None)


def free_of_machine(table: Path = Path("/proc/meminfo")) -> int | None:
    if table.exists():
        for line in table.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    names: Mapping[str, int] = getattr(os, "sysconf_names", {})
    if {"SC_AVPHYS_PAGES", "SC_PAGE_SIZE"} <= set(names):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def free_of_container(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The control group's limit less what it uses; ``None`` where there is no limit."""
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return int(limit) - used if limit.isdigit() else None
