"""Tensors among the arguments of an op, and what they look like."""

from __future__ import annotations

from typing import Any

import torch

SAME_TYPE = {"aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm", "aten.convolution", "aten.mv"}
SIMPLE = {int, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format, str}


def layouts(values: Any) -> tuple[Any, ...]:
    """Arguments as something hashable: a tensor is its ``(shape, stride, dtype)``."""
    found: list[Any] = []
    for value in values:
        kind = type(value)
        if kind is torch.Tensor or kind is torch.nn.Parameter:
            if not value.is_meta:
                raise TypeError
            found.append((value.shape, value.stride(), value.dtype))
        elif kind in SIMPLE:
            found.append(value)
        elif kind is float or kind is bool:
            found.append((kind, value))
        elif kind is list or kind is tuple:
            found.append(layouts(value))
        elif isinstance(value, torch.Tensor):
            if not value.is_meta:
                raise TypeError
            found.append((value.shape, value.stride(), value.dtype))
        else:
            found.append(value)
    return tuple(found)


def real_layouts(values: Any) -> tuple[Any, ...]:
    """:func:`layouts` of arguments that hold real tensors."""
    return tuple(
        layout_of(value)
        if isinstance(value, torch.Tensor)
        else real_layouts(value)
        if isinstance(value, (list, tuple))
        else value
        for value in values
    )


def layout_of(tensor: Any) -> tuple[Any, Any, Any]:
    """A tensor's shape, strides and type."""
    strided = tensor.layout is torch.strided
    return tensor.shape, tensor.stride() if strided else (), tensor.dtype


def tensors(args: Any, kwargs: Any) -> list[Any]:
    """Every tensor among the arguments, lists opened."""
    found: list[Any] = []
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(tensors(value, None))
    return found


def check_types(name: str, args: Any) -> None:
    """What real kernels refuse and shape kernels let pass: products of different types, look-ups by
    numbers that are not whole. Raises ``RuntimeError`` as the kernel would."""
    if name in SAME_TYPE:
        kinds = {tensor.dtype for tensor in tensors(args, None)}
        if len(kinds) > 1:
            raise RuntimeError(f"{name} takes tensors of one type, got {type_names(kinds)}")
    elif name == "aten.embedding" and args[1].dtype not in (torch.int64, torch.int32):
        raise RuntimeError(f"{name} takes int64 or int32 places, got {type_names({args[1].dtype})}")


def type_names(kinds: set[Any]) -> str:
    return " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
