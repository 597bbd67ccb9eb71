"""Blocks of segments, and the cached ones of a pool in the order in which they are tried."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

FREE, USED, UNMAPPED = range(3)


class Block:
    """A piece of a segment, between its neighbours ``before`` and ``after`` there.

    ``state`` is FREE (cached), USED, or UNMAPPED: addresses without memory, in expandable segments
    only. ``requested`` is what was asked for. ``cached_at`` is the pool's clock when it became free
    (garbage collection goes by age).
    """

    __slots__ = (
        "after",
        "before",
        "cached_at",
        "offset",
        "pool",
        "requested",
        "segment",
        "size",
        "state",
    )

    def __init__(self, pool: Pool, segment: int, offset: int, size: int, state: int = FREE) -> None:
        self.pool, self.segment, self.offset, self.size = pool, segment, offset, size
        self.state, self.requested, self.cached_at = state, 0, 0
        self.before: Block | None = None
        self.after: Block | None = None

    @property
    def whole(self) -> bool:
        """Whether it is all of its segment."""
        return self.before is None and self.after is None

    def cut(self, size: int) -> Block:
        """Keep the first ``size`` bytes; the rest is a new block behind, of the same state."""
        rest = Block(self.pool, self.segment, self.offset + size, self.size - size, self.state)
        rest.before, rest.after = self, self.after
        if rest.after is not None:
            rest.after.before = rest
        self.after, self.size = rest, size
        return rest

    def absorb(self, other: Block) -> None:
        """Take in a neighbour, which is a block no more."""
        if other is self.before:
            self.offset, self.before = other.offset, other.before
            if self.before is not None:
                self.before.after = self
        else:
            self.after = other.after
            if self.after is not None:
                self.after.before = self
        self.size += other.size


Key = tuple[int, int, int, Block]


class Pool:
    """The cached blocks of small requests, or of large ones, best fit first.

    Blocks of one size are tried in the order in which their segments were made, then by address:
    PyTorch 2.13's order; older versions went by address alone. ``unmapped`` holds the UNMAPPED
    ones by address.
    """

    def __init__(self, unit: int, small: bool) -> None:
        self.unit, self.small = unit, small
        self.free: list[Key] = []
        self.unmapped: list[tuple[int, int, Block]] = []
        self.clock = 0

    def add(self, block: Block) -> None:
        """Cache a block."""
        block.state, block.cached_at = FREE, self.clock
        insort(self.free, (block.size, block.segment, block.offset, block))

    def remove(self, block: Block) -> None:
        """Take a FREE or UNMAPPED block out."""
        if block.state == FREE:
            free = self.free
            del free[bisect_left(free, (block.size, block.segment, block.offset))]
        else:
            del self.unmapped[bisect_left(self.unmapped, (block.segment, block.offset))]

    def add_unmapped(self, block: Block) -> None:
        """Remember addresses that have no memory."""
        block.state = UNMAPPED
        insort(self.unmapped, (block.segment, block.offset, block))

    def join(self, block: Block) -> Block:
        """Merge a block that is in no list with the neighbours of its own state; it stays out."""
        for other in (block.before, block.after):
            if other is not None and other.state == block.state:
                self.remove(other)
                block.absorb(other)
        return block

    def cached(self) -> Iterator[Block]:
        """The FREE blocks, as they were when asked; the pool may change meanwhile."""
        return iter([key[-1] for key in self.free])
