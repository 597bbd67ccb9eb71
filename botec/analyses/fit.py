"""Will it fit: what a step takes on a device, the room it leaves, and the largest that fits.

Three figures for three places where a user looks: ``memory.peak`` is what tensors take,
``memory.reserved`` what the caching allocator holds for them (``max_memory_reserved``), and
``memory.device`` what the device shows as used (the driver's context on top).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from botec.analyses.allocator import Allocator, Usage
from botec.analyses.allocator.plain import replayed
from botec.analyses.kernels.peaks import peak_at
from botec.analyses.memory import Memory, memory, weight_bytes
from botec.analyses.requests import order, requests
from botec.devices import device
from botec.errors import BotecError
from botec.program import Program, Stream
from botec.report import Counted, Figure
from botec.units import Quantity

LARGEST = 2**40
SOON = 2**14  # sizes
BEYOND = 2**62  # what no allocator counts to
COUNTED = 2**56  # bytes of all storages together that fit into whole numbers of 64 bits

# The driver's context and the libraries' code on a CUDA device. It cannot be computed, so it is an
# assumption the user can replace. Since CUDA 11.7 kernels are loaded when first used; since then
# 287 MB (pytorch, pull request 86509), about 300 and 400 MB (issues 107667 and 109888) and 520 MiB
# (ai2cm/ace, pull request 1396) were seen, before work that loads more. None of them says on which
# device by which driver, so there is one default for all, and a spread.
CONTEXT = 450 * 2**20
CONTEXT_LEAST, CONTEXT_MOST = 300 * 10**6, 600 * 10**6


@dataclass(frozen=True)
class Run:
    """All that decides what a run asks the allocator for: equal ones are simulated once, whatever
    program they are of. A device of another generation whose kernels choose alike has the same.
    """

    stream: Stream
    point: tuple[tuple[str, int], ...]
    first_step: bool
    zero_grad: str
    expandable: bool
    program: Program = field(compare=False)


def run_of(timeline: Memory, expandable: bool) -> Run:
    """The run of a timeline's steps."""
    program, point = timeline.program, tuple(timeline.point.items())
    setting = program.setting
    return Run(timeline.stream, point, setting.first_step, setting.zero_grad, expandable, program)


@lru_cache(maxsize=256)
def simulated(run: Run, capacity: int | None = None) -> Usage | None:
    """Peaks of a run where the allocator has ``capacity`` bytes, ``None`` where it runs out.

    Without a capacity nothing limits it.
    """
    timeline = Memory(run.program, run.stream, dict(run.point))
    row = timeline.row
    if not run.expandable and row.dtype != object and float(row.sum()) < COUNTED:
        turns = order(timeline)
        return replayed(turns.events, row[turns.storages], capacity)
    asked = requests(timeline, constructed=False)
    done = Allocator(capacity=capacity, expandable=run.expandable).replay(asked)
    return None if done.refused else done.peak


@lru_cache(maxsize=512)
def endless(
    program: Program, point: tuple[tuple[str, int], ...], expandable: bool = False
) -> Usage:
    """Peaks of the run at a point on a device that never ends."""
    return without_limit(memory(program, **dict(point)), expandable)


def without_limit(timeline: Memory, expandable: bool) -> Usage:
    """Peaks of a timeline's run on a device that never ends."""
    most = timeline.most
    found = simulated(run_of(timeline, expandable)) if most < BEYOND else None
    return found or Usage(most, most, most)


@dataclass(frozen=True)
class Room:
    """The memory of a device: its ``total`` bytes, and the driver's own ``context``.

    ``expandable`` says that the allocator's segments grow (``expandable_segments:True``).
    """

    total: int
    context: int
    expandable: bool = False

    @property
    def usable(self) -> int:
        """What the allocator can have."""
        return self.total - self.context

    @property
    def spread(self) -> tuple[int, int] | None:
        """Between which bytes the context is likely to lie; ``None`` where the user has said it."""
        return (CONTEXT_LEAST, CONTEXT_MOST) if self.context == CONTEXT else None


def weights_exceed(program: Program, room: Room) -> bool:
    """Whether a program's weights and buffers are more than the usable memory."""
    return weight_bytes(program) > room.usable


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
    def endless(self) -> Usage:
        """Peaks of the run where nothing limits it."""
        return without_limit(self.memory, self.room.expandable)

    @cached_property
    def within(self) -> Usage | None:
        """Peaks of the run inside the usable memory, ``None`` where it runs out.

        The allocator gives its cache back before it fails, so a run can fit that would hold more.
        """
        if self.memory.most > self.room.usable:
            return None
        asked = "endless" in vars(self) or self.room.expandable
        if asked and self.endless.reserved <= self.room.usable:
            return self.endless
        return simulated(run_of(self.memory, self.room.expandable), self.room.usable)

    @property
    def usage(self) -> Usage:
        """Requested, allocated and reserved bytes: on the device if it fits, else without limit."""
        return self.within or self.endless

    @property
    def weights_alone(self) -> bool:
        """Whether the weights and buffers, with nothing else, are more than the usable memory."""
        return weights_exceed(self.program, self.room)

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
        if self.weights_alone:
            return 0
        spans = [span for stream in self.program.streams if (span := self.span(stream, name))]
        if not any(span.most > span.least for span in spans):
            return None
        found = 0
        for span in sorted(spans, key=lambda span: -span.most * span.step):
            if span.most * span.step > found:
                found = max(found, self.largest_within(span))
        return found

    def span(self, stream: Stream, name: str) -> Span | None:
        """From where to where a stream holds in one dimension, the others as asked."""
        regime = stream.regime
        step = regime.step.get(name, 1)
        least = -(-regime.fixed.get(name, regime.least.get(name, 1)) // step)
        most = regime.fixed.get(name, regime.most.get(name, LARGEST)) // step
        held = least <= most and regime.holds({**self.point, name: least * step})
        return Span(stream, name, step, least, most) if held else None

    def largest_within(self, span: Span) -> int:
        """The largest value of a span that fits, 0 where none does.

        It lies a little below the largest whose tensors fit, so it is looked for from there down.
        """
        low, fails = span.least, self.solve(span) + 1
        if fails <= low or not self.fits_at(span, low):
            return 0
        stride = 1
        while fails - stride > low:
            if self.fits_at(span, fails - stride):
                low = fails - stride
                break
            fails, stride = fails - stride, 2 * stride
        while fails - low > 1:
            middle = (low + fails) // 2
            low, fails = (middle, fails) if self.fits_at(span, middle) else (low, middle)
        return low * span.step

    def fits_at(self, span: Span, steps: int) -> bool:
        """Whether the value ``steps`` of the lattice up fits."""
        return self.at(**{span.name: steps * span.step}).fits

    def solve(self, span: Span) -> int:
        """The steps of the largest value whose peak by the formula is within the usable memory."""
        stream = span.stream

        def enough(steps: int) -> bool:
            point = {**self.point, span.name: steps * span.step}
            return int(peak_at(stream, point)) <= self.room.usable

        low, high = span.least, span.most
        if not enough(low):
            return 0
        probe = max(self.point[span.name] // span.step, low + 1)
        while probe < high:
            if not enough(probe):
                high = probe
                break
            low, probe = probe, 2 * probe
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if enough(middle) else (low, middle)
        return high if enough(high) else self.later(span, low)

    def later(self, span: Span, steps: int) -> int:
        """The last size with a peak within the usable memory, of those soon after the first that is
        beyond it: a kernel that splits a sum over fewer blocks takes less for more."""
        if span.stream.kernels is None:
            return steps
        import numpy as np

        tried = np.arange(steps + 1, min(span.most, steps + SOON) + 1)
        sizes: dict[str, Any] = {**self.point, span.name: tried * span.step}
        points = {name: np.broadcast_to(size, tried.shape) for name, size in sizes.items()}
        right = np.flatnonzero(peak_at(span.stream, points) <= self.room.usable)
        return int(tried[right[-1]]) if right.size else steps

    def bound(self, name: str) -> int | None:
        """The largest value the model itself takes, where it has one (positions, say)."""
        known = [stream.regime.most.get(name) for stream in self.program.streams]
        return max((most for most in known if most is not None), default=None)


@dataclass(frozen=True)
class Span:
    """Where a stream holds in one dimension: ``least`` to ``most`` steps of its lattice."""

    stream: Stream
    name: str
    step: int
    least: int
    most: int


def device_figures(fit: Fit) -> list[Figure]:
    """What the allocator holds and what the device shows, beside ``memory.peak``."""
    held = "the allocator's segments, simulated over two steps"
    context = f"with the driver's context, taken as {Quantity(fit.room.context, 'B')}"
    low, high = (fit.usage.reserved + one for one in fit.room.spread or (fit.room.context,) * 2)
    return [
        Figure(
            "memory.reserved", "held by the allocator", "B",
            Counted(fit.usage.reserved, None, "complete", {}, held),
        ),
        Figure(
            "memory.device", "used on the device", "B",
            Counted(fit.device, None, "estimate", {}, context),
            low=low if fit.room.spread else None, high=high if fit.room.spread else None,
        ),
    ]  # fmt: skip


def where_seen(fit: Fit) -> str:
    """Which of the sums of memory a user sees where."""
    return (
        "Who looks where sees: torch.cuda.max_memory_allocated() "
        f"{Quantity(fit.usage.allocated, 'B')} (memory.peak in blocks of 512 bytes), "
        f"torch.cuda.max_memory_reserved() {Quantity(fit.usage.reserved, 'B')} (memory.reserved), "
        f"nvidia-smi {Quantity(fit.device, 'B')} (memory.device: the same with the driver's "
        f"context, {Quantity(fit.room.context, 'B')}, an assumption)."
    )


def on_its_device(program: Program) -> Fit | None:
    """A program on the device it was traced for; ``None`` on the CPU.

    A generation without a device (``cuda:90``), or a device whose memory nobody knows, never ends.
    """
    name = program.setting.device
    if name == "cpu":
        return None
    try:
        usable = device(name).usable
    except BotecError:
        usable = None
    return Fit(program, Room(usable or BEYOND, CONTEXT), program.asked)
