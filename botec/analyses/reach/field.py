"""What every entry of a value sees on one input axis, between the ends of the real picture.

A field is an array of set numbers (:mod:`botec.analyses.reach.sets`) that broadcasts to the value's
shape. The functions here carry fields through what an op reads.
"""

from __future__ import annotations

from math import prod
from typing import Any

from botec.analyses.reach.sets import NOTHING, Sets, compact
from botec.ops.reach import GONE, Axes, Link, Reshaped
from botec.ops.reach.steps import SAME, Step, Upto

Shape = tuple[int, ...]


def through(sets: Sets, field: Any, link: Link, given: Shape, made: Shape) -> Any:
    """The field of an output that reads an argument of shape ``given`` by ``link``."""
    if isinstance(link, Axes):
        return compact(axes(sets, field, link, given, made))
    if isinstance(link, Reshaped):
        return compact(reshaped(field, given, made))
    return whole(sets, field, len(made))


def whole(sets: Sets, field: Any, rank: int) -> Any:
    """Every entry sees all that any entry saw."""
    import numpy

    return numpy.full((1,) * rank, sets.all_of(field), dtype=numpy.int64)


def axes(sets: Sets, field: Any, link: Axes, given: Shape, made: Shape) -> Any:
    """Axis by axis: walked, or read whole; then laid out as the output's axes."""
    for axis in range(field.ndim):
        to, step = link.walked.get(axis, (None, SAME))
        if to is None:
            field = sets.over(field, axis)
        elif to == GONE:
            field = walked(sets, field, axis, step, given[axis], 1)
        elif step is not SAME:
            field = walked(sets, field, axis, step, given[axis], made[to])
    kept = sorted(
        (axis for axis, (to, _) in link.walked.items() if to != GONE),
        key=lambda axis: link.walked[axis][0],
    )
    shape = [1] * link.rank
    for axis in kept:
        shape[link.walked[axis][0]] = field.shape[axis]
    gone = [axis for axis in range(field.ndim) if axis not in kept]
    field = field.transpose(*kept, *gone).reshape(shape)
    return field if link.only is None else at_one_place(field, *link.only, made)


def at_one_place(field: Any, axis: int, place: int, made: Shape) -> Any:
    """Seen at one place of a new axis only."""
    import numpy

    shape = [made[a] if a == axis else size for a, size in enumerate(field.shape)]
    found = numpy.full(shape, NOTHING, dtype=numpy.int64)
    numpy.moveaxis(found, axis, 0)[place] = numpy.moveaxis(field, axis, 0)[0]
    return found


def walked(sets: Sets, field: Any, axis: int, step: Step, given: int, made: int) -> Any:
    """One axis walked by a step: the union of what each output place reads."""
    import numpy

    if isinstance(step, Upto) and not step.shift and field.shape[axis] > 1:
        return running(sets, field, axis)
    places, inside = step.rows(given, made)
    if field.shape[axis] == 1:
        reads = inside.any(1)
        if reads.all():
            return field
        shape = [-1 if a == axis else 1 for a in range(field.ndim)]
        return numpy.where(reads.reshape(shape), field, NOTHING)
    moved = numpy.moveaxis(field, axis, -1)
    if places.shape[1] <= 16:
        found = numpy.where(inside[:, 0], moved[..., places[:, 0]], NOTHING)
        for tap in range(1, places.shape[1]):
            more = numpy.where(inside[:, tap], moved[..., places[:, tap]], NOTHING)
            found = sets.join(found, more)
    else:
        found = sets.over(numpy.where(inside, moved[..., places], NOTHING), moved.ndim)[..., 0]
    return numpy.moveaxis(found, -1, axis)


def running(sets: Sets, field: Any, axis: int) -> Any:
    """Every place sees what those before it see."""
    import numpy

    if field.size == field.shape[axis]:
        return plain_running(sets, field)
    found = [field.take([0], axis)]
    for place in range(1, field.shape[axis]):
        found.append(sets.join(found[-1], field.take([place], axis)))
    return numpy.concatenate(found, axis)


def plain_running(sets: Sets, field: Any) -> Any:
    """The same where nothing else varies."""
    import numpy

    numbers = [int(one) for one in field.reshape(-1)]
    for place in range(1, len(numbers)):
        numbers[place] = sets.union(numbers[place - 1], numbers[place])
    return numpy.array(numbers).reshape(field.shape)


def reshaped(field: Any, given: Shape, made: Shape) -> Any:
    """The same entries in the same order: only groups of axes that vary are spelled out."""
    import numpy

    spelled, shape = [], []
    for old, new in groups(given, made):
        varies = any(field.shape[axis] > 1 for axis in old)
        spelled += [given[axis] if varies else 1 for axis in old]
        shape += [made[axis] if varies else 1 for axis in new]
    return numpy.broadcast_to(field, spelled).reshape(shape)


def groups(given: Shape, made: Shape) -> list[tuple[list[int], list[int]]]:
    """Runs of axes of both shapes that hold the same entries: the smallest there are."""
    found: list[tuple[list[int], list[int]]] = []
    one = two = 0
    while one < len(given) or two < len(made):
        old = [one] if one < len(given) else []
        new = [two] if two < len(made) else []
        one, two = one + len(old), two + len(new)
        left, right = prod(given[a] for a in old), prod(made[a] for a in new)
        while left != right:
            if left < right:
                left, old, one = left * given[one], [*old, one], one + 1
            else:
                right, new, two = right * made[two], [*new, two], two + 1
        found.append((old, new))
    return found


def picked(field: Any, table: Any, given: Shape) -> Any:
    """Entries by their place in row-major order; nothing is seen where it is negative."""
    import numpy

    flat = numpy.broadcast_to(field, given).reshape(-1)
    return compact(numpy.where(table >= 0, flat[numpy.maximum(table, 0)], NOTHING))
