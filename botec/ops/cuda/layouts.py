"""How entries lie in memory, read off sizes and strides as PyTorch's host code reads them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def is_packed(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Rows in order, without gaps; axes of one entry may have any stride."""
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size == 0:
            return True
        if size != 1:
            if stride != expected:
                return False
            expected = size * expected
    return True


def is_channels_last(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """``is_channels_last_strides_2d`` (and ``_3d``) of ``c10/core/MemoryFormat.h``."""
    if len(shape) not in (4, 5) or strides[1] == 0:
        return False
    least = 0
    order = (1, *range(len(shape) - 1, 1, -1), 0)
    for axis in order:
        if shape[axis] == 0 or strides[axis] < least:
            return False
        # an image of one channel and one batch is both: the first reading counts
        if axis == 0 and least == strides[1]:
            return False
        least = strides[axis]
        if shape[axis] > 1:
            least = least * shape[axis]
    return True


def is_dense(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Whether the entries fill their memory, in whatever order."""
    kept = [axis for axis, size in enumerate(shape) if size > 1]
    kept.sort(key=lambda axis: -strides[axis])
    return is_packed([shape[axis] for axis in kept], [strides[axis] for axis in kept])


def in_one_row(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Whether one distance leads from every entry to the next (``reshape(-1)`` is a view)."""
    kept = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size != 1]
    if any(size == 0 for size, _ in kept):
        return True
    return all(a[1] == b[0] * b[1] for a, b in pairwise(kept))


def leads(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Whether the last two axes are rows or columns at a fixed distance."""
    if len(shape) < 2:
        return True
    (rows, columns), (down, across) = shape[-2:], strides[-2:]
    if len(shape) == 2 and is_dense(shape, strides):
        return True
    by_rows = across == 1 and down >= max(1, columns)
    return by_rows or (down == 1 and across >= max(1, rows))
