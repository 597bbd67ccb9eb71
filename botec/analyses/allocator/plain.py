"""The allocator with its usual settings, for many replays of one run: whole numbers, no objects.

What :class:`~botec.analyses.allocator.caching.Allocator` says where nothing but a capacity is set,
in a fraction of its time. Pages and largest sizes ask for hundreds of replays.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from botec.analyses.allocator.caching import ENDLESS, Usage
from botec.analyses.allocator.sizes import LEAST_BLOCK, MOST_SMALL, segment_size

ADDRESS, INSIDE = 104, 64  # bits of an address, the last of them for the place in a segment
MOST_KNOWN = 64  # runs of small requests whose segments are remembered


class Full(Exception):
    """A request was refused."""


def replayed(events: Any, amounts: Any, capacity: int | None = None) -> Usage | None:
    """The peaks of a run, ``None`` where a request is refused.

    ``events`` is an array of whole numbers: that of a request that is made, or ``~number`` of one
    that is given back. ``amounts`` are the requests' bytes, an array of 64-bit numbers.
    """
    import numpy as np

    taken = -(-amounts // LEAST_BLOCK) * LEAST_BLOCK
    large = amounts > MOST_SMALL
    numbers = np.where(events < 0, ~events, events)
    real = events[amounts[numbers] > 0]
    try:
        if capacity is None:
            of_large = large[np.where(real < 0, ~real, real)]
            heap = Heap(ENDLESS).run(real[of_large].tolist(), taken.tolist())
            reserved = heap.most + small_segments(*small(real[~of_large], taken))
        else:
            heap = Heap(capacity).run(real.tolist(), taken.tolist())
            reserved = heap.most
    except Full:
        return None
    for number, size in heap.whole.items():
        taken[number] = size
    signs = np.where(events < 0, -1, 1)
    requested, allocated = (
        int(np.cumsum(signs * of[numbers]).max(initial=0)) for of in (amounts, taken)
    )
    return Usage(requested, allocated, reserved)


def small(events: Any, sizes: Any) -> tuple[bytes, bytes]:
    """Small requests alone, as a key: they share nothing with large ones but the memory."""
    import numpy as np

    numbers, places = np.unique(np.where(events < 0, ~events, events), return_inverse=True)
    return np.where(events < 0, ~places, places).tobytes(), sizes[numbers].tobytes()


@lru_cache(maxsize=MOST_KNOWN)
def small_segments(events: bytes, sizes: bytes) -> int:
    """Bytes of the segments that small requests take where nothing limits them."""
    import numpy as np

    told, asked = (np.frombuffer(one, dtype=np.int64).tolist() for one in (events, sizes))
    return Heap(ENDLESS).run(told, asked).most


class Heap:
    """Blocks by number: ``sizes``, ``places`` (addresses), the neighbours ``before`` and ``after``
    in their segment (-1 is none), and whether they are ``free``.

    ``cached`` has the free ones of small requests and of large ones, the best fit first, as
    ``size << ADDRESS | address``, and ``known`` their numbers. ``whole`` are the requests that got
    more than they asked for, with what they got; ``most`` is the most that segments took.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.sizes: list[int] = []
        self.places: list[int] = []
        self.before: list[int] = []
        self.after: list[int] = []
        self.free: list[bool] = []
        self.cached: tuple[list[int], list[int]] = [], []
        self.known: dict[int, int] = {}
        self.whole: dict[int, int] = {}
        self.segments = self.reserved = self.most = 0

    def run(self, events: Sequence[int], asked: Sequence[int]) -> Heap:
        """Every event in turn, for ``asked`` bytes in whole blocks. Raises :class:`Full`."""
        cached, known, sizes, free = self.cached, self.known, self.sizes, self.free
        blocks: dict[int, int] = {}
        for event in events:
            if event < 0:
                self.give_back(blocks.pop(~event), cached[asked[~event] > MOST_SMALL])
                continue
            size = asked[event]
            keys = cached[size > MOST_SMALL]
            place = bisect_left(keys, size << ADDRESS)
            if place < len(keys):
                block = known.pop(keys.pop(place))
                free[block] = False
            else:
                block = self.grown(size)
            blocks[event] = block
            rest = sizes[block] - size
            if rest > MOST_SMALL or (rest and size <= MOST_SMALL):
                self.cut(block, size, keys)
            elif rest:
                self.whole[event] = sizes[block]
        return self

    def cut(self, block: int, size: int, keys: list[int]) -> None:
        """Keep the front of a block; the rest is a free one behind it."""
        sizes, after = self.sizes, self.after
        number, behind, rest = len(sizes), after[block], sizes[block] - size
        place = self.places[block] + size
        sizes[block] = size
        sizes.append(rest)
        self.places.append(place)
        self.before.append(block)
        after.append(behind)
        self.free.append(True)
        after[block] = number
        if behind >= 0:
            self.before[behind] = number
        key = rest << ADDRESS | place
        self.known[key] = number
        insort(keys, key)

    def give_back(self, block: int, keys: list[int]) -> None:
        """Free a block, as one with its free neighbours."""
        before, after, free = self.before, self.after, self.free
        behind, front = after[block], before[block]
        if behind >= 0 and free[behind]:
            self.join(block, behind, behind, keys)
        if front >= 0 and free[front]:
            self.join(front, block, front, keys)
            block = front
        free[block] = True
        key = self.sizes[block] << ADDRESS | self.places[block]
        self.known[key] = block
        insort(keys, key)

    def join(self, block: int, other: int, cached: int, keys: list[int]) -> None:
        """Take the one behind in; the one of the two that was ``cached`` is so no more."""
        key = self.sizes[cached] << ADDRESS | self.places[cached]
        del self.known[key], keys[bisect_left(keys, key)]
        self.sizes[block] += self.sizes[other]
        self.after[block] = further = self.after[other]
        if further >= 0:
            self.before[further] = block

    def grown(self, size: int) -> int:
        """A block that is all of a new segment. Raises :class:`Full` where there is no room, not
        even after all that is cached was given back."""
        amount = segment_size(size)
        if self.reserved + amount > self.capacity:
            self.empty()
            if self.reserved + amount > self.capacity:
                raise Full
        self.reserved += amount
        self.most = max(self.most, self.reserved)
        self.segments += 1
        self.sizes.append(amount)
        self.places.append(self.segments << INSIDE)
        self.before.append(-1)
        self.after.append(-1)
        self.free.append(False)
        return len(self.sizes) - 1

    def empty(self) -> None:
        """Give every cached segment that is whole back to the driver."""
        for keys in self.cached:
            for key in [*keys]:
                block = self.known[key]
                if self.before[block] < 0 and self.after[block] < 0:
                    keys.remove(key)
                    self.reserved -= self.sizes[block]
                    del self.known[key]
