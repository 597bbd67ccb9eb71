"""The points of a sweep: sizes of every dimension, all with all, made a piece at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import log, prod
from typing import Any

from botec.errors import BadInput

MOST_SIZES = 10**7  # of one dimension
LARGEST = 2**62
CHUNK = 2**17  # points worked on at once: a few megabytes a figure
FORM = "write B=1:4096, B=64:1024:64 or B=1:4096:x2"
RANGE = re.compile(r"(\d+)(?::(\d+)(?::(x?)(\d+))?)?")


@dataclass(frozen=True)
class Grid:
    """All sizes with all sizes: ``axes`` are rising whole numbers by dimension."""

    axes: Mapping[str, tuple[int, ...]]

    @cached_property
    def size(self) -> int:
        """How many points there are."""
        return prod(map(len, self.axes.values()))

    @property
    def last(self) -> dict[str, int]:
        """The largest size of every dimension."""
        return {name: sizes[-1] for name, sizes in self.axes.items()}

    def chunks(self, most: int = CHUNK) -> Iterator[dict[str, Any]]:
        """The points, ``most`` at a time, the last dimension moving fastest."""
        import numpy as np

        lengths = tuple(map(len, self.axes.values()))
        arrays = {name: np.array(sizes, dtype=np.int64) for name, sizes in self.axes.items()}
        for start in range(0, self.size, most):
            flat = np.arange(start, min(start + most, self.size))
            places = np.unravel_index(flat, lengths)
            yield {
                name: array[place]
                for (name, array), place in zip(arrays.items(), places, strict=True)
            }


def parse_sizes(text: str, points: int) -> tuple[str, tuple[int, ...]]:
    """``("B", (1, 2, 4, 8))`` from ``"B=1:8:x2"``.

    ``B=1:4096`` are ``points`` sizes at most, evenly spaced in logarithms; ``B=64:1024:64`` are
    steps of 64, ``B=1:4096:x2`` factors of two; ``B=32`` is one. Raises :class:`BadInput`.
    """
    name, found, sizes = text.partition("=")
    match = RANGE.fullmatch(sizes.strip())
    if not found or not name.isidentifier() or match is None:
        raise BadInput("neither a size nor a range of sizes", FORM, text)
    start, stop = int(match[1]), int(match[2] or match[1])
    if not 0 < start <= stop < LARGEST:
        raise BadInput(f"from {start} to {stop}", "sizes are whole numbers that rise from 1", text)
    if match[4] is None:
        return name, spaced(start, stop, points)
    return name, stepped(start, stop, int(match[4]), bool(match[3]), text)


def spaced(start: int, stop: int, points: int) -> tuple[int, ...]:
    """At most ``points`` whole numbers from ``start`` to ``stop``, evenly in their logarithms."""
    if stop - start < points:
        return tuple(range(start, stop + 1))
    if points == 1:
        return (stop,)
    step = log(stop / start) / (points - 1)
    found = {min(stop, max(start, round(start * 2.718281828459045 ** (step * place))))
             for place in range(points)}  # fmt: skip
    return tuple(sorted(found | {start, stop}))


def stepped(start: int, stop: int, step: int, factor: bool, text: str) -> tuple[int, ...]:
    """``start``, then each ``step`` more (or times as much), as far as ``stop``."""
    if step < 1 + factor:
        raise BadInput(f"a step of {'x' if factor else ''}{step}", FORM, text)
    if not factor and (stop - start) // step >= MOST_SIZES:
        raise BadInput(f"more than {MOST_SIZES:,} sizes", "take a larger step", text)
    if not factor:
        return tuple(range(start, stop + 1, step))
    found = [start]
    while found[-1] * step <= stop:
        found.append(found[-1] * step)
    return tuple(found)
