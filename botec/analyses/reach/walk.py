"""One walk over a graph for one input axis: what every value sees on it, as fields and combs.

Two accounts are kept side by side. The field is exact for the picture at hand, entry by entry; the
comb is the closed form on an axis without ends. Where some op has read an axis from end to end, a
value sees :data:`EVERYTHING` (the field says whether that is so); where it is neither, the value is
:data:`UNCLEAR`, and the field alone speaks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

from botec.analyses.reach import comb as closed
from botec.analyses.reach import field as fields
from botec.analyses.reach.comb import Comb
from botec.analyses.reach.field import groups
from botec.analyses.reach.sets import NOTHING, Sets, compact
from botec.analyses.reach.tables import moved
from botec.graph import Graph, Node
from botec.ops.reach import GONE, RESHAPED, WHOLE, Axes, Read, Reshaped, reach_of

EVERYTHING, UNCLEAR = "everything", "unclear"
State = Comb | str
GATED = ("aten.mul", "aten.add")


@dataclass(frozen=True)
class Misaligned:
    """Branches that meet in ``scope`` (by ``op``) with middles ``apart`` input places apart."""

    scope: str
    op: str
    branches: tuple[str, str]
    apart: float


class Walk:
    """Fields and states of all values that depend on the input, by their numbers.

    ``without``: gates and statistics over all places are left out. ``bounds`` are the values whose
    field may hold more than is seen, ``unknown`` the ops nobody has told about, with how often.
    """

    def __init__(
        self, graph: Graph, source: int, axis: int, executor: Any = None, without: bool = False
    ) -> None:
        self.graph, self.source, self.axis = graph, source, axis
        self.executor, self.without = executor, without
        shape = graph.values[source].shape
        self.sets = Sets(shape[axis])
        layout = [-1 if place == axis else 1 for place in range(len(shape))]
        self.fields: dict[int, Any] = {source: self.sets.each().reshape(layout)}
        self.states: dict[int, State] = {source: closed.own(axis)}
        self.bounds: set[int] = set()
        self.unknown: Counter[str] = Counter()
        self.gates: list[str] = []
        self.statistics: list[str] = []
        self.misaligned: list[Misaligned] = []
        self.globally: list[int] = []
        self.reads: dict[int, list[Read]] = {}  # by the node's place; nothing where a table moves
        for place, node in enumerate(graph.nodes):
            self.visit(place, node)

    # -- one node ---------------------------------------------------------------------------

    def visit(self, place: int, node: Node) -> None:
        """Give every value the node makes its field and state."""
        if not any(number in self.fields for number in node.inputs):
            return
        tables = moved(node, self.graph, self.fields.__contains__, self.executor)
        if tables is not None:
            self.copy(node, tables)
        else:
            self.follow(place, node)
        for number in node.results:
            seen = self.states.get(number) == EVERYTHING
            if seen and not any(self.states.get(one) == EVERYTHING for one in node.inputs):
                self.globally.append(place)

    def copy(self, node: Node, tables: list[tuple[int, Any]]) -> None:
        """A node that copies entries by tables."""
        (made,) = node.results[:1]
        for source, table in tables:
            if source in self.fields:
                shape, out = self.graph.values[source].shape, self.graph.values[made].shape
                found = fields.picked(self.fields[source], table, shape)
                state: State = UNCLEAR
                if in_order(table, shape):
                    state = self.carried(self.states[source], RESHAPED, shape, out) or UNCLEAR
                self.add(made, found, state, source)
        self.settle(made)

    def follow(self, place: int, node: Node) -> None:
        """A node whose op has told what it reads."""
        reads = reach_of(node.call)
        outputs = list(node.outputs)
        if reads is None:
            self.unknown[node.call.op] += 1
            reads = everything_read(node)
        self.reads[place] = reads
        dropped = self.gate(node)
        for read in reads:
            source = argument(node, read)
            made = outputs[read.output] if read.output < len(outputs) else None
            if source is None or made is None or source not in self.fields or source == dropped:
                continue
            self.read(node, read, source, made)
        for made in node.results:
            self.settle(made)

    def read(self, node: Node, read: Read, source: int, made: int) -> None:
        """One argument read by one output."""
        link = read.link
        if read.apart is not None:
            self.statistics.append(node.scope)
            link = read.apart if self.without else link
        shape, out = self.graph.values[source].shape, self.graph.values[made].shape
        found = fields.through(self.sets, self.fields[source], link, shape, out)
        state = self.carried(self.states[source], link, shape, out)
        if made in self.states and isinstance(state, Comb):
            self.compare(node, (made, source), state)
        self.add(made, found, state, source, node.call.op in ("aten.cat", "aten.stack"))
        if read.bound:
            self.bounds.add(made)

    def add(
        self, made: int, found: Any, state: State | None, source: int, apart: bool = False
    ) -> None:
        """A value sees this as well; ``apart`` where no entry sees both."""
        if not (found != NOTHING).any():
            return
        if source in self.bounds:
            self.bounds.add(made)
        if made not in self.fields:
            self.fields[made], self.states[made] = found, state or UNCLEAR
            return
        known = self.fields[made]
        self.fields[made] = known + found if apart else self.sets.join(known, found)
        self.states[made] = both(self.states[made], state or UNCLEAR)

    def settle(self, made: int) -> None:
        """Keep the field small; what is unclear but sees all of the picture sees everything."""
        if made not in self.fields:
            return
        found = self.fields[made] = compact(self.fields[made])
        if self.states[made] == UNCLEAR and (found == self.sets.everything).all():
            self.states[made] = EVERYTHING

    # -- closed forms -----------------------------------------------------------------------

    def carried(self, state: State, link: Any, given: Any, made: Any) -> State | None:
        """The state of an output that reads a value of this state."""
        if not isinstance(state, Comb):
            return state
        if isinstance(link, Reshaped):
            return reshaped(state, given, made)
        if not isinstance(link, Axes):
            return EVERYTHING
        to, step = link.walked.get(state.axis, (None, None))
        if to is None or step is None:
            return EVERYTHING
        if to == GONE:
            return UNCLEAR
        return closed.stepped(state, step, to) or UNCLEAR

    def compare(self, node: Node, meeting: tuple[int, int], state: Comb) -> None:
        """Note branches that meet with their middles apart: ``meeting`` is (made, source)."""
        before = self.states[meeting[0]]
        if not isinstance(before, Comb) or before.stride != state.stride:
            return
        apart = max(
            (
                abs(sum(one) - sum(two)) / 2
                for place in range(max(before.period, state.period))
                if (one := before.hull(place)) and (two := state.hull(place))
            ),
            default=0,
        )
        if apart:
            first = next(number for number in node.inputs if number in self.fields)
            pair = (self.branch(first), self.branch(meeting[1]))
            self.misaligned.append(Misaligned(node.scope, node.call.op, pair, apart))

    def branch(self, number: int) -> str:
        """The last module on the way to a value: the model's own arithmetic has no name."""
        while not self.maker(number):
            node = self.graph.nodes[self.graph.values[number].node]
            number = next(one for one in node.inputs if one in self.fields)
        return self.maker(number)

    def maker(self, number: int) -> str:
        """The module that made a value."""
        place = self.graph.values[number].node
        return self.graph.nodes[place].scope if place >= 0 else "the input"

    def gate(self, node: Node) -> int | None:
        """The operand to leave out: one number for all places, made from all of them."""
        if node.call.op.removesuffix("_") not in GATED:
            return None
        operands = [number for number in node.inputs if number in self.fields]
        if len(operands) != 2:
            return None
        for gate, other in (operands, operands[::-1]):
            local = self.states[other]
            if self.states[gate] != EVERYTHING or not isinstance(local, Comb):
                continue
            if self.spread(gate, local.axis - len(self.graph.values[other].shape)):
                self.gates.append(node.scope)
                return gate if self.without else None
        return None

    def spread(self, number: int, axis: int) -> bool:
        """Whether a value has one number for all places of an axis (counted from the back)."""
        value = self.graph.values[number]
        if len(value.shape) < -axis or value.shape[axis] == 1:
            return True
        maker = self.graph.nodes[value.node] if value.node >= 0 else None
        if maker is None or maker.call.op not in ("aten.expand", "aten.clone", "aten.sigmoid"):
            return False
        return self.spread(maker.inputs[0], axis)


def in_order(table: Any, given: Any) -> bool:
    """Whether a table copies all entries in their order."""
    import numpy

    return table.size == prod(given) and bool((table.ravel() == numpy.arange(table.size)).all())


def both(one: State, two: State) -> State:
    """The state of a value that sees what both see."""
    if EVERYTHING in (one, two):
        return EVERYTHING
    if not isinstance(one, Comb) or not isinstance(two, Comb):
        return UNCLEAR
    return closed.merged(one, two) or UNCLEAR


def reshaped(state: Comb, given: Any, made: Any) -> State:
    """The comb where its axis stays whole: by itself, or as a part of one axis."""
    for old, new in groups(given, made):
        if state.axis not in old:
            continue
        inner = state.inner * prod(given[axis] for axis in old if axis > state.axis)
        size = given[state.axis] // (state.outer * state.inner)
        for axis in new:
            after = prod(made[other] for other in new if other > axis)
            within = made[axis] * after
            fits = inner % after == 0 and within % (inner * size) == 0
            if fits and (size > 1 or made[axis] == 1):
                return state.moved(axis, within // (inner * size), inner // after)
    return UNCLEAR


def everything_read(node: Node) -> list[Read]:
    """An op nobody has told about may read everything."""
    from botec.ops.reach import arguments

    return [
        Read(name, WHOLE, output, bound=True)
        for output in range(len(node.outputs))
        for name, _ in arguments(node.call)
    ]


def argument(node: Node, read: Read) -> int | None:
    """The value an argument's name stands for."""
    given = node.given.get(read.argument[0])
    for place in read.argument[1:]:
        given = given[place] if isinstance(given, tuple) and place < len(given) else None
    return given if isinstance(given, int) else None
