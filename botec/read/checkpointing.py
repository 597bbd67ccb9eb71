"""Activation checkpointing: which blocks run again in the backward pass, and by which way.

A model that calls ``torch.utils.checkpoint`` itself needs none of this: it is run as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from botec.read.recorder import Recorder
from botec.read.settings import Checkpointing

aten = torch.ops.aten
#: What a selective checkpoint keeps, as the list ``create_selective_checkpoint_contexts`` takes.
OPS: dict[str, tuple[Any, ...]] = {
    "matmuls": (
        aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default,
        aten.convolution.default, aten._grouped_mm.default, aten._scaled_mm.default,
    ),
    "attention": (
        aten._scaled_dot_product_flash_attention_for_cpu.default,
        aten._scaled_dot_product_flash_attention.default,
        aten._scaled_dot_product_efficient_attention.default,
        aten._scaled_dot_product_cudnn_attention.default,
    ),
}  # fmt: skip


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Children of a list or sequence of two or more modules of one class, none of them a leaf."""
    for run in runs(module):
        yield from run


def runs(module: nn.Module) -> Iterator[list[nn.Module]]:
    """The repeated blocks, list by list."""
    for part in module.modules():
        if isinstance(part, (nn.ModuleList, nn.Sequential)):
            children = list(part.children())
            same = len({type(child) for child in children}) == 1
            if len(children) > 1 and same and next(children[0].children(), None) is not None:
                yield children


def chosen(module: nn.Module, how: Checkpointing) -> frozenset[int]:
    """The identities of every k-th repeated block, the first of each list among them."""
    return frozenset(id(block) for run in runs(module) for block in run[:: how.every])


def checkpointed(how: Checkpointing, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``call`` under the framework's checkpointing."""
    from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

    if how.reentrant:  # it takes no keywords
        return checkpoint(partial(call, **kwargs), *args, use_reentrant=True)
    if not how.saved:
        return checkpoint(call, *args, use_reentrant=False, **kwargs)
    kept = [op for name in how.saved for op in OPS[name]]
    contexts = partial(create_selective_checkpoint_contexts, kept)
    return checkpoint(call, *args, use_reentrant=False, context_fn=contexts, **kwargs)


@contextmanager
def configured(module: nn.Module, **fields: Any) -> Iterator[None]:
    """``fields`` of the configurations of ``module``'s parts, where they have them, for a while.

    ``use_cache=False``: a block run again would add its keys and values to a cache twice, so
    ``transformers`` has none where it checkpoints.
    """
    parts = module.modules() if fields else ()
    configs = {id(one): one for part in parts if (one := vars(part).get("config"))}
    kept = [
        (config, name, getattr(config, name))
        for config in configs.values()
        for name in fields
        if hasattr(config, name)
    ]
    try:
        for config, name, _ in kept:
            setattr(config, name, fields[name])
        yield
    finally:
        for config, name, value in kept:
            setattr(config, name, value)


@contextmanager
def scoped(
    scopes: Mapping[int, int], recorder: Recorder, again: frozenset[int], how: Checkpointing
) -> Iterator[None]:
    """Tell the recorder which module runs; run the blocks of ``again`` under checkpointing."""
    call = nn.Module.__call__

    def heard(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        scope = scopes.get(id(module))
        if scope is None:
            return call(module, *args, **kwargs)
        recorder.enter(scope)
        try:
            if id(module) in again and torch.is_grad_enabled() and not recorder.backward:
                return checkpointed(how, partial(call, module), *args, **kwargs)
            return call(module, *args, **kwargs)
        finally:
            recorder.leave()

    nn.Module.__call__ = heard
    try:
        yield
    finally:
        nn.Module.__call__ = call
