"""The page of ``botec fit``: yes or no, what fills it, the room left, the largest that fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botec.analyses.figures import Answers, maximum
from botec.analyses.fit import Fit
from botec.analyses.tables import memory_section
from botec.poly import Poly
from botec.report import Column, Counted, Figure, Figures, Section, Table, Text

REMEDIES: dict[str, dict[str, Any]] = {
    "checkpointing the repeated blocks": {"checkpoint": True},
    "weights, gradients and states in bf16": {"precision": "bf16"},
    "SGD with momentum": {"optimizer": "sgd-momentum"},
    "SGD without momentum": {"optimizer": "sgd"},
}


@dataclass(frozen=True)
class Tried:
    """A change that was traced: what it is, the fit under it, and its step's operations."""

    name: str
    fit: Fit
    flops: int


def fit_figures(fit: Fit, largest: Mapping[str, int | None]) -> dict[str, Figure]:
    """The three sums of memory, the room left, and the largest of every dimension."""
    usage = fit.usage
    held = "simulated: the allocator's segments over two steps"
    found = [
        Figure("memory.peak", "tensors at the peak", "B", peak_of(fit)),
        Figure(
            "memory.reserved", "held by the allocator", "B",
            Counted(usage.reserved, None, "complete", {}, held),
        ),
        Figure(
            "memory.device", "used on the device", "B",
            Counted(fit.device, None, "estimate", {}, "with the driver's context, an assumption"),
        ),
        Figure(
            "fit.room", "free room", "B",
            Counted(fit.room.total - fit.device, None, "estimate"),
        ),
    ]  # fmt: skip
    for name, value in largest.items():
        why = None if value is not None else f"no formula in {name}"
        counted = Counted(value, None, "complete" if value is not None else "unknown", {}, why)
        found.append(Figure(f"fit.largest.{name}", f"largest {name} that fits", "1", counted))
    return {figure.key: figure for figure in found}


def peak_of(fit: Fit) -> Counted:
    polys = fit.memory.formula()
    known = any(isinstance(poly, Poly) for poly in polys) or not fit.program.asked
    return Counted(fit.memory.fullest.bytes, maximum(polys) if known else None, "complete")


def fit_sections(
    fit: Fit, largest: Mapping[str, int | None], tried: Iterable[Tried], title: str
) -> tuple[Section, ...]:
    """The verdict, what stands at the peak, and what would make it fit."""
    keys = ["memory.peak", "memory.reserved", "memory.device", "fit.room"]
    keys += [f"fit.largest.{name}" for name in largest]
    found = [
        Section("Fit", (Text(verdict(fit, title)), Figures(tuple(keys)), *larger(fit, largest))),
        memory_section(Answers(fit.program)),
    ]
    remedies = tuple(tried)
    if remedies:
        found.append(Section("What would help", (remedy_table(fit, remedies),)))
    return tuple(found)


def verdict(fit: Fit, title: str) -> str:
    """One sentence: whether it fits, by how much."""
    room = fit.room.total - fit.device
    share = fit.device / fit.room.total
    if fit.fits:
        return f"It fits on {title}: {share:.0%} of its memory is used at most."
    weights = sum(fit.memory.by_role().get(role, 0) for role in ("parameter", "buffer"))
    if weights > fit.room.usable:
        return f"It does not fit on {title}: the weights alone are larger than its memory."
    return (
        f"It does not fit on {title}: it takes {share:.2f} times its memory ({-room:,} bytes more)."
    )


def larger(fit: Fit, largest: Mapping[str, int | None]) -> tuple[Table, ...]:
    """The room that the largest value of each dimension leaves."""
    rows = []
    for name, value in largest.items():
        if value:
            there = fit.at(**{name: value})
            rows.append((f"{name} = {value:,}", there.device, fit.room.total - there.device))
    if not rows:
        return ()
    columns = (Column("largest"), Column("used on the device", "B"), Column("free room", "B"))
    return (Table("The largest that fits", columns, tuple(rows)),)


def remedy_table(fit: Fit, tried: Iterable[Tried]) -> Table:
    """Each change with what it saves and what its step costs beside the asked one."""
    base = Answers(fit.program)
    asked = base.here.total("flops", base.phases).at(**fit.program.asked)
    rows = tuple(
        (
            one.name, one.fit.device, fit.device - one.fit.device,
            f"{one.flops / asked:.2f}", "yes" if one.fit.fits else "no",
        )
        for one in tried
    )  # fmt: skip
    columns = (
        Column("change"), Column("used on the device", "B"), Column("saved", "B"),
        Column("operations, ratio"), Column("fits"),
    )  # fmt: skip
    return Table("Traced again, each change alone", columns, rows)
