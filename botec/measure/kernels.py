"""The small kernels a calibration times: for every class of ops a few calls of different sizes.

Sizes form a grid: channels double where pictures halve, tensors lie in the caches and beyond them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import isqrt
from typing import Any

import torch

from botec.measure.calibration import NEW_MEMORY
from botec.measure.pool import Kernel, Pool, call_last, kernel, taken

aten = torch.ops.aten
SIZES = (4_096, 30_000, 200_000, 1_000_000, 4_000_000)  # numbers: first cache to memory
FRESH = 9_000_000  # numbers of a result for which memory is asked of the system every time
ROW = 512
CHANNELS = 64


def kernels(dtype: Any, device: str = "cpu") -> Iterator[Kernel]:
    """Every kernel of a type, one after the other: each is made when it is asked for."""
    with torch.device(device):
        pool = Pool(dtype)
        yield from products(pool)
        yield from convolutions(pool)
        yield from streams(pool)
        yield from norms(pool)
        yield from windows(pool)


# rows, summed, columns; a weight as a layer keeps it (transposed), or as its gradients need it
MATMULS = (
    (8, 64, 64, "layer"), (64, 256, 256, "layer"), (256, 1024, 1024, "layer"),
    (512, 512, 2048, "layer"), (2, 2048, 4096, "layer"),
    (32, 2048, 1000, "layer"), (196, 64, 384, "layer"), (3136, 128, 512, "layer"),
    (3136, 24, 96, "layer"), (1024, 1024, 1024, "plain"), (512, 2048, 512, "plain"),
    (128, 64, 512, "plain"), (784, 768, 192, "plain"), (1024, 256, 1024, "weight"),
    (512, 3136, 128, "weight"), (256, 32, 1024, "weight"), (384, 196, 64, "weight"),
    (1152, 2, 4096, "weight"), (128, 512, 16000, "layer"),
)  # fmt: skip
PAIRS = (
    (48, 128, 64, 128), (48, 128, 128, 64), (16, 256, 64, 256), (8, 512, 512, 64),
    (192, 49, 32, 49), (192, 49, 49, 32), (64, 16, 64, 64),
)  # fmt: skip
HEADS = ((4, 8, 64, 64), (4, 12, 128, 64), (2, 8, 256, 64), (1, 8, 512, 64), (2, 12, 196, 32))


def products(pool: Pool) -> Iterator[Kernel]:
    """Matrix products by size, many small ones at once, fused attention and its backward."""
    for m, k, n, kind in MATMULS[:: pool.every]:

        def pair(m: int = m, k: int = k, n: int = n, kind: str = kind) -> tuple[Any, Any]:
            a = pool.take(k, m).t() if kind == "weight" else pool.take(m, k)
            return a, pool.take(n, k).t() if kind == "layer" else pool.take(k, n)

        yield kernel("matmul", 2 * m * n * k, torch.mm, pair)
    for many, m, k, n in PAIRS[:: pool.every]:

        def pairs(many: int = many, m: int = m, k: int = k, n: int = n) -> tuple[Any, Any]:
            return pool.take(many, m, k), pool.take(many, k, n)

        yield kernel("batched matmul", 2 * many * m * n * k, torch.bmm, pairs)
    if torch.get_default_device().type == "cpu":
        yield from attentions(pool)
        yield from recurrences(pool)


def attentions(pool: Pool) -> Iterator[Kernel]:
    """The CPU's fused attention: two products forward, five backward."""
    forward = aten._scaled_dot_product_flash_attention_for_cpu
    backward = aten._scaled_dot_product_flash_attention_for_cpu_backward
    for batch, heads, length, width in HEADS[:: pool.every]:
        one = 2 * batch * heads * length * length * width

        def three(b: int = batch, h: int = heads, s: int = length, d: int = width) -> Any:
            return tuple(pool.take(b, s, h, d).transpose(1, 2) for _ in range(3))

        def back(three: Callable[[], Any] = three) -> tuple[Any, ...]:
            q, k, v = three()
            return three()[0], q, k, v, *forward(q, k, v)

        yield kernel("attention", 2 * one, forward, three)
        yield kernel(
            "attention, backward", 5 * one, partial(call_last, backward, (0.0, False)), back
        )


# examples, steps, inputs, units
CELLS = ((16, 32, 128, 256), (8, 16, 512, 512), (32, 8, 64, 64))


def recurrences(pool: Pool) -> Iterator[Kernel]:
    """The CPU's layer of LSTM: four gates, each of them products with input and state."""
    for many, steps, inside, units in CELLS[:: pool.every]:

        def given(b: int = many, t: int = steps, i: int = inside, u: int = units) -> Any:
            gates = [pool.take(4 * u, i), pool.take(4 * u, u), pool.take(4 * u), pool.take(4 * u)]
            return pool.take(t, b, i), *gates, *(pool.take(1, b, u) for _ in range(2))

        def layer(x: Any, *rest: Any) -> Any:
            return torch.lstm(x, rest[4:], rest[:4], True, 1, 0.0, False, False, False)

        yield kernel("recurrent", 8 * steps * many * units * (inside + units), layer, given)


# class, batch, input channels, output channels, window, stride, side, groups
CONVOLUTIONS = (
    ("convolution", 2, 64, 64, 3, 1, 56, 1), ("convolution", 2, 128, 128, 3, 1, 28, 1),
    ("convolution", 2, 256, 256, 3, 1, 14, 1), ("convolution", 2, 512, 512, 3, 1, 7, 1),
    ("convolution", 2, 128, 256, 3, 2, 28, 1), ("convolution", 1, 64, 128, 3, 1, 112, 1),
    ("convolution", 1, 128, 32, 3, 1, 28, 1), ("convolution", 1, 64, 64, 7, 1, 28, 1),
    ("convolution of few channels", 2, 3, 64, 7, 2, 224, 1),
    ("convolution of few channels", 2, 3, 32, 3, 2, 224, 1),
    ("convolution of few channels", 1, 3, 64, 3, 1, 224, 1),
    ("convolution of few channels", 2, 3, 256, 8, 8, 224, 1),
    ("convolution 1x1", 2, 64, 256, 1, 1, 56, 1), ("convolution 1x1", 2, 256, 64, 1, 1, 56, 1),
    ("convolution 1x1", 2, 512, 128, 1, 1, 28, 1), ("convolution 1x1", 2, 256, 1024, 1, 1, 14, 1),
    ("convolution 1x1", 2, 512, 2048, 1, 1, 7, 1), ("convolution 1x1", 4, 32, 128, 1, 1, 56, 1),
    ("convolution 1x1", 4, 128, 32, 1, 1, 56, 1), ("convolution 1x1", 4, 16, 64, 1, 1, 112, 1),
    ("convolution 1x1", 2, 512, 128, 1, 1, 7, 1), ("convolution 1x1", 2, 256, 512, 1, 2, 28, 1),
    ("convolution 1x1", 4, 64, 64, 1, 1, 28, 1), ("convolution 1x1", 4, 512, 16, 1, 1, 1, 1),
    ("convolution depthwise", 4, 32, 32, 3, 1, 112, 32),
    ("convolution depthwise", 4, 64, 64, 3, 2, 112, 64),
    ("convolution depthwise", 4, 128, 128, 3, 1, 56, 128),
    ("convolution depthwise", 2, 128, 128, 3, 2, 56, 128),
    ("convolution depthwise", 2, 256, 256, 3, 1, 28, 256),
    ("convolution depthwise", 2, 512, 512, 3, 1, 14, 512),
    ("convolution depthwise", 4, 128, 128, 5, 2, 56, 128),
    ("convolution depthwise", 4, 256, 256, 5, 1, 28, 256),
    ("convolution depthwise", 2, 512, 512, 5, 1, 14, 512),
    ("convolution depthwise", 2, 1024, 1024, 5, 1, 7, 1024),
    ("convolution depthwise", 2, 128, 128, 7, 1, 56, 128),
    ("convolution depthwise", 2, 256, 256, 7, 1, 28, 256),
    ("convolution depthwise", 2, 512, 512, 7, 1, 14, 512),
    ("convolution depthwise", 2, 1024, 1024, 7, 1, 7, 1024),
    ("convolution grouped", 2, 256, 256, 3, 1, 14, 8),
    ("convolution grouped", 2, 128, 128, 3, 1, 28, 16),
    ("convolution grouped", 2, 64, 64, 3, 2, 112, 8),
    ("convolution transposed", 2, 64, 32, 2, 2, 28, 1),
)  # fmt: skip


def convolutions(pool: Pool) -> Iterator[Kernel]:
    """Every class of convolutions, forward and backward (no gradient of pictures)."""
    for name, batch, inside, outside, window, stride, side, groups in CONVOLUTIONS[:: pool.every]:
        transposed = name.endswith("transposed")
        shape = (inside, outside) if transposed else (outside, inside // groups)
        pad = 0 if transposed or stride == window else window // 2
        tail = (None, [stride, stride], [pad, pad], [1, 1], transposed, [0, 0], groups)
        wanted = [not name.endswith("few channels"), True, False]

        def given(
            batch: int = batch, inside: int = inside, side: int = side, shape: Any = shape,
            window: int = window,
        ) -> tuple[Any, Any]:  # fmt: skip
            return pool.take(batch, inside, side, side), pool.take(*shape, window, window)

        def forward(x: Any, w: Any, tail: Any = tail) -> Any:
            return aten.convolution(x, w, *tail)

        def backward(y: Any, x: Any, w: Any, tail: Any = tail, wanted: Any = wanted) -> Any:
            return aten.convolution_backward(y, x, w, *tail, wanted)

        x, w = given()
        y = forward(x, w)
        pairs = (x if transposed else y).numel() * w.numel() // w.shape[0]

        def all_three(made: Any = given, shape: Any = y.shape) -> tuple[Any, ...]:
            return (pool.take(*shape), *made())

        yield kernel(name, 2 * pairs, forward, given)
        yield kernel(f"{name}, backward", 2 * sum(wanted) * pairs, backward, all_three)


def streams(pool: Pool) -> Iterator[Kernel]:
    """What reads and writes numbers one by one, or in another order."""
    for size in SIZES[:: pool.every]:
        side = isqrt(size)
        plain: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
            "elementwise": (torch.add, ((size,), (size,))),
            "elementwise with a series": (torch.nn.functional.gelu, ((size,),)),
            "elementwise, backward": (threshold_backward, ((size,), (size,))),
            "elementwise with a series, backward": (aten.gelu_backward, ((size,), (size,))),
            "cast": (cast, ((size,),)),
            "loss": (torch.nn.functional.mse_loss, ((size,), (size,))),
            "optimizer": (updated, ((size,), (size,))),
        }  # fmt: skip
        for name, (op, shapes) in plain.items():
            yield kernel(name, 0.0, op, partial(taken, pool, *shapes))
        yield kernel("copy", 0.0, transposed, partial(taken, pool, (side, side - 8)))
        yield kernel("fill", 0.0, torch.zeros_like, partial(taken, pool, (size,)), writes=True)
        yield kernel("random numbers", 0.0, drawn, partial(unset, pool, size), writes=True)
        yield from tables(max(1, size // ROW), pool)
    yield kernel("sort", 0.0, torch.sort, partial(taken, pool, (SIZES[2],)))
    if pool.every == 1:
        new = partial(taken, pool, (FRESH,))
        yield kernel(NEW_MEMORY, 0.0, torch.zeros_like, new, writes=True)


def tables(rows: int, pool: Pool) -> Iterator[Kernel]:
    """What works on rows: sums of them, rows looked up and put back, parts moved."""
    table = partial(taken, pool, (rows, ROW))
    places = torch.randint(0, rows, (rows,))
    heads = (max(1, rows // 64), min(rows, 64), 8, ROW // 8)

    def looked_up(x: Any) -> Any:
        return torch.index_select(x, 0, places)

    def put_back(x: Any) -> Any:
        return aten.embedding_dense_backward(x, places, rows, -1, False)

    def widened(x: Any) -> Any:
        return aten.slice_backward(x, [2 * rows, ROW], 0, 0, rows, 1)

    yield kernel("reduction", 0.0, summed, table)
    yield kernel("gather", 0.0, looked_up, table)
    yield kernel("gather, backward", 0.0, put_back, table)
    yield kernel("copy", 0.0, heads_apart, partial(taken, pool, heads))
    yield kernel("copy, backward", 0.0, widened, table)


def unset(pool: Pool, size: int) -> tuple[Any, ...]:
    """A tensor to write to."""
    return (torch.empty(size, dtype=pool.dtype),)


def threshold_backward(gradient: Any, x: Any) -> Any:
    return aten.threshold_backward(gradient, x, 0.5)


def heads_apart(x: Any) -> Any:
    """Rows of several heads, written head by head."""
    return x.transpose(1, 2).contiguous()


def transposed(square: Any) -> Any:
    """Its transpose, written out."""
    return square.t().contiguous()


def cast(x: Any) -> Any:
    """The same numbers in another floating type."""
    return x.to(torch.bfloat16 if x.dtype == torch.float32 else torch.float32)


def summed(x: Any) -> Any:
    """The sum of all rows, as a bias has its gradient."""
    return x.sum(0)


def drawn(x: Any) -> Any:
    """Truth values, drawn where numbers were."""
    return x.bernoulli_(0.9)


def updated(weight: Any, gradient: Any) -> Any:
    """A step of an optimizer's arithmetic: reads two tensors, writes one of them."""
    return weight.add_(gradient, alpha=-1e-9)


def norms(pool: Pool) -> Iterator[Kernel]:
    """Norms over batches, rows and groups, and softmax, forward and backward."""
    for size in SIZES[:: pool.every]:
        side = max(4, isqrt(size // CHANNELS))
        w = torch.ones(CHANNELS, dtype=pool.dtype)
        picture = (1, CHANNELS, side, side)
        one, two = (partial(taken, pool, *[picture] * many) for many in (1, 2))

        def batch(x: Any, training: bool = False, w: Any = w) -> Any:
            return aten.native_batch_norm(x, w, w, w, w, training, 0.1, 1e-5)

        def back(y: Any, x: Any, w: Any = w) -> Any:
            return aten.native_batch_norm_backward(
                y, x, w, w, w, w, w, True, 1e-5, [True, True, True]
            )

        def group(x: Any, w: Any = w, pixels: int = side * side) -> Any:
            return aten.native_group_norm(x, w, w, 1, CHANNELS, pixels, 8, 1e-5)

        yield kernel("batch norm", 0.0, batch, one)
        yield kernel("batch norm, training", 0.0, partial(batch, training=True), one)
        yield kernel("batch norm, backward", 0.0, back, two)
        yield kernel("group norm", 0.0, group, one)
        for width in (ROW, ROW // 4):
            yield from rows(max(1, size // width), width, pool)


def rows(many: int, width: int, pool: Pool) -> Iterator[Kernel]:
    """Layer norm and softmax over so many rows of a width."""
    w = torch.ones(width, dtype=pool.dtype)
    one, two = (partial(taken, pool, *[(many, width)] * times) for times in (1, 2))
    _, mean, scale = aten.native_layer_norm(*one(), [width], w, w, 1e-5)

    def norm(x: Any) -> Any:
        return aten.native_layer_norm(x, [width], w, w, 1e-5)

    def back(y: Any, x: Any) -> Any:
        return aten.native_layer_norm_backward(
            y, x, [width], mean, scale, w, w, [True, True, True]
        )  # fmt: skip

    def slopes(y: Any, x: Any) -> Any:
        return aten._softmax_backward_data(y, x, -1, x.dtype)

    yield kernel("layer norm", 0.0, norm, one)
    yield kernel("layer norm, backward", 0.0, back, two)
    yield kernel("softmax", 0.0, partial(torch.softmax, dim=-1), one)
    yield kernel("softmax, backward", 0.0, slopes, two)
    if width < ROW:
        yield kernel("softmax", 0.0, partial(aten._safe_softmax, dim=-1), one)


def windows(pool: Pool) -> Iterator[Kernel]:
    """Pooling and resizing, forward and backward."""
    most, unpool = aten.max_pool2d_with_indices, aten.max_pool2d_with_indices_backward
    for size in SIZES[: -1 : pool.every]:
        side = max(8, isqrt(size // CHANNELS))
        one = partial(taken, pool, (1, CHANNELS, side, side))
        for window, pad in ((3, 1), (2, 0)):
            tail = ([window, window], [2, 2], [pad, pad], [1, 1], False)
            yield kernel("pooling", 0.0, partial(call_last, most, tail), one)

        def found(one: Any = one, tail: Any = tail) -> tuple[Any, ...]:
            (x,) = one()
            y, places = most(x, *tail)
            return y, x, places

        def back(y: Any, x: Any, places: Any, tail: Any = tail) -> Any:
            return unpool(y, x, *tail, places)

        yield kernel("pooling, backward", 0.0, back, found)
        larger = partial(torch.nn.functional.interpolate, scale_factor=2.0, mode="bilinear")
        yield kernel("interpolation", 0.0, larger, one)
