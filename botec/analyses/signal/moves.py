"""Ops that move entries and compute nothing: views, permutations, slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botec.analyses.signal.averages import evenness
from botec.analyses.signal.book import Outcome, rule
from botec.analyses.signal.linear import matched_whole
from botec.analyses.signal.pointwise import matched, slope_correlations
from botec.analyses.signal.value import (
    Axis,
    Gradient,
    Part,
    Value,
    flat,
    mixture,
    narrowed,
    normalised,
    role_of,
    unit_axes,
)  # fmt: skip

# --- the same entries -----------------------------------------------------------------------------


@rule(
    "aten.detach", "aten.alias", "aten.clone", "aten._to_copy", "aten.contiguous",
    "aten.lift_fresh", "aten.copy",
)  # fmt: skip
def same(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """A copy. (Autograd's own detached aliases stand in the graph for what they alias.)"""
    name = "src" if "src" in given else "self"
    one = given[name]
    over = given.get("self")
    if not isinstance(one, Value):  # a known token in the place of a random one
        return Outcome((over,)) if isinstance(over, Value) and over.index else None
    return Outcome((one,), lambda gradients: {name: gradients[0]})


@rule("botec.look", "botec.put")
def through_memory(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """The same entries by other strides, or all of them written over."""
    name = "part" if node.call.op == "botec.put" else "whole"
    shape = run.shape(node.outputs[0])
    one = given[name]
    tokens = [other for other in given.values() if isinstance(other, Value) and other.index]
    if tokens and name == "part":  # whole numbers among others are whole numbers
        first = tokens[0]
        roles = first.roles if first.shape == shape else index_roles(first, shape)
        return Outcome((replace(first, shape=shape, roles=roles),))
    if not isinstance(one, Value) or one.shape != shape:
        return None
    return Outcome((one,), lambda gradients: {name: gradients[0]})


def index_roles(one: Value, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """The roles of whole numbers in a tensor of another ``shape``: those of their own axes."""
    letters = [role_of(axis) for axis in one.roles] if len(one.shape) == len(shape) else []
    letters = letters or ["b", *["p"] * (len(shape) - 1)]
    return tuple(((letter, size),) for letter, size in zip(letters, shape, strict=True))


@rule("aten.view", "aten._unsafe_view", "aten.reshape", "aten._reshape_alias", "aten.flatten")
def view(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome:
    """Axes merged and split."""
    return reshaped(run, given["self"], run.shape(node.outputs[0]))


@rule("aten.unsqueeze", "aten.squeeze")
def squeezed(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome:
    """Axes of size 1 come and go."""
    return reshaped(run, given["self"], run.shape(node.outputs[0]))


def reshaped(run: Any, x: Value, shape: tuple[int, ...]) -> Outcome:
    """``x`` in another shape, its entries in the same order."""
    roles = regrouped(x.roles, x.shape, shape)
    axis = kept_axis(x.shape, shape, x.axis)
    if axis is None and len(x.parts) > 1:
        x = x.whole()
    at = len(shape) - 1 if axis is None else axis
    if not shape:
        at = 0
    parts = [
        replace(
            part,
            profile=profile_in(part, x, shape, axis),
            size=part.size if axis is not None else (shape[at] if shape else 1),
        )
        for part in x.parts
    ]
    value = replace(x, shape=shape, roles=roles, parts=tuple(parts), axis=at)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found = matched(gradients[0], value)
        back = [
            replace(part, profile=profile_back(part, own, x, shape), size=own.size)
            for part, own in zip(found, x.parts, strict=True)
        ]
        return {"self": Gradient(tuple(back), gradients[0].spread)}

    return Outcome((value,), pull)


def regrouped(
    roles: Sequence[Axis], before: Sequence[int], after: Sequence[int]
) -> tuple[Axis, ...]:
    """The roles of axes after a reshape: factors are split and merged in their order."""
    atoms = [(role, size) for axis in roles for role, size in axis if size != 1]
    found: list[Axis] = []
    for size in after:
        axis: list[tuple[str, int]] = []
        left = size
        while left > 1 and atoms:
            role, own = atoms[0]
            take = math.gcd(left, own) if own > left or left % own else own
            if take == 1:  # sizes that do not divide: the axis has the role of what fills it
                axis.append((role, left))
                atoms[0] = (role, max(own // left, 1))
                if atoms[0][1] == 1:
                    atoms.pop(0)
                left = 1
                break
            # of an axis that is split, the slowest factor goes first
            axis.append((role, take))
            left //= take
            if own == take:
                atoms.pop(0)
            else:
                atoms[0] = (role, own // take)
        found.append(tuple(axis) or (("1", size),))
    return tuple(found)


def kept_axis(before: Sequence[int], after: Sequence[int], axis: int) -> int | None:
    """Where an axis is after a reshape, ``None`` where it is split or merged."""
    if not before:
        return None
    ahead = math.prod(before[:axis])
    for place, size in enumerate(after):
        if size == before[axis] and math.prod(after[:place]) == ahead and size > 1:
            return place
    return None


def profile_in(part: Part, x: Value, shape: tuple[int, ...], axis: int | None) -> Any:
    if part.profile.size == 1:
        return flat(len(shape))
    own = list(x.shape)
    target = list(shape)
    if axis is not None and len(x.parts) > 1:
        own[x.axis] = target[axis] = part.size
    return regrouped_profile(part.profile, own, target)


def profile_back(part: Part, own: Part, x: Value, shape: tuple[int, ...]) -> Any:
    if part.profile.size == 1:
        return flat(len(x.shape))
    before = list(x.shape)
    if len(x.parts) > 1:
        before[x.axis] = own.size
    after = list(shape)
    if len(x.parts) > 1:
        place = kept_axis(x.shape, shape, x.axis)
        after[place if place is not None else -1] = own.size
    return regrouped_profile(part.profile, after, before)


def regrouped_profile(profile: Any, before: Sequence[int], after: Sequence[int]) -> Any:
    """A profile of a tensor of one shape as one of the same entries in another.

    Only the axes that merge or split are laid out, and only where the profile varies along them.
    """
    import numpy

    wide: list[int] = []
    out: list[int] = []
    for first, second in groups(before, after):
        varies = any(profile.shape[len(wide) + place] > 1 for place in range(len(first)))
        wide += first if varies else [1] * len(first)
        out += second if varies else [1] * len(second)
    return narrowed(numpy.broadcast_to(profile, wide).reshape(out))


def groups(
    before: Sequence[int], after: Sequence[int]
) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Runs of axes of two shapes that hold the same entries: (6, 4), (2, 3, 4) has two."""
    i = j = 0
    while i < len(before) or j < len(after):
        start, begin = i, j
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while (one := math.prod(before[start:i])) != (other := math.prod(after[begin:j])):
            if (one < other or j == len(after)) and i < len(before):
                i += 1
            else:
                j += 1
        yield before[start:i], after[begin:j]


@rule("aten.permute", "aten.transpose", "aten.t", "aten.movedim")
def permuted(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome:
    """Axes in another order."""
    x, rank = given["self"], len(given["self"].shape)
    order = list(range(rank))
    arguments = node.call.arguments
    if node.call.op == "aten.permute":
        order = [d % rank for d in arguments["dims"]]
    elif rank > 1:
        a, b = (
            (arguments["dim0"] % rank, arguments["dim1"] % rank) if "dim0" in arguments else (0, 1)
        )
        order[a], order[b] = order[b], order[a]
    back = [order.index(a) for a in range(rank)]
    value = reordered(x, order)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found = [
            replace(p, profile=p.profile.transpose(back)) for p in matched(gradients[0], value)
        ]
        return {"self": Gradient(tuple(found), gradients[0].spread)}

    return Outcome((value,), pull)


def reordered(x: Value, order: Sequence[int]) -> Value:
    """``x`` with its axes in another order."""
    parts = tuple(replace(p, profile=p.profile.transpose(order)) for p in x.parts)
    return replace(
        x,
        shape=tuple(x.shape[a] for a in order),
        roles=tuple(x.roles[a] for a in order),
        parts=parts,
        axis=list(order).index(x.axis) if x.shape else 0,
    )


@rule("aten.expand")
def expanded(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Axes of size 1 repeated: their gradients add."""
    x, shape = given["self"], run.shape(node.outputs[0])
    if not isinstance(x, Value):
        return None
    lacking = len(shape) - len(x.shape)
    roles = tuple((("1", size),) for size in shape[:lacking]) + x.roles
    roles = tuple(
        axis if math.prod(s for _, s in axis) == size else (("1", size),)
        for axis, size in zip(roles, shape, strict=True)
    )
    parts = tuple(
        replace(p, profile=p.profile.reshape((1,) * lacking + p.profile.shape)) for p in x.parts
    )
    value = replace(x, shape=shape, roles=roles, parts=parts, axis=x.axis + lacking)
    repeats = math.prod(shape) // max(math.prod(x.shape), 1)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        if repeats == 1:
            found = matched(gradients[0], value)
            back = [replace(p, profile=p.profile.reshape(p.profile.shape[lacking:])) for p in found]
            return {"self": Gradient(tuple(back), gradients[0].spread)}
        from botec.analyses.signal.pointwise import back_to

        parts = list(matched(gradients[0], value))
        spoken = replace(value, roles=tuple(guessed(axis) for axis in value.roles))
        return {"self": back_to(run, x, parts, spoken, gradients[0].spread)}

    return Outcome((value,), pull)


def guessed(axis: Axis) -> Axis:
    """Repeated entries differ downstream as positions do."""
    return tuple(("p" if role == "1" else role, size) for role, size in axis)


# --- some of the entries --------------------------------------------------------------------------


@rule("aten.slice", "aten.select", "aten.narrow")
def some(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """A run of an axis, or one place of it."""
    x, arguments = given["self"], node.call.arguments
    dim = arguments["dim"] % len(x.shape)
    if node.call.op == "aten.select":
        at = arguments["index"] % x.shape[dim]
        places = range(at, at + 1)
    else:
        places = range(
            *slice(arguments["start"], arguments["end"], arguments["step"]).indices(x.shape[dim])
        )
    return taken(run, x, dim, places, drop=node.call.op == "aten.select")


def taken(run: Any, x: Value, dim: int, places: range, drop: bool) -> Outcome:
    """The entries at ``places`` of an axis; elsewhere the gradient is 0."""
    import numpy

    x = x if dim != x.axis else x.whole()
    index = numpy.asarray(places)
    shape = [len(places) if a == dim else size for a, size in enumerate(x.shape)]
    parts, lost = [], []
    for part in x.parts:
        profile = part.profile if part.profile.shape[dim] == 1 else part.profile.take(index, dim)
        profile, mean = normalised(profile)
        lost.append(mean)
        size = part.size if dim != x.axis else len(places)
        parts.append(replace(part.scaled(mean, profile), size=size))
    roles = list(x.roles)
    roles[dim] = ((role_of(x.roles[dim]), len(places)),)
    value = replace(x, shape=tuple(shape), roles=tuple(roles), parts=tuple(parts))
    if drop:
        value = dropped(value, dim)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found = []
        for part, own in zip(matched(gradients[0], value), x.parts, strict=True):
            profile = numpy.expand_dims(part.profile, dim) if drop else part.profile
            full = list(profile.shape)
            full[dim] = x.shape[dim]
            wide = numpy.zeros(full)
            where = [slice(None)] * len(full)
            where[dim] = index  # type: ignore[call-overload]
            wide[tuple(where)] = profile
            profile, mean = normalised(narrowed(wide))
            found.append(replace(part.scaled(mean, profile), size=own.size))
        return {"self": Gradient(tuple(found), gradients[0].spread)}

    return Outcome((value,), pull)


def dropped(x: Value, dim: int) -> Value:
    """Without an axis of size 1."""
    rest = [a for a in range(len(x.shape)) if a != dim]
    axis = x.axis - (dim < x.axis) if x.axis != dim else max(len(rest) - 1, 0)
    shape = tuple(x.shape[a] for a in rest)
    size = shape[axis] if shape and x.axis == dim else None
    parts = tuple(
        replace(
            p, profile=p.profile.reshape([p.profile.shape[a] for a in rest]), size=size or p.size
        )
        for p in x.parts
    )
    return replace(x, shape=shape, roles=tuple(x.roles[a] for a in rest), parts=parts, axis=axis)


@rule("aten.split", "aten.split_with_sizes", "aten.chunk", "aten.unbind", "aten.unsafe_chunk")
def pieces(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """An axis cut into pieces."""
    x = given["self"]
    dim = node.call.arguments.get("dim", 0) % len(x.shape)
    drop = node.call.op == "aten.unbind"
    found, start = [], 0
    for number in node.outputs:
        size = 1 if drop else run.shape(number)[dim]
        found.append(taken(run, x, dim, range(start, start + size), drop))
        start += size

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        from botec.analyses.signal.fold import total

        if role_of(x.roles[dim]) == "u" and all(gradients):
            return {"self": side_by_side(x, found, gradients, dim, drop)}
        whole: Gradient | None = None
        for one, gradient in zip(found, gradients, strict=False):
            if gradient is not None and one.pull is not None:
                part = one.pull([gradient])["self"]
                whole = part if whole is None else total(whole, part, x)
        return {"self": whole}

    return Outcome(tuple(one.outputs[0] for one in found), pull)


def side_by_side(
    x: Value, found: Sequence[Outcome], gradients: Sequence[Any], dim: int, drop: bool
) -> Gradient:
    """The gradients of pieces that hold different units, put together again."""
    import numpy

    parts = []
    for one, gradient in zip(found, gradients, strict=True):
        value = one.outputs[0]
        part = matched_whole(gradient, value)
        profile = numpy.expand_dims(part.profile, dim) if drop else part.profile
        size = 1 if drop else value.shape[dim]
        parts.append(replace(part, profile=profile, size=size))
    q = max(sum(part.q * part.size for part in parts), 1e-300)
    shares = [part.q * part.size / q for part in parts]
    spread = sum(share**2 * g.spread for share, g in zip(shares, gradients, strict=True))
    whole, units = mixture(parts, dim), unit_axes(x)
    # a correlation of positions stands beside how even these are: each piece has its own
    even = [evenness(part.profile, *units) for part in parts]
    mean = max(sum(s * each for s, each in zip(shares, even, strict=True)), 1e-300)  # of units
    rows = [
        [k * (each / mean if r in (0, 3) else 1) for r, k in enumerate(part.told())]
        for part, each in zip(parts, even, strict=True)
    ]
    k = (sum(s * k for s, k in zip(shares, each, strict=True)) for each in zip(*rows, strict=True))
    whole = replace(whole, size=x.shape[x.axis], k=tuple(min(one, 1.0) for one in k))
    return Gradient(matched(Gradient((whole,)), x), spread)


@rule("aten.roll", "aten.flip")
def turned(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Entries shifted round, or in reverse."""
    x = given["self"]
    value = replace(x, parts=tuple(moved(run, node.call, p, x.shape, x) for p in x.parts))

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found = tuple(
            moved(run, node.call, p, x.shape, x, back=True) for p in matched(gradients[0], value)
        )
        return {"self": Gradient(found, gradients[0].spread)}

    return Outcome((value,), pull)


def moved(run: Any, call: Any, part: Part, shape: Any, x: Value, back: bool = False) -> Part:
    import numpy

    if part.profile.size == 1:
        return part
    dims = [d % len(shape) for d in call.arguments["dims"]]
    if call.op == "aten.flip":
        return replace(part, profile=numpy.flip(part.profile, tuple(dims)))
    sign = -1 if back else 1
    shifts = [
        sign * s if part.profile.shape[d] > 1 else 0
        for s, d in zip(call.arguments["shifts"], dims, strict=True)
    ]
    return replace(part, profile=numpy.roll(part.profile, shifts, dims))


@rule("aten.glu")
def gated(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """a σ(b) of the two halves of an axis: halves of one distribution, drawn apart."""
    import numpy

    x, dim = given["self"], node.call.arguments.get("dim", -1) % len(given["self"].shape)
    half = x.shape[dim] // 2
    first = taken(run, x, dim, range(half), drop=False)
    second = taken(run, x, dim, range(half, 2 * half), drop=False)
    a, b = first.outputs[0].one, second.outputs[0].one
    moments = b.moments() - b.mean**2
    other = b.mean + run.noise.gaussian(moments)
    gate = 1 / (1 + numpy.exp(-other))
    profile = normalised(narrowed(a.profile))[0]
    value = replace(first.outputs[0], parts=(Part(a.size, a.z * gate, profile),))

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        from botec.analyses.signal.fold import total

        if gradients[0] is None:
            return {}
        g = matched(gradients[0], value)[0]
        sides = (gate, a.z * gate * (1 - gate))
        g = replace(g, slope=None)
        back = [replace(g, z=g.z * slope, k=slope_correlations(g.told(), slope)) for slope in sides]
        spread = gradients[0].spread
        ends = [
            one.pull([Gradient((part,), spread)])["self"]
            for one, part in zip((first, second), back, strict=True)
            if one.pull is not None
        ]
        return {"self": total(ends[0], ends[1], x)}

    return Outcome((value,), pull)
