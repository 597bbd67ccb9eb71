"""Reach: which part of its input every value of a network sees, place by place.

For each spatial axis of an input two accounts (:mod:`botec.analyses.reach.walk`): exactly which
places of the real picture every entry of every value depends on, and, where a network repeats
itself, the receptive field, stride, centre and effective padding in closed form (Araujo, Norris &
Sim 2019). Beside them the same without gates: squeeze-and-excite and norms with statistics over all
places connect everything with everything, and hide what the windows see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botec.analyses.reach.comb import Comb
from botec.analyses.reach.least import least_input
from botec.analyses.reach.seen import Seen, seen
from botec.analyses.reach.walk import Walk, argument
from botec.errors import UnknownName, nearest
from botec.graph import Graph
from botec.ops.facts import multiplications
from botec.ops.reach import Axes
from botec.ops.reach.steps import Resampled, Spread, Window


@dataclass(frozen=True, eq=False)
class Along:
    """One axis: its ``name`` (a letter, or ``x1``), and the walks with and without gates."""

    name: str
    walk: Walk
    without: Walk

    @property
    def size(self) -> int:
        """Places of the input axis."""
        return self.walk.sets.size

    @property
    def gated(self) -> bool:
        """Whether gates or statistics over all places were met."""
        return bool(self.walk.gates or self.walk.statistics)

    def of(self, number: int) -> Seen | None:
        """What a value sees on this axis."""
        return seen(self.walk, number)

    def apart(self, number: int) -> Seen | None:
        """What it sees where gates and statistics over all places are left out."""
        return seen(self.without, number)

    @cached_property
    def steps(self) -> dict[int, Window | Spread | Resampled]:
        """Nodes (by their place) that walk this axis in windows, and how."""
        found = {place: self.step(place) for place in self.without.reads}
        return {place: step for place, step in found.items() if step is not None}

    @property
    def windows(self) -> tuple[int, ...]:
        """The places of these nodes: what makes a reach grow."""
        return tuple(self.steps)

    def step(self, place: int) -> Window | Spread | Resampled | None:
        """The step of a node along this axis, where it is more than place by place."""
        node = self.without.graph.nodes[place]
        for read in self.without.reads[place]:
            source = argument(node, read)
            state = self.without.states.get(-1 if source is None else source)
            if isinstance(state, Comb) and isinstance(read.link, Axes):
                step = read.link.walked.get(state.axis, (0, None))[1]
                if isinstance(step, (Window, Spread, Resampled)) and slides(step):
                    return step
        return None

    @cached_property
    def features(self) -> int:
        """The value that stands for the network: its output, where that has places of its own;
        else the last value that has, of those a module gives to others."""
        graph, states = self.walk.graph, self.without.states
        for number in graph.outputs:
            if isinstance(states.get(number), Comb):
                return number
        local = {n: state for n, state in states.items() if isinstance(state, Comb)}
        plain = [n for n, state in local.items() if state.place[1:] == (1, 1)]
        given = [number for number in plain if number in self.given_on]
        return max(given or plain or local, key=lambda number: graph.values[number].node)

    @cached_property
    def given_on(self) -> set[int]:
        """Values that are read outside the module that made them."""
        graph = self.walk.graph
        scopes = [
            graph.nodes[value.node].scope if value.node >= 0 else "" for value in graph.values
        ]
        return {
            number
            for node in graph.nodes
            for number in node.inputs
            if not f"{node.scope}.".startswith(f"{scopes[number]}.")
        }

    @cached_property
    def module(self) -> tuple[int, str, int, int] | None:
        """The last value a module gives that sees what :attr:`features` does, so that a real run
        can be watched there: its number, the module, which call of it, and the walked axis."""
        graph, states = self.walk.graph, self.without.states
        wanted = states[self.features]
        last = {(node.scope, node.turn): node for node in graph.nodes if node.scope}
        for (scope, turn), node in reversed(last.items()):
            number = node.results[0]
            state = states.get(number)
            if not isinstance(state, Comb) or state.place[1:] != (1, 1):
                continue
            if isinstance(wanted, Comb) and state.moved(0) == wanted.moved(0):
                return number, scope, turn, state.axis
        return None

    def places(self, number: int, axis: int, place: int) -> Any:
        """Which input places one output place sees, any entry of it, gates left out."""
        import numpy

        field = self.without.fields[number]
        shape = self.walk.graph.values[number].shape
        rows = numpy.broadcast_to(field, shape).take(place, axis)
        return self.without.sets.places(self.without.sets.all_of(rows))

    @property
    def least(self) -> int:
        """The smallest input with which every op finds the places it needs."""
        outputs = [number for number in self.walk.graph.outputs if number in self.walk.states]
        return max((least_input(self.without, number) for number in outputs), default=1)


@dataclass(frozen=True, eq=False)
class Reach:
    """A graph's reach along every axis asked for."""

    graph: Graph
    axes: tuple[Along, ...]

    @property
    def unknown(self) -> dict[str, int]:
        """Ops nobody has told about: taken for reading everything."""
        return dict(self.axes[0].walk.unknown) if self.axes else {}

    @cached_property
    def saturated(self) -> tuple[int, ...]:
        """Nodes with windows whose input already sees the whole picture from some place.

        They mix what is seen already: nothing new comes into view (Richter et al. 2021, Should You
        Go Deeper?, calls such layers unproductive). Ops that slide no window are not among them.
        """
        places = sorted({place for along in self.axes for place in along.windows})
        return tuple(place for place in places if self.is_saturated(place))

    def is_saturated(self, place: int) -> bool:
        """Whether a node's input sees everything on every axis it slides along."""
        node, found = self.graph.nodes[place], []
        for along in self.axes:
            step = along.steps.get(place)
            if step is None or getattr(step, "kernel", 1) == 1:
                continue
            sources = [number for number in node.inputs if number in along.without.fields]
            found.append(any((one := along.apart(n)) and one.whole for n in sources))
        return bool(found) and all(found)

    @cached_property
    def multiplications(self) -> tuple[int, int]:
        """Of the saturated nodes, and of all."""
        every = [multiplications(node.call) or 0 for node in self.graph.nodes]
        return sum(every[place] for place in self.saturated), sum(every)


def slides(step: Any) -> bool:
    """Whether a step is more than a shift."""
    if isinstance(step, Resampled):
        return True
    return step.kernel > 1 or step.stride > 1


def reach(graph: Graph, executor: Any = None, axes: Sequence[str] = ()) -> Reach:
    """The reach of every value along the axes named, or along all that have places.

    ``executor`` (:class:`botec.read.executor.Executor`) lets tables of moved entries be found;
    without it such ops are taken for reading everything. Raises :class:`UnknownName`.
    """
    found = tuple(along(graph, *one, executor) for one in chosen(graph, axes))
    return Reach(graph, found if axes else with_places(found))


def with_places(found: tuple[Along, ...]) -> tuple[Along, ...]:
    """Of a sequence's two axes (places and features) the one that windows slide along, else the
    first; of a picture all."""
    first = found[0] if found else None
    if first is None or len(first.walk.graph.values[first.walk.source].shape) != 3:
        return found
    return tuple(one for one in found if one.windows) or found[:1]


def along(graph: Graph, name: str, source: int, axis: int, executor: Any) -> Along:
    """One axis of one input."""
    walk = Walk(graph, source, axis, executor)
    gated = walk.gates or walk.statistics
    return Along(name, walk, Walk(graph, source, axis, executor, True) if gated else walk)


def chosen(graph: Graph, names: Sequence[str]) -> list[tuple[str, int, int]]:
    """The axes asked for, as ``(name, input, axis)``."""
    known = {
        name: (name, source, axis)
        for source in reversed(graph.inputs)
        for axis, name in enumerate(graph.axes.get(source, ()))
        if graph.values[source].shape[axis] > 0
    }
    for name in names:
        if name not in known:
            do = nearest(name, known) or f"use one of {', '.join(known)}"
            raise UnknownName(f"no axis {name!r}", do, f"--axis {name}")
    return [known[name] for name in names] if names else places_of(graph)


def places_of(graph: Graph) -> list[tuple[str, int, int]]:
    """The axes with places: of pictures those behind the channels, of sequences the lettered one,
    of a plain row its only one."""
    for source in graph.inputs:
        names = graph.axes.get(source, ())
        rank = len(names)
        lettered = [a for a in range(1, rank) if not names[a].startswith("x")]
        if rank > 3:
            axes = list(range(2, rank))
        elif lettered:
            axes = lettered
        else:
            axes = [rank - 1] if rank > 1 else []
        if axes:
            return [(names[axis], source, axis) for axis in axes]
    return []
