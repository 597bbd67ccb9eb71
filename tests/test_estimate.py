"""The whole corridor in one call: what stands on the page, and where it comes from."""

from __future__ import annotations

from dataclasses import asdict
from json import loads
from sys import modules
from typing import Any

import pytest
from torch import nn

import botec
from botec import Input
from botec.estimate import report
from botec.report import STATUSES
from botec.write import to_html, to_json


@pytest.fixture(scope="module")
def page() -> botec.Report:
    return botec.estimate("mlp:6-5-4", B=4)


def test_a_network_or_a_program_read_before(page: botec.Report) -> None:
    program = botec.read("mlp:6-5-4", B=4)
    pages = [botec.estimate(program), report(program), page]
    assert pages[0] == pages[1] == pages[2]
    assert asdict(pages[0].whole()) == asdict(pages[1].whole()) == asdict(page.whole())


def test_an_own_module_and_its_inputs() -> None:
    found = botec.estimate(nn.Linear(4, 3), Input("B", 4), B=5, train=False)
    assert found.model == {"name": "Linear", "inputs": ["input=B,4:float32"]}
    assert found.figures["multiplications.forward"].counted.value == 5 * 12


def test_what_was_asked_is_told(page: botec.Report) -> None:
    assert page.setting == {
        "train": True, "optimizer": "adamw", "precision": "fp32", "device": "cpu",
        "checkpoint": False, "loss": "mean of the first floating output", "dimensions": {"B": 4},
    }  # fmt: skip
    assert page.version == botec.__version__


def test_regimes_and_their_proofs_are_notes(page: botec.Report) -> None:
    assert page.notes[:2] == (
        "Formulas hold for B ≥ 2 (proved at B=4).",
        "Formulas hold for B = 1 (the traced point).",
    )


def test_reasons_are_notes() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            for step in range(x.shape[1]):
                x = self.layer(x) + step
            return x

    notes = botec.estimate(Loop(), Input("B", "S", 4), B=2, S=6).notes
    assert any(note.startswith("no formula in S: the number of ops") for note in notes)
    assert all(note.endswith(".") for note in notes)


def test_a_page_is_plain_data(page: botec.Report) -> None:
    """No formula object, no array, no tensor: numbers, texts and containers of them."""

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(map(plain, [*value, *value.values()]))
        if isinstance(value, (list, tuple)):
            return all(map(plain, value))
        return value is None or type(value) in (str, int, float, bool)

    assert plain(asdict(page.whole()))
    assert all(figure.counted.status in STATUSES for figure in page.figures.values())
    assert len({figure.title for figure in page.figures.values()}) == len(page.figures)


def test_what_only_a_page_shows_is_made_for_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formulas for other sizes and every storage's life: neither in JSON nor on a terminal."""
    estimating = modules["botec.estimate"]
    made: list[str] = []

    def heard(make: Any) -> Any:
        return lambda *given: made.append(make.__name__) or make(*given)

    for name in ("formulas", "lifetimes"):
        monkeypatch.setattr(estimating, name, heard(getattr(estimating, name)))
    short = botec.estimate("mlp:6-5-4", B=4)
    saved = loads(to_json.write(short))
    str(short)
    assert not short.formulas
    assert not made
    assert all(part["part"] != "lifetimes" for s in saved["sections"] for part in s["parts"])
    page = to_html.write(short)
    assert sorted(made) == ["formulas", "lifetimes"]
    assert '"kind":"lifetimes"' in page
    assert '"memory.peak":"' in page
    whole = short.whole()
    assert whole == whole.whole() != short
    assert whole.formulas[0].values["parameters"] == str(6 * 5 + 5 + 5 * 4 + 4)
    measured = short.with_figures({}, ("seen",)).whole()
    assert (measured.formulas, measured.notes) == (whole.formulas, (*short.notes, "seen"))
