"""Formulas at points: one number, or a whole sweep at once, each point in the regime it lies in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botec.errors import BadInput, OutsideRegime
from botec.poly import at
from botec.program import Program, Regime, Stream

LARGEST = 2**62


def at_points(
    program: Program, formulas: Callable[[Stream], tuple[Any, ...]], values: dict[str, Any]
) -> Any:
    """The largest of the ``formulas`` of the stream that holds at each point.

    ``values`` are numbers or numpy arrays that broadcast; a whole number gives a whole number.
    Results beyond 2**62 are floats in arrays. Raises :class:`OutsideRegime` where a point lies in
    no regime, :class:`BadInput` for a dimension the program does not have.
    """
    return by_stream(program, lambda stream, point: largest_at(formulas(stream), point), values)


def by_stream(
    program: Program, value: Callable[[Stream, dict[str, Any]], Any], values: dict[str, Any]
) -> Any:
    """``value(stream, point)`` of the stream that holds at each point: numbers, or whole arrays.

    Raises as :func:`at_points` does.
    """
    point = {name: whole(name, size) for name, size in program.point(values).items()}
    if all(isinstance(size, int) for size in point.values()):
        return value(program.stream(point), point)
    import numpy as np

    arrays = dict(zip(point, np.broadcast_arrays(*point.values()), strict=True))
    left = np.ones(next(iter(arrays.values())).shape, dtype=bool)
    parts = []
    for stream in program.streams:
        chosen = left & inside(stream.regime, arrays)
        if chosen.any():
            inner = {name: array[chosen] for name, array in arrays.items()}
            parts.append((chosen, value(stream, inner)))
            left &= ~chosen
    if left.any():
        first = ", ".join(f"{name}={array[left][0]}" for name, array in arrays.items())
        known = " or ".join(f"({stream.regime})" for stream in program.streams)
        raise OutsideRegime(
            f"formulas are known for {known}", "leave the other points out", f"at {first}"
        )
    kinds = [part.dtype for _, part in parts] or [np.dtype(np.int64)]
    result = np.zeros(left.shape, dtype=np.result_type(*kinds))
    for chosen, part in parts:
        result[chosen] = part
    return result


def largest_at(formulas: tuple[Any, ...], point: dict[str, Any]) -> Any:
    """The maximum over formulas at one point, or at each of many."""
    if all(isinstance(size, int) for size in point.values()):
        return max(at(formula, point) for formula in formulas)
    return largest(formulas, point)


def whole(name: str, size: Any) -> Any:
    """A whole number from 1, or an array of them. Raises :class:`BadInput` for anything else."""
    if isinstance(size, int) and not isinstance(size, bool):
        if size < 1:
            raise BadInput(f"{name} is {size}", "give whole numbers from 1", f"{name}={size}")
        return size
    import numpy as np

    array = np.asarray(size)
    sound = array.dtype.kind in "iu" or (
        array.dtype.kind == "f" and bool(np.all(np.mod(array, 1) == 0))
    )
    if not sound or (array.size and array.min() < 1):
        raise BadInput(f"{name} has values that are no sizes", "give whole numbers from 1", name)
    return int(array) if array.ndim == 0 else array.astype(np.int64)


def inside(regime: Regime, arrays: dict[str, Any]) -> Any:
    """Where a regime holds, for whole arrays of points."""
    import numpy as np

    held = np.ones(next(iter(arrays.values())).shape, dtype=bool)
    for name, size in regime.fixed.items():
        held &= arrays[name] == size
    for name, size in regime.least.items():
        held &= arrays[name] >= size
    for name, size in regime.most.items():
        held &= arrays[name] <= size
    for name, step in regime.step.items():
        held &= arrays[name] % step == 0
    return held


def largest(formulas: tuple[Any, ...], arrays: dict[str, Any]) -> Any:
    """The maximum over formulas, in whole numbers where they fit into 63 bits, else in floats."""
    import numpy as np

    top = {name: int(array.max()) for name, array in arrays.items()}
    tops = [at(formula, top) for formula in formulas]
    safe = max(tops) < LARGEST and all(isinstance(value, int) for value in tops)
    kind = np.int64 if safe else np.float64
    arrays = {name: array.astype(kind) for name, array in arrays.items()}
    shape = next(iter(arrays.values())).shape
    parts = [np.broadcast_to(at(formula, arrays), shape) for formula in formulas]
    return np.maximum.reduce([part.astype(kind) for part in parts])
