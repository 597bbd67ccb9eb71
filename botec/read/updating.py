"""From gradients to new weights: copies in fp32 and a gradient scaler, as a training loop has them.

Copies follow Megatron's optimizer for 16-bit weights (``Float16OptimizerWithFloat16Params``): the
16-bit gradients become fp32 ones and are let go, the optimizer steps on the copies, the copies are
written back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from botec.program import BIRTH, DEATH, OP, PHASE, PHASES
from botec.read.recorder import Recorder

HALF = (torch.bfloat16, torch.float16)


class Copies:
    """A copy in fp32 of every trained 16-bit weight."""

    def __init__(self, weights: Sequence[Any]) -> None:
        self.pairs = [
            (weight, weight.detach().float().requires_grad_())
            for weight in weights
            if weight.dtype in HALF
        ]

    def __iter__(self) -> Iterator[Any]:
        return iter(copy for _, copy in self.pairs)

    def instead_of(self, weights: Sequence[Any]) -> list[Any]:
        """What the optimizer steps on: the copy where there is one."""
        copies = {id(weight): copy for weight, copy in self.pairs}
        return [copies.get(id(weight), weight) for weight in weights]

    def names(self, names: Mapping[int, str]) -> dict[int, str]:
        """The copies under the names of their weights."""
        return {id(copy): names.get(id(weight), "") for weight, copy in self.pairs}

    def states(self, names: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
        """Every copy with its name."""
        for _, copy in self.pairs:
            yield f"{names[id(copy)]}:master", copy

    def take_gradients(self) -> None:
        """The weights' gradients in fp32; the 16-bit ones are let go one by one."""
        for weight, copy in self.pairs:
            if weight.grad is not None:
                copy.grad = weight.grad.float()
                weight.grad = None

    def give_back(self) -> None:
        """Write the new copies into the weights."""
        with torch.no_grad():
            for weight, copy in self.pairs:
                weight.copy_(copy)

    def drop(self) -> None:
        """No gradients of copies or weights."""
        for weight, copy in self.pairs:
            weight.grad = copy.grad = None


class Scaler(torch.amp.GradScaler):
    """PyTorch's own gradient scaler in a step whose gradients are finite."""

    def __init__(self) -> None:
        super().__init__("cpu")

    def _maybe_opt_step(self, optimizer: Any, optimizer_state: Any, *args: Any, **kw: Any) -> Any:
        """The step, without asking tensors that have no data whether one of them is infinite."""
        return optimizer.step(*args, **kw)

    def states(self) -> Iterator[tuple[str, Any]]:
        """The scale and the count of steps since it grew."""
        for name in ("_scale", "_growth_tracker"):
            if getattr(self, name) is not None:
                yield f"scaler:{name[1:]}", getattr(self, name)


def later_ones_are_alike(recorder: Recorder) -> bool:
    """Whether the third micro-batch of a trace does what the second did, event for event."""
    forward, end = PHASES.index("forward"), (PHASES.index("optimizer"), len(PHASES))
    marks = [event for event, kind in enumerate(recorder.kinds) if kind == PHASE]
    begins = [event for event in marks if recorder.index[event] == forward]
    stop = next(event for event in marks if recorder.index[event] in end)
    second = events(recorder, begins[1], begins[2])
    return second == events(recorder, begins[2], stop)


def events(recorder: Recorder, start: int, stop: int) -> list[tuple[Any, ...]]:
    """What happens between two events, without the numbers that differ from turn to turn."""
    found: list[tuple[Any, ...]] = []
    for event in range(start, stop):
        kind, index = recorder.kinds[event], recorder.index[event]
        what: Any = index
        if kind == OP:
            signature = recorder.signatures[index]
            what = (signature.info.number, signature.results)
        elif kind in (BIRTH, DEATH):
            what = recorder.sizes[index]
        found.append((kind, what, recorder.scopes[event]))
    return found
