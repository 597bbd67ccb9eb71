"""What a run asks the allocator for, in order: two steps of a stream, from the first weight on.

A recorded step is one of a run that goes on. The allocator's cache, though, is shaped by the first:
the optimizer's states are born in its step, the library's workspaces at its first product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botec.analyses.memory import Memory
from botec.poly import at
from botec.program import BIRTH, OP, PHASE, PHASES, Stream

STAYS = ("parameter", "buffer", "optimizer")
STEPS = 2
BACKWARD, ADDED = PHASES.index("backward"), "aten.add_"
# Any of these asks for a handle of the matrix library, and the handle for its workspace.
PRODUCTS = (
    "aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm", "aten.addmv", "aten.mv", "aten.dot",
    "aten.vdot", "aten.addbmm", "aten._grouped_mm", "aten._scaled_mm", "aten._int_mm",
)  # fmt: skip
Request = tuple[Any, int | None]  # (a name for the memory, its bytes; None gives it back)


def requests(memory: Memory, constructed: bool = True) -> Iterator[Request]:
    """The requests of two steps (or two inferences) at the memory's point; of a first step, one.

    Gradients that a step finds are those the step before it left; the first one finds none.

    Weights that are ``constructed`` on the device are made once for every name; what is tied
    afterwards is let go, and stays in the allocator's cache. Weights that were made elsewhere and
    moved there leave nothing behind. Feed the requests to
    :meth:`botec.analyses.allocator.Allocator.replay`.
    """
    stream, sizes = memory.stream, memory.sizes
    begun = step_begins(stream)
    ready = [index for kind, index, _ in list(stream.events())[:begun] if kind == BIRTH]
    late: dict[str, list[int]] = {"optimizer": [], "workspace": []}
    inputs, gradients = [], Gradients(memory)
    for number in ready:
        storage = stream.storages[number]
        if storage.role == "optimizer":
            late["optimizer"].append(number)
        elif storage.name == "workspace":
            late["workspace"].append(number)
        elif storage.role in STAYS:
            yield number, sizes[number]
        elif storage.role == "gradient":
            gradients.found.append(number)
        else:
            inputs.append(number)
    if constructed:
        yield from made_twice(memory)
    for step in range(1 if memory.program.setting.first_step else STEPS):
        alive: dict[int, None] = {}
        for number in inputs:
            alive[number] = None
            yield (step, number), sizes[number]
        yield from one_step(memory, begun, step, late, alive, gradients)
        gradients.leave(step, alive)
        for number in alive:
            yield (step, number), None


@dataclass
class Gradients:
    """The gradients a step ``found``, and the ``names`` under which their memory was asked for."""

    memory: Memory
    found: list[int] = field(default_factory=list)
    names: dict[int, Any] = field(default_factory=dict)

    def keep(self, step: int, number: int) -> bool:
        """Whether what was added to a gradient that is not there becomes it: ``AccumulateGrad``."""
        if step > 0 or self.memory.program.setting.zero_grad != "keep":
            return False
        absent = (one for one in self.found if one not in self.names)
        place = next((one for one in absent if self.of_one_size(one, number)), None)
        if place is None:
            return False
        self.names[place] = step, number
        return True

    def leave(self, step: int, alive: dict[int, None]) -> None:
        """At the end of a step: what the next one will find is not given back."""
        storages = self.memory.stream.storages
        left = [number for number in alive if storages[number].role == "gradient"]
        for place in [one for one in self.found if one not in self.names]:
            number = next((one for one in left if self.of_one_size(place, one)), None)
            if number is not None:
                left.remove(number)
                alive.pop(number)
                self.names[place] = step, number

    def of_one_size(self, one: int, other: int) -> bool:
        return bool(self.memory.sizes[one] == self.memory.sizes[other])


def made_twice(memory: Memory) -> Iterator[Request]:
    """Weights of further names, made and let go before the first step."""
    parts = memory.program.parameters
    tied = [one.tensor.bytes for one in parts for _ in one.names[1:]]
    for number, size in enumerate(tied):
        yield ("tied", number), int(at(size, {}))
    for number in range(len(tied)):
        yield ("tied", number), None


def one_step(
    memory: Memory, begun: int, step: int, late: dict[str, list[int]], alive: dict[int, None],
    gradients: Gradients,
) -> Iterator[Request]:  # fmt: skip
    """The requests of one step; what the first one leaves for good comes when first needed."""
    stream, sizes = memory.stream, memory.sizes
    phase, waiting, last = -1, False, ""
    for kind, index, _ in list(stream.events())[begun:]:
        if waiting and kind != BIRTH:
            # the product's result and copies are there before its library is asked for
            yield from first_needed([late["workspace"].pop(0)], sizes)
            waiting = False
        if kind == PHASE:
            phase = index
            if index == PHASES.index("optimizer"):
                yield from first_needed(late["optimizer"], sizes)
                late["optimizer"] = []
        elif kind == OP:
            last = stream.calls[index].op
            needed = late["workspace"] and is_product(stream, index)
            waiting = bool(needed) and turn(stream, late) <= phase
        elif kind == BIRTH:
            alive[index] = None
            yield (step, index), sizes[index]
        elif index in gradients.found:
            if index in gradients.names:
                yield gradients.names.pop(index), None
        elif phase == BACKWARD and last == ADDED and gradients.keep(step, index):
            alive.pop(index)
        else:
            alive.pop(index, None)
            yield (step, index), None


def first_needed(numbers: list[int], sizes: Any) -> Iterator[Request]:
    for number in numbers:
        yield number, sizes[number]


def step_begins(stream: Stream) -> int:
    """The event at which the first phase opens."""
    return next(event for event, (kind, _, _) in enumerate(stream.events()) if kind == PHASE)


def is_product(stream: Stream, index: int) -> bool:
    return stream.calls[index].op in PRODUCTS


def turn(stream: Stream, late: dict[str, list[int]]) -> int:
    """The phase whose thread the next workspace belongs to: the forward one comes first."""
    count = sum(storage.name == "workspace" for storage in stream.storages)
    return count - len(late["workspace"])
