"""``botec explain MODEL --seen 4.09G``: which convention gives a number somebody has seen."""

from __future__ import annotations

import click

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question

ORDER = 75


@question(
    click.option("--seen", required=True, metavar="NUMBER", help="What was seen: 4.09G."),
    click.option("--as", "tool", default="", metavar="TOOL", help="Which tool said it: fvcore."),
)
def explain(asked: Asked, seen: str, tool: str) -> Answer:
    """Why two tools disagree: the convention behind a number.

    \b
    botec explain torchvision:resnet50 --seen 4.09G
    botec explain torchvision:vit_b_16 --seen 16.86G --as ptflops
    """
    from botec.analyses.counters import Pieces
    from botec.analyses.explain import explained, report, seen_from
    from botec.analyses.figures import Answers
    from botec.estimate import described
    from botec.read import read

    number = seen_from(seen)
    program = read(asked.model, *asked.inputs, **{**asked.options, "train": False})
    answers = Answers(program)
    found = explained(Pieces(answers), number, tool)
    refusals = () if found else (f"no known convention gives {seen}",)
    return Answer(report(answers, number, tool, described(program)), refusals)
