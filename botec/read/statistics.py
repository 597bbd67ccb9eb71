"""What the CPU's norms keep for the backward pass, where the meta kernels keep something else.

The meta kernels follow accelerators: statistics of a norm in float32, and of a batch norm outside
of training as well. On a CPU statistics have the type of the weights, without weights that of the
input, and a batch norm outside of training keeps none (``aten/src/ATen/native/Normalization.cpp``,
``layer_norm.cpp``, ``group_norm.cpp``, PyTorch 2.13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from botec.read.given import silenced


@contextmanager
def statistics_as_on_cpu() -> Iterator[None]:
    """Let norms on meta tensors give the statistics a CPU gives."""
    library = torch.library.Library("aten", "IMPL")
    try:
        with silenced():
            for name, function in NORMS.items():
                library.impl(name, function, "Meta", allow_override=True)
        yield
    finally:
        library._destroy()


def kept(x: Any, weight: Any, shape: Sequence[int]) -> tuple[Any, Any]:
    """Mean and inverse deviation, in the weight's type."""
    kind = x.dtype if weight is None else weight.dtype
    return x.new_empty(shape, dtype=kind), x.new_empty(shape, dtype=kind)


def batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, *rest: float
) -> tuple[Any, Any, Any]:
    """``native_batch_norm``: a mean and a deviation for each channel, in training only."""
    return torch.empty_like(x), *kept(x, weight, (x.shape[1] if training else 0,))


def layer_norm(x: Any, axes: Sequence[int], weight: Any, *rest: Any) -> tuple[Any, Any, Any]:
    """``native_layer_norm``: statistics of every row; the result is packed whatever ``x`` is."""
    rows = (*x.shape[: x.dim() - len(axes)], *(1 for _ in axes))
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    return y, *kept(x, weight, rows)


def group_norm(
    x: Any, weight: Any, bias: Any, count: int, channels: int, size: int, groups: int, *rest: float
) -> tuple[Any, Any, Any]:
    """``native_group_norm``: statistics of every group of every example."""
    return torch.empty_like(x), *kept(x, weight, (count, groups))


NORMS: dict[str, Callable[..., Any]] = {
    "native_batch_norm": batch_norm,
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
}
