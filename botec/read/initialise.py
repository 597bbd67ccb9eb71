"""A network with its matrices and kernels drawn anew by a scheme of ``torch.nn.init``.

Biases become 0; embeddings, norms and all other vectors keep what their author gave them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from botec.errors import BadInput, BotecError, UnknownName, nearest
from botec.read.from_file import parse_name
from botec.read.source import Source

OPTION = "--init"
#: Short names: a scheme of torch.nn.init and what it is given.
SHORT: dict[str, tuple[str, dict[str, Any]]] = {
    "he": ("kaiming_normal", {"nonlinearity": "relu"}),
    "he-out": ("kaiming_normal", {"nonlinearity": "relu", "mode": "fan_out"}),
    "xavier": ("xavier_normal", {}), "glorot": ("xavier_normal", {}),
    "lecun": ("kaiming_normal", {"nonlinearity": "linear"}),
    "orthogonal": ("orthogonal", {}),
    "torch": ("kaiming_uniform", {"a": 5**0.5}),
}  # fmt: skip
Scheme = Callable[[Any], Any]


def initialised(source: Source, text: str, in_hand: bool = False) -> Source:
    """``source`` whose networks are drawn by the scheme ``text`` names: ``"he"``,
    ``"trunc_normal(std=0.02)"``.

    A module ``in_hand`` is copied and stays as it is. Raises :class:`UnknownName` for an unknown
    scheme or argument, :class:`BadInput` for what is no call with plain values.
    """
    draw = scheme(text)

    def build() -> Any:
        model = source.build()
        return drawn(deepcopy(model) if in_hand else model, draw, text)

    return replace(source, build=build)


def known() -> dict[str, Callable[..., Any]]:
    """The schemes of ``torch.nn.init`` by name, without their underscore."""
    from torch.nn import init

    found = {name: one for name, one in vars(init).items() if name.endswith("_")}
    return {name[:-1]: one for name, one in found.items() if not name.startswith("_")}


def scheme(text: str) -> Scheme:
    """What draws one weight."""
    base, _, rest = text.partition("(")
    name, given = SHORT.get(base.strip(), (base.strip().removesuffix("_"), {}))
    every = known()
    if name not in every:
        names = (*SHORT, *every)
        do = nearest(name, names) or f"use own or one of {', '.join(names)}"
        raise UnknownName(f"no initialisation {name!r}", do, f"{OPTION} {text}")
    try:
        asked = parse_name(name + _ + rest)
    except BotecError:
        seen = f"{text!r} is no scheme with plain values"
        raise BadInput(seen, "write it as trunc_normal(std=0.02)", OPTION) from None
    make, own = every[name], list(inspect.signature(every[name]).parameters)[1:]
    for key in asked.keywords or {}:
        if key not in own:
            do = nearest(key, own) or f"it has {', '.join(own)}"
            raise UnknownName(f"{name} has no argument {key!r}", do, f"{OPTION} {text}")
    positional = dict(zip(own, asked.positional or (), strict=False))
    settings = {**given, **positional, **(asked.keywords or {})}
    return lambda weight: make(weight, **settings)


def drawn(model: Any, draw: Scheme, text: str) -> Any:
    """The model's own parameters, drawn in place."""
    import torch

    kept = {
        id(weight) for part in model.modules() if keeps(part) for weight in part.parameters(False)
    }
    with torch.no_grad():
        for path, part in model.named_modules():
            kind = type(part).__name__
            for name, weight in part.named_parameters(recurse=False):
                if weight.is_meta or id(weight) in kept:
                    continue
                if weight.dim() < 2:
                    if "bias" in name:
                        weight.zero_()
                    continue
                try:  # transformers' Conv1D has its matrix the other way round
                    draw(weight.t() if kind == "Conv1D" else weight)
                except (ValueError, TypeError, RuntimeError) as error:
                    place = f"{path}.{name}".lstrip(".")
                    do = "use another scheme"
                    raise BadInput(f"{place}: {error}", do, f"{OPTION} {text}") from None
    return model


def keeps(part: Any) -> bool:
    """Whether a module's own weights stay as they are, also where another one shares them."""
    return "Embedding" in type(part).__name__ or "Norm" in type(part).__name__
