"""One line, three parts: what was asked, what was seen, what to do."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botec import errors
from botec.errors import BotecError, OutsideRegime, nearest, one_line

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, BotecError)
]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BotecError("no such file"), "no such file"),
        (BotecError("no such file", "look again"), "no such file; look again"),
        (BotecError("no such file", "look again", "a.py"), "a.py: no such file; look again"),
        (BotecError("no such file", asked="a.py"), "a.py: no such file"),
        (BotecError("a\nb\t c", "d\r\n", " e "), "e: a b c; d"),
    ],
)
def test_the_three_parts(error: BotecError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_told_apart_and_explained(kind: type[BotecError]) -> None:
    error = kind("seen", "do").about("asked")
    assert type(error) is kind
    assert str(error) == "asked: seen; do"
    assert str(error.about("another")) == "asked: seen; do", "the first question is kept"
    assert kind.__doc__


def test_an_error_survives_a_process_pool() -> None:
    error = pickle.loads(pickle.dumps(OutsideRegime("seen", "do", "asked")))
    assert (type(error), str(error)) == (OutsideRegime, "asked: seen; do")


@given(st.text(), st.text(), st.text())
def test_it_is_always_one_line(seen: str, do: str, asked: str) -> None:
    assert len(str(BotecError(seen, do, asked)).splitlines()) <= 1


@given(st.text())
def test_one_line_keeps_every_word(text: str) -> None:
    assert one_line(text).split() == text.split()
    assert one_line(one_line(text)) == one_line(text)


def test_what_is_near() -> None:
    known = ["resnet18", "resnet50", "vgg11", "vgg16"]
    assert nearest("resnet5", known) == "did you mean resnet50, resnet18?"
    assert nearest("adam", known) == ""
    assert nearest("vgg", known, most=1) in ("did you mean vgg11?", "did you mean vgg16?")
    assert nearest("vgg16", iter(known)).startswith("did you mean vgg16")
    assert nearest("x", ()) == ""
