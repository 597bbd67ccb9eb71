"""The sizes a model takes, in as few words as they allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Of the sizes ``1 … tried`` it takes ``least``, then every ``step``-th one (from ``least``).

    ``step`` is ``None`` where they follow no step; ``taken`` are all of them.
    """

    tried: int
    taken: tuple[int, ...]
    least: int | None
    step: int | None

    def __str__(self) -> str:
        if self.least is None:
            return f"none of the sizes up to {self.tried}"
        if self.step is None:
            few = ", ".join(map(str, self.taken[:8]))
            return f"{few}{', …' if len(self.taken) > 8 else ''} (of those up to {self.tried})"
        if len(self.taken) == 1:
            return f"{self.least} alone (of the sizes up to {self.tried})"
        if self.step == 1:
            return f"{self.least} and every larger one (tried up to {self.tried})"
        shift = self.least % self.step
        rest = f"{shift} more than a multiple" if shift else "the multiples"
        return f"{rest} of {self.step}, from {self.least} (tried up to {self.tried})"


def sizes(taken: Sequence[int], tried: int) -> Sizes:
    """Least size and step of those ``taken`` among ``1 … tried``."""
    if not taken:
        return Sizes(tried, (), None, None)
    least = taken[0]
    step = taken[1] - least if len(taken) > 1 else tried
    regular = list(range(least, tried + 1, step)) == list(taken)
    return Sizes(tried, tuple(taken), least, step if regular else None)
