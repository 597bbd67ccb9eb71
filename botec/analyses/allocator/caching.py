"""The allocator itself: requests in, segments of the driver out.

Follows ``malloc``, ``free``, ``get_free_block``, ``should_split``, ``alloc_block``,
``release_cached_blocks``, ``release_available_cached_blocks`` and ``garbage_collect_cached_blocks``
of ``c10/cuda/CUDACachingAllocator.cpp`` in PyTorch 2.13, for one stream. Left out: events of other
streams (``record_stream``), private pools of CUDA graphs, and the ``cudaMallocAsync`` backend.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from botec.analyses.allocator import expandable as pages
from botec.analyses.allocator.blocks import FREE, USED, Block, Pool
from botec.analyses.allocator.sizes import (
    LARGE_SEGMENT,
    LEAST_BLOCK,
    MOST_SMALL,
    SMALL_SEGMENT,
    block_size,
    segment_size,
    up_to,
)
from botec.errors import BadInput, BotecError
from botec.units import Quantity

ENDLESS = 2**62


class OutOfMemory(BotecError):
    """A segment could not be had, not even after every cached one was given back."""


class Usage(NamedTuple):
    """Bytes: ``requested`` by tensors, ``allocated`` in blocks, ``reserved`` in segments.

    The last two are ``torch.cuda.memory_allocated()`` and ``torch.cuda.memory_reserved()``.
    """

    requested: int
    allocated: int
    reserved: int


class SegmentEvent(NamedTuple):
    """``kind`` is "made" or "released", for expandable segments "mapped" or "unmapped"."""

    kind: str
    bytes: int
    segment: int


class Place(NamedTuple):
    """Where a block lies: bytes ``offset`` to ``offset + size`` of a segment, by its number."""

    segment: int
    offset: int
    size: int


@dataclass(frozen=True)
class Outcome:
    """What a replay came to: the peaks, and the request that was ``refused`` (it ended there).

    ``events`` is how many were replayed, the refused one not counted.
    """

    peak: Usage
    events: int
    refused: OutOfMemory | None = None


class Allocator:
    """PyTorch 2.13's caching allocator on a device with ``capacity`` bytes for it.

    ``capacity`` is what the driver has left for segments: the device's memory less the driver's
    context and other programs; ``None`` never ends. The rest are settings a user can make:
    ``limit`` is ``torch.cuda.set_per_process_memory_fraction`` in bytes, the others are those of
    ``PYTORCH_CUDA_ALLOC_CONF`` (sizes in bytes; ``garbage_collection_threshold`` is a share of
    ``limit`` and does nothing without it).

    >>> allocator = Allocator()
    >>> weight = allocator.allocate(3_000_000)
    >>> allocator.now
    Usage(requested=3000000, allocated=3000320, reserved=20971520)
    >>> allocator.free(weight)
    >>> allocator.now
    Usage(requested=0, allocated=0, reserved=20971520)

    Raises :class:`OutOfMemory` from :meth:`allocate`, and :class:`~botec.errors.BadInput` for a
    setting or an amount without a meaning.
    """

    def __init__(
        self,
        capacity: int | None = None,
        *,
        limit: int | None = None,
        expandable: bool = False,
        roundup_power2_divisions: int = 0,
        max_split_size: int | None = None,
        garbage_collection_threshold: float = 0.0,
        large_segment_size: int = LARGE_SEGMENT,
    ) -> None:
        sizes = {"capacity": capacity, "limit": limit, "max_split_size": max_split_size}
        check_sizes({**sizes, "large_segment_size": large_segment_size})
        check_shares(roundup_power2_divisions, garbage_collection_threshold)
        self.capacity = ENDLESS if capacity is None else capacity
        self.limit = ENDLESS if limit is None else limit
        self.expandable, self.divisions = expandable, roundup_power2_divisions
        self.max_split = ENDLESS if max_split_size is None else max_split_size
        collects = limit is not None and not expandable
        self.threshold = garbage_collection_threshold if collects else 0.0
        self.large_segment = large_segment_size
        self.simple = not expandable and max_split_size is None and not self.threshold
        self.small = Pool(SMALL_SEGMENT, small=True)
        self.large = Pool(large_segment_size, small=False)
        self.blocks: dict[int, Block | None] = {}
        self.history: list[SegmentEvent] = []
        self.numbers = self.segments = self.retries = self.refusals = 0
        self.requested = self.allocated = self.reserved = 0
        self.peak_requested = self.peak_allocated = self.peak_reserved = 0

    # --- what is asked ---------------------------------------------------------------------------

    def allocate(self, amount: int, who: str = "") -> int:
        """The number of a new block for ``amount`` bytes; none has bytes where ``amount`` is 0.

        Raises :class:`OutOfMemory`, with ``who`` asked in front.
        """
        self.numbers = number = self.numbers + 1
        if amount <= 0:
            return self.nothing(number, amount)
        size = block_size(amount, self.divisions) if self.divisions else -(-amount // 512) * 512
        pool = self.small if size <= MOST_SMALL else self.large
        free = pool.free
        place = bisect_left(free, (size,))
        if place < len(free) and self.simple:
            block = free.pop(place)[3]
        else:
            found = None if self.simple else self.cached_block(pool, size, place)
            block = found or self.grown(pool, size, who)
        if self.splits(pool, size, block.size - size):
            rest = block.cut(size)
            rest.state, rest.cached_at = FREE, pool.clock
            insort(free, (rest.size, rest.segment, rest.offset, rest))
        block.state, block.requested = USED, amount
        self.blocks[number] = block
        self.count(amount, block.size)
        return number

    def free(self, number: int) -> None:
        """Give a block back; it stays cached. Raises BadInput for one that is not there."""
        try:
            block = self.blocks.pop(number)
        except KeyError:
            raise BadInput(f"block {number} is not allocated", "free each block once") from None
        if block is None:
            return
        self.allocated -= block.size
        self.requested -= block.requested
        block.state = FREE
        block.pool.add(block.pool.join(block))

    def empty_cache(self) -> None:
        """Give every cached segment (or page) back to the driver: ``torch.cuda.empty_cache()``."""
        for pool in (self.large, self.small):
            for block in pool.cached():
                if self.expandable:
                    self.unmap(pool, block)
                elif block.whole:
                    self.release(block)

    def replay(self, events: Iterable[tuple[Hashable, int | None]]) -> Outcome:
        """Births ``(name, bytes)`` and deaths ``(name, None)``, one after the other.

        A name may be used again after its death. Ends at the first request that is refused.

        Raises :class:`~botec.errors.BadInput` for the death of what is not alive, or a second
        birth of what is.
        """
        numbers: dict[Hashable, int] = {}
        done = 0
        for name, amount in events:
            if (name in numbers) != (amount is None):
                raise BadInput(*wrong_order(amount), f"event {done}, {name}")
            if amount is None:
                self.free(numbers.pop(name))
            else:
                try:
                    numbers[name] = self.allocate(amount)
                except OutOfMemory as refused:
                    return Outcome(
                        self.peak, done, OutOfMemory(refused.seen, refused.do, str(name))
                    )
            done += 1
        return Outcome(self.peak, done)

    # --- what is known ---------------------------------------------------------------------------

    @property
    def now(self) -> Usage:
        """What is in use."""
        return Usage(self.requested, self.allocated, self.reserved)

    @property
    def peak(self) -> Usage:
        """The most of each since the start, or since :meth:`reset_peak`."""
        return Usage(self.peak_requested, self.peak_allocated, self.peak_reserved)

    def reset_peak(self) -> None:
        """Let the peaks start from now: ``torch.cuda.reset_peak_memory_stats()``."""
        self.peak_requested, self.peak_allocated, self.peak_reserved = self.now

    def place(self, number: int) -> Place | None:
        """Where a block lies; ``None`` where it has no bytes or is not allocated."""
        block = self.blocks.get(number)
        return None if block is None else Place(block.segment, block.offset, block.size)

    # --- a block for a request -------------------------------------------------------------------

    def nothing(self, number: int, amount: int) -> int:
        """A request for no bytes takes none, not even a block of the least size."""
        if amount < 0:
            raise BadInput(f"{amount:,} bytes are asked for", "ask for 0 or more")
        self.blocks[number] = None
        return number

    def count(self, amount: int, size: int) -> None:
        self.requested += amount
        self.allocated += size
        if self.requested > self.peak_requested:
            self.peak_requested = self.requested
        if self.allocated > self.peak_allocated:
            self.peak_allocated = self.allocated

    def splits(self, pool: Pool, size: int, rest: int) -> bool:
        """Whether what a block has over is cut off; else the request keeps it."""
        if pool.small or self.expandable:
            return rest >= LEAST_BLOCK
        return rest > MOST_SMALL and size < self.max_split

    def cached_block(self, pool: Pool, size: int, place: int) -> Block | None:
        """The cached block to use where settings change best fit; ``place`` is the first that fits.

        Blocks of ``max_split_size`` and more are kept for requests nearly as large.
        """
        pool.clock += self.threshold > 0
        if place == len(pool.free):
            return None
        place = pages.best(pool, place) if self.expandable else place
        block = pool.free[place][-1]
        if size < self.max_split <= block.size:
            return None
        if size >= self.max_split and block.size >= size + self.large_segment:
            return None
        del pool.free[place]
        return block

    def grown(self, pool: Pool, size: int, who: str) -> Block:
        """A block from new memory; cached memory is given back where the driver has none."""
        if self.threshold:
            self.collect_garbage()
        for block in self.attempts(pool, size):
            if block is not None:
                return block
        self.refusals += 1
        raise OutOfMemory(*self.refusal(size), asked=who)

    def attempts(self, pool: Pool, size: int) -> Iterator[Block | None]:
        """Try, give back a large cached block and try, give back everything cached and try."""
        yield self.new_block(pool, size)
        if self.max_split < ENDLESS and self.release_oversize(pool, size):
            yield self.new_block(pool, size)
        self.empty_cache()
        self.retries += 1
        yield self.new_block(pool, size)

    def refusal(self, size: int) -> tuple[str, str]:
        most = min(self.capacity, self.limit)
        need = size if self.expandable else segment_size(size, self.large_segment)
        seen = (
            f"no room for {Quantity(need, 'B')}: {Quantity(self.reserved, 'B')} of "
            f"{Quantity(most, 'B')} are reserved, {Quantity(self.allocated, 'B')} in use"
        )
        return seen, "take a smaller batch or a larger device"

    def new_block(self, pool: Pool, size: int) -> Block | None:
        """A block for ``size`` bytes from the driver, in no list; ``None`` where it has none."""
        if self.expandable:
            return self.extended(pool, size)
        amount = segment_size(size, self.large_segment)
        if not self.has_room(amount):
            return None
        self.segments += 1
        self.reserve("made", amount, self.segments)
        return Block(pool, self.segments, 0, amount)

    def has_room(self, amount: int) -> bool:
        return self.reserved + amount <= min(self.capacity, self.limit)

    def reserve(self, kind: str, amount: int, segment: int) -> None:
        self.reserved += amount
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        self.history.append(SegmentEvent(kind, abs(amount), segment))

    # --- giving memory back ----------------------------------------------------------------------

    def release(self, block: Block) -> int:
        """Give a cached segment back to the driver; its bytes."""
        block.pool.remove(block)
        self.reserve("released", -block.size, block.segment)
        return block.size

    def release_oversize(self, pool: Pool, size: int) -> bool:
        """Give back the smallest block of ``max_split_size`` or more that would hold ``size``.

        Where none would: the largest ones, until they add up to it. Whether it was enough.
        """
        needed = max(size, self.max_split)
        place = bisect_left(pool.free, (needed,))
        if place < len(pool.free):
            return self.release(pool.free[place][-1]) > 0
        freed = 0
        while freed < needed and pool.free and pool.free[-1][0] >= self.max_split:
            freed += self.release(pool.free[-1][-1])
        return freed >= needed

    def collect_garbage(self) -> None:
        """Give back the cached segments of large requests that are older than the average.

        Starts where more than the threshold's share of ``limit`` is reserved, and ends where as
        much as was over it is given back; only whole segments can be.
        """
        over = self.reserved - int(self.threshold * self.limit)
        if over <= 0:
            return
        pool = self.large
        ages = {block: pool.clock - block.cached_at for block in pool.cached() if block.whole}
        found = True
        while over > 0 and ages and found:
            average = sum(ages.values()) / len(ages)
            old = [block for block, age in ages.items() if age >= average]
            found = bool(old)
            for block in old:
                over -= self.release(block)
                del ages[block]

    # --- expandable segments ---------------------------------------------------------------------

    def extended(self, pool: Pool, size: int) -> Block | None:
        """A block of ``size`` bytes or more, from pages mapped for it."""
        first = pages.start(pool, size) or self.new_addresses(pool, size)
        return pages.extend(pool, first, size, lambda amount: self.map(amount, first.segment))

    def new_addresses(self, pool: Pool, size: int) -> Block:
        """A segment of addresses without memory: an eighth more than the device has."""
        self.segments += 1
        space = up_to(max(self.capacity * 9 // 8, size), pool.unit)
        block = Block(pool, self.segments, 0, space)
        pool.add_unmapped(block)
        return block

    def map(self, amount: int, segment: int) -> bool:
        if self.has_room(amount):
            self.reserve("mapped", amount, segment)
            return True
        return False

    def unmap(self, pool: Pool, block: Block) -> None:
        if amount := pages.unmap(pool, block):
            self.reserve("unmapped", -amount, block.segment)


def wrong_order(amount: int | None) -> tuple[str, str]:
    if amount is None:
        return "it dies without being alive", "let each death follow its birth"
    return "it is born twice", "let a death come between"


def check_sizes(sizes: Mapping[str, int | None]) -> None:
    """Raises :class:`~botec.errors.BadInput` for an amount no device has.

    ``max_split_size`` and ``large_segment_size`` below 20 MiB are refused by PyTorch as well.
    """
    for name, amount in sizes.items():
        least = LARGE_SEGMENT if name.endswith("_size") else 0
        if amount is not None and amount < least:
            raise BadInput(f"{amount:,} bytes are too few", f"give {least:,} or more", name)


def check_shares(divisions: int, threshold: float) -> None:
    """Raises :class:`~botec.errors.BadInput` for settings PyTorch does not take."""
    if divisions < 0 or divisions & (divisions - 1):
        do = "use a power of two"
        raise BadInput(f"{divisions} is no power of two", do, "roundup_power2_divisions")
    if not 0 <= threshold < 1:
        do = "use a share between 0 and 1"
        raise BadInput(f"{threshold} is out of range", do, "garbage_collection_threshold")
