"""The peak at many points, each by the choices its kernels make there.

What a kernel takes inside one op is given back before the next, so choices of different ops do not
meet: the peak is the largest of what is alive without them, and of each op's own fullest moment
under the script it has at the point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from botec.analyses.envelope import upper_envelope
from botec.analyses.evaluate import largest, largest_at
from botec.analyses.kernels.choices import Script, cells, settled, somewhere
from botec.analyses.kernels.weaving import Occurrence, Weaving, woven
from botec.analyses.memory import live_of, peak_envelope, row_of
from botec.ops.cuda.look import GIVE, HOST, OUT, TAKE
from botec.poly import Poly, as_poly, plain
from botec.program import BIRTH, DEATH, Stream

PIECE = 2**15  # points at once


@dataclass(frozen=True)
class Parted:
    """A stream with the kernels that choose alike everywhere, and the others' calls apart.

    ``alive`` has, for each call that chooses, what its outputs take, with the formulas whose
    maximum is alive right after it.
    """

    stream: Stream
    alive: Mapping[int, Mapping[tuple[Any, ...], tuple[Poly, ...]]]


@cache
def parted(stream: Stream) -> Parted:
    """A stream in its parts, made once."""
    known = settled(stream)
    weaving = Weaving(stream, known.at(stream, somewhere(stream)), frozenset(known.open))
    base = weaving.woven()
    return Parted(base, alive_after(base, weaving.occurrences))


def alive_after(stream: Stream, occurrences: list[Occurrence]) -> dict[int, Any]:
    """What is alive after the calls that choose: of many formulas those that are ever largest."""
    found: dict[int, dict[tuple[Any, ...], dict[Any, Poly]]] = {}
    waiting = iter(occurrences)
    following = next(waiting, None)
    live: dict[Any, int] = {}
    for event, (kind, index, _) in enumerate([*stream.events(), (-1, 0, 0)]):
        while following is not None and following.event == event:
            poly = Poly(live)
            own = found.setdefault(following.place, {}).setdefault(following.born, {})
            own[frozenset(poly.terms.items())] = poly
            following = next(waiting, None)
        if kind in (BIRTH, DEATH):
            sign = 1 if kind == BIRTH else -1
            for monomial, factor in as_poly(stream.storages[index].bytes).terms.items():
                live[monomial] = live.get(monomial, 0) + sign * factor
    least = stream.regime.least
    return {
        place: {born: upper_envelope(list(own.values()), least) for born, own in by_born.items()}
        for place, by_born in found.items()
    }


def peak_at(stream: Stream, point: dict[str, Any]) -> Any:
    """The peak in bytes at a point that a stream holds at, or at every point of some arrays."""
    if stream.kernels is None:
        return largest_at(peak_envelope(stream), point)
    if all(isinstance(size, int) for size in point.values()):
        there = woven(stream, point)
        return int(live_of(there, row_of(there, point)).max(initial=0))
    import numpy as np

    count = next(iter(point.values())).size
    pieces = [
        peaks(stream, {name: array[start : start + PIECE] for name, array in point.items()})
        for start in range(0, count, PIECE)
    ]
    return np.concatenate(pieces)


def peaks(stream: Stream, point: dict[str, Any]) -> Any:
    """The peak at every point of some arrays, few enough to stay near the processor."""
    import numpy as np

    parts = parted(stream)
    found = largest(peak_envelope(parts.stream), point)
    for place in parts.alive:
        for script, places in cells(stream, place, point):
            there = {name: array[places] for name, array in point.items()}
            own = largest(fullest(stream, place, script), there)
            found = found.astype(np.result_type(found, own), copy=False)
            found[places] = np.maximum(found[places], own)
    return found


@cache
def fullest(stream: Stream, place: int, script: Script) -> tuple[Any, ...]:
    """The formulas whose maximum is alive at a call's fullest moment, under one script."""
    parts = parted(stream)
    polys: dict[Any, Poly] = {}
    for born, alive in parts.alive[place].items():
        made = sum(map(as_poly, born), as_poly(0))
        for moment in moments(script, born):
            for poly in alive:
                whole = poly - made + moment
                polys[frozenset(whole.terms.items())] = whole
    return tuple(map(plain, upper_envelope(list(polys.values()), stream.regime.least)))


def moments(script: Script, born: tuple[Any, ...]) -> list[Poly]:
    """What one op has taken and made at each of its own local peaks."""
    taken: dict[Any, Poly] = {}
    left = dict(enumerate(map(as_poly, born)))
    live, found = as_poly(0), list[Poly]()
    for kind, key, size in [*script, (OUT, None, None)]:
        if kind == TAKE:
            taken[key] = as_poly(size)
            live = live + size
        elif kind == GIVE and key in taken:
            found.append(live)
            live = live - taken.pop(key)
        elif kind == HOST:
            left.pop(key, None)
        elif kind == OUT:
            keys = list(left) if key is None else [key] * (key in left)
            live = sum((left.pop(one) for one in keys), live)
    return [*found, live]
