"""The two folds over a graph: moments forward, second moments of gradients backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from botec.analyses.signal.book import Outcome, Pull, rule_of
from botec.analyses.signal.particles import Noise
from botec.analyses.signal.value import Axis, Data, Gradient, Missing, Part, Value, flat
from botec.errors import BadInput
from botec.graph import Graph, Node, numbers_in
from botec.ops.facts import kind_of

SHOWS = {  # ops that show a parameter entry for entry, whatever its shape
    "aten.t", "aten.transpose", "aten.view", "aten.permute", "aten.reshape", "aten.unsqueeze",
    "aten.squeeze", "aten._unsafe_view", "aten.detach", "aten.alias", "aten.clone",
    "aten._to_copy", "aten.contiguous", "aten.numpy_T",
}  # fmt: skip


@dataclass(eq=False)
class Run:
    """One prediction: the graph, what runs its ops, the weights, and all that was found.

    ``weights`` maps the name of a parameter to the second moment of its gradient.
    """

    graph: Graph
    executor: Any
    noise: Noise
    values: dict[int, Any]
    wanted: frozenset[int] = frozenset()
    pulls: dict[int, Pull] = field(default_factory=dict)
    gradients: dict[int, Gradient] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    weight_spread: dict[str, float] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    sampled: dict[str, int] = field(default_factory=dict)
    derived: dict[Any, Any] = field(default_factory=dict)
    progress: Callable[[int, int], None] | None = None

    def shape(self, number: int) -> tuple[int, ...]:
        """The shape of a value of the graph."""
        return self.graph.values[number].shape

    def once(self, what: Any, array: Any, make: Callable[[Any], Any]) -> Any:
        """What follows from a known array alone, such as a mask of all layers: made once."""
        key = (what, id(array))
        if key not in self.derived:
            self.derived[key] = (array, make(array))  # kept, so that its id is nobody else's
        return self.derived[key][1]

    def weight(self, name: str, second_moment: float, spread: float = 0.0) -> None:
        """The gradient of a parameter: its second moment, added to what other uses gave."""
        if name:
            self.weights[name] = self.weights.get(name, 0.0) + second_moment
            self.weight_spread[name] = max(self.weight_spread.get(name, 0.0), spread)


def predict(
    graph: Graph,
    executor: Any,
    weights: Mapping[int, Any],
    *,
    output: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Both folds over ``graph``.

    ``weights`` are the arrays of parameters and buffers by value; the inputs are Gaussian of
    variance 1 (whole numbers: uniform), the gradient of ``output`` (by default the largest) is
    Gaussian of variance 1. Raises :class:`BadInput` for weights that are not finite.
    """
    refuse_bad(graph, weights)
    values: dict[int, Any] = {number: Data(array) for number, array in graph.constants.items()}
    for number, array in weights.items():
        values[number] = Data(array, graph.values[number].name)
    noise = Noise(seed)
    for number in graph.inputs:
        values[number] = source(graph, number, noise)
    end = output_of(graph) if output is None else output
    run = Run(graph, executor, noise, values, ancestors(graph, end), progress=progress)
    forward(run)
    backward(run, end)
    return run


def refuse_bad(graph: Graph, weights: Mapping[int, Any]) -> None:
    import numpy

    for number, array in weights.items():
        if array.dtype.kind == "f" and not numpy.isfinite(float(numpy.sum(array))):
            bad = int((~numpy.isfinite(array)).sum())
            if bad:
                name = graph.values[number].name
                raise BadInput(
                    f"{bad} of {array.size} entries of {name} are not finite",
                    "mend the weights",
                    name,
                )


def output_of(graph: Graph) -> int:
    """The output that a gradient is sent into: the largest floating one."""
    floating = [n for n in graph.outputs if "float" in graph.values[n].dtype]
    if not floating:
        raise BadInput("the model gives no floating output", "ask another model", graph.name)
    return max(floating, key=lambda n: elements(graph.values[n].shape))


def elements(shape: Sequence[int]) -> int:
    """How many entries a tensor of ``shape`` has."""
    total = 1
    for size in shape:
        total *= size
    return total


def ancestors(graph: Graph, end: int) -> frozenset[int]:
    """Places of the nodes that ``end`` depends on."""
    wanted, places = {end}, set()
    for place in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[place]
        if any(number in wanted for number in node.results):
            places.add(place)
            wanted.update(node.inputs)
    return frozenset(places)


# --- what goes in ---------------------------------------------------------------------------------


def source(graph: Graph, number: int, noise: Noise) -> Value:
    """An input: independent normal entries, or independent whole numbers."""
    import numpy

    value = graph.values[number]
    roles = input_roles(graph, number)
    index = "float" not in value.dtype
    z = numpy.zeros((4, noise.samples)) if index else noise.normal(4)
    part = Part(value.shape[-1] if value.shape else 1, z, flat(len(value.shape)))
    return Value(value.shape, roles, (part,), max(len(value.shape) - 1, 0), index=index)


def input_roles(graph: Graph, number: int) -> tuple[Axis, ...]:
    """The meaning of an input's axes: examples first, units second in pictures, else last.

    A picture is what a convolution reads, or what has four axes and no matrix multiplies; what
    gets its axis of units on the way to a convolution has none yet. A whole number is a unit by
    itself: all its axes are examples and positions.
    """
    value = graph.values[number]
    rank = len(value.shape)
    letters = ["b", *["p"] * (rank - 1)]
    if "float" in value.dtype and rank > 1:
        kind, read = first_mixing(graph, number)
        picture = kind == "convolution" or (rank > 3 and kind != "matmul")
        if kind != "convolution" or read == rank:
            letters[1 if picture else -1] = "u"
    return tuple(((role, size),) for role, size in zip(letters, value.shape, strict=False))


def first_mixing(graph: Graph, number: int) -> tuple[str, int]:
    """The kind of the first op that mixes an input's entries, "" where there is none, and how many
    axes what it reads of them has."""
    waiting: list[int] = [number]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        for place in graph.users[one]:
            node = graph.nodes[place]
            kind = kind_of(node.call)
            if kind in ("convolution", "matmul", "norm"):
                return kind, len(graph.values[one].shape)
            waiting += [n for n in node.results if n not in seen]
            seen.update(node.results)
    return "", 0


# --- forward --------------------------------------------------------------------------------------


def forward(run: Run) -> None:
    """Every node that the output needs, in order."""
    for place, node in enumerate(run.graph.nodes):
        if place not in run.wanted:
            continue
        if run.progress:
            run.progress(place, 2 * len(run.graph.nodes))
        outcome = outcome_of(run, node)
        for number, found in zip(node.outputs, outcome.outputs, strict=False):
            if number is not None:
                run.values[number] = found
        for number in node.written.values():
            run.values.setdefault(number, outcome.outputs[0] if outcome.outputs else Missing(""))
        if outcome.pull is not None:
            run.pulls[place] = outcome.pull


def outcome_of(run: Run, node: Node) -> Outcome:
    """What a node gives: known where all it takes is, by its rule, or not predicted."""
    given = {name: taken(run, one) for name, one in node.given.items()}
    parts = list(opened(given.values()))
    missing = [one for one in parts if isinstance(one, Missing)]
    known = all(isinstance(one, Data) for one in parts) and known_outcome(run, node, given)
    if known:
        return known
    if missing:
        return nothing(node, missing[0].why)
    rule = rule_of(node.call.op)
    outcome = rule(run, node, given) if rule else None
    if outcome is None and kind_of(node.call) == "pointwise":
        from botec.analyses.signal.pointwise import pointwise

        outcome = pointwise(run, node, given)
    if outcome is None and any(isinstance(one, Value) for one in parts):
        from botec.analyses.signal.sampling import sampled

        outcome = sampled(run, node, given)
    if outcome is None:
        name = node.call.op
        run.unknown[name] = run.unknown.get(name, 0) + 1
        return nothing(node, f"{name} has no rule")
    if any(isinstance(one, Value) and not isfinite(one.q) for one in outcome.outputs):
        return nothing(node, f"{node.call.op} is not finite for all it may be given")
    return outcome


def taken(run: Run, given: Any) -> Any:
    """The values of an argument, ``None`` kept in its place."""
    if isinstance(given, tuple):
        return tuple(taken(run, one) for one in given)
    return None if given is None else run.values.get(given, Missing("it is not known"))


def opened(given: Any) -> Any:
    """Every value among arguments, lists opened."""
    yield from numbers_in(given)


def nothing(node: Node, why: str) -> Outcome:
    return Outcome(tuple(Missing(why) for _ in node.outputs))


LARGEST = 1 << 27  # entries of a known array that are worked out


def known_outcome(run: Run, node: Node, given: Mapping[str, Any]) -> Outcome | None:
    """An op of known arrays alone is run, of the same arrays once; not one that draws, or gives
    what lies in memory."""
    from botec.analyses.signal.sources import DRAWS, UNSET

    large = any(elements(run.shape(n)) > LARGEST for n in node.outputs if n is not None)
    if node.call.op in DRAWS | UNSET or (large and not node.call.view):
        return None
    known = list(opened(given.values()))
    key = (id(node.call), *map(id, known))
    if key not in run.derived:
        arrays = {name: array_of(one) for name, one in given.items()}
        outs = run.executor.run(node.call, arrays)
        name = known[0].name if node.call.op in SHOWS and len(known) == 1 else ""
        found = Outcome(tuple(None if out is None else Data(out, name) for out in outs))
        run.derived[key] = (known, found)
    outcome: Outcome = run.derived[key][1]
    return outcome


def array_of(given: Any) -> Any:
    if isinstance(given, tuple):
        return tuple(array_of(one) for one in given)
    return None if given is None else given.array


# --- backward -------------------------------------------------------------------------------------


def backward(run: Run, end: int) -> None:
    """From a normal gradient of variance 1 at ``end`` to every value and parameter.

    Profiles are let go once nothing is worked out from them any more (1,024 tokens have 8 MB of
    them in every step of attention); values that modules give keep theirs, to be looked at.
    """
    from botec.analyses.signal.layers import outputs_of

    root = run.values.get(end)
    if not isinstance(root, Value):
        return
    parts = tuple(
        Part(part.size, run.noise.normal(4), flat(len(root.shape)), (0.0, 0.0, 0.0, 0.0))
        for part in root.parts
    )
    run.gradients[end] = Gradient(parts)
    count, shown = len(run.graph.nodes), set(outputs_of(run.graph).values())
    for place in range(count - 1, -1, -1):
        pull = run.pulls.pop(place, None)
        node = run.graph.nodes[place]
        if pull is not None:
            if run.progress:
                run.progress(2 * count - place, 2 * count)
            found = [None if n is None else run.gradients.get(n) for n in node.outputs]
            if any(one is not None for one in found):
                for name, gradient in pull(found).items():
                    deliver(run, node.given.get(name), gradient)
        for number in node.results:
            value, gradient = run.values.get(number), run.gradients.get(number)
            if isinstance(value, Value) and number not in shown:
                run.values[number] = replace(value, parts=tuple(map(even, value.parts)))
            if gradient is not None:
                run.gradients[number] = replace(gradient, parts=tuple(map(even, gradient.parts)))


def even(part: Part) -> Part:
    """A part without its profile, as if its entries were alike."""
    return replace(part, profile=flat(part.profile.ndim), shared=None)


def deliver(run: Run, numbers: Any, gradient: Any) -> None:
    """Add a gradient to the value it belongs to; lists part by part."""
    if isinstance(numbers, tuple):
        for number, one in zip(numbers, gradient or (), strict=False):
            deliver(run, number, one)
    elif numbers is not None and gradient is not None:
        value = run.values.get(numbers)
        if isinstance(value, Value) and not value.index:
            before = run.gradients.get(numbers)
            added = gradient if before is None else total(before, gradient, value)
            run.gradients[numbers] = added


def total(a: Gradient, b: Gradient, value: Value) -> Gradient:
    """The sum of two gradients of ``value``: particles add, correlations by their shares."""
    from botec.analyses.signal.value import mixture, unit_axes

    x, y = a.parts, b.parts
    if [one.size for one in x] != [one.size for one in y]:
        x = (mixture(x, value.axis),) if len(x) > 1 else x
        y = (mixture(y, value.axis),) if len(y) > 1 else y
    units = unit_axes(value)
    parts = tuple(added(one, other, units) for one, other in zip(x, y, strict=True))
    shares = a.q + b.q
    spread = (a.q**2 * a.spread + b.q**2 * b.spread) / shares**2 if shares > 0 else 0.0
    return Gradient(parts, spread)


def added(a: Part, b: Part, units: tuple[int, ...] = ()) -> Part:
    """The sum of two gradients of one part; where they meet in few entries, little adds up.

    Along ``units`` pairs of positions are never formed: what reaches a third of them alone (the
    queries, say) keeps its correlation in that third.
    """
    from botec.analyses.signal.averages import evenness
    from botec.analyses.signal.value import narrowed, normalised

    q = a.q + b.q
    if q <= 0:
        return a
    profile = normalised(narrowed(a.profile * a.q + b.profile * b.q))[0]
    meeting = float(((a.profile * b.profile) ** 0.5).mean())
    common = 0.0 if a.alone or b.alone else float((a.z[0] * b.z[0]).mean())
    together = q + 2 * common * min(meeting, 1.0)
    z = a.z + b.z
    now = float((z[0] ** 2).mean())
    z = z * (max(together, 0.0) / now) ** 0.5 if now > 0 else z
    rows = zip(a.told(), b.told(), strict=True)
    # entries of different addends know nothing of each other: pairs within each count
    k = [(x * a.q + y * b.q) / q for x, y in rows]
    even = max(evenness(profile, *units), 1e-300)
    one, other = (evenness(x.profile, *units) * x.q / (q * even) for x in (a, b))
    for r in (0, 3):
        k[r] = min(a.told()[r] * one + b.told()[r] * other, 1.0)
    return Part(a.size, z, profile, tuple(k), alone=a.alone and b.alone)
