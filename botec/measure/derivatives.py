"""One gradient, really made in three ways: reverse mode, forward mode and finite differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from botec.errors import BadInput, ModelFailed
from botec.measure.gradients import Landscape, in_double
from botec.measure.realise import Step

MOST_WEIGHTS = 20_000
NUDGE = 1e-7  # of a weight, in float64: half of the digits


@dataclass(frozen=True)
class Ways:
    """Passes and seconds of each way, and how far the others lie from reverse mode at most."""

    passes: Mapping[str, int]
    seconds: Mapping[str, float]
    apart: Mapping[str, float]


def three_ways(step: Step) -> Ways:
    """Differentiate a small real model all three ways in float64, counting passes.

    Raises :class:`BadInput` for one with more than 20,000 trained weights, and
    :class:`ModelFailed` where it does not run in float64 or has no forward mode.
    """
    finer = in_double(step)
    if finer is None:
        raise ModelFailed("it does not run in float64", "leave --verify out", "three ways")
    land = finer.land
    size = sum(weight.numel() for weight in land.weights.values())
    if size > MOST_WEIGHTS:
        raise BadInput(
            f"it has {size:,} weights, and each needs a pass of its own",
            f"verify one of at most {MOST_WEIGHTS:,}, such as mlp:8-16-4", "--verify",
        )  # fmt: skip
    found, passes, seconds = {}, {}, {}
    for name, way in {"reverse": reverse, "forward_mode": forward_mode,
                      "finite_difference": differences}.items():  # fmt: skip
        before, begin = land.passes, perf_counter()
        found[name] = way(land)
        seconds[name], passes[name] = perf_counter() - begin, land.passes - before
    scale = float(found["reverse"].abs().max()) or 1.0
    apart = {
        name: float((one - found["reverse"]).abs().max()) / scale for name, one in found.items()
    }
    return Ways(passes, seconds, apart)


def reverse(land: Landscape) -> Any:
    """One forward and one backward pass."""
    import torch

    slopes = land.gradients()
    return torch.cat([slopes[name].flatten() for name in land.weights])


def forward_mode(land: Landscape) -> Any:
    """One pass for each weight, its tangent 1 and all others 0."""
    import torch
    from torch.autograd import forward_ad

    slopes = []
    model = land.step.model
    owners = {name: owner_of(model, name) for name in land.weights}
    for name, weight in land.weights.items():
        for place in range(weight.numel()):
            tangent = torch.zeros_like(weight)
            tangent.view(-1)[place] = 1.0
            module, own = owners[name]
            with forward_ad.dual_level():
                del module._parameters[own]
                setattr(module, own, forward_ad.make_dual(land.origin[name], tangent))
                try:
                    slopes.append(tangent_of(land))
                finally:
                    delattr(module, own)
                    module._parameters[own] = weight
    return torch.stack(slopes)


def tangent_of(land: Landscape) -> Any:
    """The loss's derivative along the tangent that a weight carries."""
    import torch
    from torch.autograd import forward_ad

    try:
        slope = forward_ad.unpack_dual(land.loss()).tangent
    except NotImplementedError as error:
        raise ModelFailed(f"it has no forward mode: {error}", "leave --verify out") from error
    return torch.zeros((), dtype=torch.float64) if slope is None else slope.detach()


def owner_of(model: Any, name: str) -> tuple[Any, str]:
    """The module that holds a weight, and what it calls it."""
    path, _, own = name.rpartition(".")
    return model.get_submodule(path), own


def differences(land: Landscape) -> Any:
    """One pass where the weights stand, and one more with each moved by itself."""
    import torch

    here, slopes = land.at({}, 0.0), []
    for name, weight in land.weights.items():
        for place in range(weight.numel()):
            move = torch.zeros_like(weight)
            move.view(-1)[place] = 1.0
            nudge = NUDGE * max(1.0, abs(float(land.origin[name].view(-1)[place])))
            slopes.append((land.at({name: move}, nudge) - here) / nudge)
    return torch.tensor(slopes, dtype=torch.float64)
