"""``botec learn MODEL``: what a network sees, and how its signals and gradients fare."""

from __future__ import annotations

from typing import Any

import click

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question
from botec.learn import own_options, subjects

ORDER = 50


@question(
    click.option("--only", default="", metavar="SUBJECT,…", help=f"Of {', '.join(subjects())}."),
    *(option for subject in subjects().values() for option in own_options(subject)),
)
def learn(asked: Asked, only: str, **given: Any) -> Answer:
    """What a network sees, and how its signals and gradients fare.

    A recurrent matrix may stand where MODEL is: a file of numpy's.

    \b
    botec learn torchvision:resnet50 --only reach
    botec learn net.py:Net --input "x=B,3,H,W" H=64 W=64 -o reach.svg
    botec learn matrix.npy
    """
    from botec.learn import Question, answered

    return Answer(*answered(Question(asked.model, asked.inputs, asked.options), only, given))
