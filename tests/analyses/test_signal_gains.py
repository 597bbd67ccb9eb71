"""Gains of the functions a network has: beside mpmath, the book of activations, published ones."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import mpmath
import pytest
import torch
from torch import nn

from botec.analyses.activations import moments
from botec.analyses.signal.fold import predict
from botec.analyses.signal.gains import NFNET_GAMMAS, TORCH_GAINS, Gain, gain_tables, gains
from botec.analyses.signal.layers import layers
from botec.analyses.signal.page import deviations, untold
from botec.inputs import parse_input
from botec.learn import learn
from botec.read.executor import Executor, real
from botec.read.source import Source
from botec.read.tape import tape_source

PUBLISHED = Path(__file__).parent.parent / "data" / "activation_gains.csv"


def run_of(*parts: nn.Module, shape: str = "16,64"):
    def build():
        torch.manual_seed(0)
        return nn.Sequential(*parts)

    source = Source("net", build, (parse_input(shape),))
    graph = tape_source(source, {}, train=True)
    weights = real(source, train=True).of(graph)
    return predict(graph, Executor(), weights), weights


def gain_of(act: nn.Module) -> Gain:
    (found,) = gains(run_of(nn.Linear(64, 64), act, nn.Linear(64, 64))[0])
    return found


class Quick(nn.Module):
    """GELU by a sigmoid, written out."""

    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class NewGELU(nn.Module):
    """Of another library, by another name."""

    def forward(self, x):
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))
        return 0.5 * x * (1 + torch.tanh(inner))


class Squared(nn.Module):
    def forward(self, x):
        return torch.relu(x) ** 2


class Bent(nn.Module):
    """Kinks where nobody has told of them."""

    def forward(self, x):
        return torch.where(x > 0.37, 2 * x - 0.37, torch.clamp(x, -0.81))


OWN = {
    "Quick": (Quick, lambda z: z / (1 + mpmath.exp(-mpmath.mpf("1.702") * z)), []),
    "Squared": (Squared, lambda z: max(z, 0) ** 2, [0]),
}


@pytest.mark.parametrize("name", OWN)
def test_a_function_of_the_users_own_has_ten_digits(name):
    """The integral by mpmath, 25 digits; the slope of f by its difference quotient."""
    build, f, kinks = OWN[name]
    found = gain_of(build())
    with mpmath.workdps(25):
        ends = sorted({-13, *kinks, *range(-12, 13, 2), 13})
        square = mpmath.quad(lambda z: f(z) ** 2 * mpmath.npdf(z), ends)
        slope = mpmath.quad(lambda z: mpmath.diff(f, z) ** 2 * mpmath.npdf(z), ends)
    assert (found.name, found.known, found.digits) == (name, False, 10)
    assert found.moments.square == pytest.approx(float(square), rel=1e-10)
    assert found.moments.slope_square == pytest.approx(float(slope), rel=1e-9)


def test_kinks_are_found_wherever_they_are():
    z = mpmath.mpf
    with mpmath.workdps(25):
        pieces = (
            (lambda x: z("0.81") ** 2, -13, z("-0.81")),
            (lambda x: x**2, z("-0.81"), z("0.37")),
            (lambda x: (2 * x - z("0.37")) ** 2, z("0.37"), 13),
        )
        exact = sum(
            mpmath.quad(
                lambda x, f=f: f(x) * mpmath.npdf(x), [low, 0 if low < 0 < high else low, high]
            )
            for f, low, high in pieces
        )
    # the framework's own constants are float32
    assert gain_of(Bent()).moments.square == pytest.approx(float(exact), rel=1e-6)


@pytest.mark.parametrize(
    ("act", "name", "options"),
    [
        (nn.ReLU(inplace=True), "relu", {}), (nn.SELU(), "selu", {}), (nn.CELU(), "celu", {}),
        (nn.ReLU6(), "relu6", {}), (nn.GELU(), "gelu", {}), (nn.PReLU(), "prelu", {}),
        (nn.GELU(approximate="tanh"), "gelu_tanh", {}), (NewGELU(), "gelu_tanh", {}),
        (nn.Softsign(), "softsign", {}),
        (nn.LogSigmoid(), "log_sigmoid", {}), (nn.Tanhshrink(), "tanhshrink", {}),
        (nn.Hardshrink(), "hardshrink", {}), (nn.LeakyReLU(), "leaky_relu", {}),
        (nn.LeakyReLU(0.2), "leaky_relu(0.2)", {"negative_slope": 0.2}),
        (nn.Softplus(2.0), "softplus(2, 20)", {"beta": 2.0}),
        (nn.Threshold(0.3, 0.1), "threshold(0.3, 0.1)", {"threshold": 0.3, "value": 0.1}),
    ],
)  # fmt: skip
def test_the_modules_own_numbers_count(act, name, options):
    found = gain_of(act)
    exact = moments(name.split("(")[0], **options)
    assert (found.name, found.known) == (name, True)
    assert found.moments.square == pytest.approx(exact.square, rel=1e-10)
    assert found.moments.slope_square == pytest.approx(exact.slope_square, rel=1e-6)


def test_published_constants_are_those_of_the_tables():
    with PUBLISHED.open(encoding="utf-8") as rows:
        table = [(r["kind"], r["nonlinearity"], float(r["value"])) for r in csv.DictReader(rows)]
    gammas = {name: value for kind, name, value in table if kind == "gamma"}
    assert NFNET_GAMMAS.items() <= gammas.items()
    assert set(gammas) - set(NFNET_GAMMAS) == {"identity", "log_softmax"}
    for name in ("tanh", "selu", "sigmoid", "relu"):
        assert TORCH_GAINS[name] == pytest.approx(nn.init.calculate_gain(name), rel=1e-12)
    assert TORCH_GAINS["leaky_relu"] == nn.init.calculate_gain("leaky_relu", 0.01)


def test_the_page_shows_how_far_published_ones_are_off():
    _, beside = gain_tables(run_of(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64))[0])
    assert beside.rows == (
        ("tanh", "torch.nn.init", "1.666667", "1.592537", "+4.655 %"),
        ("tanh", "NFNet γ = 1/√Var f", "1.593912", "1.592537", "+0.086 %"),
    )


def test_an_unknown_activation_is_sampled_and_said_so():
    model = nn.Sequential(nn.Linear(64, 64), Quick(), nn.Linear(64, 10))
    report = learn(model, parse_input("B,64"), only="signal", B=16)
    assert any("Quick is not in the book of activations" in note for note in report.notes)
    assert report.figures["learn.signal.gain"].counted.status == "estimate"


@pytest.mark.parametrize("act", [nn.PReLU(), nn.PReLU(64), nn.RReLU()])
def test_activations_with_weights_or_draws_of_their_own(act):
    """Beside a real pass; 64 units and 64 examples."""
    model = nn.Sequential(nn.Linear(64, 64), act, nn.Linear(64, 64))
    run, _ = run_of(*model, shape="64,64")
    rows = {row.name: row for row in layers(run)}
    x = model[0](torch.randn(64, 64))
    x.retain_grad()
    out = model[2](act(x))
    out.backward(torch.randn_like(out))
    square = float(act(x).detach().pow(2).mean())
    assert rows["1"].signal == pytest.approx(square, rel=0.1)
    assert rows["0"].gradient == pytest.approx(float(x.grad.pow(2).mean()), rel=0.2)


# --- which deviation keeps it ---------------------------------------------------------------------


def kept(*parts: nn.Module, shape: str) -> dict[str, tuple]:
    run, weights = run_of(*parts, shape=shape)
    table = next(one for one in deviations(run, weights) if "Standard" in getattr(one, "title", ""))
    return {row[0]: row[1:] for row in table.rows}


def test_behind_a_norm_and_a_relu_it_is_hes():
    rows = kept(
        nn.Conv2d(32, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Conv2d(64, 128, 1, bias=False), shape="8,32,8,8",
    )  # fmt: skip
    _, forth, back, gradient = rows["3"]
    assert forth == pytest.approx(math.sqrt(2 / 64), rel=0.05)
    assert back == pytest.approx(math.sqrt(2 / 128), rel=0.02)
    assert rows["0"][1] == pytest.approx(math.sqrt(1 / 32), rel=0.1)  # inputs of variance 1
    assert gradient == pytest.approx(math.sqrt(8 * 64 * 0.5), rel=0.1)  # 512 places, E x² = ½


def test_each_layer_drawn_so_keeps_its_second_moment():
    """What the table says for each layer alone, tried in a real pass of 2,000 examples."""
    torch.manual_seed(0)
    parts = [p for _ in range(4) for p in (nn.Linear(256, 256, bias=False), nn.SiLU())]
    rows = kept(*parts, shape="64,256")
    x = torch.randn(2000, 256)
    with torch.no_grad():
        for place in range(0, len(parts), 2):
            before = float(x.pow(2).mean())
            y = parts[place](parts[place - 1](x) if place else x)
            now, forth, *_ = rows[str(place)]
            # one draw of 65,536 weights, and the particles' own error
            assert float(y.pow(2).mean()) * (forth / now) ** 2 == pytest.approx(before, rel=0.05)
            x = y


# --- what is not known ----------------------------------------------------------------------------


def test_what_is_not_predicted_is_not_called_sound():
    class Sorted(nn.Module):
        def forward(self, x):
            return x.sort(-1).values

    run, _ = run_of(nn.Linear(64, 64), Sorted(), nn.Linear(64, 64))
    (text,) = untold(layers(run))
    assert "2 of 3 modules are not predicted, from 1 on: aten.sort has no rule" in text.text
    report = learn(
        nn.Sequential(nn.Linear(64, 64), Sorted()), parse_input("B,64"), only="signal", B=4
    )
    assert "keep their size" not in str(report)


def test_a_norm_over_one_element_is_a_fault():
    from botec.learn import Question, answered

    model = nn.Sequential(nn.Linear(8, 1), nn.LayerNorm(1), nn.Linear(1, 4))
    report, refusals = answered(Question(model, (parse_input("B,8"),), {"B": 4}), "signal", {})
    assert any("1: a norm over one element gives 0 whatever comes in" in one for one in refusals)
    assert "keep their size" not in str(report)
