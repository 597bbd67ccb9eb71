"""Convolutions, their padding's border included.

A convolution with zero padding sums fewer terms near the border: per axis, how many taps meet the
input at each position is counted, and the profile goes through the same counting. That lowers the
correlation of two positions by Σ f_j²/Σ f_j, f_j the share of positions at which tap j is inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botec.analyses.signal.averages import clamp, evenness, fresh
from botec.analyses.signal.book import Outcome, rule
from botec.analyses.signal.linear import (
    FEW,
    bias_gradient,
    bias_moments,
    draw_spread,
    entering,
    few_terms,
    linear_moments,
    made,
    matched_whole,
    sum_spread,
    sums_of,
    weight_gradient,
    width_spread,
)  # fmt: skip
from botec.analyses.signal.pointwise import matched
from botec.analyses.signal.value import (
    Data,
    Gradient,
    Part,
    Value,
    narrowed,
    normalised,
    role_of,
)  # fmt: skip


def windows(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> Any:
    """[taps, out, size]: 1 where a tap of an output position meets an input position."""
    import numpy

    found = numpy.zeros((kernel, out, size))
    places = numpy.arange(out) * stride - padding
    for tap in range(kernel):
        at = places + tap * dilation
        inside = (at >= 0) & (at < size)
        found[tap, inside, at[inside]] = 1
    return found


@dataclass(frozen=True)
class Sliding:
    """How the windows of a convolution lie on its input, axis by axis.

    ``meets[a]`` [out, in] counts the taps between two positions of axis a, ``kept`` is the factor
    Σf²/Σf on the correlation of two outputs, ``returned`` that of two inputs' gradients, ``share``
    the mean share of taps that lie inside. ``common[a]`` [out, in] weighs each tap by the share of
    positions that have it: what an output has in common with the others.
    """

    meets: tuple[Any, ...]
    common: tuple[Any, ...]
    kept: float
    returned: float
    share: float
    taps: int

    def spread_over(self, profile: Any, back: bool = False, common: bool = False) -> Any:
        """A profile over the input's positions summed over windows (``back``: the transpose)."""
        import numpy

        for place, matrix in enumerate(self.common if common else self.meets):
            axis = 2 + place
            matrix = matrix.T if back else matrix
            if profile.shape[axis] == 1:
                shape = [1] * profile.ndim
                shape[axis] = matrix.shape[0]
                profile = profile * matrix.sum(1).reshape(shape)
            else:
                moved = numpy.tensordot(matrix, profile, (1, axis))
                profile = numpy.moveaxis(moved, 0, axis)
        return profile


def sliding(
    call: Any, before: Sequence[int], after: Sequence[int], kernel: Sequence[int]
) -> Sliding:
    """The windows of a call of ``aten.convolution`` (its transposed ones turned around)."""
    turned = call.arguments["transposed"]
    options = [per_axis(call.arguments[n], len(kernel)) for n in ("stride", "padding", "dilation")]
    meets, common, kept, returned, share = [], [], 1.0, 1.0, 1.0
    for size, out, taps, stride, padding, dilation in zip(
        before, after, kernel, *options, strict=True
    ):
        large, small = (out, size) if turned else (size, out)
        met = windows(large, small, taps, stride, padding, dilation)
        met = met.transpose(0, 2, 1) if turned else met
        forth, back = met.sum((1, 2)) / out, met.sum((1, 2)) / size
        kept *= ratio(forth)
        returned *= ratio(back)
        share *= forth.mean()
        meets.append(met.sum(0))
        common.append((met * forth[:, None, None]).sum(0))
    return Sliding(tuple(meets), tuple(common), kept, returned, share, math.prod(kernel))


def ratio(shares: Any) -> float:
    total = float(shares.sum())
    return float((shares**2).sum()) / total if total else 1.0


def per_axis(option: Sequence[int], axes: int) -> Sequence[int]:
    """An option of a window for each of its axes: one number stands for all."""
    return option if len(option) == axes else tuple(option) * axes


@rule("aten.convolution", "aten._convolution")
def convolution(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """A convolution of any number of axes, grouped or transposed, with its padding's border."""
    x, weight, bias = given["input"], given["weight"], given.get("bias")
    if not isinstance(x, Value) or not isinstance(weight, Data) or isinstance(bias, Value):
        return None
    call, shape = node.call, run.shape(node.outputs[0])
    groups = call.arguments["groups"]
    array = oriented(weight.array, call.arguments["transposed"], groups)
    slide = sliding(call, x.shape[2:], shape[2:], weight.array.shape[2:])
    before, x = x, x.along(1)
    parts, pieces = channels(x, array, groups)
    depthwise = groups > 1 and array.shape[1] == 1
    found = [
        convolved_part(run, [one for one, _ in row], [w for _, w in row], slide, bias, size)
        for row, size in paired(parts, pieces, depthwise)
    ]
    counts = x.count([a for a in range(len(shape)) if a != 1])
    # a grouped output sums over its own group's inputs only, but q averages over all of them
    spread = entering(replace(x, parts=tuple(parts)), counts, 1)
    spread += draw_spread(array) + sum_spread(parts, shape[1])
    roles = (x.roles[0], (("u", shape[1]),), *(renamed(x, a, shape) for a in range(2, len(shape))))
    padded = any(call.arguments["padding"]) and slide.taps > 1
    borders = x.borders + padded
    value = Value(shape, roles, tuple(found), 1, spread, sampled=x.sampled, borders=borders)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        gradient = convolution_gradient(
            run, before, parts, array, slide, weight, bias, gradients[0], value, depthwise
        )
        return {"input": gradient}

    return Outcome((value,), pull)


def renamed(x: Value, axis: int, shape: tuple[int, ...]) -> Any:
    return ((role_of(x.roles[axis]) if x.shape[axis] > 1 else "p", shape[axis]),)


def oriented(weight: Any, transposed: bool, groups: int) -> Any:
    """A weight as [outputs, inputs of a group, taps]."""
    if transposed:
        inputs, outputs = weight.shape[:2]
        weight = weight.reshape(groups, inputs // groups, outputs, -1).transpose(0, 2, 1, 3)
        return weight.reshape(groups * outputs, inputs // groups, -1)
    return weight.reshape(weight.shape[0], weight.shape[1], -1)


def channels(x: Value, array: Any, groups: int) -> tuple[list[Part], list[Any]]:
    """The input's parts with the weights that read them: [outputs, inputs, taps] each."""
    sizes = [part.size for part in x.parts]
    if groups == 1:
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return list(x.parts), [array[:, a : a + n] for a, n in zip(starts, sizes, strict=True)]
    each = array.shape[0] // groups
    if array.shape[1] == 1 and sum(sizes) == groups:
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        rows = zip(starts, sizes, strict=True)
        return list(x.parts), [array[a * each : (a + n) * each] for a, n in rows]
    return [x.one], [array]


def paired(parts: list[Part], pieces: list[Any], depthwise: bool) -> Any:
    """Which parts make which output: all of them one, but for a depthwise convolution."""
    rows = list(zip(parts, pieces, strict=True))
    if depthwise and len(rows) > 1:
        return [([row], row[1].shape[0]) for row in rows]
    return [(rows, pieces[0].shape[0])]


def convolved_part(
    run: Any, parts: list[Part], pieces: list[Any], slide: Sliding, bias: Any, size: int
) -> Part:
    """One part of the output."""
    moments: Any = 0.0
    rows, shared, each = 0.0, 0.0, None
    for part, piece in zip(parts, pieces, strict=True):
        sums = sums_of(piece)
        each = sums.each if len(parts) == 1 else None
        found = linear_moments(part, sums, "u")
        before = part.profile.mean(1, keepdims=True)
        profile = slide.spread_over(before) / slide.taps
        found = found * float(profile.mean())
        kept = slide.kept * evenness(before) / evenness(normalised(profile)[0])
        found[0, 1] = found[1, 0] = min(found[0, 1] * kept, found[0, 0])
        found[1, 2] = found[2, 1] = min(found[1, 2] * kept, found[0, 0])
        moments = moments + found
        shared = shared + slide.spread_over(before**0.5, common=True) * found[0, 1]
        rows = rows + profile * float(found[0, 0]) / max(float(profile.mean()), 1e-300)
    if each is not None and float(abs(each - 1).max()) > 0.02:
        rows = rows * each.reshape(1, -1, *(1 for _ in slide.meets))
    shape = (1, size, *(1 for _ in slide.meets))
    few = len(parts) == 1 and pieces[0][0].size < FEW
    drawn = few_terms(run, parts[0], pieces[0]) if few else None
    value = made(run, moments, bias_moments(bias), rows, shape, (), 1, "u", 0.0, drawn)
    if slide.taps == 1 or abs(moments[0, 1]) <= 1e-12 * moments[0, 0]:
        return value.parts[0]
    (one,) = value.parts
    return replace(one, shared=(one.profile, narrowed(shared)))


def convolution_gradient(
    run: Any, x: Value, parts: list[Part], array: Any, slide: Sliding, weight: Data, bias: Any,
    gradient: Gradient, value: Value, depthwise: bool,
) -> Gradient:  # fmt: skip
    """Of the input; those of weight and bias are credited."""
    rows = [a for a in range(len(value.shape)) if a != 1]
    counts = value.count(rows)
    outs = matched(gradient, value) if depthwise else (matched_whole(gradient, value),)
    spread = gradient.spread
    whole = matched_whole(gradient, value)
    weight_gradient(run, weight.name, whole, parts, counts, spread + x.spread, slide.share, 1)
    if isinstance(bias, Data):
        bias_gradient(run, bias.name, whole, counts, spread, 1)
    groups = x.shape[1] // array.shape[1]
    found, start = [], 0
    for place, one in enumerate(parts):
        out = outs[place] if len(outs) == len(parts) else outs[0]
        if depthwise and len(outs) == len(parts):
            piece = array[start * array.shape[0] // x.shape[1] :][: out.size]
        else:
            piece = array if groups > 1 else array[:, start : start + one.size]
        start += one.size
        found.append(returned(run, one, out, piece, slide, groups))
    # an input sums over its own group's outputs only, but q averages over all of them
    spread += width_spread(whole, counts, array.shape[0]) + draw_spread(array)
    if len(found) == 1 and len(x.parts) > 1:
        found = [replace(found[0], size=one.size) for one in x.parts]
    return Gradient(tuple(found), spread)


def returned(run: Any, one: Part, out: Part, piece: Any, slide: Sliding, groups: int) -> Part:
    """The gradient that comes back to one part of the input."""
    squares = piece.astype("float64") ** 2
    by_output = squares.sum((1, 2))
    mean = float(by_output.mean())
    profile = out.profile
    if profile.shape[1] > 1 and profile.shape[1] == len(by_output) and mean > 0:
        # an output's squares and its gradient belong together: a norm behind it divides by them
        each = (by_output / mean).reshape(1, -1, *(1 for _ in slide.meets))
        profile = profile * each
        if groups == 1 or len(by_output) != one.size:
            profile = profile.mean(1, keepdims=True)
    else:
        profile = profile.mean(1, keepdims=True)
    share = piece.shape[0] / (groups * piece.shape[1]) if groups > 1 else piece.shape[0] / one.size
    if groups > 1:
        share = piece.shape[0] / one.size
    profile = slide.spread_over(profile, back=True) / slide.taps
    profile, factor = normalised(narrowed(profile))
    q = out.q * mean * share * factor
    k = out.told()
    k[0], k[3] = clamp(k[0] * slide.returned), clamp(k[3] * slide.returned)
    k[2] = 0.0
    found = fresh(run.noise, q, tuple(k), profile, one.size)
    return replace(found, level=out.level and groups == one.size and groups > 1)
