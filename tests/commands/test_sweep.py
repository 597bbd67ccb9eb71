"""``botec sweep``: from words to points and back, and what is wrong in one line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
MODEL = "mlp:12-20-3"


def test_all_kept_points_reach_the_file(say: Any, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    said = say("sweep", MODEL, "B=1:40:1", "--where", "B >= 11", "-o", str(path))
    assert (said.code, said.err) == (0, "")
    rows = list(csv.DictReader(path.open()))
    assert [int(row["B"]) for row in rows] == list(range(11, 41))
    assert "40 points asked; 30 kept." in said.out
    assert "B=1:40" in said.out.splitlines()[0]


def test_best_is_first(say: Any) -> None:
    text = say("sweep", MODEL, "B=1:64:x2", "--best", "-B").out
    first = text.partition("──\n")[2].splitlines()[0].split()
    assert first[0] == "64"
    assert "the least first" in text


def test_nothing_kept_is_a_no(say: Any) -> None:
    said = say("sweep", MODEL, "B=1:4", "--where", "memory.peak < 1")
    assert said.code == 1
    assert said.err.endswith("none of 4 points meets memory.peak < 1\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["B=1:4", "--where", "memory.peek < 1"], "memory.peek is no figure of this; did you mean"),
        (["B=1:4", "--where", "B B"], "B B: it is no expression; write it like"),
        (["B=1:4", "--best", "B < 2"], "it is a condition where a number belongs"),
        (["B=4:1"], "B=4:1: from 4 to 1; sizes are whole numbers that rise from 1"),
        (["B=1:4", "B=3"], "B=…: B is given twice; give each dimension once"),
        ([], "no dimension to sweep; write B=1:4096"),
        (["Q=1:4"], "Q"),
        (["B=1:4", "--figure", "flop.step"], "did you mean flops.step"),
        (["B=1:4", "--points", "0"], "0 is not in the range"),
        (["B=1:4", "-o", "a.xls"], "no format has the suffix '.xls'"),
        (["B=1:4", "-o", "/no/such/a.csv"], "it cannot be written (No such file or directory)"),
    ],
)
def test_wrong_questions(say: Any, words: list[str], line: str) -> None:
    assert line in say("sweep", MODEL, *words).wrong
