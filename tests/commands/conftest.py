"""What the tests of the commands share: ``say("grow", "fft")`` answers one command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from botec import cli


@dataclass
class Said:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def wrong(self) -> str:
        """The line of a wrong question: alone, on stderr, with exit code 2."""
        assert (self.code, self.out) == (2, "")
        assert self.err.startswith("botec: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        return self.err[len("botec: ") : -1]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run one command line in this process."""

    def run(*arguments: str) -> Said:
        code = cli.run(arguments)
        return Said(code, *capsys.readouterr())

    return run
