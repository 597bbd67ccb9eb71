"""How PyTorch's CUDA allocator rounds: what a tensor takes, and what is asked of the driver.

The constants are those of ``c10/cuda/CUDACachingAllocator.cpp`` (PyTorch 2.13): ``kMinBlockSize``,
``kSmallSize``, ``kSmallBuffer``, ``kMinLargeAlloc``, ``kLargeBuffer``, ``kRoundLarge``.
"""

from __future__ import annotations

KIB, MIB, GIB = 2**10, 2**20, 2**30

LEAST_BLOCK = 512
MOST_SMALL = MIB
SMALL_SEGMENT = 2 * MIB
LEAST_OWN_SEGMENT = 10 * MIB
LARGE_SEGMENT = 20 * MIB
SEGMENT_STEP = 2 * MIB


def up_to(amount: int, step: int) -> int:
    """``amount`` rounded up to a multiple of ``step``."""
    return -(-amount // step) * step


def block_size(amount: int, divisions: int = 0) -> int:
    """Bytes of the block that holds ``amount`` bytes: the next multiple of 512.

    With ``divisions`` (``roundup_power2_divisions``), amounts over ``512 * divisions`` go up to the
    next of that many equal steps between two powers of two.
    """
    if divisions > 1 and amount > LEAST_BLOCK * divisions:
        power = 1 << (amount.bit_length() - 1)
        return up_to(amount, power // divisions)
    return max(up_to(amount, LEAST_BLOCK), LEAST_BLOCK)


def segment_size(size: int, large: int = LARGE_SEGMENT) -> int:
    """Bytes asked of the driver for a block of ``size`` bytes that no cached one can hold.

    Up to 1 MiB share segments of 2 MiB, up to 10 MiB share segments of ``large`` bytes; what is
    larger gets a segment of its own, a multiple of 2 MiB.
    """
    if size <= MOST_SMALL:
        return SMALL_SEGMENT
    return large if size < LEAST_OWN_SEGMENT else up_to(size, SEGMENT_STEP)
