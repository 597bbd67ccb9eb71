"""Recurrent layers of real models: their weights, and what back-propagation does in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botec.errors import BadInput

KINDS = {"RNN_TANH": "tanh", "RNN_RELU": "relu", "LSTM": "lstm", "GRU": "gru"}
CELLS = {"RNNCell": "", "LSTMCell": "lstm", "GRUCell": "gru"}


@dataclass(frozen=True, eq=False)
class Weights:
    """One recurrent layer in one direction: ``kind``, ``name``, and its arrays.

    ``arrays`` has "input", "hidden", "input_bias", "hidden_bias" and "projection" (``None`` where
    there is none), as ``torch.nn`` has them; ``layer`` counts from 0.
    """

    kind: str
    name: str
    layer: int
    reverse: bool
    arrays: Mapping[str, Any]


def recurrent_layers(model: Any, dtype: str = "float32") -> list[list[list[Weights]]]:
    """Of every recurrent module: its layers from the bottom, of each its directions.

    Raises :class:`BadInput` for weights that are not finite.
    """
    found = []
    for name, part in model.named_modules():
        if getattr(part, "mode", None) in KINDS:
            found.append([list(directions(part, name, k, dtype)) for k in range(part.num_layers)])
        elif type(part).__name__ in CELLS:
            found.append([[cell(part, name, dtype)]])
    return found


def directions(part: Any, name: str, layer: int, dtype: str) -> Iterator[Weights]:
    """The one or two directions of a layer."""
    for reverse in (False, True)[: 2 if part.bidirectional else 1]:
        end = f"_l{layer}{'_reverse' if reverse else ''}"
        arrays = {
            own: array(getattr(part, f"{theirs}{end}", None), dtype, f"{name}.{theirs}{end}")
            for own, theirs in NAMES.items()
        }
        yield Weights(KINDS[part.mode], f"{name}{end}".lstrip("."), layer, reverse, filled(arrays))


NAMES = {
    "input": "weight_ih", "hidden": "weight_hh", "input_bias": "bias_ih",
    "hidden_bias": "bias_hh", "projection": "weight_hr",
}  # fmt: skip


def cell(part: Any, name: str, dtype: str) -> Weights:
    """A module of one step."""
    kind = CELLS[type(part).__name__] or part.nonlinearity
    arrays = {
        own: array(getattr(part, theirs, None), dtype, f"{name}.{theirs}")
        for own, theirs in NAMES.items()
    }
    return Weights(kind, name, 0, False, filled(arrays))


def array(tensor: Any, dtype: str, name: str) -> Any:
    if tensor is None:
        return None
    found = tensor.detach().cpu().float().numpy().astype(dtype)
    bad = int((found != found).sum() + (abs(found) == math.inf).sum())
    if bad:
        seen = f"{bad} of {found.size} entries of {name} are not finite"
        raise BadInput(seen, "mend the weights", name)
    return found


def filled(arrays: dict[str, Any]) -> dict[str, Any]:
    """Zeros where a layer has no biases."""
    import numpy

    for name in ("input_bias", "hidden_bias"):
        if arrays[name] is None:
            arrays[name] = numpy.zeros(arrays["hidden"].shape[0], arrays["hidden"].dtype)
    return arrays


@dataclass(frozen=True)
class Backward:
    """What back-propagation gave: ``curve[t]`` is the mean of ln ‖∂L/∂x‖ t steps before the end,
    ``norm`` the norm of all weights' gradients for the mean square of the outputs."""

    curve: tuple[float, ...]
    norm: float

    def slope(self, first: int, last: int) -> float:
        """The least-squares slope of the curve between two steps."""
        import numpy

        steps = numpy.arange(first, min(last, len(self.curve)))
        return float(numpy.polyfit(steps, numpy.array(self.curve)[steps], 1)[0])


def backward(part: Any, steps: int = 200, examples: int = 8, seed: int = 0) -> Backward:
    """Real back-propagation through ``part`` (nn.RNN, LSTM or GRU) in float64, on normal inputs.

    L is a random mixture of the last step's outputs.
    """
    import torch

    twin = copied(part)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = (examples, steps) if part.batch_first else (steps, examples)
        x = torch.randn(*shape, part.input_size, dtype=torch.float64, requires_grad=True)
        output, _ = twin(x)
        end = output[:, -1] if part.batch_first else output[-1]
        (end * torch.randn_like(end)).sum().backward(retain_graph=True)
        assert x.grad is not None
        logs = log_lengths(x.grad)
        curve = (logs.t() if part.batch_first else logs).mean(1).flip(0)
        twin.zero_grad()
        output.pow(2).mean().backward()
        gradients = [one.grad for one in twin.parameters() if one.grad is not None]
        total = sum(float(one.pow(2).sum()) for one in gradients)
    return Backward(tuple(curve.tolist()), math.sqrt(total))


def log_lengths(gradient: Any) -> Any:
    """ln of the lengths along the last axis, of vectors whose squares no float64 holds too."""
    top = gradient.abs().amax(-1).clamp_min(1e-307)
    return top.log() + 0.5 * (gradient / top[..., None]).pow(2).sum(-1).clamp_min(1e-300).log()


def copied(part: Any) -> Any:
    """A copy in float64 that back-propagates whatever the original's mode."""
    from copy import deepcopy

    import torch

    return deepcopy(part).to(torch.float64).train()
