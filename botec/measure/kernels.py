"""The small kernels a calibration times: for every class of ops a few calls of different sizes.

A kernel is the call itself, its type, the operations it does (two for a multiply-add) and the bytes
it reads and writes. Sizes lie where networks' own do: within the caches, and far beyond them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import isqrt
from typing import Any

import torch

aten = torch.ops.aten
SIZES = (8_192, 120_000, 4_000_000)  # numbers of a tensor: first cache, second, memory
ROW = 768
CHANNELS = 64


@dataclass(frozen=True)
class Kernel:
    """One call of a class: ``run()`` does ``operations`` and moves ``bytes``."""

    name: str
    dtype: str
    operations: float
    bytes: float
    run: Callable[[], Any]


def kernels(dtype: Any, device: str = "cpu") -> Iterator[Kernel]:
    """Every kernel of a type, one after the other: each is made when it is asked for."""
    with torch.device(device):
        yield from products(dtype)
        yield from convolutions(dtype)
        yield from streams(dtype)
        yield from norms(dtype)
        yield from windows(dtype)


def bytes_of(*tensors: Any) -> float:
    return float(sum(one.numel() * one.element_size() for one in tensors if one is not None))


def kernel(name: str, operations: float, run: Callable[[], Any], *tensors: Any) -> Kernel:
    """A kernel that reads ``tensors``; what it writes is seen by running it once."""
    made = run()
    outputs = made if isinstance(made, (tuple, list)) else (made,)
    written = [one for one in outputs if isinstance(one, torch.Tensor)]
    first = next(one for one in (*tensors, *written) if one.is_floating_point())
    dtype = str(first.dtype).removeprefix("torch.")
    return Kernel(name, dtype, operations, bytes_of(*tensors, *written), run)


MATMULS = (
    (8, 64, 64), (64, 256, 256), (256, 768, 768), (128, 3072, 768), (512, 768, 3072),
    (32, 1000, 2048), (1024, 512, 512), (196, 384, 64), (3136, 96, 24), (1024, 1024, 1024),
)  # fmt: skip
PAIRS = ((48, 128, 128, 64), (192, 49, 49, 32), (16, 256, 256, 64), (24, 128, 64, 128))
HEADS = ((4, 12, 128, 64), (2, 8, 256, 64), (2, 12, 197, 64))


def products(dtype: Any) -> Iterator[Kernel]:
    """Matrix products by size, many small ones at once, fused attention and its backward."""
    for m, k, n in MATMULS:
        a, b = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
        yield kernel("matmul", 2 * m * n * k, partial(torch.mm, a, b), a, b)
    for many, m, k, n in PAIRS:
        a, b = torch.randn(many, m, k).to(dtype), torch.randn(many, k, n).to(dtype)
        yield kernel("batched matmul", 2 * many * m * n * k, partial(torch.bmm, a, b), a, b)
    if torch.get_default_device().type == "cpu":
        yield from attentions(dtype)


def attentions(dtype: Any) -> Iterator[Kernel]:
    """The CPU's fused attention: two products forward, five backward."""
    forward = aten._scaled_dot_product_flash_attention_for_cpu
    backward = aten._scaled_dot_product_flash_attention_for_cpu_backward
    for batch, heads, length, width in HEADS:
        q = torch.randn(batch, heads, length, width).to(dtype)
        one = 2 * batch * heads * length * length * width
        yield kernel("attention", 2 * one, partial(forward, q, q, q), q, q, q)
        out, rows = forward(q, q, q)

        def back(q: Any = q, out: Any = out, rows: Any = rows) -> Any:
            return backward(out, q, q, q, out, rows, 0.0, False)

        yield kernel("attention, backward", 5 * one, back, q, q, q, out, out)


# class, batch, input channels, output channels, window, stride, side, groups
CONVOLUTIONS = (
    ("convolution", 2, 64, 64, 3, 1, 56, 1), ("convolution", 2, 128, 128, 3, 2, 28, 1),
    ("convolution", 2, 256, 256, 3, 1, 14, 1), ("convolution", 2, 512, 512, 3, 1, 7, 1),
    ("convolution of few channels", 2, 3, 64, 7, 2, 224, 1),
    ("convolution of few channels", 2, 3, 32, 3, 2, 224, 1),
    ("convolution 1x1", 2, 64, 256, 1, 1, 56, 1), ("convolution 1x1", 2, 256, 64, 1, 1, 56, 1),
    ("convolution 1x1", 2, 1024, 256, 1, 1, 14, 1), ("convolution 1x1", 2, 24, 144, 1, 1, 56, 1),
    ("convolution 1x1", 2, 960, 160, 1, 1, 7, 1), ("convolution 1x1", 2, 16, 96, 1, 1, 112, 1),
    ("convolution depthwise", 2, 96, 96, 3, 2, 112, 96),
    ("convolution depthwise", 2, 144, 144, 3, 1, 56, 144),
    ("convolution depthwise", 2, 384, 384, 3, 1, 14, 384),
    ("convolution depthwise", 4, 32, 32, 3, 1, 112, 32),
    ("convolution depthwise", 2, 192, 192, 7, 1, 28, 192),
    ("convolution grouped", 2, 256, 256, 3, 1, 14, 8),
    ("convolution grouped", 2, 64, 64, 3, 1, 56, 8),
    ("convolution transposed", 2, 64, 32, 2, 2, 28, 1),
)  # fmt: skip


def convolutions(dtype: Any) -> Iterator[Kernel]:
    """Every class of convolutions, forward and both gradients."""
    for name, batch, inside, outside, window, stride, side, groups in CONVOLUTIONS:
        transposed = name.endswith("transposed")
        x = torch.randn(batch, inside, side, side).to(dtype)
        shape = (inside, outside) if transposed else (outside, inside // groups)
        w = torch.randn(*shape, window, window).to(dtype)
        pad = 0 if transposed else window // 2
        tail = ([stride, stride], [pad, pad], [1, 1], transposed, [0, 0], groups)

        def forward(x: Any = x, w: Any = w, tail: Any = tail) -> Any:
            return aten.convolution(x, w, None, *tail)

        y = forward()
        pairs = (x if transposed else y).numel() * w.numel() // w.shape[0]
        yield kernel(name, 2 * pairs, forward, x, w)

        def backward(x: Any = x, w: Any = w, y: Any = y, tail: Any = tail) -> Any:
            return aten.convolution_backward(y, x, w, None, *tail, [True, True, False])

        yield kernel(f"{name}, backward", 4 * pairs, backward, y, x, w)


def streams(dtype: Any) -> Iterator[Kernel]:
    """What reads and writes numbers one by one, or in another order."""
    for size in SIZES:
        x, y = torch.randn(size).to(dtype), torch.randn(size).to(dtype)
        side = isqrt(size)
        square = torch.randn(side, side).to(dtype)
        places = torch.randint(0, side, (side,))
        plain: dict[str, tuple[Callable[[], Any], tuple[Any, ...]]] = {
            "elementwise": (partial(torch.add, x, y), (x, y)),
            "elementwise with a series": (partial(torch.nn.functional.gelu, x), (x,)),
            "elementwise, backward": (
                partial(aten.threshold_backward, x, y, 0.0), (x, y),
            ),
            "elementwise with a series, backward": (
                partial(aten.gelu_backward, x, y), (x, y),
            ),
            "copy": (partial(transposed, square), (square,)),
            "cast": (partial(x.to, other(dtype)), (x,)),
            "reduction": (partial(square.sum, 0), (square,)),
            "gather": (partial(square.__getitem__, places), (square, places)),
            "fill": (partial(torch.zeros_like, x), ()),
            "random numbers": (partial(drawn, x), ()),
            "loss": (partial(torch.nn.functional.mse_loss, x, y), (x, y)),
        }  # fmt: skip
        for name, (run, read) in plain.items():
            yield kernel(name, 0.0, run, *read)
        yield updated(size, dtype)
    x = torch.randn(SIZES[1]).to(dtype)
    yield kernel("sort", 0.0, lambda: x.sort(), x)


def transposed(square: Any) -> Any:
    """Its transpose, written out."""
    return square.t().contiguous()


def drawn(x: Any) -> Any:
    """As many truth values as ``x`` has numbers."""
    return torch.empty_like(x).bernoulli_(0.9)


def other(dtype: Any) -> Any:
    """A floating type that a tensor is cast to."""
    return torch.bfloat16 if dtype == torch.float32 else torch.float32


def updated(size: int, dtype: Any) -> Kernel:
    """A step of an optimizer's arithmetic: reads two tensors, writes one of them."""
    weight, gradient = torch.randn(size).to(dtype), torch.randn(size).to(dtype)

    def run() -> Any:
        return weight.add_(gradient, alpha=-1e-3)

    return kernel("optimizer", 0.0, run, weight, gradient)


def norms(dtype: Any) -> Iterator[Kernel]:
    """Norms over batches, rows and groups, and softmax, forward and backward."""
    for size in SIZES:
        side = max(4, isqrt(size // CHANNELS))
        x = torch.randn(1, CHANNELS, side, side).to(dtype)
        w = torch.ones(CHANNELS, dtype=dtype)

        def batch(training: bool, x: Any = x, w: Any = w) -> Any:
            return aten.native_batch_norm(x, w, w, w, w, training, 0.1, 1e-5)

        yield kernel("batch norm", 0.0, partial(batch, False), x)
        yield kernel("batch norm, training", 0.0, partial(batch, True), x)
        yield kernel("batch norm, backward", 0.0, partial(
            aten.native_batch_norm_backward,
            x, x, w, w, w, w, w, True, 1e-5, [True, True, True]), x, x)  # fmt: skip
        yield kernel("group norm", 0.0, partial(
            aten.native_group_norm, x, w, w, 1, CHANNELS, side * side, 8, 1e-5), x)  # fmt: skip
        yield from rows(max(1, size // ROW), dtype)


def rows(many: int, dtype: Any) -> Iterator[Kernel]:
    """Layer norm and softmax over rows."""
    x, w = torch.randn(many, ROW).to(dtype), torch.ones(ROW, dtype=dtype)
    _, mean, scale = aten.native_layer_norm(x, [ROW], w, w, 1e-5)
    chances = torch.softmax(x, -1)
    yield kernel("layer norm", 0.0, lambda: aten.native_layer_norm(x, [ROW], w, w, 1e-5), x)
    yield kernel("layer norm, backward", 0.0, lambda: aten.native_layer_norm_backward(
        x, x, [ROW], mean, scale, w, w, [True, True, True]), x, x)  # fmt: skip
    yield kernel("softmax", 0.0, lambda: torch.softmax(x, -1), x)
    yield kernel("softmax, backward", 0.0, lambda: aten._softmax_backward_data(
        chances, chances, -1, chances.dtype), x, x)  # fmt: skip


def windows(dtype: Any) -> Iterator[Kernel]:
    """Pooling and resizing, forward and backward."""
    pool, unpool = aten.max_pool2d_with_indices, aten.max_pool2d_with_indices_backward
    for size in SIZES:
        side = max(8, isqrt(size // CHANNELS))
        x = torch.randn(1, CHANNELS, side, side).to(dtype)
        window = ([3, 3], [2, 2], [1, 1], [1, 1], False)
        y, places = pool(x, *window)
        yield kernel("pooling", 0.0, partial(pool, x, *window), x)
        yield kernel(
            "pooling, backward",
            0.0,
            partial(unpool, y, x, *window, places),
            y,
            x,
            places,
        )
        yield kernel("interpolation", 0.0, partial(
            torch.nn.functional.interpolate, x, scale_factor=2.0, mode="bilinear"), x)  # fmt: skip
