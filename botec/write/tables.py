"""Tables that fit the page and add up as printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from botec.report import Column, Table
from botec.units import UNKNOWN, Quantity, column
from botec.write.grid import GAP, Cell, clean, cropped, grid, line, paragraph, wide
from botec.write.look import QUIET, TITLE, TROUBLE, Look

if TYPE_CHECKING:
    from rich.text import Text as Line

Row: TypeAlias = Sequence[Any]

MOST_ROWS, LEAST_NAME, INDENT, INFINITE = 16, 16, 2, float("inf")
MOST_LISTED = 100  # rows of a list that adds up to nothing: each is an answer of its own


@dataclass(frozen=True)
class Strip:
    """One column ready to print: its header, its cells from top to bottom, and how it is set."""

    header: str
    unit: str
    cells: tuple[str, ...]
    flush: bool

    @property
    def width(self) -> int:
        """Places for its widest cell and the longest word of its header."""
        words = (*self.header.split(" "), self.unit)
        return max(map(wide, (*words, *self.cells)))


def table_lines(table: Table, width: int, look: Look) -> list[Line]:
    """The table, its columns in several blocks where the page is too narrow for one."""
    strips, rest = strips_of(table, look)
    if len(chunks(strips, width - INDENT, rest)) > 1:
        strips = [one for one, head in zip(strips, table.columns, strict=True) if not head.spare]
    lines = paragraph(table.title, width, TITLE, indent=INDENT) if table.title else []
    for number, chunk in enumerate(chunks(strips, width - INDENT, rest)):
        lines += [line()] if number else []
        lines += chunk_lines(fitted(chunk, width - INDENT, rest, look), rest, table, look)
    return lines


def strips_of(table: Table, look: Look) -> tuple[list[Strip], int]:
    """The columns of the rows to print, and how many rows the one before the total stands for."""
    rows, left = largest(table)
    body = [*rows, rest_row(left, table, look)] if left else rows
    strips = []
    for place, head in enumerate(table.columns):
        total = [table.total[place]] if table.total else []
        cells = [row[place] for row in body]
        strips.append(strip(head, cells, total, largest_of(table, head.unit)))
    return strips, len(left)


def largest_of(table: Table, unit: str) -> Any:
    """The largest number under all columns of one unit, which share their prefix."""
    places = [place for place, head in enumerate(table.columns) if head.unit == unit]
    rows = [*table.rows, *([table.total] if table.total else [])]
    numbers = [row[place] for row in rows for place in places if is_number(row[place])]
    return max((abs(each) for each in numbers if abs(each) < INFINITE), default=0)


def strip(head: Column, cells: Sequence[Any], total: Sequence[Any], beside: Any) -> Strip:
    """One column as text, its ``total`` (one cell or none) last; numbers add up as printed."""
    every = [*cells, *total]
    if not numeric(head, every):
        texts = ["" if cell is None else plain_text(cell) for cell in every]
        return Strip(clean(head.title), "", tuple(texts), False)
    if head.apart:
        texts = [
            clean(cell) if isinstance(cell, str) else str(Quantity(cell, head.unit))
            for cell in every
        ]
        return Strip(clean(head.title), "", tuple(texts), True)
    numbers = [cell if is_number(cell) else None for cell in cells]
    summed = total[0] if total and is_number(total[0]) else None
    texts, unit = column(numbers, head.unit or "1", summed, beside if head.unit else 0)
    texts += [UNKNOWN if head.unit else ""] * (len(every) - len(texts))
    named = [clean(c) if isinstance(c, str) else t for c, t in zip(every, texts, strict=True)]
    return Strip(clean(head.title), unit, tuple(named), True)


def numeric(head: Column, cells: Sequence[Any]) -> bool:
    """Whether a column holds numbers: it has a unit, or nothing else in it."""
    return bool(head.unit) or (
        any(map(is_number, cells)) and all(cell is None or is_number(cell) for cell in cells)
    )


def is_number(cell: Any) -> bool:
    """Whether ``cell`` is a number (true and false are not)."""
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def plain_text(cell: Any) -> str:
    return str(Quantity(cell)) if is_number(cell) else clean(cell)


def largest(table: Table) -> tuple[list[Row], list[Row]]:
    """The rows to print, in their order, and those left out: the smallest in every column."""
    rows: list[Row] = list(table.rows)
    most = MOST_ROWS if table.total is not None else MOST_LISTED
    if len(rows) <= most + 1:
        return rows, []
    shares = [max(shares_of(row, table), default=0.0) for row in rows]
    by_share = sorted(range(len(rows)), key=lambda place: (-shares[place], place))
    kept = set(by_share[:most])
    left: list[Row] = [row for place, row in enumerate(rows) if place not in kept]
    return [rows[place] for place in sorted(kept)], left


def shares_of(row: Row, table: Table) -> list[float]:
    """A row's part of each column's largest number; an unknown one counts as the whole."""
    shares = []
    for place, head in enumerate(table.columns):
        if head.unit:
            known = [abs(other[place]) for other in table.rows if is_number(other[place])]
            most = max(known, default=0)
            own = abs(row[place]) if is_number(row[place]) else most
            shares.append(float(own / most) if most else 0.0)
    return shares


def rest_row(left: Sequence[Row], table: Table, look: Look) -> list[Any]:
    """``… 38 more, together`` with the sums of those columns that have a total."""
    summed: list[Any] = []
    for place, head in enumerate(table.columns):
        cells = [row[place] for row in left]
        adds = table.total is not None and is_number(table.total[place])
        known = all(map(is_number, cells))
        summed.append((sum(cells) if known else None) if adds and head.unit else "")
    together = ", together" if any(cell != "" for cell in summed) else ""
    summed[0] = f"{look.more} {len(left)} more{together}"
    return summed


def chunks(strips: list[Strip], width: int, rest: int) -> list[list[Strip]]:
    """The columns in as few blocks as fit, of about the same width."""
    fewest = len(blocks_within(strips, width, rest))
    tried = (blocks_within(strips, narrower, rest) for narrower in range(1, width + 1))
    return next(found for found in tried if len(found) == fewest)


def blocks_within(strips: list[Strip], width: int, rest: int) -> list[list[Strip]]:
    """The columns in blocks ``width`` wide, each beginning with the first column."""
    first, others = strips[0], strips[1:]
    found, now = [], [first]
    for each in others:
        used = least_width(first, rest) + sum(GAP + one.width for one in now[1:])
        if len(now) > 1 and used + GAP + each.width > width:
            found.append(now)
            now = [first]
        now.append(each)
    return [*found, now]


def least_width(text: Strip, rest: int) -> int:
    """How far a column of texts may shrink; the words of the row that sums others are not cut."""
    summed = max(map(wide, text.cells[-2:])) if rest else 0
    return min(text.width, max(LEAST_NAME, summed))


def fitted(strips: list[Strip], width: int, rest: int, look: Look) -> list[Strip]:
    """The columns with texts cut on the left until all fit; numbers are never cut."""
    over = sum(GAP + each.width for each in strips) - GAP - width
    made = []
    for each in strips:
        room = max(each.width - max(over, 0), least_width(each, rest))
        if not each.flush and over > 0 and room < each.width:
            over -= each.width - room
            cells = tuple(cropped(cell, room, look.more) for cell in each.cells)
            each = Strip(each.header, each.unit, cells, False)
        made.append(each)
    return made


def chunk_lines(strips: list[Strip], rest: int, table: Table, look: Look) -> list[Line]:
    """Header, rule, rows, and the total under a second rule."""
    widths, flush = [each.width for each in strips], [each.flush for each in strips]
    headers = grid([[Cell(each.header, QUIET) for each in strips]], widths, flush, INDENT)
    units = [[Cell(each.unit, QUIET) for each in strips]] if any(e.unit for e in strips) else []
    rows = [
        [body_cell(each.cells[place]) for each in strips]
        for place in range(len(table.rows) - rest + bool(rest))
    ]
    drawn = line(Cell(look.rule * (sum(widths) + GAP * (len(widths) - 1)), QUIET), indent=INDENT)
    lines = [
        *headers,
        *grid(units, widths, flush, INDENT),
        drawn,
        *grid(rows, widths, flush, INDENT),
    ]
    if table.total is not None:
        total = [Cell(each.cells[-1], TITLE) for each in strips]
        lines += [drawn, *grid([total], widths, flush, INDENT)]
    return lines


def body_cell(text: str) -> Cell:
    return Cell(text, TROUBLE if text == UNKNOWN else "")
