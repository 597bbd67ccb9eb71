"""Reach of what moves entries and reads no others: views, joins, copies, look-ups."""

from __future__ import annotations

from typing import Any

from botec.calls import Call, Tensor
from botec.ops.reach import (
    GONE,
    RESHAPED,
    WHOLE,
    Axes,
    Read,
    arguments,
    at,
    axis_of,
    broadcast,
    first,
    pointwise,
    same,
    told,
)
from botec.ops.reach.steps import SAME, Laid, Listed, Window
from botec.ops.reach.windows import sizes


@told("alias detach clone _to_copy lift_fresh lift contiguous bernoulli dropout native_dropout")
@told("copy resolve_conj resolve_neg _conj real masked_fill tril triu masked_fill_ fill")
@told("lift_fresh_copy alias_copy detach_copy")
def itself(call: Call) -> list[Read]:
    """Place by place; what is overwritten is read no more."""
    if call.op.rstrip("_") in ("aten.copy", "aten.fill"):
        return [read for read in pointwise(call) if read.argument != ("self",)]
    return pointwise(call)


@told("view _unsafe_view _reshape_alias reshape flatten unflatten")
def reshaped(call: Call) -> list[Read]:
    """The same entries in the same order."""
    return [Read(first(call)[0], RESHAPED)]


@told("squeeze unsqueeze squeeze_copy unsqueeze_copy")
def squeezed(call: Call) -> list[Read]:
    """Axes of size 1 come and go: the others keep their order."""
    return [Read(first(call)[0], RESHAPED)]


@told("expand expand_copy")
def expanded(call: Call) -> list[Read]:
    """Broadcast."""
    name, tensor = first(call)
    return [Read(name, broadcast(len(tensor.shape), len(call.results[0].shape)))]


def permuted(call: Call, order: list[int]) -> list[Read]:
    """Output axis ``a`` is the argument's ``order[a]``."""
    walked = {axis: (place, SAME) for place, axis in enumerate(order)}
    return [Read(first(call)[0], Axes(len(order), walked))]


@told("permute")
def permutation(call: Call) -> list[Read]:
    """Axes in another order."""
    rank = len(call.results[0].shape)
    return permuted(call, [axis_of(axis, rank) for axis in call.arguments["dims"]])


@told("transpose")
def exchanged(call: Call) -> list[Read]:
    """Two axes change places."""
    order = list(range(len(call.results[0].shape)))
    one = axis_of(call.arguments["dim0"], len(order))
    two = axis_of(call.arguments["dim1"], len(order))
    order[one], order[two] = order[two], order[one]
    return permuted(call, order)


@told("t")
def turned(call: Call) -> list[Read]:
    """The two axes of a matrix."""
    return permuted(call, list(range(len(call.results[0].shape)))[::-1])


@told("slice slice_copy")
def sliced(call: Call) -> list[Read]:
    """Every ``step``-th place from ``start``."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments["dim"], rank)
    size = sizes(tensor)[axis]
    start = call.arguments.get("start") or 0
    start = min(max(start + size if start < 0 else start, 0), size)
    made = sizes(call.results[0])[axis]
    stride = int(call.arguments.get("step") or 1)
    after = start + stride * (made - 1) + 1 - size if made else 0
    walked = dict(same(rank).walked)
    walked[axis] = (axis, Window(stride=stride, padding=-start, after=after))
    return [Read(name, Axes(rank, walked))]


@told("select")
def selected(call: Call) -> list[Read]:
    """One place of an axis, which goes."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments["dim"], rank)
    place = axis_of(call.arguments["index"], sizes(tensor)[axis])
    walked: dict[int, Any] = {a: (a - (a > axis), SAME) for a in range(rank) if a != axis}
    walked[axis] = (GONE, at(place))
    return [Read(name, Axes(rank - 1, walked))]


@told("split split_with_sizes unsafe_split chunk split_copy split_with_sizes_copy tensor_split")
def pieces(call: Call) -> list[Read]:
    """Pieces of an axis, one after the other."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments.get("dim", 0), rank)
    whole, start, found = sizes(tensor)[axis], 0, []
    for number, out in enumerate(call.results):
        size = sizes(out)[axis]
        walked = dict(same(rank).walked)
        walked[axis] = (axis, Window(padding=-start, after=start + size - whole))
        found.append(Read(name, Axes(rank, walked), number))
        start += size
    return found


@told("unbind")
def unbound(call: Call) -> list[Read]:
    """Every place of an axis by itself."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments.get("dim", 0), rank)
    found = []
    for number in range(len(call.results)):
        walked: dict[int, Any] = {a: (a - (a > axis), SAME) for a in range(rank) if a != axis}
        walked[axis] = (GONE, at(number))
        found.append(Read(name, Axes(rank - 1, walked), number))
    return found


@told("cat concat _chunk_cat")
def joined(call: Call) -> list[Read]:
    """Pieces laid end to end. (Pieces that hold nothing are passed over.)"""
    rank = len(call.results[0].shape)
    axis = axis_of(call.arguments.get("dim", 0), rank)
    start, found = 0, []
    for name, tensor in arguments(call):
        if len(tensor.shape) != rank:
            continue
        size = sizes(tensor)[axis]
        walked = dict(same(rank).walked)
        walked[axis] = (axis, Laid(start, size))
        found.append(Read(name, Axes(rank, walked)))
        start += size
    return found


@told("stack")
def stacked(call: Call) -> list[Read]:
    """Pieces laid side by side on a new axis."""
    rank = len(call.results[0].shape)
    axis = axis_of(call.arguments.get("dim", 0), rank)
    found = []
    for place, (name, tensor) in enumerate(arguments(call)):
        walked = {a: (a + (a >= axis), SAME) for a in range(len(tensor.shape))}
        found.append(Read(name, Axes(rank, walked, only=(axis, place))))
    return found


@told("flip")
def flipped(call: Call) -> list[Read]:
    """Axes run backwards."""
    name, tensor = first(call)
    rank, shape = len(tensor.shape), sizes(tensor)
    walked: dict[int, Any] = dict(same(rank).walked)
    for axis in (axis_of(one, rank) for one in call.arguments["dims"]):
        walked[axis] = (axis, Listed(tuple((shape[axis] - 1 - o,) for o in range(shape[axis]))))
    return [Read(name, Axes(rank, walked))]


@told("roll")
def rolled(call: Call) -> list[Read]:
    """Axes moved round; without axes, the entries in their order."""
    name, tensor = first(call)
    rank, shape = len(tensor.shape), sizes(tensor)
    dims, shifts = call.arguments.get("dims") or (), call.arguments["shifts"]
    if not dims:
        return [Read(name, RESHAPED, bound=True)] if shifts == (0,) else whole_of(call)
    walked: dict[int, Any] = dict(same(rank).walked)
    for dim, shift in zip(dims, shifts, strict=True):
        axis = axis_of(dim, rank)
        size = shape[axis]
        walked[axis] = (axis, Listed(tuple(((o - shift) % size,) for o in range(size))))
    return [Read(name, Axes(rank, walked))]


def whole_of(call: Call) -> list[Read]:
    """All of every argument: more than is read."""
    return [
        Read(name, WHOLE, out, bound=True)
        for out in range(len(call.results))
        for name, _ in arguments(call)
    ]


@told("repeat")
def repeated(call: Call) -> list[Read]:
    """The tensor laid down several times along each axis."""
    name, tensor = first(call)
    shape, made = sizes(tensor), sizes(call.results[0])
    more = len(made) - len(shape)
    walked = {
        axis: (axis + more, again(size, made[axis + more])) for axis, size in enumerate(shape)
    }
    return [Read(name, Axes(len(made), walked))]


def again(size: int, made: int) -> Any:
    return SAME if size == made else Listed(tuple((o % size,) for o in range(made)))


@told("unfold")
def windows_of(call: Call) -> list[Read]:
    """``tensor.unfold``: windows along an axis, their entries on a new last axis: a bound."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments["dimension"], rank)
    walked: dict[int, Any] = dict(same(rank).walked)
    walked[axis] = (axis, Window(int(call.arguments["size"]), int(call.arguments["step"])))
    return [Read(name, Axes(rank + 1, walked), bound=True)]


@told("embedding")
def looked_up(call: Call) -> list[Read]:
    """A row of the weight for every place of the indices."""
    indices: Tensor = call.arguments["indices"]
    weight: Tensor = call.arguments["weight"]
    made = len(call.results[0].shape)
    own = Axes(made, {axis: (axis, SAME) for axis in range(len(indices.shape))})
    rows = Axes(made, {len(weight.shape) - 1: (made - 1, SAME)}, (0,))
    return [Read(("indices",), own), Read(("weight",), rows)]


@told("zeros zeros_like ones ones_like full full_like new_zeros new_ones new_full arange eye")
@told("empty empty_like empty_strided new_empty scalar_tensor linspace rand rand_like randn")
@told("randn_like randint randperm empty_permuted new_empty_strided zero _efficientzerotensor")
@told("sym_size normal uniform exponential _has_compatible_shallow_copy_type")
def made_of_nothing(call: Call) -> list[Read]:
    """New entries: of an argument only the shape is used."""
    return []
