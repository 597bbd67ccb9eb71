"""Where randomness comes in: embeddings looked up by random indices, dropout masks, noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from botec.analyses.signal.averages import pair_mean
from botec.analyses.signal.book import Outcome, rule
from botec.analyses.signal.linear import matched_whole, squares
from botec.analyses.signal.pointwise import drawn, has_role
from botec.analyses.signal.value import Axis, Data, Gradient, Missing, Part, Value, flat

#: Ops whose result is drawn, whatever they are given.
DRAWS = {
    "aten.bernoulli", "aten.bernoulli_", "aten.native_dropout", "aten.randn", "aten.rand",
    "aten.randn_like", "aten.rand_like", "aten.normal_", "aten.uniform_", "aten.rrelu_with_noise",
    "aten.rrelu_with_noise_functional",
}  # fmt: skip


@rule("aten.embedding")
def embedding(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Rows of a table at random places: the table's entries are the particles."""
    table, index = given["weight"], given["indices"]
    if not isinstance(table, Data) or not isinstance(index, Value):
        return None
    shape = run.shape(node.outputs[0])
    along: tuple[Axis, ...] = (tuple(both(index)), (("u", shape[-1]),))
    z = drawn(table.array, along, run.noise).astype("float64")
    z = matched_to(z, moments_of(table.array, along))
    part = Part(shape[-1], z, flat(len(shape)))
    roles = (*index.roles, (("u", shape[-1]),))
    value = Value(shape, roles, (part,), len(shape) - 1)
    rows = table.array.shape[0]
    counts = value.count(range(len(shape) - 1))

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is not None and table.name:
            g = matched_whole(gradients[0], value)
            n = counts["b"] * counts["p"] / rows  # uses of a row
            once = pair_mean(g.moments(), {**counts, "u": 1})
            run.weight(table.name, n * g.q + n * n * (once - g.q * rows / max(n * rows, 1)),
                       gradients[0].spread)  # fmt: skip
        return {}

    return Outcome((value,), pull)


def moments_of(table: Any, along: Sequence[Axis]) -> Any:
    """E[x_r x_s] of the replicas of an entry of a table: another row, another column, or both."""
    import numpy

    rows = [0, *(place if has_role(along[0], role) else 0 for place, role in enumerate("pb", 1)), 0]
    columns = [0, 0, 0, 1]
    q, mean = squares(table) / table.size, float(table.mean())
    means = {
        (True, True): q,
        (False, True): float(numpy.square(table.mean(0), dtype="float64").mean()),
        (True, False): float(numpy.square(table.mean(1), dtype="float64").mean()),
        (False, False): mean**2,
    }
    return numpy.array([
        [means[rows[r] == rows[s], columns[r] == columns[s]] for s in range(4)] for r in range(4)
    ])  # fmt: skip


def matched_to(z: Any, wanted: Any) -> Any:
    """Replicas [4, samples], turned a little so that their second moments are those wanted: what
    positions share by chance would count once for each pair of them."""
    import numpy

    first = [next(s for s in range(4) if numpy.array_equal(z[r], z[s])) for r in range(4)]
    own = sorted(set(first))
    try:
        now = numpy.linalg.cholesky(z[own] @ z[own].T / z.shape[1])
        lower = numpy.linalg.cholesky(wanted[numpy.ix_(own, own)])
    except numpy.linalg.LinAlgError:  # of one row, or all alike
        size = math.sqrt(float((z[0] ** 2).mean()))
        return z * math.sqrt(wanted[0, 0]) / size if size > 0 else z
    turned = lower @ numpy.linalg.solve(now, z[own])
    return turned[[own.index(s) for s in first]]


def both(index: Value) -> Sequence[tuple[str, int]]:
    """The roles of all axes of an index: a row differs where any of them does."""
    return [(role, size) for axis in index.roles for role, size in axis if size > 1] or [("1", 1)]


FILLED = {
    "aten.zeros_like": 0.0,
    "aten.new_zeros": 0.0,
    "aten.ones_like": 1.0,
    "aten.new_ones": 1.0,
}


#: Ops whose result is whatever lies in memory.
UNSET = {"aten.empty", "aten.empty_strided", "aten.empty_like", "aten.new_empty"}


@rule(
    *UNSET, "aten.new_zeros", "aten.zeros_like", "aten.ones_like",
    "aten.full_like", "aten.new_full", "aten.new_ones",
)  # fmt: skip
def filled(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome:
    """A tensor of a given shape and filling, whatever the values of the one it is like; 0 where
    nobody has set anything yet."""
    import numpy

    fill = node.call.arguments.get("fill_value", FILLED.get(node.call.op, 0.0))
    kind = run.graph.values[node.outputs[0]].dtype
    kind = kind if kind != "bfloat16" else "float32"
    return Outcome(
        (Data(numpy.broadcast_to(numpy.asarray(fill, kind), run.shape(node.outputs[0]))),)
    )


@rule("aten.bernoulli", "aten.bernoulli_")
def mask(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """Ones with a given chance, everywhere independent."""
    number = node.outputs[0]
    shape, chance = run.shape(number), node.call.arguments.get("p")
    if chance is None:
        return None
    z = (run.noise.random.random((4, run.noise.samples)) < chance).astype("float64")
    now = float(z[0].mean())
    z = z * math.sqrt(chance / now) if now > 0 else z
    roles = mask_roles(run, number, shape)
    at = max(len(shape) - 1, 0)
    part = Part(shape[at] if shape else 1, z, flat(len(shape)))
    return Outcome((Value(shape, roles, (part,), at, keep=float(chance)),))


def mask_roles(run: Any, number: int, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """A mask has the meaning of what it is multiplied with."""
    waiting, seen = [number], {number}
    while waiting:
        one = waiting.pop(0)
        for place in run.graph.users[one]:
            node = run.graph.nodes[place]
            for other in node.inputs:
                known = run.values.get(other)
                if other not in seen and isinstance(known, Value) and known.shape == shape:
                    return known.roles
            waiting += [n for n in node.results if n not in seen]
            seen.update(node.results)
        if len(seen) > 16:
            break
    return tuple(
        (("b" if place == 0 else "u" if place == len(shape) - 1 else "p", size),)
        for place, size in enumerate(shape)
    )


@rule("aten.native_dropout")
def dropout(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """x m/(1 - p), m a mask."""
    from botec.analyses.signal.pointwise import matched
    from botec.analyses.signal.value import replace_parts

    x = given["input"]
    if not isinstance(x, Value):
        return None
    keep = 1 - node.call.arguments["p"]
    if not node.call.arguments.get("train", True) or keep == 1:
        return Outcome((x, Missing("a mask")), lambda gradients: {"input": gradients[0]})
    masks = [(run.noise.random.random(part.z.shape) < keep) / keep for part in x.parts]
    value = replace_parts(x, [part.z * m for part, m in zip(x.parts, masks, strict=True)])

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        from dataclasses import replace

        if gradients[0] is None:
            return {}
        found = tuple(
            replace(g, z=g.z * m, k=tuple(k * keep for k in g.told()), slope=None)
            for g, m in zip(matched(gradients[0], value), masks, strict=True)
        )
        return {"input": Gradient(found, gradients[0].spread)}

    return Outcome((value, Missing("a mask")), pull)


@rule("aten.rrelu_with_noise", "aten.rrelu_with_noise_functional")
def random_leaky(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """x, or x times a factor drawn for each entry between two bounds where x is below 0."""
    from dataclasses import replace

    from botec.analyses.signal.pointwise import matched, slope_correlations
    from botec.analyses.signal.value import replace_parts

    x, call = given["self"], node.call.arguments
    if not isinstance(x, Value):
        return None
    low, high = call.get("lower", 1 / 8), call.get("upper", 1 / 3)
    if not call.get("training", False):
        low = high = (low + high) / 2
    slopes = []
    for part in x.parts:
        drawn_at = run.noise.random.uniform(low, high, part.z.shape)
        slopes.append(drawn_at * (part.z <= 0) + (part.z > 0))
    value = replace_parts(x, [part.z * s for part, s in zip(x.parts, slopes, strict=True)])

    def pull(gradients: Sequence[Gradient | None]) -> dict[str, Any]:
        if gradients[0] is None:
            return {}
        found = tuple(
            replace(g, z=g.z * s, k=slope_correlations(g.told(), s), slope=None)
            for g, s in zip(matched(gradients[0], value), slopes, strict=True)
        )
        return {"self": Gradient(found, gradients[0].spread)}

    return Outcome((value, *(Missing("its noise") for _ in node.outputs[1:])), pull)
