"""``botec verify MODEL``: the estimate beside a real run."""

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question

ORDER = 20


@question()
def verify(asked: Asked) -> Answer:
    """The estimate beside a real run. Exit code 1 where they differ."""
    from botec.measure.verify import disagreements, verify

    report = verify(asked.model, *asked.inputs, **asked.options)
    return Answer(report, disagreements(report))
