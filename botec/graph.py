"""The forward pass as a graph of values: which op made each value from which others. Plain data.

A :class:`Graph` is read once (:mod:`botec.read.tape`), at one point of its dimensions. Every value
is defined once: an op that writes in place defines a new value, and what looked at the same memory
before is looked up anew by two ops of botec's own, which move entries and compute nothing:

* ``botec.put(whole, part, …)``: ``whole`` with ``part`` written over some of its entries;
* ``botec.look(whole, …)``: the entries that another view of the same memory shows.

Where these entries lie is said by the call's ``whole_layout`` and ``part_layout``, each ``(shape,
strides, offset)`` in entries of the common memory (see :func:`places`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botec.calls import Call

KINDS = ("input", "parameter", "buffer", "constant", "made")
LOOK, PUT = "botec.look", "botec.put"
Layout = tuple[tuple[int, ...], tuple[int, ...], int]


@dataclass(frozen=True)
class Value:
    """One tensor of the graph. Its number is its place in :attr:`Graph.values`.

    ``kind`` is one of :data:`KINDS`: ``made`` by a node, or there before the pass: an ``input`` of
    the model, a ``parameter`` or ``buffer`` under its ``name``, a ``constant`` of the program text.
    ``storage`` numbers the memory it lies in: views of one memory share it. ``node`` is the place
    of the node that made it, -1 where none did.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: str
    name: str = ""
    storage: int = -1
    node: int = -1


@dataclass(frozen=True, eq=False)
class Node:
    """One op of the pass: the ``call``, and the numbers of the values it takes and makes.

    ``given`` has every tensor argument by its schema's name: a number, or a tuple of numbers (and
    ``None``) for a list. ``outputs`` are in the order of ``call.outputs``, ``None`` where one is
    undefined. ``written`` maps an argument that is written in place to the value it has afterwards
    (the op's output, where the op returns it). ``scope`` is the module path the author wrote,
    ``turn`` which call of that module it was, from 0.
    """

    call: Call
    given: Mapping[str, Any]
    outputs: tuple[int | None, ...]
    scope: str = ""
    turn: int = 0
    written: Mapping[str, int] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values it takes, in the order of its arguments, lists opened."""
        return tuple(numbers_in(self.given.values()))

    @property
    def results(self) -> tuple[int, ...]:
        """The values it makes, what it writes in place among them, each once."""
        made = [number for number in self.outputs if number is not None]
        return tuple(dict.fromkeys((*made, *self.written.values())))


@dataclass(frozen=True, eq=False)
class Graph:
    """A forward pass: ``nodes`` in the order they ran, over ``values``.

    ``inputs`` and ``outputs`` are numbers of values, in the order of the call and of the returned
    containers; ``loss`` is the loss where it was asked for. ``axes`` names the axes of each input:
    the dimension's letter, else the usual one (L; H, W; D, H, W) or its place (``x1``). ``scopes``
    are all module paths, in the order of the model's own listing, with the modules' classes.
    ``constants`` has the entries of constants that are known, as arrays; ``point`` the dimensions
    it was read at.
    """

    name: str
    values: tuple[Value, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    axes: Mapping[int, tuple[str, ...]]
    scopes: Mapping[str, str]
    point: Mapping[str, int]
    train: bool = False
    loss: int | None = None
    constants: Mapping[int, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def users(self) -> tuple[tuple[int, ...], ...]:
        """For every value the places of the nodes that take it."""
        found: list[list[int]] = [[] for _ in self.values]
        for place, node in enumerate(self.nodes):
            for number in dict.fromkeys(node.inputs):
                found[number].append(place)
        return tuple(map(tuple, found))

    def named(self, kind: str) -> dict[str, int]:
        """The values of a kind that have a name: ``graph.named("parameter")["fc.weight"]``."""
        return {v.name: n for n, v in enumerate(self.values) if v.kind == kind and v.name}


def numbers_in(given: Any) -> Iterator[int]:
    """Every value number, lists opened, undefined ones left out."""
    for one in given:
        if isinstance(one, tuple):
            yield from numbers_in(one)
        elif one is not None:
            yield one


def places(layout: Layout) -> Any:
    """Where the entries of a view lie in its memory: an array of the view's shape."""
    import numpy

    shape, strides, offset = layout
    found = numpy.full((1,) * len(shape), offset, dtype=numpy.int64)
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        steps = numpy.arange(size, dtype=numpy.int64) * stride
        found = found + steps.reshape([-1 if axis == a else 1 for a in range(len(shape))])
    return found
