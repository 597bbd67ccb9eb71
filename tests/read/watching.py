"""What the framework itself runs: its ops and their shapes, heard below autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Heard = tuple[str, tuple[Any, ...], tuple[Any, ...]]


class Watch(TorchDispatchMode):
    """Every op that runs: its name, the shapes it was given, the shapes and types it gave."""

    def __init__(self, leave_out: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.heard: list[Heard] = []
        self.leave_out = leave_out

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[1]
        if name not in self.leave_out:
            given, made = shapes([args, list((kwargs or {}).values())]), shapes([out], True)
            self.heard.append((name, given, made))
        return out

    @property
    def names(self) -> list[str]:
        """The ops alone."""
        return [name for name, _, _ in self.heard]


def shapes(values: Any, types: bool = False) -> tuple[Any, ...]:
    """The shapes (and types) of all tensors, containers opened."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append((tuple(value.shape), value.dtype) if types else tuple(value.shape))
        elif isinstance(value, (list, tuple)):
            found.extend(shapes(value, types))
    return tuple(found)


def watched(run: Callable[[], Any], leave_out: tuple[str, ...] = ()) -> Watch:
    """What ``run()`` made the framework do."""
    with Watch(leave_out) as watch:
        run()
    return watch
