"""The smallest input that gives a value so many places: the windows' own formula, walked backwards.

``W_in = S (W_out - 1) + D (K - 1) + 1 - 2 P`` layer by layer (transposed layers by theirs), the
largest where branches meet. What a model checks besides (that sizes of branches agree, that a
picture is a multiple of 32) no formula of windows knows: running it on shapes does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botec.analyses.reach.comb import Comb
from botec.analyses.reach.walk import Walk, argument
from botec.graph import Node
from botec.ops.reach import Axes, Read


def least_input(walk: Walk, number: int, made: int = 1) -> int:
    """The smallest size of the walked input axis with which ``number`` has ``made`` places."""
    needs = {number: made}
    last = walk.graph.values[number].node
    for place in range(last, -1, -1):
        node = walk.graph.nodes[place]
        wanted = [number for number in node.results if number in needs]
        for source, need in needs_of(walk, place, needs) if wanted else ():
            needs[source] = max(needs.get(source, 1), need)
    return needs.get(walk.source, 1)


def needs_of(walk: Walk, place: int, needs: dict[int, int]) -> Iterator[tuple[int, int]]:
    """What a node needs of each value it takes. One that moves entries by a table needs one."""
    node, reads = walk.graph.nodes[place], walk.reads.get(place)
    if not reads:
        yield from ((source, 1) for source in node.inputs if source in walk.states)
    for read in reads or ():
        source = argument(node, read)
        if source is not None and source in walk.states:
            yield source, needed(walk, node, read, source, needs)


def needed(walk: Walk, node: Node, read: Read, source: int, needs: dict[int, int]) -> int:
    """How many places of ``source`` one read needs."""
    made = node.outputs[read.output] if read.output < len(node.outputs) else None
    state: Any = walk.states[source]
    if made is None or not isinstance(state, Comb):
        return 1
    link = read.link
    wanted = needs.get(made, 1)
    if not isinstance(link, Axes):
        return wanted if isinstance(walk.states.get(made), Comb) else 1
    _, step = link.walked.get(state.axis, (None, None))
    return step.needed(wanted) if step is not None else 1
