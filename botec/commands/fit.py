"""``botec fit MODEL --device NAME``: does it fit, what fills it, the largest that fits."""

import click

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question

ORDER = 15


@question(
    click.option(
        "--context", default=None, metavar="SIZE", help="The driver's own memory: 450MiB."
    ),
)
def fit(asked: Asked, context: str | None) -> Answer:
    """Does it fit on a device, what fills it, the largest that fits."""
    from botec.fit import CONTEXT, everywhere, fit
    from botec.units import parse_bytes

    own = CONTEXT if context is None else parse_bytes(context)
    if asked.options.get("device", "cpu") == "cpu":
        return Answer(everywhere(asked.model, *asked.inputs, context=own, **asked.options))
    report = fit(asked.model, *asked.inputs, context=own, **asked.options)
    room = report.figures["fit.room"].counted
    no = room is not None and room.value is not None and room.value < 0
    return Answer(report, ("it does not fit",) if no else ())
