"""Convolutions, forward and backward, against plain loops over counting numbers."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from botec.ops.facts import flops, multiplications
from tests.ops.calls_for import call, like, tensor
from tests.ops.counting import Table, backward, multiply_add, number, tally


@st.composite
def convolutions(draw):
    """Small convolutions of one to three axes: grouped, strided, padded, dilated."""
    axes = draw(st.integers(1, 3))
    each = lambda low, high: draw(st.tuples(*[st.integers(low, high)] * axes))  # noqa: E731
    groups, inside, outside = (draw(st.integers(1, 2)) for _ in range(3))
    kernel, dilation = each(1, 2), each(1, 2)
    return {
        "batch": draw(st.integers(1, 2)),
        "channels": groups * inside,
        "made": groups * outside,
        "groups": groups,
        "kernel": kernel,
        "size": each(3, 4 if axes < 3 else 3),
        "stride": each(1, 2),
        "padding": each(0, 1),
        "dilation": dilation,
    }


def operands(shape, transposed):
    x = torch.randn(shape["batch"], shape["channels"], *shape["size"], dtype=torch.float64)
    read, write = shape["channels"], shape["made"]
    first, second = (read, write) if transposed else (write, read)
    weight = torch.randn(first, second // shape["groups"], *shape["kernel"], dtype=torch.float64)
    return x, weight


def real(shape, x, weight, transposed):
    padding = (0,) * len(shape["kernel"]) if transposed else shape["padding"]
    stride, dilation, none = shape["stride"], shape["dilation"], (0,) * len(shape["kernel"])
    return torch.ops.aten.convolution(
        x, weight, None, stride, padding, dilation, transposed, none, shape["groups"]
    )


def taps(shape):
    """Every place of the kernel."""
    return itertools.product(*map(range, shape["kernel"]))


def forward_loops(shape, x, weight, size):
    """Each output number gathers its window, zeros of the padding too."""
    result = Table((shape["batch"], shape["made"], *size))
    inside, outside = (shape[name] // shape["groups"] for name in ("channels", "made"))
    for n, o, *place in result.places():
        total = number(0)
        for i, tap in itertools.product(range(inside), taps(shape)):
            at = [
                p * s + t * d - q
                for p, s, t, d, q in zip(place, shape["stride"], tap, shape["dilation"],
                                         shape["padding"], strict=True)
            ]  # fmt: skip
            source = x[(n, o // outside * inside + i, *at)]
            total = multiply_add(total, source, weight[(o, i, *tap)])
        result[(n, o, *place)] = total
    return result


def transposed_loops(shape, x, weight, size):
    """Each input number is spread over its window."""
    result = Table((shape["batch"], shape["made"], *size))
    inside, outside = (shape[name] // shape["groups"] for name in ("channels", "made"))
    for n, c, *place in x.places():
        for o, tap in itertools.product(range(outside), taps(shape)):
            steps = zip(place, shape["stride"], tap, shape["dilation"], strict=True)
            at = [p * s + t * d for p, s, t, d in steps]
            target = (n, c // inside * outside + o, *at)
            source = x[(n, c, *place)]
            result[target] = multiply_add(result[target], source, weight[(c, o, *tap)])
    return result


def asked_of(shape, x, weight, out, transposed):
    return call("aten.convolution", [like(out)], input=like(x), weight=like(weight), bias=None,
                stride=shape["stride"], padding=shape["padding"], dilation=shape["dilation"],
                transposed=transposed, output_padding=(0,), groups=shape["groups"])  # fmt: skip


def asked_back(shape, x, weight, out, transposed, mask):
    return call("aten.convolution_backward", [like(x), like(weight), tensor(shape["made"])],
                grad_output=like(out), input=like(x), weight=like(weight), bias_sizes=None,
                stride=shape["stride"], padding=shape["padding"], dilation=shape["dilation"],
                transposed=transposed, output_padding=(0,), groups=shape["groups"],
                output_mask=mask)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(convolutions(), st.booleans())
def test_forward(shape, transposed):
    x, weight = operands(shape, transposed)
    out = real(shape, x, weight, transposed)
    loops = transposed_loops if transposed else forward_loops
    done, result = tally(loops, shape, Table.of(x), Table.of(weight), out.shape[2:])
    assert result.values() == pytest.approx(out.flatten().tolist(), abs=1e-9)
    asked = asked_of(shape, x, weight, out, transposed)
    assert multiplications(asked) == done["products"]
    assert flops(asked) == 2 * done["products"]


def padded(shape, x):
    """The input with its zeros written out, so that the chain rule meets them too."""
    edges = [edge for size in reversed(shape["padding"]) for edge in (size, size)]
    return {**shape, "padding": (0,) * len(shape["kernel"])}, torch.nn.functional.pad(x, edges)


@settings(max_examples=20, deadline=None)
@given(
    convolutions(), st.booleans(), st.sampled_from([(1, 1), (1, 0), (0, 1), (0, 0)]), st.booleans()
)
def test_backward_by_the_chain_rule(shape, transposed, wanted, biased):
    plain = {**shape, "padding": (0,) * len(shape["kernel"])}
    x, weight = operands(shape, transposed)
    if not transposed:
        plain, x = padded(shape, x)
    loops = transposed_loops if transposed else forward_loops
    out = real(plain, x, weight, transposed)
    tables = Table.of(x, bool(wanted[0])), Table.of(weight, bool(wanted[1]))
    _, result = tally(loops, plain, *tables, out.shape[2:])
    results = [result[place] for place in result.places()]
    done, _ = tally(backward, results, [1.0] * len(results))
    if wanted[1]:
        check_weight_gradient(plain, x, weight, transposed, tables[1])
    asked = asked_back(plain, x, weight, out, transposed, (*map(bool, wanted), biased))
    assert multiplications(asked) == done["gradients"]
    sums = out.numel() - out.shape[1] if biased else 0
    assert flops(asked) == 2 * done["gradients"] + sums


def check_weight_gradient(shape, x, weight, transposed, table):
    """The judge is right: its gradients are the framework's."""
    weight = weight.requires_grad_()
    (expected,) = torch.autograd.grad(real(shape, x, weight, transposed).sum(), weight)
    found = [table[place].grad or 0.0 for place in table.places()]
    assert found == pytest.approx(expected.flatten().tolist(), abs=1e-9)


def test_a_depthwise_weight_gradient_divides_by_its_groups():
    """48 channels in 48 groups: as large as forward, not 48 times as large."""
    shape = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 48, "made": 48}
    x, weight, out = torch.empty(2, 48, 8, 8), torch.empty(48, 1, 3, 3), torch.empty(2, 48, 8, 8)
    asked = asked_back(shape, x, weight, out, False, (False, True, False))
    assert multiplications(asked) == 2 * 48 * 64 * 9


def test_other_names_of_a_convolution():
    shared = {"self": tensor(2, 4, 5, 5), "weight": tensor(6, 2, 3, 3), "bias": None, "groups": 2}
    for name in ("aten.mkldnn_convolution", "aten.cudnn_convolution", "aten.miopen_convolution"):
        assert multiplications(call(name, (2, 6, 3, 3), **shared)) == 2 * 6 * 9 * 2 * 9
    spread = {**shared, "self": tensor(2, 6, 3, 3)}
    asked = call("aten.cudnn_convolution_transpose", (2, 4, 5, 5), **spread)
    assert multiplications(asked) == 2 * 6 * 9 * 2 * 9
