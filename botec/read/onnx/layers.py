"""Operators with weights, and norms: products, convolutions, pools, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from botec.errors import BadInput
from botec.read.onnx.registry import onnx

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {
    1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d
}  # fmt: skip
LARGEST = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
AVERAGES = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


@onnx("MatMul")
def product(a: Any, b: Any) -> Any:
    return torch.matmul(a, b)


@onnx("Gemm")
def gemm(
    a: Any, b: Any, c: Any = None, *,
    alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0,  # noqa: N803
) -> Any:  # fmt: skip
    """``alpha·A·B + beta·C``; a linear layer where that is what it says."""
    a = a.t() if transA else a
    if transB and alpha == beta == 1.0 and (c is None or c.dim() == 1):
        return functional.linear(a, b, c)
    b = b.t() if transB else b
    return a.mm(b).mul(alpha) if c is None else torch.addmm(c, a, b, beta=beta, alpha=alpha)


@onnx("Einsum")
def einsum(*operands: Any, equation: str) -> Any:
    return torch.einsum(equation, *operands)


def windowed(
    x: Any, kernel: Sequence[int], strides: Any, dilations: Any, pads: Any, auto_pad: str
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Strides, dilations and paddings (begin of every axis, then end of every axis)."""
    rank = len(kernel)
    strides = tuple(strides or (1,) * rank)
    dilations = tuple(dilations or (1,) * rank)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        needed = [
            max((math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True)
        ]
        less, more = [n // 2 for n in needed], [n - n // 2 for n in needed]
        pads = (*less, *more) if auto_pad == "SAME_UPPER" else (*more, *less)
    return strides, dilations, tuple(pads or (0,) * (2 * rank))


def evenly(x: Any, pads: Sequence[int], value: float = 0.0) -> tuple[Any, tuple[int, ...]]:
    """``x`` padded where begin and end differ, and what padding is left for the op itself."""
    rank = len(pads) // 2
    begin, end = tuple(pads[:rank]), tuple(pads[rank:])
    if begin == end:
        return x, begin
    both = [side for pair in zip(reversed(begin), reversed(end), strict=True) for side in pair]
    return functional.pad(x, both, value=value), (0,) * rank


@onnx("Conv")
def convolution(
    x: Any, weight: Any, bias: Any = None, *, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    shape = tuple(weight.shape[2:])
    strides, dilations, pads = windowed(x, shape, strides, dilations, pads, auto_pad)
    x, padding = evenly(x, pads)
    return CONVOLUTIONS[len(shape)](x, weight, bias, strides, padding, dilations, group)


@onnx("ConvTranspose")
def transposed_convolution(
    x: Any, weight: Any, bias: Any = None, *, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, output_padding: Any = None, output_shape: Any = None,
    pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    rank = weight.dim() - 2
    pads = tuple(pads or (0,) * (2 * rank))
    if auto_pad != "NOTSET" or output_shape or pads[:rank] != pads[rank:]:
        do = "export it with equal paddings on both sides"
        raise BadInput("ConvTranspose with auto_pad, output_shape or uneven pads", do)
    return TRANSPOSED[rank](
        x, weight, bias, tuple(strides or (1,) * rank), pads[:rank],
        tuple(output_padding or (0,) * rank), group, tuple(dilations or (1,) * rank),
    )  # fmt: skip


@onnx("MaxPool")
def max_pool(
    x: Any, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, pads: Any = None, storage_order: int = 0, strides: Any = None,
) -> Any:  # fmt: skip
    strides, dilations, pads = windowed(x, kernel_shape, strides, dilations, pads, auto_pad)
    x, padding = evenly(x, pads, -math.inf)
    pool = LARGEST[len(kernel_shape)]
    return pool(x, tuple(kernel_shape), strides, padding, dilations, bool(ceil_mode))


@onnx("AveragePool")
def average_pool(
    x: Any, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    strides, _, pads = windowed(x, kernel_shape, strides, dilations, pads, auto_pad)
    x, padding = evenly(x, pads)
    pool = AVERAGES[len(kernel_shape)]
    return pool(x, tuple(kernel_shape), strides, padding, bool(ceil_mode), bool(count_include_pad))


@onnx("GlobalAveragePool")
def global_average(x: Any) -> Any:
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


@onnx("GlobalMaxPool")
def global_largest(x: Any) -> Any:
    return x.amax(dim=tuple(range(2, x.dim())), keepdim=True)


@onnx("BatchNormalization")
def batch_norm(
    x: Any, scale: Any, bias: Any, mean: Any, variance: Any, *,
    epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0, spatial: int = 1,
) -> Any:  # fmt: skip
    """By the stored averages, as exported (torch's momentum is one less ONNX's).

    An exporter that keeps equal tensors once may hand over a weight as an average.
    """
    kept = (mean.detach(), variance.detach())
    return functional.batch_norm(x, *kept, scale, bias, bool(training_mode), 1 - momentum, epsilon)


@onnx("LayerNormalization")
def layer_norm(
    x: Any, scale: Any, bias: Any = None, *,
    axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1,
) -> Any:  # fmt: skip
    return functional.layer_norm(x, tuple(x.shape[axis:]), scale, bias, epsilon)


@onnx("RMSNormalization", "SimplifiedLayerNormalization")
def rms_norm(
    x: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    return functional.rms_norm(x, tuple(x.shape[axis:]), scale, epsilon)


@onnx("InstanceNormalization")
def instance_norm(x: Any, scale: Any, bias: Any, *, epsilon: float = 1e-5) -> Any:
    return functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@onnx("GroupNormalization")
def group_norm(
    x: Any, scale: Any, bias: Any, *,
    opset: int, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1,
) -> Any:  # fmt: skip
    """Before opset 21 a group had one scale and bias, not each channel its own."""
    if opset < 21:
        each = x.shape[1] // num_groups
        scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return functional.group_norm(x, num_groups, scale, bias, epsilon)


@onnx("LRN")
def local_response_norm(
    x: Any, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Any:
    return functional.local_response_norm(x, size, alpha, beta, bias)


@onnx("LpNormalization")
def lp_norm(x: Any, *, axis: int = -1, p: int = 2) -> Any:
    return functional.normalize(x, p=float(p), dim=axis)


@onnx("Softmax")
def softmax(x: Any, *, opset: int, axis: Any = None) -> Any:
    return along(torch.softmax, x, axis, opset)


@onnx("LogSoftmax")
def log_softmax(x: Any, *, opset: int, axis: Any = None) -> Any:
    return along(torch.log_softmax, x, axis, opset)


def along(function: Any, x: Any, axis: Any, opset: int) -> Any:
    """Before opset 13 the axes from the named one on (the second by default) counted as one."""
    if opset >= 13:
        return function(x, -1 if axis is None else axis)
    start = (1 if axis is None else axis) % x.dim()
    if start == x.dim() - 1:
        return function(x, -1)
    return function(x.flatten(start), -1).reshape(x.shape)


@onnx("Attention")
def attention(
    q: Any, k: Any, v: Any, mask: Any = None, *, is_causal: int = 0, scale: Any = None,
    q_num_heads: int = 0, kv_num_heads: int = 0, softcap: float = 0.0,
    qk_matmul_output_mode: int = 0, softmax_precision: int = 0,
) -> Any:  # fmt: skip
    """Of four-dimensional inputs, or of three with their heads side by side."""
    flat = q.dim() == 3
    if flat:
        q, k, v = heads(q, q_num_heads), heads(k, kv_num_heads), heads(v, kv_num_heads)
    shared = q.shape[1] != k.shape[1]
    result = functional.scaled_dot_product_attention(
        q, k, v, mask, 0.0, bool(is_causal), scale=scale, enable_gqa=shared
    )
    return result.transpose(1, 2).flatten(2) if flat else result


def heads(x: Any, count: int) -> Any:
    return x.unflatten(-1, (count, -1)).transpose(1, 2)
