"""The whole corridor in one call: what stands on the page, and where it comes from."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from torch import nn

import botec
from botec import Input
from botec.estimate import report
from botec.report import STATUSES


@pytest.fixture(scope="module")
def page() -> botec.Report:
    return botec.estimate("mlp:6-5-4", B=4)


def test_a_network_or_a_program_read_before(page: botec.Report) -> None:
    program = botec.read("mlp:6-5-4", B=4)
    assert asdict(botec.estimate(program)) == asdict(report(program)) == asdict(page)


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

    assert plain(asdict(page))
    assert all(figure.counted.status in STATUSES for figure in page.figures.values())
    assert len({figure.title for figure in page.figures.values()}) == len(page.figures)
