"""Tensors put side by side, and zeros put around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from botec.analyses.signal.averages import summed
from botec.analyses.signal.book import Outcome, rule
from botec.analyses.signal.linear import matched_whole
from botec.analyses.signal.pointwise import data_part, matched
from botec.analyses.signal.value import (
    Axis,
    Data,
    Gradient,
    Part,
    Value,
    mixture,
    narrowed,
    normalised,
    role_of,
    split,
)  # fmt: skip


@rule("aten.cat", "aten.stack")
def concatenated(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Tensors side by side: along units each stays a part of its own."""
    shape = run.shape(node.outputs[0])
    if node.call.op == "aten.stack":
        return None
    dim = node.call.arguments.get("dim", 0) % len(shape)
    kept = [(i, one) for i, one in enumerate(given["tensors"]) if not is_empty(one)]
    randoms = [one for _, one in kept if isinstance(one, Value)]
    if any(one.index for one in randoms):
        return None
    roles = list(randoms[0].roles)
    names = {role_of(one.roles[dim]) for one in randoms} - {"1"}
    name = names.pop() if names else "p"
    roles[dim] = ((name, shape[dim]),)
    values = [side(run, one, tuple(roles), dim) for _, one in kept]
    parts = [replace(p, size=p.size) for value in values for p in in_parts(value, dim)]
    segmented = name == "u" and len(parts) > 1 and not alike(parts)
    if not segmented:
        parts = [mixture(parts, dim)] if len(parts) > 1 else parts
    axis = dim if segmented or randoms[0].axis == dim else randoms[0].axis
    if axis != dim:
        parts = [replace(parts[0], size=shape[axis])]
    total = sum(value.q * value.shape[dim] for value in values)
    spread = sum((v.q * v.shape[dim] / total) ** 2 * v.spread for v in values) if total > 0 else 0.0
    value = Value(shape, tuple(roles), tuple(parts), axis, spread)

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found: list[Any] = [None] * len(given["tensors"])
        pieces = cut_back(gradients[0], value, values, dim)
        for (place, one), gradient in zip(kept, pieces, strict=True):
            if isinstance(one, Value):
                found[place] = gradient
            elif isinstance(one, Data) and one.name:
                repeated_gradient(run, one, gradient, tuple(roles), dim)
        return {"tensors": tuple(found)}

    return Outcome((value,), pull)


def is_empty(one: Any) -> bool:
    shape = one.shape if isinstance(one, Value) else one.array.shape
    return 0 in shape


def side(run: Any, one: Any, roles: tuple[Axis, ...], dim: int) -> Value:
    """One of the tensors as a value, known ones too."""
    if isinstance(one, Value):
        return one
    import numpy

    array = numpy.asarray(one.array, dtype="float64")
    own = tuple(((role_of(axis), size),) for axis, size in zip(roles, array.shape, strict=True))
    part = data_part(array, array.shape, own, run.noise)
    z = numpy.array(numpy.broadcast_to(part.z, (4, run.noise.samples)), dtype="float64")
    return Value(array.shape, own, (Part(array.shape[dim], z, part.profile),), dim)


def in_parts(value: Value, dim: int) -> list[Part]:
    """The parts of a value along ``dim``."""
    if value.axis == dim:
        return list(value.parts)
    return [replace(value.one, size=value.shape[dim])]


ALIKE = 1e-3


def alike(parts: Sequence[Part]) -> bool:
    """Whether parts have the same moments, so that one is enough."""
    first = parts[0]
    q = first.q
    return all(
        abs(part.q - q) <= ALIKE * q
        and all(abs(part.correlation(r) - first.correlation(r)) < 10 * ALIKE for r in (1, 2, 3))
        for part in parts[1:]
    )


def cut_back(gradient: Gradient, value: Value, values: Sequence[Value], dim: int) -> list[Gradient]:
    """The gradient of a concatenation, one for each of what was put side by side."""
    whole = matched(gradient, value)
    if value.axis == dim and len(whole) > 1:
        found, start = [], 0
        for one in values:
            n = len(in_parts(one, dim))
            parts = whole[start : start + n]
            start += n
            if one.axis != dim:
                parts = (replace(parts[0], size=one.one.size),)
            found.append(Gradient(tuple(parts), gradient.spread))
        return found
    part = whole[0]
    cuts = split(part.profile, [one.shape[dim] for one in values], dim)
    out = []
    for one, piece in zip(values, cuts, strict=True):
        profile, mean = normalised(narrowed(piece))
        size = one.one.size
        own = Gradient((replace(part.scaled(mean, profile), size=size),), gradient.spread)
        out.append(Gradient(matched(own, one), gradient.spread) if len(one.parts) > 1 else own)
    return out


def repeated_gradient(run: Any, one: Data, gradient: Gradient, roles: Any, dim: int) -> None:
    """A parameter put beside a value in every example: its gradient is their sum."""
    counts = {"b": 1, "p": 1, "u": 1}
    for axis, size in zip(roles, one.array.shape, strict=True):
        for role, own in axis:
            if role == "b" and size == own:
                counts["b"] *= own
    part = gradient.parts[0]
    if part.k is None:
        part = replace(part, k=tuple(part.told()))
    run.weight(one.name, summed(part, counts, part.profile, run.noise).q, gradient.spread)


@rule("aten.constant_pad_nd", "aten.reflection_pad2d", "aten.replication_pad2d")
def padded(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Zeros around: entries of second moment 0 in the profile."""
    import numpy

    x, shape = given["self"], run.shape(node.outputs[0])
    if shape == x.shape:
        return Outcome((x,), lambda gradients: {"self": gradients[0]})
    pad = node.call.arguments.get("pad", node.call.arguments.get("padding"))
    if node.call.op != "aten.constant_pad_nd" or node.call.arguments.get("value"):
        return None
    ahead = [0] * len(shape)
    for place in range(len(pad) // 2):
        ahead[len(shape) - 1 - place] = pad[2 * place]
    x = x.whole()
    part = x.one
    where = tuple(
        slice(max(a, 0), max(a, 0) + min(size, out))
        for a, size, out in zip(ahead, x.shape, shape, strict=True)
    )
    wide = numpy.zeros(shape)
    wide[where] = numpy.broadcast_to(part.profile, x.shape)[
        tuple(slice(0, w.stop - w.start) for w in where)
    ]
    profile, mean = normalised(narrowed(wide))
    roles = tuple(((role_of(a), s),) for a, s in zip(x.roles, shape, strict=True))
    made = replace(part.scaled(mean, profile), size=shape[x.axis])
    value = replace(x, shape=shape, roles=roles, parts=(made,))

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        own = matched_whole(gradients[0], value)
        cropped = numpy.broadcast_to(own.profile, shape)[where]
        profile, mean = normalised(narrowed(cropped))
        return {
            "self": Gradient(
                (replace(own.scaled(mean, profile), size=part.size),), gradients[0].spread
            )
        }

    return Outcome((value,), pull)
