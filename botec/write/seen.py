"""What places of layers see of an input, laid out: for drawings, and as bars in the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botec.report import Field, Fields
from botec.write.grid import Cell, clean, cropped, line, paragraph, wide
from botec.write.look import QUIET, TITLE, Look

if TYPE_CHECKING:
    from rich.text import Text as Line

MOST_LAYERS, LEAST_BAR, MOST_BAR, MOST_NAME, INDENT = 8, 10, 60, 28, 2


@dataclass(frozen=True)
class Span:
    """What the middle place of a layer sees along an axis: from one place of it to another."""

    low: float
    high: float

    @property
    def size(self) -> float:
        """How many places of the input."""
        return self.high - self.low


def span(field: Field, axis: int, size: int) -> Span:
    """The middle place's field along an axis; all of it where the axis has no numbers."""
    known = field.axes[axis]
    if known is None:
        return Span(0, size)
    reach, stride, padding, made, _ = known
    low = (made - 1) // 2 * stride - padding
    return Span(low, low + reach)


def chosen(picture: Fields) -> list[Field]:
    """Layers that see more than all before them, evenly over the depth, the last among them."""
    found: list[Field] = []
    widest = 0.0
    for layer in picture.layers:
        sees = span(layer, 0, picture.sizes[0]).size
        if sees > widest:
            found.append(layer)
            widest = sees
    if len(found) <= MOST_LAYERS:
        return found
    last = len(found) - 1
    return [found[round(place * last / (MOST_LAYERS - 1))] for place in range(MOST_LAYERS)]


def sees(layer: Field, picture: Fields) -> str:
    """How much the middle place sees: ``11 × 11``, ``all`` along an axis without numbers."""
    return " × ".join("all" if one is None else str(one[0]) for one in layer.axes)


def seen_lines(picture: Fields, width: int, look: Look) -> list[Line]:
    """A bar for each of a few layers: the input along its first axis, what is seen of it inked."""
    layers, size, axis = chosen(picture), picture.sizes[0], picture.axes[0]
    names = [cropped(clean(one.layer), MOST_NAME, look.more) for one in layers]
    told = [sees(one, picture) for one in layers]
    margin = max(map(wide, names)) + max(map(wide, told)) + 4
    room = min(MOST_BAR, width - INDENT - margin - 1)
    if room < LEAST_BAR:
        return []
    ink, ground = ("█", "░") if look.digits else ("#", ".")
    lines = paragraph(picture.title, width, TITLE, indent=INDENT)
    for name, text, layer in zip(names, told, layers, strict=True):
        drawn = bar(span(layer, 0, size), size, room, ink, ground)
        gap = " " * (max(map(wide, names)) - wide(name))
        text = text.rjust(max(map(wide, told)))
        lines.append(line(Cell(f"{name}{gap}  {text}  {drawn}"), indent=INDENT))
    words = f"the middle place of each layer, along {clean(axis)} = {size}"
    return [*lines, *paragraph(words, width, QUIET, indent=INDENT)]


def bar(one: Span, size: int, room: int, ink: str, ground: str) -> str:
    """``room`` signs for an input, at least one of them inked."""
    low, high = (min(max(end, 0), size) * room / size for end in (one.low, one.high))
    first = min(round(low), room - 1)
    last = max(round(high), first + 1)
    return ground * first + ink * (last - first) + ground * (room - last)
