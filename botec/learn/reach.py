"""``botec learn --only reach``: which part of its input each value of a network sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from botec.errors import BadInput
from botec.learn import Part, Question

if TYPE_CHECKING:
    from botec.analyses.reach import Along, Reach
    from botec.graph import Graph
    from botec.measure.reach import Effective
    from botec.report import Figure, Picture, Section, Text

ORDER, NAME = 10, "reach"
DRAWN = (".svg", ".png")
OPTIONS = (
    click.option(
        "--axis", multiple=True, metavar="NAME",
        help="Of reach: along this axis of the input, H or x1. Repeatable.",
    ),
    click.option(
        "--effective", is_flag=True,
        help="Of reach: where real gradients fall, beside it (so does -o FILE.svg or .png).",
    ),
    click.option(
        "--sizes", type=click.IntRange(1), metavar="N",
        help="Of reach: which input sizes up to N the model takes, by running it on shapes.",
    ),
)  # fmt: skip


def applies(asked: Question) -> bool:
    """Where some op slides a window over places."""
    from botec.analyses.reach.page import slides_anywhere

    return slides_anywhere(asked.graph())


def answer(asked: Question, options: Mapping[str, Any]) -> Part:
    """The receptive fields of the network's values, and what they mean."""
    from botec.analyses.reach import reach
    from botec.analyses.reach.page import figures, section

    graph = asked.graph()
    from botec.read.executor import Executor

    found = reach(graph, Executor(), options.get("axis", ()))
    known, sections = figures(found), [section(found)]
    if options.get("effective") or draws():
        more, drawing = measured(asked, found)
        known.update(more)
        sections.append(drawing)
    if options.get("sizes"):
        sections.append(size_section(asked, found, options["sizes"]))
    return Part(known, tuple(sections), (*graph.notes, *notes(graph)))


def notes(graph: Graph) -> tuple[str, ...]:
    """In which mode reach is told, where that matters."""
    normed = any("batch_norm" in node.call.op for node in graph.nodes)
    text = "Reach is told of the model in eval mode: in training, batch norms connect all places."
    return (text,) if normed else ()


def draws() -> bool:
    """Whether the answer goes to a file of pictures."""
    context = click.get_current_context(silent=True)
    file = context.params.get("file") if context else None
    return isinstance(file, str) and file.lower().endswith(DRAWN)


# -- the effective reach --------------------------------------------------------------------


def measured(asked: Question, found: Reach) -> tuple[dict[str, Figure], Section]:
    """Real gradients beside what could be seen: figures, and a picture for every axis."""
    from botec.measure.reach import effective
    from botec.report import Figure, Figures, Measured, Section, Text

    figures: dict[str, Figure] = {}
    parts: list[Any] = []
    for along in found.axes:
        place = along.module
        if place is None:
            continue
        number, scope, turn, axis = place
        real = effective(asked.source, found.graph.point, scope, turn, along.walk.axis, axis)
        title = f"effective reach in {along.name} of {scope}, 4 standard deviations"
        key = f"learn.effective_reach.{along.name}"
        figures[key] = Figure(key, title, "1", measured=Measured(real.width, real.how))
        parts.append(picture(along, number, axis, real))
    if not parts:
        parts.append(Text("No module gives a feature map: no gradient was carried back."))
    return figures, Section("Effective reach", (Figures(tuple(figures)), *parts))


def picture(along: Along, number: int, axis: int, real: Effective) -> Picture:
    """Shares of the gradient over the places, beside equal shares for all that is seen."""
    from botec.report import Column, Curve, Picture

    seen = along.places(number, axis, real.place)
    count = int(seen.sum())
    could = tuple((place, float(one) / count) for place, one in enumerate(seen)) if count else ()
    return Picture(
        f"What the middle place sees along {along.name}",
        Column(f"place in {along.name}", "1"),
        Column("share", "1"),
        (Curve("theoretical, equal shares", could),
         Curve("effective, of the gradient", tuple(enumerate(real.shares)))),
        linear=True,
    )  # fmt: skip


# -- the sizes a model takes ----------------------------------------------------------------


def size_section(asked: Question, found: Reach, most: int) -> Section:
    """What sizes the model takes, beside the least its windows take."""
    from botec.analyses.reach.sizes import sizes
    from botec.read.sizes import accepted
    from botec.report import Section, Text

    if not found.axes:
        raise BadInput("the model has no axis of places", "leave --sizes out", f"--sizes {most}")
    axes = [along.walk.axis for along in found.axes]
    taken = accepted(asked.source, asked.point, axes, range(1, most + 1))
    names = " = ".join(along.name for along in found.axes)
    least = max(along.least for along in found.axes)
    said: Text = Text(f"With {names} it takes {sizes(taken, most)}. Its windows take {least}.")
    return Section("Sizes it takes", (said,))
