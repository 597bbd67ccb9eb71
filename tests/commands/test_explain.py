"""``botec explain`` on the command line."""

from __future__ import annotations

import pytest


def test_the_count_itself(say):
    said = say("explain", "mlp:784-30-10", "--seen", "23820")
    assert said.code == 0
    assert "multiply-adds: it is the count itself: 23,820" in said.out


def test_a_tools_own_way(say):
    said = say("explain", "mlp:784-30-10", "--seen", "23860", "--as", "ptflops")
    assert said.code == 0
    assert "biases are counted (+40)" in said.out


def test_a_number_nobody_gives(say):
    said = say("explain", "mlp:784-30-10", "--seen", "31415")
    assert said.code == 1
    assert "no known convention gives 31415" in said.err
    assert "the nearest" in said.out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seen", "lots"], "write it as 4.09G"),
        (["--seen", "1G", "--as", "fvcor"], "fvcore"),
        ([], "NUMBER is missing"),
    ],
)
def test_wrong_questions(say, more, words):
    said = say("explain", "mlp:3-2", *more)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert words in said.err
