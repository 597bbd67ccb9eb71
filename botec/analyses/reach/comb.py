"""What a value sees on an axis without ends, in closed form.

Far from the borders a convolutional network repeats itself: what output place ``o + T`` sees is
what ``o`` sees, ``J`` input places further on. A :class:`Comb` keeps the ``T`` different patterns,
each as a set of places. ``J / T`` is the stride (a whole number but behind upsampling); a chain of
windows has one pattern without gaps, whose length is the receptive field of Araujo, Norris & Sim
2019 (https://distill.pub/2019/computing-receptive-fields, eqs 2 and 5-12). Dilation leaves gaps,
branches that do not line up give several patterns or gaps: here they are kept as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from botec.ops.reach.steps import SAME, Step

Pattern = tuple[int, int]  # the first place, and a set of places counted from it (bit 0 is set)
EMPTY: Pattern = (0, 0)
MOST = 1024  # patterns; what takes more is left to the field


@dataclass(frozen=True)
class Comb:
    """Along the value's axis ``axis``: ``patterns`` repeat after ``jump`` input places.

    Where the axis holds other axes as well (tokens: rows and columns in one), a place of the comb
    stands for ``inner`` entries in a row, and the whole comes ``outer`` times.
    """

    axis: int
    jump: int
    patterns: tuple[Pattern, ...]
    outer: int = 1
    inner: int = 1

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it runs: combs unite only there."""
        return (self.axis, self.outer, self.inner)

    @property
    def period(self) -> int:
        """Output places until it repeats."""
        return len(self.patterns)

    @property
    def stride(self) -> Fraction:
        """Input places to one output place."""
        return Fraction(self.jump, self.period)

    def at(self, place: int) -> Pattern:
        """What one output place sees."""
        turns, rest = divmod(place, self.period)
        first, places = self.patterns[rest]
        return (first + turns * self.jump, places) if places else EMPTY

    def hull(self, place: int) -> tuple[int, int] | None:
        """The first and the last place it sees; ``None`` where it sees nothing."""
        first, places = self.at(place)
        return (first, first + places.bit_length() - 1) if places else None

    @property
    def sizes(self) -> tuple[int, ...]:
        """From the first place seen to the last, one size for each pattern."""
        return tuple(places.bit_length() for _, places in self.patterns)

    @property
    def size(self) -> int:
        """The largest of them: the receptive field."""
        return max(self.sizes)

    @property
    def seen(self) -> int:
        """How many places within it are really seen, at most."""
        return max(places.bit_count() for _, places in self.patterns)

    @property
    def gaps(self) -> bool:
        """Whether some place within it is not seen."""
        return any(places.bit_count() < places.bit_length() for _, places in self.patterns)

    @property
    def start(self) -> int:
        """The first place that output place 0 sees, negative in the padding."""
        first, places = self.patterns[0]
        return first if places else min(f for f, p in self.patterns if p)

    @property
    def centre(self) -> Fraction:
        """The middle of what output place 0 sees."""
        return Fraction(2 * self.start + self.patterns[0][1].bit_length() - 1, 2)

    def moved(self, axis: int, outer: int = 1, inner: int = 1) -> Comb:
        """The same along another axis of a value."""
        return Comb(axis, self.jump, self.patterns, outer, inner)


def own(axis: int) -> Comb:
    """The input itself."""
    return Comb(axis, 1, ((0, 1),))


def united(patterns: list[Pattern]) -> Pattern:
    """All places of several patterns."""
    full = [pattern for pattern in patterns if pattern[1]]
    if not full:
        return EMPTY
    first = min(start for start, _ in full)
    places = 0
    for start, own_places in full:
        places |= own_places << (start - first)
    return first, places


def stepped(comb: Comb, step: Step, axis: int) -> Comb | None:
    """The comb of an output that walks this one; ``None`` where nothing repeats in reach."""
    if step is SAME:
        return comb.moved(axis, comb.outer, comb.inner)
    pace = step.pace
    if pace is None or comb.outer * comb.inner > 1:
        return None
    turns = comb.period // gcd(comb.period, pace[0])
    period, jump = turns * pace[1], comb.jump * turns * pace[0] // comb.period
    if period > MOST:
        return None
    patterns = [united([comb.at(i) for i in step.taps(place)]) for place in range(period)]
    return shortest(axis, jump, patterns)


def merged(one: Comb, two: Comb) -> Comb | None:
    """Both at once, at the same output place; ``None`` where they drift apart."""
    if one.stride != two.stride or one.place != two.place:
        return None
    period = lcm(one.period, two.period)
    if period > MOST:
        return None
    patterns = [united([one.at(place), two.at(place)]) for place in range(period)]
    found = shortest(one.axis, one.jump * period // one.period, patterns)
    return found and found.moved(*one.place)


def shortest(axis: int, jump: int, patterns: list[Pattern]) -> Comb | None:
    """With the least number of patterns; ``None`` where there is nothing to see."""
    if not any(places for _, places in patterns):
        return None
    period = len(patterns)
    for short in range(1, period):
        if period % short or jump * short % period:
            continue
        step = jump * short // period
        if all(
            patterns[place + short] == moved(patterns[place], step)
            for place in range(period - short)
        ):
            return Comb(axis, step, tuple(patterns[:short]))
    return Comb(axis, jump, tuple(patterns))


def moved(pattern: Pattern, by: int) -> Pattern:
    """The same places further on."""
    return (pattern[0] + by, pattern[1]) if pattern[1] else EMPTY
