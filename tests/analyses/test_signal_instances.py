"""Two instances of one class of activation with other numbers are two functions."""

import math

import mpmath
import pytest
import torch
from torch import nn

from botec.analyses.activations import moments
from botec.analyses.signal import gains as module
from botec.analyses.signal.fold import predict
from botec.analyses.signal.gains import gain_tables, gains
from botec.inputs import parse_input
from botec.read.executor import Executor, real
from botec.read.source import Source
from botec.read.tape import tape_source


class Swish(nn.Module):
    def __init__(self, beta, learnt=False):
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(beta))) if learnt else beta

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)


class Scaled(nn.Module):
    """A straight line, in two ops."""

    def forward(self, x):
        return 2 * x + 1


def gains_of(*acts):
    def build():
        torch.manual_seed(0)
        return nn.Sequential(*(part for act in acts for part in (nn.Linear(64, 64), act)))

    source = Source("net", build, (parse_input("16,64"),))
    graph = tape_source(source, {}, train=True)
    run = predict(graph, Executor(), real(source, train=True).of(graph))
    return run, {one.name: one.moments for one in gains(run)}


@pytest.mark.parametrize("learnt", [False, True])
def test_a_modules_numbers_tell_its_instances_apart(learnt):
    """The integral by mpmath."""
    run, found = gains_of(Swish(1.5, learnt), Swish(3.0, learnt), Swish(1.5, learnt))
    assert list(found) == ["Swish(1.5)", "Swish(3)"]
    for beta in (1.5, 3.0):
        with mpmath.workdps(25):
            square = mpmath.quad(
                lambda z, b=beta: (z / (1 + mpmath.exp(-b * z))) ** 2 * mpmath.npdf(z),
                range(-13, 14),
            )
        assert found[f"Swish({beta:g})"].square == pytest.approx(float(square), rel=1e-10)
    assert [row[0] for row in gain_tables(run)[0].rows] == ["Swish(1.5)", "Swish(3)"]


def test_ops_numbers_tell_them_apart():
    """One that is alone, or in the book by its numbers, goes by its plain name."""
    _, found = gains_of(nn.LeakyReLU(0.2), nn.LeakyReLU(0.01), nn.PReLU(), nn.PReLU(init=0.5))
    assert list(found) == ["leaky_relu", "leaky_relu(0.2)", "prelu", "prelu(0.5)"]
    for name, slope in (("leaky_relu", 0.01), ("leaky_relu(0.2)", 0.2), ("prelu(0.5)", 0.5)):
        assert found[name].gain == pytest.approx(math.sqrt(2 / (1 + slope**2)), rel=1e-9)
    _, found = gains_of(Swish(1.5), nn.SiLU(), Swish(1.0))
    assert list(found) == ["Swish(1.5)", "silu"]
    assert found["silu"].square == moments("silu").square


def test_one_alone_has_no_numbers_in_its_name():
    assert list(gains_of(Swish(1.5))[1]) == ["Swish"]


class Bounded(nn.Module):
    """Above or below, by one class."""

    def __init__(self, **bounds):
        super().__init__()
        self.bounds = bounds

    def forward(self, x):
        return x.clamp(**self.bounds)


def test_the_same_number_for_another_argument_is_another_function():
    _, found = gains_of(Bounded(min=0.5), Bounded(max=0.5))
    assert list(found) == ["clamp(0.5), form 1", "clamp(0.5), form 2"]
    first, second = (one.mean for one in found.values())
    assert first == pytest.approx(0.5 - second)  # max(z, ½) + min(z, ½) = z + ½


def test_a_straight_line_is_looked_at_once(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "gain_of", lambda run, name, *rest: seen.append(name) or None)
    module.gains.cache_clear()
    gains_of(Scaled(), Scaled(), Scaled())
    assert seen == ["Scaled"]
