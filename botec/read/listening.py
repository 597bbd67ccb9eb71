"""What stands around a step while it is traced: the device's decisions, and nothing by chance.

The garbage collector is off, Python's random numbers are the same every time, constants made from
Python values are known, the generator's states that checkpointing keeps are seen.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from botec.read.autocast import autocast_as_on_cpu
from botec.read.autocast_on_cuda import autocast_as_on_cuda
from botec.read.decisions import decisions
from botec.read.given import silenced
from botec.read.optimizers import optimizers_as_on
from botec.read.recorder import Recorder
from botec.read.statistics import statistics_as_on_cpu

DEEPEST = 20_000
TOLD: dict[int | None, dict[int, Any]] = {}


@contextmanager
def listening(recorder: Recorder, capability: int | None = None) -> Iterator[None]:
    """The recorder's mode, the device's decisions, and no garbage collector to move a death."""
    import torch._dynamo  # (meta kernels would import it while tensors live)
    import torch.fx.experimental.symbolic_shapes  # noqa: F401

    was_enabled, own_freeze = gc.isenabled(), gc.get_freeze_count() == 0
    gc.collect(0)
    if own_freeze:
        gc.freeze()
    gc.disable()
    try:
        with silenced(), as_on(capability), constants(recorder), random_states(recorder), recorder:
            yield
    finally:
        if own_freeze:
            gc.unfreeze()
        if was_enabled:
            gc.enable()


@contextmanager
def as_on(capability: int | None) -> Iterator[dict[int, Any]]:
    """Meta tensors are worked on as on the target device; gives the casts autocast keeps.

    To tell the dispatcher takes longer than to trace a small network: around many traces it is told
    once, and inside of that ``as_on`` does nothing more.
    """
    casts = TOLD.get(capability)
    if casts is not None:
        try:
            yield casts
        finally:
            casts.clear()
        return
    norms = nullcontext() if capability else statistics_as_on_cpu()
    casting = autocast_as_on_cuda() if capability else autocast_as_on_cpu()
    with decisions(capability), norms, optimizers_as_on(capability), casting as casts:
        TOLD[capability] = casts
        try:
            yield casts
        finally:
            del TOLD[capability]


@contextmanager
def constants(recorder: Recorder) -> Iterator[None]:
    """Tensors made from Python values keep them: on the meta device they would be lost."""
    kept = {name: getattr(torch, name) for name in ("tensor", "as_tensor")}

    def known(name: str) -> Any:
        def make(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Any:
            if isinstance(data, torch.Tensor) or torch.device(device or "cpu").type == "cpu":
                return kept[name](data, *args, device=device, **kwargs)
            return recorder.from_values(kept[name](data, *args, **kwargs))

        return make

    tolist = torch.Tensor.tolist

    def as_list(tensor: Any) -> Any:
        return recorder.real(tensor).tolist() if tensor.is_meta else tolist(tensor)

    try:
        for name in kept:
            setattr(torch, name, known(name))
        torch.Tensor.tolist = as_list
        yield
    finally:
        for name, function in kept.items():
            setattr(torch, name, function)
        torch.Tensor.tolist = tolist


@contextmanager
def random_states(recorder: Recorder) -> Iterator[None]:
    """What checkpointing keeps to draw the same numbers again is real memory of the step."""
    state, fork = torch.get_rng_state, torch.random.fork_rng

    def known() -> Any:
        kept = state()
        recorder.track(kept)
        return kept

    def forked(*args: Any, device_type: str = "cuda", **kwargs: Any) -> Any:
        name = "cpu" if device_type == "meta" else device_type  # on meta it would do nothing
        return fork(*args, device_type=name, **kwargs)

    try:
        torch.get_rng_state, torch.random.fork_rng = known, forked
        yield
    finally:
        torch.get_rng_state, torch.random.fork_rng = state, fork


def within(error: BaseException | None, cause: BaseException | None) -> bool:
    """Whether ``cause`` led to ``error``; the engine may have replaced it by a poorer one."""
    if cause is None:
        return False
    if isinstance(error, (RuntimeError, SystemError)):
        return True
    while error is not None and error is not cause:
        error = error.__cause__ or error.__context__
    return error is cause


@contextmanager
def same_draws() -> Iterator[None]:
    """Python's own random numbers are the same in every trace; deep models may recurse deeply."""
    state, depth = random.getstate(), sys.getrecursionlimit()
    random.seed(0)
    sys.setrecursionlimit(max(depth, DEEPEST))
    try:
        yield
    finally:
        random.setstate(state)
        sys.setrecursionlimit(depth)


@contextmanager
def no_collection() -> Iterator[None]:
    """Many small objects are made that stay: looking through a framework's heap for cycles each
    time would take longer than making them. Afterwards they count as old, looked through seldom."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            settle()
            gc.enable()


def settle() -> None:
    """Whatever has been made so far counts as old: it will stay, and is seldom looked through."""
    if gc.get_freeze_count() == 0:
        gc.freeze()
        gc.unfreeze()
