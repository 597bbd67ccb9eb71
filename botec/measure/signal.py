"""A real forward and backward pass, module by module: the judge of predicted moments.

Inputs and the output's gradient are normal of variance 1, the network is the one its author
initialises, drawn anew for each seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botec.errors import BotecError
from botec.measure.realise import inputs_of, tensors_in
from botec.read.source import Source

Call = tuple[str, int]


@dataclass
class Moments:
    """Second moments of one network: of modules' outputs and their gradients by ``(path, turn)``,
    of parameters' gradients by name."""

    signal: dict[Call, float] = field(default_factory=dict)
    gradient: dict[Call, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    shapes: dict[Call, tuple[int, ...]] = field(default_factory=dict)


def measured(
    source: Source,
    point: Mapping[str, int],
    *,
    seed: int = 0,
    train: bool = True,
    change: Callable[[Any], None] | None = None,
) -> Moments:
    """One pass of a network drawn with ``seed``; ``change`` may alter it before.

    Raises :class:`BotecError` where the model gives nothing that depends on a weight.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = source.build().train(train)
        if change:
            change(model)
        torch.manual_seed(seed + 10_000)
        arguments, keywords = inputs_of(source, point, train)
        return moments_of(model, arguments, keywords)


def moments_of(model: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Moments:
    """The second moments of one pass of ``model``."""
    import torch

    found, hooks = Moments(), watched(model)
    handles = hooks(found)
    try:
        output = largest(model(*arguments, **keywords))
        output.backward(torch.randn_like(output))
    finally:
        for handle in handles:
            handle.remove()
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            found.weights[name] = square(weight.grad)
    model.zero_grad(set_to_none=True)
    return found


def largest(output: Any) -> Any:
    """The largest floating tensor among a model's outputs that a gradient can be sent into."""
    every = [one for one in tensors_in(output) if one.is_floating_point() and one.requires_grad]
    if not every:
        raise BotecError("no output depends on a trained parameter", "ask for the forward alone")
    return max(every, key=lambda one: one.numel())


def square(tensor: Any) -> float:
    """The mean square of a tensor's entries."""
    return float(tensor.detach().double().pow(2).mean())


def watched(model: Any) -> Callable[[Moments], list[Any]]:
    """Hooks on every module; a copy goes on, so that what follows in place spoils nothing."""
    import torch

    def hooks(found: Moments) -> list[Any]:
        turns: dict[str, int] = {}

        def after(name: str, output: Any) -> Any:
            turn = turns[name] = turns.get(name, -1) + 1
            if not isinstance(output, torch.Tensor) or not output.is_floating_point():
                return None
            key = (name, turn)
            found.signal[key], found.shapes[key] = square(output), tuple(output.shape)
            if not output.requires_grad:
                return None

            def seen(gradient: Any) -> None:
                found.gradient.setdefault(key, square(gradient))

            copy = output.clone()
            copy.register_hook(seen)
            return copy

        return [
            part.register_forward_hook(lambda _, __, output, name=name: after(name, output))
            for name, part in model.named_modules()
            if name
        ]

    return hooks
