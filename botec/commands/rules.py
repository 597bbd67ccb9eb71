"""``botec rules [NAME] [--on MODEL]``: the book of rules of thumb."""

from __future__ import annotations

from typing import Any

import click

from botec.commands.answering import Answer
from botec.commands.asking import MODEL_OPTIONS, command, question_from
from botec.errors import BadInput

ORDER = 70
#: Options of a model; the model itself is named by ``--on``.
OPTIONS = MODEL_OPTIONS[2:]


@command(
    click.argument("words", nargs=-1, metavar="[NAME | DIM=VALUE...]"),
    click.option("--on", "model", metavar="MODEL", help="Hold the rules against a network."),
    *OPTIONS,
)
def rules(words: tuple[str, ...], model: str | None, **given: Any) -> Answer:
    """Rules of thumb: formula, source, range, derivation, error.

    \b
    botec rules
    botec rules three forwards
    botec rules --on torchvision:resnet50 B=32
    """
    from botec.analyses import rulebook
    from botec.rules.book import book, found

    name = " ".join(word for word in words if "=" not in word)
    point = [word for word in words if "=" in word]
    if point and not model:
        raise BadInput("sizes are given without a model", "name it with --on MODEL", point[0])
    chosen = {rule.name: rule for rule in [found(name)]} if name else book()
    if not model:
        return Answer(
            rulebook.one_rule(chosen.popitem()[1]) if name else rulebook.whole_book(chosen)
        )
    return Answer(on_model(question_from(model, point, **given), chosen))


def on_model(asked: Any, chosen: dict[str, Any]) -> Any:
    """The rules that apply to a model, beside its counts."""
    from botec.analyses.figures import Answers
    from botec.analyses.rulebook import on_network
    from botec.estimate import described
    from botec.read import read

    program = read(asked.model, *asked.inputs, **asked.options)
    return on_network(Answers(program), chosen, described(program))
