"""What kernels of another device look at before they take memory: how their arguments lay.

A rule of a kernel (:mod:`botec.ops.cuda.rules`) chooses by sizes and strides. Sizes are formulas
already; here the strides that were traced become formulas too, so that every choice can be made
anew at any point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from botec.calls import Call, Size, Tensor
from botec.ops.cuda import rules
from botec.poly import as_poly, plain
from botec.program import OP, Kernels, Stream
from botec.read.align import Fit, is_layout

Strides = Mapping[str, tuple[Size, ...]]


def with_kernels(stream: Stream, capability: int, strides: Mapping[Call, Strides]) -> Stream:
    """A stream whose calls are run by a CUDA generation's kernels.

    ``strides`` tell how the arguments of a call lie in memory (:func:`strides_of`).
    """
    found = tuple(strides.get(call, {}) for call in stream.calls)
    return replace(stream, kernels=Kernels(capability, found))


def strides_of(stream: Stream, traces: Sequence[Any], fit: Fit) -> dict[Call, Strides]:
    """The strides of every call that has a rule, by its arguments' names.

    The stream has the events of the ``traces``, which were made at the points of ``fit``.
    """
    rows = zip(stream.kinds, stream.index, *(trace.index for trace in traces), strict=True)
    found: dict[Call, Strides] = {}
    for kind, place, *own in rows:
        if kind != OP:
            continue
        call = stream.calls[place]
        if call.op in rules.RULES and call not in found:
            signatures = [trace.signatures[one] for trace, one in zip(traces, own, strict=True)]
            found[call] = strides_of_call(call, signatures, fit)
    return found


def strides_of_call(call: Call, signatures: Sequence[Any], fit: Fit) -> Strides:
    """The strides of one call's tensors in formulas."""
    named = [layouts_by_name(signature) for signature in signatures]
    found = {}
    for name, first in named[0].items():
        tensor = call.arguments.get(name)
        if is_layout(first) and isinstance(tensor, Tensor):
            found[name] = formulas(tensor, [tuple(one[name][1]) for one in named], fit)
    return found


def formulas(tensor: Tensor, strides: Sequence[tuple[int, ...]], fit: Fit) -> tuple[Size, ...]:
    """Strides seen at the points of a fit, in formulas: the fastest axis first.

    A stride is most often the extent of another axis (its stride times its size). Raises
    :class:`botec.read.align.PartedError` where it is neither that nor fitted.
    """
    found: list[Size | None] = [None] * len(tensor.shape)
    for axis in sorted(range(len(found)), key=lambda axis: (strides[0][axis], -axis)):
        seen = tuple(row[axis] for row in strides)
        found[axis] = stride(seen, extents(tensor, found), fit)
    return tuple(one if one is not None else 0 for one in found)


def extents(tensor: Tensor, found: Sequence[Size | None]) -> list[Size]:
    """How far each axis whose stride is known reaches."""
    pairs = zip(tensor.shape, found, strict=True)
    return [plain(size * one) for size, one in pairs if one is not None]


def stride(seen: tuple[int, ...], extents: Sequence[Size], fit: Fit) -> Size:
    """One stride in formulas, from what it was at the points of a fit."""
    if len(set(seen)) == 1:
        return seen[0]
    for extent in reversed(extents):
        if tuple(as_poly(extent).at(**point) for point in fit.points) == seen:
            return extent
    return plain(fit(seen))


def layouts_by_name(signature: Any) -> dict[str, Any]:
    """Arguments of a traced call by name, tensors as ``(shape, strides, type)``."""
    names = [argument.name for argument in signature.info.func._schema.arguments]
    found = dict(zip(names, signature.key[1], strict=False))
    if signature.key[2]:
        found |= dict(zip(*signature.key[2], strict=True))
    return found
