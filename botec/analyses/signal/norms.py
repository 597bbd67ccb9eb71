"""Norms: what they take out, what is left of its correlations, and their gradient's projections.

A norm subtracts the mean μ of a set of entries and divides by their deviation. μ² is the mean of
E[x x'] over all pairs of the set: with correlation that is far from the q/n of independent entries.
Backward (Ioffe & Szegedy 2015, section 3, https://arxiv.org/abs/1502.03167) the gradient loses its
own mean over the set and its part along the normalised values, and is multiplied by γ/σ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from botec.analyses.signal.averages import clamp, evenness, mean_moments, pair_mean
from botec.analyses.signal.book import Outcome, rule
from botec.analyses.signal.linear import bias_gradient, matched_whole
from botec.analyses.signal.particles import SELF, recoloured
from botec.analyses.signal.pointwise import matched
from botec.analyses.signal.value import (
    Data,
    Gradient,
    Missing,
    Part,
    Value,
    flat,
    narrowed,
    normalised,
    split,
)  # fmt: skip

LEAST = 1e-30
NOISE = 0.05  # of what is left, where it is what means over particles of products leave
LEFT = 1e-4  # what particles can tell from nothing
CANCELLED = 0.1  # of their size: a mean of which nothing is left that a profile could be over
ONE_ELEMENT = "over one element gives 0 whatever comes in"
MOST_SCATTER = 0.5  # beyond, few entries have nearly all, and no first order holds


@rule(
    "aten.native_batch_norm", "aten._native_batch_norm_legit",
    "aten._native_batch_norm_legit_functional", "aten.cudnn_batch_norm",
    "aten._batch_norm_with_update", "aten._batch_norm_with_update_functional", "aten.batch_norm",
)  # fmt: skip
def batch_norm(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Each channel over examples and positions, or by its running statistics in inference."""
    x = given["input"]
    if not isinstance(x, Value):
        return None
    if not node.call.arguments.get("training", node.call.arguments.get("train", True)):
        return by_running_statistics(run, node, given, x)
    counts = x.count([a for a in range(len(x.shape)) if a != 1])
    return normalised_outcome(run, node, given, x, [counts], [0, *range(2, len(x.shape))], 1)


@rule("aten.native_layer_norm", "aten._fused_rms_norm")
def layer_norm(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Each example and position over its units."""
    x = given["input"]
    if not isinstance(x, Value):
        return None
    rank = len(node.call.arguments["normalized_shape"])
    axes = list(range(len(x.shape) - rank, len(x.shape)))
    axis = len(x.shape) - 1
    centred = "rms" not in node.call.op
    return normalised_outcome(run, node, given, x, [x.count(axes)], axes, axis, centred)


@rule("aten.native_group_norm")
def group_norm(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Each example over groups of channels and all positions."""
    x = given["input"]
    if not isinstance(x, Value):
        return None
    axes = list(range(2, len(x.shape)))
    groups = node.call.arguments["group"]
    counts = x.count(axes)
    counts["u"] *= x.shape[1] // groups
    return normalised_outcome(run, node, given, x.whole(), [counts], [1, *axes], 1)


def normalised_outcome(
    run: Any, node: Any, given: Mapping[str, Any], x: Value, counts: Any, axes: Sequence[int],
    affine: int, centred: bool = True,
) -> Outcome:  # fmt: skip
    """A norm over ``axes``, whose weights lie along the axis ``affine``."""
    (over,) = counts
    if math.prod(over.values()) < 2 and centred:
        why = f"{node.call.op} {ONE_ELEMENT}"
        return Outcome(tuple(Missing(why) for _ in node.outputs))
    eps = node.call.arguments.get("eps") or 1e-5
    joint = x.whole() if x.axis in axes and len(x.parts) > 1 else x
    made = [standard(part, over, axes, eps, centred, affine) for part in joint.parts]
    hats = tuple(hat for hat, _ in made)
    inverses = [inverse for _, inverse in made]
    borders = 0.0 if over["p"] > 1 and centred else x.borders
    hat = replace(joint, parts=hats, spread=0.0, attention=None, keep=None, borders=borders)
    outputs, after = affined(run, hat, given, affine)
    shapes = [run.shape(n) if n is not None else () for n in node.outputs]
    rest = tuple(Missing("a norm's own statistic") for _ in shapes[1:])

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found = after(gradients[0])
        parts = tuple(
            projected(part, one, inverse, over, affine, centred)
            for part, one, inverse in zip(found, hats, inverses, strict=True)
        )
        spread = gradients[0].spread + x.spread
        if len(parts) == 1 and len(x.parts) > 1:
            pieces = split(parts[0].profile, [one.size for one in x.parts], x.axis)
            parts = tuple(
                replace(parts[0].scaled(mean, profile), size=one.size)
                for one, (profile, mean) in zip(x.parts, map(normalised, pieces), strict=True)
            )
        return {"input": Gradient(parts, spread)}

    return Outcome((outputs, *rest), pull)


def standard(
    part: Part, over: Mapping[str, int], axes: Sequence[int], eps: float, centred: bool, affine: int
) -> tuple[Part, Any]:
    """The normalised part, and 1/(variance + ε), a profile over the sets."""
    import numpy

    moments = part.moments()
    q = float(moments[0, 0])
    units = affine if affine not in axes else None
    even = evenness(part.profile, units)
    share = pair_mean(moments, over, "", even) / q if q > 0 and centred else 0.0
    share = min(max(share, 0.0), 1.0)
    by_set = part.profile.mean(tuple(axes), keepdims=True)
    variance = q * by_set * (1 - share)
    inverse = 1 / (variance + eps)
    # E (x - μ)² = E x² - 2 E xμ + E μ², with E xμ where it is
    common = over_mean(part.common, axes) * by_set
    left = (part.profile - share * (2 * common - by_set)).clip(0) * q
    profile, after = normalised(narrowed(left * inverse))
    if q <= 0 or 1 - share < LEAST:
        return Part(part.size, part.z * 0.0, flat(part.profile.ndim)), inverse
    own = set_moments(part, over, units)
    wanted = moments - own if centred else moments
    wanted = wanted / max(float(wanted[0, 0]), LEAST)
    wanted[range(4), range(4)] = 1.0
    z = part.z
    if centred:
        z = part.z - part.mean if over["u"] > 1 else part.about
    z = recoloured(z, wanted * after)
    now = float((z[SELF] ** 2).mean())
    z = z * math.sqrt(after / now) if now > 0 else z
    sure = 1 - min(scatter(part, over, share, centred), MOST_SCATTER)
    return Part(part.size, z, profile), numpy.asarray(inverse) / sure


def over_mean(common: Any, axes: Sequence[int]) -> Any:
    """A profile over its mean along ``axes``, of either sign; 1 where its entries cancel."""
    import numpy

    mean = common.mean(tuple(axes), keepdims=True)
    size = abs(common).mean(tuple(axes), keepdims=True)
    sure = abs(mean) > CANCELLED * size
    return numpy.where(sure, common / numpy.where(sure, mean, 1.0), 1.0)


def set_moments(part: Part, over: Mapping[str, int], units: int | None) -> Any:
    """E[μ μ'] of the means of the sets that two replicas lie in, 4×4.

    Two entries that differ within a set have one mean between them.
    """
    own = mean_moments(part, over, units)
    for replica, role in enumerate("pbu", 1):
        if over[role] > 1:
            own[replica, :], own[:, replica] = own[0, :], own[:, 0]
            own[replica, replica] = own[0, 0]
    return own


def scatter(part: Part, over: Mapping[str, int], share: float, centred: bool) -> float:
    """The relative variance v of the variance that a set of entries shows.

    The mean of x² over M entries varies by Σ Cov(x², x'²)/M²; a pair of correlation k has k² of the
    covariance of x² with itself, as normal variables have. 1/variance, by which a gradient is
    multiplied, is larger for it on average: by 1/(1 - v), as of a gamma variable.
    """
    moments = part.moments() - (share * part.q if centred else 0.0)
    top = float(moments[0, 0])
    if top <= 0:
        return 0.0
    z = part.z[SELF] - (part.mean if centred else 0.0)
    square = float((z**2).mean())
    kurtosis = float((z**4).mean()) / square**2 if square > 0 else 0.0
    return max(kurtosis - 1, 0.0) * pair_mean((moments / top) ** 2, over)


def affined(run: Any, hat: Value, given: Mapping[str, Any], affine: int) -> tuple[Value, Any]:
    """γ x̂ + β, by particles; and a function from its gradient to that of x̂."""
    weight, bias = given.get("weight"), given.get("bias")
    if not isinstance(weight, Data):
        return hat, lambda gradient: matched(gradient, hat)
    gammas = along(weight, hat, affine)
    betas = along(bias, hat, affine)
    parts = []
    for part, gamma, beta in zip(hat.parts, gammas, betas, strict=True):
        g, b = pick(run, gamma, beta)
        square, offset = float((gamma**2).mean()), float((beta**2).mean())
        profile = part.profile
        if offset:
            profile = normalised(profile * part.q * square + offset)[0]
        parts.append(Part(part.size, part.z * g + b, profile))
    value = replace(hat, parts=tuple(parts))

    def back(gradient: Gradient) -> tuple[Part, ...]:
        whole = matched_whole(gradient, value)
        counts = hat.count([a for a in range(len(hat.shape)) if a != affine])
        if isinstance(bias, Data):
            bias_gradient(run, bias.name, whole, counts, gradient.spread, affine)
        scale_gradient(
            run, weight.name, matched(gradient, value), hat.parts, counts, gradient, affine
        )
        pieces = zip(matched(gradient, value), gammas, betas, strict=True)
        return tuple(
            replace(part.scaled(float((gamma**2).mean())), level=part.level and not beta.any())
            for part, gamma, beta in pieces
        )

    return value, back


def along(one: Any, hat: Value, affine: int) -> list[Any]:
    """A norm's weights or biases for each part, as arrays; zeros where there are none."""
    import numpy

    sizes = [part.size for part in hat.parts]
    if not isinstance(one, Data):
        return [numpy.zeros(1) for _ in sizes]
    flatly = one.array.astype("float64").reshape(-1)
    if hat.axis != affine or sum(sizes) != flatly.size:
        return [flatly for _ in sizes]
    return split(flatly, sizes, 0)


def pick(run: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
    """γ and β as one number each, or as draws: [4, samples], another unit's drawn anew."""
    import numpy

    if gamma.size == 1 or (numpy.ptp(gamma) == 0 and numpy.ptp(beta) == 0):
        return float(gamma.flat[0]), float(beta.flat[0])
    first, other = (run.noise.random.integers(0, gamma.size, run.noise.samples) for _ in range(2))
    places = numpy.stack([first, first, first, other])
    return gamma[places], beta[places % beta.size]


def scale_gradient(
    run: Any,
    name: str,
    parts: Any,
    hats: Any,
    counts: Mapping[str, int],
    gradient: Gradient,
    affine: int,
) -> None:
    """γ's gradient is the sum of g x̂ over examples and positions."""
    n, total, size = counts["p"] * counts["b"], 0.0, 0
    for part, hat in zip(parts, hats, strict=True):
        if part.level:  # whatever γ is, a norm behind takes it out
            size += part.size
            continue
        products = dot(part, hat)
        even = evenness(part.profile, affine)
        total += part.size * pair_mean(products, {**counts, "u": 1}, "", even) * n**2
        size += part.size
    run.weight(name, total / max(size, 1), gradient.spread)


def dot(part: Part, hat: Part) -> Any:
    """E[g x̂ g' x̂'], 4×4: g and x̂ of one entry need not be independent behind a ReLU.

    What the particles say, where the gradient is correlated at all; noise would be amplified by
    the number of pairs.
    """
    import numpy

    if part.slope is not None:
        return dot_of_slopes(part, hat)
    product = part.z * hat.z
    found = product @ product.T / product.shape[1]
    k = (1.0, *part.told())
    for r in range(1, 4):
        if abs(k[r]) < 0.03:
            found[0, r] = found[r, 0] = k[r] * float(found[0, 0])
    for a in range(1, 4):
        for b in range(1, 4):
            if a != b:
                low = min(found[0, a], found[0, b])
                found[a, b] = low if low >= 0 else 0.0
    return numpy.asarray(found)


def dot_of_slopes(part: Part, hat: Part) -> Any:
    """The same where the gradient is one drawn anew times known slopes: no noise of that one."""
    from botec.analyses.signal.particles import correlations

    slope, told = part.slope
    product = slope * hat.z
    found = product @ product.T / product.shape[1]
    return part.q * correlations(*told) * found / max(float((slope[SELF] ** 2).mean()), 1e-300)


def projected(
    part: Part, hat: Part, inverse: Any, over: Mapping[str, int],
    affine: int,
    centred: bool,
) -> Part:  # fmt: skip
    """The gradient behind a norm: γ/σ times what is neither its mean nor along x̂."""
    profile, scale = normalised(narrowed(part.profile * inverse))
    q = part.q
    if q <= 0:
        return part.scaled(scale, profile)
    even = evenness(part.profile, affine)
    moments = part.moments()
    own = pair_mean(moments, over, "", even) / q if centred else 0.0
    square = hat.q
    along_hat = 0.0
    if square > 0 and not part.level:
        along_hat = pair_mean(dot(part, hat), over, "", even) / (q * square)
    left = 1 - max(own, 0.0) - max(along_hat, 0.0)
    if left < NOISE and part.slope is not None and centred and not part.level:
        left = bent(part, hat, over, even)
    left = max(left, LEFT)
    k = part.told()
    roles = [r for r, role in enumerate("pbu") if over[role] > 1]
    if over["p"] > 1 and over["b"] > 1:
        roles.append(3)
    for r in roles:
        k[r] = clamp((k[r] - own) / max(1 - own, 1e-6))
    level = over["u"] == 1 and over["b"] > 1
    found = part.scaled(scale * left, profile)
    return replace(found, k=tuple(k), level=level, centred=level and centred, slope=None)


def bent(part: Part, hat: Part, over: Mapping[str, int], even: float) -> float:
    """What is left, where a gradient is one drawn anew times a slope that is nearly straight in x̂.

    Behind a hard swish, whose slope bends where few entries are, and a mean over the map, less than
    a hundredth of it is left. Pairs of particles have as much noise; a straight line through them
    has none. x̂ is taken to be distributed in each set as in all; of the rest 2/n lies along 1 and x̂
    by chance.
    """
    from botec.analyses.signal.particles import correlations

    slope, told = part.slope
    s, x = slope[SELF], hat.z[SELF]
    x = (x - x.mean()) / max(float(x.std()), LEAST)
    line = (float(s.mean()) ** 2 + float((s * x).mean()) ** 2) / max(float((s**2).mean()), LEAST)
    n = math.prod(over.values())
    alike = (pair_mean(correlations(*told), over, "", even) - 1 / n) / (1 - 1 / n)
    return (1 - line * max(alike, 0.0)) * (1 - 2 / n)


def by_running_statistics(run: Any, node: Any, given: Mapping[str, Any], x: Value) -> Outcome:
    """In inference a batch norm is a fixed factor and offset for each channel."""
    mean, variance = given["running_mean"], given["running_var"]
    if not isinstance(mean, Data) or not isinstance(variance, Data):
        return Outcome(tuple(Missing("its running statistics are not known") for _ in node.outputs))
    eps = node.call.arguments.get("eps") or 1e-5
    deviation = (variance.array.astype("float64") + eps) ** 0.5
    weight, bias = given.get("weight"), given.get("bias")
    gamma = weight.array if isinstance(weight, Data) else 1.0
    beta = bias.array if isinstance(bias, Data) else 0.0
    factor = Data(gamma / deviation, weight.name if isinstance(weight, Data) else "")
    offset = Data(
        beta - mean.array * gamma / deviation, bias.name if isinstance(bias, Data) else ""
    )
    value, back = affined(run, x, {"weight": factor, "bias": offset}, 1)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        return {"input": Gradient(back(gradients[0]), gradients[0].spread)}

    rest = tuple(Missing("a norm's own statistic") for _ in node.outputs[1:])
    return Outcome((replace(value, spread=x.spread), *rest), pull)
