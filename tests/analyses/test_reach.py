"""Reach, judged by NaN: a NaN in one row of a real picture reaches exactly what is said."""

from __future__ import annotations

import warnings

import numpy
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from botec.analyses.reach import reach
from botec.analyses.reach.comb import Comb
from botec.analyses.reach.walk import EVERYTHING, Walk
from botec.errors import BotecError, UnknownName
from botec.inputs import Input
from botec.read.executor import Executor
from botec.read.tape import tape
from tests.analyses.reach_judge import compared, poisoned, predicted
from tests.analyses.reach_models import LINES, PICTURES, ROOMS, Do, Random, conv, gated


def judged(model, *shape, axis):
    """What was missed and what was said too much, of the model's output along one axis."""
    model = model.eval()
    example = torch.randn(1, *shape)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model(example)  # lazy layers take their sizes
        for weight in model.parameters():
            weight.normal_(0.0, 0.1)  # none of them may be zero
    graph = tape(model, Input(1, *shape))
    walk = Walk(graph, graph.inputs[0], axis, Executor())
    happened = poisoned(model, example, axis)[""]
    said = predicted(walk, graph.outputs[0])
    assert said.shape == happened.shape
    return compared(said, happened), walk


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_row_by_row_and_column_by_column(name):
    model = PICTURES[name]
    channels = 4 if name in ("transposed, grouped, dilated", "attention", "pixels unshuffled") else 3
    for axis in (2, 3):
        found, walk = judged(model, channels, 20, 16, axis=axis)
        assert found == (0, 0)
        assert not walk.unknown
        assert not walk.bounds


@pytest.mark.parametrize("name", LINES)
def test_a_line_place_by_place(name):
    assert judged(LINES[name], 3, 33, axis=2)[0] == (0, 0)


@pytest.mark.parametrize("name", ROOMS)
@pytest.mark.parametrize("axis", [2, 3, 4])
def test_three_axes(name, axis):
    assert judged(ROOMS[name], 2, 7, 6, 5, axis=axis)[0] == (0, 0)


@given(st.data())
@settings(max_examples=60)
def test_networks_made_at_random(data):
    model = Random(lambda low, high: data.draw(st.integers(low, high)))
    try:
        with torch.no_grad():
            made = model(torch.zeros(1, 3, 21, 17))
    except RuntimeError:
        assume(False)  # a window larger than what is left
    assume(0 < made.numel() < 50_000)
    found, walk = judged(model, 3, 21, 17, axis=2)
    assert found == (0, 0)
    assert not walk.bounds
