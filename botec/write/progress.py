"""While the answer is worked out: silence, and after two seconds a sign of life."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from threading import Lock, Timer
from typing import Any

PATIENCE = 2.0
spinning: list[Any] = []  # the spinners that turn, or wait to: the last is on top


@contextmanager
def busy(text: str) -> Iterator[None]:
    """While inside, and after two seconds, a spinner beside ``text`` on the error stream.

    Nothing where the error stream is no terminal. The line is gone when the work is done.
    """
    if not sys.stderr.isatty():
        yield
        return
    spinner = Spinner(text)
    try:
        yield
    finally:
        spinner.stop()


def tell(text: str) -> None:
    """Say how far the work is, beside the spinner that turns, if one does."""
    if spinning:
        spinning[-1].tell(text)


class Spinner:
    """Waits, then turns, until it is stopped; stopping is safe at any moment."""

    def __init__(self, text: str) -> None:
        spinning.append(self)
        self.text, self.lock, self.stopped = text, Lock(), False
        self.status: Any = None
        self.timer = Timer(PATIENCE, self.turn)
        self.timer.daemon = True
        self.timer.start()

    def turn(self) -> None:
        from rich.console import Console
        from rich.status import Status
        from rich.text import Text

        with self.lock:
            if not self.stopped:
                self.status = Status(Text(self.text), console=Console(stderr=True))
                self.status.start()

    def tell(self, text: str) -> None:
        """Turn beside another text from now on."""
        from rich.text import Text

        with self.lock:
            self.text = text
            if self.status is not None:
                self.status.update(Text(text))

    def stop(self) -> None:
        self.timer.cancel()
        spinning.remove(self)
        with self.lock:
            self.stopped = True
            if self.status is not None:
                self.status.stop()


@contextmanager
def quiet(unless: bool = False) -> Iterator[None]:
    """Keep off both streams what models and libraries print: stdout belongs to the answer.

    ``unless`` (debugging) lets it through, on the error stream.
    """
    if unless:
        with redirect_stdout(sys.stderr):
            yield
        return
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
