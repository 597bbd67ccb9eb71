"""Curves in the terminal over evenly divided axes."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from botec.report import Picture
from botec.write.grid import Cell, clean, cropped, line, paragraph
from botec.write.look import QUIET, TITLE, Look
from botec.write.pictures import rows_of

if TYPE_CHECKING:
    from rich.text import Text as Line

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WIDEST, NARROWEST, HEIGHT, MARGIN, INDENT = 70, 20, 14, 16, 2


def linear_lines(picture: Picture, width: int, look: Look) -> list[Line]:
    """The picture and its legend; nothing where no curve has two points."""
    curves = {curve.title: finite(curve.points) for curve in picture.curves[: len(LETTERS)]}
    curves = {title: points for title, points in curves.items() if len(points) > 1}
    if not curves:
        return []
    lines = paragraph(picture.title, width, TITLE, indent=INDENT) if picture.title else []
    rows = drawing(list(curves.values()), picture, width, bool(look.digits))
    lines += [line(Cell(row), indent=INDENT) for row in rows]
    for letter, title in zip(LETTERS, curves, strict=False):
        text = cropped(clean(title), max(width - INDENT - 3, 1), look.more)
        lines.append(line(Cell(f"{letter}  {text}", QUIET), indent=INDENT))
    return lines


def finite(points: Any) -> list[tuple[float, float]]:
    """The points that can be drawn."""
    return [
        (float(across), float(up))
        for across, up in points
        if across is not None and up is not None and isfinite(across) and isfinite(up)
    ]


def drawing(
    curves: list[list[tuple[float, float]]], picture: Picture, width: int, dots: bool
) -> list[str]:
    """The rows of the drawing; letters mark a few points of each curve."""
    import plotille

    figure = plotille.Figure()
    figure.with_colors, figure.origin = False, False
    figure.width = max(NARROWEST, min(WIDEST, width - MARGIN - INDENT))
    figure.height = HEIGHT
    across = [point[0] for points in curves for point in points]
    up = [point[1] for points in curves for point in points]
    figure.set_x_limits(min(across), max(max(across), min(across) + 1))
    figure.set_y_limits(min(0.0, *up), max(up) or 1.0)
    figure.x_label, figure.y_label = clean(picture.across.title), clean(picture.up.title)
    figure.register_label_formatter(float, label)
    for letter, points in zip(LETTERS, curves, strict=False):
        if dots:
            figure.plot(*zip(*points, strict=True))
        few = points[:: max(1, len(points) // 8)]
        figure.scatter(*zip(*few, strict=True), marker=letter)
    return rows_of(figure, width)


def label(value: float, chars: int, delta: float, left: bool = False) -> str:
    """What stands beside a tick."""
    text = f"{value:.4g}"[:chars]
    return text.ljust(chars) if left else text.rjust(chars)
