"""``botec estimate MODEL``: everything about one step, in one page."""

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question

ORDER = 10


@question()
def estimate(asked: Asked) -> Answer:
    """Everything about one step, in one page."""
    from botec.estimate import estimate

    return Answer(estimate(asked.model, *asked.inputs, **asked.options))
