"""How an output axis walks over an input axis: the words facts about reach are written in.

A step says which places ``i`` of one input axis the output place ``o`` reads:

* :meth:`Step.taps` on an axis without ends, whole numbers of either sign: the rule itself;
* :meth:`Step.rows` between the ends of a real axis: what is left of it there (padding reads
  nothing, an edge is read again);
* :attr:`Step.pace`, ``(in, out)``: moving the output by ``out`` places moves what it reads by
  ``in`` places, or ``None`` where nothing repeats;
* :meth:`Step.needed`: the smallest input axis that gives so many output places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any

Rows = tuple[Any, Any]  # places (outputs, taps) and which of them are there


@dataclass(frozen=True)
class Step:
    """One place to one place: ``o`` reads ``o``."""

    @property
    def pace(self) -> tuple[int, int] | None:
        """``(in, out)``, or ``None``."""
        return (1, 1)

    def taps(self, place: int) -> list[int]:
        """The places an output place reads on an axis without ends."""
        return [place]

    def rows(self, given: int, made: int) -> Rows:
        """Places read by each of ``made`` outputs among ``given`` inputs, and a mask of them."""
        import numpy

        found = [self.taps(place) for place in range(made)]
        most = max(map(len, found), default=0)
        places = numpy.zeros((made, max(most, 1)), dtype=numpy.int64)
        inside = numpy.zeros(places.shape, dtype=bool)
        for row, taps in enumerate(found):
            places[row, : len(taps)] = taps
            inside[row, : len(taps)] = True
        inside &= (places >= 0) & (places < given)
        return places.clip(0, max(given - 1, 0)), inside

    def needed(self, made: int) -> int:
        """The smallest input axis for ``made`` outputs."""
        return made


SAME = Step()


@dataclass(frozen=True)
class Window(Step):
    """A strided window: ``o`` reads ``s o - p + d j`` for ``j < kernel``. Slices are windows of 1.

    ``after`` is the padding at the far end; ``slack``, what the far end may stick out (ceil mode).
    """

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    after: int = 0
    slack: int = 0

    @property
    def pace(self) -> tuple[int, int]:
        """The stride, for every output."""
        return (self.stride, 1)

    @property
    def span(self) -> int:
        """From the first tap to the last."""
        return self.dilation * (self.kernel - 1) + 1

    def taps(self, place: int) -> list[int]:
        """``s o - p + d j``."""
        first = self.stride * place - self.padding
        return list(range(first, first + self.span, self.dilation))

    def rows(self, given: int, made: int) -> Rows:
        """As :meth:`taps`, in one stroke."""
        import numpy

        first = numpy.arange(made)[:, None] * self.stride - self.padding
        places = first + numpy.arange(self.kernel)[None] * self.dilation
        inside = (places >= 0) & (places < given)
        return places.clip(0, max(given - 1, 0)), inside

    def needed(self, made: int) -> int:
        """``S (W_out - 1) + D (K - 1) + 1 - P - P'``, at least 1; ceil mode takes less."""
        whole = self.stride * (made - 1) + self.span - self.padding - self.after - self.slack
        least = max(1, whole)
        if self.slack:  # the last window must start inside the padded input
            least = max(least, self.stride * (made - 1) + 1 - self.padding)
        return least


@dataclass(frozen=True)
class Spread(Step):
    """A transposed window: ``o`` reads ``i`` where ``i s - p + d j = o`` for a ``j < kernel``."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    more: int = 0

    @property
    def pace(self) -> tuple[int, int]:
        """One input for every ``stride`` outputs."""
        return (1, self.stride)

    def taps(self, place: int) -> list[int]:
        """``(o + p - d j) / s`` where that is whole."""
        shifted = (place + self.padding - self.dilation * j for j in range(self.kernel))
        return sorted({one // self.stride for one in shifted if one % self.stride == 0})

    def needed(self, made: int) -> int:
        """The smallest ``W`` with ``(W - 1) S - 2 P + D (K - 1) + 1 + more >= W_out``."""
        span = self.dilation * (self.kernel - 1) + 1
        return max(1, -(-(made + 2 * self.padding - span - self.more) // self.stride) + 1)


@dataclass(frozen=True)
class Resampled(Step):
    """``given`` places become ``made``: ``weigh(o)`` says what it reads there.

    At the ends a place outside is the last one inside; ``ends`` says what is read there instead,
    where the kernel has a rule of its own.
    """

    given: int
    made: int
    weigh: Callable[[int], list[int]]
    repeats: bool = True
    ends: Callable[[int], list[int]] | None = None

    @property
    def pace(self) -> tuple[int, int] | None:
        """``(given, made)``, divided by what they share."""
        if not self.repeats:
            return None
        shared = gcd(self.given, self.made)
        return (self.given // shared, self.made // shared)

    def taps(self, place: int) -> list[int]:
        """What ``weigh`` says."""
        return self.weigh(place)

    def rows(self, given: int, made: int) -> Rows:
        """As :meth:`Step.rows`, the ends read again instead of what is outside."""
        import numpy

        read = self.ends or self.weigh
        found = [[min(max(i, 0), given - 1) for i in read(place)] for place in range(made)]
        most = max(map(len, found), default=1)
        places = numpy.array([row + [row[-1]] * (most - len(row)) for row in found])
        return places, numpy.ones(places.shape, dtype=bool)

    def needed(self, made: int) -> int:
        """One place is enough for any size that is given outright."""
        return 1


@dataclass(frozen=True)
class Shares(Step):
    """Channel groups: ``o`` reads all ``reads`` places of its group of ``makes`` outputs."""

    reads: int
    makes: int

    @property
    def pace(self) -> tuple[int, int]:
        """A group for a group."""
        return (self.reads, self.makes)

    def taps(self, place: int) -> list[int]:
        """All places of the output's group."""
        first = place // self.makes * self.reads
        return list(range(first, first + self.reads))

    def needed(self, made: int) -> int:
        """Whole groups."""
        return -(-made // self.makes) * self.reads


@dataclass(frozen=True)
class Laid(Step):
    """One of several pieces laid end to end: ``o`` reads ``o - start``, if that is the piece's."""

    start: int
    size: int

    @property
    def pace(self) -> None:
        """Beyond its own piece nothing is read."""
        return None

    def taps(self, place: int) -> list[int]:
        """The place in its piece."""
        inside = self.start <= place < self.start + self.size
        return [place - self.start] if inside else []

    def rows(self, given: int, made: int) -> Rows:
        """As :meth:`taps`, in one stroke."""
        import numpy

        places = numpy.arange(made)[:, None] - self.start
        inside = (places >= 0) & (places < self.size)
        return places.clip(0, max(given - 1, 0)), inside

    def needed(self, made: int) -> int:
        """What the others leave."""
        return max(1, made - self.start)


@dataclass(frozen=True)
class Upto(Step):
    """Everything before and including ``o + shift``: running sums, causal attention."""

    shift: int = 0

    @property
    def pace(self) -> None:
        """The first place is always read."""
        return None

    def taps(self, place: int) -> list[int]:
        """From the start."""
        return list(range(place + self.shift + 1))


@dataclass(frozen=True)
class Listed(Step):
    """Any table: the places each output place reads, one row for each."""

    table: tuple[tuple[int, ...], ...]

    @property
    def pace(self) -> None:
        """Nothing is said of what repeats."""
        return None

    def taps(self, place: int) -> list[int]:
        """The row of the table."""
        return list(self.table[place]) if 0 <= place < len(self.table) else []

    def needed(self, made: int) -> int:
        """A size for which the table was written."""
        return made


@dataclass(frozen=True)
class Edged(Step):
    """Padding by the picture's own places: ``o`` reads ``o - before``, folded back at the ends."""

    before: int
    reflect: bool

    def taps(self, place: int) -> list[int]:
        """The place itself, as if there were no end."""
        return [place - self.before]

    def rows(self, given: int, made: int) -> Rows:
        """Reflected at the ends, or the end again."""
        import numpy

        places = numpy.arange(made) - self.before
        if self.reflect:
            places = numpy.abs(places)
            places = numpy.where(places >= given, 2 * (given - 1) - places, places)
        places = places.clip(0, given - 1)[:, None]
        return places, numpy.ones(places.shape, dtype=bool)

    def needed(self, made: int) -> int:
        """Without its padding, and no less than a reflection needs."""
        return max(1, made - 2 * self.before, self.before + 1 if self.reflect else 1)
