"""Means, sums and poolings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from botec.analyses.signal.averages import clamp, fresh, mean_moments
from botec.analyses.signal.book import Outcome, rule
from botec.analyses.signal.convolution import per_axis, windows
from botec.analyses.signal.moves import dropped
from botec.analyses.signal.particles import EXAMPLE, POSITION, SELF, UNIT, correlations, scores
from botec.analyses.signal.pointwise import matched
from botec.analyses.signal.value import (
    ROLES,
    Gradient,
    Missing,
    Part,
    Value,
    flat,
    narrowed,
    normalised,
)  # fmt: skip


@rule("aten.mean", "aten.sum")
def mean(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """The mean or sum over axes."""
    x, arguments = given["self"], node.call.arguments
    if not isinstance(x, Value) or x.index:
        return None
    dims = arguments.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(len(x.shape)))
    dims = [d % len(x.shape) for d in dims]
    if x.axis in dims:
        x = x.whole()
    counts = x.count(dims)
    n = math.prod(counts.values())
    factor = float(n * n) if node.call.op == "aten.sum" else 1.0
    parts = tuple(mean_part(run, part, dims, counts, factor) for part in x.parts)
    shape = tuple(1 if a in dims else size for a, size in enumerate(x.shape))
    roles = tuple((("1", 1),) if a in dims else axis for a, axis in enumerate(x.roles))
    kept = replace(x, shape=shape, roles=roles, attention=None, keep=None, parts=tuple(
        replace(p, size=1) if x.axis in dims else p for p in parts
    ))  # fmt: skip
    value = kept
    if not arguments.get("keepdim"):
        for d in sorted(dims, reverse=True):
            value = dropped(value, d)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found = []
        for part, own in zip(matched(gradients[0], value), x.parts, strict=True):
            profile = part.profile
            if not arguments.get("keepdim"):
                for d in sorted(dims):
                    profile = profile[(slice(None),) * d + (None,)]
            k = part.told()
            for r, role in enumerate("pbu"):
                if counts[role] > 1:
                    k[r] = 1.0
                    k[3] = k[1 - r] if r < 2 else k[3]
            scaled = part.scaled(factor / (n * n), profile)
            found.append(
                replace(
                    scaled, k=tuple(k), size=own.size, z=alike(scaled.z, counts), slope=None,
                )
            )  # fmt: skip
        return {"self": Gradient(tuple(found), gradients[0].spread)}

    return Outcome((value,), pull)


def alike(z: Any, counts: Mapping[str, int]) -> Any:
    """Gradients of a mean are the same for all that it is the mean of."""
    z = z.copy()
    for role, replica in ROLES.items():
        if counts[role] > 1:
            z[replica] = z[SELF]
    return z


def mean_part(
    run: Any, part: Part, dims: Sequence[int], counts: Mapping[str, int], factor: float
) -> Part:
    moments = mean_moments(part, counts)
    profile, _ = normalised(narrowed(part.profile.mean(tuple(dims), keepdims=True)))
    for role, replica in ROLES.items():
        if counts[role] > 1:  # the mean is the same wherever it is looked at
            moments[0, replica] = moments[replica, 0] = moments[0, 0]
    average = part.mean
    if average**2 > float(moments[0, 0]):
        average = math.copysign(math.sqrt(max(float(moments[0, 0]), 0.0)), average)
    q = float(moments[0, 0])
    varying = moments - average**2
    varying[0, 0] = max(varying[0, 0], 0.0)
    top = float(varying[0, 0])
    single = [clamp(float(varying[0, r]) / top) if top > 0 else 0.0 for r in (1, 2, 3)]
    z = average + gaussian(run, single, top)
    now = float((z[SELF] ** 2).mean())
    z = z * math.sqrt(q / now) if now > 0 else z
    return Part(part.size, z * math.sqrt(factor), profile)


def gaussian(run: Any, single: Sequence[float], variance: float) -> Any:
    return run.noise.gaussian(correlations(*single) * variance)


# --- pooling --------------------------------------------------------------------------------------


@rule("aten.avg_pool1d", "aten.avg_pool2d", "aten.avg_pool3d")
def average_pool(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Means over windows."""
    x, shape = given["self"], run.shape(node.outputs[0])
    axes = len(shape) - 2
    arguments = node.call.arguments
    kernel = per_axis(arguments["kernel_size"], axes)
    stride = per_axis(arguments.get("stride") or kernel, axes)
    padding = per_axis(arguments.get("padding") or (0,), axes)
    rows = zip(x.shape[2:], shape[2:], kernel, stride, padding, strict=True)
    met = [windows(*row, 1).sum(0) for row in rows]
    if not arguments.get("count_include_pad", True):
        return pooled_mean(run, x, shape, [one / one.sum(1, keepdims=True) for one in met])
    return pooled_mean(run, x, shape, [one / k for one, k in zip(met, kernel, strict=True)])


@rule("aten._adaptive_avg_pool2d", "aten.adaptive_avg_pool2d", "aten._adaptive_avg_pool3d")
def adaptive_pool(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Means over as many windows as are asked for; the same entries where they are as many."""
    x, shape = given["self"], run.shape(node.outputs[0])
    if shape == x.shape:
        return Outcome((x,), lambda gradients: {"self": gradients[0]})
    pairs = zip(x.shape[2:], shape[2:], strict=True)
    return pooled_mean(run, x, shape, [adaptive(size, out) for size, out in pairs])


def adaptive(size: int, out: int) -> Any:
    """[out, size]: the share of an entry in an adaptive window (⌊i n/m⌋ to ⌈(i+1) n/m⌉)."""
    import numpy

    found = numpy.zeros((out, size))
    for place in range(out):
        start, end = place * size // out, -(-(place + 1) * size // out)
        found[place, start:end] = 1 / (end - start)
    return found


def pooled_mean(run: Any, x: Value, shape: tuple[int, ...], shares: Sequence[Any]) -> Outcome:
    """Means over windows: ``shares`` [out, in] of every axis are the entries' weights in them."""
    ins, outs = math.prod(x.shape[2:]), math.prod(shape[2:])
    same = math.prod(
        float((one**2).sum()) for one in shares
    )  # Σ of squares, over windows and entries
    whole = math.prod(float((one.sum(1) ** 2).sum()) for one in shares) / outs
    parts = tuple(mean_of_window(run, part, same / outs, whole) for part in x.parts)
    roles = (*x.roles[:2], *((("p", size),) for size in shape[2:]))
    borders = x.borders * (outs / ins) ** (1 / len(shares))
    value = replace(x, shape=shape, roles=roles, parts=parts, borders=borders)
    met = math.prod(float((one.sum(0) ** 2).sum()) for one in shares)
    total = math.prod(float(one.sum()) for one in shares) ** 2

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found = []
        for part in matched(gradients[0], value):
            k = part.told()
            gain = max((same + (met - same) * k[0]) / ins, 1e-300)
            # E of the squared sum of all gradients, from which the pairs of entries follow
            every = total * (1 + (outs - 1) * k[0]) / outs
            far = (every / ins - gain) / max(ins - 1, 1) / gain
            over = (k[1] * same + k[3] * (met - same)) / (ins * gain)
            both = (total * (k[1] + (outs - 1) * k[3]) / (outs * ins * gain) - over) / max(
                ins - 1, 1
            )
            told = (clamp(far), clamp(over), k[2], clamp(both))
            found.append(fresh(run.noise, part.q * gain, told, flat(len(x.shape)), part.size))
        return {"self": Gradient(tuple(found), gradients[0].spread)}

    return Outcome((value,), pull)


def mean_of_window(run: Any, part: Part, same: float, whole: float) -> Part:
    """The mean whose weights' squares sum to ``same``, and whose sum's square is ``whole``."""
    one = replace(part, profile=flat(part.profile.ndim))
    if same == whole == 1:
        return one
    moments = one.moments()
    far = float(moments[0, POSITION])
    q = same * float(moments[0, 0]) + (whole - same) * far
    both = float(moments[POSITION, EXAMPLE])
    # another window is elsewhere: nothing but what all positions share
    other = float(moments[POSITION, UNIT])
    pairs = (
        whole * far,
        same * float(moments[0, EXAMPLE]) + (whole - same) * both,
        same * float(moments[0, UNIT]) + (whole - same) * other,
    )
    average = part.mean * math.sqrt(whole)
    top = max(q - average**2, 0.0)
    single = [clamp((pair - average**2) / top) if top > 0 else 0.0 for pair in pairs]
    z = average + gaussian(run, single, top)
    now = float((z[SELF] ** 2).mean())
    return Part(part.size, z * math.sqrt(q / now) if now > 0 else z, one.profile)


#: ln of the second moment behind a max pool: how far the rule below is off, a deviation. Windows
#: of correlated entries are not exchangeable. A norm behind it makes it good.
POOL_ERROR = 0.12


@rule(
    "aten.max_pool2d_with_indices", "aten.max_pool3d_with_indices", "aten.max_pool2d",
    "aten.max_pool1d", "aten.adaptive_max_pool2d",
)  # fmt: skip
def max_pool(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """The largest of a window: draws of a window from the unit's own distribution."""
    x, shape = given["self"], run.shape(node.outputs[0])
    if not isinstance(x, Value) or node.call.op == "aten.adaptive_max_pool2d":
        return None
    axes, arguments = len(shape) - 2, node.call.arguments
    kernel = per_axis(arguments["kernel_size"], axes)
    stride = per_axis(arguments.get("stride") or kernel, axes)
    padding = per_axis(arguments.get("padding") or (0,), axes)
    dilation = per_axis(arguments.get("dilation") or (1,), axes)
    meets = [
        windows(*row).sum(0)
        for row in zip(x.shape[2:], shape[2:], kernel, stride, padding, dilation, strict=True)
    ]
    n = math.prod(kernel)
    close = closeness(kernel, x.borders)
    found = [largest(run, part, n, close) for part in x.parts]
    parts = tuple(one for one, _ in found)
    roles = (*x.roles[:2], *((("p", size),) for size in shape[2:]))
    windowed = tuple(replace(p, profile=over_windows(p.profile, meets)) for p in parts)
    spread = x.spread + POOL_ERROR**2
    borders = x.borders / max(*stride, 1)
    value = replace(x, shape=shape, roles=roles, parts=windowed, spread=spread, borders=borders)
    share = math.prod(shape[2:]) / math.prod(x.shape[2:])
    shared = overlap(kernel, stride)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        rows = zip(matched(gradients[0], value), x.parts, found, strict=True)
        back = tuple(won(run, g, own, chance, share, shared) for g, own, (_, chance) in rows)
        return {"self": Gradient(back, gradients[0].spread + POOL_ERROR**2)}

    rest = tuple(Missing("the places of the largest") for _ in node.outputs[1:])
    return Outcome((value, *rest), pull)


def over_windows(profile: Any, meets: Sequence[Any]) -> Any:
    """A profile averaged over windows."""
    import numpy

    for place, matrix in enumerate(meets):
        axis = 2 + place
        if profile.shape[axis] > 1:
            moved = numpy.tensordot(matrix / matrix.sum(1, keepdims=True), profile, (1, axis))
            profile = numpy.moveaxis(moved, 0, axis)
    return normalised(narrowed(profile))[0]


def closeness(kernel: Sequence[int], borders: float) -> float:
    """How much of what the borders do two entries of a window have in common, on average.

    Each axis has its share: two entries in one row have the row's. Across, the effect of
    ``borders`` padded convolutions fades within as many entries; that of one is at the border.
    """
    n = math.prod(kernel)
    if n == 1:
        return 0.0
    total = 0.0
    for k in kernel:
        rows = sum((k - d) * max(1 - d / max(borders, 1.0), 0.0) for d in range(1, k)) * 2
        total += ((k + rows) / k**2 * n**2 - n) / (n * (n - 1))
    return total / len(kernel)


def largest(run: Any, part: Part, n: int, close: float) -> tuple[Part, Any]:
    """The largest of ``n`` exchangeable entries, and for each particle its chance to be it.

    The same entry of two examples is more alike than two positions are, which differ by the borders
    they are near to. Each axis has its share of that: entries in one row have the row's borders.
    """
    import numpy
    from scipy.special import ndtr

    z = part.z
    samples = z.shape[1]
    order = numpy.argsort(z[SELF])
    ordered = z[SELF][order]
    mean, q = part.mean, part.q
    variance = max(q - mean**2, 1e-300)

    far = normal_correlation(ordered, part.correlation(POSITION) * q, mean**2, variance)
    example = normal_correlation(ordered, part.correlation(EXAMPLE) * q, mean**2, variance)
    near = far + (max(far, example) - far) * close
    apart, beside = (min(k / near, 1.0) if near > 0 else 0.0 for k in (far, example))
    common = correlations(apart, beside, 0.0)
    base = run.noise.gaussian(common) * math.sqrt(near)
    best = numpy.full((4, samples), -numpy.inf)
    for _ in range(n):
        own = run.noise.random.standard_normal((4, samples))
        best = numpy.maximum(best, base + math.sqrt(1 - near) * own)
    places = numpy.clip((ndtr(best) * samples).astype(int), 0, samples - 1)
    rank = numpy.empty(samples)
    rank[order] = (numpy.arange(samples) + 0.5) / samples
    chance = winning(rank, n, near)
    return Part(part.size, ordered[places], part.profile), chance / chance.mean()


def winning(rank: Any, n: int, k: float) -> Any:
    """The chance of an entry of a given rank to be the largest of ``n`` of correlation ``k``.

    Given itself, u, and the part c that all have in common, the others are independent.
    """
    import numpy
    from scipy.special import ndtr, ndtri

    from botec.analyses.activations import quadrature

    grid = (numpy.arange(LEVELS) + 0.5) / LEVELS
    u, (nodes, shares) = ndtri(grid)[:, None], quadrature()
    c = math.sqrt(k) * u + math.sqrt(1 - k) * nodes
    others = ndtr((u - math.sqrt(k) * c) / math.sqrt(max(1 - k, 1e-9)))
    return numpy.interp(rank, grid, (others ** (n - 1) * shares).sum(1))


LEVELS = 128


def normal_correlation(ordered: Any, moment: float, floor: float, variance: float) -> float:
    """The correlation of two normal variables whose ranks give entries of ``ordered`` E[x x'].

    Behind a ReLU it is larger than that of the entries themselves.
    """
    import numpy
    from scipy.special import ndtr

    if moment <= floor or variance <= 1e-12 * floor:
        return 0.0
    samples = ordered.size
    random = numpy.random.default_rng(0)
    first = scores(samples)
    second = scores(samples)[random.permutation(samples)]
    values = ordered[numpy.clip((ndtr(first) * samples).astype(int), 0, samples - 1)]
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        other = middle * first + math.sqrt(1 - middle**2) * second
        places = numpy.clip((ndtr(other) * samples).astype(int), 0, samples - 1)
        low, high = (
            (middle, high) if float((values * ordered[places]).mean()) < moment else (low, middle)
        )
    return low


def overlap(kernel: Sequence[int], stride: Sequence[int]) -> float:
    """How many other windows have the same largest entry, on average."""
    each = [
        [max(k - abs(d) * s, 0) for d in range(-k, k + 1)]
        for k, s in zip(kernel, stride, strict=True)
    ]
    n, total = math.prod(kernel), 0.0
    grid = [1.0]
    for row in each:
        grid = [a * b for a in grid for b in row]
    for common in grid:
        if 0 < common < n:
            total += common / (2 * n - common)
    return total


def won(run: Any, g: Part, own: Part, chance: Any, share: float, shared: float) -> Part:
    """The gradient goes to the largest of each window."""
    import numpy

    k = g.told()
    more = 1 + shared * k[0]
    q = g.q * share * more
    drawn = fresh(run.noise, q, tuple(k), flat(own.profile.ndim), own.size)
    z = drawn.z * numpy.sqrt(chance)
    now = float((z[SELF] ** 2).mean())
    z = z * math.sqrt(q / now) if now > 0 else z
    back = (clamp(k[0] * share / more), clamp(k[1] * share), k[2], clamp(k[3] * share))
    return Part(own.size, z, drawn.profile, back)
