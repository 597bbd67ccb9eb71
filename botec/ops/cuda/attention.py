"""What the host code of CUDA's attention kernels takes, makes and gives back, in order.

Rules as in :mod:`botec.ops.cuda.rules`, which has those of the other ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botec.calls import ITEM_BYTES
from botec.ops.cuda.look import HOST, Look, Step, bytes_of, divided, give, out, take
from botec.ops.cuda.reduction import processors
from botec.poly import round_up

HALF = ("float16", "bfloat16")


def efficient(look: Look) -> list[Step]:
    """``_efficient_attention_forward``: the seeds stay on the host; sums of wide heads in fp32."""
    query, value = look["query"], look["value"]
    steps = out(0, 1)
    if query.dtype in HALF and look.number(value.shape[-1]) > 128:
        batch, heads, length, _ = query.shape
        steps += take("sums", batch * heads * length * value.shape[-1] * 4)
    return [*steps, (HOST, 2, None), (HOST, 3, None)]


def efficient_backward(look: Look) -> list[Step]:
    """``_efficient_attention_backward``: the gradient packed row by row, the rows' sums of gradient
    times output, then a workspace.

    Kernels of 16-bit types make the sums themselves; those of float32 are made before, through the
    product in full. The workspace holds tiles of the queries' gradient (``kernel_backward.h``).
    """
    query, value = look["query"], look["value"]
    batch, heads, length, _ = query.shape
    sums = batch * heads * length * 4
    begin = [*row_by_row(look, "grad_out_"), *out()]
    end = [*take("workspace", batch * heads * workspace_of_a_head(look))]
    end += give("delta", "sums", "workspace", "grad_out_")
    if query.dtype in HALF:
        return [*begin, *take("delta", sums), *end]
    product_bytes = batch * heads * length * value.shape[-1] * 4
    made = [*take("product", product_bytes), *take("sums", sums)]
    if look.number(heads) > 1 and look.number(length) > 1:  # else the transpose lies packed
        made += [*take("delta", sums), *give("sums")]
    return [*begin, *made, *give("product"), *end]


def row_by_row(look: Look, name: str) -> list[Step]:
    """A copy with heads inside of rows, where a tensor of (batch, heads, rows, width) lies other
    wise (``transpose(1, 2).contiguous()``)."""
    if look.packed_as(name, (0, 2, 1, 3)):
        return []
    return take(name, bytes_of(look[name]))


def workspace_of_a_head(look: Look) -> Any:
    """Bytes for one head: ``workspace_strideBH`` of the kernel the dispatch takes."""
    query, value = look["query"], look["value"]
    length, width = query.shape[2:]
    rows, columns, most = backward_tile(look)
    parts = divided(length, rows) * divided(width, rows) * (16 + rows * rows * 4)
    if query.dtype in HALF and most > rows:  # the keys' gradients do not fit in registers either
        splits = key_splits(look, columns)
        for one in (width, value.shape[-1]):
            parts += splits * columns * round_up(one, rows) * 4
    return parts


def key_splits(look: Look, columns: int) -> Any:
    """Over how many blocks the keys are split: enough to fill the chip with few heads."""
    query, key = look["query"], look["key"]
    heads = look.number(query.shape[0]) * look.number(query.shape[1])
    most = 200 // heads if heads <= 200 else 0
    if most <= 1:
        return 1
    splits = divided(key.shape[2], columns)
    return splits if look.number(key.shape[2]) <= most * columns else most


def backward_tile(look: Look) -> tuple[int, int, int]:
    """Rows and columns of a tile, and the head width the kernel is made for (``cutlassB.h``)."""
    width = max(look.number(look["query"].shape[-1]), look.number(look["value"].shape[-1]))
    large = look.capability not in (75, 86, 89, 120)  # enough shared memory for the large tiles
    if look["query"].dtype not in HALF or width <= 64:
        return 64, 64, 64
    if width <= 96 and look.capability in (86, 89):
        return 128, 64, 96
    if width <= 128:
        return (128, 128, 128) if large else (64, 64, 128)
    return (128, 64, 65536) if large else (64, 64, 65536)


def flash(look: Look) -> list[Step]:
    """``mha_fwd``: keys in parts where the queries alone do not fill the chip; the random state."""
    batch, heads, length, width = look["query"].shape
    parts = key_parts(look)
    begin = out(0, 1)
    if parts > 1:
        rows = parts * batch * heads * length * 4
        whole = round_up(width, 32) if width <= 192 else 256
        begin += [*take("part sums", rows), *take("part results", rows * whole)]
    if look["dropout_p"]:
        begin += [*take("state", 16), *out(3), *out(2), *give("state")]
    return [*begin, *out(), *give("part sums", "part results")]


def key_parts(look: Look) -> int:
    """Into how many parts the keys are split (``set_params_splitkv``, ``num_splits_heuristic``)."""
    sizes = [look.number(size) for size in look["query"].shape]
    batch, heads, length, width = sizes
    if look["dropout_p"]:
        return 1
    key_heads, keys = (look.number(look["key"].shape[axis]) for axis in (1, 2))
    if length == 1 and heads > key_heads:  # one row: the heads of a group become its rows
        heads, length = key_heads, heads // key_heads
    unit = 256 if width <= 64 else 128 if width <= 128 else 64
    most = -(-keys // unit)
    work = batch * heads * -(-length // 64)
    room = 2 * processors(look.capability)[0]
    if work >= 0.8 * room:
        return 1
    work, most = int(work), int(most)
    rates = {}
    for parts in range(1, min(128, room, most) + 1):
        if parts == 1 or -(-most // parts) != -(-most // (parts - 1)):
            waves = work * parts / room
            rates[parts] = waves / -(-work * parts // room)
    best = max(rates.values(), default=0.0)
    return next((parts for parts, rate in rates.items() if rate >= 0.85 * best), 1)


def flash_backward(look: Look) -> list[Step]:
    """Row sums and the queries' gradient in float32, rows in blocks of 128; grouped keys expanded.

    ``mha_bwd`` of ``flash_api.cpp``.
    """
    query, key = look["query"], look["key"]
    batch, heads, length, width = query.shape
    rows = round_up(length, 128)
    padded = round_up(width, 32) if width <= 128 else 192 if width <= 192 else 256
    steps = [
        *row_by_row(look, "grad_out"), *row_by_row(look, "out"), *out(),
        *take("sums", batch * heads * rows * 4),
        *take("queries", batch * rows * heads * padded * 4),
    ]  # fmt: skip
    keys: tuple[str, ...] = ()
    if key.shape[1] != heads:
        expanded = batch * key.shape[2] * heads * width * ITEM_BYTES[query.dtype]
        steps += [*take("keys", expanded), *take("values", expanded)]
        keys = ("values", "keys")
    return [*steps, *give(*keys, "queries", "sums", "out", "grad_out")]


RULES: dict[str, Callable[[Look], list[Step]]] = {
    "aten._scaled_dot_product_efficient_attention": efficient,
    "aten._scaled_dot_product_efficient_attention_backward": efficient_backward,
    "aten._scaled_dot_product_flash_attention": flash,
    "aten._scaled_dot_product_flash_attention_backward": flash_backward,
}
