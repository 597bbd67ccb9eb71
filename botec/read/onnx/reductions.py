"""Operators that sum up: along axes, to the largest, sorted."""

from __future__ import annotations

from typing import Any

import torch

from botec.read.onnx.registry import numbers_of, onnx

REDUCTIONS = {
    "ReduceSum": lambda x, axes, keep: x.sum(dim=axes, keepdim=keep),
    "ReduceMean": lambda x, axes, keep: x.mean(dim=axes, keepdim=keep),
    "ReduceMax": lambda x, axes, keep: x.amax(dim=axes, keepdim=keep),
    "ReduceMin": lambda x, axes, keep: x.amin(dim=axes, keepdim=keep),
    "ReduceL1": lambda x, axes, keep: x.abs().sum(dim=axes, keepdim=keep),
    "ReduceL2": lambda x, axes, keep: x.square().sum(dim=axes, keepdim=keep).sqrt(),
    "ReduceLogSum": lambda x, axes, keep: x.sum(dim=axes, keepdim=keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, dim=axes, keepdim=keep),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(dim=axes, keepdim=keep),
}


def reduction(reduced: Any) -> Any:
    def run(
        x: Any, along: Any = None, *,
        axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0,
    ) -> Any:  # fmt: skip
        """No axes mean all of them."""
        chosen = tuple(numbers_of(along, axes))
        if not chosen and noop_with_empty_axes:
            return x
        return reduced(x, chosen or tuple(range(x.dim())), bool(keepdims))

    return run


for name, reduced in REDUCTIONS.items():
    onnx(name, known=("along",))(reduction(reduced))


@onnx("ReduceProd", known=("along",))
def product(
    x: Any, along: Any = None, *,
    axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0,
) -> Any:  # fmt: skip
    chosen = numbers_of(along, axes)
    for axis in sorted((axis % x.dim() for axis in chosen or range(x.dim())), reverse=True):
        x = x.prod(dim=axis, keepdim=bool(keepdims))
    return x


@onnx("ArgMax")
def arg_max(x: Any, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    return x.argmax(dim=axis, keepdim=bool(keepdims))


@onnx("ArgMin")
def arg_min(x: Any, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    return x.argmin(dim=axis, keepdim=bool(keepdims))


@onnx("CumSum", known=("axis",))
def running_sum(x: Any, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    place = int(axis)
    summed = x.flip(place).cumsum(place).flip(place) if reverse else x.cumsum(place)
    return summed - x if exclusive else summed


@onnx("TopK", known=("count",))
def top(
    x: Any, count: Any = None, *, axis: int = -1, k: int = 1, largest: int = 1, sorted: int = 1
) -> Any:
    """How many was an attribute before opset 10."""
    wanted = k if count is None else int(count.item())
    return torch.topk(x, wanted, axis, bool(largest), bool(sorted))


@onnx("Hardmax")
def hardmax(x: Any, *, axis: int = -1) -> Any:
    found = x.argmax(dim=axis, keepdim=True)
    return torch.zeros_like(x).scatter(axis, found, 1.0)
