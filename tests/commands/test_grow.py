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


def test_the_regime_of_one_token_has_its_formulas(say: Any, tmp_path: Any) -> None:
    """S = 1 is read as well: a copy that becomes a view is no longer counted."""
    pytest.importorskip("torch")
    path = tmp_path / "net.py"
    path.write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.layer = torch.nn.Linear(8, 8)\n"
        "    def forward(self, x):\n"
        "        return self.layer(x.transpose(0, 1).contiguous())\n",
        encoding="utf-8",
    )
    out = say("grow", f"{path}:Net", "--input", "x=B,S,8", "B=3", "S=5", "--infer").out
    other = out.partition("Other regimes")[2]
    assert "For B = 1, S ≥ 2" in other
    assert "For S = 1, B ≥ 2:" in other
    assert "bytes.forward = " in other.partition("For S = 1")[2]


VARIED = ("grow", "mlp:KxL", "--vary", "K=4,6,10", "L=3,4", "B=5", "--optimizer", "none")


def test_width_and_depth_are_formulas(say: Any) -> None:
    pytest.importorskip("torch")
    page = json.loads(say(*VARIED, "--json").out)
    point = page["setting"]["dimensions"]
    assert point == {"B": 5, "K": 4, "L": 3}
    for key, figure in page["figures"].items():
        formula, value = figure["counted"]["formula"], figure["counted"]["value"]
        assert eval(formula, {"max": max}, dict(point)) == value, key
        assert figure["counted"]["status"] == "exact"
    step = page["figures"]["multiplications.step"]["counted"]["formula"]
    assert step == "3*B*K**2*L - B*K**2"
    text = say(*VARIED).out
    for words in ("mlp:KxL", "O(B·K²·L)", "B¹·K²·L¹", "Growth in K", "Growth in L", "Structures"):
        assert words in text


def test_sympy_prints_only_when_asked(say: Any) -> None:
    pytest.importorskip("torch")
    sympy = pytest.importorskip("sympy")
    text = say(*VARIED, "--sympy").out
    line = next(
        row for row in text.splitlines() if row.strip().startswith("multiplications.step =")
    )
    assert line.strip() == "multiplications.step = B*K**2*(3*L - 1)"
    b, k, deep = sympy.symbols("B K L")
    assert sympy.expand(sympy.sympify(line.partition("=")[2], {"B": b, "K": k, "L": deep})) == (
        3 * b * k**2 * deep - b * k**2
    )
    assert "by sympy" not in say(*VARIED).out


def test_fields_that_go_together_say_how(say: Any, tmp_path: Any) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\ndef make(width=4, heads=2):\n"
        "    return nn.Sequential(nn.Linear(width, width), nn.Linear(width, heads))\n",
        encoding="utf-8",
    )
    words = ("--vary", "width=4,8 heads=1,2", "--input", "B,width")
    text = say("grow", f"{path}:make", *words).out
    assert "heads = width/4." in text
    assert "O(B·width²)" in text


def test_what_has_no_formula_is_answered_in_numbers(say: Any, tmp_path: Any) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\ndef make(k=4):\n    return nn.Linear(8, 2**k)\n", encoding="utf-8"
    )
    said = say("grow", f"{path}:make", "--vary", "k=2,3,5", "--input", "B,8")
    assert said.code == 0
    assert "There is no formula in k: " in said.out
    assert "Structures" in said.out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["mlp:KxL", "--vary", "K=4,6"], "mlp:KxL with K=4: '4xL' is no width; write"),
        (["mlp:3x3", "--vary", "K=4,6"], "mlp:3x3 with K=4: it has no letter K; write mlp:KxL"),
        (["mlp:KxL", "--vary", "K=4"], "--vary K=4: K needs 2 sizes or more, all different"),
        (["mlp:KxL", "--vary", "K=4,x"], "--vary K=4,x: K is 'x'; give whole numbers from 1"),
        (["mlp:KxL", "K=4,6", "--vary", "K=5,7"], "K is varied twice"),
        (["mlp:3x3", "S=9"], "no dimension S; the inputs have B"),
    ],
)
def test_wrong_fields(say: Any, words: list[str], line: str) -> None:
    pytest.importorskip("torch")
    assert line in say("grow", *words).wrong


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
