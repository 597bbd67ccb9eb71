"""What a gradient costs: counted ways beside real ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import botec
from botec.analyses.differentiation import differentiation, figures, section, span
from botec.analyses.figures import Answers
from botec.errors import BadInput
from botec.measure.derivatives import three_ways
from botec.measure.gradients import Landscape
from botec.measure.realise import Step, realise
from botec.read.doors import open_source


def counted(name: str, **point: int):
    return differentiation(Answers(botec.read(name, optimizer=None, **point)))


def test_passes_and_multiplications():
    found = counted("mlp:8-16-4", B=3)
    forward = 3 * (8 * 16 + 16 * 4)
    weights = 8 * 16 + 16 + 16 * 4 + 4
    reverse, tangents, differences = found.ways
    assert (found.forward, found.weights) == (forward, weights)
    assert (reverse.passes, reverse.each) == (1, 3 * forward - 3 * 8 * 16)
    assert (tangents.passes, tangents.each) == (weights, 3 * forward - 3 * 8 * 16)
    assert (differences.passes, differences.multiplications) == (
        weights + 1,
        (weights + 1) * forward,
    )
    assert figures(found)["gradient.passes.finite_difference"].rule.value == weights + 1


@pytest.mark.parametrize(("name", "first"), [("mlp:8-16-4", 8 * 16), ("mlp:6x4", 6 * 6)])
def test_a_forward_mode_pass_is_what_torch_counts(name: str, first: int):
    """Judge: torch's own counter under its own forward mode, tangents on every weight.

    The network's input has no tangent; torch multiplies the zeros it puts there by the first
    weight all the same, which nobody needs.
    """
    step = realise(open_source(name), {"B": 3}, optimizer=None)
    model = step.model
    weights = {name: one.detach() for name, one in model.named_parameters()}
    tangents = {name: torch.ones_like(one) for name, one in weights.items()}
    with FlopCounterMode(display=False) as counter:
        torch.func.jvp(
            lambda w: torch.func.functional_call(model, w, step.arguments, dict(step.keywords)),
            (weights,),
            (tangents,),
        )
    assert counted(name, B=3).ways[1].each + 3 * first == counter.get_total_flops() / 2


def test_three_real_ways_agree_and_take_as_many_passes_as_counted():
    step = realise(open_source("mlp:5-7-3"), {"B": 4}, optimizer=None)
    found, real = counted("mlp:5-7-3", B=4), three_ways(step)
    assert real.passes == {way.name: way.passes for way in found.ways}
    assert real.apart["forward_mode"] < 1e-12  # exact to rounding
    assert real.apart["finite_difference"] < 1e-5  # half the digits of float64


def test_a_wrong_gradient_lies_apart():
    """Seen red: with a backward that forgets a factor, the ways disagree."""

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return 2 * x

        @staticmethod
        def setup_context(ctx, inputs, output): ...

        @staticmethod
        def backward(ctx, gradient):
            return gradient

        @staticmethod
        def jvp(ctx, tangent):
            return 2 * tangent

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            return Wrong.apply(self.layer(x))

    assert three_ways(Step(Net(), (torch.randn(4, 3),), {})).apart["finite_difference"] > 0.4


def test_too_many_weights_are_refused():
    step = realise(open_source("mlp:300-300"), {"B": 1}, optimizer=None)
    with pytest.raises(BadInput, match="90,300 weights, and each needs a pass of its own"):
        three_ways(step)


def test_passes_are_counted():
    land = Landscape(realise(open_source("mlp:3-2"), {"B": 1}, optimizer=None))
    land.at({}, 0.0)
    land.gradients()
    assert land.passes == 2


def test_a_week_against_years():
    found = counted("mlp:1000x1", B=1)
    said = section(found, None, "").parts[-1].text
    times = found.ways[2].multiplications / found.ways[0].multiplications
    assert "A training run that takes a week by reverse mode takes 9,600 years" in said
    assert times == pytest.approx(1_001_001 / 2)  # its input needs no gradient: two products


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (365.25 * 86400 * 200_000, "200,000 years"),
        (7 * 86400 * 3, "3.0 weeks"),
        (3600, "1.0 hours"),
    ],
)
def test_spans(seconds: float, words: str):
    assert span(seconds) == words
