"""What one value sees on one axis, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from botec.analyses.reach.comb import Comb
from botec.analyses.reach.walk import EVERYTHING, Walk


@dataclass(frozen=True)
class Seen:
    """One value's reach along one input axis of ``given`` places.

    ``size`` is its receptive field, from the first place to the last, on an axis without ends
    (where there is no closed form, in the real picture: ``closed`` is false); ``sizes`` are all
    that occur, where outputs differ. ``stride`` is input places to one output place, ``padding``
    how far output 0 reaches out before the picture, ``centre`` the middle of what it sees.
    ``dense`` is how many places within ``size`` are really seen. ``made`` is the value's own number
    of places, ``covered`` the most places of the real picture one entry sees, ``border`` the share
    of output places that reach out of it. ``exact`` is false where the field is an upper bound.
    """

    number: int
    scope: str
    given: int
    size: int
    covered: int
    closed: bool
    exact: bool
    sizes: tuple[int, ...] = ()
    stride: Fraction | None = None
    padding: int | None = None
    centre: Fraction | None = None
    dense: int | None = None
    made: int | None = None
    border: float | None = None

    @property
    def whole(self) -> bool:
        """Whether some entry sees every place of the picture."""
        return self.covered == self.given


def seen(walk: Walk, number: int) -> Seen | None:
    """What a value sees; ``None`` where it sees nothing of the axis."""
    if number not in walk.fields:
        return None
    state = walk.states[number]
    common: dict[str, Any] = {
        "number": number,
        "scope": walk.maker(number),
        "given": walk.sets.size,
        "covered": covered(walk, number),
        "exact": number not in walk.bounds,
    }
    if not isinstance(state, Comb):
        size = hull(walk, number)
        return Seen(size=size, closed=state == EVERYTHING and size == walk.sets.size, **common)
    made = walk.graph.values[number].shape[state.axis] // (state.outer * state.inner)
    return Seen(
        size=state.size,
        closed=True,
        sizes=tuple(sorted(set(state.sizes))),
        stride=state.stride,
        padding=-state.start,
        centre=state.centre,
        dense=state.seen,
        made=made,
        border=border(state, made, walk.sets.size),
        **common,
    )


def masks(walk: Walk, number: int) -> list[int]:
    """The different sets a value's entries see."""
    import numpy

    return [walk.sets.masks[int(one)] for one in numpy.unique(walk.fields[number])]


def covered(walk: Walk, number: int) -> int:
    """The most places one entry sees."""
    return max(one.bit_count() for one in masks(walk, number))


def hull(walk: Walk, number: int) -> int:
    """The longest stretch from the first place seen to the last."""
    return max(one.bit_length() - low(one) for one in masks(walk, number) if one)


def low(mask: int) -> int:
    """The first place of a set."""
    return (mask & -mask).bit_length() - 1


def border(state: Comb, made: int, given: int) -> float:
    """The share of output places that see beyond an end of the picture: padding, not picture."""
    outside = 0
    for place in range(made):
        edges = state.hull(place)
        outside += edges is not None and (edges[0] < 0 or edges[1] >= given)
    return outside / made if made else 0.0


def channels(walk: Walk, number: int) -> tuple[int, int]:
    """The least and the most places of the real picture that entries at the middle place see."""
    import numpy

    state, field = walk.states[number], walk.fields[number]
    if isinstance(state, Comb) and field.shape[state.axis] > 1:
        field = field.take(field.shape[state.axis] // 2, state.axis)
    counts = [walk.sets.masks[int(one)].bit_count() for one in numpy.unique(field)]
    return min(counts), max(counts)


def causal(walk: Walk, number: int) -> bool:
    """Whether output place ``o`` of some axis sees no input place after ``o``."""
    import numpy

    field = walk.fields[number]
    varying = [axis for axis, size in enumerate(field.shape) if size == walk.sets.size]
    for axis in varying:
        rows = numpy.moveaxis(field, axis, 0).reshape(walk.sets.size, -1)
        tops = [
            max(walk.sets.masks[int(one)].bit_length() for one in numpy.unique(row)) for row in rows
        ]
        if all(top <= place + 1 for place, top in enumerate(tops)):
            return True
    return False
