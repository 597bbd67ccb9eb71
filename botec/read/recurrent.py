"""Recurrent layers on meta tensors as the CPU runs them.

An LSTM goes through oneDNN's fused kernel; GRU and plain RNN step through time, with the products
of all inputs taken at once before the loop (``aten/src/ATen/native/RNN.cpp``, PyTorch 2.13).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

aten = torch.ops.aten
LSTM = 2  # the kernel's number for the long short-term memory cell
KERNEL_TYPES = (torch.float32, torch.bfloat16, torch.float16)
Cell = Callable[[Any, Any, Any, Any], Any]


def lstm(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """``lstm`` layer by layer through oneDNN's kernel, as ``mkldnn_rnn`` runs it on a CPU."""
    directions = 2 if bidirectional else 1
    each = 4 if has_biases else 2
    projected = len(params) != num_layers * directions * each
    if projected or input.dtype not in KERNEL_TYPES:
        return lstm_in_steps(
            input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
        )
    # the kernel's caller holds the first input until the last layer is done
    whole = (input.transpose(0, 1) if batch_first else input).contiguous()
    hidden, cells = [], []
    kept = torch.is_grad_enabled()  # the kernel keeps its workspace by this, not by ``train``
    settings = (LSTM, hx[0].shape[2], num_layers, has_biases, bidirectional, batch_first, kept)

    def one(x: Any, place: int, backwards: bool) -> Any:
        weights = list(params[place * each : (place + 1) * each])
        if not has_biases:
            # the caller makes zeros of the weights' whole shapes, last first, and keeps them
            own, inputs = torch.zeros(weights[1].shape), torch.zeros(weights[0].shape)
            weights += [inputs, own]
        y, h, c, _ = aten.mkldnn_rnn_layer(
            x, *weights, hx[0][place], hx[1][place], backwards, [], *settings
        )
        hidden.append(h)
        cells.append(c)
        return y

    x = stack_of_layers(one, whole, num_layers, directions, dropout if train else 0.0)
    return (x.transpose(0, 1) if batch_first else x), torch.stack(hidden), torch.stack(cells)


def stack_of_layers(
    one: Callable[[Any, int, bool], Any], x: Any, layers: int, directions: int, dropout: float
) -> Any:
    """The last layer's outputs; ``one`` is a layer's one direction: input, place, backwards."""
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            outputs.append(one(x, layer * directions + direction, direction == 1))
        x = outputs[0] if directions == 1 else torch.cat(outputs, -1)
        if dropout and layer < layers - 1:
            x = torch.dropout(x, dropout, True)
    return x


def lstm_in_steps(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """``lstm`` where oneDNN has no kernel (projections, other types): it steps through time."""
    directions = 2 if bidirectional else 1
    each = len(params) // (num_layers * directions)
    hidden, cells = hx[0].unbind(0), hx[1].unbind(0)
    x = input.transpose(0, 1) if batch_first else input
    states: list[Any] = []

    def one(x: Any, place: int, backwards: bool) -> Any:
        weights = list(params[place * each : (place + 1) * each])
        projection = weights.pop() if hx[0].shape[2] != hx[1].shape[2] else None
        own = weights if has_biases else [*weights, None, None]
        start = (hidden[place], cells[place])
        made, last = lstm_through_time(x, start, own, projection, backwards)
        states.append(last)
        return made

    x = stack_of_layers(one, x, num_layers, directions, dropout if train else 0.0)
    out = x.transpose(0, 1) if batch_first else x
    last_cells = torch.stack([c for _, c in states])  # the framework stacks these first
    return out, torch.stack([h for h, _ in states]), last_cells


def lstm_through_time(
    x: Any, state: tuple[Any, Any], weights: Sequence[Any], projection: Any, backwards: bool
) -> tuple[Any, tuple[Any, Any]]:
    """All outputs of one direction of one layer, and its last states."""
    inputs, own, bias, own_bias = weights
    gates = torch.nn.functional.linear(x, inputs, bias).unbind(0)
    hidden, cell = state
    outputs = []
    for step in reversed(gates) if backwards else gates:
        hidden, cell = lstm_cell(step, hidden, cell, own, own_bias, projection)
        outputs.append(hidden)
    return torch.stack(outputs[::-1] if backwards else outputs), (hidden, cell)


def lstm_cell(
    gates: Any, hidden: Any, cell: Any, weight: Any, bias: Any, projection: Any
) -> tuple[Any, Any]:
    """One step of an LSTM; ``gates`` are the input's products with the bias already in."""
    sums = torch.nn.functional.linear(hidden, weight, bias).add_(gates)
    keep, forget, new, show = sums.unsafe_chunk(4, 1)
    keep, forget, new, show = keep.sigmoid_(), forget.sigmoid_(), new.tanh_(), show.sigmoid_()
    cell = (forget * cell).add_(keep * new)
    hidden = show * cell.tanh()
    if projection is not None:
        hidden = torch.nn.functional.linear(hidden, projection)
    return hidden, cell


def gru_cell(gates: Any, hidden: Any, weight: Any, bias: Any) -> Any:
    """One step of a GRU; ``gates`` are the input's products with the bias already in."""
    inputs = gates.unsafe_chunk(3, 1)
    own = torch.nn.functional.linear(hidden, weight, bias).unsafe_chunk(3, 1)
    reset = own[0].add_(inputs[0]).sigmoid_()
    update = own[1].add_(inputs[1]).sigmoid_()
    new = inputs[2].add(own[2].mul_(reset)).tanh_()
    return (hidden - new).mul_(update).add_(new)


def plain_cell(nonlinearity: Callable[[Any], Any]) -> Cell:
    """One step of a plain RNN."""

    def step(gates: Any, hidden: Any, weight: Any, bias: Any) -> Any:
        return nonlinearity(torch.nn.functional.linear(hidden, weight, bias).add_(gates))

    return step


def stepped(cell: Cell) -> Callable[..., Any]:
    """The kernel of a layer stack that steps ``cell`` through time."""

    def layers(
        input: Any,
        hx: Any,
        params: Any,
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Any:
        directions = 2 if bidirectional else 1
        each = 4 if has_biases else 2
        starts = hx.unbind(0)
        x = input.transpose(0, 1) if batch_first else input
        last = []

        def one(x: Any, place: int, backwards: bool) -> Any:
            weights = list(params[place * each : (place + 1) * each])
            made, state = through_time(cell, x, starts[place], weights, backwards)
            last.append(state)
            return made

        x = stack_of_layers(one, x, num_layers, directions, dropout if train else 0.0)
        return (x.transpose(0, 1) if batch_first else x), torch.stack(last)

    return layers


def through_time(
    cell: Cell, x: Any, hidden: Any, weights: Sequence[Any], backwards: bool
) -> tuple[Any, Any]:
    """All outputs of one direction of one layer, and its last state."""
    inputs, own, *biases = weights
    bias, own_bias = biases if biases else (None, None)
    gates = torch.nn.functional.linear(x, inputs, bias).unbind(0)
    outputs = []
    for step in reversed(gates) if backwards else gates:
        hidden = cell(step, hidden, own, own_bias)
        outputs.append(hidden)
    return torch.stack(outputs[::-1] if backwards else outputs), hidden


KERNELS: dict[str, Callable[..., Any]] = {
    "lstm.input": lstm,
    "gru.input": stepped(gru_cell),
    "rnn_tanh.input": stepped(plain_cell(torch.tanh)),
    "rnn_relu.input": stepped(plain_cell(torch.relu)),
}
