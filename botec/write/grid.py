"""Lines of text in columns: what a terminal page is made of.

Every text that enters is cleaned first: one line, nothing but what prints. It is never read as
markup, so a model may be called ``[bold]`` or hide an escape sequence in its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text as Line

GAP = 2


@dataclass(frozen=True)
class Cell:
    """A piece of text and how it looks. ``mark`` stands behind it, outside its alignment."""

    text: str
    style: str = ""
    mark: str = ""


def clean(text: object) -> str:
    """``text`` on one line, every character that does not print as ``�``."""
    joined = " ".join(str(text).split())
    return "".join(char if char.isprintable() else "�" for char in joined)


@lru_cache(1 << 14)
def wide(text: str) -> int:
    """How many places of a terminal ``text`` takes (a Chinese character takes two)."""
    from rich.cells import cell_len

    return cell_len(text)


def line(*pieces: Cell, indent: int = 0) -> Line:
    """One line of cleaned, styled pieces."""
    from rich.text import Text as Line

    made = Line(" " * indent)
    for piece in pieces:
        made.append(piece.text, piece.style or None)
    return made


def cropped(text: str, width: int, more: str) -> str:
    """``text`` cut on the left, where a module path says least: ``…block_3.attention``."""
    if wide(text) <= width:
        return text
    while text and wide(text) > width - wide(more):
        text = text[1:]
    return more + text


def wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of ``width`` places at most, broken at spaces where there are any."""
    found, now = [], ""
    for word in text.split(" "):
        while wide(word) > width and not now:
            fitting = next(n for n in range(len(word), 0, -1) if wide(word[:n]) <= max(width, 2))
            found.append(word[:fitting])
            word = word[fitting:]
        joined = f"{now} {word}" if now else word
        if wide(joined) <= width:
            now = joined
            continue
        found.append(now)
        now = ""
        pieces = wrapped(word, width)
        found += pieces[:-1]
        now = pieces[-1]
    return [*found, now] if now or not found else found


def paragraph(
    text: str, width: int, style: str = "", first: str = "", indent: int = 0
) -> list[Line]:
    """``text`` over as many lines as it needs, ``first`` before it, the rest under its start."""
    lead = indent + wide(first)
    rows = wrapped(clean(text), max(width - lead, 10))
    return [
        line(Cell(" " * indent + first if place == 0 else " " * lead), Cell(row, style))
        for place, row in enumerate(rows)
    ]


def grid(
    rows: Iterable[Sequence[Cell]], widths: Sequence[int], right: Sequence[bool], indent: int = 2
) -> list[Line]:
    """``rows`` set in columns ``widths`` wide, each flush right or left; long texts wrap."""
    return [made for row in rows for made in row_lines(row, widths, right, indent)]


def row_lines(
    row: Sequence[Cell], widths: Sequence[int], right: Sequence[bool], indent: int
) -> list[Line]:
    """One row of a grid. Marks take their places inside the width of their column."""
    texts = [wrapped(cell.text, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for level in range(max(map(len, texts))):
        made = line(indent=indent)
        for cell, pieces, width, flush in zip(row, texts, widths, right, strict=True):
            piece = pieces[level] if level < len(pieces) else ""
            mark = cell.mark if level == 0 or not cell.mark.strip() else " " * wide(cell.mark)
            room = " " * (width - wide(piece) - wide(mark))
            made.append(room if flush else "")
            made.append(piece, cell.style or None)
            made.append(mark, "dim")
            made.append(("" if flush else room) + " " * GAP)
        made.rstrip()
        lines.append(made)
    return lines
