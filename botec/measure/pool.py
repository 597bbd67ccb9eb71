"""One small kernel to be timed, and the numbers it reads.

A kernel takes turns between several sets of arguments, parts of one :class:`Pool` of numbers, and
keeps what its last turn gave: as in a network, a call finds its data where other calls have left
them, and writes to memory that another call has let go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from math import ceil, prod
from typing import Any

import torch

BLOCK, BLOCKS = 2**18, 48  # random numbers, and how often they are repeated in a pool
APART, MOST_TURNS = 30e6, 32  # bytes that the turns of a kernel read in all: as caches hold
KEPT, ROOM = 8_000_000, 8  # numbers; half as large blocks
EVERY = 4  # types other than float32 take every fourth kernel: they are wanted more seldom


class Pool:
    """Random numbers between 1/4 and 3/4, more than caches hold; every tensor is another part."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.every = dtype, 1 if dtype == torch.float32 else EVERY
        self.room = room()
        self.numbers = (torch.rand(BLOCK) / 2 + 0.25).to(dtype).repeat(BLOCKS)
        self.place = 0

    def take(self, *shape: int) -> Any:
        """A tensor of a shape: the next numbers, from the beginning again at the end."""
        size = prod(shape)
        if self.place + size > self.numbers.numel():
            self.place = 0
        begin, self.place = self.place, self.place + 16 * ceil(size / 16)
        return self.numbers[begin : begin + size].view(shape)


class Turns:
    """One op on one set of arguments after the other; what it gave last stays for a turn."""

    def __init__(self, op: Callable[..., Any], given: list[tuple[Any, ...]]) -> None:
        self.op, self.given = op, cycle(given)
        self.last: Any = None

    def __call__(self) -> Any:
        self.last = self.op(*next(self.given))
        return self.last

    def forget(self) -> None:
        """Let the last result go."""
        self.last = None


def room() -> Any:
    """Memory that stays the process's own, as a network's is after its first steps.

    GNU's allocator asks the system for every block of more than 32 MiB. Once one of nearly that
    size was let go it keeps smaller ones, unless they are the last of its heap; so what is given
    back is a small block that lies behind large ones.
    """
    torch.empty(KEPT)
    large = [torch.ones(KEPT // 2) for _ in range(ROOM)]
    behind = torch.empty(BLOCK // 2)
    large.clear()
    return behind


@dataclass(frozen=True)
class Kernel:
    """One call of a class: ``run()`` does ``operations`` and moves ``bytes``."""

    name: str
    dtype: str
    operations: float
    bytes: float
    run: Turns


def bytes_of(*tensors: Any) -> float:
    return float(sum(one.numel() * one.element_size() for one in tensors if one is not None))


def tensors(values: Any) -> list[Any]:
    """The tensors among them, lists opened."""
    opened = values if isinstance(values, (list, tuple)) else (values,)
    return [one for one in opened if isinstance(one, torch.Tensor)]


def kernel(
    name: str, operations: float, op: Callable[..., Any], make: Callable[[], tuple[Any, ...]],
    writes: bool = False,
) -> Kernel:  # fmt: skip
    """A kernel of ``op`` on what ``make`` gives, other tensors each time; its type is the first's.

    What it writes is seen by running it once; one that only ``writes`` reads nothing.
    """
    first = make()
    read, written = tensors(first), tensors(op(*first))
    own = [one for one in written if all(one is not other for other in read)]
    moved = bytes_of(*written) if writes else bytes_of(*read, *(own or written))
    turns = max(2, min(MOST_TURNS, ceil(APART / moved)))
    dtype = str(read[0].dtype).removeprefix("torch.")
    given = [first, *(make() for _ in range(turns - 1))]
    return Kernel(name, dtype, operations, moved, Turns(op, given))


def taken(pool: Pool, *shapes: tuple[int, ...]) -> tuple[Any, ...]:
    """A tensor of each shape."""
    return tuple(pool.take(*shape) for shape in shapes)


def call_last(op: Callable[..., Any], tail: tuple[Any, ...], *given: Any) -> Any:
    """``op`` with settings after its tensors."""
    return op(*given, *tail)
