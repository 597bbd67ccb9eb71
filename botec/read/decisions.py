"""What the CPU build of PyTorch decides where the meta device would decide otherwise.

Meta tensors take the general path of composite functions: attention is written out as products,
recurrent layers step by step. A real CPU runs fused kernels; while a trace is open, these functions
are answered by the kernels the CPU would choose, for the same shapes and types.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

aten = torch.ops.aten
LSTM = 2  # the kernel's number for the long short-term memory cell
KERNEL_TYPES = (torch.float32, torch.bfloat16, torch.float16)


@contextmanager
def cpu_decisions() -> Iterator[None]:
    """Answer composite functions on meta tensors with the CPU's own kernels."""
    library = torch.library.Library("aten", "IMPL")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library.impl("scaled_dot_product_attention", attention, "AutogradMeta")
            library.impl("lstm.input", lstm, "AutogradMeta")
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
    if uses_flash(query, key, value, attn_mask, dropout_p):
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


def uses_flash(query: Any, key: Any, value: Any, mask: Any, dropout: float) -> bool:
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
        and (mask is None or (not mask.requires_grad and mask.dim() in (2, 4)))
    )


def float_mask(mask: Any, query: Any) -> Any:
    """A mask of truth values becomes one of 0 and −∞ (``convert_boolean_attn_mask``)."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    inside = torch.scalar_tensor(0.0, dtype=query.dtype, device=query.device)
    outside = torch.scalar_tensor(float("-inf"), dtype=query.dtype, device=query.device)
    return torch.where(mask, inside, outside)


def lstm(
    input: Any,  # noqa: A002 - the schema's own name
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """``lstm`` layer by layer through oneDNN's kernel, as ``mkldnn_rnn`` runs it on a CPU."""
    directions = 2 if bidirectional else 1
    each = 4 if has_biases else 2
    projected = len(params) != num_layers * directions * each
    if projected or input.dtype not in KERNEL_TYPES:
        step_by_step = torch._C.DispatchKey.CompositeImplicitAutograd
        rest = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
        return aten.lstm.input._op_dk(step_by_step, input, hx, params, *rest)
    x = input.transpose(0, 1) if batch_first else input
    x = x.contiguous()
    hidden, cells = [], []
    settings = (LSTM, hx[0].shape[2], num_layers, has_biases, bidirectional, batch_first, train)
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            weights = list(params[place * each : (place + 1) * each])
            if not has_biases:
                weights += [torch.zeros_like(weights[0][:, 0])] * 2
            y, h, c, _ = aten.mkldnn_rnn_layer(
                x, *weights, hx[0][place], hx[1][place], direction == 1, [], *settings
            )
            outputs.append(y)
            hidden.append(h)
            cells.append(c)
        x = outputs[0] if directions == 1 else torch.cat(outputs, -1)
        if dropout and train and layer < num_layers - 1:
            x = torch.dropout(x, dropout, True)
    return (x.transpose(0, 1) if batch_first else x), torch.stack(hidden), torch.stack(cells)
