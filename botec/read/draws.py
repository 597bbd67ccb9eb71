"""Weights drawn once: what a constructor fills and its author fills again is drawn the last time.

A layer's constructor draws its weights, and a library draws them anew by its own scheme, or ties
them to others and lets them go. While :func:`draws_put_off` stands, a function of ``torch.nn.init``
only notes what it would do to a tensor. One that fills the whole tensor makes earlier notes of it
void; whatever else touches the tensor has them carried out first. What is left in the end is
carried out side by side, each tensor by a generator of its own.

The distributions are those of the constructor, the numbers are others than it would have drawn: a
constructor that sets the seed itself is built anew, as it stands.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

PLACES = ("torch.nn.init", "transformers.initialization")
#: Functions of a tensor that reach its memory beneath the dispatcher.
BENEATH = frozenset({
    "numpy", "__array__", "tolist", "data_ptr", "untyped_storage", "storage", "_typed_storage",
    "__deepcopy__", "__reduce_ex__", "__dlpack__", "share_memory_", "pin_memory",
})  # fmt: skip
#: In-place ops that leave nothing of what was there.
FILLS = frozenset({"normal_", "uniform_", "zero_", "fill_"})
SEEDS = 1 << 62


def built(build: Callable[[], Any], seed: int) -> Any:
    """A module with its weights drawn once; as it stands where its constructor sets a seed."""
    torch.manual_seed(seed)
    with draws_put_off() as draws:
        module = build()
    if torch.initial_seed() != seed:
        torch.manual_seed(seed)
        return build()
    draws.carry_out([*module.parameters(), *module.buffers()])
    return module


class Draws:
    """What is to be done to tensors, by the memory they lie in."""

    def __init__(self) -> None:
        self.waiting: dict[int, list[Callable[[], Any]]] = {}

    def note(self, tensor: Any, draw: Callable[[], Any]) -> None:
        """``draw`` fills ``tensor``, later."""
        if is_whole(tensor):
            self.waiting.pop(memory(tensor), None)
        self.waiting.setdefault(memory(tensor), []).append(draw)

    def settle(self, tensors: Iterable[Any]) -> None:
        """Carries out what waits for the ``tensors``."""
        for tensor in tensors:
            if memory(tensor) in self.waiting:
                one_after_the_other(self.waiting.pop(memory(tensor)))

    def forget(self, tensor: Any) -> None:
        """Lets go of what waits for a tensor that is filled wholly."""
        if is_whole(tensor):
            self.waiting.pop(memory(tensor), None)

    def carry_out(self, tensors: Iterable[Any]) -> None:
        """Carries out what waits for the ``tensors``, side by side, and forgets the rest."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            wanted = {memory(one) for one in tensors if one.device.type == "cpu"}
            several = [self.waiting[key] for key in wanted if key in self.waiting]
            self.waiting.clear()
            list(pool.map(one_after_the_other, several))


def one_after_the_other(draws: Iterable[Callable[[], Any]]) -> None:
    """Carries out what waits for one tensor."""
    with torch.no_grad():
        for draw in draws:
            draw()


def memory(tensor: Any) -> int:
    """By what the memory of a tensor is told from others'."""
    with torch._C.DisableTorchFunction():
        return int(tensor.untyped_storage()._cdata)


def is_whole(tensor: Any) -> bool:
    """Whether a tensor is all of its memory."""
    with torch._C.DisableTorchFunction():
        return bool(tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size())


@contextmanager
def draws_put_off() -> Iterator[Draws]:
    """Functions of ``torch.nn.init`` note what they would do; gives the notes."""
    draws = Draws()
    places = [sys.modules[name] for name in PLACES if name in sys.modules]
    names = [name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_"]
    found = [(place, name, getattr(place, name, None)) for place in places for name in names]
    kept = [(place, name, one) for place, name, one in found if inspect.isfunction(one)]
    try:
        for place, name, function in kept:
            setattr(place, name, noting(function, draws))
        with Touches(draws), Beneath(draws):
            yield draws
    finally:
        for place, name, function in kept:
            setattr(place, name, function)


def noting(function: Callable[..., Any], draws: Draws) -> Callable[..., Any]:
    """A function of ``torch.nn.init`` that is carried out when somebody looks at its tensor."""
    seeded = "generator" in inspect.signature(function).parameters

    @wraps(function)
    def run(tensor: Any, *args: Any, **options: Any) -> Any:
        plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.device.type == "cpu"
        if not plain or options.get("generator") is not None or not tensor.numel():
            return function(tensor, *args, **options)
        if seeded:
            seed = int(torch.randint(SEEDS, ()))
            draws.note(tensor, partial(drawn, function, tensor, seed, args, options))
        else:
            draws.note(tensor, partial(function, tensor, *args, **options))
        return tensor

    return run


def drawn(function: Callable[..., Any], tensor: Any, seed: int, args: Any, options: Any) -> None:
    """``tensor`` drawn by a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    function(tensor, *args, **{**options, "generator": generator})


class Touches(TorchDispatchMode):
    """Whoever touches a tensor that waits finds it drawn; views are not touched."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws = draws

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.draws.waiting and not func.is_view:
            if func.overloadpacket.__name__ in FILLS and on_cpu(args[0]):
                self.draws.forget(args[0])
            self.draws.settle(filter(on_cpu, flattened((*args, *kwargs.values()))))
        return func(*args, **kwargs)


class Beneath(TorchFunctionMode):
    """The same of functions that the dispatcher does not see."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws = draws

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in BENEATH:
            self.draws.settle(filter(on_cpu, args))
        return func(*args, **(kwargs or {}))


def on_cpu(one: Any) -> bool:
    return (
        isinstance(one, torch.Tensor) and one.device.type == "cpu" and one.layout is torch.strided
    )


def flattened(values: Iterable[Any]) -> Iterator[Any]:
    """Everything among arguments, lists opened."""
    for one in values:
        if isinstance(one, (tuple, list)):
            yield from flattened(one)
        else:
            yield one
