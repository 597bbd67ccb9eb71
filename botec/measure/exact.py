"""Every distinct op of a program timed on this machine, alone, its data out of the caches.

An op's tensors are made anew from shapes and types. Before every run a buffer of a third cache's
size is written over, so that an op finds its data where a network would leave them. What
cannot be run alone (an op whose numbers must mean something) is left to the calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import median
from time import perf_counter
from typing import Any

from botec.measure.calibration import bare_call, clock_of

SWEPT = 5_000_000  # float32 numbers written over between runs
ROUNDS = 2  # through all ops, one after the other: what wanders in a minute is in both
LEAST, FEWEST, MOST = 0.01, 2, 8
ROWS_BELOW = 2  # whole numbers in made tensors are places: 0 and 1 are always there


def signature(call: Any, point: Mapping[str, int]) -> str:
    """What makes two calls one for a clock: op, shapes, types, choices."""
    return f"{call.op}.{call.overload} {made(call.arguments, point, described)}"


def described(tensor: Any, point: Mapping[str, int]) -> Any:
    return (shape_at(tensor, point), tensor.dtype, tensor.expanded)


def made(value: Any, point: Mapping[str, int], tensor: Callable[[Any, Any], Any]) -> Any:
    """Arguments with every tensor replaced, lists and mappings opened."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return tensor(value, point)
    if isinstance(value, Mapping):
        return {name: made(one, point, tensor) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [made(one, point, tensor) for one in value]
    return value.at(**point) if hasattr(value, "at") else value


def shape_at(tensor: Any, point: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size.at(**point) if hasattr(size, "at") else size for size in tensor.shape)


def real(tensor: Any, point: Mapping[str, int]) -> Any:
    """A tensor with numbers in it; an expanded axis is one that is looked at many times."""
    import torch

    shape, kind = shape_at(tensor, point), getattr(torch, tensor.dtype)
    stored = [1 if axis in tensor.expanded else size for axis, size in enumerate(shape)]
    if kind.is_floating_point or kind.is_complex:
        found = (torch.rand(stored) * 0.5 + 0.25).to(kind)
    else:
        found = torch.randint(0, ROWS_BELOW, stored, dtype=torch.int64).to(kind)
    return found.expand(shape)


WORDS = ("layout", "device", "pin_memory", "memory_format")


def runner(call: Any, point: Mapping[str, int]) -> Callable[[], Any]:
    """The call on made tensors. Raises whatever the op raises where it cannot be made."""
    import torch

    namespace, _, name = call.op.partition(".")
    op = getattr(getattr(getattr(torch.ops, namespace), name), call.overload or "default")
    given = made(call.arguments, point, real)
    arguments = {}
    for argument in op._schema.arguments:
        if argument.name not in given or argument.name in WORDS:
            continue
        value = given[argument.name]
        if isinstance(value, str) and hasattr(torch, value) and argument.name == "dtype":
            value = getattr(torch, value)
        arguments[argument.name] = value
    return lambda: op(**arguments)


def seconds_of(
    calls: Iterable[Any],
    point: Mapping[str, int],
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, float | None]:
    """Seconds of every distinct call at a point, less what the smallest op takes to be asked for;
    ``None`` for one that cannot be run alone.

    ``report`` is told how many are done, of twice as many as there are.
    """
    import torch

    clock = clock_of("cpu", torch.get_num_threads())
    distinct = {signature(call, point): call for call in calls}
    each: dict[str, list[float] | None] = {key: [] for key in distinct}
    swept = torch.zeros(SWEPT)
    with torch.no_grad():
        asking = bare_call(clock)
        for turn in range(ROUNDS):
            for place, (key, call) in enumerate(distinct.items()):
                before, more = each[key], cold(call, point, clock, swept)
                each[key] = None if before is None or more is None else before + more
                report(turn * len(distinct) + place + 1)
    return {
        key: None if runs is None else max(median(runs) - asking, 0.0) for key, runs in each.items()
    }


def cold(call: Any, point: Mapping[str, int], clock: Any, swept: Any) -> list[float] | None:
    """Seconds of a few runs, the caches swept before each."""
    try:
        run = runner(call, point)
        run()
    except Exception:
        return None
    each: list[float] = []
    begin = perf_counter()
    while len(each) < FEWEST or (perf_counter() - begin < LEAST and len(each) < MOST):
        swept.add_(1.0)
        each.append(clock(run, 1))
    return each
