"""The values of small whole-number tensors that follow from shapes alone.

A model may ask for a value while it runs on shapes: attention masks are compared, ``arange`` is
summed, and ``.item()`` decides a branch. Where the tensor was made from shapes and constants only,
its value is known; it is worked out, lazily, when somebody asks. What depends on data is not there,
but for what is *supposed* of it (:mod:`botec.read.supposed`): that is marked, and so is all that is
made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

Geometry = tuple[int, tuple[int, ...], tuple[int, ...]]
BY_STRIDES = ("as_strided", "_reshape_alias", "view", "_unsafe_view")
COPIES = (torch.ops.aten._to_copy.default,)
MOST = 2**27  # entries of a tensor made of supposed values that are worth working out


@dataclass(slots=True)
class Known:
    """How a tensor's value is made: ``func`` of encoded arguments, or the ``value`` itself."""

    func: Any
    args: Any
    kwargs: Any
    changes_first: bool
    value: Any = None
    supposed: bool = False
    strides: Any = None  # as the trace has them


class UnknownValueError(Exception):
    """The value is not known from shapes."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A tensor argument, by how its value is made."""

    known: Known


class Shadow:
    """Recipes for tensor values, by storage number and geometry; holds no tensors of the trace."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[Geometry, Known]] = {}

    def note(self, storage: int, out: Any, func: Any, args: Any, kwargs: Any, place: Any) -> None:
        """Remember how ``out`` came to be; forget it where an argument's value is unknown.

        ``place(tensor)`` gives the storage number of a tensor argument.
        """
        mutable = func._schema.is_mutable
        try:
            encoded = self.encode(blank(func, args), place)
            named = {key: self.encode(value, place) for key, value in (kwargs or {}).items()}
        except UnknownValueError:
            self.forget(storage, out, mutable)
            return
        told = rests((encoded, *named.values()))
        known = Known(func, encoded, named, mutable, None, told, out.stride())
        whole = self.with_part(storage, out, known) if mutable else {}
        self.forget(storage, out, mutable)
        if not known.supposed or out.numel() <= MOST:
            self.entries.setdefault(storage, {}).update({**whole, geometry(out): known})

    def constant(self, storage: int, out: Any, value: Any, supposed: bool = False) -> None:
        """Remember the value itself (of ``torch.tensor([1, 2])``, say)."""
        known = Known(None, (), {}, False, value, supposed)
        self.entries.setdefault(storage, {})[geometry(out)] = known

    def with_part(self, storage: int, out: Any, part: Known) -> dict[Geometry, Known]:
        """The whole of a known tensor of which a part, ``out``, is written; empty where unknown."""
        own, size = geometry(out), out.untyped_storage().nbytes() // out.itemsize
        for place, known in self.entries.get(storage, {}).items():
            if place != own and is_whole(place, size):
                args = (Reference(known), Reference(part), own)
                return {place: Known(put, args, {}, False, None, known.supposed or part.supposed)}
        return {}

    def forget(self, storage: int, out: Any, mutable: bool) -> None:
        """A tensor was overwritten: what looked at its memory is no longer known."""
        if mutable:
            self.entries.pop(storage, None)
        elif storage in self.entries:
            self.entries[storage].pop(geometry(out), None)

    def knows(self, storage: int, tensor: Any) -> bool:
        """Whether the tensor's value follows from shapes."""
        return geometry(tensor) in self.entries.get(storage, {})

    def supposes(self, storage: int, tensor: Any) -> bool:
        """Whether the tensor's value rests on what is supposed of the data."""
        known = self.entries.get(storage, {}).get(geometry(tensor))
        return known is not None and known.supposed

    def value(self, storage: int, tensor: Any) -> Any:
        """The value, as a real tensor. Raises :class:`UnknownValueError`."""
        known = self.entries.get(storage, {}).get(geometry(tensor))
        if known is None:
            raise UnknownValueError
        with _disable_current_modes():
            return evaluate(known)

    def encode(self, value: Any, place: Any) -> Any:
        if hasattr(value, "untyped_storage"):
            known = self.entries.get(place(value), {}).get(geometry(value))
            if known is None:
                raise UnknownValueError
            return Reference(known)
        if isinstance(value, (list, tuple)):
            return tuple(self.encode(part, place) for part in value)
        return value


def makes_new(func: Any) -> bool:
    """Whether the op fills a new tensor and takes only the shape of its first argument."""
    name = func._schema.name.split("::")[1]
    return name.endswith("_like") or name.startswith("new_")


def blank(func: Any, args: Any) -> Any:
    """Of an op that fills a new tensor only the shape of the first argument matters."""
    if not args or not makes_new(func):
        return args
    first = args[0]
    empty = Known(torch.empty, (tuple(first.shape),), {"dtype": first.dtype}, False)
    return (Reference(empty), *args[1:])


def rests(values: Any) -> bool:
    """Whether any of some encoded arguments rests on what is supposed."""
    if isinstance(values, Reference):
        return values.known.supposed
    return isinstance(values, tuple) and any(rests(value) for value in values)


def is_whole(place: Geometry, size: int) -> bool:
    """Whether a tensor is all of its storage of ``size`` entries, row after row."""
    offset, shape, strides = place
    expected = 1
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return offset == 0 and expected == size


def put(whole: Any, part: Any, place: Geometry) -> Any:
    """A copy of ``whole`` with ``part`` where its geometry says."""
    offset, shape, strides = place
    made = whole.clone().contiguous()
    made.as_strided(shape, strides, offset).copy_(part)
    return made


def geometry(tensor: Any) -> Geometry:
    return tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())


def evaluate(known: Known) -> Any:
    """Work the value out on the CPU, once."""
    if known.value is None:
        shape, args = once(known.func, decode(known.args))
        if getattr(known.func, "_opname", "") in BY_STRIDES:
            args = (laid_out(args[0], known.args[0].known.strides), *args[1:])
        if known.changes_first:
            args = (args[0].clone(), *args[1:])
        kwargs = {key: decode(value) for key, value in known.kwargs.items()}
        value = known.func(*args, **kwargs)
        known.value = value if shape is None else value.expand(shape)
    return known.value


def once(func: Any, args: Any) -> tuple[Any, Any]:
    """The arguments of an op that works entry by entry, each run of equal entries once.

    A mask of many heads and rows is one row, expanded: what is made of it is worked out for that
    row, and expanded to the shape that comes first; ``None`` where there is nothing to save.
    """
    pointwise = torch.Tag.pointwise in getattr(func, "tags", ()) or func in COPIES
    given = [one for one in args if isinstance(one, torch.Tensor)]
    if not pointwise or not any(0 in one.stride() for one in given):
        return None, args
    shape = torch.broadcast_shapes(*(one.shape for one in given))
    same = [all(repeats(one, back) for one in given) for back in range(len(shape))]
    return shape, tuple(
        first_of(one, same) if isinstance(one, torch.Tensor) else one for one in args
    )


def laid_out(tensor: Any, strides: Any) -> Any:
    """A tensor with the strides it has in the trace, for an op whose result goes by them."""
    pairs = zip(tensor.shape, tensor.stride(), strides or tensor.stride(), strict=True)
    if all(own == wanted or size == 1 for size, own, wanted in pairs):
        return tensor
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)


def repeats(tensor: Any, back: int) -> bool:
    """Whether all entries along an axis, counted from the last, are one."""
    axis = tensor.dim() - 1 - back
    return axis < 0 or tensor.shape[axis] == 1 or tensor.stride(axis) == 0


def first_of(tensor: Any, same: Sequence[bool]) -> Any:
    """A tensor with one entry along every axis (counted from the last) that is ``same``."""
    for back, whether in enumerate(same[: tensor.dim()]):
        if whether and tensor.shape[-1 - back] > 1:
            tensor = tensor.narrow(tensor.dim() - 1 - back, 0, 1)
    return tensor


def decode(value: Any) -> Any:
    if isinstance(value, Reference):
        return evaluate(value.known)
    if isinstance(value, (list, tuple)):
        return tuple(decode(part) for part in value)
    return torch.device("cpu") if isinstance(value, torch.device) else value
