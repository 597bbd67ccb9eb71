"""The staging buffer of a reduction on CUDA: how a sum is split over blocks.

Follows ``setReduceConfig`` of ``aten/src/ATen/native/cuda/Reduce.cuh`` (PyTorch 2.13). A long sum
with few results is split over blocks; each writes its part to global memory, and the last one adds
them up. The buffer can be as large as the tensor itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botec.poly import product, round_up

MOST_THREADS = 512
WARP = 32
LEAST_VALUES, MOST_VALUES = 16, 256  # one thread adds so many
# Streaming multiprocessors of the generation's usual chip, and threads one of them holds.
PROCESSORS = {
    60: (56, 2048), 61: (28, 2048), 70: (80, 2048), 75: (40, 1024), 80: (108, 2048),
    86: (84, 1536), 87: (16, 1536), 89: (128, 1536), 90: (132, 2048), 100: (148, 2048),
    103: (148, 2048), 110: (20, 1536), 120: (170, 1536), 121: (48, 1536),
}  # fmt: skip


def processors(capability: int) -> tuple[int, int]:
    """Multiprocessors and threads of each, by the newest known generation not above it."""
    known = [generation for generation in PROCESSORS if generation <= capability]
    return PROCESSORS[max(known, default=min(PROCESSORS))]


@dataclass(frozen=True)
class Reduction:
    """One reduction: sizes and strides of the reduced axes and of the kept ones, fastest first.

    ``item`` and ``sum_item`` are bytes of an entry and of what is added up; ``loaded`` entries are
    read at once along the reduced axis.
    """

    reduced: tuple[tuple[Any, Any], ...]
    kept: tuple[tuple[Any, Any], ...]
    item: int
    sum_item: int
    loaded: int = 4

    @property
    def inputs(self) -> Any:
        """Entries that one result adds up."""
        return product(size for size, _ in self.reduced)

    @property
    def outputs(self) -> Any:
        """How many results."""
        return product(size for size, _ in self.kept)

    @property
    def along(self) -> bool:
        """Whether the axis that moves fastest is reduced."""
        return not self.kept or (bool(self.reduced) and self.reduced[0][1] < self.kept[0][1])


def reduction(
    shape: Sequence[Any], strides: Sequence[Any], axes: Sequence[int], item: int, sum_item: int
) -> Reduction:
    """The reduction over ``axes``, its axes ordered and joined as ``TensorIterator`` does."""
    chosen = {axis % len(shape) for axis in axes}
    parts: list[list[tuple[Any, Any]]] = [[], []]
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        if size != 1:
            parts[axis not in chosen].append((size, stride))
    reduced, kept = (joined(sorted(part, key=lambda one: (one[1], one[0]))) for part in parts)
    return Reduction(reduced, kept, item, sum_item, 8 if item == 2 else 4)


def joined(axes: list[tuple[Any, Any]]) -> tuple[tuple[Any, Any], ...]:
    """Axes that lie one behind the other as one (``coalesce_dimensions``)."""
    found: list[tuple[Any, Any]] = []
    for size, stride in axes:
        if found and found[-1][0] * found[-1][1] == stride:
            found[-1] = (found[-1][0] * size, found[-1][1])
        else:
            found.append((size, stride))
    return tuple(found)


def last_power(value: Any) -> int:
    """The largest power of two not above ``value``, at least 1."""
    power = 1
    while value >= 2 * power:
        power *= 2
    return power


def staging_bytes(
    one: Reduction, capability: int, inputs: Any, outputs: Any
) -> tuple[Any, Any] | None:
    """Bytes of the buffer and of the counters; ``None`` where one block makes each result.

    ``inputs`` and ``outputs`` are the reduction's own as formulas; how it is split is decided by
    its numbers.
    """
    if one.inputs <= 1 or not one.outputs:
        return None
    vector = output_vector(one)
    width, height = block(one, vector)
    step = width if one.along else 1
    lanes = 1 if one.along else width
    values = -(-one.inputs // step)
    if values < min(height * 16, MOST_VALUES):
        return None
    step *= height
    values = -(-one.inputs // step)
    grid = -(-(one.outputs // vector) // lanes)
    count, threads = processors(capability)
    target = count * (threads // (width * height))
    if values < MOST_VALUES or grid > target:
        return None
    blocks = split(-(-target // grid), round_up(inputs, step) // step, values)
    if isinstance(blocks, int) and blocks <= 1:
        return None
    size = one.sum_item * outputs * blocks * (1 if one.along else width * vector)
    return size, 4 * (round_up(outputs, lanes * vector) // (lanes * vector))


def split(by_grid: int, values: Any, count: Any) -> Any:
    """Blocks for one result: enough to fill the chip, each thread with 16 to 256 values."""
    by_least, by_most = -(-count // LEAST_VALUES), -(-count // MOST_VALUES)
    if by_most >= min(by_grid, by_least):
        return round_up(values, MOST_VALUES) // MOST_VALUES if by_most > 1 else 1
    if by_grid <= by_least:
        return by_grid
    return round_up(values, LEAST_VALUES) // LEAST_VALUES if by_least > 1 else 1


def output_vector(one: Reduction) -> int:
    """How many neighbouring results one thread makes (``get_output_vec_size``)."""
    if one.along or not one.kept or one.kept[0][1] != 1:
        return 1
    vector = 4
    for number in (one.kept[0][0], *(s for _, s in one.reduced), *(s for _, s in one.kept[1:])):
        while number % vector:
            vector //= 2
    return vector


def block(one: Reduction, vector: int) -> tuple[int, int]:
    """Width and height of a block (``set_block_dimension``)."""
    wide, high = (one.inputs, one.outputs) if one.along else (one.outputs, one.inputs)
    if one.along and one.reduced[0][1] == 1 and wide >= 128 and len(one.reduced) == 1:
        wide //= one.loaded
    wide //= vector
    most = MOST_THREADS // vector
    wide = last_power(wide) if wide < most else most
    high = last_power(high) if high < most else most
    width = min(wide, WARP)
    height = min(high, most // width)
    return min(wide, most // height), height
