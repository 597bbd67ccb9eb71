"""Bytes the CUDA core compute library (CUB) asks for inside a sort or a scan.

Read off its host code (``cub/device/dispatch`` of CUDA 13, keys and values of 8 bytes, tuned for
generations from 8.0 on) and equal to recorded requests; temporaries are laid out in pieces of 256
bytes, with 255 more to align the first.
"""

from __future__ import annotations

from typing import Any

from botec.poly import round_up

PIECE = 256
DIGITS = 256  # one pass sorts 8 bits
TILE = 3840  # entries of one block of a pass: 384 threads, 10 entries each
SINGLE_TILE = 2304  # so few are sorted by one block, in one pass


def sort_bytes(count: Any, most: Any, few: bool) -> Any:
    """Temporaries of ``DeviceRadixSort::SortPairs`` for ``count`` keys up to ``most``.

    One-sweep passes of 8 bits: histograms, one row of counters for every block, and from the second
    pass on other arrays of keys and values. ``few`` says that one block is enough.
    """
    if few:
        return 1
    passes = 1
    while most >= DIGITS**passes:
        passes += 1
    blocks = round_up(count, TILE) // TILE
    other = 2 * round_up(8 * count, PIECE) if passes > 1 else 0
    return passes * 8 * DIGITS + 4 * DIGITS * blocks + other + 2 * PIECE - 1


def scan_bytes(count: Any, tile: int = 1920) -> Any:
    """Temporaries of a scan (or of ``UniqueByKey``): 16 bytes for every tile and 32 more."""
    tiles = round_up(count, tile) // tile
    return round_up(16 * (tiles + 32), PIECE) + 2 * PIECE - 1
