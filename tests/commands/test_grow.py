"""``botec grow``: networks and algorithms, and what is wrong in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from botec.measure import exponents
from botec.measure.exponents import Exponent
from botec.poly import as_poly, symbol


def test_an_algorithm_needs_no_framework(say: Any) -> None:
    page = json.loads(say("grow", "fft", "n=1000000", "--json").out)
    assert page["model"]["name"] == "dft against fft"
    assert page["figures"]["growth.dft"]["counted"]["value"] == 10**12
    assert page["figures"]["flops.fft"]["counted"]["formula"] == "5*log2(n)*n"
    assert "exponent.fft" not in page["figures"]


def test_verify_shows_the_interval(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(name: str) -> Exponent:
        return Exponent(1.1, 1.0, 1.2, (8, 16, 32), (1.0, 2.1, 4.5), "a run", {"d": 64})

    monkeypatch.setattr(exponents, "measured", run)
    figures = json.loads(say("grow", "attention", "--verify", "--json").out)["figures"]
    assert figures["exponent.recurrence"]["measured"]["value"] == 1.1
    assert (figures["exponent.recurrence"]["low"], figures["exponent.recurrence"]["high"]) == (
        1,
        1.2,
    )
    assert figures["exponent.recurrence"]["counted"]["value"] == pytest.approx(1)
    assert 1 < figures["exponent.attention"]["counted"]["value"] < 2


def test_a_networks_formulas_give_their_figures(say: Any) -> None:
    pytest.importorskip("torch")
    page = json.loads(say("grow", "mlp:12-20-3", "B=6", "--json").out)
    point = page["setting"]["dimensions"]
    assert point == {"B": 6}
    for key, figure in page["figures"].items():
        formula = figure["counted"]["formula"]
        assert eval(formula, {"max": max}, dict(point)) == figure["counted"]["value"], key
    assert {"flops.step", "memory.peak", "memory.saved", "memory.weights"} <= set(page["figures"])
    text = say("grow", "mlp:12-20-3", "B=6").out
    assert "O(B)" in text
    assert "Growth in B" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("grow fft B=3", "grow fft: B=3: dimensions are n; use n"),
        ("grow", "grow: MODEL is missing; write botec grow torchvision:resnet50 B=32"),
        (
            "grow mlp:3-3 --verify",
            "--verify: runs are timed for algorithms, not for networks; use botec verify MODEL",
        ),
    ],
)
def test_wrong_questions(say: Any, words: str, line: str) -> None:
    assert say(*words.split()).wrong in (line, line.partition(": ")[2])


def test_the_check_of_formulas_can_fail() -> None:
    formula = str(as_poly(3) * symbol("B") + 1)
    assert eval(formula, {}, {"B": 6}) == 19 != 20
