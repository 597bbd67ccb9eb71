"""``botec show FILE``: a saved report again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from botec.commands.answering import Answer
from botec.commands.asking import command
from botec.errors import BadInput

if TYPE_CHECKING:
    from botec.report import Report

ORDER = 90


@command(click.argument("saved", metavar="FILE"))
def show(saved: str) -> Answer:
    """Print a saved report (page.json) again."""
    return Answer(opened(saved))


def opened(path: str) -> Report:
    """The report saved at ``path``. Raises :class:`BadInput` where there is none."""
    from botec.write.to_json import load

    do = "name a file that botec estimate MODEL -o page.json has written"
    try:
        with open(path, encoding="utf-8") as file:
            return load(file.read())
    except OSError as error:
        raise BadInput(f"it cannot be read ({error.strerror or error})", do) from None
    except UnicodeDecodeError:
        raise BadInput("it is not a text file", do) from None
