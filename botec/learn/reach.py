"""``botec learn --only reach``: which part of its input each value of a network sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from botec.learn import Part, Question

ORDER, NAME = 10, "reach"
OPTIONS = (
    click.option(
        "--axis",
        "axis",
        multiple=True,
        metavar="NAME",
        help="Of reach: an axis of the input, H or x2. Repeatable.",
    ),
)


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
    return Part(figures(found), (section(found),), graph.notes)
