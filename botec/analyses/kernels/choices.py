"""What kernels' host code chooses, at one point or over many at once.

Over many points a rule runs once for the first of them. Every comparison it makes is answered for
that point; the others that would be answered alike stay with it. Those left over are asked next, so
each point gets the script its own sizes lead to, and no point is looked at twice for one script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from botec.analyses.envelope import shift
from botec.ops.cuda import rules
from botec.ops.cuda.look import AtPoint, Look, Number, Step
from botec.poly import Floor, Poly, as_poly, at, plain, symbol
from botec.program import Program, Stream

Script = tuple[Step, ...]
LARGEST = 2**62  # of whole numbers in arrays


class Points:
    """Many points: comparisons are answered for the first, ``alike`` says who agrees with it.

    ``alike`` is ``None`` as long as nothing was asked that the formulas do not answer by themselves
    for all sizes from the ``least`` on.
    """

    def __init__(self, arrays: Mapping[str, Any], least: Mapping[str, int]) -> None:
        self.arrays, self.alike = arrays, None
        self.known: dict[Poly, Any] = {}
        self.least = tuple(sorted(least.items()))
        self.top = {name: int(array.max()) for name, array in arrays.items()}

    def number(self, size: Any) -> Any:
        """A size to compare by."""
        bare = plain(size)
        return Number(bare, self) if isinstance(bare, Poly) else bare

    def positive(self, poly: Any) -> bool:
        """Whether a formula is above zero."""
        sign = sign_of(as_poly(poly), self.least)
        return sign == 1 if sign is not None else self.agreed(self.values(poly) > 0)

    def zero(self, poly: Any) -> bool:
        """Whether a formula is zero."""
        sign = sign_of(as_poly(poly), self.least)
        return sign == 0 if sign is not None else self.agreed(self.values(poly) == 0)

    def settle(self, number: Any, divisor: Any) -> int:
        """A quotient as the number it is at the first point."""
        values = self.values(number) // self.values(divisor)
        self.agreed(values == values[0])
        return int(values[0])

    def agreed(self, answers: Any) -> bool:
        """The first point's answer; who answers otherwise leaves."""
        same = answers == answers[0]
        self.alike = same if self.alike is None else self.alike & same
        return bool(answers[0])

    def values(self, poly: Any) -> Any:
        """A formula at every point, in whole numbers without limit where 64 bits do not do."""
        import numpy as np

        sizes = as_poly(poly)
        if sizes in self.known:
            return self.known[sizes]
        most = at(Poly({key: abs(factor) for key, factor in sizes.terms.items()}), self.top)
        kind = np.int64 if most < LARGEST else object
        arrays = {name: array.astype(kind, copy=False) for name, array in self.arrays.items()}
        shape = next(iter(arrays.values())).shape
        self.known[sizes] = np.broadcast_to(sizes.at(**arrays), shape)
        return self.known[sizes]


@lru_cache(maxsize=65536)
def sign_of(poly: Poly, least: tuple[tuple[str, int], ...]) -> int | None:
    """The sign a formula has wherever its regime holds: 1, 0, -1, or ``None`` for unknown.

    Counted from the least sizes, a formula without negative coefficients never falls.
    """
    terms = {key: factor for key, factor in shift(poly, dict(least)).items() if factor}
    atoms = {name for key in terms for name, _ in key if not isinstance(name, str)}
    if not all(never_negative(atom, least) for atom in atoms):
        return None
    first = terms.pop((), 0)
    if not terms:
        return (first > 0) - (first < 0)
    if first > 0 and all(factor > 0 for factor in terms.values()):
        return 1
    return -1 if first < 0 and all(factor < 0 for factor in terms.values()) else None


def never_negative(atom: Any, least: tuple[tuple[str, int], ...]) -> bool:
    """Whether an atom is known to be at least zero wherever the regime holds."""
    if not isinstance(atom, Floor):
        return False
    inside = as_poly(symbol(atom.base) if isinstance(atom.base, str) else atom.base) + atom.shift
    return not inside or sign_of(inside + 1, least) == 1


def look(stream: Stream, place: int, where: Any) -> Look:
    """A call of a stream as its rule sees it."""
    kernels = stream.kernels
    assert kernels is not None
    return Look(stream.calls[place], kernels.strides[place], kernels.capability, where)


def ruled(stream: Stream) -> list[int]:
    """The places of calls whose kernels have a rule."""
    return [place for place, call in enumerate(stream.calls) if call.op in rules.RULES]


def script(stream: Stream, place: int, where: Any) -> Script:
    """The steps of one call's kernel, sizes as plain formulas."""
    steps = rules.RULES[stream.calls[place].op](look(stream, place, where))
    return tuple((kind, key, bare(size)) for kind, key, size in steps)


def bare(size: Any) -> Any:
    """A size without the points it was chosen at."""
    return plain(size.bare() if isinstance(size, Number) else size)


def script_at(stream: Stream, place: int, point: Mapping[str, int]) -> Script:
    """The steps one call's kernel takes at a point."""
    return script(stream, place, AtPoint(point))


def cells(stream: Stream, place: int, arrays: Mapping[str, Any]) -> Iterator[tuple[Script, Any]]:
    """Every script a call's kernel takes at some of the points, with the places of those."""
    import numpy as np

    left = np.arange(next(iter(arrays.values())).size)
    while left.size:
        points = Points({n: array[left] for n, array in arrays.items()}, stream.regime.least)
        found = script(stream, place, points)
        if points.alike is None:
            yield found, left
            return
        yield found, left[points.alike]
        left = left[~points.alike]


def fixed_script(stream: Stream, place: int, point: Mapping[str, int]) -> Script | None:
    """The script of a call whose kernel chooses alike wherever the stream holds, else ``None``."""
    import numpy as np

    points = Points({n: np.array([size]) for n, size in point.items()}, stream.regime.least)
    found = script(stream, place, points)
    return found if points.alike is None else None


@dataclass(frozen=True)
class Settled:
    """Scripts of calls by place: those that are ``fixed`` wherever a stream holds, and the places
    of the ``open`` ones, which sizes decide."""

    fixed: Mapping[int, Script]
    open: tuple[int, ...]

    def at(self, stream: Stream, point: Mapping[str, int]) -> dict[int, Script]:
        """All scripts as they are at a point, in the order of the calls."""
        if not self.open:
            return dict(self.fixed)
        return {
            place: self.fixed[place] if place in self.fixed else script_at(stream, place, point)
            for place in ruled(stream)
        }


def somewhere(stream: Stream) -> dict[str, int]:
    """A point at which a stream holds."""
    regime = stream.regime
    first: Mapping[str, int] = regime.fitted[0] if regime.fitted else {}
    return {**regime.least, **regime.fixed, **first}


@cache
def settled(stream: Stream) -> Settled:
    """Which kernels of a stream choose alike everywhere, found once."""
    point = somewhere(stream)
    if not point:
        return Settled({}, tuple(ruled(stream)))
    tried = {place: fixed_script(stream, place, point) for place in ruled(stream)}
    fixed = {place: one for place, one in tried.items() if one is not None}
    return Settled(fixed, tuple(place for place in tried if place not in fixed))


def representative(program: Program, stream: Stream) -> dict[str, int]:
    """The point at which a stream's formulas are written: the asked one, where it holds there."""
    regime = stream.regime
    if regime.holds(program.asked):
        return dict(program.asked)
    first: Mapping[str, int] = regime.fitted[0] if regime.fitted else {}
    return {**program.asked, **regime.least, **regime.fixed, **first}
