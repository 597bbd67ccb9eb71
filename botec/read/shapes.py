"""Output layouts of the ops whose own shape kernels are slow Python, for the plain cases only.

A rule answers only where the layout is certain; everything else asks the framework. The tests hold
every rule against the framework's kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten
Layout = tuple[Any, Any, Any]
# Pointwise ops whose result may have another type than their arguments, or which are drawn.
OTHER_TYPE = (
    "eq", "ne", "lt", "le", "gt", "ge", "is", "logical", "sign", "where", "clone", "_to_copy",
    "bitwise", "native_dropout", "frexp", "bernoulli", "copy", "fill", "zeros", "ones", "to",
    "polar", "complex", "angle", "real", "imag", "view", "conj", "_conj", "abs", "quantize",
    "fake_quantize", "resolve",
)  # fmt: skip
KNOWN: dict[Any, Callable[[Any, Any], Any] | None] = {}


def layouts_of(info: Any, args: Any, kwargs: Any) -> Any:
    """The layout of the output (or a list of them), ``None`` where the framework must say."""
    func = info.func
    if func not in KNOWN:
        KNOWN[func] = RULES.get(func) or (pointwise if is_plain_pointwise(func, info.name) else None)
    rule = KNOWN[func]
    return rule(args, kwargs or {}) if rule else None


def is_plain_pointwise(func: Any, name: str) -> bool:
    short = name.split(".")[1]
    schema = func._schema
    plain = torch.Tag.pointwise in func.tags and not schema.is_mutable and len(schema.returns) == 1
    return (plain and not short.startswith(OTHER_TYPE)) or short == "threshold_backward"


def packed(shape: Any) -> tuple[int, ...]:
    strides, stride = [], 1
    for size in reversed(shape):
        strides.append(stride)
        stride *= max(size, 1)
    return tuple(reversed(strides))


def is_packed(tensor: Any) -> bool:
    return tensor.stride() == packed(tensor.shape)


def same(tensor: Any) -> Layout:
    return tensor.shape, tensor.stride(), tensor.dtype


def pointwise(args: Any, kwargs: Any) -> Layout | None:
    """All tensors alike, floating and packed: the result is alike too."""
    first = None
    for value in args:
        if isinstance(value, torch.Tensor):
            if first is None:
                first = value
            elif same(value) != same(first):
                return None
        elif isinstance(value, (complex, list, tuple)):
            return None
    if first is None or kwargs or not first.dtype.is_floating_point or not is_packed(first):
        return None
    return same(first)


def batch_norm(args: Any, kwargs: Any) -> list[Layout] | None:
    x = args[0]
    if kwargs or not args[5] or not is_packed(x) or x.dtype != torch.float32:
        return None
    channels = (torch.Size(x.shape[1:2]), (1,), x.dtype)
    return [same(x), channels, channels]


def batch_norm_backward(args: Any, kwargs: Any) -> list[Layout | None] | None:
    gradient, x, weight, mask = args[0], args[1], args[2], args[9]
    if weight is None or not is_packed(x) or not is_packed(gradient) or x.dtype != torch.float32:
        return None
    channels = (torch.Size(x.shape[1:2]), (1,), x.dtype)
    layouts = (same(x), channels, channels)
    return [layout if wanted else None for layout, wanted in zip(layouts, mask, strict=True)]


def layer_norm(args: Any, kwargs: Any) -> list[Layout] | None:
    x = args[0]
    if not is_packed(x) or x.dtype != torch.float32:
        return None
    rest = len(args[1])
    shape = torch.Size(tuple(x.shape[:-rest]) + (1,) * rest)
    statistics = (shape, packed(shape), x.dtype)
    return [same(x), statistics, statistics]


def layer_norm_backward(args: Any, kwargs: Any) -> list[Layout | None] | None:
    gradient, x, _, _, _, weight, bias, mask = args
    if not is_packed(x) or not is_packed(gradient) or x.dtype != torch.float32:
        return None
    tensors = (x, weight, bias)
    return [
        same(tensor) if wanted and tensor is not None else None
        for tensor, wanted in zip(tensors, mask, strict=True)
    ]


def softmax(args: Any, kwargs: Any) -> Layout | None:
    return same(args[0]) if is_packed(args[0]) and not args[2] else None


def softmax_backward(args: Any, kwargs: Any) -> Layout | None:
    x = args[0]
    return same(x) if is_packed(x) and is_packed(args[1]) and x.dtype == args[3] else None


RULES: dict[Any, Callable[[Any, Any], Any]] = {
    aten.native_batch_norm.default: batch_norm,
    aten.native_batch_norm_backward.default: batch_norm_backward,
    aten.native_layer_norm.default: layer_norm,
    aten.native_layer_norm_backward.default: layer_norm_backward,
    aten._softmax.default: softmax,
    aten._log_softmax.default: softmax,
    aten._softmax_backward_data.default: softmax_backward,
    aten._log_softmax_backward_data.default: softmax_backward,
}
