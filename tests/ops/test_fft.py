"""Fast transforms against butterflies of counting numbers."""

import cmath
import math

import numpy as np
import pytest

from botec.ops.facts import flops, multiplications
from botec.poly import symbol
from tests.ops.calls_for import call, tensor
from tests.ops.counting import TALLY, Number, tally


def times(a, b):
    """(a + bi)(c + di): four products, two sums."""
    TALLY["multiplied"] += 4
    return (a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0])


def plus(a, b):
    return a[0] + b[0], a[1] + b[1]


def minus(a, b):
    return a[0] - b[0], a[1] - b[1]


def transform(points):
    """Radix 2, decimation in time; the twiddles are given."""
    n = len(points)
    if n == 1:
        return points
    even, odd = transform(points[::2]), transform(points[1::2])
    turned = []
    for place, point in enumerate(odd):
        twiddle = cmath.exp(-2j * math.pi * place / n)
        turned.append(times(point, (Number(twiddle.real), Number(twiddle.imag))))
    pairs = list(zip(even, turned, strict=True))
    return [plus(*pair) for pair in pairs] + [minus(*pair) for pair in pairs]


@pytest.mark.parametrize("n", [1, 2, 4, 8, 32])
def test_complex_transform(n):
    values = np.random.default_rng(0).normal(size=(n, 2))
    done, result = tally(transform, [(Number(a), Number(b)) for a, b in values])
    expected = np.fft.fft(values[:, 0] + 1j * values[:, 1])
    assert [complex(a.value, b.value) for a, b in result] == pytest.approx(list(expected))
    points = tensor(3, n, dtype="complex64")
    asked = call("aten._fft_c2c", [points], self=points, dim=(1,), normalization=0, forward=True)
    assert multiplications(asked) == 3 * done["multiplied"]
    assert flops(asked) == 3 * done["elementwise"]


def test_transform_along_two_axes_is_one_along_each():
    shape = tensor(4, 8, dtype="complex64")
    both = call("aten._fft_c2c", [shape], self=shape, dim=(0, 1), normalization=0, forward=True)
    one, other = (
        call("aten._fft_c2c", [shape], self=shape, dim=(axis,), normalization=0, forward=True)
        for axis in (0, 1)
    )
    assert flops(both) == flops(one) + flops(other)


def test_real_transforms_take_half():
    real, half = tensor(2, 16), tensor(2, 9, dtype="complex64")
    whole = tensor(2, 16, dtype="complex64")
    complex_one = call(
        "aten._fft_c2c", [whole], self=whole, dim=(1,), normalization=0, forward=True
    )
    there = call("aten._fft_r2c", [half], self=real, dim=(1,), normalization=0, onesided=True)
    back = call("aten._fft_c2r", [real], self=half, dim=(1,), normalization=0, last_dim_size=16)
    for asked in (there, back):
        assert 2 * flops(asked) == flops(complex_one)
        assert 2 * multiplications(asked) == multiplications(complex_one)


def test_transform_in_letters():
    n = symbol("N")
    points = tensor(3, n, dtype="complex64")
    asked = call("aten._fft_c2c", [points], self=points, dim=(1,), normalization=0, forward=True)
    assert flops(asked).at(N=8) == 5 * 3 * 8 * 3
