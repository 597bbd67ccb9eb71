"""Reach, judged by NaN: a NaN in one row of a real picture reaches exactly what is said."""

from __future__ import annotations

import csv
import random
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from botec.analyses.reach import reach
from botec.analyses.reach.comb import Comb
from botec.analyses.reach.least import least_input
from botec.analyses.reach.page import figures, wider
from botec.analyses.reach.sizes import sizes
from botec.analyses.reach.walk import Walk
from botec.errors import BotecError
from botec.inputs import Input
from botec.ops.reach import REACH
from botec.read.executor import Executor
from botec.read.from_torchvision import make_importable
from botec.read.sizes import accepted
from botec.read.tape import source_of, tape
from tests.analyses.reach_judge import compared, poisoned, predicted
from tests.analyses.reach_models import LINES, PICTURES, ROOMS, Do, Random, conv
from tests.analyses.slim_layouts import slim

DATA = Path(__file__).resolve().parent.parent / "data"


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
    channels = (
        4 if name in ("transposed, grouped, dilated", "attention", "pixels unshuffled") else 3
    )
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


# -- closed forms ---------------------------------------------------------------------------


def on_axis(model, size, axis=2, channels=3, **options):
    """The reach of a model's output along an axis of a square picture."""
    graph = tape(model.eval(), Input(1, channels, size, size))
    (along,) = reach(graph, Executor(), [graph.axes[graph.inputs[0]][axis]]).axes
    return along, along.of(graph.outputs[0]), graph


def test_far_from_the_borders_the_closed_form_is_the_field():
    """The judge here is the field, which NaN judges: between the borders both say the same."""
    compared_places = 0
    for seed in range(40):
        draw = random.Random(seed).randint
        try:
            graph = tape(Random(draw).eval(), Input(1, 3, 90, 36))
        except BotecError:
            continue  # a window larger than what is left
        walk, number = Walk(graph, graph.inputs[0], 2, Executor()), graph.outputs[0]
        comb, field = walk.states[number], walk.fields[number]
        if not isinstance(comb, Comb):
            continue  # branches of different strides: they drift apart
        for place in range(min(graph.values[number].shape[2], 200)):
            edges = comb.hull(place)
            if edges is None or (edges[0] > 30 and edges[1] < 60):
                first, places = comb.at(place)
                row = field[0, :, place if field.shape[2] > 1 else 0, 0]
                assert walk.sets.masks[walk.sets.all_of(row)] == places << max(first, 0), seed
                compared_places += 1
    assert compared_places > 100


@pytest.mark.parametrize(
    ("name", "sizes", "stride", "padding", "dense"),
    [
        ("window", (3,), 1, 0, 3),
        ("strided", (5,), 2, 2, 5),
        ("gridding", (9,), 1, 0, 5),
        ("dilated, with gaps", (9,), 2, 0, 9),
        ("transposed", (3, 5), 1, 2, 5),
        ("nearest", (2, 2), 0.5, 0, 2),
        ("skips", (10,), 2, 3, 10),
        ("misaligned", (3,), 1, 0, 3),
        ("misaligned, strided", (4,), 2, 1, 4),
        ("pixels shuffled", None, None, None, None),
    ],
)
def test_size_stride_padding_and_gaps(name, sizes, stride, padding, dense):
    _, one, _ = on_axis(PICTURES[name], 60)
    if sizes is None:
        assert one.stride is None
        assert one.size == 4
        return
    found = (tuple(size for size in one.sizes if size), float(one.stride), one.padding)
    assert one.dense == dense
    assert found[1] == stride
    assert found[2] == padding
    assert set(found[0]) == {size for size in sizes if size}


def test_three_one_one_sees_three():
    """Padding keeps the size and does not widen the reach."""
    bare, padded = (on_axis(conv(3, 4, 3, padding=p), 20)[1] for p in (0, 1))
    assert (bare.size, padded.size) == (3, 3)
    assert (bare.made, padded.made) == (18, 20)
    assert (bare.border, padded.border) == (0.0, 2 / 20)
    assert (bare.padding, padded.padding) == (0, 1)


def test_branches_that_do_not_line_up_are_named():
    along, _, _ = on_axis(PICTURES["misaligned"], 20)
    (met,) = along.walk.misaligned
    assert (met.op, met.apart, met.branches) == ("aten.add", 1.0, ("a", "b"))
    assert on_axis(PICTURES["skips"], 20)[0].walk.misaligned == []


def test_without_its_gate_a_network_sees_what_its_windows_see():
    along, one, graph = on_axis(PICTURES["gate"], 20)
    assert along.walk.gates == ["1"]
    assert (one.size, one.stride, one.whole) == (20, None, True)
    assert (along.apart(graph.outputs[0]).size, along.apart(graph.outputs[0]).stride) == (5, 1)
    along, one, graph = on_axis(PICTURES["group norm"], 20)
    assert one.whole
    assert along.apart(graph.outputs[0]).size == 3


def in_windows(model, x):
    """Softmax over pairs of places, a pair at a time, then over pairs shifted by one."""
    for shift in (0, 1):
        pairs = torch.roll(x, shift, 2).unflatten(2, (-1, 2))
        x = torch.roll(pairs.softmax(3).flatten(2, 3), -shift, 2)
    return model.last(x)


def test_what_sees_more_without_a_window_is_named():
    model = Do(in_windows, last=nn.Softmax(2))
    (found,) = reach(tape(model, Input("B", 2, "L"), B=1, L=8), Executor()).axes
    assert list(wider(found)) == [
        ("the model", "softmax", "4 of 8"),
        ("last", "softmax", "everything"),
    ]


def test_of_a_sequence_the_axis_that_windows_slide_along():
    def axes(model, *shape, **sizes):
        return [one.name for one in reach(tape(model, Input(*shape), **sizes)).axes]

    assert axes(nn.LSTM(16, 8, batch_first=True), "B", "S", 16, B=2, S=5) == ["S"]
    assert axes(nn.Conv1d(4, 2, 3), "B", "C", "L", B=2, C=4, L=9) == ["L"]
    rows = Do(lambda m, x: m.own(x.transpose(1, 2)), own=nn.Conv1d(16, 2, 3))
    assert axes(rows, "B", "S", 16, B=2, S=9) == ["S"]


def test_an_unknown_op_is_taken_for_everything_and_named(monkeypatch):
    monkeypatch.setitem(REACH, "aten.convolution", lambda call: None)
    along, one, graph = on_axis(nn.Sequential(conv(3, 4, 3), nn.ReLU()), 20)
    assert along.walk.unknown == {"aten.convolution": 1}
    assert (one.covered, one.exact) == (20, False)
    figures_of_it = figures(reach(graph, Executor()))
    assert {figure.counted.status for figure in figures_of_it.values()} == {"partial"}


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.linalg.cross(x, x.roll(1, 3), dim=2),
        lambda m, x: functional.grid_sample(x, torch.zeros(len(x), 4, 4, 2) + 0.3),
        lambda m, x: torch.fft.rfft(x, dim=2).abs(),
        lambda m, x: x.sort(2).values,
    ],
)
def test_what_is_not_exact_misses_nothing_and_says_so(function):
    (missed, _), walk = judged(Do(function), 3, 3, 5, axis=2)
    assert missed == 0
    assert walk.graph.outputs[0] in walk.bounds


def test_training_statistics_mix_all_places():
    graph = tape(nn.Sequential(conv(3, 4, 3), nn.BatchNorm2d(4)), Input(4, 3, 20, 20), train=True)
    along = reach(graph, Executor()).axes[0]
    assert along.of(graph.outputs[0]).whole
    assert along.apart(graph.outputs[0]).size == 3


def test_layers_that_see_everything_already():
    """At 8 places the second window's input already sees all; a window of 1 is never blamed."""
    layers = nn.Sequential(conv(3, 4, 9, padding=4), conv(4, 4, 1), conv(4, 4, 3, padding=1))
    graph = tape(layers, Input(1, 3, 8, 8))
    found = reach(graph, Executor())
    assert [graph.nodes[place].scope for place in found.saturated] == ["2"]
    spent, whole = found.multiplications
    assert (spent, whole) == (64 * 4 * 4 * 9, 64 * (4 * 3 * 81 + 16 + 4 * 4 * 9))
    assert reach(tape(layers, Input(1, 3, 30, 30)), Executor()).saturated == ()


# -- sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["window", "strided", "dilated, with gaps", "skips", "transposed"])
@pytest.mark.parametrize("made", [1, 2, 5])
def test_the_least_input_is_the_least_that_runs(name, made):
    along, _, graph = on_axis(PICTURES[name], 60)
    least = least_input(along.walk, graph.outputs[0], made)
    sizes = {}
    for size in range(1, least + 3):
        try:
            with torch.no_grad():
                sizes[size] = PICTURES[name](torch.zeros(1, 3, size, size)).shape[2]
        except RuntimeError:
            sizes[size] = 0
    assert min(size for size, out in sizes.items() if out >= made) == least


@pytest.mark.parametrize(
    ("name", "least"),
    [("alexnet", 63), ("squeezenet1_1", 17), ("vgg11", 32), ("convnext_tiny", 32)],
)
def test_networks_run_from_the_least_size_on(name, least):
    """As the published ``min_size`` of their weights says, and as running them on shapes says."""
    make_importable()
    import torchvision

    source = source_of(f"torchvision:{name}")
    found = reach(tape(source), Executor())
    published = torchvision.models.get_model_weights(name).DEFAULT.meta["min_size"]
    assert {along.least for along in found.axes} == {least} == set(published)
    assert accepted(source, {}, [2, 3], range(least - 2, least + 2)) == [least, least + 1]


def test_the_sizes_a_model_takes_in_words():
    assert str(sizes([16, 32, 48], 50)) == "the multiples of 16, from 16 (tried up to 50)"
    assert str(sizes([5, 7, 9], 10)) == "1 more than a multiple of 2, from 5 (tried up to 10)"
    assert str(sizes([3, 4, 5], 5)) == "3 and every larger one (tried up to 5)"
    assert str(sizes([3, 5, 6], 7)) == "3, 5, 6 (of those up to 7)"
    assert str(sizes([7], 9)) == "7 alone (of the sizes up to 9)"
    assert str(sizes([], 9)) == "none of the sizes up to 9"


def test_a_u_net_takes_multiples():
    """Two halvings and two doublings that must meet."""

    def forward(m, x):
        half = m.down(x)
        return x + m.up(half + m.up(m.down(half)))

    net = Do(forward, down=nn.MaxPool2d(2), up=nn.Upsample(scale_factor=2))
    source = source_of(net, inputs=(Input(1, 1, 8, 8),))
    assert sizes(accepted(source, {}, [2, 3], range(1, 33)), 32).step == 4


# -- published networks ---------------------------------------------------------------------


TABLE = list(csv.DictReader((DATA / "receptive_fields.csv").open(encoding="utf-8")))


@pytest.mark.parametrize("name", sorted({row["network"] for row in TABLE}))
def test_the_published_table(name):
    """Araujo, Norris & Sim's numbers on layouts rebuilt as TF-Slim has them."""
    model, size, ends = slim(name)
    graph = tape(model, Input(1, 3, size, size))
    along = reach(graph, Executor(), ["H"]).axes[0]
    last = {node.scope: node.results[0] for node in graph.nodes}
    rows = [row for row in TABLE if row["network"] == name]
    for row in rows:
        one = along.of(last[ends[row["end_point"]]])
        found = (one.size, one.stride, one.padding)
        wanted = [int(row[key] or one.padding) for key in ("receptive_field", "stride", "padding")]
        assert found == tuple(wanted), row["end_point"]
