"""Where one formula passes another for good: exactly, in whole numbers.

A polynomial's differences are polynomials of one degree less, so its sign is found from theirs by
bisection between the places where they change. Floors repeat with a period: on each of its
residues the formula is a polynomial (a quasi-polynomial). Values stay whole numbers throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import comb
from typing import Any, TypeAlias

from botec.analyses.asymptote import degree, in_logarithm, period

Gap: TypeAlias = Callable[[int], Any]
Runs: TypeAlias = list[tuple[int, int]]  # (from, sign), one after the other; the last has no end

MOST_PERIOD = 4096  # residues tried one by one; beyond it lies no network's stride
FARTHEST = 2**62


def passes(
    high: Any, low: Any, name: str, point: dict[str, int], start: int = 1, end: int = FARTHEST
) -> int | None:
    """The least size ≥ ``start`` of a dimension from which ``high`` ≥ ``low`` everywhere beyond.

    ``point`` gives the other dimensions their values. ``None`` where there is no such size. With
    logarithms, "everywhere" is as far as ``end``.
    """
    gap = high - low

    def at(size: int) -> Any:
        return gap.at(**{**point, name: size}) if hasattr(gap, "at") else gap

    if in_logarithm(gap, name):
        return passed_once(at, start, end)
    repeat = period(gap, name)
    if repeat > MOST_PERIOD:
        return passed_once(at, start, end)
    return passed_exactly(at, start, repeat, degree(gap, name))


def passed_exactly(gap: Gap, start: int, repeat: int, power: int) -> int | None:
    """The least size from which ``gap`` is never negative; a quasi-polynomial of that period."""
    found = start
    for residue in range(repeat):
        first = start + residue
        runs = signs(newton([gap(first + repeat * step) for step in range(power + 1)]))
        if runs[-1][1] < 0:
            return None
        negative = [end for (_, sign), (end, _) in pairwise(runs) if sign < 0]
        if negative:
            found = max(found, first + repeat * (negative[-1] - 1) + 1)
    return found


def newton(values: Sequence[int]) -> list[int]:
    """Forward differences at zero: ``f(q)`` is the sum of ``difference[k] * C(q, k)``."""
    differences, row = [], list(values)
    while row:
        differences.append(row[0])
        row = [after - before for before, after in pairwise(row)]
    while len(differences) > 1 and not differences[-1]:
        differences.pop()
    return differences


def value(differences: Sequence[int], place: int) -> int:
    return sum(factor * comb(place, power) for power, factor in enumerate(differences))


def signs(differences: Sequence[int]) -> Runs:
    """The runs of equal sign of the polynomial at 0, 1, 2, …"""
    if len(differences) == 1:
        return [(0, sign_of(differences[0]))]
    slopes = signs(differences[1:])
    runs: Runs = []
    for place, (begin, _) in enumerate(slopes):
        end = slopes[place + 1][0] if place + 1 < len(slopes) else None
        for found in monotone(differences, begin, end):
            if not runs or runs[-1][1] != found[1]:
                runs.append(found)
    return runs


def monotone(differences: Sequence[int], begin: int, end: int | None) -> Runs:
    """The runs in a stretch where the polynomial only rises, or only falls."""
    last = end if end is not None else unbounded(differences, begin)
    runs = [(begin, sign_of(value(differences, begin)))]
    final = sign_of(value(differences, last))
    while runs[-1][1] != final:
        low, high, sign = runs[-1][0], last, runs[-1][1]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (
                (middle, high) if sign_of(value(differences, middle)) == sign else (low, middle)
            )
        runs.append((high, sign_of(value(differences, high))))
    return runs


def unbounded(differences: Sequence[int], begin: int) -> int:
    """A place beyond which a stretch that has no end keeps the sign of its highest power."""
    sign, step = sign_of(differences[-1]), 1
    while sign_of(value(differences, begin + step)) != sign:
        step *= 2
    return begin + step


def sign_of(number: Any) -> int:
    return (number > 0) - (number < 0)


def passed_once(gap: Gap, start: int, end: int) -> int | None:
    """The last change to non-negative, sought on a grid of 16 sizes an octave, then bisected."""
    sizes, size = [start], float(max(start, 1))
    while size < end:
        size *= 2 ** (1 / 16)
        if int(size) > sizes[-1]:
            sizes.append(min(int(size), end))
    behind = [place for place, each in enumerate(sizes) if gap(each) < 0]
    if not behind:
        return start
    if behind[-1] == len(sizes) - 1:
        return None
    low, high = sizes[behind[-1]], sizes[behind[-1] + 1]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if gap(middle) < 0 else (low, middle)
    return high
