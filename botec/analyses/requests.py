"""What a run asks the allocator for, in order: two steps of a stream, from the first weight on.

A recorded step is one of a run that goes on. The allocator's cache, though, is shaped by the first:
the optimizer's states are born in its step, the library's workspaces at its first product.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from botec.analyses.kernels.weaving import PRODUCTS
from botec.analyses.memory import Memory
from botec.poly import at
from botec.program import BIRTH, OP, PHASE, PHASES, Program, Storage, Stream

STAYS = ("parameter", "buffer", "optimizer")
STEPS = 2
BACKWARD, ADDED = PHASES.index("backward"), "aten.add_"
Request = tuple[Any, int | None]  # (a name for the memory, its bytes; None gives it back)
Turn = tuple[Any, int | None]  # the same with a storage's number for its bytes
MOST_KNOWN = 64  # streams whose order of requests is kept


@dataclass(frozen=True)
class Order:
    """A run's requests without their bytes: the number of one that is made, or ``~number`` of one
    that is given back, and the storage each request is for. Arrays of whole numbers."""

    events: Any
    storages: Any


def order(memory: Memory) -> Order:
    """The order of :func:`requests` for weights that were made elsewhere."""
    if before(memory.stream).gradients:
        return numbered(turns(memory))
    return order_of(memory.program, memory.stream)


@lru_cache(maxsize=MOST_KNOWN)
def order_of(program: Program, stream: Stream) -> Order:
    """:func:`order` of a stream where no size decides it: worked out once."""
    return numbered(turns(Memory(program, stream, {})))


def numbered(turns: Iterable[Turn]) -> Order:
    """Every request by its number."""
    import numpy as np

    numbers: dict[Any, int] = {}
    events: list[int] = []
    storages: list[int] = []
    for name, place in turns:
        if place is None:
            events.append(~numbers.pop(name))
        else:
            numbers[name] = len(storages)
            events.append(len(storages))
            storages.append(place)
    return Order(np.array(events, dtype=np.int64), np.array(storages, dtype=np.int64))


def requests(memory: Memory, constructed: bool = True) -> Iterator[Request]:
    """The requests of two steps (or two inferences) at the memory's point; of a first step, one.

    Gradients that a step finds are those the step before it left; the first one finds none.

    Weights that are ``constructed`` on the device are made once for every name; what is tied
    afterwards is let go, and stays in the allocator's cache. Weights that were made elsewhere and
    moved there leave nothing behind. Feed the requests to
    :meth:`botec.analyses.allocator.Allocator.replay`.
    """
    sizes, found = memory.sizes, before(memory.stream)
    for number in found.kept:
        yield number, sizes[number]
    if constructed:
        yield from made_twice(memory)
    for name, place in running(memory):
        yield name, None if place is None else sizes[place]


@dataclass(frozen=True)
class Before:
    """The storages that are there when the first phase opens, by what becomes of them."""

    begun: int
    kept: tuple[int, ...]
    inputs: tuple[int, ...]
    gradients: tuple[int, ...]
    optimizer: tuple[int, ...]
    workspaces: tuple[int, ...]


@lru_cache(maxsize=MOST_KNOWN)
def before(stream: Stream) -> Before:
    """What stands before the first phase of a stream."""
    begun = step_begins(stream)
    parts: dict[str, list[int]] = {}
    for kind, index, _ in list(stream.events())[:begun]:
        if kind == BIRTH:
            parts.setdefault(fate(stream.storages[index]), []).append(index)
    fates = ("kept", "inputs", "gradients", "optimizer", "workspaces")
    return Before(begun, *(tuple(parts.get(one, ())) for one in fates))


def fate(storage: Storage) -> str:
    """Whether it stays, comes again with every step, or is born when it is first needed."""
    if storage.role == "optimizer":
        return "optimizer"
    if storage.name == "workspace":
        return "workspaces"
    if storage.role in STAYS:
        return "kept"
    return "gradients" if storage.role == "gradient" else "inputs"


def turns(memory: Memory) -> Iterator[Turn]:
    """What is there before the steps, then the steps."""
    yield from ((number, number) for number in before(memory.stream).kept)
    yield from running(memory)


def running(memory: Memory) -> Iterable[Turn]:
    """The steps that are looked at. Which gradient becomes which is a matter of sizes; without any,
    the order is the stream's own."""
    count = 1 if memory.program.setting.first_step else STEPS
    if before(memory.stream).gradients:
        return steps(memory, count)
    return steps_of(memory.program, memory.stream, count)


@lru_cache(maxsize=MOST_KNOWN)
def steps_of(program: Program, stream: Stream, count: int) -> tuple[Turn, ...]:
    """:func:`steps` of a stream whose order no size decides: at any point, worked out once."""
    return tuple(steps(Memory(program, stream, {}), count))


def steps(memory: Memory, count: int) -> Iterator[Turn]:
    """What is asked for and given back, in order, in so many steps."""
    found = before(memory.stream)
    late = {"optimizer": list(found.optimizer), "workspace": list(found.workspaces)}
    gradients = Gradients(memory, list(found.gradients))
    for step in range(count):
        alive: dict[int, None] = {}
        for number in found.inputs:
            alive[number] = None
            yield (step, number), number
        yield from one_step(memory, found.begun, step, late, alive, gradients)
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
) -> Iterator[Turn]:  # fmt: skip
    """The turns of one step; what the first one leaves for good comes when first needed."""
    stream, workspaces = memory.stream, len(before(memory.stream).workspaces)
    phase, waiting, last = -1, False, ""
    for kind, index, _ in list(stream.events())[begun:]:
        if waiting and kind != BIRTH:
            # the product's result and copies are there before its library is asked for
            yield from first_needed([late["workspace"].pop(0)])
            waiting = False
        if kind == PHASE:
            phase = index
            if index == PHASES.index("optimizer"):
                yield from first_needed(late["optimizer"])
                late["optimizer"] = []
        elif kind == OP:
            last = stream.calls[index].op
            needed = late["workspace"] and is_product(stream, index)
            # the next workspace belongs to this phase's thread: the forward one comes first
            waiting = bool(needed) and workspaces - len(late["workspace"]) <= phase
        elif kind == BIRTH:
            alive[index] = None
            yield (step, index), index
        elif index in gradients.found:
            if index in gradients.names:
                yield gradients.names.pop(index), None
        elif phase == BACKWARD and last == ADDED and gradients.keep(step, index):
            alive.pop(index)
        else:
            alive.pop(index, None)
            yield (step, index), None


def first_needed(numbers: list[int]) -> Iterator[Turn]:
    for number in numbers:
        yield number, number


def step_begins(stream: Stream) -> int:
    """The event at which the first phase opens."""
    return next(event for event, (kind, _, _) in enumerate(stream.events()) if kind == PHASE)


def is_product(stream: Stream, index: int) -> bool:
    return stream.calls[index].op in PRODUCTS
