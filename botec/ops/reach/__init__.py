"""What an op's output entries depend on, entry by entry: one fact for each op.

A fact is a function of the call that returns its :class:`Read` s: one for each tensor argument that
an output depends on. A ``Read`` says how entries of the output are connected to entries of the
argument, by one of

* :class:`Axes`: axis by axis: each axis of the argument is walked by one output axis
  (:mod:`botec.ops.reach.steps`), or read whole;
* :data:`RESHAPED`: the same entries in the same order under another shape;
* :data:`WHOLE`: every entry depends on every entry.

"Depends" means that the kernel's arithmetic reads the entry: a product with a zero is a reading.
An op nobody has told about is ``None``; whoever asks must take it for :data:`WHOLE`.

The folder is the registry: every file adds its ops with :func:`told`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from botec.calls import Call, Tensor
from botec.ops.reach.steps import SAME, Listed, Step

Fact = Callable[[Call], "list[Read] | None"]
REACH: dict[str, Fact] = {}
# Counted among the pointwise ops, and yet an output sees more than its own place.
NOT_BY_PLACE = {
    f"aten.{name}"
    for name in (
        *("cross", "linalg_cross", "isin", "equal", "glu_backward", "glu_jvp", "_is_any_true"),
        *("_is_all_true", "_compute_linear_combination", "_fused_moving_avg_obs_fq_helper"),
        *("_amp_update_scale", "_amp_foreach_non_finite_check_and_unscale"),
    )
}
GONE = -1


@dataclass(frozen=True)
class Axes:
    """Axis by axis: ``walked[a] = (output axis, step)``; ``read`` axes are read at all places.

    ``rank`` is the output's number of axes. The output axis :data:`GONE` is one that does not stay:
    its step's first row says what is read. An argument's axis in neither is read at all places.
    Output axes nobody walks see the same. ``only``, ``(axis, place)``, is the one place of a new
    output axis where the argument is read at all.
    """

    rank: int
    walked: Mapping[int, tuple[int, Step]] = field(default_factory=dict)
    read: tuple[int, ...] = ()
    only: tuple[int, int] | None = None


@dataclass(frozen=True)
class Reshaped:
    """The same entries in row-major order."""


@dataclass(frozen=True)
class Whole:
    """Every entry of the output depends on every entry of the argument."""


RESHAPED, WHOLE = Reshaped(), Whole()
Link = Axes | Reshaped | Whole


@dataclass(frozen=True)
class Read:
    """What output number ``output`` reads of an argument, named ``("tensors", 1)`` in a list.

    ``apart`` is how it reads where statistics over places are left out (``None``: the same).
    ``bound`` is true where the link may say more than is read (a mask hides the rest).
    """

    argument: tuple[Any, ...]
    link: Link
    output: int = 0
    apart: Link | None = None
    bound: bool = False


def told(*names: str) -> Callable[[Fact], Fact]:
    """Declare the decorated function as the fact of these ops (``aten.`` unless they say more)."""

    def declare(fact: Fact) -> Fact:
        for name in " ".join(names).split():
            REACH[name if "." in name else f"aten.{name}"] = fact
        return fact

    return declare


def reach_of(call: Call) -> list[Read] | None:
    """What the call's outputs depend on; ``None`` where nobody has told.

    An op in place (``aten.relu_``) is its plain twin. Elementwise ops need no fact of their own.
    """
    load()
    fact = REACH.get(call.op) or REACH.get(call.op.removesuffix("_"))
    return fact(call) if fact else elementwise(call)


@cache
def load() -> Mapping[str, Fact]:
    """Open every file of this folder once."""
    from importlib import import_module
    from pkgutil import iter_modules

    for entry in iter_modules(__path__):
        import_module(f"{__name__}.{entry.name}")
    return REACH


def elementwise(call: Call) -> list[Read] | None:
    """Of the ops the book calls pointwise: place by place, arguments broadcast."""
    from botec.ops.facts import kind_of

    by_place = kind_of(call) == "pointwise" and call.op.removesuffix("_") not in NOT_BY_PLACE
    return pointwise(call) if by_place else None


def pointwise(call: Call) -> list[Read]:
    """Every output reads the same place of every argument, broadcast from the last axis on."""
    return [
        Read(name, broadcast(len(tensor.shape), len(out.shape)), place)
        for place, out in enumerate(call.outputs)
        if out is not None
        for name, tensor in arguments(call)
    ]


def broadcast(rank: int, made: int) -> Axes:
    """Axes matched from the last one on."""
    more = made - rank
    return Axes(made, {axis: (axis + more, SAME) for axis in range(rank)})


def same(rank: int, **changes: Any) -> Axes:
    """Every axis walked place by place."""
    return Axes(rank, {axis: (axis, SAME) for axis in range(rank)})


def at(place: int) -> Listed:
    """One place, for one output place."""
    return Listed(((place,),))


def arguments(call: Call) -> list[tuple[tuple[Any, ...], Tensor]]:
    """Every tensor argument with its name, lists opened."""
    found: list[tuple[tuple[Any, ...], Tensor]] = []
    for name, value in call.arguments.items():
        if isinstance(value, Tensor):
            found.append(((name,), value))
        elif isinstance(value, tuple):
            found += [((name, p), one) for p, one in enumerate(value) if isinstance(one, Tensor)]
    return found


def first(call: Call) -> tuple[tuple[Any, ...], Tensor]:
    """The first tensor argument, whatever the schema calls it."""
    return arguments(call)[0]


def per_axis(value: Any, axes: int, default: int) -> list[int]:
    """``(2,)`` or ``2`` or nothing for each of ``axes`` axes."""
    if value is None or value == ():
        return [default] * axes
    numbers = list(value) if isinstance(value, tuple) else [value]
    return [int(numbers[axis if len(numbers) > 1 else 0]) for axis in range(axes)]


def axis_of(number: int, rank: int) -> int:
    """An axis counted from the front."""
    return number % rank if rank else 0
