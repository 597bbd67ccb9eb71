"""``botec estimate MODEL``: everything about one step, in one page."""

import click

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question

ORDER = 10


@question()
def estimate(asked: Asked) -> Answer:
    """Everything about one step, in one page."""
    if (click.get_current_context().params["file"] or "").lower().endswith(".html"):
        from botec.estimate import for_page
        from botec.write.progress import tell

        return Answer(for_page(asked.model, *asked.inputs, told=tell, **asked.options))
    from botec.estimate import estimate

    return Answer(estimate(asked.model, *asked.inputs, **asked.options))
