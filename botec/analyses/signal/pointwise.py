"""Pointwise ops: executed on particles, forward and backward; nothing about them is told here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from botec.analyses.signal.averages import clamp, summed
from botec.analyses.signal.book import Outcome
from botec.analyses.signal.particles import EXAMPLE, POSITION, SELF, UNIT
from botec.analyses.signal.value import (
    Axis,
    Data,
    Gradient,
    Missing,
    Part,
    Value,
    fitted,
    flat,
    narrowed,
    normalised,
    role_of,
    split,
)  # fmt: skip
from botec.calls import Call

LEVELS = 5
ODD = 1e-3  # of the second moment: what may be left over (a ReLU6 is a ReLU but for its far end)
EVEN = 1.02  # a profile whose largest entry is less than this times its smallest is even
SUMS = {"aten.add", "aten.sub", "aten.rsub"}
PRODUCTS = {"aten.mul"}
QUOTIENTS = {"aten.div"}


def pointwise(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """The op run on the particles of its arguments, part by part."""
    named = {name: one for name, one in given.items() if isinstance(one, Value)}
    if any(one.index for one in named.values()):
        return index_outcome(run, node, named)
    shape = run.shape(node.outputs[0])
    if not broadcast(given.values(), shape):
        return None
    left = None
    if node.call.op.removesuffix("_") in SUMS:
        from botec.analyses.signal.attention import without_mask

        given, left = without_mask(run, given)
    roles = joint_roles(named.values(), shape)
    axis, sizes = partition(named.values(), shape)
    pieces = {name: cut(one, shape, roles, axis, sizes, run) for name, one in given.items()}
    many = range(len(sizes))
    rows = [{name: each[i] for name, each in pieces.items()} for i in many]
    call = plain_twin(node.call)
    found = [executed(run, call, row, size) for row, size in zip(rows, sizes, strict=True)]
    value = Value(
        shape, roles, tuple(found), axis, spread_of(named.values()),
        attention_of(call, named), keep_of(call, named),
        sampled=tuple(dict.fromkeys(s for one in named.values() for s in one.sampled)),
        borders=max(one.borders for one in named.values()),
    )  # fmt: skip

    if left is not None:
        from botec.analyses.signal.attention import taking

        value = taking(run, value, left)

    def pull(gradients: Any) -> dict[str, Any]:
        return pulled(run, call, given, pieces, rows, gradients[0], value)

    return Outcome((value,), pull)


def broadcast(given: Any, shape: tuple[int, ...]) -> bool:
    """Whether the arguments make a result of ``shape`` entry by entry."""
    import numpy

    shapes = [one.shape if isinstance(one, Value) else one.array.shape for one in given]
    return numpy.broadcast_shapes(*shapes) == shape


def plain_twin(call: Call) -> Call:
    """``aten.relu`` of ``aten.relu_``: particles are never written over."""
    if not call.op.endswith("_") or not call.writes:
        return call
    return replace(call, op=call.op[:-1], writes=())


def index_outcome(run: Any, node: Any, named: Mapping[str, Value]) -> Outcome | None:
    """Arithmetic on random whole numbers gives random whole numbers; anything else is unknown."""
    number = node.outputs[0]
    if "float" in run.graph.values[number].dtype:
        return Outcome((Missing(f"{node.call.op} of whole numbers is not predicted"),))
    first = next(one for one in named.values() if one.index)
    shape = run.shape(number)
    return Outcome((replace(first, shape=shape, roles=joint_roles([first], shape)),))


# --- laying arguments side by side ----------------------------------------------------------------


def joint_roles(values: Any, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """The roles of a broadcast result: of each axis, those of the first value that has it whole."""
    found: list[Axis] = [(("1", size),) for size in shape]
    for value in values:
        offset = len(shape) - len(value.shape)
        for place, axis in enumerate(value.roles):
            if (
                role_of(found[offset + place]) == "1"
                and value.shape[place] == shape[offset + place]
            ):
                found[offset + place] = axis
    return tuple(found)


def partition(values: Any, shape: tuple[int, ...]) -> tuple[int, list[int]]:
    """The axis of parts of a result and their sizes: those of the value with the most parts."""
    most = max(values, key=lambda one: len(one.parts))
    axis = len(shape) - len(most.shape) + most.axis
    if len(most.parts) == 1:
        axis = max(min(axis, len(shape) - 1), 0)  # a single number has no axis of its own
        return axis, [shape[axis]] if shape else [1]
    return axis, [part.size for part in most.parts]


def cut(
    one: Any, shape: tuple[int, ...], roles: tuple[Axis, ...], axis: int, sizes: list[int], run: Any
) -> list[Any]:
    """An argument as one particle array and profile for each part of the result."""
    if isinstance(one, Data):
        return [
            data_part(piece, shape, roles, run.noise)
            for piece in pieces_of(one, axis, shape, sizes)
        ]
    own = axis - (len(shape) - len(one.shape))
    if own == one.axis and [part.size for part in one.parts] == sizes:
        return [aligned(part, shape) for part in one.parts]
    part = aligned(one.one, shape)
    cuts = split(part.profile, sizes, axis)
    return [rescaled(part, profile, size) for profile, size in zip(cuts, sizes, strict=True)]


def rescaled(part: Part, profile: Any, size: int) -> Part:
    """A piece of a part whose profile need not have mean 1."""
    profile, mean = normalised(profile)
    return replace(part.scaled(mean, profile), size=size)


def aligned(part: Part, shape: tuple[int, ...]) -> Part:
    """A part whose profile has as many axes as the result."""
    profile = part.profile
    lacking = len(shape) - profile.ndim
    return (
        replace(part, profile=profile.reshape((1,) * lacking + profile.shape)) if lacking else part
    )


def pieces_of(one: Data, axis: int, shape: tuple[int, ...], sizes: list[int]) -> list[Any]:
    import numpy

    array = numpy.asarray(one.array)
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    return split(array, sizes, axis)


def data_part(array: Any, shape: tuple[int, ...], roles: tuple[Axis, ...], noise: Any) -> Part:
    """Known entries as particles: entries drawn at random, replicas elsewhere along their role."""
    import numpy

    if array.size == 1 or array.dtype.kind == "b":
        z = numpy.broadcast_to(array.ravel()[:1], (4, noise.samples))
        if array.size == 1:
            kind = "float64" if array.dtype.kind == "f" else array.dtype
            return Part(1, numpy.array(z, dtype=kind), flat(len(shape)))
    z = drawn(array, roles, noise)
    if array.dtype.kind != "f":
        return Part(1, z, flat(len(shape)))
    z = z.astype("float64")
    if not array.any():
        return Part(1, z, flat(len(shape)))
    squares = numpy.square(array, dtype="float64")
    finite = numpy.isfinite(squares)
    q = float(squares[finite].mean()) if finite.any() else 0.0
    now = float((z[SELF] ** 2).mean())
    z = z * math.sqrt(q / now) if 0 < now < math.inf else z
    return Part(1, z, data_profile(squares, roles))


def data_profile(squares: Any, roles: tuple[Axis, ...]) -> Any:
    """How the entries' squares vary over positions, units and examples averaged."""
    import numpy

    if not numpy.isfinite(squares).all():
        return flat(squares.ndim)
    others = tuple(a for a in range(squares.ndim) if role_of(roles[a]) != "p")
    return normalised(narrowed(squares.mean(others, keepdims=True)))[0]


def drawn(array: Any, roles: tuple[Axis, ...], noise: Any) -> Any:
    """Entries [4, samples]: a replica is drawn anew along the axes of its role."""
    rows = []
    first = [noise.random.integers(0, size, noise.samples) for size in array.shape]
    rows.append(array[tuple(first)])
    for role in ("p", "b", "u"):
        places = [
            noise.random.integers(0, size, noise.samples) if has_role(axis, role) else place
            for size, axis, place in zip(array.shape, roles, first, strict=True)
        ]
        rows.append(array[tuple(places)])
    import numpy

    return numpy.stack(rows)


def has_role(axis: Axis, role: str) -> bool:
    """Whether entries of another role's replica stand elsewhere along an axis."""
    return any(one == role and size > 1 for one, size in axis)


# --- running --------------------------------------------------------------------------------------


def executed(run: Any, call: Any, row: Mapping[str, Part], size: int) -> Part:
    """One part of the result."""
    import numpy

    z = output(run, call, {name: part.z for name, part in row.items()})
    z = numpy.broadcast_to(z, (4, run.noise.samples))
    profile, factor = profile_of(run, call, row, z)
    part = Part(size, z if z.dtype.kind == "b" else numpy.asarray(z, dtype="float64"), profile)
    return part.scaled(factor) if factor != 1 else part


def output(run: Any, call: Any, arrays: Mapping[str, Any]) -> Any:
    return run.executor.run(call, dict(arrays))[0]


def profile_of(run: Any, call: Any, row: Mapping[str, Part], z: Any) -> tuple[Any, float]:
    """The profile of a result, and the factor on its second moment for being uneven."""
    parts = [part for part in row.values() if part.z.dtype.kind == "f"]
    base = call.op.removesuffix("_")
    if not parts:
        return flat(next(iter(row.values())).profile.ndim), 1.0
    if len(parts) > 1 and base in SUMS:
        addends = [part for part in parts if part.q] or parts
        if len(addends) == 1:  # a mask whose -∞ are taken out adds nothing
            return addends[0].profile, 1.0
        total = sum(part.profile * part.q for part in addends)
        return normalised(narrowed(total))[0], 1.0
    if len(parts) > 1 and base in PRODUCTS:
        return multiplied(parts[0].profile, parts[1].profile)
    if len(parts) > 1 and base in QUOTIENTS:
        profile, mean = normalised(parts[0].profile / parts[1].profile.clip(1e-300))
        return narrowed(profile), mean
    main = max(parts, key=lambda part: part.profile.size)
    if main.profile.max() <= EVEN * main.profile.min():
        return main.profile, 1.0
    return by_levels(run, call, row, main, z)


def multiplied(a: Any, b: Any) -> tuple[Any, float]:
    """The product of two profiles with mean 1, and the mean it had; of a flat one, the other."""
    for one, other in ((a, b), (b, a)):
        if one.size == 1 and float(one.flat[0]) == 1 and one.ndim <= other.ndim:
            return other, 1.0
    profile, mean = normalised(a * b)
    return narrowed(profile), mean


def by_levels(
    run: Any, call: Any, row: Mapping[str, Part], main: Part, z: Any
) -> tuple[Any, float]:
    """The profile after a nonlinearity: it is run at a few scales, and read off between them."""
    import numpy

    low = max(float(main.profile.min()), 1e-12 * float(main.profile.max()))
    levels = numpy.geomspace(low, float(main.profile.max()), LEVELS)
    found = []
    for level in levels:
        arrays = {n: p.z * math.sqrt(level) if p is main else p.z for n, p in row.items()}
        found.append(max(float((output(run, call, arrays)[SELF] ** 2).mean()), 1e-300))
    logs = numpy.interp(numpy.log(main.profile.clip(low)), numpy.log(levels), numpy.log(found))
    profile, mean = normalised(numpy.exp(logs))
    now = float((z[SELF].astype("float64") ** 2).mean())
    return profile, mean / now if now > 0 else 1.0


def spread_of(values: Any) -> float:
    """ln q of a result: of independent shares of a sum; the largest of anything else."""
    return max((value.spread for value in values), default=0.0)


def keep_of(call: Any, named: Mapping[str, Value]) -> float | None:
    """A scaled dropout mask is one still."""
    keeps = [one.keep for one in named.values()]
    return (
        keeps[0] if len(keeps) == 1 and call.op.removesuffix("_") in QUOTIENTS | PRODUCTS else None
    )


def attention_of(call: Any, named: Mapping[str, Value]) -> Any:
    """Attention weights under a dropout mask or a factor are attention weights still."""
    rows = [one.attention for one in named.values() if one.attention is not None]
    if len(rows) == 1 and not hasattr(rows[0], "boost"):
        return rows[0]  # a mask waits for its softmax
    if len(rows) != 1 or call.op.removesuffix("_") not in PRODUCTS:
        return None
    keeps = [one.keep for one in named.values() if one.keep is not None]
    return rows[0] / keeps[0] if keeps else rows[0] if len(named) == 1 else None


# --- backward -------------------------------------------------------------------------------------


def pulled(
    run: Any, call: Any, given: Any, pieces: Any, rows: Any, gradient: Gradient | None, value: Value
) -> dict[str, Any]:
    """The gradients of every argument that has one."""
    if gradient is None:
        return {}
    parts = matched(gradient, value)
    found: dict[str, list[Part]] = {}
    ends = ends_at(given, value)
    for row, part in zip(rows, parts, strict=True):
        for name, one in pulled_part(run, call, row, part, ends).items():
            found.setdefault(name, []).append(one)
    out = {}
    for name, many in found.items():
        one = given[name]
        if isinstance(one, Data):
            credit(run, one, many, value, gradient.spread)
        elif len(many) == len(rows):
            out[name] = back_to(run, one, many, value, gradient.spread)
    return out


def ends_at(given: Mapping[str, Any], value: Value) -> set[str]:
    """Arguments that nothing lies behind: masks of dropout (not those that stand for many entries,
    whose gradients, sums, draw numbers that others are drawn after)."""
    masks = [name for name, one in given.items() if isinstance(one, Value) and one.keep is not None]
    return {name for name in masks if given[name].shape == value.shape and len(given) > 1}


def matched(gradient: Gradient, value: Value) -> tuple[Part, ...]:
    """The gradient's parts as the value has them."""
    from botec.analyses.signal.value import mixture

    sizes = [part.size for part in value.parts]
    if [part.size for part in gradient.parts] == sizes:
        return gradient.parts
    axis = value.axis
    one = gradient.parts[0] if len(gradient.parts) == 1 else mixture(gradient.parts, axis)
    cuts = split(one.profile, sizes, axis)
    return tuple(rescaled(one, profile, size) for profile, size in zip(cuts, sizes, strict=True))


def pulled_part(
    run: Any, call: Any, row: Mapping[str, Part], part: Part, without: Set[str]
) -> dict[str, Part]:
    """Gradients of one part: particles by the op's own derivative, correlations by its slopes."""
    import numpy

    arrays = {name: one.z for name, one in row.items()}
    found = run.executor.pull(call, arrays, [part.z])
    slopes = run.executor.pull(call, arrays, [numpy.ones_like(part.z)])
    before, told = part.slope or (1.0, part.told())
    known = part.alone or part.slope is not None
    out = {}
    for name, z in found.items():
        if z is None or isinstance(z, tuple) or name in without:
            continue
        slope = slopes[name].astype("float64")
        z = numpy.broadcast_to(z, part.z.shape).astype("float64")
        if known:  # nothing in common with what it is multiplied by, and no chance either
            steep = numpy.broadcast_to(slope * before, z.shape)
            gain = mean_square(steep) / max(mean_square(before), 1e-300)
            now = mean_square(z)
            z = z * math.sqrt(gain * part.q / now) if now > 0 else z
        else:
            steep = slope
        k = tuple(map(clamp, slope_correlations(told, steep)))
        profile, mean = slope_profile(call, row, name, part)
        level = part.level and homogeneous(run, call, arrays, slope)
        made = Part(part.size, z, profile, k).scaled(mean)
        out[name] = replace(made, level=level, slope=(steep, told) if known else None)
    return out


def mean_square(z: Any) -> float:
    """The mean square of particles' own entries, of a number its square."""
    return float((z[SELF] ** 2).mean()) if hasattr(z, "shape") else float(z) ** 2


def slope_correlations(told: Sequence[float], slope: Any) -> tuple[float, ...]:
    """The correlations of a gradient that had those ``told``, behind independent slopes."""
    square = float((slope[SELF] ** 2).mean())
    pairs = ((0, POSITION), (0, EXAMPLE), (0, UNIT), (POSITION, EXAMPLE))
    return tuple(
        own * float((slope[i] * slope[j]).mean()) / square if square > 0 else 0.0
        for own, (i, j) in zip(told, pairs, strict=True)
    )


def homogeneous(run: Any, call: Any, arrays: Mapping[str, Any], slope: Any) -> bool:
    """Whether f'(x) x is f(x), as of a ReLU: then a gradient's product with its value passes it."""
    if len(arrays) != 1:
        return False
    (z,) = arrays.values()
    result = output(run, call, arrays)
    return bool(((slope * z - result) ** 2).mean() <= ODD * (result**2).mean())


def slope_profile(call: Any, row: Mapping[str, Part], name: str, part: Part) -> tuple[Any, float]:
    """The profile of a gradient behind a product is that of the other factor too."""
    base = call.op.removesuffix("_")
    others = [one for other, one in row.items() if other != name and one.z.dtype.kind == "f"]
    if base in PRODUCTS and others:
        return multiplied(part.profile, others[0].profile)
    if base in QUOTIENTS and others and name == "self":
        profile, mean = normalised(part.profile / others[0].profile.clip(1e-300))
        return narrowed(profile), mean
    return part.profile, 1.0


def credit(run: Any, data: Data, parts: list[Part], value: Value, spread: float) -> None:
    """The gradient of a parameter that takes part in a pointwise op."""
    if not data.name:
        return
    shape = tuple(data.array.shape)
    whole = [gathered(run, part, value, shape) for part in parts]
    total = sum(part.size for part in parts)
    run.weight(data.name, sum(one.q * one.size for one in whole) / total, spread)


def back_to(run: Any, one: Value, parts: list[Part], value: Value, spread: float) -> Gradient:
    """Gradients in the shape of the argument: summed over what was broadcast."""
    found = [gathered(run, part, value, one.shape) for part in parts]
    if len(found) > 1 and len(one.parts) == 1:
        from botec.analyses.signal.value import mixture

        own = value.axis - (len(value.shape) - len(one.shape))
        if own < 0 or one.shape[own] == 1:  # it stood for every part: their gradients add
            size = found[0].size
            total = found[0]
            from botec.analyses.signal.fold import added

            for other in found[1:]:
                total = added(total, other)
            return Gradient((replace(total, size=size),), spread)
        return Gradient((mixture(found, own),), spread)
    return Gradient(tuple(found), spread)


def gathered(run: Any, part: Part, value: Value, shape: tuple[int, ...]) -> Part:
    """One part of a gradient summed over the axes that ``shape`` has not."""
    offset = len(value.shape) - len(shape)
    axes = [
        a
        for a, size in enumerate(value.shape)
        if size > 1 and (a < offset or shape[a - offset] == 1)
    ]
    profile = part.profile
    if axes:
        profile = profile.mean(tuple(axes), keepdims=True)
    profile = normalised(narrowed(fitted(profile.reshape(profile.shape[offset:]), shape)))[0]
    if not axes:
        return replace(part, profile=profile)
    counts = value.count(axes)
    if value.axis in axes and len(value.parts) > 1:
        counts["u"] = max(1, counts["u"] * part.size // value.shape[value.axis])
    return summed(part, counts, profile, run.noise)
