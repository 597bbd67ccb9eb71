"""``botec calibrate``: what this machine reaches, kept for ``botec time``."""

import click

from botec.commands.answering import Answer
from botec.commands.asking import command

ORDER = 18


@command(
    click.option("--threads", type=int, default=None, help="With so many threads of torch."),
    click.option("--show", is_flag=True, help="Show what is kept, measure nothing."),
)
def calibrate(threads: int | None, show: bool) -> Answer:
    """Measure this machine in ten seconds, for botec time.

    \b
    botec calibrate
    botec calibrate --threads 1
    botec calibrate --show
    """
    from botec.duration.here import report
    from botec.measure import calibration
    from botec.write.progress import tell

    calibration.with_threads(threads)
    if show:
        found = calibration.wanted()
        return Answer(report(found, str(calibration.place(found.threads, found.torch))))
    found = calibration.calibrate(report=lambda done: tell(f"calibrate: {done} timings"))
    return Answer(report(found, str(calibration.save(found))))
