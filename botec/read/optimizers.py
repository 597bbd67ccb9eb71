"""The optimizer of a step: by its name in ``torch.optim``, or a class of the user's own.

``adamw``, ``sgd(momentum=0.9, nesterov=True)``, ``adam(fused=True)``, ``FILE.py:Lion(lr=0.01)``:
arguments are literals, read and never evaluated. ``foreach`` and ``fused`` are torch's own
arguments; where they are left out, torch itself chooses, as it would on the target device.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.optim import optimizer as in_torch

from botec.errors import BadInput, BotecError, UnknownName, nearest

OPTION = "--optimizer"
REFUSED = {
    "LBFGS": "calls the model again inside its step",
    "SparseAdam": "takes sparse gradients, which are not followed",
}
MOMENTUM = {"sgd-momentum": "sgd", "momentum": "sgd"}
RATE = 1e-3
#: Fused steps that have no kernel for tensors without data; they only write what they are given.
FUSED = ("_fused_sgd_", "_fused_adagrad_", "_fused_adam_", "_fused_adamw_")


def optimizer_named(name: str, parameters: list[Any], maker: Any = None) -> Any:
    """The real optimizer over ``parameters``, with torch's defaults where nothing else is asked.

    ``maker`` is a class or a function of the user's that makes one, called with the parameters.

    Raises :class:`UnknownName` for a name or argument that is not there, :class:`BadInput` for an
    optimizer that cannot be traced or refuses the weights.
    """
    make, given = (maker, {}) if maker is not None else found(name)
    shown = getattr(make, "__name__", name)
    if shown in REFUSED:
        raise BadInput(f"{shown} {REFUSED[shown]}", "choose another", OPTION)
    if isinstance(make, type) and not issubclass(make, torch.optim.Optimizer):
        raise BadInput(f"{shown} is no optimizer", "derive it from torch.optim.Optimizer", OPTION)
    settings = {**usual(make), **given}
    check_arguments(make, shown, settings)
    try:
        made = make(parameters, **settings)
    except Exception as error:
        raise BadInput(f"{shown} refuses: {error}", "choose another", OPTION) from None
    if not isinstance(made, torch.optim.Optimizer):
        seen = f"{shown} makes a {type(made).__name__}, no torch.optim.Optimizer"
        raise BadInput(seen, "derive it from torch.optim.Optimizer", OPTION)
    return made


def found(text: str) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """What the user's words name, and the arguments they give it."""
    from botec.read import from_file

    path, name = from_file.split(text) if from_file.claims(text) else ("", text)
    base, _, rest = name.partition("(")
    plain = base.strip().lower()
    try:
        asked = from_file.parse_name(MOMENTUM.get(plain, base.strip()) + _ + rest)
        file = from_file.execute(Path(path)) if path else None
        make = from_file.look_up(file, asked) if file else in_torch_optim(str(asked))
    except BotecError as error:
        if not path and not isinstance(error, UnknownName):
            seen = f"{text!r} is no optimizer with plain values"
            raise BadInput(seen, "write it as sgd(momentum=0.9)", OPTION) from None
        raise error.about(f"{OPTION} {text}" if path or _ else OPTION) from error.__cause__
    except Exception as error:
        seen = f"the file raised {type(error).__name__}: {error}"
        raise BadInput(seen, "mend it", f"{OPTION} {text}") from error
    if asked.positional:
        raise BadInput("an argument without a name", "write it as lr=0.01", f"{OPTION} {text}")
    momentum = {"momentum": 0.9} if plain in MOMENTUM else {}
    return make, {**momentum, **(asked.keywords or {})}


def in_torch_optim(name: str) -> Callable[..., Any]:
    """A class of ``torch.optim``, whatever the case. Raises :class:`UnknownName`."""
    known = {
        key.lower(): cls
        for key, cls in vars(torch.optim).items()
        if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)
        and cls is not torch.optim.Optimizer
    }  # fmt: skip
    if name.lower() not in known:
        do = nearest(name.lower(), known) or f"use one of {', '.join(sorted(known))}"
        raise UnknownName(f"no optimizer {name!r} in torch.optim", do)
    return known[name.lower()]


def usual(make: Callable[..., Any]) -> dict[str, Any]:
    """A learning rate, where one is wanted and has no default."""
    try:
        rate = inspect.signature(make).parameters.get("lr")
    except (TypeError, ValueError):
        return {}
    return {} if rate is None else {"lr": RATE}


def check_arguments(make: Callable[..., Any], shown: str, settings: Mapping[str, Any]) -> None:
    """Raises :class:`UnknownName` for an argument that ``make`` does not have."""
    try:
        known = inspect.signature(make).parameters
    except (TypeError, ValueError):
        return
    if any(one.kind is one.VAR_KEYWORD for one in known.values()):
        return
    for name in settings:
        if name not in known:
            own = list(known)[1:]
            do = nearest(name, own) or f"it has {', '.join(own)}"
            raise UnknownName(f"{shown} has no argument {name!r}", do, OPTION)


@contextmanager
def optimizers_as_on(capability: int | None) -> Iterator[None]:
    """Let optimizers of tensors without data choose their way as on the target device.

    ``torch.optim`` works on whole lists of tensors on a GPU and on one after the other on a CPU,
    unless told; fused kernels are on both (``_default_to_fused_or_foreach``).
    """
    lists = ("_get_foreach_kernels_supported_devices", "_get_fused_kernels_supported_devices")
    kept = {name: getattr(in_torch, name) for name in lists}
    everywhere = {name: partial(with_meta, kept[name]) for name in lists[capability is None :]}
    library = torch.library.Library("aten", "IMPL")
    try:
        for name in FUSED:
            for overload in getattr(torch.ops.aten, name).overloads():
                full = name if overload == "default" else f"{name}.{overload}"
                if not torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{full}", "Meta"):
                    library.impl(full, written_in_place, "Meta")
        for name, function in everywhere.items():
            setattr(in_torch, name, function)
        yield
    finally:
        for name, function in kept.items():
            setattr(in_torch, name, function)
        library._destroy()


def with_meta(devices: Callable[[], list[str]]) -> list[str]:
    """A list of devices, and the one that is traced."""
    return [*devices(), "meta"]


def written_in_place(*args: Any, **kwargs: Any) -> None:
    """A fused step makes no tensor."""
