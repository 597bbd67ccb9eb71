"""From a question to its answer: a sign of life meanwhile, one place for it, one exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from botec.errors import BadInput, BotecError, MissingPackage, ModelFailed

if TYPE_CHECKING:
    from botec.report import Report

ANSWERED, NO, WRONG, INTERRUPTED = 0, 1, 2, 130
EXTRAS = ("torch", "torchvision", "timm", "transformers")
DEBUG = "--debug"


@dataclass(frozen=True)
class Answer:
    """A report, and why the answer is no, where it is."""

    report: Report
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """Where an answer goes: a page or JSON on stdout, and a file."""

    as_json: bool = False
    file: str | None = None
    plain: bool = False


class Interrupted(Exception):
    """The user has stopped the work. (click prints an empty line for a bare KeyboardInterrupt.)"""


def working(name: str, ask: Callable[[], Answer]) -> Answer:
    """The answer, with a sign of life; only the answer reaches stdout, whatever a model prints."""
    from botec.write.progress import busy, quiet

    with quiet(unless=click.get_current_context().meta[DEBUG]), busy(name):
        try:
            return ask()
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in EXTRAS:
                raise
            do = 'run pip install "botec[zoo]"'
            raise MissingPackage(f"the package {package} is not installed", do) from error
        except SystemExit as error:
            do = "take the exit out of what runs when it is imported or built"
            raise ModelFailed("the model ended the program", do) from error


def answered(name: str, ask: Callable[[], Answer], output: Output) -> int:
    """Ask, then write the answer where it belongs; returns the exit code."""
    from botec.write.file import Place

    try:
        place = Place(output.file) if output.file else None
        try:
            answer = ask()
            if place:
                place.keep(answer.report)
                click.echo(f"botec: {name}: written to {output.file}", err=True)
        finally:
            if place:
                place.drop()
    except KeyboardInterrupt:
        raise Interrupted from None
    except BotecError as error:
        raise error.about(name) from error
    if output.as_json or not output.file:
        show_page(answer.report, output)
    for refusal in answer.refusals:
        click.echo(f"botec: {name}: {refusal}", err=True)
    return NO if answer.refusals else ANSWERED


def show_page(report: Report, output: Output) -> None:
    """The answer on stdout: JSON, or a page as wide as the terminal."""
    from shutil import get_terminal_size

    from botec.write import to_json, to_terminal

    if output.as_json:
        text = to_json.write(report)
    else:
        width = get_terminal_size((100, 24)).columns
        text = to_terminal.write(report, width, colourful() and not output.plain, output.plain)
    printed(text)


def printed(text: str) -> None:
    """``text`` on stdout, ``?`` for signs it cannot show. A reader who has left is no failure."""
    reconfigure: Any = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        unheard()
    except OSError as error:
        unheard()
        seen = f"the answer cannot be printed ({error.strerror or error})"
        raise BadInput(seen, "make room, or name a file with -o") from None


def colourful() -> bool:
    """Whether stdout shows colours and nobody has asked for none."""
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not unwanted


def unheard() -> int:
    """Nobody reads stdout any more, and has what it wanted: no complaint, now or at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ANSWERED
