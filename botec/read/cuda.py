"""What the CUDA build of PyTorch decides, for meta tensors.

Read off PyTorch 2.13's own host code: which attention kernel runs for which shapes, types and
generation, fused dropout and norms, optimizers on whole lists of tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from botec.ops.cuda.layouts import is_channels_last
from botec.read import recurrent_on_cuda

aten = torch.ops.aten
HALF = (torch.float16, torch.bfloat16)


def kernels(capability: int) -> dict[str, Callable[..., Any]]:
    """Functions a CUDA device of ``capability`` (80 for sm_80) answers with its own kernels."""

    def attention(
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        chosen = attention_kernel(
            query, key, value, attn_mask, dropout_p, is_causal, enable_gqa, capability
        )
        mask = float_mask(attn_mask, query)
        if chosen == "flash":
            return flash(query, key, value, dropout_p, is_causal, scale)
        if chosen == "efficient":
            return efficient(query, key, value, mask, dropout_p, is_causal, scale)
        if chosen == "cudnn":
            return cudnn(query, key, value, mask, dropout_p, is_causal, scale)
        return aten._scaled_dot_product_attention_math(
            query, key, value, attn_mask, dropout_p, is_causal, None,
            scale=scale, enable_gqa=enable_gqa,
        )[0]  # fmt: skip

    return {
        "scaled_dot_product_attention": attention,
        "dropout": dropout,
        "rms_norm": rms_norm,
        **recurrent_on_cuda.KERNELS,
    }


def attention_kernel(
    query: Any, key: Any, value: Any, mask: Any, dropout: float, causal: bool, grouped: bool,
    capability: int,
) -> str:  # fmt: skip
    """``"flash"``, ``"efficient"``, ``"cudnn"`` or ``"math"``: the choice of ``sdp_utils.cpp``."""
    tensors = (query, key, value)
    if any(tensor.dim() != 4 for tensor in tensors) or 0 in (query.shape[-2], key.shape[-2]):
        return "math"
    half = query.dtype in HALF
    width, same = query.shape[-1], query.shape[-1] == key.shape[-1] == value.shape[-1]
    rows = all(tensor.stride(-1) == 1 for tensor in tensors)
    if half and capability >= 90 and dropout == 0.0 and width <= 256 and width % 8 == 0 and rows:
        return "cudnn"
    square = not causal or query.shape[-2] == key.shape[-2]
    if half and capability >= 80 and mask is None and same and width <= 256 and square:
        return "flash"
    if grouped and query.shape[1] != key.shape[1]:
        return "math"
    unit = 8 if half else 4 if capability >= 80 else 1
    known = query.dtype in (*HALF, torch.float32) and not (
        query.dtype == torch.bfloat16 and capability < 80
    )
    fits = width % unit == 0 and value.shape[-1] % unit == 0
    return "efficient" if known and fits and rows else "math"


def float_mask(mask: Any, query: Any) -> Any:
    """A mask of truth values as numbers to add (``convert_boolean_attn_mask``)."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    inside = torch.scalar_tensor(0.0, dtype=query.dtype, device=query.device)
    outside = torch.scalar_tensor(float("-inf"), dtype=query.dtype, device=query.device)
    return torch.where(mask, inside, outside)


def flash(query: Any, key: Any, value: Any, dropout: float, causal: bool, scale: Any) -> Any:
    """Flash attention; head widths that are no multiple of 8 are padded to one."""
    width = query.shape[-1]
    short = -width % 8
    if short:
        scale = scale or width**-0.5
        query, key, value = (
            torch.nn.functional.pad(tensor, (0, short)) for tensor in (query, key, value)
        )
    out = aten._scaled_dot_product_flash_attention(
        query, key, value, dropout, causal, False, scale=scale
    )[0]
    return out[..., :width] if short else out


def efficient(
    query: Any, key: Any, value: Any, mask: Any, dropout: float, causal: bool, scale: Any
) -> Any:
    """Memory-efficient attention; a mask is padded to rows of 16 and expanded over the heads."""
    if mask is not None:
        last = mask.shape[-1]
        if last % 16:
            mask = torch.nn.functional.pad(mask, (0, 16 - last % 16))[..., :last]
        mask = mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    return aten._scaled_dot_product_efficient_attention(
        query, key, value, mask, wants_gradient(query, key, value), dropout, causal, scale=scale
    )[0]


def cudnn(
    query: Any, key: Any, value: Any, mask: Any, dropout: float, causal: bool, scale: Any
) -> Any:
    """cuDNN's attention, the choice of sm_90 with its cuDNN."""
    return aten._scaled_dot_product_cudnn_attention(
        query, key, value, mask, wants_gradient(query, key, value), dropout, causal, False,
        scale=scale,
    )[0]  # fmt: skip


def wants_gradient(*tensors: Any) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def dropout(input: Any, p: float, train: bool) -> Any:
    """One fused kernel that keeps a mask of truth values."""
    if not train or p == 0.0 or input.numel() == 0:
        return input
    if p == 1.0:
        return input.mul(torch.zeros((), dtype=input.dtype, device=input.device))
    return aten.native_dropout(input, p, True)[0]


def rms_norm(
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    eps: float | None = None,
) -> Any:
    """One fused kernel that keeps the rows' factors."""
    return aten._fused_rms_norm(input, list(normalized_shape), weight, eps)[0]


def layouts() -> dict[str, Callable[..., Any]]:
    """Ops whose CUDA kernel lays its outputs out otherwise than the general shape rule."""
    return {
        "native_layer_norm": layer_norm,
        "native_layer_norm_backward": layer_norm_backward,
        "convolution_backward": convolution_backward,
        **recurrent_on_cuda.LAYOUTS,
    }


def layer_norm(input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    """``layer_norm_cuda``: rows packed whatever the input's layout, their statistics in fp32."""
    rows = input.shape[: input.dim() - len(normalized_shape)]
    kind = torch.float32 if input.dtype in HALF else input.dtype
    shape = (*rows, *(1 for _ in normalized_shape))
    statistics = [torch.empty(shape, dtype=kind, device=input.device) for _ in range(2)]
    return torch.empty(input.shape, dtype=input.dtype, device=input.device), *statistics


def layer_norm_backward(
    grad_out: Any, input: Any, normalized_shape: Any, mean: Any, rstd: Any, weight: Any, bias: Any,
    output_mask: Any,
) -> Any:  # fmt: skip
    """``layer_norm_backward_cuda``: packed gradients of the input, the weight and the bias."""
    return tuple(
        torch.empty(one.shape, dtype=one.dtype, device=input.device)
        if wanted and one is not None
        else None
        for one, wanted in zip((input, weight, bias), output_mask, strict=True)
    )


def convolution_backward(
    grad_output: Any, input: Any, weight: Any, bias_sizes: Any, stride: Any, padding: Any,
    dilation: Any, transposed: bool, output_padding: Any, groups: int, output_mask: Any,
) -> Any:  # fmt: skip
    """cuDNN's gradients lie as it works: the channels innermost where the input's or filters' are.

    (``cudnn_conv_suggest_memory_format``)
    """
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(input.dim())
    inner = last is not None and input.dtype != torch.float64
    inner = inner and any(is_channels_last(one.shape, one.stride()) for one in (input, weight))
    how = last if inner else torch.contiguous_format
    made = [
        torch.empty(one.shape, dtype=one.dtype, device=one.device, memory_format=how)
        if wanted
        else None
        for one, wanted in zip((input, weight), output_mask, strict=False)
    ]
    channels = grad_output.shape[1]
    made.append(grad_output.new_empty((channels,)) if output_mask[2] else None)
    return tuple(made)
