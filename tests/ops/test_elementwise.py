"""Norms, softmaxes, pools, losses, resampling: term by term against counting numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from botec.ops.facts import flops, multiplications
from tests.ops.calls_for import call, like, tensor
from tests.ops.counting import (
    Number,
    Table,
    function,
    greatest_of,
    number,
    tally,
    total_of,
)

few = settings(max_examples=10, deadline=None)
F = torch.nn.functional


def random(*shape, wanted=False):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=wanted)


def numbers(values):
    return [number(float(value)) for value in values]


def values(found):
    return [each.value for each in found]


def plainly(done, asked):
    """The whole count is elementwise, and none of it products of matrices."""
    assert multiplications(asked) == 0
    assert flops(asked) == done["elementwise"]


def softmax(row):
    top = greatest_of(row)
    powers = [function("exp", x - top) for x in row]
    bottom = total_of(powers)
    return [power / bottom for power in powers]


def log_softmax(row):
    top = greatest_of(row)
    away = [x - top for x in row]
    bottom = function("log", total_of([function("exp", x) for x in away]))
    return [x - bottom for x in away]


def softmax_backward(row, grad):
    met = [g * y for g, y in zip(grad, row, strict=True)]
    inside = total_of(met)
    return [(g - inside) * y for g, y in zip(grad, row, strict=True)]


def log_softmax_backward(row, grad):
    inside = total_of(grad)
    return [g - function("exp", y) * inside for g, y in zip(grad, row, strict=True)]


SOFTMAXES = {
    "_softmax": (softmax, softmax_backward),
    "_log_softmax": (log_softmax, log_softmax_backward),
}


@few
@given(st.sampled_from(list(SOFTMAXES)), st.integers(1, 3), st.integers(1, 5))
def test_softmaxes(name, rows, n):
    forward, backward = SOFTMAXES[name]
    x = random(rows, n, wanted=True)
    y = getattr(F, name[1:])(x, -1)
    work = lambda: [z for row in x.tolist() for z in forward(numbers(row))]  # noqa: E731
    done, found = tally(work)
    assert values(found) == pytest.approx(y.flatten().tolist())
    plainly(done, call(f"aten.{name}", (rows, n), self=like(x), dim=-1, half_to_float=False))
    grad = random(rows, n)
    (expected,) = torch.autograd.grad(y, x, grad)
    pairs = list(zip(y.tolist(), grad.tolist(), strict=True))
    done, found = tally(lambda: [z for a, b in pairs for z in backward(numbers(a), numbers(b))])
    assert values(found) == pytest.approx(expected.flatten().tolist())
    plainly(done, call(f"aten.{name}_backward_data", (rows, n), grad_output=like(x), output=like(x),
                       dim=1, input_dtype=6))  # fmt: skip


def statistics(row):
    n = len(row)
    mean = total_of(row) / n
    variance = total_of([d * d for d in [x - mean for x in row]]) / n
    bottom = function("sqrt", variance + 1e-5)
    return mean, number(1 / bottom.value)


def normalised(row, mean, scale, weight, bias):
    found = [(x - mean) * scale for x in row]
    if weight is not None:
        found = [x * w for x, w in zip(found, weight, strict=True)]
    return found if bias is None else [x + b for x, b in zip(found, bias, strict=True)]


def norm_backward(row, grad, mean, scale, weight):
    """Gradient of one row, and the normalised row, which the weight's gradient needs too."""
    n, again = len(row), normalised(row, mean, scale, None, None)
    if weight is not None:
        grad = [g * w for g, w in zip(grad, weight, strict=True)]
    first = total_of(grad) / n
    second = total_of([g * x for g, x in zip(grad, again, strict=True)]) / n
    return [(g - first - x * second) * scale for g, x in zip(grad, again, strict=True)], again


@few
@given(st.integers(1, 3), st.integers(2, 5), st.booleans())
def test_layer_norm(rows, n, weighted):
    x = random(rows, n, wanted=True)
    weight, bias = (random(n, wanted=True) if weighted else None for _ in range(2))
    y = F.layer_norm(x, (n,), weight, bias)
    scaled = None if weight is None else numbers(weight.tolist())
    shifted = None if bias is None else numbers(bias.tolist())

    def forward():
        rows_found = (numbers(row) for row in x.tolist())
        return [z for row in rows_found for z in normalised(row, *statistics(row), scaled, shifted)]

    done, found = tally(forward)
    assert values(found) == pytest.approx(y.flatten().tolist())
    named = {"input": like(x), "normalized_shape": (n,)}
    given_weights = {name: tensor(n) if weighted else None for name in ("weight", "bias")}
    plainly(done, call("aten.native_layer_norm", (rows, n), **named, **given_weights, eps=1e-5))
    grad = random(rows, n)
    kept = [statistics(numbers(row)) for row in x.tolist()]

    def backward():
        pairs = zip(x.tolist(), grad.tolist(), kept, strict=True)
        return [norm_backward(numbers(a), numbers(g), *row, scaled) for a, g, row in pairs]

    done, found = tally(backward)
    (expected,) = torch.autograd.grad(y, x, grad, retain_graph=True)
    assert [z.value for row, _ in found for z in row] == pytest.approx(expected.flatten().tolist())
    named |= {"grad_out": like(x), "mean": tensor(rows, 1), "rstd": tensor(rows, 1)}
    asked = call("aten.native_layer_norm_backward", (rows, n), **named, **given_weights,
                 output_mask=(True, False, False))  # fmt: skip
    plainly(done, asked)
    if weighted:
        gradients = [[again for _, again in found], grad.tolist()]
        more = parameter_gradients(*gradients, torch.autograd.grad(y, [weight, bias], grad))
        whole = call("aten.native_layer_norm_backward", (rows, n), **named, **given_weights,
                     output_mask=(True, True, True))  # fmt: skip
        assert flops(whole) == done["elementwise"] + more["elementwise"]


def parameter_gradients(again, grad, expected):
    """Weight: products summed over the rows; bias: the rows summed."""

    def work():
        met = [
            [number(g) * x for g, x in zip(*pair, strict=True)]
            for pair in zip(grad, again, strict=True)
        ]
        of_weight = [total_of(column) for column in zip(*met, strict=True)]
        return of_weight, [total_of(numbers(column)) for column in zip(*grad, strict=True)]

    done, (of_weight, of_bias) = tally(work)
    assert values(of_weight) == pytest.approx(expected[0].tolist())
    assert values(of_bias) == pytest.approx(expected[1].tolist())
    return done


def test_batch_norm_is_a_norm_of_channels():
    n, c, size = 2, 3, 2
    x = random(n, c, size, wanted=True)
    weight, bias = random(c, wanted=True), random(c, wanted=True)
    running = [torch.zeros(c, dtype=torch.float64), torch.ones(c, dtype=torch.float64)]
    y = F.batch_norm(x, *running, weight, bias, training=True, momentum=0.1)
    channels = [numbers(x[:, place].flatten().tolist()) for place in range(c)]

    def forward():
        found = []
        for place, row in enumerate(channels):
            mean, scale = statistics(row)
            for old, new in ((0.0, mean), (1.0, mean)):
                number(0.9) * old + new * 0.1
            wide = [[number(each[place].item())] * len(row) for each in (weight, bias)]
            found.append(normalised(row, mean, scale, *wide))
        return found

    done, found = tally(forward)
    expected = [y[:, place].flatten().tolist() for place in range(c)]
    assert [values(row) for row in found] == [pytest.approx(row) for row in expected]
    state = {"running_mean": tensor(c), "running_var": tensor(c)}
    named = {"input": like(x), "weight": tensor(c), "bias": tensor(c), **state}
    asked = call(
        "aten.native_batch_norm", (n, c, size), **named, training=True, momentum=0.1, eps=1e-5
    )
    plainly(done, asked)
    grad = random(n, c, size)
    kept = [statistics(row) for row in channels]
    (gradient,) = torch.autograd.grad(y, x, grad)

    def backward():
        found = []
        for place, row in enumerate(channels):
            mean, scale = kept[place]
            again = [(value - mean) * scale for value in row]
            g = numbers(grad[:, place].flatten().tolist())
            first = total_of(g)
            second = total_of([a * b for a, b in zip(g, again, strict=True)])
            first, second = first / len(row), second / len(row)
            scale = scale * weight[place].item()
            found.append([(a - first - b * second) * scale for a, b in zip(g, again, strict=True)])
        return found

    done, found = tally(backward)
    expected = [gradient[:, place].flatten().tolist() for place in range(c)]
    assert [values(row) for row in found] == [pytest.approx(row) for row in expected]
    asked = call("aten.native_batch_norm_backward", (n, c, size), grad_out=like(x), **named,
                 train=True, output_mask=(True, True, True))  # fmt: skip
    plainly(done, asked)


def test_rms_norm():
    rows, n = 2, 4
    x, weight = random(rows, n, wanted=True), random(n, wanted=True)
    y = F.rms_norm(x, (n,), weight, eps=1e-6)
    w = numbers(weight.tolist())

    def bottom(row):
        root = function("sqrt", total_of([a * a for a in row]) / n + 1e-6)
        return number(1 / root.value)

    def forward():
        found = []
        for row in map(numbers, x.tolist()):
            scale = bottom(row)
            found += [a * scale * b for a, b in zip(row, w, strict=True)]
        return found

    done, found = tally(forward)
    assert values(found) == pytest.approx(y.flatten().tolist())
    named = {"input": like(x), "normalized_shape": (n,), "weight": tensor(n)}
    plainly(done, call("aten._fused_rms_norm", (rows, n), **named, eps=1e-6))
    grad = random(rows, n)
    (expected,) = torch.autograd.grad(y, x, grad)
    kept = [bottom(numbers(row)) for row in x.tolist()]

    def backward():
        found = []
        for row, g, scale in zip(x.tolist(), grad.tolist(), kept, strict=True):
            again = [a * scale for a in numbers(row)]
            g = [a * b for a, b in zip(numbers(g), w, strict=True)]
            inside = total_of([a * b for a, b in zip(g, again, strict=True)]) / n
            found += [(a - b * inside) * scale for a, b in zip(g, again, strict=True)]
        return found

    done, found = tally(backward)
    assert values(found) == pytest.approx(expected.flatten().tolist())
    asked = call("aten._fused_rms_norm_backward", (rows, n), grad_out=like(x), **named,
                 output_mask=(True, False))  # fmt: skip
    plainly(done, asked)


@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), (2, 2)), ((3, 2), (1, 1))])
def test_pooling(kernel, stride):
    x = random(1, 2, 5, 4)
    table = Table.of(x)

    def pooled(gather, size):
        result = []
        for n, c, i, j in Table(size).places():
            window = [
                table[(n, c, i * stride[0] + a, j * stride[1] + b)]
                for a in range(kernel[0])
                for b in range(kernel[1])
            ]
            result.append(gather(window))
        return result

    options = {"self": like(x), "kernel_size": kernel, "stride": stride}
    for name, gather, real in (
        ("max_pool2d_with_indices", greatest_of, F.max_pool2d),
        ("avg_pool2d", lambda window: total_of(window) / len(window), F.avg_pool2d),
    ):
        expected = real(x, kernel, stride)
        done, found = tally(pooled, gather, expected.shape)
        assert values(found) == pytest.approx(expected.flatten().tolist())
        plainly(done, call(f"aten.{name}", tuple(expected.shape), **options))


def reductions(x):
    n = len(x)
    mean = lambda: total_of(x) / n  # noqa: E731

    def variance():
        middle = mean()
        return total_of([d * d for d in [a - middle for a in x]]) / (n - 1)

    def logsumexp():
        top = greatest_of(x)
        return function("log", total_of([function("exp", a - top) for a in x])) + top

    return {
        "sum": lambda: total_of(x),
        "mean": mean,
        "amax": lambda: greatest_of(x),
        "var": variance,
        "std": lambda: function("sqrt", variance()),
        "logsumexp": logsumexp,
        "linalg_vector_norm": lambda: function("sqrt", total_of([a * a for a in x])),
    }


@pytest.mark.parametrize("name", list(reductions([])))
def test_reductions(name):
    x = random(6)
    done, found = tally(reductions(numbers(x.tolist()))[name])
    real = torch.linalg.vector_norm(x) if name == "linalg_vector_norm" else getattr(x, name)(0)
    assert found.value == pytest.approx(real.item())
    plainly(done, call(f"aten.{name}", (), self=like(x), dim=(0,), ord=2))


def test_running_sum():
    def work():
        total, found = Number(0.5), []
        for x in numbers(range(5)):
            total = total + x
            found.append(total)

    done, _ = tally(work)
    assert flops(call("aten.cumsum", (3, 6), self=tensor(3, 6), dim=1)) == 3 * done["elementwise"]


def linear_between(a, b, share):
    return a * (1 - share) + b * share


def test_bilinear_resampling():
    def one(share_y, share_x):
        corners = numbers([1, 2, 3, 4])
        top, low = (
            corners[i] * share_x[0] + corners[i + 1] * share_x[1] for i in (0, 2)
        )  # the weights are shared by all channels
        return top * share_y[0] + low * share_y[1]

    done, _ = tally(one, (0.5, 0.5), (0.25, 0.75))
    asked = call(
        "aten.upsample_bilinear2d", (2, 3, 8, 8), self=tensor(2, 3, 4, 4), output_size=(8, 8)
    )
    assert flops(asked) == 2 * 3 * 64 * done["elementwise"]


def test_losses():
    x, t = numbers([0.2, 0.5, 0.9]), numbers([0.0, 1.0, 1.0])

    def squares():
        return total_of([d * d for d in [a - b for a, b in zip(x, t, strict=True)]]) / 3

    def entropy():
        return total_of([
            Number(0) - (b * function("log", a) + (1 - b) * function("log", 1 - a))
            for a, b in zip(x, t, strict=True)
        ]) / 3  # fmt: skip

    for name, work in (("mse_loss", squares), ("binary_cross_entropy", entropy)):
        real = getattr(F, name)
        done, found = tally(work)
        expected = real(torch.tensor(values(x)), torch.tensor(values(t)))
        assert found.value == pytest.approx(expected.item(), rel=1e-6)
        named = {"self": tensor(3), "target": tensor(3), "weight": None, "reduction": 1}
        plainly(done, call(f"aten.{name}", (), **named))


def test_whole_numbers_are_no_floating_point():
    for dtype in ("int64", "bool"):
        asked = call("aten.add", [tensor(4, dtype=dtype)], self=tensor(4, dtype=dtype),
                     other=tensor(4, dtype=dtype), alpha=1)  # fmt: skip
        assert flops(asked) == 0
    assert flops(call("aten.lt", [tensor(4, dtype="bool")], self=tensor(4), other=tensor(4))) == 0
    counted = call("aten.sum", [tensor()], self=tensor(5, dtype="int64"))
    assert flops(counted) == 4


def test_complex_elementwise():
    pair = {"self": tensor(3, dtype="complex64"), "other": tensor(3, dtype="complex64")}
    out = [tensor(3, dtype="complex64")]

    def product():
        a, b, c, d = numbers(range(1, 5))
        return a * c - b * d, a * d + b * c

    done, _ = tally(product)
    assert flops(call("aten.mul", out, **pair)) == 3 * done["elementwise"]
    assert flops(call("aten.add", out, **pair, alpha=1)) == 6


def test_ops_of_several_results():
    base = {"self": tensor(5), "tensor1": tensor(5), "tensor2": tensor(5), "value": 0.1}
    s, a, b = numbers([1, 2, 3])
    for name, work in (
        ("addcmul", lambda: s + a * b * 0.1),
        ("addcdiv", lambda: s + a / b * 0.1),
    ):
        done, _ = tally(work)
        assert flops(call(f"aten.{name}", (5,), **base)) == 5 * done["elementwise"]
    done, _ = tally(lambda: s + (a - s) * 0.1)
    assert (
        flops(call("aten.lerp", (5,), self=tensor(5), end=tensor(5), weight=0.1))
        == 5 * done["elementwise"]
    )
    done, _ = tally(lambda: s + a * 0.1)
    asked = call("aten.add", (5,), self=tensor(5), other=tensor(5), alpha=0.1)
    assert flops(asked) == 5 * done["elementwise"]
