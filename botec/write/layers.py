"""Layers in the terminal: a pile of letters, a column for each moment, a letter for each layer."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from botec.report import Layers
from botec.units import Quantity, column
from botec.write.grid import Cell, clean, cropped, line
from botec.write.look import QUIET, TITLE, Look

if TYPE_CHECKING:
    from rich.text import Text as Line

MOST_WIDE, LEAST_WIDE, HEIGHT, INDENT = 72, 16, 12, 2
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
NEAR = 1.5  # a limit this close above the pile is drawn, the others are told


def layers_lines(pile: Layers, width: int, look: Look) -> list[Line]:
    """The pile with its scale, where it is highest, where phases begin, and its legend."""
    heights = thicknesses(pile)
    if not heights or not max(map(sum, heights)):
        return []
    scale = scale_of(pile, max(map(sum, heights)))
    ticks, unit = ticks_of(scale, pile.up.unit)
    margin = max(map(len, ticks))
    places = shown(heights, max(LEAST_WIDE, min(MOST_WIDE, width - INDENT - margin - 2)))
    stroke, bar = ("│", "─") if look.digits else ("|", "-")
    letters = letters_of(pile)
    rows = [f"{'':>{margin}}  {pointer(pile, places)}"]
    for row, tick in zip(range(HEIGHT - 1, -1, -1), ticks, strict=True):
        height = (row + 0.5) * scale / HEIGHT
        drawn = "".join(letter_at(heights[place], height, letters) for place in places)
        if pile.limit and row == int(HEIGHT * pile.limit[0] / scale):
            drawn = "".join(bar if sign == " " else sign for sign in drawn)
        rows.append(f"{tick:>{margin}} {stroke}{drawn}".rstrip())
    rows.append(f"{'':>{margin}} {stroke}{phases(pile, places)}")
    head = f"{clean(pile.title)} ({unit})" if pile.title else unit
    lines = [line(Cell(head, TITLE), indent=INDENT)]
    lines += [line(Cell(row), indent=INDENT) for row in rows]
    legend = "   ".join(f"{letters[i]} {clean(c.title)}" for i, c in enumerate(pile.layers))
    told = [legend, *([limit_text(pile)] if pile.limit else [])]
    room = max(width - INDENT, 1)
    return [
        *lines,
        *(line(Cell(cropped(text, room, look.more), QUIET), indent=INDENT) for text in told),
    ]


def limit_text(pile: Layers) -> str:
    value, name = pile.limit or (0, "")
    return f"{clean(name)}: {Quantity(value, pile.up.unit)}"


def thicknesses(pile: Layers) -> list[list[float]]:
    """For every moment the layers' thicknesses, the lowest first."""
    columns = [[float(up or 0) for _, up in layer.points] for layer in pile.layers]
    return [list(one) for one in zip(*columns, strict=True)]


def scale_of(pile: Layers, most: float) -> float:
    """The height of the picture: the limit's where that is near, else the pile's."""
    near = pile.limit is not None and most < pile.limit[0] <= NEAR * most
    return float(pile.limit[0]) * (1 + 1 / HEIGHT) if near and pile.limit else float(most)


def ticks_of(scale: float, unit: str) -> tuple[list[str], str]:
    """What stands beside each row: the height of its middle in every third row."""
    rows = range(HEIGHT - 1, -1, -1)
    told = [row for row in rows if row % 3 == 2]
    texts, name = column([(row + 0.5) * scale / HEIGHT for row in told], unit)
    beside = dict(zip(told, texts, strict=True))
    return [beside.get(row, "") for row in rows], name


def shown(heights: list[list[float]], room: int) -> list[int]:
    """The moments that are drawn: of those that share a place, the highest."""
    if len(heights) <= room:
        return list(range(len(heights)))
    cuts = [place * len(heights) // room for place in range(room + 1)]
    spans = [range(low, high) for low, high in pairwise(cuts)]
    return [max(span, key=lambda moment: sum(heights[moment])) for span in spans]


def letters_of(pile: Layers) -> list[str]:
    """A letter for each layer: its first one, or the next that is free."""
    found: list[str] = []
    for layer in pile.layers:
        wanted = [sign for sign in layer.title.lower() if sign in ALPHABET]
        found.append(next(sign for sign in [*wanted, *ALPHABET, "#"] if sign not in found))
    return found


def letter_at(moment: list[float], height: float, letters: list[str]) -> str:
    """Which layer is ``height`` above the ground at a moment."""
    for thickness, letter in zip(moment, letters, strict=True):
        height -= thickness
        if height < 0:
            return letter
    return " "


def pointer(pile: Layers, places: list[int]) -> str:
    """A row that points at the top, its text on the side where there is room."""
    if pile.top is None:
        return ""
    moment, text = pile.top[0], clean(pile.top[1])
    column_of = min(range(len(places)), key=lambda place: abs(places[place] - moment))
    if column_of > len(text):
        return f"{text} v".rjust(column_of + 1)
    return f"{'v':>{column_of + 1}} {text}"


def phases(pile: Layers, places: list[int]) -> str:
    """A row with the marks, each from the place where it begins."""
    row = [" "] * len(places)
    for moment, text in pile.marks:
        start = next((place for place, one in enumerate(places) if one >= moment), len(places))
        room = len(places) - start
        signs = f"^{clean(text)}"[:room]
        row[start : start + len(signs)] = signs
    return "".join(row).rstrip()
