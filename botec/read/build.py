"""From a source to a module without data: built on the meta device, or moved there.

Parameters and buffers of a module are exchanged for twins on the meta device while it is traced and
given back afterwards, so that a user's own model is left as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from botec.errors import BotecError, ModelFailed
from botec.read.source import Source

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
HELD = ("_parameters", "_buffers", "_modules")


def build(source: Source) -> nn.Module:
    """The module of ``source``, without memory of its own where its constructor allows.

    Raises :class:`ModelFailed` with the constructor's own words.
    """
    with no_initialisation():
        try:
            with torch.device("meta"):
                return source.build()
        except BotecError:
            raise
        except Exception:
            # Some constructors read the values of tensors they make: pages never written cost
            # nothing, so build it for real, uninitialised.
            try:
                return source.build()
            except BotecError:
                raise
            except Exception as error:
                raise ModelFailed(
                    f"building it raised {type(error).__name__}: {error}",
                    "mend the model or its configuration",
                    source.name,
                ) from error


@contextmanager
def no_initialisation() -> Iterator[None]:
    """Weights keep whatever memory held: only shapes are asked for.

    transformers has functions of its own by the same names, which keep those of torch. What a
    library imported meanwhile has taken for itself works again afterwards.
    """
    silent = [True]
    places = [nn.init, *filter(None, [sys.modules.get("transformers.initialization")])]
    names = [name for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")]
    functions = [(place, name, getattr(place, name, None)) for place in places for name in names]
    kept = [(place, name, found) for place, name, found in functions if callable(found)]
    try:
        for place, name, function in kept:
            setattr(place, name, while_loud(function, silent))
        yield
    finally:
        silent.clear()
        for place, name, function in kept:
            setattr(place, name, function)


def while_loud(function: Callable[..., Any], silent: list[bool]) -> Callable[..., Any]:
    """``function``, which leaves its tensor alone as long as ``silent`` holds anything."""

    @wraps(function)
    def run(tensor: Any = None, *args: Any, **kwargs: Any) -> Any:
        return tensor if silent else function(tensor, *args, **kwargs)

    return run


@contextmanager
def on_meta(module: nn.Module, precision: str = "fp32") -> Iterator[nn.Module]:
    """``module`` with its parameters and buffers on the meta device, tied ones still tied.

    Raises :class:`ModelFailed` for weights that have no shape yet.
    """
    parts = list(module.modules())
    holders = [held for part in parts for held in (part._parameters, part._buffers)]
    if any(is_lazy(tensor) for held in holders for tensor in held.values()):
        raise ModelFailed(
            "a lazy module has no shapes before its first call",
            "call it once, or give it its sizes",
            type(module).__name__,
        )
    dtype = DTYPES.get(precision)
    twins: dict[int, Any] = {}
    before = [
        (part.__dict__, dict(part.__dict__), {name: dict(part.__dict__[name]) for name in HELD})
        for part in parts
    ]
    try:
        for held in holders:
            for name, tensor in held.items():
                if tensor is not None:
                    held[name] = twin_of(tensor, twins, dtype)
        yield module
    finally:
        for attributes, own, kept in before:  # what forward kept goes, and adapters put in
            exchange(attributes, own)
            for name, were in kept.items():
                exchange(attributes[name], were)


def exchange(held: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Give a dictionary, the same object, other contents."""
    held.clear()
    held.update(wanted)


def twin_of(tensor: Any, twins: dict[int, Any], dtype: Any) -> Any:
    """A tensor of the same layout on the meta device; the same one for the same tensor."""
    twin = twins.get(id(tensor))
    if twin is None:
        kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=kind, device="meta")
        if isinstance(tensor, nn.Parameter):
            twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
        twins[id(tensor)] = twin
    return twin
