"""Ops that move entries by a table: the table is found by running the op on places.

Whatever only copies entries says where they come from when it is run on an array of places, counted
from 1: what it fills in is 0. Who runs it is handed in (an ``executor``; see :func:`moved`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from botec.graph import LOOK, PUT, Graph, Node, places

# op -> the arguments whose entries it copies; all others must be known.
MOVES = {
    **dict.fromkeys(
        (
            *("as_strided", "unfold", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
            *("native_channel_shuffle", "im2col", "diagonal", "index", "_unsafe_index", "gather"),
            *("index_select", "rot90", "take_along_dim", "diag_embed", "take", "repeat_interleave"),
        ),
        ("self",),
    ),
    **dict.fromkeys(("index_put", "_index_put_impl", "_unsafe_index_put"), ("self", "values")),
    **dict.fromkeys(("slice_scatter", "select_scatter", "as_strided_scatter"), ("self", "src")),
}
Table = tuple[int, Any]  # the value that is read, and the places of its entries (-1: nothing)


def moved(node: Node, graph: Graph, depends: Any, executor: Any) -> list[Table] | None:
    """What a node's output copies from which values; ``None`` where that is not known.

    ``depends(number)`` says whether a value depends on the input; such a value may only be copied.
    """
    if node.call.op in (LOOK, PUT):
        return by_layout(node)
    name = node.call.op.removeprefix("aten.").removesuffix("_")
    sources = MOVES.get(name)
    if sources is None or executor is None or node.call.arguments.get("accumulate"):
        return None
    known: dict[str, Any] = {}
    for argument, number in node.given.items():
        if argument not in sources:
            known[argument] = entries(number, graph, depends, executor)
            if known[argument] is None:
                return None
    return [
        (node.given[source], run(node, graph, sources, source, known, executor))
        for source in sources
        if source in node.given and depends(node.given[source])
    ]


def entries(given: Any, graph: Graph, depends: Any, executor: Any) -> Any:
    """What an argument that decides where entries go holds; ``None`` where data decides."""
    if not isinstance(given, tuple):
        return None if depends(given) else executor.known(graph, given)
    found = []
    for number in given:
        one = None if number is None else entries(number, graph, depends, executor)
        if number is not None and one is None:
            return None
        found.append(one)
    return tuple(found)


def run(
    node: Node,
    graph: Graph,
    sources: tuple[str, ...],
    source: str,
    known: Mapping[str, Any],
    executor: Any,
) -> Any:
    """The places one source's entries come from."""
    import numpy

    given = dict(known)
    for one in sources:
        if one in node.given:
            shape = graph.values[node.given[one]].shape
            numbers = numpy.arange(1, prod(shape) + 1, dtype=numpy.float64)
            given[one] = numbers.reshape(shape) if one == source else numpy.zeros(shape)
    (out, *_) = executor.run(node.call, given)
    return numpy.asarray(out).astype(numpy.int64) - 1


def by_layout(node: Node) -> list[Table]:
    """``botec.look`` and ``botec.put``: through the memory both views lie in."""
    import numpy

    whole = places(node.call.arguments["whole_layout"])
    part = places(node.call.arguments["part_layout"])
    size = 1 + max(int(whole.max(initial=0)), int(part.max(initial=0)))
    held = numpy.full(size, -1, dtype=numpy.int64)
    held[whole.ravel()] = numpy.arange(whole.size)
    if node.call.op == LOOK:
        return [(node.given["whole"], held[part])]
    new = numpy.full(size, -1, dtype=numpy.int64)
    new[part.ravel()] = numpy.arange(part.size)
    kept = numpy.where(new >= 0, -1, held)
    return [(node.given["whole"], kept[whole]), (node.given["part"], new[whole])]
