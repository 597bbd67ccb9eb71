"""A second allocator, to judge the first: slow, and written from the rules in words.

A segment is a list of pieces. Of all free pieces that are large enough the smallest is taken, of
those of one size the one in the oldest segment, then the first in it. Where there is none a segment
is made; where it cannot be had, all segments that are free are dropped, and it is tried once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Segment:
    small: bool
    size: int
    pieces: list[tuple[int, object]] = field(default_factory=list)  # size, owner or None


@dataclass
class SimpleAllocator:
    capacity: float = float("inf")
    segments: list[Segment] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    asked: dict[object, int] = field(default_factory=dict)

    def allocate(self, owner: object, amount: int) -> bool:
        """Whether it could be had."""
        if not amount:
            return True
        size = (amount + 511) // 512 * 512
        small = size <= 1024 * 1024
        if not self.take(owner, size, small) and not self.make(size, small):
            self.segments = [s for s in self.segments if any(o is not None for _, o in s.pieces)]
            if not self.make(size, small):
                return False
        self.asked[owner] = amount
        return self.owned(owner) or self.take(owner, size, small)

    def owned(self, owner: object) -> bool:
        return any(o == owner for s in self.segments for _, o in s.pieces)

    def take(self, owner: object, size: int, small: bool) -> bool:
        free = [
            (piece[0], number, place)
            for number, segment in enumerate(self.segments)
            for place, piece in enumerate(segment.pieces)
            if segment.small == small and piece[1] is None and piece[0] >= size
        ]
        if not free:
            return False
        found, number, place = min(free)
        over = found - size
        cut = over >= 512 if small else over > 1024 * 1024
        new = [(size, owner), (over, None)] if cut else [(found, owner)]
        self.segments[number].pieces[place : place + 1] = new
        return True

    def make(self, size: int, small: bool) -> bool:
        mega = 1024 * 1024
        own = -(-size // (2 * mega)) * 2 * mega
        amount = 2 * mega if small else 20 * mega if size < 10 * mega else own
        if self.reserved + amount > self.capacity:
            return False
        self.segments.append(Segment(small, amount, [(amount, None)]))
        self.made.append(amount)
        return True

    def free(self, owner: object) -> None:
        self.asked.pop(owner, None)
        for segment in self.segments:
            merged: list[tuple[int, object]] = []
            for size, one in segment.pieces:
                keeper = None if one == owner else one
                if merged and keeper is None and merged[-1][1] is None:
                    merged[-1] = (merged[-1][0] + size, None)
                else:
                    merged.append((size, keeper))
            segment.pieces = merged

    @property
    def reserved(self) -> int:
        return sum(segment.size for segment in self.segments)

    @property
    def now(self) -> tuple[int, int, int]:
        used = [size for s in self.segments for size, o in s.pieces if o is not None]
        return sum(self.asked.values()), sum(used), self.reserved
