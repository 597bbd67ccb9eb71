"""A report as Markdown: tables and texts as a README wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from botec.report import (
    Column,
    Fields,
    Figure,
    Figures,
    Layers,
    Lifetimes,
    Picture,
    Report,
    Section,
    Table,
    Text,
)
from botec.units import UNKNOWN, Quantity
from botec.write.places import placed
from botec.write.to_terminal import dimension_texts, step_text

SUFFIX = ".md"


def write(report: Report) -> str:
    """The page; numbers short, exact ones beside the figures."""
    lines = [f"# {escaped(report.model.get('name', 'a model'))}", ""]
    point = ", ".join(dimension_texts(report.setting))
    lines += [escaped(" · ".join(filter(None, (point, step_text(report.setting))))), ""]
    for section in placed(report).sections:
        lines += [f"## {escaped(section.title)}", "", *section_lines(section, report)]
    if report.notes:
        lines += ["## Notes", "", *(f"* {escaped(note)}" for note in report.notes), ""]
    return "\n".join(lines)


def section_lines(section: Section, report: Report) -> Iterator[str]:
    """The parts of a section, an empty line behind each."""
    for part in section.parts:
        if isinstance(part, Figures):
            found = [report.figures[key] for key in part.keys if key in report.figures]
            yield from table_lines(("", "rule", "count", "exact", "measured"), map(row, found))
        elif isinstance(part, Table) and part.columns:
            if part.title:
                yield from (f"**{escaped(part.title)}**", "")
            heads = [head.title for head in part.columns]
            rows = [*part.rows, *([part.total] if part.total else [])]
            yield from table_lines(heads, (cells(one, part.columns) for one in rows))
        elif isinstance(part, Text):
            quoted = part.kind == "formula"
            yield from ((f"    {part.text}" if quoted else escaped(part.text)), "")
        elif isinstance(part, (Picture, Layers, Lifetimes, Fields)):
            yield from (f"*{escaped(part.title)}: a picture; write .html, .svg or .png.*", "")


def row(figure: Figure) -> Sequence[str]:
    """A figure in its three columns, with the count's every digit."""
    counted = figure.counted and Quantity(figure.counted.value, figure.unit)
    return (
        figure.title,
        str(Quantity(figure.rule.value, figure.unit)) if figure.rule else "",
        str(counted) if counted else "",
        counted.exact if counted else "",
        str(Quantity(figure.measured.value, figure.unit)) if figure.measured else "",
    )


def cells(values: Sequence[Any], columns: Sequence[Column]) -> Sequence[str]:
    """A row of a table as text."""
    return [
        UNKNOWN if value is None
        else str(Quantity(value, head.unit)) if head.unit and not isinstance(value, str)
        else str(value)
        for value, head in zip(values, columns, strict=True)
    ]  # fmt: skip


def table_lines(heads: Sequence[str], rows: Any) -> Iterator[str]:
    yield line(heads)
    yield line(["---"] * len(heads))
    yield from map(line, rows)
    yield ""


def line(values: Sequence[str]) -> str:
    return f"| {' | '.join(map(escaped, values))} |"


def escaped(text: Any) -> str:
    """Text that stays text: no markup, no column of its own, one line."""
    found = " ".join(str(text).split())
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        found = found.replace(sign, safe)
    return found
