"""Sums, means, variances, norms, the greatest of many, running sums.

N numbers are reduced to m results: N - m additions (or choices of the greater), and what each op's
formula adds to that. Integers and truth values count 0, as everywhere.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Call, Tensor
from botec.ops.facts import nothing, op
from botec.ops.terms import all_reals, lines, parts, reals

combined = op("sum", "aten.sum", "aten.nansum", "aten.amax", "aten.amin")
diagonal = op("trace", "aten.trace")
multiplied = op("product of many", "aten.prod")
greatest = op("greatest", "aten.max", "aten.min")
extremes = op("least and greatest", "aten.aminmax", "aten._aminmax")
mean = op("mean", "aten.mean", "aten.nanmean")
variance = op("variance", "aten.var", "aten.var_mean")
deviation = op("standard deviation", "aten.std", "aten.std_mean")
running = op("running sum", "aten.cumsum", "aten.cumprod", "aten.logcumsumexp",
             "aten._logcumsumexp", "aten.cummax", "aten.cummin")  # fmt: skip
running_helper = op("running extreme", "aten._cummax_helper", "aten._cummin_helper")
running_backward = op("running product backward", "aten.cumprod_backward")
logarithmic = op("logarithm of a sum of exponentials", "aten.logsumexp")
norm = op("norm", "aten.norm", "aten.linalg_vector_norm", "aten.native_norm", "aten.frobenius_norm")
power_sum = op("sum of powers", "aten.linalg__powsum", "aten._foreach_powsum")
renormalised = op("norms bounded", "aten.renorm")
distance = op("norm of a difference", "aten.dist")
pairs = op("distances of all pairs", "aten._cdist_forward", "aten._pdist_forward")
pairs_backward = op("distances of all pairs backward", "aten._cdist_backward")
euclidean = op("euclidean distances of all pairs", "aten._euclidean_dist")
segments = op("reduction of segments", "aten.segment_reduce")
weighted_counts = op("occurrences, weighted", "aten.bincount")

nothing("indices and truth values come out of comparisons", "aten.argmax", "aten.argmin",
        "aten.all", "aten.any", "aten.count_nonzero", "aten.allclose", "aten.histc",
        "aten.histogram", kind="reduce")  # fmt: skip


def less(whole: Tensor, result: Tensor) -> Any:
    """N - m: numbers of a line come together one by one."""
    return (whole.elements - result.elements) * parts(result)


@combined.flops
def _(inputs, outputs):
    """N - m additions or choices."""
    return less(inputs[0], outputs[0])


@diagonal.flops
def _(self: Tensor, outputs):
    """n - 1 additions; of a square matrix."""
    return (self.shape[0] - 1) * parts(outputs[0])


@multiplied.flops
def _(self: Tensor, outputs):
    """N - m products."""
    return less(self, outputs[0])


@greatest.flops
def _(call: Call):
    """N - m choices of the greater; one per result where two tensors are compared."""
    if call.overload == "other":
        return reals(call.results[0])
    return less(call.inputs[0], call.results[0])


@extremes.flops
def _(self: Tensor, outputs):
    """The least and the greatest, N - m choices each."""
    return 2 * less(self, outputs[0])


@mean.flops
def _(self: Tensor, outputs):
    """N - m additions, m divisions."""
    return self.elements * parts(outputs[0])


@variance.flops
def _(self: Tensor):
    """Mean N; differences N, squares N, their sum N - m, its division m. Complex: both parts."""
    return 4 * reals(self)


@deviation.flops
def _(self: Tensor, outputs):
    """As a variance, and m roots."""
    return 4 * reals(self) + reals(outputs[0])


def joined(tensor: Tensor, dim: int) -> Any:
    """Every number but the first of a line is joined to the one before."""
    return (tensor.elements - lines(tensor.shape, dim)) * parts(tensor)


@running.flops
def _(outputs, dim):
    """See :func:`joined`."""
    return joined(outputs[0], dim)


@running_helper.flops
def _(self: Tensor, dim):
    """See :func:`joined`."""
    return joined(self, dim)


@running_backward.flops
def _(input: Tensor, dim):
    """Where no number is 0: output times gradient N, summed from behind N - r, divided N."""
    return 3 * input.elements - lines(input.shape, dim)


@logarithmic.flops
def _(self: Tensor):
    """Greatest N - m, subtracted N, exponentials N, their sum N - m, logarithm and sum 2 m."""
    return 4 * self.elements


def order(call: Call) -> Any:
    """The norm's order; 2 where none is given."""
    found = call.arguments.get("ord", call.arguments.get("p", 2))
    return 2 if found is None else found


def norm_of(numbers: Any, results: Any, power: Any) -> Any:
    """Powers (or absolute values) N, joined N - m, and m roots.

    Order 1 and infinity take no root; order 0 counts what is not zero: N - m.
    """
    if power == 0:
        return numbers - results
    rootless = power in (1, float("inf"), float("-inf"))
    return 2 * numbers - (results if rootless else 0)


@norm.flops
def _(call: Call):
    """See :func:`norm_of`."""
    return norm_of(reals(call.inputs[0]), call.results[0].elements, order(call))


@power_sum.flops
def _(call: Call):
    """Powers N and their sums N - m."""
    return 2 * all_reals(call.inputs) - all_reals(call.results)


@renormalised.flops
def _(self: Tensor, dim, p):
    """A norm for each entry along ``dim``, the bound's quotient for each, a product per number."""
    entries = self.shape[dim]
    return norm_of(self.elements, entries, p) + entries + self.elements


@distance.flops
def _(self: Tensor, other: Tensor, p):
    """Differences N, then a norm."""
    return self.elements + norm_of(self.elements, 1, p)


@pairs.flops
def _(inputs, outputs, p):
    """Per pair of d numbers: differences d, then a norm.

    By definition, not by kernel: for many points and p = 2 the framework multiplies matrices.
    """
    width, count = inputs[0].shape[-1], outputs[0].elements
    return count * width + norm_of(count * width, count, p)


@euclidean.flops
def _(x1: Tensor, outputs):
    """As the definition: differences d, squares d, sums d - 1, a root."""
    return 3 * x1.shape[-1] * outputs[0].elements


@pairs_backward.flops
def _(grad: Tensor, x1: Tensor):
    """Per pair and coordinate: difference, quotient by the distance, product, sum."""
    return 4 * grad.elements * x1.shape[-1]


@segments.flops
def _(data: Tensor, outputs):
    """N - m, as a reduction."""
    return less(data, outputs[0])


@weighted_counts.flops
def _(call: Call):
    """One addition per weight; none where occurrences are counted."""
    weights = call.arguments.get("weights")
    return reals(weights) if isinstance(weights, Tensor) else 0
