"""Where few values, few terms or borders decide: predicted beside real passes.

Small maps, depthwise kernels and narrow layers, each of whose effects is a few per cent and adds up
over a deep network. The judge is a real forward and backward.
"""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from torch import nn

from botec.analyses.signal.fold import predict
from botec.analyses.signal.layers import layers, weights_found
from botec.analyses.signal.moves import regrouped_profile
from botec.analyses.signal.norms import over_mean
from botec.analyses.signal.value import narrowed
from botec.inputs import Input, parse_input
from botec.measure.signal import measured
from botec.read.executor import Executor, real
from botec.read.source import Source
from botec.read.tape import tape_source

SEEDS = 8


def opened(build, shape: str) -> Source:
    return Source("net", build, (parse_input(shape),))


def predicted(source: Source, seed: int = 0):
    graph = tape_source(source, {}, train=True)
    return predict(graph, Executor(), real(source, train=True, seed=seed).of(graph))


def geometric(values) -> float:
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values))


def depthwise(width: int = 96) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(8, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6(),
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width),
        nn.ReLU6(), nn.Conv2d(width, 32, 1), nn.BatchNorm2d(32), nn.Conv2d(32, 16, 1),
    )  # fmt: skip


def gradient(source: Source, name: str) -> tuple[float, float]:
    """Predicted and measured second moments of a module's gradient."""
    row = next(row for row in layers(predicted(source)) if row.name == name)
    seen = [measured(source, {}, seed=seed).gradient[name, 0] for seed in range(SEEDS)]
    return row.gradient, geometric(seen)


def test_a_norm_of_few_values_divides_by_what_it_happens_to_see():
    """18 values a channel: E[1/s²] is 17/15 of 1/E s²; without that 13 % are missing twice over."""
    net = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(64, 256, 1), nn.BatchNorm2d(256), nn.Conv2d(256, 256, 1), nn.BatchNorm2d(256),
        nn.Conv2d(256, 64, 1))  # fmt: skip
    here, there = gradient(opened(net, "2,64,3,3"), "0")
    assert here == pytest.approx(there, rel=0.06)


def test_a_block_of_depthwise_kernels():
    here, there = gradient(opened(depthwise, "4,8,6,6"), "0")
    assert here == pytest.approx(there, rel=0.12)


def test_a_factor_that_a_norm_behind_takes_out_has_no_gradient():
    """A ReLU and a kernel of each channel's own hand a channel's size on to the next norm."""
    source = opened(depthwise, "4,8,6,6")
    expected, seen = weights_found(predicted(source)), measured(source, {}).weights
    assert expected["1.weight"] == expected["6.bias"] == 0.0
    assert seen["1.weight"] < 1e-6 * seen["4.weight"]
    assert seen["6.bias"] < 1e-6 * seen["7.bias"]
    assert expected["4.weight"] == pytest.approx(seen["4.weight"], rel=0.5)


def test_few_terms_are_not_gaussian():
    source = opened(depthwise, "16,8,12,12")
    run = predicted(source)
    number = next(row.number for row in layers(run) if row.name == "3")
    z = run.values[number].one.about[0]
    found = (z**4).mean() / (z**2).mean() ** 2
    torch.manual_seed(0)
    with torch.no_grad():
        out = depthwise()[:4](torch.randn(16, 8, 12, 12))
        out = (out - out.mean((0, 2, 3), keepdim=True)) / out.std((0, 2, 3), keepdim=True)
    assert found == pytest.approx(float((out**4).mean()), rel=0.12)
    assert found > 3.3


def test_the_border_behind_a_norm():
    """Where a map is darkest: a padded convolution, a norm's mean taken out, again."""

    def net():
        rows = []
        for _ in range(3):
            rows += [nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
        return nn.Sequential(*rows)

    source = opened(net, "4,64,5,5")
    run = predicted(source)
    number = next(row.number for row in layers(run) if row.name == "7")
    profile = numpy.broadcast_to(run.values[number].one.profile.mean((0, 1)), (5, 5))
    total = 0.0
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        with torch.no_grad():
            total = total + net()[:8](torch.randn(4, 64, 5, 5)).pow(2).mean((0, 1)).numpy()
    total = total / total.mean()
    assert abs(profile / profile.mean() - total).max() < 0.13  # 8 × 4 maps of 64 channels
    assert profile[0, 0] < 0.9 * profile.mean()


@pytest.mark.parametrize(
    "pool",
    [nn.AdaptiveAvgPool2d(7), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False),
     nn.AdaptiveAvgPool2d(4)],
)  # fmt: skip
def test_means_of_overlapping_windows(pool):
    net = lambda: nn.Sequential(nn.Conv2d(8, 64, 1), nn.ReLU(), pool, nn.Conv2d(64, 32, 1))  # noqa: E731
    source = opened(net, "4,8,6,6")
    here, there = gradient(source, "0")
    assert here == pytest.approx(there, rel=0.12)
    row = next(row for row in layers(predicted(source)) if row.name == "2")
    seen = geometric([measured(source, {}, seed=seed).signal["2", 0] for seed in range(SEEDS)])
    assert row.signal == pytest.approx(seen, rel=0.08)


class Merged(nn.Module):
    """Four neighbours side by side, mixed: what a patch merging does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix = nn.Linear(64, 64), nn.Linear(256, 64)

    def forward(self, x):
        x = self.first(x)
        parts = [x[:, i::2, j::2] for i in range(2) for j in range(2)]
        return self.mix(torch.cat(parts, -1)).mean((1, 2))


def test_gradients_of_different_neighbours_know_nothing_of_each_other():
    source = opened(Merged, "8,8,8,64")
    run = predicted(source)
    seen = measured(source, {}).weights["first.weight"]
    assert weights_found(run)["first.weight"] == pytest.approx(seen, rel=0.3)
    number = next(row.number for row in layers(run) if row.name == "first")
    assert run.gradients[number].parts[0].told()[0] == pytest.approx(15 / 63, abs=0.03)


class Shifted(nn.Module):
    """A decoder's tokens: the first is known, the others move on by one."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(50, 32), nn.Linear(32, 50)

    def forward(self, tokens):
        moved = tokens.new_zeros(tokens.shape)
        moved[..., 1:] = tokens[..., :-1].clone()
        moved[..., 0] = 7
        return self.out(self.table(moved))


def test_tokens_moved_on_by_one_are_tokens():
    source = Source("net", Shifted, (Input(4, 9, dtype="int64", below=50),))
    run = predicted(source)
    assert not run.unknown
    seen = geometric([measured(source, {}, seed=seed).signal["table", 0] for seed in range(SEEDS)])
    row = next(row for row in layers(run) if row.name == "table")
    assert row.signal == pytest.approx(seen, rel=0.1)


def test_the_typical_narrow_network_lies_below_the_mean():
    """24 layers of 24 units: the median of ln q lies 5 Σ 1/n ÷ 2 below ln of its mean."""

    def net():
        rows = []
        for _ in range(24):
            rows += [nn.Linear(24, 24, bias=False), nn.ReLU()]
            nn.init.normal_(rows[-2].weight, 0, math.sqrt(2 / 24))
        return nn.Sequential(*rows)

    source = opened(net, "1,24")
    runs = [predicted(source, seed) for seed in range(10)]
    rows = [next(row for row in layers(run) if row.name == "47") for run in runs]
    gaps = [
        math.log(run.values[row.number].q / row.signal) for run, row in zip(runs, rows, strict=True)
    ]
    assert numpy.mean(gaps) == pytest.approx(2.5, rel=0.2)
    logs = []
    for seed in range(200):
        torch.manual_seed(seed)
        with torch.no_grad():
            logs.append(math.log(float(net()(torch.randn(1, 24)).pow(2).mean()) + 1e-30))
    # ln q has a deviation of 2.2: the median of 200 is known to ±0.2; sums of weights that were
    # read from one network, 0.1 a layer, to ±0.15 over ten
    expected = numpy.mean([math.log(row.signal) for row in rows])
    assert expected == pytest.approx(numpy.median(logs), abs=0.6)


class Projected(nn.Module):
    """One product for three, each of which goes its own way over twelve places."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.before = nn.Linear(64, 64)
        self.all = nn.Linear(64, 3 * 64)

    def forward(self, x):
        found = self.all(torch.tanh(self.before(x)))
        if self.way == "split":
            a, b, c = found.split(64, -1)
        else:
            three = found.reshape(*found.shape[:-1], 3, 64).permute(2, 0, 1, 3)
            a, b, c = three[0], three[1], three[2]
        return a.mean(1) + b.mean(1) * 3 + c.mean(1)


@pytest.mark.parametrize("way", ["split", "select"])
def test_gradients_of_three_from_one_product_stay_alike_in_each(way):
    """All places of a third have one gradient; spread over all units that third counts threefold.

    Without that a weight's gradient comes out at a third. 8 networks of 64 units.
    """
    source = opened(lambda: Projected(way), "8,12,64")
    expected = weights_found(predicted(source))
    seen = [measured(source, {}, seed=seed).weights for seed in range(SEEDS)]
    for name in ("all.weight", "all.bias", "before.weight"):
        assert expected[name] == pytest.approx(geometric(o[name] for o in seen), rel=0.2), name


def test_profiles_regroup_as_whole_arrays_do():
    random = numpy.random.default_rng(0)
    for before, after in (
        ((4, 6), (8, 3)),
        ((2, 3, 4), (6, 4)),
        ((5, 1, 4), (5, 2, 2)),
        ((), (1,)),
    ):
        for varies in range(1 << len(before)):
            shape = [n if varies >> a & 1 else 1 for a, n in enumerate(before)]
            profile = random.random(shape)
            whole = narrowed(numpy.broadcast_to(profile, before).reshape(after))
            found = regrouped_profile(profile, before, after)
            assert found.shape == whole.shape
            assert numpy.array_equal(found, whole)


def test_a_slope_that_is_nearly_straight_leaves_next_to_nothing_of_a_gradient():
    """Behind a mean over the map a hard swish passes a + b x̂, which the norm takes out."""
    net = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(16, 256, 1), nn.BatchNorm2d(256), nn.Hardswish(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(256, 64))  # fmt: skip
    source = opened(net, "1,16,7,7")
    before, after = gradient(source, "0"), gradient(source, "1")
    assert after[0] == pytest.approx(after[1], rel=0.1)
    assert before[1] < 0.02 * after[1]
    assert before[0] == pytest.approx(before[1], rel=0.6)


def test_a_norm_behind_neighbours_that_are_opposites():
    """Kernels of a channel's own behind a norm: what neighbours share may be less than nothing."""
    profile = numpy.array([[[[-3.0, -1.0], [-1.0, -3.0]]]])
    assert over_mean(profile, [0, 2, 3]).ravel().tolist() == [1.5, 0.5, 0.5, 1.5]
    mixed = numpy.array([[[[1.0, -1.0], [-1.0, 1.01]]]])
    assert over_mean(mixed, [0, 2, 3]).ravel().tolist() == [1.0] * 4
    net = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(4, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12),
        nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False), nn.BatchNorm2d(12))  # fmt: skip
    for seed in range(12):
        found = predicted(opened(net, "2,4,6,6"), seed)
        assert [row.signal for row in layers(found)][-1] == pytest.approx(1, rel=0.01)


class Unset(nn.Module):
    """Gathers from what is known by numbers that nobody wrote down."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        rows = torch.empty(x.shape[0], dtype=torch.int64, device=x.device)
        ones = torch.gather(torch.ones(x.shape, device=x.device), 1, rows[:, None].expand(-1, 8))
        return self.layer(x * ones)


def test_what_nobody_has_set_is_no_number_of_memory():
    (found,) = layers(predicted(opened(Unset, "4,8")))
    (plain,) = layers(predicted(opened(lambda: nn.Sequential(nn.Linear(8, 8)), "4,8")))
    assert found.signal == pytest.approx(plain.signal, rel=0.05)


class Turned(nn.Module):
    """A spectrogram, which gets its axis of units on the way to a convolution."""

    def __init__(self):
        super().__init__()
        self.patch, self.mark = nn.Conv2d(1, 32, 4, 4), nn.Parameter(torch.zeros(1, 1, 32))
        self.layer = nn.Linear(32, 32)

    def forward(self, x):
        rows = self.patch(x.unsqueeze(1).transpose(2, 3)).flatten(2).transpose(1, 2)
        return self.layer(torch.cat([self.mark, rows], 1))


def test_tokens_of_a_spectrogram_are_positions():
    source = opened(Turned, "1,32,16")
    run = predicted(source)
    roles = run.values[max(run.gradients)].roles
    assert [axis[0][0] for axis in roles[1:]] == ["p", "u"]
    here, there = gradient(source, "patch")
    assert here == pytest.approx(there, rel=0.2)


class Decayed(nn.Module):
    """Weights of positions that are masked and no softmax, as in Mamba-2."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x):
        past = torch.tril(torch.ones(6, 6, dtype=torch.bool))
        weight = (x @ x.transpose(1, 2)).masked_fill(~past, -torch.inf)
        return self.layer(torch.relu(weight) @ x)


def test_a_mask_without_a_softmax():
    (row,) = layers(predicted(opened(Decayed, "2,6,16")))
    assert row.signal is None or row.signal > 0


class Grouped(nn.Module):
    """Attention of four heads over the keys and values of two."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.norm = nn.Linear(64, 64), nn.LayerNorm(64)
        self.queries = nn.Linear(64, 64, bias=False)
        self.keys, self.values = (nn.Linear(64, 32, bias=False) for _ in range(2))
        self.out = nn.Linear(64, 64, bias=False)

    def forward(self, x):
        x = self.norm(self.before(x))
        heads = [
            of(x).unflatten(-1, (-1, 16)).transpose(1, 2)
            for of in (self.queries, self.keys, self.values)
        ]
        mixed = nn.functional.scaled_dot_product_attention(*heads, is_causal=True, enable_gqa=True)
        return self.out(mixed.transpose(1, 2).flatten(-2))


def test_heads_that_share_their_values_add_what_they_say():
    """Two heads a group: without the sum, the gradient of values is half of what is seen."""
    expected, seen = gradient(opened(Grouped, "2,32,64"), "values")
    assert expected == pytest.approx(seen, rel=0.12)
    expected, seen = gradient(opened(Grouped, "2,32,64"), "before")
    assert expected == pytest.approx(seen, rel=0.12)
