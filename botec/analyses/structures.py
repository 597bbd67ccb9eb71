"""The page of a network whose build varies: formulas in its fields, or numbers and the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from botec.analyses.axes import Axis
from botec.analyses.figures import maximum
from botec.analyses.growth import sections as growth_sections
from botec.analyses.quantities import Known, quantities
from botec.analyses.structure import Sample, Structure, Structured
from botec.errors import OutsideRegime
from botec.poly import at
from botec.program import Program
from botec.report import Column, Counted, Figure, Section, Table, Text

MOST_ROWS = 32
SHOWN = ("parameters", "multiplications", "flops", "bytes", "memory.peak", "memory.saved")


def figures_in_fields(found: Structured, page: Mapping[str, Figure]) -> dict[str, Figure]:
    """The figures of the first structure's page, their formulas in the varied fields too."""
    figures = {}
    for key, one in found.known.items():
        was = page[key].counted if key in page else None
        counted = counted_in_fields(one, found.program)
        if was is not None and was.status == "partial":
            counted = replace(counted, status=was.status, missing=was.missing)
        figures[key] = Figure(key, one.title, one.unit, counted)
    return figures


def counted_in_fields(one: Known, program: Program) -> Counted:
    """A figure where it was asked, with the widest formula that gives it there."""
    try:
        stream = program.stream()
    except OutsideRegime as error:
        return Counted(None, maximum(one.of(program.streams[0])), "unknown", why=error.seen)
    value = one.at()
    widest = one.of(program.streams[0])
    if max(at(poly, program.asked) for poly in widest) == value:
        return Counted(value, maximum(widest), "exact")
    return Counted(value, maximum(one.of(stream)), "exact", why=f"holds for {stream.regime}")


def sections(
    found: Structured, axes: Sequence[Axis], figures: Mapping[str, Figure]
) -> tuple[Section, ...]:
    """The growth in dimensions and fields, and every asked structure in a row."""
    table = Section("Structures", (asked_table(found, axes), *goes_along(axes)))
    if not found.known:
        text = f"There is no formula in {' and '.join(a.symbol for a in axes)}: {found.why}."
        return (Section("Growth", (Text(text),)), table)
    return (*growth_sections(found.program, figures, found.known), table)


def goes_along(axes: Sequence[Axis]) -> list[Text]:
    return [Text(f"{axis.said()}.") for axis in axes if axis.beside]


def asked_table(found: Structured, axes: Sequence[Axis]) -> Table:
    """The figures at every structure that was asked, the dimensions where they were asked."""
    known = quantities(next(iter(found.samples.values())).program)
    keys = [key for key in known if key in SHOWN or shown_of_step(key, known)]
    rows = []
    for one in list(product(*(axis.values for axis in axes)))[:MOST_ROWS]:
        rows.append((*one, *(value_at(found, axes, one, key) for key in keys)))
    heads = [Column(axis.symbol, "1") for axis in axes]
    heads += [Column(key, known[key].unit, True) for key in keys]
    dimensions = next(iter(found.samples.values())).program.asked
    rest = ", ".join(f"{name}={size}" for name, size in dimensions.items())
    return Table(f"At {rest}" if rest else "", tuple(heads), tuple(rows))


def shown_of_step(key: str, known: Mapping[str, Any]) -> bool:
    """Of work, the whole step (or the forward pass where there is nothing else)."""
    measure, _, span = key.partition(".")
    whole = "step" if f"{measure}.step" in known else "forward"
    return measure in SHOWN and span == whole


def value_at(found: Structured, axes: Sequence[Axis], one: Structure, key: str) -> Any:
    """A figure at a structure: by its formula, else as it was read; ``None`` is unknown."""
    sample: Sample | None = found.samples.get(one)
    try:
        if sample is not None:
            return sample.known[key].at()
        if key not in found.known:
            return None
        sizes = dict(zip((axis.symbol for axis in axes), one, strict=True))
        return found.known[key].at(**sizes)
    except OutsideRegime:
        return None
