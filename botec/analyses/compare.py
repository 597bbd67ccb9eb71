"""Reports side by side: what differs first, by how much, then what is the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botec.report import Column, Figure, Report, Section, Table, Text

GROUPS = {
    "1": "Numbers",
    "multiplication": "Multiplications",
    "flop": "Operations",
    "B": "Bytes",
    "s": "Times",
}


@dataclass(frozen=True)
class Row:
    """One figure in every report: its values (``None`` where a report has none)."""

    key: str
    title: str
    unit: str
    values: tuple[float | int | None, ...]

    @property
    def spread(self) -> float:
        """The largest value in smallest ones; 1 where all are equal, infinite where one is 0."""
        known = [abs(value) for value in self.values if value is not None]
        if len(set(self.values)) < 2 or not known:
            return 1.0
        return max(known) / min(known) if min(known) else float("inf")


def rows(reports: Sequence[Report]) -> list[Row]:
    """Every figure any report counts, in the order of the first that has it."""
    keys = dict.fromkeys(key for report in reports for key in report.figures)
    found = []
    for key in keys:
        known = [report.figures.get(key) for report in reports]
        first = next(figure for figure in known if figure is not None)
        values = tuple(None if figure is None else value_of(figure) for figure in known)
        if any(value is not None for value in values):
            title = first.title.replace("of it ", "of the peak: ", 1)
            found.append(Row(key, title, first.unit, values))
    return found


def value_of(figure: Figure) -> float | int | None:
    """What a figure counted, else what was measured."""
    if figure.counted is not None and figure.counted.value is not None:
        return figure.counted.value
    return figure.measured.value if figure.measured is not None else None


def compared(reports: Mapping[str, Report]) -> Report:
    """One report of several, by their labels."""
    from botec import __version__

    found = rows(list(reports.values()))
    differ = sorted((row for row in found if row.spread != 1), key=lambda row: -row.spread)
    same = [row for row in found if row.spread == 1]
    sections = [
        *tables("What differs", differ, reports),
        *tables("What is the same", same, reports),
    ]
    if not differ:
        sections.insert(0, Section("What differs", (Text("Nothing that is counted."),)))
    model = {"name": " · ".join(reports)}
    return Report(model, {}, {}, tuple(sections), (), __version__)


def tables(title: str, found: Sequence[Row], reports: Mapping[str, Report]) -> Iterator[Section]:
    """The rows of each unit in a table of their own: figures down, reports across."""
    parts = []
    for unit in dict.fromkeys(row.unit for row in found):
        rows_here = [row for row in found if row.unit == unit]
        columns = [Column("figure"), *(Column(label, unit, apart=True) for label in reports)]
        columns.append(Column("most ÷ least", "1", apart=True))
        cells = tuple((row.title, *row.values, row.spread) for row in rows_here)
        parts.append(Table(GROUPS.get(unit, unit), tuple(columns), cells))
    if parts:
        yield Section(title, tuple(parts))


def labels(chosen: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells the choices apart: only the entries that are not the same in all."""
    differing = [
        name for name in dict.fromkeys(key for one in chosen for key in one)
        if len({str(one.get(name)) for one in chosen}) > 1
    ]  # fmt: skip
    return [", ".join(str(one.get(name)) for name in differing) or "as asked" for one in chosen]
