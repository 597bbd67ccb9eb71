"""``botec grow MODEL``: how a step grows with every dimension, as exact formulas."""

from __future__ import annotations

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question

ORDER = 30


@question()
def grow(asked: Asked) -> Answer:
    """How a step grows with every dimension: exact formulas."""
    from dataclasses import replace

    from botec.analyses.growth import sections
    from botec.analyses.quantities import quantities
    from botec.estimate import report
    from botec.read import read

    program = read(asked.model, *asked.inputs, **asked.options)
    page, known = report(program), quantities(program)
    figures = {key: figure for key, figure in page.figures.items() if key in known}
    return Answer(replace(page, figures=figures, sections=sections(program, figures)))
