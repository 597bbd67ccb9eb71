"""The judge judged: the naive loops compute what the framework computes, and hand counts agree."""

import pytest
from measure.scalar import CASES, counts_of, multiplications_of

from botec.measure.operations import BLIND, SCORES, STATES, judged
from botec.read.source import Source


@pytest.mark.parametrize("name", CASES)
def test_the_loops_are_the_network(name):
    """Outputs, and in training every parameter's gradient, equal the framework's in double."""
    counts = counts_of(name)
    assert counts.outputs == pytest.approx(counts.expected, rel=1e-9, abs=1e-12)
    assert bool(counts.gradients) == CASES[name].train
    for ours, theirs in counts.gradients.values():
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_hand_counts():
    assert multiplications_of("linear") == (3 * 5 * 4, 3 * 5 * 4)
    n, k, layers = 2, 30, 3
    forward, backward = multiplications_of("mlp 30x3")
    assert forward == n * k * k * layers
    assert forward + backward == 3 * n * k * k * layers - n * k * k
    assert multiplications_of("called 100 times") == (100 * 2 * 9, 200 * 2 * 9 - 2 * 9)
    assert multiplications_of("conv2d grouped")[0] == 2 * 6 * 3 * 3 * (4 // 2) * 9
    assert multiplications_of("mlp in inference")[1] == 0


def test_padding_is_multiplied_both_ways():
    """2→6 channels 3×3 on 6×6, depthwise 3×3 with padding, 6→2 channels 1×1."""
    first, depthwise, last = 6 * 16 * 2 * 9, 6 * 16 * 9, 2 * 16 * 6
    forward, backward = multiplications_of("conv2d depthwise")
    assert forward == first + depthwise + last
    assert backward == first + 2 * depthwise + 2 * last


def test_a_transform_of_n_is_two_n_log2_n_products_and_three_additions():
    """5 n log2 n operations in all."""
    forward, backward = multiplications_of("fft")
    n, log, batch = 8, 3, 2
    assert forward == backward == batch * 2 * n * log
    squares = batch * n
    assert counts_of("fft").additions - squares == batch * 3 * n * log


def test_what_kernels_do_besides():
    """Scores again: B·heads·S·S·D; a recurrent layer's input and first states: their products."""
    plain, fused = (multiplications_of("scaled_dot_product", on_cpu=one) for one in (False, True))
    assert fused[1] - plain[1] == 2 * 2 * 3 * 3 * 2
    forward, backward = multiplications_of("lstm")
    assert forward == 3 * 2 * 4 * 4 * (3 + 4)
    assert backward == 2 * forward - 3 * 2 * 16 * 3 - 2 * 16 * 4
    assert multiplications_of("lstm", on_cpu=True) == (forward, 2 * forward)


@pytest.mark.parametrize("name", CASES)
def test_the_frameworks_counter_agrees_where_it_has_no_fault(name):
    case = CASES[name]
    source = Source(name, case.factory, case.inputs)
    found = judged(source, case.point, train=case.train)
    blind = set(found.faults) & set(BLIND.values())
    forward, backward = multiplications_of(name)
    assert (found.forward == forward) == (not blind)
    if not set(found.faults) - {SCORES, STATES}:
        assert (found.backward or 0) == backward
