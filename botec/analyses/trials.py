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

from botec.analyses.fit import Fit
from botec.analyses.memory import weight_bytes
from botec.errors import OutsideRegime
from botec.report import Trials

KEYS = ("memory.allocated", "memory.peak", "memory.reserved")
MOST_SIZE = 2**20  # where a page's slider ends
MOST_BYTES = 2**53  # what JSON's readers keep to the last digit
BEYOND, OCTAVES = 1.2, 8  # times the largest size whose tensors fit, and far beyond
CORNERS = (1 / 4, 1 / 2, 1, 2, 4)  # of an asked size, where two sizes move at once


@dataclass
class Trial:
    """One program on devices that run it alike, by their titles; ``fine`` sizes an octave.

    The largest size that fits is looked for on the devices ``sharp`` names, on all where it is
    ``None``.
    """

    fits: Mapping[str, Fit]
    fine: int
    sharp: tuple[str, ...] | None = None
    points: dict[tuple[int, ...], None] = field(default_factory=dict)

    @cached_property
    def widest(self) -> Fit:
        """The program on the device with most memory."""
        return max(self.fits.values(), key=lambda one: one.room.usable)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The dimensions."""
        return tuple(self.widest.program.asked)

    def run(self, corners: bool = False) -> Trial:
        """Sizes along every dimension, and the largest of the first that fits; with ``corners`` the
        largest of all, and points where two sizes differ from the asked ones."""
        self.add({})
        ladders = {name: sorted({*self.ladder(name)}) for name in self.names}
        for name, sizes in ladders.items():
            for size in sizes:
                self.add({name: size})
            for fit in self.sharply() if corners or name == self.names[0] else ():
                self.edge(fit, name, sizes)
        if corners and len(self.names) > 1:
            for place in product(*(self.few(name, ladders[name]) for name in self.names)):
                self.add(dict(zip(self.names, place, strict=True)))
        return self

    def sharply(self) -> Iterable[Fit]:
        """The rooms whose largest sizes are looked for, equal ones once."""
        chosen = self.fits if self.sharp is None else self.sharp
        return {self.fits[title].room: self.fits[title] for title in chosen}.values()

    def add(self, sizes: Mapping[str, int]) -> None:
        """One more point, the other sizes as asked."""
        self.points.setdefault(tuple({**self.widest.point, **sizes}.values()))

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
        beyond = min(most, OCTAVES * top)
        return [*rungs(least, top, self.fine, step), *rungs(top, beyond, 1, step), most]

    def few(self, name: str, ladder: list[int]) -> list[int]:
        """Sizes about the asked one, from the least to the largest of a ladder."""
        own = {max(1, round(self.widest.point[name] * share)) for share in CORNERS}
        return sorted({ladder[0], *(one for one in own if ladder[0] <= one <= ladder[-1])})

    def edge(self, fit: Fit, name: str, sizes: list[int]) -> None:
        """The largest of a dimension that fits a device, and the next size, which does not."""
        low, high = 0, sizes[-1] + 1
        places = [-1, len(sizes)]
        while places[1] - places[0] > 1:
            middle = sum(places) // 2
            places[0 if fits_at(fit, name, sizes[middle]) else 1] = middle
        if places[0] >= 0:
            low = sizes[places[0]]
        if places[1] < len(sizes):
            high = sizes[places[1]]
        found = between(fit, name, low, high) if low else 0
        for size in (found, following(fit, name, found)) if found else ():
            self.add({name: size})

    def trials(self, choice: Mapping[str, str]) -> Trials:
        """The rows of all points, and where a device holds less because it has no more."""
        rows = [row for point in sorted(self.points) if (row := self.row(point))]
        within = {title: dict(self.tighter(fit, rows)) for title, fit in self.fits.items()}
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
        fit = self.at(self.widest, point)
        try:
            usage, peak = fit.endless, fit.memory.fullest.bytes
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
    """Sizes from ``least`` to ``top``, ``fine`` in every octave, multiples of ``step``."""
    last, place = 0, 0
    while last < top:
        size = max(least, round(least * 2 ** (place / fine) / step) * step)
        place += 1
        if size > last:
            last = min(size, top)
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
