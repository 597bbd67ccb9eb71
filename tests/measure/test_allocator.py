"""The recorder of real allocations, on programs whose bytes are known by hand."""

import pytest
import torch
from torch import nn

from botec.inputs import Input
from botec.measure.allocator import live_bytes, peak_of, real_peak, record
from botec.measure.realise import realise
from botec.read.source import Source

N = 1000
PIECE = 4 * N


def chain(length):
    """-x, --x, …: two tensors are alive while the next is made."""
    x = torch.zeros(N)
    for _ in range(length):
        x = x.neg()
    return x


def kept(length):
    """All results held: they pile up."""
    results = [torch.zeros(N)]
    for _ in range(length):
        results.append(results[-1].neg())
    return results


def peak_bytes(program):
    holder = []
    return peak_of(record({"only": lambda: holder.append(program())}))


@pytest.mark.parametrize("length", [1, 2, 10])
def test_a_chain_needs_two_pieces(length):
    assert peak_bytes(lambda: chain(length)).peak == 2 * PIECE


@pytest.mark.parametrize("length", [0, 1, 10])
def test_kept_results_pile_up(length):
    assert peak_bytes(lambda: kept(length)).peak == (length + 1) * PIECE


def test_in_place_and_views_take_nothing():
    assert peak_bytes(lambda: torch.zeros(N).neg_().view(10, 100).t()).peak == PIECE


def test_what_was_there_is_added_and_counted_once():
    x = torch.zeros(N)
    assert live_bytes([x, x.view(10, 100), x[5:]]) == PIECE
    recording = record({"only": lambda: x.neg()})
    recording.base = live_bytes([x])
    assert peak_of(recording).peak == 2 * PIECE


def test_live_bytes_after_each_op():
    found = peak_bytes(lambda: kept(3))
    negs = [live for op, live in found.boundaries if op == "aten::neg"]
    assert negs == [2 * PIECE, 3 * PIECE, 4 * PIECE]


def test_phases_are_kept_apart():
    held = []
    phases = {
        "1.a": lambda: held.append(kept(4)),
        "2.a": lambda: held.append(chain(1)),
        "2.b": lambda: held.clear(),
    }
    recording = record(phases)
    assert peak_of(recording, "1.").peak == 5 * PIECE
    assert peak_of(recording, "2.").by_phase == {"a": 7 * PIECE, "b": 6 * PIECE}
    assert peak_of(recording).at_end == 0


def test_scratch_inside_an_op_is_left_out_between_ops():
    """An inverse is worked out in a copy: two matrices inside the op, one (and 4 bytes) after."""
    x, held = torch.randn(30, 30), []
    found = peak_of(record({"only": lambda: held.append(torch.linalg.inv_ex(x))}))
    matrix, info = 4 * 30 * 30, 4
    assert found.peak_at_boundaries == matrix + info
    assert found.peak >= 2 * matrix + info
    assert found.largest_scratch == ("aten::linalg_inv_ex", found.peak - found.peak_at_boundaries)


def linear_step_bytes(batch, width_in, width_out, optimizer_states):
    """A Linear without bias: weight and input stay, gradient and states are there at the end."""
    weight, x = 4 * width_in * width_out, 4 * batch * width_in
    return weight, x, weight * optimizer_states


@pytest.mark.parametrize(("optimizer", "states"), [("sgd", 0), ("sgd-momentum", 1)])
def test_a_linear_layers_training_step_by_hand(optimizer, states):
    """Peak at the backward's product: weight + states + input + gradient of the output + gradient.

    The output has died, the mean's gradient is expanded, then divided: 4·B·O bytes of it.
    """
    batch, inside, outside = 3, 50, 40
    source = Source("one", lambda: nn.Linear(inside, outside, bias=False), (Input("B", inside),))
    found = real_peak(realise(source, {"B": batch}, optimizer=optimizer))
    weight, x, state = linear_step_bytes(batch, inside, outside, states)
    by_hand = weight + state + x + 4 * batch * outside + weight
    after_product = [live for op, live in found.boundaries if op == "aten::mm"][-1]
    assert abs(after_product - by_hand) <= 8  # the loss and its gradient, 4 bytes each
    assert found.by_phase["zero"] == 2 * weight + state + x


def test_adam_keeps_two_states_and_a_counter_for_each_weight():
    source = Source("one", lambda: nn.Linear(50, 40, bias=False), (Input("B", 50),))
    step = realise(source, {"B": 3}, optimizer="adam")
    found = real_peak(step)
    at_rest = 4 * (2 * 2000 + 2 * 2000 + 1 + 3 * 50)
    assert found.by_phase["zero"] == at_rest == live_bytes(step.tensors())


def test_a_steady_step_ends_where_it_began():
    source = Source(
        "conv",
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()),
        (Input("B", 3, 12, 12),),
    )
    step = realise(source, {"B": 2}, optimizer="adamw")
    found = real_peak(step)
    assert found.at_end == found.by_phase["zero"] == live_bytes(step.tensors())
    assert found.peak >= found.peak_at_boundaries >= max(live for _, live in found.boundaries)


def test_inference_frees_as_it_goes():
    layers = [nn.Linear(64, 64, bias=False) for _ in range(6)]
    source = Source("deep", lambda: nn.Sequential(*layers), (Input("B", 64),))
    found = real_peak(realise(source, {"B": 256}, train=False))
    piece = 4 * 256 * 64
    assert (
        found.peak_at_boundaries == 6 * 4 * 64 * 64 + 3 * piece
    )  # weights, input, one in, one out
