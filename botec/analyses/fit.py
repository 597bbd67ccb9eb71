"""Will it fit: what a step takes on a device, the room it leaves, and the largest that fits.

Three figures for three places where a user looks: ``memory.peak`` is what tensors take,
``memory.reserved`` what the caching allocator holds for them (``max_memory_reserved``), and
``memory.device`` what the device shows as used (the driver's context on top).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from botec.analyses.allocator import Allocator, Usage
from botec.analyses.memory import Memory, memory, peak_envelope
from botec.analyses.requests import requests
from botec.errors import OutsideRegime
from botec.poly import at
from botec.program import Program, Stream

LARGEST = 2**40


@dataclass(frozen=True)
class Room:
    """The memory of a device: its ``total`` bytes, and the driver's own ``context``."""

    total: int
    context: int

    @property
    def usable(self) -> int:
        """What the allocator can have."""
        return self.total - self.context


@dataclass(frozen=True)
class Fit:
    """A program on a device at a point."""

    program: Program
    room: Room
    point: Mapping[str, int]

    @cached_property
    def memory(self) -> Memory:
        """The timeline at the point."""
        return memory(self.program, **self.point)

    @cached_property
    def within(self) -> Usage | None:
        """Peaks of the run inside the usable memory, ``None`` where it runs out.

        The allocator gives its cache back before it fails, so a run can fit that would hold more.
        """
        run = Allocator(capacity=self.room.usable).replay(requests(self.memory))
        return None if run.refused else run.peak

    @cached_property
    def usage(self) -> Usage:
        """Requested, allocated and reserved bytes: on the device if it fits, else without limit."""
        return self.within or Allocator().replay(requests(self.memory)).peak

    @property
    def device(self) -> int:
        """Bytes the device shows as used at most."""
        return self.usage.reserved + self.room.context

    @property
    def fits(self) -> bool:
        """Whether the run gets all it asks for."""
        return self.within is not None

    def at(self, **values: int) -> Fit:
        """The same question at other values of the dimensions."""
        return Fit(self.program, self.room, {**self.point, **values})

    def largest(self, name: str) -> int | None:
        """The largest value of a dimension that fits, the others as asked; 0 where none does.

        Solved from the peak's formula; the simulated allocator then settles the last steps, since
        it holds more than tensors take. ``None`` where the dimension has no formula.
        """
        if name not in self.program.asked:
            return None
        spans = [span for stream in self.program.streams if (span := self.span(stream, name))]
        if not any(low < high for _, low, high in spans):
            return None
        fails = max(self.solve(*span, name) for span in spans) + 1
        value = fails - 1
        while value > 0 and not self.fits_at(name, value):
            fails, value = value, value - max(1, value // 64)
        while fails - value > 1:
            middle = (value + fails) // 2
            value, fails = (middle, fails) if self.fits_at(name, middle) else (value, middle)
        return value

    def fits_at(self, name: str, value: int) -> bool:
        """Whether another value fits; a value no formula holds for does not count."""
        try:
            return self.at(**{name: value}).fits
        except OutsideRegime:
            return False

    def span(self, stream: Stream, name: str) -> tuple[Stream, int, int] | None:
        """From where to where a stream holds in one dimension, the others as asked."""
        regime = stream.regime
        low = regime.fixed.get(name, regime.least.get(name, 1))
        high = regime.fixed.get(name, regime.most.get(name, LARGEST))
        return (stream, low, high) if regime.holds({**self.point, name: low}) else None

    def solve(self, stream: Stream, low: int, high: int, name: str) -> int:
        """The largest value in a span whose peak by the formula is within the usable memory."""
        formulas = peak_envelope(stream)

        def enough(value: int) -> bool:
            point = {**self.point, name: value}
            return max(at(formula, point) for formula in formulas) <= self.room.usable

        if not enough(low):
            return 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if enough(middle) else (low, middle)
        return high if enough(high) else low
