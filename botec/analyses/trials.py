"""Sizes tried one by one: what the caching allocator holds has no formula, so a page has rows.

More of any size is taken never to need less. Between two rows lies what was not tried; for every
device the largest size that fits and the one after it are rows, so along a dimension the answer is
as sharp as :meth:`botec.analyses.fit.Fit.largest`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

from botec.analyses.fit import Fit
from botec.analyses.kernels.weaving import chosen
from botec.analyses.memory import weight_bytes
from botec.errors import OutsideRegime
from botec.program import Program
from botec.report import Trials

KEYS = ("memory.allocated", "memory.peak", "memory.reserved")
MOST_SIZE = 2**20  # where a page's slider ends
MOST_BYTES = 2**53  # what JSON's readers keep to the last digit
BEYOND, OCTAVES = 1.2, 8  # times the largest size whose tensors fit, and far beyond
CORNERS = (1 / 4, 1 / 2, 1, 2, 4)  # of an asked size, where two sizes move at once


@dataclass
class Trial:
    """One program on devices, by their titles; ``fine`` sizes an octave.

    The largest size that fits is looked for on the devices ``sharp`` names, on all where it is
    ``None``: of the first dimension, and with ``corners`` of all.
    """

    fits: Mapping[str, Fit]
    fine: int
    sharp: tuple[str, ...] | None = None
    corners: bool = False
    points: dict[tuple[int, ...], None] = field(default_factory=dict)
    known: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict)
    chosen: dict[tuple[int, ...], tuple[Any, ...]] = field(default_factory=dict)

    @cached_property
    def widest(self) -> Fit:
        """The program on the device with most memory."""
        return max(self.fits.values(), key=lambda one: one.room.usable)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The dimensions."""
        return tuple(self.widest.program.asked)

    @cached_property
    def ladders(self) -> dict[str, list[int]]:
        """The sizes tried along every dimension, the others as asked."""
        return {name: sorted({*self.ladder(name)}) for name in self.names}

    def laid(self) -> Trial:
        """Sizes along every dimension; with ``corners`` points where two sizes differ from the
        asked ones."""
        self.add({})
        for name, sizes in self.ladders.items():
            for size in sizes:
                self.add({name: size})
        if self.corners and len(self.names) > 1:
            for place in product(*(self.few(name, self.ladders[name]) for name in self.names)):
                self.add(dict(zip(self.names, place, strict=True)))
        return self

    def edged(self, titles: Iterable[str]) -> Trial:
        """The largest of the first dimension that fits on some devices, with ``corners`` of all."""
        for name in self.names if self.corners else self.names[:1]:
            for fit in self.sharply(titles):
                self.edge(fit, name, self.ladders[name])
        return self

    def sharply(self, titles: Iterable[str]) -> Iterable[Fit]:
        """The rooms whose largest sizes are looked for, equal ones once."""
        chosen = [title for title in titles if self.sharp is None or title in self.sharp]
        return {self.fits[title].room: self.fits[title] for title in chosen}.values()

    def alike(self, program: Program) -> bool:
        """Whether a program whose kernels are of another generation is the same at all points.

        Kernels part at large sizes first.
        """
        for point in sorted(self.points, reverse=True):
            if point not in self.chosen:
                self.chosen[point] = self.choices(self.widest.program, point)
            if self.choices(program, point) != self.chosen[point]:
                return False
        return True

    def choices(self, program: Program, point: tuple[int, ...]) -> tuple[Any, ...]:
        """What kernels choose at a point; nothing where a program cannot be asked."""
        sizes = dict(zip(self.names, point, strict=True))
        try:
            return chosen(program.stream(sizes), sizes)
        except OutsideRegime:
            return ()

    def add(self, sizes: Mapping[str, int]) -> None:
        """One more point, the other sizes as asked."""
        self.points.setdefault(self.place(sizes))

    def place(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """A point, the other sizes as asked."""
        return tuple({**self.widest.point, **sizes}.values())

    def ladder(self, name: str) -> list[int]:
        """Sizes from the least to a little beyond the largest that fits, and few up to the last."""
        spans = [self.widest.span(one, name) for one in self.widest.program.streams]
        known = [span for span in spans if span is not None]
        if not any(span.most > span.least for span in known):
            return [self.widest.point[name]]
        step = max(span.step for span in known)
        least = min(span.least * span.step for span in known)
        most = min(max(span.most * span.step for span in known), MOST_SIZE)
        fits = max(self.widest.solve(span) * span.step for span in known)
        top = min(most, max(int(BEYOND * fits) + step, self.widest.point[name]))
        near = [*rungs(least, top, self.fine, step)]
        far = (one for one in rungs(least, min(most, OCTAVES * top), 1, step) if one > near[-1])
        return [*(min(one, most) for one in (*near, *far)), most]

    def few(self, name: str, ladder: list[int]) -> list[int]:
        """Sizes about the asked one, from the least to the largest of a ladder."""
        own = {max(1, round(self.widest.point[name] * share)) for share in CORNERS}
        return sorted({ladder[0], *(one for one in own if ladder[0] <= one <= ladder[-1])})

    def edge(self, fit: Fit, name: str, sizes: list[int]) -> None:
        """The largest of a dimension that fits a device, and the next size, which does not."""
        usable, low, high = fit.room.usable, 0, sizes[-1] + 1
        for size in sizes:
            row = self.row(self.place({name: size}))
            if not row or row[-2] > usable:
                high = size
                break
            if row[-1] <= usable or (not low and fits_at(fit, name, size)):
                low = size
        found = between(fit, name, low, high) if low else 0
        for size in (found, following(fit, name, found)) if found else ():
            self.add({name: size})

    def trials(self, choice: Mapping[str, str], titles: Iterable[str]) -> Trials:
        """The rows of all points, and where a device holds less because it has no more."""
        rows = [row for point in sorted(self.points) if (row := self.row(point))]
        within = {title: dict(self.tighter(self.fits[title], rows)) for title in titles}
        program = self.widest.program
        most = {name: bound for name in self.names if (bound := self.widest.bound(name))}
        step = {
            name: max(one.regime.step.get(name, 1) for one in program.streams)
            for name in self.names
        }
        return Trials(
            choice, self.names, KEYS, tuple(rows),
            {title: one for title, one in within.items() if one}, most, step,
            {"weights": weight_bytes(program)},
        )  # fmt: skip

    def row(self, point: tuple[int, ...]) -> tuple[int, ...]:
        """A point's sizes and what is held there; empty where the program cannot be asked."""
        if point not in self.known:
            self.known[point] = self.found(point)
        return self.known[point]

    def found(self, point: tuple[int, ...]) -> tuple[int, ...]:
        """:meth:`row`, worked out."""
        fit = self.at(self.widest, point)
        try:
            usage, peak = fit.endless, fit.memory.most
        except OutsideRegime:
            return ()
        values = (usage.allocated, peak, usage.reserved)
        return (*point, *values) if max(values) < MOST_BYTES else ()

    def at(self, fit: Fit, point: tuple[int, ...]) -> Fit:
        return fit.at(**dict(zip(self.names, point, strict=True)))

    def tighter(self, fit: Fit, rows: list[tuple[int, ...]]) -> Iterator[tuple[str, int]]:
        """Rows that fit only because the allocator gives its cache back: what it holds there."""
        for number, row in enumerate(rows):
            _, peak, reserved = row[len(self.names) :]
            if reserved > fit.room.usable >= peak:
                found = self.at(fit, row[: len(self.names)]).within
                if found is not None:
                    yield str(number), found.reserved


def rungs(least: int, top: int, fine: int, step: int) -> Iterator[int]:
    """Sizes from ``least`` to the first from ``top`` on, ``fine`` in every octave, multiples of
    ``step``: of the same sizes whatever the top."""
    last, place = 0, 0
    while last < top:
        size = max(least, round(least * 2 ** (place / fine) / step) * step)
        place += 1
        if size > last:
            last = size
            yield last


def fits_at(fit: Fit, name: str, size: int) -> bool:
    """Whether a size fits; one that cannot be asked does not."""
    try:
        return fit.at(**{name: size}).fits
    except OutsideRegime:
        return False


def between(fit: Fit, name: str, low: int, high: int) -> int:
    """The largest size below ``high`` that fits, where ``low`` does."""
    best = low
    for stream in fit.program.streams:
        span = fit.span(stream, name)
        if span is None:
            continue
        least = max(span.least, -(-low // span.step))
        most = min(span.most, (high - 1) // span.step)
        if least <= most:
            best = max(best, fit.largest_within(replace(span, least=least, most=most)))
    return best


def following(fit: Fit, name: str, size: int) -> int:
    """The next size that the program can be asked at, or the same where there is none."""
    steps = [one.regime.step.get(name, 1) for one in fit.program.streams]
    bound = fit.bound(name)
    later = size + max(steps)
    return size if bound is not None and later > bound else later
