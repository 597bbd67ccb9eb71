"""Seconds of a program's ops on a device: a smooth maximum of its two roofs, and a call's cost.

For an op of F operations (two for a multiply-add) that moves M bytes, of a class whose products
reach R operations and whose memory W bytes a second, with overhead o and sharpness p::

    seconds = s·((F/R)**p + (M/W)**p)**(1/p) + o

with s the slowdown of calls of this size where they were timed here (:mod:`slowdowns`), else 1.
The roofline model (Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785) is p = ∞.
Ops run one after the other, so times add; nothing is hidden behind anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from botec.analyses.count import Counts, Line
from botec.analyses.duration.classes import BACKWARD, class_of, dtype_of, multiplies
from botec.analyses.duration.speeds import LARGE, Speeds
from botec.ops.facts import causal
from botec.poly import Poly, at
from botec.program import PHASES, Program, Stream

COMPUTE, BANDWIDTH, OVERHEAD = "compute", "bandwidth", "overhead"
BOUNDS = (COMPUTE, BANDWIDTH, OVERHEAD)
GATHER_BACKWARD = "gather" + BACKWARD
SHARPEST = 50  # from this power on the smooth maximum is the plain one


@dataclass(frozen=True)
class Work:
    """Equal calls of one phase and module: their class (``None``: views), type, and costs each;
    ``results`` are bytes of what each makes anew."""

    name: str | None
    dtype: str
    phase: str
    scope: int
    times: int
    operations: Any
    bytes: Any
    results: tuple[Any, ...] = ()

    def fresh(self, point: Mapping[str, Any]) -> Any:
        """Bytes of its large results, whose memory is new every time."""
        sizes = (at(one, point) for one in self.results)
        return sum(one * (one > LARGE) for one in sizes)


@dataclass(frozen=True)
class Parts:
    """Seconds of one call, or of many: what each roof alone would take, and all of it."""

    compute: float
    bandwidth: float
    overhead: float
    seconds: float

    @property
    def bound(self) -> str:
        """What takes longest of the three."""
        values = (self.compute, self.bandwidth, self.overhead)
        return BOUNDS[values.index(max(values))]


@dataclass(frozen=True)
class Durations:
    """The times of one stream of a program on a device."""

    program: Program
    stream: Stream
    speeds: Speeds

    @cached_property
    def work(self) -> tuple[Work, ...]:
        """What the step does, equal calls together."""
        found: dict[tuple[Any, ...], int] = {}
        for line in Counts(self.program, self.stream).lines:
            name = class_of(line.call, line.phase)
            moved = bytes_of(line, name)
            products = operations_of(line, name)
            made = results_of(line, name)
            key = (name, dtype_of(line.call), line.phase, line.scope, products, moved, made)
            found[key] = found.get(key, 0) + line.times
        return tuple(
            Work(name, dtype, phase, scope, times, operations, moved, made)
            for (name, dtype, phase, scope, operations, moved, made), times in found.items()
        )

    def of(self, work: Work, point: Mapping[str, Any]) -> Parts:
        """Seconds of one call at a point (numbers or arrays)."""
        parts = parts_of(work, at(work.operations, point), at(work.bytes, point), self.speeds)
        if not self.speeds.fresh or self.speeds.exact:
            return parts
        new = self.speeds.fresh * work.fresh(point)
        return replace(parts, bandwidth=parts.bandwidth + new, seconds=parts.seconds + new)

    def total(self, phases: Iterable[str] = PHASES, **point: Any) -> Any:
        """Seconds of some phases at a point, by default the asked one."""
        here, wanted = self.program.point(point), set(phases)
        return sum(
            self.of(work, here).seconds * work.times for work in self.work if work.phase in wanted
        )

    def shares(
        self, part: Callable[[Work], Any], phases: Iterable[str] = PHASES, **point: int
    ) -> dict[Any, Share]:
        """The same sum by any part of the work, largest first."""
        here, wanted = self.program.point(point), set(phases)
        found: dict[Any, Share] = {}
        for work in self.work:
            if work.phase in wanted:
                found.setdefault(part(work), Share()).add(work, self.of(work, here), here)
        return dict(sorted(found.items(), key=lambda pair: -pair[1].seconds))


def operations_of(line: Line, name: str | None) -> Any:
    """Two for each multiply-add of a call whose class multiplies; fused causal attention leaves out
    the masked half, as its kernels do."""
    if name is None or not multiplies(name):
        return 0
    left = causal(line.call) if name.startswith("attention") else None
    return 2 * ((line.costs["multiplications"] if left is None else left) or 0)


def bytes_of(line: Line, name: str | None) -> Any:
    """What a call reads and writes; a dense table's gradient is written whole, zeros and all."""
    if name is None:
        return 0
    if name == GATHER_BACKWARD:
        return sum(one.bytes for one in line.call.inputs + line.call.results)
    return line.costs["bytes"]


def results_of(line: Line, name: str | None) -> tuple[Any, ...]:
    """Bytes of each tensor a call makes anew; none where it writes to one it is given."""
    if name is None or line.call.writes or line.call.op.endswith("_"):
        return ()
    return tuple(one.bytes for one in line.call.results)


class Share:
    """A part of a step: its calls, seconds by what bounds them, operations and bytes."""

    def __init__(self) -> None:
        self.calls, self.seconds, self.operations, self.bytes = 0, 0.0, 0, 0
        self.bounds = dict.fromkeys(BOUNDS, 0.0)
        self.views = 0

    def add(self, work: Work, parts: Parts, point: Mapping[str, Any]) -> None:
        """Add equal calls."""
        if work.name is None:
            self.views += work.times
        else:
            self.calls += work.times
        self.seconds += parts.seconds * work.times
        self.operations += at(work.operations, point) * work.times
        self.bytes += at(work.bytes, point) * work.times
        self.bounds[parts.bound] += parts.seconds * work.times

    @property
    def bound(self) -> str:
        """What most of its time is bound by."""
        return max(self.bounds, key=lambda name: self.bounds[name])


def parts_of(work: Work, operations: Any, moved: Any, speeds: Speeds) -> Parts:
    """One call on a device; see the head of this file."""
    if work.name is None:
        return Parts(0.0, 0.0, speeds.view, speeds.view)
    timed = speeds.exact.get((work.name, work.dtype, operations, moved)) if speeds.exact else None
    if timed is not None:
        bound = (timed, 0.0) if operations else (0.0, timed)
        return Parts(*bound, speeds.overhead, timed + speeds.overhead)
    slowdown = speeds.slowdown(work.name, work.dtype)
    slow = slowdown.at(operations, moved) if slowdown else 1.0
    memory = slow * moved / speeds.moving(work.name, work.dtype).at(moved)
    rate = speeds.product(work.name, work.dtype) if multiplies(work.name) else None
    if rate is None:
        return Parts(0.0, memory, speeds.overhead, memory + speeds.overhead)
    compute = slow * operations / rate.at(operations)
    both = smooth(compute, memory, speeds.sharpness)
    return Parts(compute, memory, speeds.overhead, both + speeds.overhead)


def smooth(one: Any, other: Any, sharpness: float) -> Any:
    """``(a**p + b**p)**(1/p)`` without overflow; the plain maximum from :data:`SHARPEST` on."""
    import numpy as np

    more, less = np.maximum(one, other), np.minimum(one, other)
    if sharpness >= SHARPEST:
        return more
    return more * (1 + (less / np.maximum(more, 1e-300)) ** sharpness) ** (1 / sharpness)


def ideal(shares: Durations, phases: Iterable[str], **point: int) -> float | None:
    """Seconds at full peaks and full bandwidth, nothing lost; ``None`` without a data sheet."""
    speeds, here, wanted = shares.speeds, shares.program.point(point), set(phases)
    if not speeds.bandwidth:
        return None
    total = 0.0
    for work in shares.work:
        if work.phase in wanted and work.name is not None:
            peak = speeds.peak(work.dtype) or speeds.peak("float32")
            compute = at(work.operations, here) / peak if peak else 0.0
            total += work.times * max(compute, at(work.bytes, here) / speeds.bandwidth)
    return total


class Seconds(Poly):
    """A time that stands where a formula does: it has a value at every point, and no terms."""

    __slots__ = ("durations", "phases")

    def __init__(self, durations: Durations, phases: Iterable[str]) -> None:
        super().__init__({})
        self.durations, self.phases = durations, tuple(phases)

    def at(self, **values: Any) -> Any:
        """Seconds at numbers or arrays."""
        return self.durations.total(self.phases, **values)

    def __str__(self) -> str:
        return "the sum over all ops"
