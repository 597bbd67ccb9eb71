"""Recurrent layers: steps, Jacobians and exponents beside the framework's own back-propagation."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from torch import nn

from botec.analyses.recurrence import (
    Cell,
    crossing,
    forget_bias_for,
    growth,
    horizon,
    jacobian,
    linear_rule,
    stack,
    step,
)
from botec.errors import BadInput
from botec.measure.recurrent import backward, recurrent_layers

LAYERS = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
    "projected": (nn.LSTM, {"proj_size": 5}),
}


def cells_of(model: nn.Module, dtype: str = "float64") -> list[list[Cell]]:
    (layers,) = recurrent_layers(model, dtype)
    return [
        [Cell(w.kind, w.name, reverse=w.reverse, **w.arrays) for w in layer] for layer in layers
    ]


def layer(kind: str, features: int, units: int, seed: int = 0, **more) -> nn.Module:
    torch.manual_seed(seed)
    made, options = LAYERS[kind]
    return made(features, units, **options, **more)


def real_step(model: nn.Module, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """One step of the real module as a function of its whole state."""
    if isinstance(model, nn.LSTM):
        r = model.proj_size or model.hidden_size
        _, (h, c) = model(x[None, None], (state[None, None, :r], state[None, None, r:]))
        return torch.cat([h.flatten(), c.flatten()])
    return model(x[None, None], state[None, None])[1].flatten()


@pytest.mark.parametrize("kind", LAYERS)
def test_a_step_and_its_jacobian_are_autograds(kind):
    """All in float64; the weights pass through float32 in neither."""
    model = layer(kind, 5, 9)
    ((cell,),) = cells_of(model)
    model = model.double()
    x, state = torch.randn(5).double(), torch.randn(cell.states).double() * 0.5
    expected = torch.autograd.functional.jacobian(lambda s: real_step(model, x, s), state)
    found = jacobian(cell, x.numpy(), state.numpy())
    assert numpy.abs(found - expected.numpy()).max() < 1e-14
    drive = (cell.input @ x.numpy() + cell.input_bias)[:, None]
    nothing = numpy.zeros((cell.states, 1, 0))
    after, _ = step(cell, drive, state.numpy()[:, None], nothing)
    assert numpy.abs(after[:, 0] - real_step(model, x, state).detach().numpy()).max() < 1e-14


# Slopes of real back-propagation over 300 steps and 8 examples; both sides are
# means over finite runs, 0.003 and 0.005 off.
@pytest.mark.parametrize(
    ("kind", "expected", "steps"), [("tanh", -0.572, 12), ("gru", -0.447, 15), ("lstm", -0.454, 15)]
)
def test_default_layers_forget_as_back_propagation_says(kind, expected, steps):
    model = layer(kind, 16, 256, seed=1)
    ((cell,),) = cells_of(model, "float32")
    found = growth(cell)
    slope = backward(model, 200).slope(40, 180)
    assert found.leading == pytest.approx(slope, abs=0.015)
    assert found.leading == pytest.approx(expected, abs=0.015)
    assert int(horizon(found.leading, 1e-3)) == steps
    assert found.error < 0.005


SETTINGS = [
    (kind, units, gain, bias)
    for kind in ("tanh", "relu", "gru", "lstm")
    for units in (32, 96, 192)
    for gain, bias in ((0.5, 0.0), (1.0, 0.0), (1.3, 0.5), (1.0, 1.0))
] + [("lstm", 128, 1.0, 2.0), ("lstm", 128, 1.0, 3.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "units", "gain", "bias"), SETTINGS)
def test_exponents_at_fifty_settings(kind, units, gain, bias):
    """Within 0.015 of the slope of real back-propagation.

    The recurrent weights are scaled by ``gain``, ``bias`` is added to an LSTM's forget gate (and
    to all biases of the others).
    """
    model = layer(kind, 16, units, seed=units)
    with torch.no_grad():
        model.weight_hh_l0.mul_(gain)
        places = slice(units, 2 * units) if kind == "lstm" else slice(None)
        model.bias_hh_l0[places] += bias
    ((cell,),) = cells_of(model, "float32")
    found = growth(cell, steps=600, warm=150)
    # float64 ends at e^-708: where gradients fall that far, the slope is that of the steps before
    last = int(min(480, 600 / abs(found.leading)))
    slope = backward(model, 500, 8).slope(last // 3, last)
    assert found.leading == pytest.approx(slope, abs=0.015)


def test_layers_on_top_of_each_other_and_both_ways():
    """The gradient of the whole takes its slowest way: the largest exponent of all."""
    model = layer("gru", 8, 48, num_layers=2, bidirectional=True)
    cells = cells_of(model, "float32")
    found = stack(cells, k=3)
    assert [len(one) for one in cells] == [2, 2]
    assert [cell.reverse for each in cells for cell in each] == [False, True] * 2
    assert all(one.exponents == tuple(sorted(one.exponents, reverse=True)) for one in found)
    assert found[2].outputs.shape[1] == 48
    two = layer("tanh", 8, 64, num_layers=2)
    ((first,), (second,)) = cells_of(two, "float32")
    grown = stack([[first], [second]], steps=300)
    slope = backward(two, 300, 8).slope(80, 280)
    assert max(one.leading for one in grown) == pytest.approx(slope, abs=0.02)


def test_the_whole_spectrum_adds_up_to_the_volume():
    """Σ λ is the mean of ln|det J|, whatever the directions: found without QR here."""
    model = layer("gru", 6, 10)
    ((cell,),) = cells_of(model)
    inputs = numpy.random.default_rng(0).standard_normal((400, 6, 1))
    found = growth(cell, inputs, k=10, warm=50)
    state, volume = numpy.zeros((10, 1)), []
    for x in inputs:
        volume.append(numpy.linalg.slogdet(jacobian(cell, x[:, 0], state[:, 0]))[1])
        drive = cell.input @ x + cell.input_bias[:, None]
        state, _ = step(cell, drive, state, numpy.zeros((10, 1, 0)))
    assert len(found.exponents) == 10
    # The same inputs; tangents settle for as many steps again, which are left out.
    assert sum(found.exponents) == pytest.approx(numpy.mean(volume[100:]), abs=1e-9)


def test_the_linear_rule_and_the_transient_that_eigenvalues_hide():
    """A triangular matrix: both eigenvalues 0.9, yet it first grows."""
    matrix = [[0.9, 5.0], [0.0, 0.9]]
    found = linear_rule(matrix)
    assert found.eigenvalues == pytest.approx((0.9, 0.9))
    assert found.norm == pytest.approx(numpy.linalg.norm(matrix, 2))
    for t, size in found.powers:
        exact = numpy.linalg.norm(numpy.linalg.matrix_power(numpy.array(matrix), t), 2)
        assert size == pytest.approx(math.log(exact), rel=1e-9)
    assert found.peak > 10
    rotation = numpy.linalg.qr(numpy.random.default_rng(0).standard_normal((7, 7)))[0]
    assert linear_rule(0.5 * rotation).peak == pytest.approx(1)


def test_a_linear_cell_grows_as_its_radius():
    rotation = numpy.linalg.qr(numpy.random.default_rng(0).standard_normal((8, 8)))[0]
    zeros = numpy.zeros(8)
    cell = Cell("linear", "matrix", numpy.eye(8), 0.8 * rotation, zeros, zeros)
    assert growth(cell).leading == pytest.approx(math.log(0.8))


def test_the_linear_rule_is_wrong_for_relu():
    """ρ says -0.54 a step, the product of D W says -0.90: after 50 steps wrong by e^18."""
    ((cell,),) = cells_of(layer("relu", 16, 256, seed=1))
    radius = math.log(linear_rule(cell.hidden, most=1).radius)
    assert 50 * (radius - growth(cell).leading) == pytest.approx(18, abs=1)


def test_horizons():
    assert horizon(-0.5, math.exp(-2)) == pytest.approx(4)
    assert horizon(0.5, 1e-3) == math.inf
    assert horizon(0.0, 1e-3) == math.inf
    assert horizon(0.5, math.e) == pytest.approx(2)
    assert crossing([0.0, -1.0, -3.0, -8.0], 1e-3) == 3
    assert crossing([0.0, -1.0], 1e-3) is None


def test_the_forget_bias_that_gives_a_memory():
    model = layer("lstm", 8, 64)
    ((cell,),) = cells_of(model, "float32")
    more = forget_bias_for(cell, 20, steps=200)
    with torch.no_grad():
        model.bias_hh_l0[64:128] += more
    # A gradient falls to 1/e in 20 steps by real back-propagation too.
    assert backward(model, 300, 8).slope(80, 280) == pytest.approx(-1 / 20, abs=0.01)
    ((plain,),) = cells_of(layer("tanh", 8, 16))
    assert forget_bias_for(plain, 20) is None


def test_bad_matrices_are_refused():
    with pytest.raises(BadInput, match=r"the recurrent matrix is 2×3; give a square one"):
        linear_rule(numpy.ones((2, 3)))
    with pytest.raises(BadInput, match="entries that are not finite; give real numbers"):
        linear_rule([[math.nan]])
    broken = layer("gru", 3, 4)
    broken.weight_hh_l0.data[0, 0] = math.nan
    with pytest.raises(BadInput, match=r"1 of 48 entries of .*weight_hh_l0 are not finite"):
        recurrent_layers(broken)
