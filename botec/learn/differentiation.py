"""``botec learn --only differentiation``: what a gradient costs, and whether it is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from botec.learn import Part, Question

if TYPE_CHECKING:
    from botec.measure.realise import Step

ORDER, NAME = 20, "differentiation"
OPTIONS = (
    click.option(
        "--check-gradients", is_flag=True, help="Hold the model's gradients against its loss."
    ),
    click.option(
        "--verify", is_flag=True, help="Really make a small network's gradient in three ways."
    ),
)


def applies(asked: Question) -> bool:
    """Where something is trained."""
    return bool(asked.options.get("train", True))


def answer(asked: Question, options: Mapping[str, Any]) -> Part:
    """The cost of a gradient; with the options, a real one beside it."""
    from botec.analyses import differentiation as cost
    from botec.analyses.figures import Answers

    if options.get("check_gradients"):
        return checked(asked)
    found = cost.differentiation(Answers(asked.program))
    figures = cost.figures(found)
    rate, where = full_rate(asked)
    sections = [cost.section(found, rate, where)]
    if options.get("verify"):
        from botec.analyses.gradients import ways_section
        from botec.measure.derivatives import three_ways

        ways = three_ways(real(asked))
        figures = cost.with_measured(figures, ways.passes, "a real gradient in float64")
        sections.append(ways_section(ways.passes, ways.seconds, ways.apart))
    return Part(figures, tuple(sections))


def full_rate(asked: Question) -> tuple[float | None, str]:
    """Multiplications a second of the device named, all its units busy; ``None`` for none."""
    from botec.analyses.duration.speeds import PRECISION_TYPES
    from botec.duration import HERE, sheet_of

    name = asked.options.get("device", HERE)
    if name == HERE:
        return None, ""
    target = sheet_of(name)
    peak = target.peak(PRECISION_TYPES[asked.options.get("precision", "fp32")])
    return (None if peak is None else peak / 2), target.title


def real(asked: Question) -> Step:
    """The model with its own weights and random inputs."""
    from botec.measure.realise import realise

    return realise(asked.source, asked.point, train=True, optimizer=None)


def checked(asked: Question) -> Part:
    """The model's gradients against its loss; the answer is no where one is wrong."""
    from botec.analyses.gradients import check_figures, check_section
    from botec.measure.gradients import check_gradients

    found = check_gradients(real(asked))
    section = check_section(found.verdicts, found.wrong, found.passes, found.silent)
    names = [name for one in found.wrong for name in one.names]
    refusals = (f"wrong gradients: {', '.join(names)}",) if names else ()
    figures = check_figures(found.verdicts, found.wrong, found.passes)
    return Part(figures, (section,), refusals=refusals)
