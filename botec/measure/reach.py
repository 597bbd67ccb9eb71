"""The effective reach: where a real gradient of one output place falls on the input.

Luo, Li, Urtasun & Zemel 2016, Understanding the effective receptive field in deep convolutional
neural networks (https://arxiv.org/abs/1701.04128), section 2: a gradient is put on the middle of a
feature map and carried back to the input; its size, averaged over random inputs and weights, is a
bump much narrower than the theoretical field. Here the gradient put there is random in sign and
channel, and what is kept is its absolute value, summed over everything but the axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botec.errors import BotecError
from botec.measure.realise import SEED, inputs_of, materialised, tensors_in
from botec.read.source import Source

INPUTS = 8  # random inputs whose gradients are averaged, over one draw of the weights


@dataclass(frozen=True)
class Effective:
    """``shares`` of the gradient over the places of an input axis, adding up to 1, and how."""

    shares: tuple[float, ...]
    place: int
    how: str

    @property
    def width(self) -> float:
        """Four standard deviations: 95 % of a bell's area."""
        mean = sum(place * share for place, share in enumerate(self.shares))
        variance = sum((place - mean) ** 2 * share for place, share in enumerate(self.shares))
        return float(4 * variance**0.5)


def effective(
    source: Source, point: Mapping[str, int], module: str, turn: int, axis: int, along: int
) -> Effective:
    """The gradient of the middle place of a module's output, over input axis ``axis``.

    ``turn`` is which call of the module, ``along`` the axis of its output that walks the input's.
    Raises :class:`BotecError` where no gradient arrives.
    """
    import torch

    torch.manual_seed(SEED)
    model = materialised(source.build()).eval()
    total: Any = None
    place = 0
    for _ in range(INPUTS):
        arguments, keywords = inputs_of(source, point, False)
        given = next(tensors_in((arguments, keywords)))
        if not given.is_floating_point():
            raise BotecError("the input has no gradient", "ask for a model of pictures", module)
        given.requires_grad_()
        out = output_of(model, module, turn, arguments, keywords)
        out, place = middle(out, along)
        (gradient,) = torch.autograd.grad((out * torch.randn_like(out)).sum(), given)
        others = tuple(other for other in range(given.dim()) if other != axis)
        shares = gradient.abs().sum(others).double()
        total = shares if total is None else total + shares
    if not float(total.sum()) > 0:
        raise BotecError(
            "no gradient arrives at the input", "see whether the model uses it", module
        )
    how = f"real gradients of the middle place, {INPUTS} random inputs"
    return Effective(tuple((total / total.sum()).tolist()), place, how)


def output_of(model: Any, module: str, turn: int, arguments: Any, keywords: Any) -> Any:
    """What the module gives at one of its calls, with its history."""
    import torch

    kept: list[Any] = []

    def keep(part: Any, given: Any, out: Any) -> None:
        kept.append(next(tensors_in(out)))

    handle = model.get_submodule(module).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            model(*arguments, **keywords)
    finally:
        handle.remove()
    return kept[turn]


def middle(out: Any, along: int) -> tuple[Any, int]:
    """The middle place of the walked axis, and of the axes of places behind it."""
    place = out.shape[along] // 2
    for axis in range(2, out.dim()):
        out = out.narrow(axis, out.shape[axis] // 2, 1)
    return (out if along >= 2 else out.narrow(along, place, 1)), place
