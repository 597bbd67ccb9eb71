"""LSTM, GRU and plain layers against plain loops over counting numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from botec.ops.facts import flops, multiplications
from tests.ops.calls_for import call, like, tensor
from tests.ops.counting import (
    Number,
    Table,
    backward,
    dot,
    function,
    greater,
    number,
    sigmoid,
    tally,
)

few = settings(max_examples=8, deadline=None)
size = st.integers(1, 3)
MODES = {"RNN": 1, "LSTM": 2, "GRU": 3}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


def matrix_vector(weight, vector, bias):
    return [dot(weight.row(o), vector, bias[(o,)] if bias else 0.0) for o in range(weight.shape[0])]


def in_parts(numbers, count):
    each = len(numbers) // count
    return [numbers[part * each : (part + 1) * each] for part in range(count)]


def lstm_unit(a, b, hidden, cell):
    i, f, g, o = (x + y for x, y in zip(a, b, strict=True))
    cell = sigmoid(f) * cell + sigmoid(i) * function("tanh", g)
    return sigmoid(o) * function("tanh", cell), cell


def gru_unit(a, b, hidden, cell):
    reset, update = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
    new = function("tanh", a[2] + reset * b[2])
    return new + update * (hidden - new), cell


def plain_unit(a, b, hidden, cell):
    return function("tanh", a[0] + b[0]), cell


UNITS = {"LSTM": lstm_unit, "GRU": gru_unit, "RNN": plain_unit}


def layer_loops(kind, x, weights):
    """x (time, batch, features) through one layer from a state of zeros."""
    w_ih, w_hh, b_ih, b_hh = weights
    gates, units = GATES[kind], w_hh.shape[1]
    outputs = {}
    for example in range(x.shape[1]):
        hidden, cell = [Number(0)] * units, [Number(0)] * units
        for time in range(x.shape[0]):
            left = in_parts(matrix_vector(w_ih, x.row(time, example), b_ih), gates)
            right = in_parts(matrix_vector(w_hh, hidden, b_hh), gates)
            parts = zip(zip(*left, strict=True), zip(*right, strict=True), strict=True)
            pairs = [UNITS[kind](a, b, hidden[u], cell[u]) for u, (a, b) in enumerate(parts)]
            hidden, cell = map(list, zip(*pairs, strict=True))
            outputs[(time, example)] = hidden
    return outputs


def module_of(kind, features, units, **options):
    return getattr(torch.nn, kind)(features, units, **options).double()


def weight_tensors(module):
    return tuple(like(each) for each in module.parameters())


@few
@given(st.sampled_from(list(MODES)), size, size, size, size)
def test_one_layer(kind, time, batch, features, units):
    module = module_of(kind, features, units)
    x = torch.randn(time, batch, features, dtype=torch.float64)
    weights = [Table.of(each.detach()) for each in module.parameters()]
    done, outputs = tally(layer_loops, kind, Table.of(x), weights)
    found = [value.value for place in sorted(outputs) for value in outputs[place]]
    assert found == pytest.approx(module(x)[0].flatten().tolist())
    given_weights = weight_tensors(module)
    named = {f"weight{place}": weight for place, weight in enumerate(given_weights)}
    state = tensor(1, batch, units)
    onednn = call("aten.mkldnn_rnn_layer", (time, batch, units), input=like(x), **named, hx_=state,
                  cx_=state, mode=MODES[kind], has_biases=True)  # fmt: skip
    cudnn = call("aten._cudnn_rnn", (time, batch, units), input=like(x), weight=given_weights,
                 hx=state, cx=state, mode=MODES[kind])  # fmt: skip
    name = {"LSTM": "aten.lstm", "GRU": "aten.gru", "RNN": "aten.rnn_tanh"}[kind]
    whole = call(name, (time, batch, units), input=like(x), hx=state, params=given_weights)
    for asked in (onednn, cudnn, whole):
        assert multiplications(asked) == done["products"]
        assert flops(asked) == 2 * done["products"] + done["elementwise"]


def linear_chain(x, weights, units, gates):
    """The matrices of a layer with gates that do nothing: what the chain rule meets in products."""
    outputs = []
    hidden = [Number(0, wanted=True) for _ in range(units)]
    for time in range(x.shape[0]):
        left = matrix_vector(weights[0], x.row(time, 0), None)
        right = matrix_vector(weights[1], hidden, None)
        outputs += left + right
        hidden = right[:units]
    return outputs


@few
@given(st.sampled_from(list(MODES)), size, size, size)
def test_gradients_of_one_layer(kind, time, features, units):
    gates = GATES[kind]
    x = Table((time, 1, features), wanted=True)
    shapes = ((gates * units, features), (gates * units, units))
    weights = [Table(shape, wanted=True) for shape in shapes]
    outputs = linear_chain(x, weights, units, gates)
    done, _ = tally(backward, outputs, [1.0] * len(outputs))
    given_weights = tuple(tensor(*shape) for shape in shapes)
    biases = (tensor(gates * units), tensor(gates * units))
    named = {f"weight{i + 1}": each for i, each in enumerate(given_weights + biases)}
    state = tensor(1, 1, units)
    sequence = tensor(time, 1, features)
    onednn = call("aten.mkldnn_rnn_layer_backward", (time, 1, features), input=sequence, **named,
                  hx_=state, mode=MODES[kind], has_biases=True)  # fmt: skip
    assert multiplications(onednn) == done["gradients"]
    cudnn = call("aten._cudnn_rnn_backward", (time, 1, features), input=sequence,
                 weight=given_weights + biases, mode=MODES[kind],
                 output_mask=(True, True, True, True))  # fmt: skip
    assert multiplications(cudnn) == done["gradients"]
    assert flops(cudnn) == flops(onednn)
    frozen = call("aten._cudnn_rnn_backward", (time, 1, features), input=sequence,
                  weight=given_weights + biases, mode=MODES[kind],
                  output_mask=(True, True, True, False))  # fmt: skip
    assert 2 * multiplications(frozen) == done["gradients"]


@pytest.mark.parametrize("kind", list(MODES))
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
def test_layers_and_directions_add_up(kind, options):
    features, units, steps = 3, 4, 10
    module = module_of(kind, features, units, **options)
    both = 2 if options.get("bidirectional") else 1
    layers = options.get("num_layers", 1)
    reads = [features if layer == 0 else both * units for layer in range(layers)]
    products = sum(both * steps * GATES[kind] * units * (read + units) for read in reads)
    asked = call("aten._cudnn_rnn", (5, 2, units), input=tensor(5, 2, features),
                 weight=weight_tensors(module), mode=MODES[kind])  # fmt: skip
    assert multiplications(asked) == products
    per_unit = {"RNN": 2, "LSTM": 13, "GRU": 10}[kind]
    assert flops(asked) == 2 * products + layers * both * steps * units * per_unit


def test_projected_lstm_meets_its_projection():
    module = module_of("LSTM", 3, 7, proj_size=6, num_layers=2)
    asked = call("aten._cudnn_rnn", (4, 1, 6), input=tensor(4, 1, 3), weight=weight_tensors(module),
                 mode=2)  # fmt: skip
    first, second = 28 * 3 + 28 * 6 + 6 * 7, 28 * 6 + 28 * 6 + 6 * 7
    assert multiplications(asked) == 4 * (first + second)
    assert flops(asked) == 2 * multiplications(asked) + 4 * 2 * 7 * 13


def lstm_backward_unit(gates, cell_before, cell, dh, dc):
    """Derivatives of one LSTM unit by the chain rule, from saved gates."""
    i, f, g, o = gates
    tanh = function("tanh", cell)
    do = dh * tanh
    inner = dh * o * (1 - tanh * tanh) + dc
    di, dg, df = inner * g, inner * i, inner * cell_before
    return [
        di * (1 - i) * i,
        df * (1 - f) * f,
        dg * (1 - g * g),
        do * (1 - o) * o,
        inner * f,
    ]


def gru_backward_unit(reset, update, new, b, hidden, dh):
    """Derivatives of one GRU unit; b is the recurrent part of its new state."""
    dn = dh * (1 - update) * (1 - new * new)
    return [
        dn * b * (1 - reset) * reset,
        dh * (hidden - new) * (1 - update) * update,
        dn,
        dn * reset,
        dh * update,
    ]


def test_lstm_gates_backward():
    raw = torch.randn(4, dtype=torch.float64, requires_grad=True)
    before = torch.randn((), dtype=torch.float64, requires_grad=True)
    i, f, g, o = (*raw[:2].sigmoid(), raw[2].tanh(), raw[3].sigmoid())
    cell = f * before + i * g
    dh, dc = 0.7, -0.3
    expected = torch.autograd.grad((o * cell.tanh()) * dh + cell * dc, [raw, before])
    saved = [number(each.item()) for each in (i, f, g, o)]
    done, found = tally(lstm_backward_unit, saved, number(before.item()), number(cell.item()),
                        number(dh), number(dc))  # fmt: skip
    assert [each.value for each in found] == pytest.approx(
        [*expected[0].tolist(), expected[1].item()]
    )
    state = tensor(3, 5)
    asked = call("aten._thnn_fused_lstm_cell_backward_impl", (3, 20), cx=state, has_bias=True)
    assert flops(asked) == 15 * done["elementwise"]
    summed = call("aten._thnn_fused_lstm_cell_backward", (3, 20), cx=state, has_bias=True)
    assert flops(summed) == 15 * done["elementwise"] + 20 * 2


def test_gru_gates_backward():
    a = torch.randn(3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, dtype=torch.float64, requires_grad=True)
    hidden = torch.randn((), dtype=torch.float64, requires_grad=True)
    reset, update = (a[:2] + b[:2]).sigmoid()
    new = (a[2] + reset * b[2]).tanh()
    dh = 0.7
    da, db, dhidden = torch.autograd.grad((new + update * (hidden - new)) * dh, [a, b, hidden])
    values = [number(each.item()) for each in (reset, update, new, b[2], hidden)]
    done, found = tally(gru_backward_unit, *values, number(dh))
    expected = [da[0], da[1], da[2], db[2], dhidden]
    assert [each.value for each in found] == pytest.approx([each.item() for each in expected])
    asked = call(
        "aten._thnn_fused_gru_cell_backward", (3, 15), grad_hy=tensor(3, 5), has_bias=False
    )
    assert flops(asked) == 15 * done["elementwise"]


def test_cell_gates_forward():
    state = tensor(3, 5)
    numbers = [Number(0.5)] * 4
    lstm = tally(lstm_unit, numbers, numbers, Number(0), Number(0))[0]["elementwise"]
    gru = tally(gru_unit, numbers, numbers, Number(0), Number(0))[0]["elementwise"]
    free = {"input_bias": None, "hidden_bias": None}
    assert flops(call("aten._thnn_fused_lstm_cell", (3, 5), cx=state, **free)) == 15 * lstm
    assert flops(call("aten._thnn_fused_gru_cell", (3, 5), hx=state, **free)) == 15 * gru
    biased = {"input_bias": tensor(20), "hidden_bias": tensor(20)}
    assert flops(call("aten._thnn_fused_lstm_cell", (3, 5), cx=state, **biased)) == 15 * (lstm + 8)


def test_relu_layers_take_the_greater():
    done, _ = tally(lambda a, b: greater(a + b, Number(0)), Number(1), Number(2))
    weights = {
        "weight0": tensor(4, 3),
        "weight1": tensor(4, 4),
        "weight2": tensor(4),
        "weight3": tensor(4),
    }
    asked = call("aten.mkldnn_rnn_layer", (5, 2, 4), input=tensor(5, 2, 3), **weights, mode=0)
    assert flops(asked) - 2 * multiplications(asked) == 5 * 2 * 4 * done["elementwise"]
