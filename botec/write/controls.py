"""What a page's controls need: formulas, calls and devices as data, every text once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from botec.report import KERNELS, Case, Crossing, Formulas, Report, Table, Trials
from botec.write.to_json import plain


class Words:
    """Texts, rows and tables by their places in lists, equal ones once."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.rows: dict[tuple[int, ...], int] = {}
        self.tables: dict[tuple[int, ...], int] = {}

    def table(self, rows: Sequence[Sequence[str]]) -> int:
        """Where a table stands: its rows by their places."""
        places = (self.rows.setdefault(tuple(self.row(row)), len(self.rows)) for row in rows)
        return self.tables.setdefault(tuple(places), len(self.tables))

    def place(self, text: str) -> int:
        """Where a text stands."""
        return self.places.setdefault(text, len(self.places))

    def row(self, cells: Sequence[str | int]) -> list[int]:
        """A row: its texts by their places, whole numbers as they are."""
        return [cell if isinstance(cell, int) else self.place(cell) for cell in cells]


def controls(report: Report) -> dict[str, Any]:
    """The data by which a page answers."""
    words = Words()
    rows: dict[tuple[Any, ...], int] = {}
    formulas = [formulas_data(one, report, words, rows) for one in report.formulas]
    calls = [words.row(row) for row in rows]
    return {
        "point": dimensions(report),
        "choice": choice_of(report),
        "formulas": formulas,
        "calls": calls,
        "devices": plain(report.devices),
        "work": work_data(report),
        "trials": [trials_data(one, report) for one in report.trials],
        "texts": list(words.places),
        "rows": list(words.rows),
        "tables": list(words.tables),
    }


def formulas_data(
    one: Formulas, report: Report, words: Words, rows: dict[tuple[Any, ...], int]
) -> dict[str, Any]:
    """Formulas with the choice each is for; equal calls of all of them stand in one list."""
    return {
        "text": one.text,
        "where": plain(one.where),
        "values": {key: words.place(text) for key, text in one.values.items()},
        "choice": {**choice_of(report), **one.choice},
        "tables": {key: words.table(table) for key, table in one.tables.items()},
        "calls": [rows.setdefault(row, len(rows)) for row in one.calls],
        "cases": [case_data(case, words) for case in one.cases],
        "rules": {key: words.place(text) for key, text in one.rules.items()},
        "texts": {key: words.place(text) for key, text in one.texts.items()},
        "crossings": {
            name: [crossing_data(each, words) for each in found]
            for name, found in one.crossings.items()
        },
    }


def crossing_data(one: Crossing, words: Words) -> dict[str, Any]:
    """A figure's terms in a dimension."""
    owners = {who: words.place(text) for who, text in one.owners.items()}
    formulas = [words.row(row) for row in one.formulas]
    return {**plain(vars(one)), "formulas": formulas, "owners": owners}


def case_data(one: Case, words: Words) -> dict[str, Any]:
    """One of the moments that can be the peak."""
    return {
        "formula": words.place(one.formula),
        "values": {key: words.place(text) for key, text in one.values.items()},
        "texts": {key: words.place(text) for key, text in one.texts.items()},
        "tables": {key: words.table(table) for key, table in one.tables.items()},
    }


def trials_data(one: Trials, report: Report) -> dict[str, Any]:
    """Rows of what was tried, with the choice they are for."""
    return {**plain(vars(one)), "choice": {**choice_of(report), **one.choice}}


def answered(report: Report) -> set[str]:
    """The keys of tables and texts that a page can tell anew."""
    known = {key for one in report.formulas for key in (*one.tables, *one.texts)}
    for name in (name for one in report.formulas for name in one.crossings):
        known |= {f"passing {name}", f"passed {name}"}
    for case in (case for one in report.formulas for case in one.cases):
        known |= {*case.tables, *case.texts}
    along = {
        part.key for section in report.sections for part in section.parts
        if isinstance(part, Table) and part.key.startswith("along ")
    }  # fmt: skip
    if report.work is None:
        return known | (along if report.formulas else set())
    return known | along | {*report.work.groups, *report.work.texts}


def work_data(report: Report) -> dict[str, Any] | None:
    """The sums over calls, with the phases there are."""
    if report.work is None:
        return None
    phases = dict.fromkeys(row[2] for one in report.formulas for row in one.calls)
    groups = {key: asdict(group) for key, group in report.work.groups.items()}
    texts = {key: [asdict(one) for one in told] for key, told in report.work.texts.items()}
    work = {**vars(report.work), "groups": groups, "texts": texts}
    return {**plain(work), "phases": list(phases)}


def choice_of(report: Report) -> dict[str, str]:
    """What the report's own setting chose, of all that its formulas know otherwise."""
    varied = {name for one in report.formulas for name in one.choice}
    own = {name: str(report.setting.get(name)) for name in sorted(varied - {KERNELS})}
    if report.work is not None:
        own[KERNELS] = report.work.devices[report.work.device][KERNELS]
    return own


def choices(report: Report) -> dict[str, list[str]]:
    """The choices a page can offer, its own first."""
    known = [choice_of(report), *(one.choice for one in report.formulas)]
    found = {name: [one[name] for one in known if name in one] for name in choice_of(report)}
    return {name: list(dict.fromkeys(values)) for name, values in found.items() if name != KERNELS}


def live_devices(report: Report) -> list[str]:
    """The devices that times can be worked out for, the report's own first."""
    if report.work is None:
        return []
    own = report.work.device
    return [own, *sorted(name for name in report.work.devices if name != own)]


def dimensions(report: Report) -> dict[str, int]:
    """The sizes the report was asked at; a sweep's ranges are none."""
    found = report.setting.get("dimensions") or {}
    return {str(name): size for name, size in found.items() if isinstance(size, int)}


def ranges(report: Report) -> dict[str, str]:
    """The ranges of sizes the report was asked over, as texts."""
    found = report.setting.get("dimensions") or {}
    return {str(name): size for name, size in found.items() if isinstance(size, str)}
