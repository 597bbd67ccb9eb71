"""Curves in the terminal: axes in powers of ten, dots of Braille, a letter on each curve."""

from __future__ import annotations

from math import ceil, floor, inf, log10
from typing import TYPE_CHECKING, Any

from botec.report import Picture
from botec.write.grid import Cell, clean, cropped, line, paragraph
from botec.write.look import QUIET, TITLE, Look

if TYPE_CHECKING:
    from rich.text import Text as Line

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MOST_WIDE, LEAST_WIDE, TICK, HEIGHT, MARGIN, INDENT = 70, 20, 10, 14, 16, 2
NEAR = 1e-6  # how close a tick is to a power of ten to be one
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
EMPTY = "\u2800"  # Braille without a dot, which some screens draw
ARROW = "-> "  # at the end of the axis across


def picture_lines(picture: Picture, width: int, look: Look) -> list[Line]:
    """The picture and its legend; nothing where no curve has two positive points."""
    if picture.linear:
        from botec.write.linear import linear_lines

        return linear_lines(picture, width, look)
    curves = {
        curve.title: logarithms(curve.points, picture.steps)
        for curve in picture.curves[: len(LETTERS)]
    }
    curves = {title: points for title, points in curves.items() if len(points) > 1}
    if not curves:
        return []
    drawn = drawing(list(curves.values()), picture, width, bool(look.digits))
    lines = paragraph(picture.title, width, TITLE, indent=INDENT) if picture.title else []
    lines += [line(Cell(row), indent=INDENT) for row in drawn]
    for letter, title in zip(LETTERS, curves, strict=False):
        text = cropped(clean(title), max(width - INDENT - 3, 1), look.more)
        lines.append(line(Cell(f"{letter}  {text}", QUIET), indent=INDENT))
    return lines


def logarithms(points: Any, steps: bool = False) -> list[tuple[float, float]]:
    """Powers of ten of the points that have them; across as it is where ``steps`` are drawn."""
    return [
        (float(across) if steps else log10(across), log10(up))
        for across, up in points
        if across is not None and up is not None and 0 < across < inf and 0 < up < inf
    ]


def drawing(
    curves: list[list[tuple[float, float]]], picture: Picture, width: int, dots: bool
) -> list[str]:
    """The rows of the drawing: a tick for every power of ten, or every second, third, …"""
    import plotille

    room = max(LEAST_WIDE, min(MOST_WIDE, width - MARGIN - INDENT))
    places = [point[0] for each in curves for point in each]
    left, right, columns = axis(places, room // TICK)
    if picture.steps:
        columns, left = room // TICK, floor(min(places))
        right = left + columns * max(1, ceil((max(places) - left) / columns))
    low, high, rows = axis([point[1] for each in curves for point in each], HEIGHT)
    figure = plotille.Figure()
    figure.with_colors, figure.origin = False, False
    figure.width, figure.height = TICK * columns, rows
    figure.set_x_limits(left, right)
    figure.set_y_limits(low, high)
    figure.x_label, figure.y_label = clean(picture.across.title), clean(picture.up.title)
    figure.register_label_formatter(float, plain_across if picture.steps else label)
    for letter, points in zip(LETTERS, curves, strict=False):
        across, up = zip(*points, strict=True)
        if dots:
            figure.plot(across, up)
        figure.scatter(across, up, marker=letter)
    return rows_of(figure, width)


def rows_of(figure: Any, width: int) -> list[str]:
    """The rows of a figure; the name of an axis that would not fit stands on a row of its own."""
    drawn = figure.show(legend=False).replace(EMPTY, " ").replace("()", "  ").splitlines()
    rows: list[str] = []
    for row in (row.rstrip() for row in drawn if row.strip()):
        arrow, found, name = row.partition(ARROW)
        if found and len(row) > width - INDENT:
            rows += [arrow + found.rstrip(), name.rjust(width - INDENT)]
        else:
            rows.append(row)
    return rows


def axis(values: list[float], most: int) -> tuple[int, int, int]:
    """Whole powers of ten around the values, and how many steps of equal length to draw.

    Every power of ten falls on a step; where there are more than ``most``, every second or third.
    """
    low, high = floor(min(values)), ceil(max(values))
    decades = max(high - low, 1)
    each = ceil(decades / most)
    steps = ceil(decades / each)
    return low, low + steps * each, steps * max(1, most // steps)


def label(value: float, chars: int, delta: float, left: bool = False) -> str:
    """What stands beside a tick: the power of ten, and nothing between two of them."""
    whole = abs(value - round(value)) < NEAR
    text = f"10{str(round(value)).translate(RAISED)}" if whole else ""
    return text.ljust(chars) if left else text.rjust(chars)


def plain_across(value: float, chars: int, delta: float, left: bool = False) -> str:
    """What stands beside a tick: across (where texts begin at the tick) the number itself."""
    return f"{value:.4g}"[:chars].ljust(chars) if left else label(value, chars, delta)
