"""Group norm: sums per channel first, as its kernel does them, against counting numbers."""

import pytest
import torch

from botec.ops.facts import flops
from tests.ops.calls_for import call, like, tensor
from tests.ops.counting import function, number, tally, total_of

N, C, SIZE, GROUPS = 2, 4, 3, 2
EACH = C // GROUPS
x = torch.randn(N, C, SIZE, dtype=torch.float64, requires_grad=True)
weight = torch.randn(C, dtype=torch.float64, requires_grad=True)
bias = torch.randn(C, dtype=torch.float64, requires_grad=True)
y = torch.nn.functional.group_norm(x, GROUPS, weight, bias)
NAMED = {"input": like(x), "weight": tensor(C), "N": N, "C": C, "HxW": SIZE, "group": GROUPS}


def row(source, n, c):
    return [number(value) for value in source[n, c].tolist()]


def statistics(n, group):
    """Mean and inverse deviation of one example's group."""
    found = [a for c in range(group * EACH, (group + 1) * EACH) for a in row(x, n, c)]
    mean = total_of(found) / len(found)
    variance = total_of([d * d for d in [a - mean for a in found]]) / len(found)
    return mean, number(1 / function("sqrt", variance + 1e-5).value)


def forward():
    kept = {(n, g): statistics(n, g) for n in range(N) for g in range(GROUPS)}
    found = []
    for n in range(N):
        for c in range(C):
            mean, scale = kept[n, c // EACH]
            shift = bias[c].item()
            found += [(a - mean) * scale * weight[c].item() + shift for a in row(x, n, c)]
    return found


def test_forward():
    done, found = tally(forward)
    assert [each.value for each in found] == pytest.approx(y.flatten().tolist())
    asked = call("aten.native_group_norm", (N, C, SIZE), **NAMED, bias=tensor(C), eps=1e-5)
    assert flops(asked) == done["elementwise"]


def channel_sums(grad):
    """Sums of dy x and of dy over the places of every channel."""
    with_x, alone = {}, {}
    for n in range(N):
        for c in range(C):
            g, a = row(grad, n, c), row(x, n, c)
            with_x[n, c] = total_of([one * other for one, other in zip(g, a, strict=True)])
            alone[n, c] = total_of(g)
    return with_x, alone


def group_factors(n, group, sums, mean, scale):
    """b and c of the input's gradient a dy + b x + c."""
    share = 1 / (EACH * SIZE)
    places = range(group * EACH, (group + 1) * EACH)
    first, second = (total_of([each[n, c] * weight[c].item() for c in places]) for each in sums)
    b = (second * mean - first) * scale * scale * scale * share
    return b, b * mean * -1 - second * scale * share


def backward(grad, kept):
    sums = channel_sums(grad)
    of_input = []
    factors = {key: group_factors(*key, sums, *kept[key]) for key in kept}
    for n in range(N):
        for c in range(C):
            b, shift = factors[n, c // EACH]
            a = kept[n, c // EACH][1] * weight[c].item()
            pairs = zip(row(grad, n, c), row(x, n, c), strict=True)
            of_input += [a * g + b * value + shift for g, value in pairs]
    of_weight = [
        total_of([
            (sums[0][n, c] - sums[1][n, c] * kept[n, c // EACH][0]) * kept[n, c // EACH][1]
            for n in range(N)
        ])
        for c in range(C)
    ]  # fmt: skip
    return of_input + of_weight + [total_of([sums[1][n, c] for n in range(N)]) for c in range(C)]


def test_backward():
    grad = torch.randn_like(y)
    expected = torch.autograd.grad(y, [x, weight, bias], grad, retain_graph=True)
    kept = {(n, g): statistics(n, g) for n in range(N) for g in range(GROUPS)}
    done, found = tally(backward, grad, kept)
    flat = [value for each in expected for value in each.flatten().tolist()]
    assert [each.value for each in found] == pytest.approx(flat)
    asked = call("aten.native_group_norm_backward", (N, C, SIZE), grad_out=like(x), **NAMED,
                 output_mask=(True, True, True))  # fmt: skip
    assert flops(asked) == done["elementwise"]
