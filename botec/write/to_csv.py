"""A report's numbers as comma-separated values, a line for each: for spreadsheets and data frames.

``section``, ``part`` and ``row`` say where a number stands, ``column`` what it is of, ``unit`` its
unit. Figures are rows under their key, with columns ``rule``, ``count``, ``measured``, ``low`` and
``high``. Numbers have all their digits; unknown is empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from botec.report import Curve, Figure, Figures, Layers, Picture, Report, Table
from botec.write.places import placed
from botec.write.to_json import plain

SUFFIX = ".csv"
COLUMNS = ("section", "part", "row", "column", "unit", "value")
Line = tuple[str, str, str, str, str, Any]
Lines = Iterator[tuple[str, str, str, str, Any]]


def write(report: Report) -> str:
    """The numbers, a header first."""
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([*line[:-1], "" if line[-1] is None else line[-1]] for line in numbers(report))
    return held.getvalue()


def numbers(report: Report) -> Iterator[Line]:
    """Every number of the report with its place, and the texts in tables, in reading order."""
    for section in placed(report).sections:
        for part in section.parts:
            if isinstance(part, Figures):
                known = (report.figures[key] for key in part.keys if key in report.figures)
                found: Lines = (one for figure in known for one in of_figure(figure))
            elif isinstance(part, Table):
                found = of_table(part)
            elif isinstance(part, Picture):
                found = of_curves(part.title, part.curves, part.up.unit, part.across.title)
            elif isinstance(part, Layers):
                found = of_curves(part.title, part.layers, part.up.unit, "moment")
            else:
                continue
            for title, row, column, unit, value in found:
                yield section.title, title, row, column, unit, plain(value)


def of_figure(figure: Figure) -> Lines:
    """A figure's columns that have a number, or are known to be unknown."""
    columns = {"rule": figure.rule, "count": figure.counted, "measured": figure.measured}
    for name, column in columns.items():
        if column is not None:
            yield "figures", figure.key, name, figure.unit, column.value
    for name, end in (("low", figure.low), ("high", figure.high)):
        if end is not None:
            yield "figures", figure.key, name, figure.unit, end


def of_table(table: Table) -> Lines:
    """A table's cells; a row is called by its first cell, or by its number where that is one."""
    title = table.title or "table"
    for number, row in enumerate((*table.rows, *([table.total] if table.total else []))):
        name = str(row[0]) if row and isinstance(row[0], str) and row[0] else str(number)
        for head, cell in zip(table.columns, row, strict=True):
            yield title, name, head.title, head.unit, cell


def of_curves(title: str, curves: tuple[Curve, ...], unit: str, across: str) -> Lines:
    """The points of a picture: a row for each place across."""
    for curve in curves:
        for place, up in curve.points:
            yield title, f"{across}={plain(place)}", curve.title, unit, up
