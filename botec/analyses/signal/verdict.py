"""What is wrong with an initialisation, and where: by the modules' own names.

Three questions. Does the signal, or the gradient, leave a band over the depth that optimizers and
number formats bear? Is one layer unlike those that hold the same place in other blocks? Does the
structure waste a layer: a norm behind a norm, units that saturate or are dead?
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from botec.analyses.activations import ACTIVATIONS, quadrature
from botec.analyses.signal.fold import Run, elements
from botec.analyses.signal.layers import Layer
from botec.analyses.signal.norms import ONE_ELEMENT
from botec.analyses.signal.particles import EXAMPLE, SELF, scores
from botec.analyses.signal.value import Missing, Value
from botec.graph import Node
from botec.ops.facts import kind_of

#: Factors on second moments over the depth. A signal is compared entry by entry, a gradient by its
#: whole norm. Beyond 10³ in the norm of a gradient, one rate cannot suit first and last layers.
SIGNAL_BAND, GRADIENT_BAND = 1e4, 1e6
ODD = 1.3  # a weight's second moment over that of its siblings that is no accident
EVEN = 1.1  # by how much siblings may differ to be siblings
FEWEST = 4  # siblings that make a rule
FLAT = 0.05  # of the largest slope: a unit with less is saturated
TOO_MANY = 0.5
SURELY = 5.0  # standard deviations of a weight's square: there are many weights
CHANCE = 3.0  # standard deviations of a count of units that are no accident
BATCH = 100  # examples, at least, that a unit is off for before it is called dead
WEIGHTED = ("convolution", "matmul")


@dataclass(frozen=True)
class Finding:
    """Something wrong: what (``kind``), in which module, and a sentence."""

    kind: str
    where: str
    text: str


def findings(run: Run, rows: Sequence[Layer], weights: Mapping[int, Any]) -> list[Finding]:
    """All that is wrong, the worst first."""
    found = (over_depth(run), odd_weights(run, weights), norms_of_norms(run), norms_of_one(run))
    return [*(one for each in found for one in each), *idle(run)]


# --- over the depth -------------------------------------------------------------------------------


def weighted(run: Run) -> list[tuple[Node, int]]:
    """Nodes that multiply with weights and are predicted, and their outputs, in order."""
    return [
        (node, number)
        for node in multiplying(run)
        if (number := node.outputs[0]) is not None and isinstance(run.values.get(number), Value)
    ]


def multiplying(run: Run) -> list[Node]:
    """Nodes that multiply with weights, predicted or not."""
    nodes = (node for place, node in enumerate(run.graph.nodes) if place in run.wanted)
    return [node for node in nodes if kind_of(node.call) in WEIGHTED and named_weight(run, node)]


def named_weight(run: Run, node: Node) -> str:
    """The parameter a node multiplies with, "" where there is none."""
    from botec.analyses.signal.value import Data

    for name in ("weight", "mat2", "mat1"):
        one = (
            run.values.get(node.given.get(name, -1))
            if isinstance(node.given.get(name), int)
            else None
        )
        if isinstance(one, Data) and one.name:
            return one.name
    return ""


def over_depth(run: Run) -> Iterator[Finding]:
    """Signals and gradients that leave their band; none where most layers are not predicted: what
    is known of the depth may be a branch."""
    nodes = weighted(run)
    if 2 * len(nodes) < len(multiplying(run)):
        return
    signals = [(node.scope, run.values[number].q) for node, number in nodes]
    examples = max(next(iter(run.graph.point.values()), 1), 1)
    gradients = [
        (node.scope, run.gradients[number].q * elements(run.shape(number)) / examples)
        for node, number in reversed(nodes)
        if number in run.gradients
    ]
    yield from leaving(signals, SIGNAL_BAND, "signal", "forward")
    yield from leaving(gradients, GRADIENT_BAND, "gradient", "backward")


def leaving(
    rows: Sequence[tuple[str, float]], band: float, what: str, way: str
) -> Iterator[Finding]:
    """Whether the last third of ``rows`` lies beyond ``band`` of the first, and where it went.

    The largest of a third is taken: a branch may be small as long as another way is not.
    """
    known = [(where, size) for where, size in rows if size > 0]
    if len(known) < 3:
        return
    third = max(len(known) // 3, 1)
    begin, end = max(s for _, s in known[:third]), max(s for _, s in known[-third:])
    ratio = end / begin
    if ratio > 1 and what == "signal":  # nothing but the weights makes a signal grow: all layers do
        ratio **= len(known) / (len(known) - third)
    if not (ratio > band or ratio < 1 / band):
        return
    grows = ratio > 1
    steps = [math.log(b / a) for (_, a), (_, b) in pairwise(known)]
    steps = steps if grows else [-step for step in steps]
    worst = max(range(len(steps)), key=lambda place: steps[place])
    mean = math.exp(math.log(ratio) / max(len(known) - third, 1))
    verb = "explodes" if grows else "vanishes"
    share = steps[worst] / max(abs(math.log(ratio)), 1e-300)
    passed = known[worst + (what == "signal")][0]  # a gradient has passed the layer it comes from
    place = (
        f"most of it in {passed}"
        if share > TOO_MANY
        else f"by ×{mean:.3g} a layer, from {known[0][0]} to {known[-1][0]}"
    )
    where = passed if share > TOO_MANY else known[-1][0]
    text = f"The {what} {verb} {way}: its second moment changes ×{ratio:.1e}, {place}."
    yield Finding(f"{what} {verb}", where, text)


# --- one unlike its siblings ----------------------------------------------------------------------


def odd_weights(run: Run, weights: Mapping[int, Any]) -> Iterator[Finding]:
    """Weights that are larger or smaller than those in the same place of other blocks.

    Initialisations scale with a fan, or with none: siblings are compared by the scaling that makes
    most of them equal.
    """
    rows = list(squares_of(run, weights))
    for kind in dict.fromkeys(row.kind for row in rows):
        alike = [row for row in rows if row.kind == kind]
        for members in siblings([row.name for row in alike]):
            yield from odd_among([row for row in alike if row.name in members])


def siblings(names: Sequence[str]) -> Iterator[set[str]]:
    """Weights in the same place of other blocks (``blocks.*.fc2``), where there are enough of
    them; of the rest those whose names are the same but for numbers (``layer*.*.conv*``)."""
    left = list(names)
    for numbers in (r"(?<![^.])\d+(?![^.])", r"\d+"):
        groups: dict[str, set[str]] = {}
        for name in left:
            groups.setdefault(re.sub(numbers, "*", name), set()).add(name)
        large = [group for group in groups.values() if len(group) >= FEWEST]
        yield from large
        left = [name for name in left if not any(name in group for group in large)]


@dataclass(frozen=True)
class Matrix:
    """A weight that a product of some ``kind`` uses: E w², of so many entries, and its fans."""

    name: str
    kind: str
    square: float
    entries: int
    fan_in: int
    fan_out: int


def squares_of(run: Run, weights: Mapping[int, Any]) -> Iterator[Matrix]:
    """Every weight that a product uses."""
    import numpy

    names = run.graph.named("parameter")
    seen = set()
    nodes = weighted(run)
    shapes = [
        weights[names[n]].shape
        for n in (named_weight(run, one) for one, _ in nodes)
        if n in names and names[n] in weights
    ]
    if shapes and shapes.count(shapes[-1]) == 1:
        nodes = nodes[:-1]  # a head is nobody's sibling
    for node, number in nodes:
        name = named_weight(run, node)
        if name in seen or name not in names or names[name] not in weights:
            continue
        seen.add(name)
        array = weights[names[name]]
        square = float(numpy.vdot(array, array)) / array.size
        kind = kind_of(node.call)
        outputs = run.shape(number)[1 if kind == "convolution" else -1]
        if node.call.arguments.get("groups", 1) > 1:  # whose fans are told with groups and without
            kind = f"grouped {kind}"
        fan_in = max(array.size // max(outputs, 1), 1)
        fan_out = max(outputs * math.prod(array.shape[2:]), 1)
        yield Matrix(name, kind, square, array.size, fan_in, fan_out)


def odd_among(rows: Sequence[Matrix]) -> Iterator[Finding]:
    """Those that are odd under every scaling that makes most of ``rows`` equal, and not by chance:
    the mean square of n normal entries has a relative variance of 2/n."""
    live = [row for row in rows if row.square > 0]
    if len(live) < FEWEST:
        return
    factors = [
        sizes_over_median([row.square * scale(row.fan_in, row.fan_out) for row in live])
        for scale in SCALINGS
    ]
    fitting = [each for each in factors if spread(each) <= math.log(EVEN)]
    if not fitting:
        return
    for place, row in enumerate(live):
        found = min((each[place] for each in fitting), key=lambda size: abs(math.log(size)))
        chance = SURELY * math.sqrt(2 / row.entries)
        if abs(math.log(found)) > max(math.log(ODD), chance):
            where = row.name.rpartition(".")[0] or row.name
            text = (
                f"The weight of {where} has ×{math.sqrt(found):.3g} the standard deviation of "
                f"the {len(live) - 1} others in its place."
            )
            yield Finding("odd weight", where, text)


SCALINGS: tuple[Callable[[int, int], float], ...] = (
    lambda fan_in, fan_out: 1,
    lambda fan_in, fan_out: fan_in,
    lambda fan_in, fan_out: fan_out,
    lambda fan_in, fan_out: fan_in + fan_out,
)


def sizes_over_median(sizes: Sequence[float]) -> list[float]:
    middle = median(sizes)
    return [size / middle for size in sizes]


def spread(sizes: Sequence[float]) -> float:
    """The median distance of logarithms from their median."""
    middle = math.log(median(sizes))
    return median([abs(math.log(size) - middle) for size in sizes])


def median(sizes: Sequence[float]) -> float:
    ordered = sorted(sizes)
    return ordered[len(ordered) // 2]


# --- structure ------------------------------------------------------------------------------------


def norms_of_norms(run: Run) -> Iterator[Finding]:
    """A norm whose only reader is another norm over the same entries."""
    graph = run.graph
    for place, node in enumerate(graph.nodes):
        if place not in run.wanted or kind_of(node.call) != "norm" or not node.outputs:
            continue
        number = node.outputs[0]
        first = None if number is None else only_reader(graph, number)
        if first is not None and kind_of(first.call) == "norm" and first.call.op == node.call.op:
            text = (
                f"{first.scope} normalises what {node.scope} has normalised: one of them is idle."
            )
            yield Finding("double norm", first.scope, text)


def norms_of_one(run: Run) -> Iterator[Finding]:
    """Norms that subtract an entry from itself."""
    for place, node in enumerate(run.graph.nodes):
        number = node.outputs[0] if node.outputs else None
        value = run.values.get(number) if number is not None else None
        of_one = isinstance(value, Missing) and ONE_ELEMENT in value.why
        if place in run.wanted and kind_of(node.call) == "norm" and of_one:
            text = f"{node.scope}: a norm {ONE_ELEMENT}; nothing of the input passes it."
            yield Finding("norm of one element", node.scope, text)


def only_reader(graph: Any, number: int) -> Node | None:
    """The one node that reads a value, views in between left out."""
    while True:
        readers = [graph.nodes[place] for place in graph.users[number]]
        if len(readers) != 1:
            return None
        if not readers[0].call.view or readers[0].outputs[0] is None:
            return readers[0]
        number = readers[0].outputs[0]


def idle(run: Run) -> Iterator[Finding]:
    """Activations most of whose units pass no gradient."""
    for row in activations(run):
        if row.saturated - row.usual > TOO_MANY * (1 - row.usual):
            text = f"{row.saturated:.0%} of the units of {row.where} are saturated."
            yield Finding("saturated", row.where, text)
        if is_dead(row):
            text = (
                f"{row.dead:.0%} of the units of {row.where} pass nothing for any of "
                f"{row.examples} examples; by sign alone it would be {row.by_chance:.0%}."
            )
            yield Finding("dead", row.where, text)


def is_dead(row: Activation) -> bool:
    """Whether most of the units that signs alone leave alive are dead, and no accident.

    A dead unit passes nothing for any input; one that is off for half of them is not dead. Where
    all examples are nearly alike (a gate behind a mean over a map), a unit is on or off for all of
    them: half are dead then by the sign of their sum, and of few units more than half by accident.
    """
    beyond = row.dead - row.by_chance
    accident = math.sqrt(row.by_chance * (1 - row.by_chance) / max(row.units, 1))
    return beyond > max(TOO_MANY * (1 - row.by_chance), CHANCE * accident)


@dataclass(frozen=True)
class Activation:
    """One activation: ``off`` is the share of entries without a gradient, ``dead`` that of its
    ``units`` without one for all of ``examples``, ``saturated`` that of entries with next to none.

    ``by_chance`` is the share that would be dead if each entry were on or off with equal chance,
    ``usual`` the share of entries that would be saturated if they were normal of variance 1: half
    of them behind a leaky ReLU.
    """

    where: str
    op: str
    off: float
    dead: float
    saturated: float
    by_chance: float = 0.0
    units: int = 1
    examples: int = BATCH
    usual: float = 0.0


def activations(run: Run) -> list[Activation]:
    """Every activation that the book of activations knows."""
    import numpy

    found = []
    for place, node in enumerate(run.graph.nodes):
        given = node.given.get("self")
        value = run.values.get(given) if isinstance(given, int) else None
        name = node.call.op.removeprefix("aten.").removesuffix("_")
        plain = place in run.wanted and name in ACTIVATIONS and len(node.inputs) == 1
        if not plain or not isinstance(value, Value) or value.index or value.q <= 0:
            continue  # (behind a branch that starts at 0 nothing has come yet)
        slope = slopes(run, node, value.one.z)
        if slope is None or (slope[SELF].any() and float(numpy.ptp(slope[SELF])) < 1e-6):
            continue  # a straight line
        size = numpy.abs(slope)
        off, low = flat_shares(size[SELF], float(size.max()))
        counts = value.count(range(len(value.shape)))
        examples = max(counts["b"], BATCH)
        dead, chance = (
            always_off(value, single, examples * counts["p"]) for single in (off, min(off, 0.5))
        )
        few = max(low - off, 0.0)
        row = (node.scope, node.call.op, off, dead, few, chance, counts["u"], examples)
        found.append(Activation(*row, usual_share(run, node, few)))
    return found


def flat_shares(size: Any, top: float) -> tuple[float, float]:
    """The shares of slopes that are 0, and that are next to nothing beside the ``top`` one."""
    return float((size == 0).mean()), float((size < FLAT * top).mean())


def usual_share(run: Run, node: Node, few: float) -> float:
    """The share of normal entries of variance 1 with next to no slope, where that matters."""
    import numpy

    slope = slopes(run, node, scores(run.noise.samples)) if few > TOO_MANY / 2 else None
    if slope is None:
        return 0.0
    off, low = flat_shares(numpy.abs(slope), float(numpy.abs(slope).max()))
    return max(low - off, 0.0)


def slopes(run: Run, node: Node, z: Any) -> Any:
    """The derivative of a pointwise node at particles ``z``; ``None`` for none."""
    import numpy

    from botec.analyses.signal.pointwise import plain_twin

    try:
        return run.executor.pull(plain_twin(node.call), {"self": z}, [numpy.ones_like(z)])["self"]
    except RuntimeError:
        return None


def always_off(value: Value, single: float, n: int) -> float:
    """The chance that a unit is off ``n`` times, each with the chance ``single``.

    Entries share a part c of variance k: given c they are independent, so the chance is the mean
    over c of the chance of one, to the power of their number.
    """
    import numpy
    from scipy.special import ndtr, ndtri

    if not 0 < single < 1:
        return single
    part = value.one
    q, mean = part.q, part.mean
    variance = max(q - mean**2, 1e-300)
    k = max(0.0, min((part.correlation(EXAMPLE) * q - mean**2) / variance, 0.999999))
    c, share = quadrature()
    given = ndtr((float(ndtri(single)) - math.sqrt(k) * c) / math.sqrt(1 - k))
    return float((share * numpy.power(given, n)).sum())
