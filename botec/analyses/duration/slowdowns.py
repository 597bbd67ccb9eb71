"""Between calls that were timed: how far a class of ops stays below its best, by a call's size.

A class has two roofs: the most operations and the most bytes a second that any of its timed calls
reached. A call's slowdown is its time over what the larger roof leaves it. Small calls, thin ones
and large ones are slow for different reasons, so the slowdown is a surface over operations and
bytes: its logarithm is interpolated between samples by simple kriging (Cressie 1993, Statistics for
Spatial Data, section 3.2) with an exponential covariance, in logarithms of both. Beyond the
smallest and the largest sample the slowdown stays what it is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

REACH = 2.0  # how far a sample is heard, in logarithms: a factor of seven
NUGGET = 0.03  # what two samples at one place differ by, over what samples differ by at all


@dataclass(frozen=True)
class Slowdown:
    """The slowdown of a class by operations and bytes of a call.

    Its logarithm is ``mean`` and the sum of ``weights`` × exp(-distance / :data:`REACH`) to the
    ``places``, which are logarithms of operations and bytes.
    """

    mean: float
    places: tuple[tuple[float, float], ...]
    weights: tuple[float, ...]

    def at(self, operations: Any, moved: Any) -> Any:
        """The slowdown of calls of so many operations that move so many bytes (or arrays)."""
        import numpy as np

        across, along = (
            np.minimum(np.maximum(np.log(np.maximum(one, 1.0)), least), most)
            for one, least, most in zip((operations, moved), *self.ends, strict=True)
        )
        total: Any = self.mean
        for (x, y), weight in zip(self.places, self.weights, strict=True):
            total = total + weight * np.exp(-np.hypot(across - x, along - y) / REACH)
        return np.exp(total)

    @cached_property
    def ends(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The least and the most of both logarithms among the places."""
        rows = list(zip(*self.places, strict=True))
        return tuple(map(min, rows)), tuple(map(max, rows))

    def text(self) -> str:
        """The same as a formula of ``operations`` and ``bytes``."""
        ends = zip(("operations", "bytes"), *self.ends, strict=True)
        across, along = (
            f"min(max(log(max({name}, 1.0)), {least!r}), {most!r})" for name, least, most in ends
        )
        parts = [f"{self.mean!r}"]
        for (x, y), weight in zip(self.places, self.weights, strict=True):
            far = f"({across} - {x!r}) ** 2 + ({along} - {y!r}) ** 2"
            parts.append(f"{weight!r} * exp(-({far}) ** 0.5 / {REACH})")
        return f"exp({' + '.join(parts)})"


def fitted_to(
    calls: Iterable[tuple[float, float, float]],
) -> tuple[float, float, Slowdown]:
    """The roofs of operations and of bytes, and the slowdown, of calls that were timed.

    ``calls`` are operations, bytes and seconds. A class without operations has a roof of 0.
    """
    import numpy as np

    operations, moved, seconds = (np.array(row) for row in zip(*calls, strict=True))
    most, widest = float((operations / seconds).max()), float((moved / seconds).max())
    least = np.maximum(operations / most if most else 0.0, moved / widest)
    slow = np.log(seconds / least)
    places = np.log(np.maximum(np.stack((operations, moved), axis=1), 1.0))
    apart = np.hypot(*(places[:, None] - places[None, :]).transpose(2, 0, 1))
    heard = np.exp(-apart / REACH) + NUGGET * np.eye(len(slow))
    mean = float(slow.mean())
    weights = np.linalg.solve(heard, slow - mean)
    found = Slowdown(mean, tuple(map(tuple, places.tolist())), tuple(weights.tolist()))
    return most, widest, found
