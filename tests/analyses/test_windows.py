"""Sizes beside torch's own layers, and reach beside NaNs sent through a real chain."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from botec.analyses.windows import (
    Window,
    border,
    chain_from,
    field,
    needed,
    period,
    reach,
    reads,
    report,
    sizes,
    unused,
    window,
)
from botec.errors import BadInput

torch = pytest.importorskip("torch")

NAN = float("nan")


def layer_of(one: Window):
    """The real layer, all weights one (none is 0, so no NaN is lost)."""
    kind = torch.nn.ConvTranspose1d if one.transposed else torch.nn.Conv1d
    more = {"output_padding": one.output_padding} if one.transposed else {}
    more |= {"dilation": one.dilation, "bias": False, "dtype": torch.float64}
    made = kind(1, 1, one.kernel, one.stride, one.padding, **more)
    torch.nn.init.ones_(made.weight)
    return made


def through(chain, values):
    """A real forward in float64, which no kernel computes in blocks that carry a NaN further."""
    with torch.no_grad():
        for one in chain:
            values = layer_of(one)(values)
    return values


def nan_reads(chain, size):
    """Which inputs each output depends on: those whose NaN reaches it."""
    batch = torch.zeros(size, 1, size, dtype=torch.float64)
    batch[torch.arange(size), 0, torch.arange(size)] = NAN
    reached = through(chain, batch)[:, 0].isnan()
    return [set(reached[:, place].nonzero()[:, 0].tolist()) for place in range(reached.shape[1])]


@st.composite
def windows(draw, transposed=True):
    turned = transposed and draw(st.booleans())
    stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    more = draw(st.integers(0, max(stride, dilation) - 1)) if turned else 0
    return Window(
        draw(st.integers(1, 6)), stride, draw(st.integers(0, 4)), dilation, turned, more
    )  # fmt: skip


def fits(chain, size):
    try:
        return sizes(chain, size)
    except BadInput:
        return None


@given(windows(), st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_sizes_are_torchs_and_so_are_refusals(one, size):
    """torch refuses a kernel larger than its padded input, and a layer without output."""
    found = fits([one], size)
    try:
        real = layer_of(one)(torch.zeros(1, 1, size, dtype=torch.float64)).shape[-1]
    except RuntimeError as error:
        if not re.search("can't be greater than actual input size|too small", str(error)):
            raise
        real = None
    assert (found[-1] if found else None) == (real or None)


@given(st.lists(windows(), min_size=1, max_size=4), st.integers(1, 30))
@settings(max_examples=150, deadline=None)
def test_every_output_reads_what_a_nan_says(chain, size):
    widths = fits(chain, size)
    assume(widths and max(widths) <= 120)
    real = nan_reads(chain, size)
    assert [reads(chain, size, place) for place in range(widths[-1])] == real


@given(st.lists(windows(transposed=False), min_size=1, max_size=4), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_outputs_at_the_border_are_those_that_meet_padding(chain, size):
    """With NaN for padding, at every layer."""
    widths = fits(chain, size)
    assume(widths)
    values = torch.zeros(1, 1, size, dtype=torch.float64)
    with torch.no_grad():
        for one in chain:
            values = torch.nn.functional.pad(values, (one.padding, one.padding), value=NAN)
            bare = Window(one.kernel, one.stride, 0, one.dilation)
            values = layer_of(bare)(values)
    assert border(chain, size) == int(values.isnan().sum())


@given(st.lists(windows(transposed=False), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_the_chain_formula(chain):
    """1 + Σ D (K - 1) Π S, start -Σ P Π S, jump Π S (Araujo et al. 2019, eqs 2, 5-12)."""
    size, start, jump = 1, 0, 1
    for one in chain:
        size += one.dilation * (one.kernel - 1) * jump
        start -= one.padding * jump
        jump *= one.stride
    seen = reach(chain)
    assert (seen.least, seen.most, seen.start, seen.jump) == (size, size, start, jump)
    assert seen.center == start + (size - 1) / 2


@given(st.lists(windows(), min_size=1, max_size=4), st.integers(0, 50))
@settings(max_examples=100, deadline=None)
def test_fields_repeat_one_period_on_and_lie_their_jumps_apart(chain, place):
    every = period(chain)
    shift = reach(chain).jump * every
    assert field(chain, place + every) == {one + shift for one in field(chain, place)}


@given(st.lists(windows(), min_size=1, max_size=3), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_the_largest_reach_is_that_of_an_inner_output(chain, size):
    """In a long enough input some output has no edge near it, and its NaNs span the field."""
    seen = reach(chain)
    assume(seen.most <= 40)
    big = needed(chain, 1) + 3 * 60
    widths = fits(chain, big)
    assume(widths and max(widths) < 2000)
    middle = range(widths[-1] // 3, widths[-1] - widths[-1] // 3)
    spans = {max(r) - min(r) + 1 for place in middle if (r := reads(chain, big, place))}
    assert not spans or max(spans) <= seen.most
    counts = {len(reads(chain, big, place)) for place in middle}
    assert max(counts, default=0) <= seen.read


@given(st.lists(windows(transposed=False), min_size=1, max_size=3), st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_the_needed_input_is_the_smallest(chain, size):
    widths = fits(chain, size)
    assume(widths)
    smallest = needed(chain, widths[-1])
    by_trying = next(n for n in range(1, size + 1) if (w := fits(chain, n)) and w[-1] >= widths[-1])
    assert smallest == by_trying


@given(st.lists(windows(), min_size=1, max_size=3), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_inputs_at_the_end_that_nothing_reads(chain, size):
    widths = fits(chain, size)
    assume(widths and max(widths) <= 120)
    everything = set().union(*nan_reads(chain, size))
    assert unused(chain, size) == size - 1 - max(everything, default=-1)


def test_the_first_layers_of_resnet50():
    """7/2/3 then a pooling of 3/2/1: 224 → 112 → 56, sees 11, jump 4."""
    page = report(224, (window("7/2/3"), window("3/2/1")))
    values = {key: figure.counted.value for key, figure in page.figures.items()}
    assert values["conv.output"] == 56
    assert values["conv.receptive_field"] == 11
    assert values["conv.jump"] == 4
    assert values["conv.start"] == -5
    assert values["conv.center"] == 0


def test_the_formulas_of_one_layer_give_its_numbers():
    for text in ("7/2/3", "3/1/1", "3/2/0/2", "5/3/2"):
        page = report(50, (window(text),))
        for figure in page.figures.values():
            if figure.counted.formula:
                found = eval(figure.counted.formula, {}, dict(page.setting))
                assert found == figure.counted.value, figure.key


def test_padding_does_not_widen_the_reach_and_the_page_says_so():
    with_it, without = (reach([Window(3, padding=padding)]) for padding in (1, 0))
    assert with_it.most == without.most == 3
    told = str(report(224, (window("3/1/1"),)).sections)
    assert "Padding does not widen the reach: without it an output sees 3 inputs, with it 3" in told
    assert "224 outputs of 222" in told


def test_gaps_are_told():
    told = str(report(60, (window("3/1/0/4"),)).sections)
    assert "6 are never read" in told


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: window("3/0"), "stride of 0"),
        (lambda: window("0"), "kernel of 0"),
        (lambda: window("3/1/1/0"), "dilation of 0"),
        (lambda: window("3x3"), "not a layer"),
        (lambda: Window(3, padding=-1), "padding of -1"),
        (lambda: Window(3, output_padding=1), "output padding"),
        (lambda: sizes([Window(7)], 5), "does not fit"),
        (lambda: sizes([Window(3, dilation=4)], 5), "spanning 9"),
        (lambda: sizes([Window(2, 1, 4, 1, True)], 3), "cuts all"),
        (lambda: sizes([Window(3)], 0), "not a size"),
        (lambda: chain_from((), {}), "no layer"),
        (lambda: chain_from(("3",), {"kernel": 3}), "already"),
    ],
)
def test_what_makes_no_sense_is_said_so(make, words):
    with pytest.raises(BadInput) as error:
        make()
    assert words in str(error.value)


def test_a_share_is_of_all_outputs():
    figure = report(224, (window("3/1/1"),)).figures["conv.border.share"]
    assert math.isclose(figure.counted.value, 2 / 224)
