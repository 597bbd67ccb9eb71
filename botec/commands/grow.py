"""``botec grow MODEL``: how a step grows with every dimension, as exact formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question
from botec.errors import BadInput

if TYPE_CHECKING:
    from botec.analyses.algorithms import Algorithm, Fit

ORDER = 30


@question(
    click.option(
        "--verify",
        is_flag=True,
        help="Of an algorithm: the exponents that timed runs on this machine give.",
    )
)
def grow(asked: Asked, verify: bool) -> Answer:
    """How a step grows with every dimension: exact formulas.

    \b
    botec grow transformers:llama S=4096
    botec grow resnet.py:Net --input "x=B,3,H,W" H=224 W=224
    botec grow fft n=1000000 --verify

    Beside networks it knows pairs of algorithms, by the name of either: dft and fft; conv-direct
    and conv-fft; attention and recurrence.
    """
    from botec.analyses.algorithms import pair_of

    pair = pair_of(asked.model)
    if pair:
        return of_algorithms(pair, asked, verify)
    if verify:
        do = "use botec verify MODEL"
        raise BadInput("runs are timed for algorithms, not for networks", do, "--verify")
    return of_network(asked)


def of_network(asked: Asked) -> Answer:
    """The growth of a network's step."""
    from dataclasses import replace

    from botec.analyses.growth import sections
    from botec.analyses.quantities import quantities
    from botec.estimate import report
    from botec.read import read

    program = read(asked.model, *asked.inputs, **asked.options)
    page, known = report(program), quantities(program)
    figures = {key: figure for key, figure in page.figures.items() if key in known}
    return Answer(replace(page, figures=figures, sections=sections(program, figures)))


def of_algorithms(pair: tuple[Algorithm, Algorithm], asked: Asked, verify: bool) -> Answer:
    """Two algorithms for one job, side by side."""
    from botec import __version__
    from botec.analyses.algorithms import point_of, report

    point = point_of(pair, asked.point)
    fits: dict[str, Fit] = {}
    if verify:
        from botec.measure.exponents import measured

        fits = {one.name: measured(one.name) for one in pair}
    return Answer(report(pair, point, fits, __version__))
