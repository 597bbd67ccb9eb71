"""Recurrent layers and cells: LSTM, GRU and plain, fused by oneDNN, cuDNN or the framework.

A layer is its matrices met by every row (one row per time step and example): rows x weights, the
recurrent and, where there is one, the projection matrix included. Elementwise work per hidden unit
and row is counted gate by gate below. The modes are the framework's: 0 plain with relu, 1 plain
with tanh, 2 LSTM, 3 GRU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botec.calls import Tensor, tensors_in
from botec.ops.facts import nothing, op
from botec.ops.terms import given, lines
from botec.poly import product

RELU, TANH, LSTM, GRU = range(4)
GATES = {RELU: 1, TANH: 1, LSTM: 4, GRU: 3}

# LSTM: input and recurrent part added 4, activations 4, c' = f c + i g 3, h' = o tanh(c') 2.
# GRU: r and z: added 2, activations 2; n = tanh(a + r b) 3; h' = n + z (h - n) 3.
FORWARD = {RELU: 2, TANH: 2, LSTM: 13, GRU: 10}

# LSTM: tanh(c) 1; dc = dh o (1 - tanh(c)^2) + dc 5; d(o), d(i), d(f), d(g), dc f 5; the three
# sigmoids and the tanh differentiated 12. GRU: d(n) 5, r's part of it 1, d(r) 4, d(z) 5, d(h) 1.
# Plain: the derivative's product, for tanh also 1 - h^2. In a layer the gradient coming from the
# next step is added to the output's: 1 more.
BACKWARD = {RELU: 1, TANH: 3, LSTM: 23, GRU: 16}

onednn = op("recurrent layer, oneDNN", "aten.mkldnn_rnn_layer")
onednn_backward = op("recurrent layer backward, oneDNN", "aten.mkldnn_rnn_layer_backward")
cudnn = op("recurrent layers, cuDNN", "aten._cudnn_rnn", "aten.miopen_rnn")
cudnn_backward = op("recurrent layers backward, cuDNN", "aten._cudnn_rnn_backward",
                    "aten.miopen_rnn_backward")  # fmt: skip
flatten = nothing(
    "weights are copied into one piece", "aten._cudnn_rnn_flatten_weight", kind="recurrent"
)
whole = {
    LSTM: op("LSTM", "aten.lstm"),
    GRU: op("GRU", "aten.gru"),
    TANH: op("plain recurrent layers, tanh", "aten.rnn_tanh"),
    RELU: op("plain recurrent layers, relu", "aten.rnn_relu"),
}
cells = {
    LSTM: op("LSTM cell", "aten.lstm_cell"),
    GRU: op("GRU cell", "aten.gru_cell"),
    TANH: op("plain cell, tanh", "aten.rnn_tanh_cell"),
    RELU: op("plain cell, relu", "aten.rnn_relu_cell"),
}
lstm_gates = op("LSTM cell, its gates", "aten._thnn_fused_lstm_cell")
gru_gates = op("GRU cell, its gates", "aten._thnn_fused_gru_cell")
lstm_gates_backward = op("LSTM cell's gates backward", "aten._thnn_fused_lstm_cell_backward_impl")
lstm_gates_summed = op(
    "LSTM cell's gates and biases backward", "aten._thnn_fused_lstm_cell_backward"
)
gru_gates_backward = op("GRU cell's gates backward", "aten._thnn_fused_gru_cell_backward")


def matrices(values: Any) -> tuple[Tensor, ...]:
    """The weights among ``values``; biases have one axis."""
    return tuple(tensor for tensor in tensors_in(values) if len(tensor.shape) == 2)


def rows(input: Tensor) -> Any:
    """Time steps x examples; packed sequences come as rows already."""
    return product(input.shape[:-1])


def weights(found: Sequence[Tensor]) -> Any:
    return sum(matrix.elements for matrix in found)


def units(found: Sequence[Tensor], mode: int) -> Any:
    """Hidden units of all layers and directions together: gates are stacked along axis 0.

    Matrices come in order, input's and recurrent one for each layer and direction, then the
    projection, which has fewer rows than columns times gates and no gate of its own.
    """
    gates = GATES[mode]
    stacked = [matrix for matrix in found if not is_projection(matrix, found[0])]
    return sum(matrix.shape[0] for matrix in stacked) // (2 * gates)


def is_projection(matrix: Tensor, first: Tensor) -> bool:
    """Every gated matrix is as tall as the first."""
    return matrix.shape[0] != first.shape[0]


def forward_flops(input: Tensor, found: Sequence[Tensor], mode: int) -> Any:
    """Two per multiply-add (a bias starts its sum), and the gates' own work."""
    return rows(input) * (2 * weights(found) + units(found, mode) * FORWARD[mode])


def bias_sums(has_biases: Any, mode: int) -> int:
    """Additions per hidden unit and row for the biases' gradient: one sum serves both biases."""
    return GATES[mode] * given(has_biases, False)


def backward_flops(input, found, mode: int, passes: int, sums: int) -> Any:
    """Two per multiply-add; per hidden unit the gates backward, the step's sum, the biases'."""
    elementwise = units(found, mode) * (BACKWARD[mode] + 1 + sums)
    return rows(input) * (2 * passes * weights(found) + elementwise)


@onednn.multiplications
def _(input: Tensor, weight0: Tensor, weight1: Tensor):
    """One layer, one direction: every row meets the input's matrix and the recurrent one."""
    return rows(input) * weights((weight0, weight1))


@onednn.flops
def _(input: Tensor, weight0: Tensor, weight1: Tensor, mode):
    """Two per multiply-add, and the gates."""
    return forward_flops(input, (weight0, weight1), mode)


@onednn_backward.multiplications
def _(input: Tensor, weight1: Tensor, weight2: Tensor):
    """Gradients of what each matrix read and of the matrix: two passes, always both."""
    return 2 * rows(input) * weights((weight1, weight2))


@onednn_backward.flops
def _(input: Tensor, weight1: Tensor, weight2: Tensor, mode, has_biases):
    """Two per multiply-add, and the gates."""
    sums = bias_sums(has_biases, mode)
    return backward_flops(input, (weight1, weight2), mode, 2, sums)


@cudnn.multiplications
def _(input: Tensor, weight):
    """All layers and directions: every row meets every matrix."""
    return rows(input) * weights(matrices(weight))


@cudnn.flops
def _(input: Tensor, weight, mode):
    """Two per multiply-add, and the gates."""
    return forward_flops(input, matrices(weight), mode)


@cudnn_backward.multiplications
def _(input: Tensor, weight, output_mask):
    """The pass for the data runs always; the one for the weights where they are asked for."""
    return rows(input) * weights(matrices(weight)) * (1 + output_mask[3])


@cudnn_backward.flops
def _(input: Tensor, weight, mode, output_mask):
    """Two per multiply-add, and the gates; biases are there where one-axis weights are."""
    found = matrices(weight)
    sums = bias_sums(len(found) < len(weight), mode) * output_mask[3]
    return backward_flops(input, found, mode, 1 + output_mask[3], sums)


def tell_whole(mode: int) -> None:
    """``aten.lstm`` and its like; ``params`` are theirs, the first tensor is the input."""

    @whole[mode].multiplications
    def _(inputs, params):
        return rows(inputs[0]) * weights(matrices(params))

    @whole[mode].flops
    def _(inputs, params):
        return forward_flops(inputs[0], matrices(params), mode)


def tell_cell(mode: int) -> None:
    """``aten.lstm_cell`` and its like: one step."""

    @cells[mode].multiplications
    def _(input: Tensor, w_ih: Tensor, w_hh: Tensor):
        return rows(input) * weights((w_ih, w_hh))

    @cells[mode].flops
    def _(input: Tensor, w_ih: Tensor, w_hh: Tensor):
        return forward_flops(input, (w_ih, w_hh), mode)


for cell_mode in GATES:
    tell_whole(cell_mode)
    tell_cell(cell_mode)


@lstm_gates.flops
def _(cx: Tensor, input_bias, hidden_bias):
    """13 per hidden unit (see FORWARD); a bias is added here, one per gate."""
    return cx.elements * (FORWARD[LSTM] + 4 * (given(input_bias) + given(hidden_bias)))


@gru_gates.flops
def _(hx: Tensor, input_bias, hidden_bias):
    """10 per hidden unit (see FORWARD); a bias is added here, one per gate."""
    return hx.elements * (FORWARD[GRU] + 3 * (given(input_bias) + given(hidden_bias)))


@lstm_gates_backward.flops
def _(cx: Tensor):
    """23 per hidden unit (see BACKWARD)."""
    return cx.elements * BACKWARD[LSTM]


@lstm_gates_summed.flops
def _(cx: Tensor, has_bias):
    """23 per hidden unit, and the biases' gradient: four sums over the examples."""
    additions = cx.elements - lines(cx.shape, 0)
    return cx.elements * BACKWARD[LSTM] + bias_sums(has_bias, LSTM) * additions


@gru_gates_backward.flops
def _(grad_hy: Tensor, has_bias):
    """16 per hidden unit; the biases' gradients: six sums (input's and recurrent parts differ)."""
    additions = grad_hy.elements - lines(grad_hy.shape, 0)
    return grad_hy.elements * BACKWARD[GRU] + 2 * bias_sums(has_bias, GRU) * additions
