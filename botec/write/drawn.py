"""A report's pictures drawn by matplotlib: one under the other, as many as it has."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from botec.errors import BadInput, MissingPackage
from botec.report import Fields, Layers, Lifetimes, Picture, Report
from botec.write.seen import Span, chosen, sees, span

WIDE, HIGH = 7.0, 4.0  # inches of one picture


def drawn(report: Report, kind: str) -> bytes:
    """The pictures of a report as a file of ``kind`` (``"svg"`` or ``"png"``), the same each time.

    Raises :class:`BadInput` for a report without pictures, :class:`MissingPackage` without
    matplotlib.
    """
    held = io.BytesIO()
    made = figure(report)
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "botec", "svg.fonttype": "none"}):
        made.savefig(held, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return held.getvalue()


def figure(report: Report, title: str = "") -> Any:
    """A figure of matplotlib with the pictures whose title, or whose section's, has ``title``.

    Raises :class:`BadInput` where there is none.
    """
    pictures = list(pictures_of(report, title))
    if not pictures:
        about = f" called {title!r}" if title else ""
        do = "ask for one (botec learn MODEL --only reach), or write .json or .txt"
        raise BadInput(f"this answer has no picture{about}", do, "a picture")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        do = 'run pip install "botec[page]"'
        raise MissingPackage("matplotlib is not installed", do, "a picture") from error
    made = Figure(figsize=(WIDE, HIGH * len(pictures)), layout="constrained")
    FigureCanvasAgg(made)
    for place, picture in enumerate(pictures):
        axes = made.add_subplot(len(pictures), 1, place + 1)
        how: Any = {Layers: pile, Lifetimes: outline, Fields: nested}.get(type(picture), draw)
        how(axes, picture)
    return made


def pictures_of(report: Report, title: str = "") -> Iterator[Picture | Layers | Lifetimes | Fields]:
    """Every picture, in the order of the page."""
    wanted = title.lower()
    for section in report.whole().sections:
        for part in section.parts:
            if isinstance(part, (Picture, Layers, Lifetimes, Fields)) and (
                wanted in part.title.lower() or wanted in section.title.lower()
            ):
                yield part


def pile(axes: Any, picture: Layers) -> None:
    """Layers on each other, the moments marked."""
    moments = sorted({point[0] for one in picture.layers for point in one.points})
    known = [dict(one.points) for one in picture.layers]
    heights = [[one.get(moment, 0) for moment in moments] for one in known]
    axes.stackplot(moments, heights, labels=[one.title for one in picture.layers], step="post")
    marked(axes, picture)
    axes.set_ylabel(named("", picture.up.unit))


def outline(axes: Any, picture: Lifetimes) -> None:
    """What all storages take together; the single ones need a page to point at."""
    moments, sizes, _ = zip(*picture.total, strict=True) if picture.total else ((), (), ())
    axes.fill_between(moments, sizes, step="post", label="all that is alive")
    marked(axes, picture)
    axes.set_ylabel("[B]")


def nested(axes: Any, picture: Fields) -> None:
    """The input, and on it what the middle places of a few layers see, the deepest outermost.

    Of two axes the last one goes across and the first one down, as pictures are stored.
    """
    from matplotlib.patches import Rectangle

    def box(spans: list[Span], **style: Any) -> None:
        down, across = spans if len(spans) > 1 else (Span(0, 1), *spans)
        axes.add_patch(Rectangle((across.low, down.low), across.size, down.size, **style))

    whole = [Span(0, size) for size in picture.sizes]
    box(whole, facecolor="0.9", edgecolor="0.4", label="the input")
    layers, every = chosen(picture), [whole]
    for place, layer in enumerate(layers):
        spans = [span(layer, axis, size) for axis, size in enumerate(picture.sizes)]
        every.append(spans)
        label = f"{layer.layer} ({layer.op}): {sees(layer, picture)}"
        box(spans, fill=False, edgecolor=f"C{place}", linewidth=1.5, label=label)
    ends = [(min(one[axis].low for one in every), max(one[axis].high for one in every))
            for axis in range(len(whole))]  # fmt: skip
    margin = 0.02 * max(high - low for low, high in ends)
    axes.set_xlim(ends[-1][0] - margin, ends[-1][1] + margin)
    axes.set_xlabel(picture.axes[-1])
    if len(ends) > 1:
        axes.set_ylim(ends[0][1] + margin, ends[0][0] - margin)
        axes.set_ylabel(picture.axes[0])
        axes.set_aspect("equal")
    else:
        axes.set_yticks([])
    axes.set_title(picture.title)
    axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))


def marked(axes: Any, picture: Layers | Lifetimes) -> None:
    """The moments a timeline names, its limit, its title."""
    for moment, text in (*picture.marks, *([picture.top] if picture.top else [])):
        axes.axvline(moment, linewidth=0.5, color="gray")
        axes.annotate(text, (moment, 1), xycoords=("data", "axes fraction"), fontsize="x-small")
    if picture.limit:
        axes.axhline(picture.limit[0], linestyle="--", color="gray", label=picture.limit[1])
    axes.set_title(picture.title)
    axes.legend(fontsize="small")


def draw(axes: Any, picture: Picture) -> None:
    """One picture on its axes: powers of ten, or evenly divided."""
    for curve in picture.curves:
        points = [point for point in curve.points if None not in point]
        if points:
            across, up = zip(*points, strict=True)
            dots = len(set(points)) == 1 or "measured" in curve.title
            axes.plot(across, up, "o" if dots else "-", label=curve.title)
    if not (picture.linear or picture.steps):
        axes.set_xscale("log")
    if not picture.linear:
        axes.set_yscale("log")
    axes.set_xlabel(named(picture.across.title, picture.across.unit))
    axes.set_ylabel(named(picture.up.title, picture.up.unit))
    axes.set_title(picture.title)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")


def named(title: str, unit: str) -> str:
    """A title with its unit behind it."""
    return title if unit in ("", "1") else f"{title} [{unit}]".strip()
