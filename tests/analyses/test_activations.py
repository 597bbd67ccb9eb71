"""Activations under a Gaussian input: beside mpmath, torch, Monte Carlo and published tables."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import mpmath
import numpy
import pytest
import torch

from botec.analyses.activations import ACTIVATIONS, fixed_point, moments, moments_of, quadrature
from botec.errors import UnknownName

PUBLISHED = Path(__file__).parent.parent / "data" / "activation_gains.csv"

# The same functions in another language's words; kinks where mpmath must split its integral.
MPMATH = {
    "identity": (lambda x: x, []),
    "relu": (lambda x: max(x, 0), [0]),
    "leaky_relu": (lambda x: x if x > 0 else mpmath.mpf("0.01") * x, [0]),
    "prelu": (lambda x: x if x > 0 else x / 4, [0]),
    "rrelu": (lambda x: x if x > 0 else x * mpmath.mpf(11) / 48, [0]),
    "relu6": (lambda x: min(max(x, 0), 6), [0, 6]),
    "hardtanh": (lambda x: min(max(x, -1), 1), [-1, 1]),
    "threshold": (lambda x: x if x > 0 else 0, [0]),
    "elu": (lambda x: x if x > 0 else mpmath.expm1(x), [0]),
    "celu": (lambda x: x if x > 0 else mpmath.expm1(x), [0]),
    "gelu": (lambda x: x * mpmath.ncdf(x), []),
    "gelu_tanh": (
        lambda x: (
            x
            / 2
            * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)))
        ),
        [],
    ),
    "silu": (lambda x: x / (1 + mpmath.exp(-x)), []),
    "mish": (lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))), []),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), []),
    "log_sigmoid": (lambda x: -mpmath.log1p(mpmath.exp(-x)), []),
    "hardsigmoid": (lambda x: min(max(x / 6 + mpmath.mpf(1) / 2, 0), 1), [-3, 3]),
    "hardswish": (lambda x: x * min(max(x / 6 + mpmath.mpf(1) / 2, 0), 1), [-3, 3]),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), []),
    "softsign": (lambda x: x / (1 + abs(x)), [0]),
    "tanh": (mpmath.tanh, []),
    "tanhshrink": (lambda x: x - mpmath.tanh(x), []),
    "hardshrink": (lambda x: x if abs(x) > 0.5 else 0, [-0.5, 0.5]),
    "softshrink": (lambda x: mpmath.sign(x) * max(abs(x) - 0.5, 0), [-0.5, 0.5]),
    "sin": (mpmath.sin, []),
}


def integral(f, kinks) -> mpmath.mpf:
    """The mean of ``f`` over a standard normal variable, to 25 digits."""
    with mpmath.workdps(25):
        ends = sorted({-13, *kinks, *range(-12, 13, 2), 13})
        return mpmath.quad(lambda z: f(z) * mpmath.npdf(z), ends)


def torch_module(name: str) -> torch.nn.Module:
    one = ACTIVATIONS[name]
    if name == "gelu_tanh":
        return torch.nn.GELU(approximate="tanh")
    return getattr(torch.nn, one.module)(**one.options).double().eval()


def test_every_activation_has_a_second_opinion():
    """SELU's constants come from its fixed point, which is tested below instead."""
    assert set(MPMATH) == set(ACTIVATIONS) - {"selu"}


def test_every_pointwise_activation_of_torch_is_known():
    every = {
        name
        for name in torch.nn.modules.activation.__all__
        if not name.startswith("Multihead")  # attention
    }
    of_many = {"GLU", "Softmax", "Softmin", "Softmax2d", "LogSoftmax"}  # mix the units of a row
    assert every - of_many <= {one.module for one in ACTIVATIONS.values()}


@pytest.mark.parametrize("name", MPMATH)
def test_moments_are_mpmaths_to_ten_digits(name):
    f, kinks = MPMATH[name]
    found = moments(name)
    assert found.mean == pytest.approx(float(integral(f, kinks)), rel=1e-10, abs=1e-14)
    assert found.square == pytest.approx(float(integral(lambda z: f(z) ** 2, kinks)), rel=1e-10)
    assert found.fourth == pytest.approx(float(integral(lambda z: f(z) ** 4, kinks)), rel=1e-10)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if ACTIVATIONS[name].module])
def test_slopes_are_autograds(name):
    """The framework's own derivative at the same points; its hardsigmoid's 1/6 is a float32."""
    one = ACTIVATIONS[name]
    z, weight = quadrature(one.kinks(**one.options))
    x = torch.tensor(z, requires_grad=True)
    value = torch_module(name)(x)
    value.sum().backward()
    slope = x.grad.numpy()
    found = moments(name)
    assert found.square == pytest.approx(weight @ value.detach().numpy() ** 2, rel=1e-12)
    assert found.slope_square == pytest.approx(weight @ slope**2, rel=1e-7)
    assert found.slope == pytest.approx(weight @ slope, rel=1e-7)


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh", "hardswish", "softshrink", "mish"])
@pytest.mark.parametrize("q", [0.1, 1.0, 30.0])
def test_moments_at_any_scale_are_monte_carlos(name, q):
    """A million draws: five of their own standard errors."""
    x = math.sqrt(q) * torch.randn(10**6, generator=torch.Generator().manual_seed(1)).double()
    square = torch_module(name)(x) ** 2
    error = 5 * float(square.std()) / 1000
    assert moments(name, q).square == pytest.approx(float(square.mean()), abs=error)


def published(kind: str) -> dict[str, float]:
    with PUBLISHED.open(encoding="utf-8") as rows:
        return {
            row["nonlinearity"]: float(row["value"])
            for row in csv.DictReader(rows)
            if row["kind"] == kind
        }


# calculate_gain is exact where the function is homogeneous; elsewhere it is a convention: 5/3 for
# tanh and 3/4 for SELU are round numbers, and sigmoid has none.
def test_gains_of_torch_are_exact_where_the_function_is_homogeneous():
    gains = published("gain")
    assert moments("relu").gain == pytest.approx(gains["relu"], rel=1e-12)
    for slope in (0.01, 0.1, 0.2):
        found = moments("leaky_relu", negative_slope=slope)
        assert found.gain == pytest.approx(gains[f"leaky_relu({slope})"], rel=1e-12)
    assert moments("tanh").gain == pytest.approx(1.5925374197, abs=1e-10)
    assert moments("tanh").gain < gains["tanh"] * 0.96
    assert moments("selu").gain == pytest.approx(1.0, abs=1e-14)
    assert moments("sigmoid").gain == pytest.approx(1.8462285453, abs=1e-10)


def test_gammas_of_nfnets_are_monte_carlo():
    """All within 0.1 % of the integral, and none of those with a real curve equal to it."""
    gammas = published("gamma")
    del gammas["log_softmax"]  # not pointwise
    errors = {
        name: gamma / moments(name).variance_gain - 1
        for name, gamma in gammas.items()
        if name != "identity"
    }
    assert max(map(abs, errors.values())) < 1e-3
    assert min(map(abs, errors.values())) > 1e-5
    assert errors["tanh"] == pytest.approx(8.6e-4, abs=1e-5)
    assert errors["celu"] == pytest.approx(7e-5, abs=1e-5)


def test_selu_keeps_mean_zero_and_variance_one():
    """Klambauer et al. 2017: its two constants are the solution of just this."""
    found = moments("selu")
    assert found.mean == pytest.approx(0, abs=1e-14)
    assert found.square == pytest.approx(1, abs=1e-14)
    assert fixed_point("selu", 1.0) == pytest.approx(1, abs=1e-9)


def test_fixed_points():
    """ReLU keeps any q at σ_w² = 2 and loses it below; tanh settles where a simulation does."""
    assert fixed_point("relu", 2.0, start=0.7) == pytest.approx(0.7)
    assert fixed_point("relu", 2.1) is None
    assert fixed_point("relu", 1.9) == 0.0
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 2000, generator=generator)
    for _ in range(30):
        x = torch.tanh(x) @ torch.randn(2000, 2000, generator=generator) * (1.5 / 2000**0.5)
    # One network of 2,000 units and 64 inputs that share it: 2 %.
    assert float((x**2).mean()) == pytest.approx(fixed_point("tanh", 2.25), rel=0.02)


def test_a_constant_input_is_one_point():
    found = moments("gelu", 0.0)
    assert found.square == 0
    assert found.gain == math.inf
    assert moments("sigmoid", 0.0).mean == pytest.approx(0.5)


def test_options_and_unknown_names():
    assert moments("elu", alpha=2.0).square > moments("elu").square
    with pytest.raises(UnknownName, match="no activation rleu; did you mean relu"):
        moments("rleu")
    with pytest.raises(UnknownName, match="alph: elu has alpha; leave it out"):
        moments("elu", alph=2.0)


def test_a_missing_kink_is_seen():
    """What the panels are for: ReLU with its kink inside a panel loses digits."""
    shifted = lambda x: numpy.where(x.real > 0.1, x - 0.1, 0 * x)  # noqa: E731
    right, wrong = moments_of(shifted, (0.1,), 1.0), moments_of(shifted, (), 1.0)
    exact = float(integral(lambda z: max(z - mpmath.mpf("0.1"), 0) ** 2, [mpmath.mpf("0.1")]))
    assert right.square == pytest.approx(exact, rel=1e-12)
    assert abs(wrong.slope_square / right.slope_square - 1) > 1e-4
