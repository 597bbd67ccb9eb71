"""Marks what a language model keeps of the tokens it has read: keys and values, states, latents.

The model makes its own cache and gives it back with its outputs. A hook that runs after its forward
pass looks through that object, whatever its class, and tells the recorder the storages in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from botec.read.recorder import Recorder

CACHE = "cache"  # analyses/cache.py looks for it
#: The names transformers gives it, in its outputs.
FIELDS = ("past_key_values", "cache_params", "mems", "state", "past_buckets_states")
DEEPEST = 6


def followed(module: nn.Module) -> nn.Module:
    """``module``, its cache marked whenever it infers while a recorder listens."""
    module.register_forward_hook(mark)
    return module


def mark(module: nn.Module, _: Any, output: Any) -> None:
    """Tells every recorder that listens which storages the cache in ``output`` holds.

    Counters of tokens (one number each) are left out.
    """
    recorders = [one for one in _get_current_dispatch_mode_stack() if isinstance(one, Recorder)]
    if module.training or not recorders:
        return
    kept = [tensor for name in FIELDS for tensor in tensors(field(output, name))]
    for recorder in recorders:
        for number in {recorder.place(tensor) for tensor in kept if tensor.dim() > 1} - {-1}:
            role, _name = recorder.roles.get(number, ("temporary", ""))
            if role == "temporary":
                recorder.roles[number] = (role, CACHE)


def field(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)


def tensors(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    """Every tensor in a cache: in containers, and in the attributes of its own objects."""
    if isinstance(value, torch.Tensor):
        yield value
        return
    if depth > DEEPEST or value is None or isinstance(value, (str, bytes, int, float, type)):
        return
    if isinstance(value, Mapping):
        parts: Any = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        parts = getattr(value, "__dict__", {}).values()
    for part in parts:
        yield from tensors(part, depth + 1)
