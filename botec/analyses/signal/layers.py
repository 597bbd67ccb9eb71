"""The two folds read off module by module, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botec.analyses.signal.fold import Run
from botec.analyses.signal.linear import width_spread
from botec.analyses.signal.value import Gradient, Missing, Value, role_of
from botec.graph import LOOK, PUT, Graph, Node

#: Standard deviations of ln q that the method itself has, beside those of finite width: what a
#: fold over independent entries leaves out (measured on networks with norms, where width adds 0).
SIGNAL_ERROR, GRADIENT_ERROR = 0.02, 0.15
CONSTANT = "it does not depend on the input"
SURE = 1.96  # standard deviations that 95 % of a normal variable lie within


@dataclass(frozen=True)
class Layer:
    """The output of one call of a module: its second moment, and that of its gradient.

    The moments are those of the median network, not the mean over networks: a narrow deep one has
    ln q spread by v about a mean that lies v/2 lower (Hanin & Nica 2020, theorem 1,
    https://arxiv.org/abs/1812.05994). ``low`` and ``high`` are the ends of 95 % intervals over
    networks drawn anew; a moment is ``None`` where it is not predicted, and ``why`` says why.
    """

    name: str
    turn: int
    kind: str
    number: int
    signal: float | None
    signal_low: float | None = None
    signal_high: float | None = None
    gradient: float | None = None
    gradient_low: float | None = None
    gradient_high: float | None = None
    why: str = ""


def outputs_of(graph: Graph) -> dict[tuple[str, int], int]:
    """The value that each call of a module gives, by ``(path, turn)``.

    The last value made inside it. A module that is called more than once and has modules of its
    own is left out: whose call an inner op belongs to is not written down.
    """
    found: dict[tuple[str, int], int] = {}
    turns: dict[str, int] = {}
    for node in graph.nodes:
        turns[node.scope] = max(turns.get(node.scope, 0), node.turn)
    once = {path for path, turn in turns.items() if turn == 0}
    for node in graph.nodes:
        number = result_of(graph, node)
        if number is None:
            continue
        found[node.scope, node.turn] = number
        path = node.scope
        while "." in path:
            path = path.rpartition(".")[0]
            if path in once or path not in turns:
                found[path, 0] = number
    found.pop(("", 0), None)
    order = {path: place for place, path in enumerate(graph.scopes)}
    return dict(sorted(found.items(), key=lambda item: (item[1], -order.get(item[0][0], 0))))


def result_of(graph: Graph, node: Node) -> int | None:
    """The first floating value a node makes; moves through memory make none."""
    if node.call.op in (LOOK, PUT):
        return None
    for number in node.results:
        if "float" in graph.values[number].dtype:
            return number
    return None


def layers(run: Run) -> list[Layer]:
    """Every module's output, in the order they are made."""
    graph = run.graph
    return [
        layer(run, name, turn, number)
        for (name, turn), number in outputs_of(graph).items()
        if graph.values[number].node in run.wanted
    ]


def layer(run: Run, name: str, turn: int, number: int) -> Layer:
    """One module's output."""
    kind = run.graph.scopes.get(name, "")
    value = run.values.get(number)
    if not isinstance(value, Value) or value.index:
        why = value.why if isinstance(value, Missing) else CONSTANT
        return Layer(name, turn, kind, number, None, why=why)
    gradient = run.gradients.get(number)
    spread = signal_spread(value)
    size = typical(value.q, spread)
    low, high = interval(size, math.sqrt(spread + SIGNAL_ERROR**2))
    if gradient is None:
        return Layer(name, turn, kind, number, size, low, high)
    spread = gradient_spread(gradient, value)
    back = typical(gradient.q, spread)
    below, above = interval(back, math.sqrt(spread + GRADIENT_ERROR**2))
    return Layer(name, turn, kind, number, size, low, high, back, below, above)


def typical(mean: float, spread: float) -> float:
    """The median of a log-normal variable of a given mean and variance of its logarithm."""
    return mean * math.exp(-spread / 2)


def interval(middle: float, deviation: float) -> tuple[float, float]:
    """95 % of a log-normal variable."""
    reach = math.exp(min(SURE * deviation, 700.0))
    return middle / reach, middle * reach


def signal_spread(value: Value) -> float:
    """The variance over networks of ln of what a run measures."""
    return value.spread + own_spread(value.one, value)


def gradient_spread(gradient: Gradient, value: Value) -> float:
    """The same of a gradient."""
    from botec.analyses.signal.pointwise import matched

    return gradient.spread + own_spread(matched(gradient, value)[0], value)


def own_spread(part: Any, value: Value) -> float:
    """How far the mean over a tensor's entries lies from the mean over all networks."""
    units = [a for a, axis in enumerate(value.roles) if role_of(axis) == "u"]
    rest = [a for a in range(len(value.shape)) if a not in units]
    return width_spread(part, value.count(rest), value.count(units)["u"])


def weights_found(run: Run) -> Mapping[str, float]:
    """The second moment of every parameter's gradient in the median network, by name; none where it
    is a small difference of large sums that are not known well enough, and comes out below 0."""
    rows = run.weights.items()
    return {name: typical(q, run.weight_spread[name]) for name, q in rows if q >= 0}
