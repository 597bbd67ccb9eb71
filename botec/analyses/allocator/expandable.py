"""Expandable segments: address space as large as the device, given memory page by page.

``expandable_segments:True`` of PyTorch's allocator. Pages are 2 MiB for small requests, 20 MiB for
large ones. A block at the end of what is mapped can grow into the addresses behind it.
"""

from __future__ import annotations

from collections.abc import Callable

from botec.analyses.allocator.blocks import FREE, UNMAPPED, Block, Pool
from botec.analyses.allocator.sizes import up_to

# Whether the device has this many bytes more to map, asked before they are.
Room = Callable[[int], bool]


def reach(block: Block) -> int:
    """Bytes of a cached block with the unmapped addresses behind it: what it can become."""
    behind = block.after
    return block.size + (behind.size if behind is not None and behind.state == UNMAPPED else 0)


def best(pool: Pool, place: int) -> int:
    """The place of the block to take, from the smallest that fits on: which can grow least."""
    free = pool.free
    while place + 1 < len(free) and reach(free[place + 1][-1]) < reach(free[place][-1]):
        place += 1
    return place


def start(pool: Pool, size: int) -> Block | None:
    """The block at the lowest address from which ``size`` bytes are cached or unmapped."""
    for _, _, block in pool.unmapped:
        before = block.before
        first = before if before is not None and before.state == FREE else block
        if room_from(first, size):
            return first
    return None


def room_from(block: Block, size: int) -> bool:
    here: Block | None = block
    while size > 0 and here is not None and here.state in (FREE, UNMAPPED):
        size -= here.size
        here = here.after
    return size <= 0


def extend(pool: Pool, first: Block, size: int, room: Room) -> Block | None:
    """Map pages from ``first`` on until it holds ``size`` bytes, and take it out of the pool.

    ``None`` where the device has no room for them; what was mapped until then stays cached.
    """
    block: Block | None = first
    if first.state == UNMAPPED:
        block = map_pages(pool, first, min(first.size, size), room)
    while block is not None and block.size < size:
        behind = block.after
        assert behind is not None  # start() has seen enough addresses
        block = map_pages(pool, behind, min(size - block.size, behind.size), room)
    if block is not None:
        pool.remove(block)
    return block


def map_pages(pool: Pool, block: Block, size: int, room: Room) -> Block | None:
    """Give the front of an unmapped block memory for ``size`` bytes, in whole pages."""
    size = up_to(size, pool.unit)
    if not room(size):
        return None
    pool.remove(block)
    if size < block.size:
        pool.add_unmapped(block.cut(size))
    block.state = FREE
    pool.add(pool.join(block))
    return block


def unmap(pool: Pool, block: Block) -> int:
    """Give back the whole pages inside a cached block; their bytes."""
    first = up_to(block.offset, pool.unit) - block.offset
    last = (block.offset + block.size) // pool.unit * pool.unit - block.offset
    if first >= last:
        return 0
    pool.remove(block)
    if last < block.size:
        pool.add(block.cut(last))
    if first:
        front, block = block, block.cut(first)
        pool.add(front)
    block.state = UNMAPPED
    pool.add_unmapped(pool.join(block))
    return last - first
