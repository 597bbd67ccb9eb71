"""How many kinks lie between two runs of a model: signs and choices that change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Pointwise ops with a kink, and where it lies.
CORNERS = {
    "aten.relu": (0.0,), "aten.relu_": (0.0,), "aten.leaky_relu": (0.0,),
    "aten.leaky_relu_": (0.0,), "aten.abs": (0.0,), "aten.threshold": (0.0,),
    "aten.hardtanh": (-1.0, 1.0), "aten.hardtanh_": (-1.0, 1.0), "aten.hardswish": (-3.0, 3.0),
    "aten.hardswish_": (-3.0, 3.0), "aten.hardsigmoid": (-3.0, 3.0), "aten.elu": (0.0,),
    "aten.elu_": (0.0,), "aten.clamp_min": (0.0,), "aten._prelu_kernel": (0.0,),
}  # fmt: skip
CHOICES = ("aten.max_pool2d_with_indices", "aten.max_pool3d_with_indices", "aten.max", "aten.topk")


def kinks_between(first: Callable[[], Any], second: Callable[[], Any]) -> int:
    """Entries on another side of a corner, and maxima in another place, in two runs."""
    one, other = noted(first), noted(second)
    return sum(int((a != b).sum()) for a, b in zip(one, other, strict=False) if a.shape == b.shape)


def noted(run: Callable[[], Any]) -> list[Any]:
    """The side of its corners every kinked op's entries lie on, and the places of maxima."""
    from torch.utils._python_dispatch import TorchDispatchMode

    sides: list[Any] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = f"{func.namespace}.{func._schema.name.partition('::')[2]}"
            if name in CORNERS:
                sides.extend((args[0] > corner).detach() for corner in CORNERS[name])
            out = func(*args, **(kwargs or {}))
            if name in CHOICES and isinstance(out, tuple):
                sides.append(out[1].detach().clone())
            return out

    with Watch():
        run()
    return sides
