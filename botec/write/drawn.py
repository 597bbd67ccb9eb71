"""A report's pictures drawn by matplotlib: one under the other, as many as it has."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from botec.errors import BadInput
from botec.report import Picture, Report

WIDE, HIGH = 7.0, 4.0  # inches of one picture


def drawn(report: Report, kind: str) -> bytes:
    """The pictures of a report as a file of ``kind`` (``"svg"`` or ``"png"``), the same each time.

    Raises :class:`BadInput` for a report without pictures.
    """
    pictures = list(pictures_of(report))
    if not pictures:
        do = "ask for one (botec learn MODEL --only reach), or write .json or .txt"
        raise BadInput("this answer has no picture", do, f"-o a .{kind} file")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "botec", "svg.fonttype": "none"}):
        figure = Figure(figsize=(WIDE, HIGH * len(pictures)), layout="constrained")
        FigureCanvasAgg(figure)
        for place, picture in enumerate(pictures):
            draw(figure.add_subplot(len(pictures), 1, place + 1), picture)
        held = io.BytesIO()
        figure.savefig(held, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return held.getvalue()


def pictures_of(report: Report) -> Iterator[Picture]:
    """Every picture, in the order of the page."""
    for section in report.sections:
        yield from (part for part in section.parts if isinstance(part, Picture))


def draw(axes: Any, picture: Picture) -> None:
    """One picture on its axes: powers of ten, or evenly divided."""
    for curve in picture.curves:
        points = [point for point in curve.points if None not in point]
        if points:
            across, up = zip(*points, strict=True)
            axes.plot(across, up, label=curve.title)
    if not picture.linear:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel(named(picture.across.title, picture.across.unit))
    axes.set_ylabel(named(picture.up.title, picture.up.unit))
    axes.set_title(picture.title)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")


def named(title: str, unit: str) -> str:
    """A title with its unit behind it."""
    return title if unit in ("", "1") else f"{title} [{unit}]".strip()
