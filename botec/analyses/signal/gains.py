"""The gains of the activations that a network really has, to ten digits, beside published ones.

Activations are found in the graph and run at the points of a quadrature: the op with the arguments
it was called with, or all ops of a module that is nothing but one function of one tensor. Where a
function has kinks is found by halving, so that each panel of the integral sees a smooth one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from botec.analyses.activations import ACTIVATIONS, REACH, Moments, moments, quadrature
from botec.analyses.signal.fold import Run
from botec.analyses.signal.pointwise import plain_twin
from botec.analyses.signal.value import Data, Value
from botec.graph import Node, numbers_in
from botec.ops.facts import kind_of
from botec.report import Column, Table

#: What ``torch.nn.init.calculate_gain`` answers; where the function is not homogeneous, a custom.
TORCH_GAINS = {
    "identity": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4,
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
}  # fmt: skip
#: 1/√Var f of Brock et al. 2021 (https://arxiv.org/abs/2102.06171, the constants of its code, which
#: timm copies): means over draws, not integrals.
NFNET_GAMMAS = {
    "celu": 1.270926833152771, "elu": 1.2716004848480225, "gelu": 1.7015043497085571,
    "leaky_relu": 1.70590341091156, "log_sigmoid": 1.9193484783172607,
    "relu": 1.7139588594436646, "relu6": 1.7131484746932983, "selu": 1.0008515119552612,
    "sigmoid": 4.803835391998291, "silu": 1.7881293296813965, "softsign": 2.338853120803833,
    "softplus": 1.9203323125839233, "tanh": 1.5939117670059204,
}  # fmt: skip
ALIASES = ("aten.detach", "aten.alias")
USUAL = ("relu", "tanh", "gelu", "silu")  # shown where a network has none
INTERVALS = 4801  # of the search for kinks
SMOOTH = 1e-4  # of the largest slope: a jump beyond is a kink
MOST_KINKS = 64
SAME = 1e-6  # of a mean slope, whose constants the framework keeps in 32 bits
SURE = 1e-10  # by which two quadratures may differ for ten digits


@dataclass(frozen=True)
class Gain:
    """One function of the network: its moments, whether the book has it, and to how many digits."""

    name: str
    moments: Moments
    known: bool
    digits: int = 10


@dataclass(frozen=True)
class Form:
    """What makes two functions the same: what they are called, their ops with the names of the
    arguments that are numbers, and these numbers."""

    name: str
    ops: tuple[tuple[str, ...], ...]
    numbers: tuple[float | str, ...]


@lru_cache(maxsize=1)
def gains(run: Run) -> list[Gain]:
    """Every activation met, each once: a class with other numbers is another."""
    met: dict[Form, Gain | None] = {}
    for name, module, nodes in functions(run):
        given = [numbers_of(run, node) for node in nodes]
        ops = tuple((node.call.op, *each) for node, each in zip(nodes, given, strict=True))
        form = Form(name, ops, tuple(number for each in given for number in each.values()))
        if form not in met:
            met[form] = gain_of(run, name, module, nodes)
    found: dict[str, Gain] = {}
    for form, one in met.items():
        if one is not None:
            alike = [other for other in met if other.name == form.name]
            name = apart(form, alike) if one.name == form.name else one.name
            found.setdefault(name, replace(one, name=name))
    return sorted(found.values(), key=lambda one: one.name)


def apart(form: Form, alike: Sequence[Form]) -> str:
    """``"Swish(2)"``: the name of a function with those of its numbers that others of it have not.

    Others of other ops are told apart by their order.
    """
    same = [other.numbers for other in alike if other.ops == form.ops]
    many = zip(form.numbers, *same, strict=True)
    shown = [text_of(own) for own, *others in many if any(one != own for one in others)]
    name = f"{form.name}({', '.join(shown)})" if shown else form.name
    orders = list(dict.fromkeys(other.ops for other in alike))
    place = orders.index(form.ops)
    return f"{name}, form {place + 1}" if len(orders) > 1 else name


# --- which functions there are --------------------------------------------------------------------


def functions(run: Run) -> Iterator[tuple[str, str, Sequence[Node]]]:
    """Runs of nodes that are one function of one random tensor: a module's, or a single op.

    With what they are called, and the module's class.
    """
    calls: dict[tuple[str, int], list[Node]] = {}
    for place, node in enumerate(run.graph.nodes):
        if place in run.wanted:
            calls.setdefault((node.scope, node.turn), []).append(node)
    for (scope, _), nodes in calls.items():
        steps = [node for node in nodes if kind_of(node.call) == "pointwise"]
        chain = [node for node in nodes if node in steps or node.call.op in ALIASES]
        name = run.graph.scopes.get(scope, "")
        if scope and steps and is_function(run, chain):
            several = chain[: chain.index(steps[-1]) + 1]
            yield name if len(steps) > 1 else called(run, steps[0]), name, several
            continue
        for node in steps:
            if is_function(run, [node]):
                yield called(run, node), "", [node]


def called(run: Run, node: Node) -> str:
    """``"leaky_relu(0.2)"``: the op with the numbers it was given, where they are not its own."""
    name = node.call.op.removeprefix("aten.").strip("_").removesuffix("_kernel")
    given = list(numbers_of(run, node).values())
    own = list(ACTIVATIONS[name].options.values()) if name in ACTIVATIONS else []
    shown = ", ".join(map(text_of, given))
    return f"{name}({shown})" if given and given not in (own, ["none"]) else name


def numbers_of(run: Run, node: Node) -> dict[str, float | str]:
    """The numbers a call is given, by argument; those in tensors of one entry among them."""
    found: dict[str, float | str] = {}
    for name, one in node.call.arguments.items():
        number = node.given.get(name)
        known = run.values.get(number) if isinstance(number, int) else None
        if isinstance(known, Data) and known.array.size == 1:
            found[name] = known.array.item()
        elif isinstance(one, int | float | str):
            found[name] = one
    return found


def text_of(number: float | str) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def is_function(run: Run, nodes: Sequence[Node]) -> bool:
    """Whether one random tensor alone enters pointwise ops, besides single numbers."""
    inside = {number for node in nodes for number in node.results}
    entering = set()
    for node in nodes:
        entering |= {number for number in numbers_in(node.given.values()) if number not in inside}
    values = [run.values.get(number) for number in entering]
    random = [one for one in values if isinstance(one, Value)]
    single = all(
        isinstance(one, Value) or (isinstance(one, Data) and one.array.size == 1) for one in values
    )
    return single and len(random) == 1 and not random[0].index and random[0].keep is None


# --- their moments --------------------------------------------------------------------------------


def gain_of(run: Run, name: str, module: str, nodes: Sequence[Node]) -> Gain | None:
    """The moments of a function, ``None`` for a straight line or one that cannot be run.

    One that the book has goes by the book, whatever it is called here.
    """
    likely = [
        b for b, one in ACTIVATIONS.items() if b == name.split("(")[0] or one.module == module
    ]
    try:
        f, slope = runner(run, nodes), slope_runner(run, nodes)
        kinks = kinks_of(f, slope)
        first, second = (measured(f, slope, quadrature(at)) for at in (kinks, finer(kinks)))
    except (RuntimeError, TypeError, ValueError, KeyError):
        return None
    if not all(math.isfinite(one) for one in (*vars(first).values(), *vars(second).values())):
        return None  # it is not defined for every number
    if first.slope_square - first.slope**2 < 1e-12 * max(first.slope_square, 1e-300):
        return None
    for one in dict.fromkeys((*likely, *ACTIVATIONS)):
        own = moments(one)
        if abs(own.square - first.square) < SURE and abs(own.slope - first.slope) < SAME:
            return Gain(one, own, True)
    apart = abs(second.square - first.square) / max(first.square, 1e-300)
    digits = 10 if apart < SURE else max(1, int(-math.log10(apart)))
    return Gain(name, first, bool(likely), digits)


def runner(run: Run, nodes: Sequence[Node]) -> Callable[[Any], Any]:
    """The nodes as a function of an array."""
    return lambda z: traced(run, nodes, z)[nodes[-1].outputs[0]]


def traced(run: Run, nodes: Sequence[Node], z: Any) -> dict[Any, Any]:
    """Every value of the nodes for the entering one ``z``, and what enters them."""
    found: dict[Any, Any] = {}
    for node in nodes:
        given = {name: entry(run, number, found, z) for name, number in node.given.items()}
        found[node.outputs[0]] = run.executor.run(plain_twin(node.call), given)[0]
        for number in node.written.values():
            found[number] = found[node.outputs[0]]
    return found


def entry(run: Run, number: Any, found: Mapping[Any, Any], z: Any) -> Any:
    if number in found:
        return found[number]
    known = run.values.get(number)
    if not isinstance(known, Data):
        return z
    array = known.array.reshape(-1)
    return array.astype("float64") if array.dtype.kind == "f" else array


def slope_runner(run: Run, nodes: Sequence[Node]) -> Callable[[Any], Any]:
    """Its derivative: the ops' own, one behind the other."""
    import numpy

    def slope(z: Any) -> Any:
        found = traced(run, nodes, z)
        back: dict[Any, Any] = {nodes[-1].outputs[0]: numpy.ones_like(z)}
        total = numpy.zeros_like(z)
        for node in reversed(nodes):
            gradient = back.get(node.outputs[0])
            if gradient is None:
                continue
            given = {name: entry(run, number, found, z) for name, number in node.given.items()}
            pulled = {"self": gradient}  # autograd's aliases stand for what they alias
            if node.call.op not in ALIASES:
                pulled = run.executor.pull(plain_twin(node.call), given, [gradient])
            for name, number in node.given.items():
                if pulled[name] is None or isinstance(run.values.get(number), Data):
                    continue
                if number in found:
                    back[number] = back.get(number, 0.0) + pulled[name]
                else:
                    total = total + pulled[name]
        return total

    return slope


def kinks_of(f: Callable[[Any], Any], slope: Callable[[Any], Any]) -> tuple[float, ...]:
    """Where ``f`` or its slope jumps: of each interval the half that changes more, ever again."""
    import numpy

    found: set[float] = set()
    ends = numpy.linspace(-REACH, REACH, INTERVALS)
    for one in (slope, f):
        low, high = ends[:-1], ends[1:]
        at = one(ends)
        scale = max(float(numpy.ptp(at)), 1e-300)
        change = abs(numpy.diff(at)) > SMOOTH * scale
        low, high = low[change], high[change]
        for _ in range(45):
            if not low.size:
                break
            middle = (low + high) / 2
            below, above = abs(one(middle) - one(low)), abs(one(high) - one(middle))
            left = below >= above
            low, high = numpy.where(left, low, middle), numpy.where(left, middle, high)
            jumps = numpy.maximum(below, above) > SMOOTH * scale / 2  # what is smooth is left alone
            low, high = low[jumps], high[jumps]
        if low.size:
            jumps = abs(one(high) - one(low)) > SMOOTH * scale
            found |= {round(float(x), 12) for x in ((low + high) / 2)[jumps]}
    if len(found) > MOST_KINKS:
        raise ValueError("no function with few kinks")
    return tuple(sorted(found))


def finer(kinks: Sequence[float]) -> tuple[float, ...]:
    """The same with every panel cut once more, elsewhere."""
    return (*kinks, *(-REACH + 0.1 + 0.25 * step for step in range(int(REACH * 8))))


def measured(f: Callable[[Any], Any], slope: Callable[[Any], Any], points: Any) -> Moments:
    """The moments over given points and weights."""
    z, weight = points
    value, steep = f(z).astype("float64"), slope(z).astype("float64")
    means = [float(weight @ x) for x in (value, value**2, value**4, steep, steep**2, steep == 0)]
    return Moments(*means)


# --- the tables -----------------------------------------------------------------------------------


def gain_tables(run: Run) -> list[Table]:
    """The gains of the activations met, and what others have published of them."""
    found = gains(run) or [Gain(name, moments(name), True) for name in USUAL]
    columns = (
        Column("activation"), Column("gain g: σ = g/√d"), Column("E f(z)²"), Column("E f'(z)²"),
    )  # fmt: skip
    rows = tuple(
        (one.name, *(f"{x:.{one.digits}f}" for x in
                     (one.moments.gain, one.moments.square, one.moments.slope_square)))
        for one in found
    )  # fmt: skip
    tables = [Table("Gains for a unit normal z", columns, rows)]
    beside = tuple(row for one in found for row in published(one.name))
    if beside:
        heads = ("activation", "published", "says", "is", "off")
        title = "Published constants beside the integral"
        tables.append(Table(title, tuple(map(Column, heads)), beside))
    return tables


def published(name: str) -> Iterator[tuple[str, ...]]:
    """What others say of an activation: torch's custom, and NFNets' means over draws."""
    if name not in ACTIVATIONS:
        return
    own = moments(name)
    for source, says, exact in (
        ("torch.nn.init", TORCH_GAINS.get(name), own.gain),
        ("NFNet γ = 1/√Var f", NFNET_GAMMAS.get(name), own.variance_gain),
    ):
        if says is not None:
            off = f"{100 * (says / exact - 1):+.3f} %" if abs(says / exact - 1) > 1e-9 else "exact"
            yield name, source, f"{says:.7g}", f"{exact:.7g}", off


def sampled_notes(run: Run) -> Iterator[str]:
    """Which activations the book has not: their gains come from running them."""
    for one in gains(run):
        if not one.known:
            digits = f"{one.digits} digits" if one.digits < 10 else "ten digits"
            yield (
                f"{one.name} is not in the book of activations: its moments were measured by "
                f"running it on samples, its gain by running it at the points of an integral, to "
                f"{digits} (estimate)."
            )
