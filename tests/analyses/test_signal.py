"""Predicted second moments beside real passes: every family of ops in a small network of its own.

The judge is ``botec.measure.signal``: hooks on the real module, the real backward. Tolerances are
those of finite networks: a mean over a few seeds of moments that vary from seed to seed.
"""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from torch import nn

from botec.analyses.signal.fold import predict
from botec.analyses.signal.layers import layers
from botec.analyses.signal.particles import Noise, correlations, recoloured
from botec.analyses.signal.verdict import activations, findings
from botec.errors import BadInput
from botec.inputs import Input, parse_input
from botec.measure.signal import measured
from botec.read.executor import Executor, real
from botec.read.source import Source
from botec.read.tape import tape_source

SEEDS = 6
NOTHING = 1e-9  # of the median: a bias before a norm has no gradient but rounding


def opened(build, shape: str) -> Source:
    return Source("net", build, (parse_input(shape),))


def predicted(source: Source, **point: int):
    graph = tape_source(source, point, train=True)
    return predict(graph, Executor(), real(source, train=True).of(graph))


def errors(source: Source, seeds: int = SEEDS, **point: int) -> dict[str, list[float]]:
    """ln(predicted ÷ geometric mean of measured) of modules' outputs, gradients, and weights."""
    run = predicted(source, **point)
    passes = [measured(source, run.graph.point, seed=seed) for seed in range(seeds)]
    found: dict[str, list[float]] = {"signal": [], "gradient": [], "weights": []}

    def note(what: str, value: float | None, key) -> None:
        real_ones = [getattr(one, what)[key] for one in passes]
        mean = sum(map(math.log, real_ones)) / seeds
        assert value, f"{key} is not predicted"
        found[what].append(math.log(value) - mean)

    for row in layers(run):
        if (row.name, row.turn) in passes[0].signal:
            note("signal", row.signal, (row.name, row.turn))
            note("gradient", row.gradient, (row.name, row.turn))
    middle = numpy.median(list(passes[0].weights.values()))
    for name, square in passes[0].weights.items():
        if square > NOTHING * middle:
            note("weights", run.weights.get(name), name)
    return found


def close(found: dict[str, list[float]], signal: float, gradient: float, weights: float) -> None:
    for what, most in (("signal", signal), ("gradient", gradient), ("weights", weights)):
        assert max(map(abs, found[what])) < most, (what, found[what])


# --- families of ops ------------------------------------------------------------------------------


class Residual(nn.Module):
    """x + f(x), three times, with what stands between."""

    def __init__(self, block, times: int = 3) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([block() for _ in range(times)])

    def forward(self, x):
        for one in self.blocks:
            x = x + one(x)
        return x


class Dense(nn.Module):
    """Every layer reads all before it, as in a DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(16 + 12 * k), nn.ReLU(), nn.Conv2d(16 + 12 * k, 12, 3, padding=1)
            )
            for k in range(5)
        )

    def forward(self, x):
        for one in self.layers:
            x = torch.cat([x, one(x)], 1)
        return x


class Attention(nn.Module):
    """A causal transformer block over embedded tokens."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(500, 96)
        self.norm, self.qkv, self.out = nn.LayerNorm(96), nn.Linear(96, 288), nn.Linear(96, 96)
        self.fused = fused

    def forward(self, tokens):
        x = self.table(tokens)
        q, k, v = self.qkv(self.norm(x)).view(*x.shape[:2], 3, 4, 24).permute(2, 0, 3, 1, 4)
        if self.fused:
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            past = torch.ones(x.shape[1], x.shape[1]).tril() == 0
            y = (q @ k.transpose(-1, -2) / 24**0.5).masked_fill(past, -1e9).softmax(-1) @ v
        return x + self.out(y.transpose(1, 2).reshape(x.shape))


class Root(nn.Module):
    """RMS norm written out."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(96))
        self.inner, self.outer = nn.Linear(96, 192), nn.Linear(192, 96)

    def forward(self, x):
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight
        return x + self.outer(nn.functional.silu(self.inner(y)))


def picture(*between) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(8, 48, 3, padding=1), *between, nn.Conv2d(48, 32, 3, padding=1))


# Each line: a network, its input, the largest |ln(predicted ÷ measured)| of signal, gradient and
# weights' gradient. Most is chance: 32 to 200 units and six seeds, and a bias's gradient is the
# mean of as few squares (0.1 to 0.15 from seed to seed); nine weights a depthwise channel.
FAMILIES = {
    "linear": (lambda: nn.Sequential(nn.Linear(128, 200), nn.ReLU(), nn.Linear(200, 100)),
               "64,128", (0.03, 0.05, 0.35)),
    "activations": (
        lambda: nn.Sequential(
            nn.Linear(128, 128), nn.GELU(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 128),
            nn.SiLU(), nn.Linear(128, 128), nn.Hardswish(), nn.Linear(128, 128)),
        "64,128", (0.08, 0.08, 0.35)),
    "border": (picture, "8,8,5,5", (0.03, 0.05, 0.35)),
    "batch norm": (lambda: picture(nn.BatchNorm2d(48), nn.ReLU()), "8,8,9,9", (0.04, 0.08, 0.5)),
    "group norm": (lambda: picture(nn.GroupNorm(4, 48), nn.ReLU()), "8,8,9,9", (0.04, 0.08, 0.5)),
    "max pool": (lambda: picture(nn.ReLU(), nn.MaxPool2d(3, 2, 1)), "8,8,16,16",
                 (0.08, 0.06, 0.45)),
    "average pool": (lambda: picture(nn.ReLU(), nn.AvgPool2d(2)), "8,8,16,16", (0.08, 0.06, 0.45)),
    "strided": (
        lambda: nn.Sequential(nn.Conv2d(8, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, 2, 1)),
        "8,8,17,17", (0.03, 0.06, 0.35)),
    "transposed": (
        lambda: nn.Sequential(nn.Conv2d(8, 64, 3, padding=1), nn.ReLU(),
                              nn.ConvTranspose2d(64, 32, 2, 2)),
        "8,8,8,8", (0.05, 0.08, 0.35)),
    "depthwise": (
        lambda: nn.Sequential(nn.Conv2d(8, 96, 1), nn.ReLU(),
                              nn.Conv2d(96, 96, 3, padding=1, groups=96), nn.Conv2d(96, 32, 1)),
        "8,8,9,9", (0.2, 0.1, 0.5)),
    "residual": (lambda: Residual(lambda: nn.Sequential(nn.LayerNorm(96), nn.Linear(96, 96))),
                 "16,10,96", (0.05, 0.08, 0.35)),
    "root mean square norm": (lambda: Residual(Root, 2), "16,10,96", (0.05, 0.08, 0.35)),
    "gated": (lambda: nn.Sequential(nn.Linear(96, 192), nn.GLU(), nn.Linear(96, 96)),
              "64,96", (0.06, 0.06, 0.35)),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_what_a_real_pass_gives(name):
    build, shape, most = FAMILIES[name]
    close(errors(opened(build, shape)), *most)


def test_concatenation_keeps_its_parts():
    """Where a mixture of all that is side by side fails: its norms and their gradients."""
    found = errors(opened(Dense, "8,16,8,8"))
    assert max(map(abs, found["signal"])) < 0.2  # 12 units a layer: √(2/(12·6)) is 0.17
    assert max(map(abs, found["gradient"])) < 0.15


@pytest.mark.parametrize("fused", [True, False])
def test_attention_over_embedded_tokens(fused):
    tokens = Input(8, 24, dtype="int64", below=500)
    source = Source("net", lambda: Attention(fused), (tokens,))
    run = predicted(source)
    passes = [measured(source, {}, seed=seed) for seed in range(SEEDS)]
    for row in layers(run):
        real_ones = [one.signal[row.name, row.turn] for one in passes]
        mean = sum(map(math.log, real_ones)) / SEEDS
        assert math.log(row.signal) == pytest.approx(mean, abs=0.1), row.name
        back = [one.gradient[row.name, row.turn] for one in passes]
        mean = sum(map(math.log, back)) / SEEDS
        assert math.log(row.gradient) == pytest.approx(mean, abs=0.25), row.name


def test_dropout_and_its_share():
    source = opened(lambda: nn.Sequential(nn.Linear(64, 256), nn.Dropout(0.4), nn.Linear(256, 64)),
                    "64,64")  # fmt: skip
    rows = {row.name: row for row in layers(predicted(source))}
    assert rows["1"].signal / rows["0"].signal == pytest.approx(1 / 0.6, rel=0.02)
    close(errors(source), 0.06, 0.08, 0.12)


# --- particles and intervals ----------------------------------------------------------------------


def test_particles_have_exactly_the_moments_asked_for():
    wanted = correlations(0.3, 0.5, 0.0) * 2.5
    noise = Noise(3)
    z = noise.gaussian(wanted)
    assert numpy.allclose(z @ z.T / z.shape[1], wanted, atol=1e-12)
    other = noise.gaussian(wanted)
    assert abs(z @ other.T / z.shape[1]).max() < 1e-3  # no chance correlation: 1/√4096 is 0.016
    moved = recoloured(numpy.maximum(z, 0), correlations(0.1, 0.2, 0.0))
    assert numpy.allclose(moved @ moved.T / z.shape[1], correlations(0.1, 0.2, 0.0), atol=1e-9)


def test_the_variance_of_a_deep_network_is_five_over_its_width():
    """Hanin's 5 Σ 1/n for one example: 30 layers of 128 units, 100 networks; the sample's own
    error of a variance is 14 %."""
    from botec.analyses.signal.value import Value

    def build():
        rows = []
        for _ in range(30):
            rows += [nn.Linear(128, 128, bias=False), nn.ReLU()]
            nn.init.normal_(rows[-2].weight, 0, math.sqrt(2 / 128))
        return nn.Sequential(*rows)

    run = predicted(opened(build, "1,128"))
    last = run.values[run.graph.outputs[0]]
    assert isinstance(last, Value)
    assert last.spread == pytest.approx(5 * 29 / 128, rel=0.15)
    logs = []
    for seed in range(100):
        torch.manual_seed(seed)
        with torch.no_grad():
            logs.append(math.log(float(build()(torch.randn(1, 128)).pow(2).mean())))
    assert numpy.var(logs) == pytest.approx(last.spread + 5 / 128, rel=0.4)


def test_intervals_cover_new_networks():
    source = opened(lambda: nn.Sequential(*[
        part for _ in range(8) for part in (nn.Linear(96, 96), nn.ReLU())]), "16,96")  # fmt: skip
    rows = layers(predicted(source))
    inside = total = 0
    for seed in range(10):
        one = measured(source, {}, seed=seed)
        for row in rows:
            inside += row.signal_low <= one.signal[row.name, row.turn] <= row.signal_high
            total += 1
    assert 0.85 <= inside / total <= 1.0  # layers of one network are not independent


# --- what is wrong, and what is not known ---------------------------------------------------------


def deep(depth: int = 20, gain: float = math.sqrt(2), width: int = 128, act=nn.ReLU) -> nn.Module:
    rows = []
    for _ in range(depth):
        rows += [nn.Linear(width, width), act()]
        nn.init.normal_(rows[-2].weight, 0, gain / math.sqrt(width))
        nn.init.zeros_(rows[-2].bias)
    return nn.Sequential(*rows)


def judged(build, shape: str = "16,128"):
    source = opened(build, shape)
    graph = tape_source(source, {}, train=True)
    weights = real(source, train=True).of(graph)
    run = predict(graph, Executor(), weights)
    return findings(run, layers(run), weights)


def scaled(build, name: str, factor: float):
    def made():
        model = build()
        with torch.no_grad():
            model.get_submodule(name).weight.mul_(factor)
        return model

    return made


def test_a_sound_network_is_left_alone():
    assert judged(deep) == []
    assert (
        judged(lambda: Residual(lambda: nn.Sequential(nn.LayerNorm(128), nn.Linear(128, 128)), 12))
        == []
    )


def test_faults_are_found_and_located():
    (found,) = judged(scaled(deep, "14", 1.5))
    assert (found.kind, found.where) == ("odd weight", "14")
    kinds = {one.kind for one in judged(lambda: deep(40, 1.0))}
    assert kinds >= {"signal vanishes", "gradient vanishes"}
    kinds = {one.kind for one in judged(lambda: deep(30, 2.0))}
    assert kinds >= {"signal explodes", "gradient explodes"}
    assert "gradient vanishes" in {one.kind for one in judged(lambda: deep(8, 1.0, act=nn.Sigmoid))}
    twice = lambda: nn.Sequential(nn.Linear(128, 128), nn.LayerNorm(128), nn.LayerNorm(128))  # noqa: E731
    (found,) = judged(twice)
    assert (found.kind, found.where) == ("double norm", "2")
    # without a norm or a factor on its branch each block doubles the stream
    grown = judged(lambda: Residual(lambda: deep(1), 24))
    assert "signal explodes" in {one.kind for one in grown}
    assert "saturated" in {one.kind for one in judged(lambda: deep(6, 20.0, act=nn.Tanh))}


def test_the_dead_are_those_a_real_batch_has():
    """The deeper, the more alike the examples: units that no example switches on."""
    source = opened(lambda: deep(8, width=256), "128,256")
    rows = {row.where: row for row in activations(predicted(source))}
    counted = []
    for seed in range(8):
        torch.manual_seed(seed)
        with torch.no_grad():
            out = deep(8, width=256)(torch.randn(128, 256))
        counted.append(float((out == 0).all(0).float().mean()))
    assert rows["15"].dead == pytest.approx(numpy.mean(counted), abs=0.04)
    assert rows["15"].off == pytest.approx(0.5, abs=0.03)


class Gate(nn.Module):
    """A gate behind a mean over a map: its inputs are nearly the same for every example."""

    def __init__(self, bias: float = 0.0, share: float = 1.0, units: int = 64) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 1)
        self.down, self.up = nn.Linear(64, units), nn.Linear(units, 64)
        with torch.no_grad():
            self.down.bias.zero_()[: int(share * units)] = bias
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.stem(x)
        mean = torch.relu(x).mean((2, 3))
        return x * torch.sigmoid(self.up(self.act(self.down(mean))))[..., None, None]


def biased(bias: float, width: int = 128):
    model = deep(3, width=width)
    nn.init.constant_(model[2].bias, bias)
    return model


@pytest.mark.parametrize(
    ("build", "shape", "dead"),
    [
        (Gate, "4,3,16,16", False),  # half of the units, by the sign of a sum that never changes
        (lambda: Gate(units=8), "4,3,16,16", False),
        (lambda: Gate(-2.0), "4,3,16,16", True),
        (lambda: Gate(-2.0, 0.8), "4,3,16,16", True),
        (lambda: biased(-1.4), "16,128", False),  # off for 84 % of inputs, and dead for none
        (lambda: biased(-1.4), "1,128", False),
        (lambda: biased(-5.6), "16,128", True),
        (lambda: biased(-5.6), "1,128", True),
    ],
)
def test_a_dead_unit_passes_nothing_for_any_input(build, shape, dead):
    assert ("dead" in {one.kind for one in judged(build, shape)}) == dead


@pytest.mark.parametrize("bias", [-2.8, -1.4, 1.4])
def test_a_bias_of_one_sign_is_a_mean(bias):
    """All units 1 or 2 deviations aside: what a ReLU lets through, beside 4 real networks."""
    source = opened(lambda: biased(bias), "64,128")
    rows = {row.name: row for row in layers(predicted(source))}
    seen = [measured(source, {}, seed=seed) for seed in range(4)]
    signal = numpy.mean([one.signal["3", 0] for one in seen])
    passed = numpy.mean([one.gradient["2", 0] / one.gradient["3", 0] for one in seen])
    assert rows["3"].signal == pytest.approx(signal, rel=0.15)
    assert rows["2"].gradient / rows["3"].gradient == pytest.approx(passed, rel=0.1)


def test_weights_that_are_not_numbers_are_refused():
    def broken():
        model = nn.Sequential(nn.Linear(4, 4))
        model[0].weight.data[1, 2] = math.nan
        return model

    with pytest.raises(BadInput, match=r"1 of 16 entries of 0.weight are not finite; mend the"):
        predicted(opened(broken, "2,4"))


def test_a_norm_over_one_element_is_not_predicted():
    run = predicted(
        opened(lambda: nn.Sequential(nn.Conv2d(3, 8, 1), nn.InstanceNorm2d(8)), "4,3,2,2")
    )
    assert layers(run)[-1].signal is not None
    single = predicted(opened(lambda: nn.Sequential(nn.Linear(8, 1), nn.LayerNorm(1)), "4,8"))
    row = layers(single)[-1]
    assert row.signal is None
    assert "over one element gives 0" in row.why


class Sorted(nn.Module):
    def forward(self, x):
        return x.sort(-1).values.cumsum(-1)


def test_an_op_without_a_rule_is_said_and_not_passed_through():
    run = predicted(
        opened(lambda: nn.Sequential(nn.Linear(8, 8), Sorted(), nn.Linear(8, 8)), "4,8")
    )
    rows = {row.name: row for row in layers(run)}
    assert rows["0"].signal is not None
    assert rows["2"].signal is None
    assert "has no rule" in rows["2"].why
    assert run.unknown


@pytest.mark.parametrize(("more", "kinds"), [(1, ["signal explodes"]), (9, [])])
def test_of_a_depth_that_is_mostly_not_predicted_nothing_is_said(more, kinds):
    """Three layers grow by 10⁶; beside ``more`` unknown ones they are the network, or a branch."""
    growing = [nn.Linear(128, 128, bias=False) for _ in range(3)]
    for one in growing:
        nn.init.normal_(one.weight, 0, 100 / math.sqrt(128))
    unknown = [nn.Linear(128, 128) for _ in range(more)]
    found = judged(lambda: nn.Sequential(*growing, Sorted(), *unknown))
    assert [one.kind for one in found] == kinds


def test_a_constant_input_is_known_and_not_random():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, x):
            return self.linear(torch.ones(4, 8)) + x

    source = opened(Constant, "4,8")
    rows = {row.name: row for row in layers(predicted(source))}
    assert rows["linear"].signal is None
    assert rows["linear"].why == "it does not depend on the input"


def test_a_head_of_zeros_is_said_and_is_no_fault():
    from botec.analyses.signal.page import notes

    def build():
        model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        nn.init.zeros_(model[2].weight)
        return model

    source = opened(build, "4,8")
    graph = tape_source(source, {}, train=True)
    weights = real(source, train=True).of(graph)
    run = predict(graph, Executor(), weights)
    assert any("2.weight is 0 at the start" in note for note in notes(run, weights, True))
    assert findings(run, layers(run), weights) == []


class OverAll(nn.Module):
    """A layer beside one number made of all of its input."""

    def __init__(self, known: bool) -> None:
        super().__init__()
        self.known = known
        self.linear = nn.Linear(64, 64)

    def forward(self, x):
        if self.known:
            return self.linear(torch.ones(16, 64)) + 0.1 * x.sum()
        return self.linear(x) * (1 + x.mean())


@pytest.mark.parametrize("known", [True, False])
def test_a_number_made_of_everything_is_laid_beside_a_layer(known):
    source = opened(lambda: OverAll(known), "16,64")
    if known:
        graph = tape_source(source, {}, train=True)
        run = predict(graph, Executor(), real(source, train=True).of(graph))
        (last,) = (run.values[n.outputs[0]].q for n in graph.nodes if n.call.op == "aten.add")
        assert last > 1  # the sum of 1,024 entries, a hundredth of its square, and the layer
        return
    (row,) = layers(predicted(source))
    seen = measured(source, {}, seed=0)
    assert row.gradient == pytest.approx(seen.gradient["linear", 0], rel=0.5)
