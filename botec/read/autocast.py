"""``torch.autocast`` on meta tensors, as the CPU does it.

Autocast is a dispatch key above autograd, and meta tensors have none. While a trace is open, a free
autocast key (that of a backend nobody registered) answers the CPU's list of ops instead; it is
switched on and off with every ``torch.autocast`` block on the CPU, the model's own ones and those
of recomputation included.

Which ops are on the list the dispatcher says. Which arguments of a call are cast to what is not
written down here: the CPU's own autocast kernel is asked with tiny tensors of the same types, and
watched (``aten/src/ATen/autocast_mode.cpp``, PyTorch 2.13).

A trained weight is cast once and the cast kept until the outermost block ends (``cached_cast``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

DTYPES = {"amp-bf16": torch.bfloat16, "amp-fp16": torch.float16}
KEY, CPU_KEY = "AutocastPrivateUse1", "AutocastCPU"
OWN_KEY = getattr(torch._C.DispatchKey, KEY)
BOTH_KEYS = torch._C.DispatchKeySet(OWN_KEY) | torch._C.DispatchKeySet(
    torch._C.DispatchKey.AutocastCPU
)
# Functions of torch that take a device's name: a model that asks its tensors would say "meta".
ASKED_BY_NAME = ("is_autocast_enabled", "get_autocast_dtype")
Plan = tuple[tuple[int, Any], ...]
PLANS: dict[Any, Plan] = {}


def autocast(precision: str) -> AbstractContextManager[Any]:
    """The block a user's loop puts around forward and loss; nothing where ``precision`` is one
    type alone."""
    if precision not in DTYPES:
        return nullcontext()
    return torch.autocast("cpu", dtype=DTYPES[precision])


@contextmanager
def autocast_as_on_cpu() -> Iterator[dict[int, Any]]:
    """Let every ``torch.autocast`` block on the CPU work on meta tensors too; gives the kept casts,
    which are to be let go after each trace."""
    casts: dict[int, tuple[Any, Any]] = {}
    kernels = OwnKernels(ops_of_the_cpu, lambda op: Casting(op, casts))
    try:
        with following_blocks(casts, kernels), names_of_meta(), transformers_blocks():
            yield casts
    finally:
        casts.clear()
        kernels.drop()


class OwnKernels:
    """What answers calls on the own key, from the first block that is switched on.

    To tell the dispatcher takes longer than to trace a small network, which mostly has no block.
    """

    def __init__(self, names: Callable[[], list[str]], kernel: Callable[[Any], Any]) -> None:
        self.names, self.kernel = names, kernel
        self.libraries: list[Any] = []

    def use(self) -> None:
        """Put the kernels in place, where they are not yet."""
        if self.libraries:
            return
        self.libraries = [torch.library.Library(of, "IMPL", KEY) for of in ("_", "aten")]
        everything, ops = self.libraries
        everything.fallback(torch.library.fallthrough_kernel)
        for name in self.names():
            ops.impl(name, self.kernel(op_named(name)))

    def drop(self) -> None:
        """Take the kernels away again."""
        for library in reversed(self.libraries):
            library._destroy()
        self.libraries = []


@cache
def ops_of_the_cpu() -> list[str]:
    """Names of the ops for which the CPU has an autocast kernel."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    names = torch._C._dispatch_get_all_op_names()
    return [name for name in names if name.startswith("aten::") and has(name, CPU_KEY)]


def op_named(name: str) -> Any:
    plain, _, overload = name.removeprefix("aten::").partition(".")
    return getattr(getattr(torch.ops.aten, plain), overload or "default")


class Casting:
    """An op on the CPU's list: its arguments cast as the CPU would, then the op itself."""

    def __init__(self, op: Any, casts: dict[int, tuple[Any, Any]]) -> None:
        self.op, self.casts = op, casts

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tensors = list(tensors_of((args, kwargs)))
        key = (self.op, torch.get_autocast_dtype("cpu"), tuple(one.dtype for one in tensors))
        plan = PLANS.get(key)
        if plan is None:
            plan = PLANS[key] = asked_plan(self.op, args, kwargs)
        with torch._C._ExcludeDispatchKeyGuard(BOTH_KEYS):
            if plan:
                for place, kind in plan:
                    tensors[place] = self.cast(tensors[place], kind)
                args, kwargs = exchanged((args, kwargs), iter(tensors))
            return self.op(*args, **kwargs)

    def cast(self, tensor: Any, kind: Any) -> Any:
        """``tensor`` in the planned type; a trained weight's cast is kept, gradients or not."""
        if not self.keeps(tensor, kind):
            return tensor.to(kind)
        kept = self.casts.get(id(tensor))
        if kept is None:
            with torch.enable_grad():
                kept = self.casts[id(tensor)] = (tensor, tensor.to(kind))
        return kept[1]

    def keeps(self, tensor: Any, kind: Any) -> bool:
        """Whether ``cached_cast`` keeps it: a float32 leaf that requires a gradient, no view."""
        return (
            kind == torch.get_autocast_dtype("cpu")
            and tensor.dtype == torch.float32
            and tensor.requires_grad
            and tensor.is_leaf
            and not tensor._is_view()
            and torch.is_autocast_cache_enabled()
        )


def tensors_of(value: Any) -> Iterator[Any]:
    """Every tensor among nested arguments, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors_of(one)
    elif isinstance(value, dict):
        yield from tensors_of(list(value.values()))


def exchanged(value: Any, others: Iterator[Any]) -> Any:
    """Nested arguments with every tensor replaced, in the order of :func:`tensors_of`."""
    if isinstance(value, torch.Tensor):
        return next(others)
    if isinstance(value, (list, tuple)):
        return type(value)([exchanged(one, others) for one in value])
    if isinstance(value, dict):
        return {name: exchanged(one, others) for name, one in value.items()}
    return value


class AskedError(Exception):
    """The casts are seen; the op itself need not run."""


class Watched(TorchDispatchMode):
    """Notes which of ``tensors`` are cast to what, and stops at the first other op."""

    def __init__(self, tensors: list[Any]) -> None:
        super().__init__()
        self.tensors, self.plan = tensors, list[tuple[int, Any]]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        places = [place for place, one in enumerate(self.tensors) if args and one is args[0]]
        if func is not torch.ops.aten._to_copy.default or not places:
            raise AskedError
        self.plan.append((places[0], kwargs["dtype"]))
        return func(*args, **kwargs)


def asked_plan(op: Any, args: Any, kwargs: Any) -> Plan:
    """The casts the CPU's autocast kernel makes for a call: (which tensor, to what), in order.

    The compiler decides the order; it shows in when a cast's gradient is made.
    """
    kinds = [one.dtype for one in tensors_of((args, kwargs))]
    own = torch._C.DispatchKeySet(OWN_KEY)
    with _disable_current_modes(), torch._C._ExcludeDispatchKeyGuard(own), torch.no_grad():
        tiny = [torch.zeros((), dtype=kind) for kind in kinds]
        args, kwargs = exchanged((args, kwargs), iter(tiny))
        # the call itself cannot work, it is too tiny: the casts come before it
        with Watched(tiny) as watched, suppress(Exception):
            op(*args, **kwargs)
    return tuple(watched.plan)


@contextmanager
def following_blocks(casts: dict[int, tuple[Any, Any]], kernels: OwnKernels) -> Iterator[None]:
    """Switch the key with every autocast block; let the kept casts go where the CPU does."""
    block, clear = torch.autocast, torch.clear_autocast_cache
    enter, leave = block.__enter__, block.__exit__

    def follow() -> None:
        on = torch.is_autocast_enabled("cpu")
        if on:
            kernels.use()
        switch(on)

    def entered(self: Any) -> Any:
        result = enter(self)
        follow()
        return result

    def left(self: Any, *error: Any) -> Any:
        try:
            return leave(self, *error)
        finally:
            follow()

    def cleared() -> None:
        casts.clear()
        clear()

    block.__enter__, block.__exit__ = entered, left
    torch.clear_autocast_cache = cleared
    try:
        follow()
        yield
    finally:
        block.__enter__, block.__exit__ = enter, leave
        torch.clear_autocast_cache = clear
        switch(False)


def switch(on: bool) -> None:
    """Let the own key take part in every call, or in none: autocast keys start out excluded."""
    torch._C._dispatch_tls_set_dispatch_key_included(OWN_KEY, on)
    torch._C._dispatch_tls_set_dispatch_key_excluded(OWN_KEY, not on)


@contextmanager
def names_of_meta() -> Iterator[None]:
    """A device called "meta" means the CPU, wherever autocast is asked about it."""
    kept = {name: getattr(torch, name) for name in ASKED_BY_NAME}
    start = torch.autocast.__init__

    def renamed(function: Any) -> Any:
        return lambda *names: function(*("cpu" if name == "meta" else name for name in names))

    def started(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        start(self, "cpu" if device_type == "meta" else device_type, *args, **kwargs)

    try:
        for name, function in kept.items():
            setattr(torch, name, renamed(function))
        torch.autocast.__init__ = started
        yield
    finally:
        for name, function in kept.items():
            setattr(torch, name, function)
        torch.autocast.__init__ = start


@contextmanager
def transformers_blocks() -> Iterator[None]:
    """``transformers`` leaves autocast alone on "meta"; here it shall do what it does on a CPU."""
    function = vars(sys.modules.get("transformers.utils.generic", sys)).get("maybe_autocast")
    if not isinstance(function, FunctionType):
        yield
        return
    known = function.__code__
    function.__code__ = on_cpu.__code__
    try:
        yield
    finally:
        function.__code__ = known


def on_cpu(
    device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
) -> Any:
    """``maybe_autocast`` with "meta" taken as the CPU."""
    from contextlib import nullcontext

    import torch

    name = "cpu" if device_type == "meta" else device_type
    if enabled or torch.is_autocast_enabled(name):
        return torch.autocast(name, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)
    return nullcontext()
