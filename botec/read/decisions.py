"""What the CPU build of PyTorch decides where the meta device would decide otherwise.

Meta tensors take the general path of composite functions: attention is written out as products,
recurrent layers step by step. A real CPU runs fused kernels; while a trace is open, these functions
are answered by the kernels the CPU would choose, for the same shapes and types.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from botec.read import cuda, recurrent
from botec.read.given import silenced

aten = torch.ops.aten
KERNEL_TYPES = (torch.float32, torch.bfloat16, torch.float16)


@contextmanager
def decisions(capability: int | None = None) -> Iterator[None]:
    """Answer composite functions on meta tensors with the kernels of the target device.

    ``capability`` is that of a CUDA device (80 for sm_80); ``None`` is the CPU.
    """
    own = {"scaled_dot_product_attention": attention, **recurrent.KERNELS}
    library = torch.library.Library("aten", "IMPL")
    try:
        with silenced():
            for name, function in (cuda.kernels(capability) if capability else own).items():
                library.impl(name, function, "AutogradMeta")
            for name, function in (cuda.layouts() if capability else {}).items():
                library.impl(name, function, "Meta")
        yield
    finally:
        library._destroy()


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
    """``scaled_dot_product_attention`` as ``sdp::select_sdp_backend_cpp`` chooses on a CPU."""
    if uses_flash(query, key, value, attn_mask, dropout_p, enable_gqa):
        out = aten._scaled_dot_product_flash_attention_for_cpu(
            query,
            key,
            value,
            dropout_p,
            is_causal,
            attn_mask=float_mask(attn_mask, query),
            scale=scale,
        )
        return out[0]
    return aten._scaled_dot_product_attention_math(
        query, key, value, attn_mask, dropout_p, is_causal, None, scale=scale, enable_gqa=enable_gqa
    )[0]


def uses_flash(
    query: Any, key: Any, value: Any, mask: Any, dropout: float, grouped: bool = False
) -> bool:
    """The conditions of the CPU's flash kernel (``aten/src/ATen/native/transformers``, 2.13).

    Four axes, one type the kernel has, no dropout, equal head sizes, nothing empty, a last axis of
    stride 1, a mask that needs no gradient and broadcasts over heads or batch.
    """
    tensors = (query, key, value)
    return (
        all(tensor.dim() == 4 and tensor.stride(-1) == 1 for tensor in tensors)
        and query.dtype in (*KERNEL_TYPES, torch.float64)
        and dropout == 0.0
        and query.shape[-1] == value.shape[-1] == key.shape[-1]
        and all(size > 0 for tensor in tensors for size in tensor.shape)
        and query.shape[0] == key.shape[0] == value.shape[0]
        and (grouped or query.shape[1] == key.shape[1] == value.shape[1])
        and (mask is None or (not mask.requires_grad and mask.dim() in (2, 4)))
    )


def float_mask(mask: Any, query: Any) -> Any:
    """A mask of truth values becomes one of 0 and −∞ (``convert_boolean_attn_mask``)."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    inside = torch.scalar_tensor(0.0, dtype=query.dtype, device=query.device)
    outside = torch.scalar_tensor(float("-inf"), dtype=query.dtype, device=query.device)
    return torch.where(mask, inside, outside)
