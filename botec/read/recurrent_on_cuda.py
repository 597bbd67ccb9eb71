"""Recurrent layers as a CUDA device runs them: all layers of a stack in one call of cuDNN.

What cuDNN keeps from the forward pass for the backward one (its reserve) and what it works in has
no published size; only the library can say it (``cudnnGetRNNTempSpaceSizes``). It is estimated here
from what the backward pass must know: of every step, layer and direction the gates, and two rows
more for a cell (its state and the hyperbolic tangent of it, or the new state before it is mixed).
Follows ``aten/src/ATen/native/cudnn/RNN.cpp`` (PyTorch 2.13) in everything else: one buffer for all
weights' gradients, the input packed with the steps outermost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from botec.ops.cuda.recurrent import (
    GRU,
    KEPT,
    LSTM,
    MOST,
    RELU,
    TANH,
    kept_bytes,
    least_reserve,
)
from botec.poly import at
from botec.program import OP, Stream

aten = torch.ops.aten
NOTE = (
    "What cuDNN's recurrent kernels keep is an estimate, {kept:,} bytes of the memory counted "
    "here; {low:,} (their gates alone) to {high:,} (twice as much) are likely. So is what they "
    "work in."
)


def layers(mode: int) -> Callable[..., Any]:
    """The kernel of a stack of layers with cells of one kind."""

    def run(
        input: Any, hx: Any, params: Any, has_biases: bool, num_layers: int, dropout: float,
        train: bool, bidirectional: bool, batch_first: bool,
    ) -> Any:  # fmt: skip
        hidden, cells = (hx[0], hx[1]) if mode == LSTM else (hx, None)
        width = hidden.shape[2] if cells is None else cells.shape[2]
        projected = hidden.shape[2] if hidden.shape[2] != width else 0
        each = len(params) // (num_layers * (2 if bidirectional else 1))
        made = aten._cudnn_rnn(
            input, list(params), each, None, hidden, cells, mode, width, projected, num_layers,
            batch_first, dropout, train, bidirectional, [], None,
        )  # fmt: skip
        return made[:3] if mode == LSTM else made[:2]

    return run


KERNELS: dict[str, Callable[..., Any]] = {
    "lstm.input": layers(LSTM),
    "gru.input": layers(GRU),
    "rnn_tanh.input": layers(TANH),
    "rnn_relu.input": layers(RELU),
}


def forward(
    input: Any, weight: Any, weight_stride0: int, weight_buf: Any, hx: Any, cx: Any, mode: int,
    hidden_size: int, proj_size: int, num_layers: int, batch_first: bool, dropout: float,
    train: bool, bidirectional: bool, batch_sizes: Any, dropout_state: Any,
) -> Any:  # fmt: skip
    """The layouts of ``_cudnn_rnn``: outputs, last states, the reserve, no buffer of weights."""
    axes = (1, 0) if batch_first else (0, 1)
    steps, batch = input.shape[axes[0]], input.shape[axes[1]]
    wide = (proj_size or hidden_size) * (2 if bidirectional else 1)
    output = input.new_empty((steps, batch, wide))
    rows = num_layers * (2 if bidirectional else 1)
    size = reserve(mode, steps * batch, rows, hidden_size, input.dtype.itemsize) if train else 0
    return (
        output.transpose(0, 1) if batch_first else output,
        hx.new_empty((rows, batch, proj_size or hidden_size)),
        input.new_empty((0,)) if cx is None else cx.new_empty((rows, batch, hidden_size)),
        torch.empty((size,), dtype=torch.uint8, device=input.device),
        input.new_empty((0,)),
    )


def reserve(mode: int, entries: Any, rows: int, width: Any, item: int) -> Any:
    """Bytes kept for the backward pass, estimated; ``entries`` are steps times examples, ``rows``
    layers times directions."""
    return KEPT[mode] * entries * rows * width * item


def backward(
    input: Any, weight: Any, weight_stride0: int, weight_buf: Any, hx: Any, cx: Any, output: Any,
    grad_output: Any, grad_hy: Any, grad_cy: Any, mode: int, hidden_size: int, proj_size: int,
    num_layers: int, batch_first: bool, dropout: float, train: bool, bidirectional: bool,
    batch_sizes: Any, dropout_state: Any, reserve: Any, output_mask: Any,
) -> Any:  # fmt: skip
    """The layouts of ``_cudnn_rnn_backward``: every weight's gradient is a piece of one buffer."""
    states = [
        torch.empty(one.shape, dtype=one.dtype, device=one.device)
        for one in (input, hx, *([] if cx is None else [cx]))
    ]
    if not output_mask[3]:
        return (*states, *[None] * (3 - len(states)), [])
    whole = input.new_empty((sum(one.numel() for one in weight),))
    pieces, place = [], 0
    for one in weight:
        pieces.append(whole[place : place + one.numel()].view(one.shape))
        place += one.numel()
    return (*states, *[None] * (3 - len(states)), pieces)


LAYOUTS: dict[str, Callable[..., Any]] = {"_cudnn_rnn": forward, "_cudnn_rnn_backward": backward}


def notes(stream: Stream, point: Mapping[str, int]) -> tuple[str, ...]:
    """What the reader must know of a step with these kernels: the estimate and its range."""
    kept = low = 0
    calls = [stream.calls[place] for kind, place, _ in stream.events() if kind == OP]
    for call in calls:
        own = int(at(kept_bytes(call), point))
        if own:
            kept, low = kept + own, low + least_reserve(call, own)
    return (NOTE.format(kept=kept, low=low, high=MOST * kept),) if kept else ()
