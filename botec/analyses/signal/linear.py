"""Products with known matrices.

For y_o = Σ w_oi x_i with weights that do not know x, E[y²] = Σ w² E[x²] plus, where weights do not
sum to zero or inputs have a mean, the terms of pairs of inputs (He et al. 2015, equation 7, is the
first term for zero-mean weights). Each is taken from the weights' own sums, averaged over outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botec.analyses.signal.averages import evenness, fresh, pair_mean
from botec.analyses.signal.book import Outcome, rule
from botec.analyses.signal.particles import EXAMPLE, POSITION, UNIT, recolouring, second_moments
from botec.analyses.signal.value import (
    ROLES,
    Data,
    Gradient,
    Missing,
    Part,
    Value,
    flat,
    mixture,
    narrowed,
    normalised,
    role_of,
    split,
)  # fmt: skip

FEW = 64  # fan-in below which the outputs' own sums of squares are kept as a profile
DOUBT = 4.0  # standard errors by which a mean of weights must differ from 0 to be one


@dataclass(frozen=True)
class Sums:
    """Means over outputs of sums of a weight [outputs, inputs, taps] and of its square.

    ``square`` is Σ w², ``taps`` Σ_c (Σ_t w)², ``inputs`` Σ_t (Σ_c w)², ``both`` (Σ w)²;
    ``across`` the product of two outputs' sums; ``back`` Σ w² over outputs and taps, the mean over
    inputs; ``each`` the outputs' own Σ w² over their mean, where inputs are few.
    """

    square: float
    taps: float
    inputs: float
    both: float
    across: float
    back: float
    each: Any = None

    def pairs(self, same: float, tap: float, unit: float, far: float) -> float:
        """Σ w w' E[x x'] for the moments of the same entry, another tap's, another unit's, both."""
        rest = self.both - self.taps - self.inputs + self.square
        return (
            self.square * same
            + (self.taps - self.square) * tap
            + (self.inputs - self.square) * unit
            + rest * far
        )


def sums_of(weight: Any) -> Sums:
    """The sums of a weight [outputs, inputs, taps]."""
    import numpy

    outputs, inputs, taps = weight.shape
    square = squares(weight) / outputs
    if taps > 1:
        by_input = squares(weight.sum(2, dtype="float64")) / outputs
        columns = weight.sum(1, dtype="float64")
    else:
        by_input = square
        columns = (weight[:, :, 0] @ numpy.ones(inputs, weight.dtype)).astype("float64")[:, None]
    total = columns.sum(1)
    both = float((total**2).mean())
    mean = float(total.mean())
    sure = outputs > 1 and mean**2 > DOUBT**2 * both / outputs
    across = mean**2 if sure else 0.0
    each = None
    if inputs * taps < FEW and outputs > 1 and square > 0:
        each = (weight.astype("float64") ** 2).sum((1, 2)) / square
    by_tap = float((columns**2).sum() / outputs)
    return Sums(square, by_input, by_tap, both, across, square * outputs / inputs, each)


def squares(array: Any) -> float:
    """Σ w² of an array, in the order in which it lies in memory."""
    import numpy

    flatly = array.ravel(order="K")
    return float(numpy.vdot(flatly, flatly))


def bias_moments(bias: Any) -> tuple[float, float]:
    """E[b²] and E[b] of a bias, 0 where there is none; a mean that may be chance is 0."""
    if not isinstance(bias, Data) or not bias.array.size:
        return 0.0, 0.0
    array = bias.array.astype("float64")
    square, mean = float((array**2).mean()), float(array.mean())
    rest = max(square - mean**2, 0.0)
    sure = array.size > 1 and mean**2 > DOUBT**2 * rest / array.size
    return square, mean if sure else 0.0


def linear_moments(part: Part, sums: Sums, role: str) -> Any:
    """E[y_r y_s], 4×4, of a product that contracts the axis of ``role``; taps are positions."""
    import numpy

    moments = second_moments(part.z) if part.k is None else part.moments()
    along = ROLES[role]
    found = numpy.zeros((4, 4))

    def at(*replicas: int) -> float:
        from botec.analyses.signal.averages import moment_of

        return moment_of(moments, sorted({r for r in replicas if r}))

    for a in (0, POSITION, EXAMPLE, UNIT):
        value = sums.pairs(at(a), at(a, POSITION), at(a, along), at(a, POSITION, along))
        found[0, a] = found[a, 0] = value if a != along else sums.across * at(along)
    for a, b in ((POSITION, EXAMPLE), (POSITION, UNIT), (EXAMPLE, UNIT)):
        if along in (a, b):
            found[a, b] = found[b, a] = sums.across * at(a, b)
        else:
            found[a, b] = found[b, a] = sums.taps * at(a, b) + (sums.both - sums.taps) * at(
                a, b, along
            )
    found[range(4), range(4)] = found[0, 0]
    return found


def width_spread(part: Part, counts: Mapping[str, int], units: int) -> float:
    """What a layer of ``units`` inputs adds to the variance of ln q.

    Σ x²/n over n units varies by Cov(x², x'²)/(n q²), averaged over the pairs of examples and
    positions that q is an average of: 5/n for one example behind a ReLU (Hanin 2018, theorem 3,
    https://arxiv.org/abs/1801.03744).
    """
    q = part.q
    if q <= 0 or units < 1:
        return 0.0
    squares = part.z**2
    moments = second_moments(squares) - float(squares.mean()) ** 2
    return max(pair_mean(moments, {**counts, "u": 1}), 0.0) / (q**2 * units)


ENOUGH = 1 << 16  # weights whose fourth moment is that of all


def draw_spread(weight: Any) -> float:
    """The variance of ln Σ w² between two draws of a weight: the one read and one drawn anew.

    Each has Var(w²)/(n E²w²) of its own; a head of few outputs has few weights.
    """
    rows = -(-ENOUGH * weight.shape[0] // weight.size)
    each = weight[:rows].astype("float64") ** 2
    square = float(each.mean())
    if square <= 0:
        return 0.0
    return 2 * max(float((each**2).mean()) / square**2 - 1, 0.0) / weight.size


def sum_spread(parts: Sequence[Part], outputs: int) -> float:
    """What the sums of weights read from one network tell wrong of another.

    Inputs of mean m make (Σ w)² m² of an output's square, χ² of one degree: 2/n over n outputs.
    """
    q = sum(part.q * part.size for part in parts)
    if q <= 0:
        return 0.0
    share = sum(part.mean**2 * part.size for part in parts) / q
    return 2 * share**2 / max(outputs, 1)


def row_spread(moments: Any, counts: Mapping[str, int], units: int) -> float:
    """How far the second moment over ``units`` outputs lies from its mean: 2 k²/n."""
    q = float(moments[0, 0])
    if q <= 0 or units < 1:
        return 0.0
    return 2 * max(pair_mean((moments / q) ** 2, {**counts, "u": 1}), 0.0) / units


# --- matrices -------------------------------------------------------------------------------------


@rule("aten.mm", "aten.addmm", "aten.linear", "aten.matmul")
def matrix_product(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """x W + b over the last axis of x."""
    names = ("mat1", "mat2", "self") if node.call.op == "aten.addmm" else ("self", "mat2", "bias")
    if node.call.op == "aten.linear":
        names = ("input", "weight", "bias")
    x, weight, bias = (given.get(name) for name in names)
    if not isinstance(x, Value) or not isinstance(weight, Data) or isinstance(bias, Value):
        return None
    matrix = weight.array.T if node.call.op == "aten.linear" else weight.array
    if matrix.ndim != 2:
        return None
    value = product_value(run, x, matrix, bias)
    if isinstance(value, Missing):
        return Outcome((value,))

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        return {names[0]: product_gradient(run, x, matrix, weight, bias, gradients[0], value)}

    return Outcome((value,), pull)


def product_value(run: Any, x: Value, matrix: Any, bias: Any) -> Value | Missing:
    """The output of a linear layer."""
    axis = len(x.shape) - 1
    role = role_of(x.roles[axis])
    role = role if role in ROLES else "u"
    x = x.along(axis)
    sums = slices(matrix, [part.size for part in x.parts])
    added = bias_moments(bias)
    moments = sum(linear_moments(part, one, role) for part, one in zip(x.parts, sums, strict=True))
    rows = sum(
        part.profile.mean(axis, keepdims=True) * one.square * part.q
        for part, one in zip(x.parts, sums, strict=True)
    )
    shape = (*x.shape[:-1], matrix.shape[1])
    roles = (*x.roles[:-1], ((role, matrix.shape[1]),))
    counts = x.count([a for a in range(len(shape)) if a != axis])
    spread = entering(x, counts, axis) + draw_spread(matrix) + sum_spread(x.parts, shape[axis])
    return made(run, moments, added, rows, shape, roles, axis, role, spread)


def entering(x: Value, counts: Mapping[str, int], axis: int) -> float:
    """The variance of ln q that a product over ``axis`` of x meets: x's own and its width's."""
    total = x.q * x.shape[axis]
    if total <= 0:
        return 0.0
    own = 0.0
    for part in x.parts:
        own += (part.q * part.size / total) ** 2 * width_spread(part, counts, part.size)
    return x.spread + own


def made(
    run: Any, moments: Any, bias: tuple[float, float], rows: Any, shape: tuple[int, ...],
    roles: Any, axis: int, role: str, spread: float, drawn: Any = None,
) -> Value:  # fmt: skip
    """A value of fresh particles: ``moments`` and a bias, which is the same everywhere.

    Of the ``bias`` its second moment and its mean are given: units differ by the rest. Gaussian
    particles, or those ``drawn`` before, moved to these moments.
    """
    import numpy

    q = max(float(moments[0, 0]), 0.0)
    profile = flat(1) if numpy.isscalar(rows) else normalised(narrowed(rows))[0]
    square, mean = bias
    total, rest = q + square, square - mean**2
    if total > 0 and square:
        profile = normalised((profile * q + square) / total)[0]
    covariance = moments + rest
    along = ROLES[role]
    for other in range(4):
        if other != along:
            covariance[along, other] -= rest
            covariance[other, along] -= rest
    z, means = (run.noise.gaussian(covariance), None) if drawn is None else drawn
    if drawn is not None:
        moved = recolouring(z, covariance)
        z, means = moved @ z, moved @ means + mean
    z = z + mean
    now = float((z[0] ** 2).mean())
    z = z * math.sqrt(total / now) if now > 0 else z * 0.0
    part = Part(shape[axis], z, profile, within=None if means is None else (z, means))
    return Value(shape, roles, (part,), axis, spread)


def few_terms(run: Any, part: Part, weight: Any) -> tuple[Any, Any]:
    """Particles of sums of so few terms that they are not Gaussian, and the means of their units.

    ``weight`` is [outputs, terms]; each particle is of an output drawn at random, whose own scale
    is left to the profile. The terms are the part's particles in orders of their own. Weights of no
    sure sign have their mirror image among them: no skewness of chance.
    """
    import numpy

    rows = weight.reshape(weight.shape[0], -1).astype("float64")
    norms = numpy.sqrt((rows**2).sum(1, keepdims=True))
    rows = rows / numpy.where(norms > 0, norms, 1.0)
    signed = abs(rows.mean()) > DOUBT * rows.std() / math.sqrt(rows.size)
    count = run.noise.samples // (1 if signed else 2)
    same, other = (run.noise.random.integers(0, len(rows), count) for _ in range(2))
    places = numpy.stack([same, same, same, other])
    total = numpy.zeros((4, count))
    for term in range(rows.shape[1]):
        drawn = run.noise.random.permutation(run.noise.samples)[:count]
        total += rows[places, term] * part.z[:, drawn]
    means = part.mean * rows.sum(1)[places]
    if signed:
        return total, means
    return numpy.hstack([total, -total]), numpy.hstack([means, -means])


def slices(matrix: Any, sizes: Sequence[int]) -> list[Sums]:
    """The sums of a matrix [inputs, outputs] for runs of inputs."""
    found, start = [], 0
    for size in sizes:
        found.append(sums_of(matrix[start : start + size].T[:, :, None]))
        start += size
    return found


def product_gradient(
    run: Any, x: Value, matrix: Any, weight: Data, bias: Any, gradient: Gradient, value: Value
) -> Gradient:
    """Of the input; those of weight and bias are credited."""
    axis = len(x.shape) - 1
    part = matched_whole(gradient, value)
    parts = x.along(axis).parts
    rows = [a for a in range(len(x.shape)) if a != axis]
    counts = value.count(rows)
    weight_gradient(run, weight.name, part, parts, counts, gradient.spread + x.spread)
    if isinstance(bias, Data):
        bias_gradient(run, bias.name, part, counts, gradient.spread)
    profile = narrowed(part.profile.mean(axis, keepdims=True))
    profile, _ = normalised(profile)
    found = []
    start = 0
    for one in parts:
        piece = matrix[start : start + one.size]
        start += one.size
        factor = squares(piece) / max(one.size, 1)
        k = part.told()
        role = role_of(x.roles[axis])
        k[ROLES.get(role, UNIT) - 1] = 0.0
        if role in ("p", "b"):
            k[3] = 0.0
        found.append(fresh(run.noise, part.q * factor, tuple(k), profile, one.size))
    spread = gradient.spread + width_spread(part, counts, matrix.shape[1]) + draw_spread(matrix)
    out = Gradient(tuple(found), spread)
    if x.axis != axis and len(x.parts) > 1:
        from botec.analyses.signal.pointwise import rescaled

        sizes = [one.size for one in x.parts]
        cut = zip(split(found[0].profile, sizes, x.axis), sizes, strict=True)
        return Gradient(tuple(rescaled(found[0], *one) for one in cut), spread)
    return out


def matched_whole(gradient: Gradient, value: Value) -> Part:
    """A gradient as one part, its correlations told."""
    part = gradient.parts[0] if len(gradient.parts) == 1 else mixture(gradient.parts, value.axis)
    if part.k is None:
        part = replace(part, k=tuple(part.told()))
    return part


def weight_gradient(
    run: Any, name: str, part: Part, inputs: Sequence[Part], counts: Mapping[str, int],
    spread: float, meeting: float = 1.0, units: int = -1,
) -> None:  # fmt: skip
    """E[dW²] = (NP)² times the mean of E[g g'] E[x x'] over pairs of examples and positions."""
    if not name:
        return
    n, total, size = counts["p"] * counts["b"], 0.0, 0
    over = {**counts, "u": 1}
    for one in inputs:
        products = part.moments() * one.moments()
        products[0, 0] *= together(part.profile, one.profile)
        at = units % part.profile.ndim
        even = evenness(part.profile, at) * evenness(one.profile, at)
        if products[0, 0] > 0:
            even = min(1.0, even / max(together(part.profile, one.profile), 1e-300))
        total += one.size * pair_mean(products, over, "", even) * n**2
        size += one.size
    run.weight(name, meeting * total / max(size, 1), spread)


def together(a: Any, b: Any) -> float:
    """The mean of the product of two profiles."""
    if a.ndim != b.ndim or any(
        x != y and 1 not in (x, y) for x, y in zip(a.shape, b.shape, strict=True)
    ):
        return 1.0
    return float((a * b).mean())


def bias_gradient(
    run: Any, name: str, part: Part, counts: Mapping[str, int], spread: float, units: int = -1
) -> None:
    """A bias's gradient is the sum over examples and positions."""
    if name:
        n = counts["p"] * counts["b"]
        even = evenness(part.profile, units % part.profile.ndim)
        mean = 0.0 if part.centred else pair_mean(part.moments(), {**counts, "u": 1}, "", even)
        run.weight(name, mean * n**2, spread)
