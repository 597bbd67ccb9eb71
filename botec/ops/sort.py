"""Sorting, gathering, scattering: indices decide, numbers are moved.

Comparisons and index arithmetic are no floating-point operations: 0, by name. Where entries are
added up (``scatter_add``, ``index_add``, ``index_put`` with ``accumulate``) each is one addition.
Bytes are those of the indices and of the entries touched; a table that is read by index is not
read whole. An in-place scatter touches its entries only.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Call, Tensor, tensors_in
from botec.ops.facts import nothing, op
from botec.ops.terms import all_bytes, reals

nothing("comparisons decide, numbers change places", "aten.sort", "aten.argsort", "aten.msort",
        "aten.topk", "aten.kthvalue", "aten.median", "aten.nanmedian", "aten.mode",
        "aten._unique", "aten._unique2", "aten.unique_dim", "aten.unique_consecutive",
        "aten.unique_dim_consecutive", "aten.searchsorted", "aten.bucketize",
        kind="sort")  # fmt: skip
chosen = nothing("entries that a truth value names are copied", "aten.nonzero",
                 "aten.nonzero_static", "aten.masked_select", "aten.masked_scatter",
                 kind="sort")  # fmt: skip
gathered = nothing("entries are copied by index", "aten.gather", "aten.index", "aten._unsafe_index",
                   "aten.index_select", "aten.take", "aten._unsafe_masked_index",
                   kind="sort")  # fmt: skip
stored = nothing("entries are stored by index", "aten.index_copy", "aten.index_fill",
                 "aten.put", kind="sort")  # fmt: skip
scattered = op("scatter", "aten.scatter", "aten.scatter_add", "aten.scatter_reduce")
index_added = op("index add", "aten.index_add", "aten.index_reduce")
index_put = op("index put", "aten.index_put", "aten._index_put_impl", "aten._unsafe_index_put")
accumulated = op("index put, added", "aten._unsafe_masked_index_put_accumulate")
spread = op("gradient of chosen entries", "aten.value_selecting_reduction_backward",
            "aten.index_select_backward", "aten.masked_select_backward",
            "aten.masked_scatter_backward", "aten.cummaxmin_backward")  # fmt: skip


def in_place(call: Call) -> bool:
    return call.op.endswith("_")


@gathered.bytes
def _(inputs, outputs):
    """Indices read; the entries read and written."""
    return all_bytes(inputs[1:]) + 2 * all_bytes(outputs)


def entries_touched(call: Call, source: Any, index: Any, added: bool) -> Any:
    """Bytes of an in-place scatter: indices and source read; entries written, read if added to."""
    target = call.inputs[0]
    moved = source if isinstance(source, Tensor) else Tensor(index.shape, target.dtype)
    read = moved.bytes if isinstance(source, Tensor) else 0
    return index.bytes + read + moved.bytes * (2 if added else 1)


def plain_bytes(call: Call) -> Any:
    return all_bytes(call.inputs) + all_bytes(call.results)


def adds(call: Call) -> bool:
    """Whether entries meet what is there: ``scatter_add``, and ``scatter`` told to reduce."""
    return "scatter_add" in call.op or call.arguments.get("reduce") is not None


def entries(call: Call) -> Tensor:
    """What is scattered: the source, or the value once per index."""
    source = call.arguments.get("src", call.arguments.get("value"))
    index = call.arguments["index"]
    return Tensor(index.shape, (source if isinstance(source, Tensor) else call.inputs[0]).dtype)


@scattered.flops
def _(call: Call):
    """One per entry where entries are combined with what is there, none where they replace it."""
    return reals(entries(call)) if adds(call) else 0


@scattered.bytes
def _(call: Call):
    """In place the entries touched; else the whole tensor is copied first."""
    if not in_place(call):
        return plain_bytes(call)
    source = entries(call) if isinstance(call.arguments.get("src"), Tensor) else None
    return entries_touched(call, source, call.arguments["index"], adds(call))


@index_added.flops
def _(source: Tensor, call: Call):
    """One addition per entry of the source; where ``alpha`` is not 1, its product is one more."""
    alpha = call.arguments.get("alpha", 1)
    return reals(source) * (1 if alpha in (None, 1) else 2)


@index_added.bytes
def _(source: Tensor, index: Tensor, call: Call):
    """In place the entries touched; else the whole tensor is copied first."""
    return entries_touched(call, source, index, True) if in_place(call) else plain_bytes(call)


@index_put.flops
def _(values: Tensor, accumulate):
    """One addition per value with ``accumulate``, none where values replace."""
    return reals(values) if accumulate else 0


@index_put.bytes
def _(values: Tensor, accumulate, indices, call: Call):
    """In place the entries touched; else the whole tensor is copied first."""
    if not in_place(call):
        return plain_bytes(call)
    return all_bytes(tensors_in(indices)) + values.bytes * (3 if accumulate else 2)


@accumulated.flops
def _(values: Tensor):
    """One addition per value."""
    return reals(values)


@spread.flops
def _(inputs):
    """Each gradient is added where its number came from."""
    return reals(inputs[0])
