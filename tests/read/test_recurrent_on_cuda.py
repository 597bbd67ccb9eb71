"""Recurrent layers on CUDA: shapes against the same layers run for real, the estimate's bounds.

What cuDNN keeps is not published, so nothing here claims its size; the rest is held against real
layers on the CPU: outputs, states, and as many bytes of gradients as there are of weights.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import botec
from botec.analyses.figures import Answers, memory_figures
from botec.inputs import Input
from botec.read import recurrent_on_cuda

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "plain": nn.RNN}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"batch_first": True},
    {"bidirectional": True, "num_layers": 2},
    {"bias": False, "num_layers": 2, "dropout": 0.1},
]


def read(kind: str, options: dict[str, Any], **asked: Any) -> Any:
    with torch.device("meta"):
        layer = LAYERS[kind](8, 16, **options)
    return botec.read(layer, Input("B", "S", 8), device="cuda", B=4, S=6, **asked)


def call_of(program: Any, op: str) -> Any:
    return next(call for call in program.stream().calls if call.op == op)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_one_call_runs_all_layers(kind: str, options: dict[str, Any]) -> None:
    program = read(kind, options)
    real = LAYERS[kind](8, 16, **options)
    output, state = real(torch.zeros(4, 6, 8))
    states = state if kind == "lstm" else (state,)
    made = call_of(program, "aten._cudnn_rnn").outputs
    sizes = [tuple(size.at(B=4, S=6) if hasattr(size, "at") else size for size in one.shape)
             for one in made]  # fmt: skip
    assert sizes[0] == tuple(output.shape)
    assert sizes[1] == tuple(states[0].shape)
    assert kind != "lstm" or sizes[2] == tuple(states[1].shape)


@pytest.mark.parametrize("kind", LAYERS)
def test_all_gradients_are_one_piece_of_the_weights_size(kind: str) -> None:
    program = read(kind, {"num_layers": 2})
    held = botec.memory(program).stream.storages
    gradients = [one.bytes for one in held if one.role == "gradient"]
    weights = sum(one.bytes for one in held if one.role == "parameter")
    assert gradients == [weights]


def test_the_kept_bytes_lie_between_the_bounds_and_are_said() -> None:
    program = read("lstm", {"num_layers": 2})
    (note,) = program.notes
    kept = 6 * 4 * 6 * 2 * 16 * 4
    assert f"estimate, {kept:,} bytes" in note
    assert f"{kept * 4 // 6:,} (their gates alone) to {2 * kept:,}" in note


def test_inference_keeps_nothing_and_says_nothing() -> None:
    program = read("gru", {}, train=False)
    assert program.notes == ()
    assert call_of(program, "aten._cudnn_rnn").outputs[3].bytes == 0


def test_more_steps_keep_more() -> None:
    assert recurrent_on_cuda.reserve(2, 200, 1, 16, 4) == 2 * recurrent_on_cuda.reserve(
        2, 100, 1, 16, 4
    )


def test_what_is_kept_makes_memory_an_estimate() -> None:
    """From the gates alone to twice what was taken, wherever activations are counted."""
    program = read("lstm", {"num_layers": 2})
    figures = {one.key: one for one in memory_figures(Answers(program))}
    peak, saved = figures["memory.peak"], figures["memory.saved"]
    for one in (peak, saved, figures["memory.reserved"]):
        assert one.counted.status == "estimate"
        assert one.low < one.counted.value < one.high
    assert peak.high - peak.counted.value == saved.high - saved.counted.value
    assert figures["memory.weights"].counted.status == "exact"
