"""What can be asked of a program on a device beside its formulas: memory it holds, and seconds.

``memory.reserved`` and ``memory.device`` are what the simulated caching allocator holds, point by
point: its rounding is no polynomial. ``time.*`` are the sums over all ops on a device of the
catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from math import inf
from typing import Any

from botec.analyses.duration.speeds import speeds_of
from botec.analyses.duration.times import Durations, Seconds
from botec.analyses.fit import CONTEXT, endless
from botec.analyses.memory import peak_formulas, peak_of
from botec.analyses.quantities import Known, spans
from botec.devices import device
from botec.errors import BadInput, BotecError
from botec.program import Program, Stream

CPU, CUDA = "cpu", "cuda"
MOST_POINTS = 10_000  # of a simulation: a few milliseconds each, more for large networks
MEMORY = {
    "memory.reserved": ("memory the allocator holds", 0),
    "memory.device": ("memory the device shows as used", CONTEXT),
}


@dataclass(frozen=True)
class Simulated(Known):
    """A figure that is found point by point; ``beside`` is added to what is held there.

    Its formulas are those of the peak, which it never lies below.
    """

    beside: int = 0

    def at(self, **values: Any) -> Any:
        """Its value at numbers or arrays.

        Raises :class:`BadInput` for more points than can be simulated one by one,
        :class:`botec.errors.OutsideRegime` where a point lies in no regime.
        """
        point = self.program.point(values)
        if all(isinstance(size, int) for size in point.values()):
            return held(self.program, tuple(point.items())) + self.beside
        import numpy as np

        rows = np.broadcast_arrays(*point.values())
        count = rows[0].size
        if count > MOST_POINTS:
            seen = f"{self.key} is simulated point by point, and there are {count:,} points or more"
            raise BadInput(seen, "take fewer with --points, or ask for memory.peak", self.key)
        places = zip(*(row.ravel().tolist() for row in rows), strict=True)
        found = [held(self.program, tuple(zip(point, one, strict=True))) for one in places]
        return np.array(found, dtype=np.int64).reshape(rows[0].shape) + self.beside

    def bounds(self, **values: Any) -> tuple[Any, Any]:
        """It is at least what tensors take; at most, nobody knows before it is simulated. Raises
        :class:`botec.errors.OutsideRegime` where a point lies in no regime."""
        return peak_of(self.program, self.program.point(values)) + self.beside, inf


@lru_cache(maxsize=2 * MOST_POINTS)
def held(program: Program, point: tuple[tuple[str, int], ...]) -> int:
    """Bytes the allocator holds at most in a run at a point."""
    return endless(program, point).reserved


def on_device(program: Program) -> dict[str, Known]:
    """The figures a program has on its setting's device, by key; none on the CPU."""
    found = [*memory_held(program), *times(program)]
    return {one.key: one for one in found}


def memory_held(program: Program) -> Iterator[Known]:
    if has_allocator(program.setting.device):
        for key, (title, beside) in MEMORY.items():
            of = partial(peak_formulas, program)
            yield Simulated(program, key, title, "B", of, beside=beside)


def times(program: Program) -> Iterator[Known]:
    if not has_times(program.setting.device):
        return
    speeds = speeds_of(device(program.setting.device), program.setting.train)

    def of(phases: tuple[str, ...]) -> Callable[[Stream], tuple[Any, ...]]:
        return lambda stream: (Seconds(Durations(program, stream, speeds), phases),)

    for span, phases in spans(program).items():
        yield Known(program, f"time.{span}", f"time, {span}", "s", of(phases))


def has_allocator(name: str) -> bool:
    """Whether a device is one of CUDA's, whose caching allocator is simulated."""
    if name == CPU:
        return False
    return name.partition(":")[0] == CUDA or device(name).capability is not None


def has_times(name: str) -> bool:
    """Whether the catalogue knows how fast a device is."""
    try:
        speeds_of(device(name))
    except (BotecError, OSError):  # OSError: an installation without the file of efficiencies
        return False
    return True


def device_keys(name: str, spans_asked: tuple[str, ...]) -> tuple[str, ...]:
    """The keys :func:`on_device` will have, before anything is read."""
    memory = tuple(MEMORY) if has_allocator(name) else ()
    return (*memory, *(f"time.{span}" for span in spans_asked if has_times(name)))
