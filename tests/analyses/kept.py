"""What autograd really keeps of a forward pass, storage by storage, and a block to ask about."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

ROOT = str(Path(__file__).parent.parent.parent)


def megatron_block(width: int, heads: int) -> nn.Module:
    """The block that docs/accuracy.md is made with."""
    if ROOT not in sys.path:
        sys.path.insert(0, ROOT)
    from benchmarks.accuracy.korthikanti import Block

    return Block(width, heads)


def kept_by_autograd(module: nn.Module, x: torch.Tensor, least: int = 0) -> int:
    """Bytes of distinct storages of more than ``least`` entries that a real forward pass saves.

    Weights aside. Dropout is a product with a mask of one byte, as CUDA's kernel makes it (the
    CPU's has the type of its input).
    """
    weights = {one.untyped_storage()._cdata for one in module.parameters()}
    found: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights and tensor.numel() > least:
            found[storage._cdata] = storage
        return tensor

    def dropout(given: torch.Tensor, p: float, training: bool) -> torch.Tensor:
        return given * (torch.rand(given.shape) >= p) / (1 - p) if training else given

    with (
        replaced(functional, "dropout", dropout),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        module(x).sum()
    return sum(storage.nbytes() for storage in found.values())


class replaced:  # noqa: N801 - reads as a word where it is used
    """A module's function replaced by another one while inside."""

    def __init__(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        self.owner, self.name, self.function = owner, name, function

    def __enter__(self) -> None:
        self.before = getattr(self.owner, self.name)
        setattr(self.owner, self.name, self.function)

    def __exit__(self, *_: object) -> None:
        setattr(self.owner, self.name, self.before)
