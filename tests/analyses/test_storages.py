"""Storages on a timeline: together they are what is alive, one by one they say why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import botec
from botec.analyses import storages
from botec.analyses.memory import memory
from botec.analyses.storages import lifetimes
from botec.program import BIRTH, DEATH, Program
from botec.report import Lifetimes

LAYERS = "mlp:64-32-10"


@pytest.fixture(scope="module")
def program() -> Program:
    return botec.read(LAYERS, B=8)


@pytest.fixture(scope="module")
def lived(program: Program) -> Lifetimes:
    return lifetimes(memory(program))


def alive(found: Lifetimes, moment: int, size: Callable) -> int:
    return sum(size(one) for one in found.storages if one.born <= moment < one.died)


def test_who_is_alive_at_the_top_adds_up_to_the_peak(program: Program, lived: Lifetimes) -> None:
    assert lived.top is not None
    assert alive(lived, lived.top[0], lambda one: one.bytes) == memory(program).peak()
    assert max(size for _, size, _ in lived.total) == memory(program).peak()


@pytest.mark.parametrize("batch", [8, 9, 1000])
def test_formulas_are_the_bytes_at_other_sizes(
    program: Program, lived: Lifetimes, batch: int
) -> None:
    """Judged by births and deaths added up afresh at that size."""
    there = memory(program, B=batch)
    begun = len(there.stream.kinds) - lived.end
    live, told = 0, {moment: formula for moment, _, formula in lived.total}
    for event, (kind, index, _) in enumerate(there.stream.events()):
        if kind in (BIRTH, DEATH):
            live += there.sizes[index] if kind == BIRTH else -there.sizes[index]
        if event - begun in told:
            assert eval(told[event - begun], {"B": batch}) == live
            assert alive(lived, event - begun, lambda one: eval(one.formula, {"B": batch})) == live


def test_a_saved_activation_says_who_made_it_and_who_frees_it(lived: Lifetimes) -> None:
    """A ReLU keeps its own result until it is derived, the loss until the step ends."""
    kept = [one for one in lived.storages if one.role == "activation"]
    assert {one.shape for one in kept} >= {"float32[B,32]"}
    assert all(one.op.startswith("aten.") for one in kept)
    assert {one.why for one in kept} == {
        "saved for the backward pass; freed at aten.threshold_backward of 1",
        "saved for the backward pass, until the end",
    }


def test_weights_stay_under_their_own_names(lived: Lifetimes) -> None:
    shapes = {one.why: one.shape for one in lived.storages if one.role == "parameter"}
    names = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    wanted = sorted(tuple(one.shape) for one in names.parameters())
    assert sorted(eval(text.removeprefix("float32")) for text in shapes.values()) == [
        list(one) for one in wanted
    ]
    assert all(why.endswith(" stays") for why in shapes)


def test_the_largest_are_kept_and_the_total_is_still_all(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storages, "MOST", 5)
    few = lifetimes(memory(program))
    assert len(few.storages) == 5
    assert max(size for _, size, _ in few.total) == memory(program).peak()
