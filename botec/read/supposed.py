"""What is supposed of data where a model decides by it: ordinary tokens, finite numbers.

Some models look at the data while they run: whether a token is padding, whether a number is
infinite. Shapes have no data, and the answer that training meets all the time is the plain one: no
token is special (each stands for the middle of its vocabulary; a mask of nought and one is one), no
number is infinite or none. Only a yes or no is answered so, and a mask that chooses nothing or
everything; how many of something there are, or which is the largest, stays the data's affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isinf
from typing import Any

import torch

from botec.inputs import Input

NOTE = "a decision by data was taken as ordinary data make it: no special token, finite numbers"
#: What a comparison of a finite number with itself, or with infinity, says.
SAYS = {"aten.eq": (True, False), "aten.ne": (False, True)}
NEVER = ("aten.isnan", "aten.isinf", "aten.isposinf", "aten.isneginf")


def suppose(
    recorder: Any, inputs: Iterable[Input], plain: Sequence[Any], named: Mapping[str, Any]
) -> None:
    """Give the whole-number tensors of a call, ``plain`` ones and ``named`` ones, their entries."""
    places = iter(plain)
    for one in inputs:
        tensor = named.get(one.name) if one.name else next(places, None)
        if isinstance(tensor, torch.Tensor) and not tensor.is_floating_point():
            entry = torch.full((), one.below // 2).to(tensor.dtype)
            value = entry.expand(tensor.shape)
            recorder.shadow.constant(recorder.place(tensor), tensor, value, supposed=True)


def finite(name: str, args: Any) -> bool | None:
    """What an op that asks for infinite numbers says of finite ones; ``None`` of any other op."""
    if not args or not getattr(args[0], "is_floating_point", bool)():
        return None
    if name in NEVER:
        return False
    if name not in SAYS:
        return None
    same, infinite = SAYS[name]
    if args[1] is args[0]:
        return same
    return infinite if isinstance(args[1], float) and isinf(args[1]) else None


def supposed_entries(shape: Any, says: bool) -> Any:
    """A tensor of one answer, which takes no memory whatever its shape."""
    return torch.tensor(says).expand(shape)


def usable(value: Any) -> bool:
    """Whether a supposed value may answer: a yes or no, or a mask that chooses none or all."""
    return value.dtype == torch.bool and bool(value.all() == value.any())
