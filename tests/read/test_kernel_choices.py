"""What CUDA's kernels take is chosen at the point asked about, wherever the network was read.

The judge: the same network read anew at the point. A reading makes its choices with other points
traced and other formulas fitted; figures at equal points have to be equal whatever was asked first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import botec
from botec.analyses.fit import Fit, Room
from botec.analyses.memory import memory, peak_of
from botec.analyses.requests import requests
from botec.archive import packed, unpacked
from botec.program import Program

CAPABILITIES = (80, 90)
TALK = "transformers:gpt2?n_layer=1,n_embd=64,n_head=2,vocab_size=999,n_positions=4096"
READ: dict[str, Callable[..., Program]] = {
    "linear": lambda **o: botec.read("mlp:900-900-9", optimizer="adam", **o),
    "convolution": lambda **o: botec.read("torchvision:squeezenet1_1", **o),
    "normed convolution": lambda **o: botec.read("torchvision:shufflenet_v2_x0_5", **o),
    "attention": lambda **o: botec.read(TALK, **o),
    "attention in bf16": lambda **o: botec.read(TALK, precision="bf16", **o),
}
LONG = ("attention", "attention in bf16")
SLOW = ("convolution", "normed convolution", "attention in bf16")
CASES = [
    pytest.param(name, capability, marks=[pytest.mark.slow] * (name in SLOW))
    for name in READ
    for capability in CAPABILITIES
]


@cache
def program(name: str, capability: int, point: tuple[tuple[str, int], ...]) -> Program:
    return READ[name](device=f"cuda:{capability}", **dict(point))


def anew(name: str, capability: int, **point: int) -> Program:
    return program(name, capability, tuple(sorted(point.items())))


def asked_for(one: Program, point: dict[str, int]) -> list[Any]:
    """Every request of two steps, in order."""
    return [size for _, size in requests(memory(one, **point))]


def sizes(name: str) -> st.SearchStrategy[dict[str, int]]:
    """Points small and large, in decades, so that every choice is met on both of its sides."""
    batches = st.integers(1, 17).flatmap(lambda power: st.integers(2, 2 ** min(power, 12) + 2))
    if name not in LONG:
        return st.fixed_dictionaries({"B": batches})
    return st.fixed_dictionaries({"B": st.integers(2, 300), "S": st.integers(2, 1500)})


@pytest.mark.parametrize(("name", "capability"), CASES)
@given(data=st.data())
@settings(max_examples=3)
def test_figures_do_not_depend_on_the_point_that_was_asked(
    name: str, capability: int, data: st.DataObject
) -> None:
    here, there = data.draw(sizes(name)), data.draw(sizes(name))
    one, other = anew(name, capability, **here), anew(name, capability, **there)
    assert asked_for(one, there) == asked_for(other, there)
    assert memory(one, **there).fullest.bytes == memory(other).fullest.bytes


@pytest.mark.parametrize(("name", "capability"), CASES)
@given(data=st.data())
@settings(max_examples=10)
def test_many_points_at_once_are_the_single_ones(
    name: str, capability: int, data: st.DataObject
) -> None:
    point = {"B": 3, "S": 7} if name in LONG else {"B": 3}
    one = anew(name, capability, **point)
    rows = data.draw(st.lists(sizes(name), min_size=1, max_size=8))
    arrays = {axis: np.array([row[axis] for row in rows]) for axis in point}
    found = peak_of(one, arrays)
    assert found.tolist() == [memory(one, **row).fullest.bytes for row in rows]


def test_the_same_batch_asked_twice() -> None:
    """A sum over the batch is split over blocks from some batch on, and takes a buffer then."""
    small, large = (botec.read("mlp:900-900-9", device="rtx4090", B=b) for b in (64, 32768))
    for batch in (64, 32768):
        assert memory(small, B=batch).fullest.bytes == memory(large, B=batch).fullest.bytes
    assert memory(large, B=64).fullest.bytes == 33_649_944


def test_a_file_keeps_the_choices() -> None:
    one = anew("attention", 80, B=3, S=7)
    again = unpacked(packed(one))
    for point in ({"B": 3, "S": 7}, {"B": 64, "S": 1024}):
        assert asked_for(again, point) == asked_for(one, point)


def test_the_largest_is_right_when_read_anew() -> None:
    room = Room(600 * 2**20, 2**28)
    asked = Fit(anew("linear", 80, B=4), room, {"B": 4})
    largest = asked.largest("B")
    assert largest is not None
    assert largest > 4
    for batch, fits in ((largest, True), (largest + 1, False)):
        there = READ["linear"](device="cuda:80", B=batch)
        assert Fit(there, room, {"B": batch}).fits is fits
