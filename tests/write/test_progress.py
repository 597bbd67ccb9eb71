"""The spinner: on a terminal, after a while, and gone afterwards."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest

from botec.write import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    monkeypatch.setenv("TERM", "xterm")


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, seconds: float) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.busy("estimate [bold]m[/]"):
        time.sleep(seconds)
    assert sys.stderr is stream
    return stream.getvalue()


@pytest.mark.usefixtures("patience")
def test_it_turns_when_work_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "estimate [bold]m[/]" in shown(Terminal(), monkeypatch, 1.0)


@pytest.mark.usefixtures("patience")
def test_it_is_silent_when_work_is_short_or_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(Terminal(), monkeypatch, 0.0) == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert shown(io.StringIO(), monkeypatch, 1.0) == ""


@pytest.mark.usefixtures("patience")
def test_it_stops_when_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ValueError, match="oh"):
        failing()


def test_it_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 60.0)
    assert shown(Terminal(), monkeypatch, 0.0) == ""
    time.sleep(0.2)  # a cancelled timer takes a moment to end
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())


def failing() -> None:
    with progress.busy("m"):
        time.sleep(0.3)
        raise ValueError("oh")
