"""Particles: draws of a unit with its replicas, of exactly the moments asked for.

The replicas, along the first axis: the unit itself (``SELF``), the same unit at another position of
the same example (``POSITION``), in another example (``EXAMPLE``), and another unit (``UNIT``).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

SELF, POSITION, EXAMPLE, UNIT = range(4)
REPLICAS = 4
SAMPLES = 4096
GENERATOR = 791  # of the lattice of 4096 points in four dimensions, by Korobov's P₂ the most even
REMEMBERED = 96  # earlier draws that a new one is made uncorrelated with


class Noise:
    """A source of normal particles: seeded, balanced, uncorrelated with what it gave lately.

    A sample of independent draws has chance correlations of 1/√samples, which sums along a deep
    residual stream would pile up; they are taken out.
    """

    def __init__(self, seed: int = 0, samples: int = SAMPLES) -> None:
        import numpy

        self.random = numpy.random.default_rng(seed)
        self.samples = samples
        self.earlier = numpy.empty((REMEMBERED, samples))  # written over again and again
        self.drawn = 0  # rows, ever

    def normal(self, rows: int) -> Any:
        """[rows, samples]: means 0, variances 1, no correlation within the sample."""
        import numpy

        drawn = self.spread_out(rows)
        basis = self.earlier[: self.drawn]
        drawn -= (drawn @ basis.T / self.samples) @ basis
        drawn -= drawn.mean(1, keepdims=True)
        lower = numpy.linalg.cholesky(drawn @ drawn.T / self.samples)
        drawn = numpy.linalg.inv(lower) @ drawn
        self.earlier[(self.drawn + numpy.arange(rows)) % REMEMBERED] = drawn
        self.drawn += rows
        return drawn

    def spread_out(self, rows: int) -> Any:
        """Normal scores of evenly spread points: no chance correlation of squares or cubes either.

        A lattice (1, a, a², …) i mod n under a random shift, in an order of its own: a tenth of the
        error of independent draws in the means of products that correlations are made of.
        """
        import numpy
        from scipy.special import ndtri

        order = self.random.permutation(self.samples)
        steps = [pow(GENERATOR, row, self.samples) for row in range(rows)]
        places = numpy.multiply.outer(steps, order) % self.samples
        found = ndtri((places + self.random.uniform(1e-6, 1, (rows, 1))) / self.samples)
        return found / numpy.sqrt((found**2).mean(1, keepdims=True))

    def gaussian(self, covariance: Any, mean: float = 0.0) -> Any:
        """Particles [4, samples] of a Gaussian unit: E[x_r x_s] = ``covariance`` + mean²."""
        return mean + root(covariance) @ self.normal(REPLICAS)


@cache
def scores(samples: int) -> Any:
    """Quantiles of a normal variable, scaled to variance 1."""
    import numpy
    from scipy.special import ndtri

    drawn = ndtri((numpy.arange(samples) + 0.5) / samples)
    return drawn / math.sqrt((drawn**2).mean())


def root(matrix: Any) -> Any:
    """The symmetric root of a covariance, negative eigenvalues taken as 0."""
    import numpy

    values, vectors = numpy.linalg.eigh(matrix)
    return (vectors * numpy.sqrt(values.clip(0))) @ vectors.T


def correlations(position: float, example: float, unit: float, both: float | None = None) -> Any:
    """The 4×4 matrix with 1 on its diagonal and, where two things differ, the smaller of both.

    ``both`` is the correlation with another position of another example, where it is known.
    """
    import numpy

    single = (position, example, unit)
    found = numpy.eye(REPLICAS)
    found[0, 1:] = found[1:, 0] = single
    for a in range(3):
        for b in range(a):
            low = min(single[a], single[b])
            low = low if low >= 0 else single[a] * single[b]
            found[a + 1, b + 1] = found[b + 1, a + 1] = low
    if both is not None:
        found[POSITION, EXAMPLE] = found[EXAMPLE, POSITION] = both
    return found


def second_moments(z: Any) -> Any:
    """E[x_r x_s], symmetric in what is exchangeable: the diagonal is the mean of all four."""
    import numpy

    found = z @ z.T / z.shape[1]
    numpy.fill_diagonal(found, numpy.diagonal(found).mean())
    return found


def recoloured(z: Any, wanted: Any) -> Any:
    """``z`` moved as little as possible so that its second moments are ``wanted``."""
    return recolouring(z, wanted) @ z


def recolouring(z: Any, wanted: Any) -> Any:
    """The map [4, 4] that does it, the optimal one of Gaussians: W^½ (W^½ C W^½)^-½ W^½."""
    import numpy

    have = z @ z.T / z.shape[1]
    half = root(wanted)
    values, vectors = numpy.linalg.eigh(half @ have @ half)
    top = max(float(values.max()), 1e-300)
    inverse = numpy.where(values > 1e-12 * top, 1 / numpy.sqrt(values.clip(1e-300)), 0.0)
    return half @ ((vectors * inverse) @ vectors.T) @ half
