"""Memory that kernels' host code takes and returns inside one op, by device.

It shows in no tensor of the trace: workspaces, sums in higher precision, copies for a layout. Sizes
are functions of the op's arguments, exact for numbers and formulas alike.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from botec.calls import ITEM_BYTES, Call
from botec.poly import round_up
from botec.program import BIRTH, DEATH, OP, PHASE, Storage, Stream

Arguments = Mapping[str, Any]
PRODUCTS = (
    "aten.mm",
    "aten.addmm",
    "aten.bmm",
    "aten.baddbmm",
    "aten.addmv",
    "aten.mv",
    "aten.dot",
)
WORKSPACE = {75: 8_519_680, 80: 8_519_680, 90: 33_554_432}  # cuBLAS's default, by generation


def with_kernel_memory(stream: Stream, capability: int) -> Stream:
    """A stream with what CUDA's kernels take for themselves.

    Temporaries inside ops, and the matrix library's workspaces: one for the forward and one for the
    backward thread, there from the start of a step that is not the first.
    """
    storages = list(stream.storages)
    kinds, index, scopes = array("i"), array("i"), array("i")

    def event(kind: int, place: int, scope: int) -> None:
        kinds.append(kind)
        index.append(place)
        scopes.append(scope)

    for _ in range(threads(stream)):
        event(BIRTH, len(storages), 0)
        storages.append(Storage(workspace_bytes(capability), "temporary", 0, "workspace"))
    waiting: list[tuple[Any, int]] = []
    for kind, place, scope in stream.events():
        if kind != BIRTH:
            for size, where in waiting:
                event(BIRTH, len(storages), where)
                storages.append(Storage(size, "temporary", where, "kernel"))
            for back in range(len(waiting)):
                event(DEATH, len(storages) - 1 - back, waiting[-1 - back][1])
            waiting = []
        event(kind, place, scope)
        if kind == OP:
            waiting = [(size, scope) for size in temporaries(stream.calls[place], capability)]
    return replace(stream, storages=tuple(storages), kinds=kinds, index=index, scopes=scopes)


def threads(stream: Stream) -> int:
    """How many threads run matrix products: the forward one, the backward one."""
    found: set[int] = set()
    phase = 0
    for kind, place, _ in stream.events():
        if kind == PHASE:
            phase = place
        elif kind == OP and stream.calls[place].op in PRODUCTS and phase < 2:
            found.add(phase)
    return len(found)


def workspace_bytes(capability: int) -> int:
    """cuBLAS's workspace on a generation, by the newest known one not above it."""
    known = [generation for generation in sorted(WORKSPACE) if generation <= capability]
    return WORKSPACE[known[-1] if known else min(WORKSPACE)]


def temporaries(call: Call, capability: int) -> list[Any]:
    """Bytes of what one call takes and returns while it runs."""
    rule = TEMPORARIES.get(call.op)
    return rule(call.arguments, capability) if rule else []


def efficient_backward(arguments: Arguments, capability: int) -> list[Any]:
    """Sums and products in float32, two rows of sums, and the workspace of the key loop.

    ``attention_backward.cu``: one block of ``16 + rows·columns·4`` bytes for every tile of queries.
    """
    query, value = arguments["query"], arguments["value"]
    batch, heads, length, width = query.shape
    single = query.dtype == "float32"
    products = batch * heads * length * value.shape[-1] * 4
    sums = batch * heads * length * 4
    rows = 64 if single or width <= 64 else 128
    columns = 64 if single or width <= 64 else 128
    tiles = batch * heads * divided(length, rows) * divided(width, columns)
    larger = [products] * (1 if single else 3) + [sums, sums]
    return [*larger, tiles * (16 + rows * columns * 4)]


def divided(size: Any, unit: int) -> Any:
    """How many units cover a size."""
    return round_up(size, unit) // unit


def flash_backward(arguments: Arguments, capability: int) -> list[Any]:
    """Row sums and the queries' gradient in float32, rows in blocks of 128; grouped keys expanded.

    ``flash_api.cpp``'s backward.
    """
    query, key = arguments["query"], arguments["key"]
    batch, heads, length, width = query.shape
    rows = round_up(length, 128)
    padded = round_up(width, 32) if width <= 128 else 192 if width <= 192 else 256
    found = [batch * heads * rows * 4, batch * rows * heads * padded * 4]
    if key.shape[1] != heads:
        expanded = batch * key.shape[2] * heads * width * ITEM_BYTES[query.dtype]
        found += [expanded, expanded]
    return found


TEMPORARIES: dict[str, Callable[[Arguments, int], list[Any]]] = {
    "aten._scaled_dot_product_efficient_attention_backward": efficient_backward,
    "aten._scaled_dot_product_flash_attention_backward": flash_backward,
}
