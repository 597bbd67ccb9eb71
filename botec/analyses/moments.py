"""The moments of a step at which memory is fullest, named so that other depths have them too.

A moment is told by its phase, its op and its module, and by which time it is that this op runs
there. What is counted (layers, times) is counted from the first or from the last, whichever is
nearer: of twelve layers and of forty, one is the last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botec.poly import Poly, as_poly
from botec.program import BIRTH, DEATH, OP, PHASES, Program, Stream


@dataclass(frozen=True)
class Place:
    """An op's occurrence: its phase, its name, its module's place, and the how-manieth it is."""

    phase: str
    op: str
    module: str
    time: int


def moments(program: Program, stream: Stream) -> dict[str, Poly]:
    """Live bytes as formulas at every local maximum of the timeline, by the moment's name."""
    modules = module_places(program.scopes)
    times: Counter[tuple[str, str, str]] = Counter()
    found: list[tuple[Place, int, Poly]] = []
    live: dict[Any, int] = {}
    phase, rising, within, place = PHASES[0], False, 0, Place("start", "", "", 0)
    for kind, index, scope in stream.events():
        if kind in (BIRTH, DEATH):
            if kind == DEATH and rising:
                found.append((place, within, Poly(live)))
                within += 1
            rising = kind == BIRTH
            sign = 1 if rising else -1
            for monomial, factor in as_poly(stream.storages[index].bytes).terms.items():
                live[monomial] = live.get(monomial, 0) + sign * factor
        elif kind == OP:
            key = (phase, stream.calls[index].op, modules[scope])
            place, within = Place(*key, times[key]), 0
            times[key] += 1
        else:
            phase = PHASES[index] if index < len(PHASES) else "end"
    if rising or not found:
        found.append((place, within, Poly(live)))
    return {named(one, within, times): poly for one, within, poly in found}


def named(place: Place, within: int, times: Counter[tuple[str, str, str]]) -> str:
    """``"backward aten.mm layers.-1.mlp 0 0"``."""
    count = times[place.phase, place.op, place.module]
    time = nearer(place.time, max(count, 1))
    return f"{place.phase} {place.op} {place.module} {time} {within}"


def nearer(place: int, count: int) -> int:
    """A place counted from the first, or (below zero) from the last, whichever is nearer."""
    return place if 2 * place < count else place - count


def module_places(scopes: Iterable[str]) -> tuple[str, ...]:
    """``"layers.-1.mlp"`` for ``"layers.11.mlp"`` of twelve."""
    scopes = tuple(scopes)
    counts: Counter[str] = Counter()
    for path in scopes:
        parent, _, last = path.rpartition(".")
        counts[parent] += last.isdigit()
    return tuple(".".join(parts_of(path, counts)) for path in scopes)


def parts_of(path: str, counts: Counter[str]) -> Iterable[str]:
    parts = path.split(".") if path else []
    for place, part in enumerate(parts):
        parent = ".".join(parts[:place])
        yield str(nearer(int(part), counts[parent])) if part.isdigit() else part
