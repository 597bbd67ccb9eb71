"""Figures: every formula is its value, every status and reason is deserved."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

import botec
from botec import Input
from botec.analyses.figures import Answers, figures
from botec.poly import Poly
from botec.report import STATUSES, Figure


@torch.library.custom_op("botec_tests::strange", mutates_args=())
def strange(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


@strange.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Steps(nn.Module):
    """Walks through its second axis in Python: no formula in it."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = x[:, 0]
        for step in range(x.shape[1]):
            hidden = torch.tanh(self.cell(hidden)) + x[:, step]
        return hidden


class WithStrange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return strange(strange(self.first(x)))


class Frozen(nn.Module):
    """A first layer without gradient, then a trained one, then a tied pair."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5).requires_grad_(False)
        self.second = nn.Linear(5, 5)
        self.third = nn.Linear(5, 5)
        self.third.weight = self.second.weight
        self.register_buffer("table", torch.zeros(7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(x)))


def image_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(1), nn.Softmax(1)
    )


X = Input("B", 4)
CASES: dict[str, tuple[Any, tuple[Input, ...], dict[str, Any]]] = {
    "mlp": ("mlp:6-5-4", (), {"B": 4}),
    "one": ("mlp:6-5-4", (), {"B": 1}),
    "infer": ("mlp:6-5-4", (), {"B": 4, "train": False}),
    "no optimizer": ("mlp:6-5-4", (), {"B": 4, "optimizer": None}),
    "frozen": (Frozen, (X,), {"B": 3}),
    "no dimensions": (Frozen, (Input(3, 4),), {}),
    "image": (image_net, (Input("B", 3, "H", 9),), {"B": 2, "H": 17}),
    "loop": (Steps, (Input("B", "S", 4),), {"B": 3, "S": 6}),
    "loop over one": (Steps, (Input("B", "S", 4),), {"B": 1, "S": 6}),
}


@pytest.fixture(scope="module", params=CASES)
def answers(request: Any) -> Answers:
    return Answers(read(request.param))


def read(name: str, **other: int) -> botec.Program:
    model, inputs, asked = CASES[name]
    model = model if isinstance(model, str) else model()
    return botec.read(model, *inputs, **{**asked, **other})


def evaluated(text: str, point: Any) -> Any:
    return eval(text, {"__builtins__": {}, "max": max, "log2": math.log2}, dict(point))


def test_a_formula_is_its_value_or_says_why_not(answers: Answers) -> None:
    for key, figure in figures(answers).items():
        counted = figure.counted
        assert counted is not None
        assert counted.status in STATUSES
        if counted.formula is None:
            assert counted.why, f"{key} has no formula and no reason"
        else:
            value = evaluated(counted.formula, answers.program.asked)
            assert (value, type(value)) == (counted.value, type(counted.value)), key


@pytest.mark.parametrize("name", ["mlp", "infer", "no optimizer", "frozen", "image"])
def test_formulas_in_all_dimensions_hold_elsewhere(name: str) -> None:
    """A formula printed at one point gives what a fresh reading at another says."""
    answers = Answers(read(name))
    there = {key: size + 2 for key, size in answers.program.asked.items()}
    again = figures(Answers(read(name, **there)))
    for key, figure in figures(answers).items():
        if figure.counted.formula is not None:
            assert evaluated(figure.counted.formula, there) == again[key].counted.value, key


def test_parts_add_up(answers: Answers) -> None:
    found = {key: figure.counted.value for key, figure in figures(answers).items()}
    roles = [value for key, value in found.items() if key.startswith("memory.peak.")]
    assert sum(roles) == found["memory.peak"]
    for measure in ("multiplications", "flops", "bytes"):
        spans = {key for key in found if key.startswith(f"{measure}.")} - {f"{measure}.step"}
        if answers.program.setting.train:
            assert sum(found[key] for key in spans) == found[f"{measure}.step"]
        else:
            assert spans == {f"{measure}.forward"}
    assert found["parameters.trainable"] <= found["parameters"]


def test_keys_by_setting() -> None:
    trained = set(figures(Answers(read("mlp"))))
    plain = set(figures(Answers(read("no optimizer"))))
    infer = set(figures(Answers(read("infer"))))
    gone = {"flops.optimizer", "bytes.optimizer", "memory.peak.optimizer"}
    assert trained - plain == gone
    assert not any(key.endswith((".backward", ".step", ".saved")) for key in infer)
    assert "multiplications.optimizer" not in trained


def counted(name: str) -> dict[str, Figure]:
    return figures(Answers(read(name)))


def test_weights_tied_frozen_and_buffers() -> None:
    """first 4·5+5, second 5·5+5, third's bias 5: the tied matrix counts once."""
    found = counted("frozen")
    values = {key: found[key].counted.value for key in found if key.startswith(("param", "buf"))}
    assert values == {
        "parameters": 25 + 30 + 5,
        "parameters.trainable": 30 + 5,
        "parameters.active": 60,
        "buffers": 7,
    }
    assert all(found[key].counted.status == "exact" for key in values)
    assert found["memory.weights"].counted.value == 4 * (60 + 7)


def test_statuses() -> None:
    exact = counted("mlp")
    assert exact["multiplications.step"].counted.status == "exact"
    assert exact["memory.peak"].counted.status == "exact"
    partial = figures(Answers(botec.read(WithStrange(), X, B=3, train=False)))
    multiplications = partial["multiplications.forward"].counted
    assert multiplications.status == "partial"
    assert dict(multiplications.missing) == {"botec_tests.strange": 2}
    assert multiplications.value == 3 * 16
    assert partial["memory.peak"].counted.status == "exact"
    loop = counted("loop over one")["multiplications.step"].counted
    assert loop.status == "complete", "traced once, never held against another point"


def test_a_loop_has_its_reason() -> None:
    found = counted("loop")
    counted_work = found["multiplications.forward"].counted
    assert counted_work.value == 3 * 6 * 16
    assert counted_work.formula == "96*B"
    assert "no formula in S" in (counted_work.why or "")
    assert "the number of ops changes with it" in (counted_work.why or "")


def test_rules_of_work_and_why_they_differ() -> None:
    """Frozen: the first layer's two backward products are missing, the second's one."""
    found = counted("frozen")
    step, back = found["multiplications.step"], found["multiplications.backward"]
    forward = 3 * (20 + 25 + 25)
    assert (step.rule.value, back.rule.value) == (3 * forward, 2 * forward)
    assert (step.rule.name, back.rule.name) == ("three forwards", "two forwards")
    missing = -(2 * 60 + 75)
    assert step.counted.value == 3 * forward + missing
    assert step.rule.why == (
        "first, second do less than twice their forward: "
        f"inputs or frozen weights take no gradient ({missing})"
    )


def test_no_reason_where_the_rule_is_right() -> None:
    class Bent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start = nn.Parameter(torch.zeros(4))
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x + self.start)

    found = figures(Answers(botec.read(Bent(), X, B=3)))
    step = found["multiplications.step"]
    assert step.counted.value == step.rule.value
    assert step.rule.why is None


def test_rules_of_memory() -> None:
    weights = 4 * (6 * 5 + 5 + 5 * 4 + 4)
    train, infer, plain = counted("mlp"), counted("infer"), counted("no optimizer")
    assert train["memory.peak"].rule.value == 4 * weights
    assert infer["memory.peak"].rule.value == pytest.approx(1.2 * weights)
    assert plain["memory.peak"].rule is None
    beside = sum(
        train[key].counted.value
        for key in ("memory.peak.activation", "memory.peak.temporary")
        if key in train
    )
    assert train["memory.peak"].rule.why == (
        f"activations and temporaries at the peak: {beside:,} bytes" if beside else None
    )


def test_tokens_meet_their_rule() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(9, 4), nn.Linear(4, 9)

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.table(input_ids))

    ids = Input("B", "S", dtype="int64", name="input_ids", below=9)
    found = figures(Answers(botec.read(Words(), ids, B=3, S=5)))
    rule = found["flops.forward"].rule
    assert rule.value == 2 * (9 * 4 + 4 * 9 + 9) * 3 * 5
    assert "flops.forward" in counted("mlp")
    assert counted("mlp")["flops.forward"].rule is None


def test_a_polynomial_is_never_a_value(answers: Answers) -> None:
    for figure in figures(answers).values():
        assert not isinstance(figure.counted.value, Poly)
        assert figure.counted.value is not None


def test_another_point_of_the_same_program() -> None:
    """Asked again elsewhere, the figures are those of a fresh reading."""
    program = read("image")
    moved = replace(program, asked={"B": 5, "H": 31})
    fresh = botec.read(image_net(), Input("B", 3, "H", 9), B=5, H=31)
    ours, theirs = figures(Answers(moved)), figures(Answers(fresh))
    assert {k: f.counted.value for k, f in ours.items()} == {
        k: f.counted.value for k, f in theirs.items()
    }


def test_what_is_saved_of_one_example_has_the_formula_of_all() -> None:
    """A ReLU's result of five numbers and the mean's own: nothing of it changes at a batch of 1."""
    one, four = (figures(Answers(read("mlp", B=size)))["memory.saved"].counted for size in (1, 4))
    assert one is not None
    assert four is not None
    assert one.formula == four.formula
    assert evaluated(str(one.formula), {"B": 1}) == one.value
