"""Fast Fourier transforms, by the butterflies of radix 2.

A transform of n points is (n/2) log2 n butterflies; each is one complex product (4 real
multiplications and 2 additions) and two complex additions (4 additions): 2 n log2 n multiplications
and 5 n log2 n operations in all (Cooley and Tukey 1965; 5 n log2 n is what FFTW's benchmarks call
"mflops"). Products with 1 and -i are counted as the others. n is the product of the transformed
sizes, as transforms along several axes add up their logarithms. Sizes that are not powers of two
take the same formula: an estimate there, as kernels differ. A transform of real numbers, or to real
ones, takes half. These are no whole numbers where log2 n is none.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Tensor
from botec.ops.facts import op
from botec.poly import log2, product

complex_to_complex = op("complex transform", "aten._fft_c2c")
real_to_complex = op("transform of reals", "aten._fft_r2c")
complex_to_real = op("transform to reals", "aten._fft_c2r")


def levels(shape: tuple[Any, ...], dim: tuple[int, ...]) -> Any:
    """log2 of the transformed points: a whole number as such."""
    depth = log2(product(shape[axis] for axis in dim))
    return int(depth) if isinstance(depth, float) and depth.is_integer() else depth


def halved(amount: Any) -> Any:
    """Half of a number that need not be whole."""
    return amount * 0.5


@complex_to_complex.multiplications
def _(self: Tensor, dim):
    """2 n log2 n per transform of n points."""
    return 2 * self.elements * levels(self.shape, dim)


@complex_to_complex.flops
def _(self: Tensor, dim):
    """5 n log2 n per transform of n points."""
    return 5 * self.elements * levels(self.shape, dim)


@real_to_complex.multiplications
def _(self: Tensor, dim):
    """n log2 n: half of the complex transform's."""
    return self.elements * levels(self.shape, dim)


@real_to_complex.flops
def _(self: Tensor, dim):
    """5/2 n log2 n: half of the complex transform's."""
    return halved(5 * self.elements * levels(self.shape, dim))


@complex_to_real.multiplications
def _(outputs: tuple[Tensor, ...], dim):
    """n log2 n, n counted on the real side."""
    return outputs[0].elements * levels(outputs[0].shape, dim)


@complex_to_real.flops
def _(outputs: tuple[Tensor, ...], dim):
    """5/2 n log2 n, n counted on the real side."""
    return halved(5 * outputs[0].elements * levels(outputs[0].shape, dim))
