"""What a run asks the allocator for: its first step beside a first step that was traced as one."""

from __future__ import annotations

from itertools import accumulate as sums
from typing import Any

import pytest
from torch import nn

from botec import Input, memory, read
from botec.analyses.requests import requests

CHOICES = [
    (zero_grad, accumulate)
    for zero_grad in ("after", "before", "between", "keep")
    for accumulate in (1, 2)
]


def network() -> nn.Module:
    return nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 10))


def asked(**choices: Any) -> list[Any]:
    return list(requests(memory(read(network(), Input("B", 64), B=32, device="a100", **choices))))


def first_of(run: list[Any]) -> list[Any]:
    """The requests before the second step's own."""
    second = (place for place, (name, _) in enumerate(run) if name_of_step(name) == 1)
    return run[: next(second, len(run))]


def name_of_step(name: Any) -> Any:
    return name[0] if isinstance(name, tuple) else None


def sizes(run: list[Any]) -> list[int]:
    """What is asked for, and less than nothing for what is given back. Raises ``KeyError`` where
    memory is given back that is not there."""
    known: dict[Any, int] = {}
    found = []
    for name, size in run:
        assert size is None or name not in known
        known |= {name: size} if size is not None else {}
        found.append(-known.pop(name) if size is None else size)
    return found


@pytest.mark.parametrize(("zero_grad", "accumulate"), CHOICES)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_first_step_of_a_run_is_one(optimizer: str, zero_grad: str, accumulate: int) -> None:
    """Up to its end, where a lone step gives back what a run goes on with."""
    choices = {"optimizer": optimizer, "zero_grad": zero_grad, "accumulate": accumulate}
    begun = sizes(first_of(asked(**choices)))
    lone = sizes(asked(**choices, first_step=True))
    while begun[-1] < 0:  # what is left at the end goes in any order
        begun.pop()
    assert begun == lone[: len(begun)]
    assert all(one < 0 for one in lone[len(begun) :])


@pytest.mark.parametrize("zero_grad", ["after", "before", "between", "keep"])
def test_the_second_step_is_the_recorded_one(zero_grad: str) -> None:
    """As many bytes at its fullest: it finds the gradients that the first one left, once each."""
    choices: dict[str, Any] = {"optimizer": "sgd", "zero_grad": zero_grad}
    told = memory(read(network(), Input("B", 64), B=32, device="a100", **choices))
    run = sizes(list(requests(told)))
    second = list(sums(run))[len(first_of(list(requests(told)))) :]
    assert max(second) == told.fullest.bytes


def test_a_first_step_is_asked_for_alone() -> None:
    steps = {name_of_step(name) for name, _ in asked(first_step=True)}
    assert 1 not in steps
    assert 0 in steps
