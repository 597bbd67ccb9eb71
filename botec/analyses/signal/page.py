"""The page about signals and gradients at initialisation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botec.analyses.activations import ACTIVATIONS, moments
from botec.analyses.signal.fold import Run, elements
from botec.analyses.signal.layers import Layer
from botec.analyses.signal.particles import UNIT
from botec.analyses.signal.value import Value
from botec.analyses.signal.verdict import Finding, activations, weighted
from botec.ops.facts import kind_of
from botec.report import (
    Column,
    Counted,
    Curve,
    Figure,
    Figures,
    Measured,
    Picture,
    Ruled,
    Section,
    Table,
    Text,
)  # fmt: skip
from botec.rules.learning import first_loss
from botec.units import Quantity

MOST_ROWS = 48
HOW = "forward and backward on normal inputs, {seeds} networks drawn anew"


@dataclass(frozen=True)
class Seen:
    """What real passes gave: geometric means over networks, by module and by parameter."""

    signal: Mapping[tuple[str, int], float] = field(default_factory=dict)
    gradient: Mapping[tuple[str, int], float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    seeds: int = 0


# --- figures --------------------------------------------------------------------------------------


def figures(run: Run, rows: Sequence[Layer], seen: Seen | None) -> dict[str, Figure]:
    """The gains over the depth and the first loss, with what was measured beside them."""
    found = [
        over_depth(run, rows, "signal", seen),
        over_depth(run, rows, "gradient", seen),
        *loss_figures(run),
        *residual_figures(run),
    ]
    return {one.key: one for one in found if one is not None}


def status_of(run: Run) -> dict[str, Any]:
    """An estimate always; partial where an op is not predicted."""
    missing = dict(run.unknown)
    return {"status": "partial", "missing": missing} if missing else {"status": "estimate"}


def ends(run: Run, rows: Sequence[Layer]) -> tuple[Layer, Layer] | None:
    """The first and the last module that multiply with weights."""
    by_call = {(row.name, row.turn): row for row in rows if row.signal is not None}
    calls = [(node.scope, node.turn) for node, _ in weighted(run)]
    known = [by_call[call] for call in dict.fromkeys(calls) if call in by_call]
    return (known[0], known[-1]) if len(known) > 1 else None


def over_depth(run: Run, rows: Sequence[Layer], what: str, seen: Seen | None) -> Figure | None:
    """The second moment at one end of the depth over that at the other."""
    pair = ends(run, rows)
    key = f"learn.{what}.gain"
    title = {
        "signal": "second moment of the last layer over the first's",
        "gradient": "gradient's second moment at the first layer over the last's",
    }[what]
    if pair is None:
        why = "fewer than two layers with weights are predicted"
        return Figure(key, title, "1", Counted(None, status="unknown", why=why))
    first, last = pair if what == "signal" else (pair[1], pair[0])
    begin, end = moment(first, what), moment(last, what)
    if not begin or end is None:
        why = "no gradient passes: the last layer's weights are 0"
        return Figure(key, title, "1", Counted(None, status="unknown", why=why))
    value = end / begin
    reach = width(first, what) + width(last, what)
    measured = None
    real: Mapping[Any, float] = vars(seen)[what] if seen else {}
    if seen and {(first.name, first.turn), (last.name, last.turn)} <= set(real):
        ratio = real[last.name, last.turn] / real[first.name, first.turn]
        measured = Measured(ratio, HOW.format(seeds=seen.seeds))
    return Figure(
        key, title, "1", Counted(value, **status_of(run)), measured=measured,
        low=value * math.exp(-reach), high=value * math.exp(reach),
    )  # fmt: skip


def moment(row: Layer, what: str) -> float | None:
    return row.signal if what == "signal" else row.gradient


def width(row: Layer, what: str) -> float:
    """Half the interval of ln q."""
    value, high = (
        (row.signal, row.signal_high) if what == "signal" else (row.gradient, row.gradient_high)
    )
    return math.log(high / value) if value and high else 0.0


def loss_figures(run: Run) -> Iterator[Figure]:
    """The first cross-entropy: ln K for equal logits, about σ²/2 more for logits of variance σ²."""
    for number in run.graph.outputs:
        value = run.values.get(number)
        if not isinstance(value, Value) or len(value.shape) < 2 or value.shape[-1] < 2:
            continue
        part, classes = value.one, value.shape[-1]
        variance = max(part.q * (1 - part.correlation(UNIT)), 0.0)
        found = Counted(expected_loss(classes, variance), **status_of(run))
        why = f"logits of variance {variance:.3g} are not equal"
        rule = Ruled(first_loss(classes), first_loss.name, why)
        yield Figure("learn.loss.first", "first cross-entropy", "1", found, rule=rule)
        return


def expected_loss(classes: int, variance: float) -> float:
    """E[ln Σ e^l] - E[l] over normal logits: their mean for many classes, with its spread."""
    if variance > 40:
        return math.sqrt(2 * variance * math.log(classes))
    noise = (math.exp(variance) - 1) / classes
    return math.log(classes) + variance / 2 - math.log1p(noise) / 2


def residual_figures(run: Run) -> Iterator[Figure]:
    """How the residual stream grows: the sums of two random values, first to last."""
    sums = [
        run.values[node.results[0]]
        for place, node in enumerate(run.graph.nodes)
        if place in run.wanted and is_residual(run, node)
    ]
    if len(sums) > 2:
        first, last = sums[0], sums[-1]
        if first.q > 0:
            title = f"residual stream, last of {len(sums)} sums over the first"
            yield Figure(
                "learn.signal.residual", title, "1", Counted(last.q / first.q, **status_of(run))
            )


def is_residual(run: Run, node: Any) -> bool:
    """A sum of two random tensors of one shape."""
    if not node.call.op.startswith("aten.add") or len(node.inputs) != 2:
        return False
    both = [run.values.get(number) for number in node.inputs]
    out = run.values.get(node.results[0])
    return isinstance(out, Value) and all(
        isinstance(one, Value) and one.shape == out.shape for one in both
    )


# --- sections -------------------------------------------------------------------------------------


def sections(
    run: Run, rows: Sequence[Layer], found: Sequence[Finding], shown: Mapping[str, Figure],
    weights: Mapping[int, Any], seen: Seen | None,
) -> tuple[Section, ...]:  # fmt: skip
    """The page from top to bottom."""
    keys = tuple(shown)
    verdict = [Text(one.text, "warning") for one in found]
    if not verdict:
        verdict = [
            Text("Signal and gradient keep their size, and no layer is unlike its siblings.")
        ]
    parts: list[Any] = [Figures(keys), *verdict, *drawings(rows, seen), layer_table(rows, seen)]
    told = [Section("Signal and gradient at initialisation", tuple(parts))]
    told.append(Section("Which standard deviation keeps it", deviations(run, weights)))
    idle = activations(run)
    if idle:
        told.append(Section("Units that pass nothing", (idle_table(idle),)))
    return tuple(told)


def main_rows(rows: Sequence[Layer]) -> list[Layer]:
    """Rows that fit on a page: every k-th where there are more, the ends always."""
    known = [row for row in rows if row.kind not in ("Identity", "Dropout", "StochasticDepth")]
    step = max(1, math.ceil(len(known) / MOST_ROWS))
    return [row for place, row in enumerate(known) if place % step == 0 or place == len(known) - 1]


def drawings(rows: Sequence[Layer], seen: Seen | None) -> Iterator[Picture]:
    """Predicted lines, and measured dots where there are any."""
    for what, title in (("signal", "Signal"), ("gradient", "Gradient")):
        known = [(n, row) for n, row in enumerate(rows, 1) if moment(row, what)]
        if len(known) < 3:
            continue
        curves = [Curve("predicted", tuple((n, moment(row, what) or 0.0) for n, row in known))]
        real = vars(seen)[what] if seen else {}
        dots = tuple((n, real[r.name, r.turn]) for n, r in known if (r.name, r.turn) in real)
        if dots:
            curves.append(Curve("measured", dots))
        up = Column("E x²" if what == "signal" else "E g²")
        across = Column("module", "1")
        yield Picture(f"{title}, second moment", across, up, tuple(curves), steps=True)


def layer_table(rows: Sequence[Layer], seen: Seen | None) -> Table:
    """Module by module: second moments with their intervals, and what was measured."""
    columns = [
        Column("module"), Column("E x²", "1", apart=True), Column("95 % of networks"),
        Column("E g²", "1", apart=True), Column("95 %"),
    ]  # fmt: skip
    if seen:
        columns += [Column("measured E x²", "1", apart=True), Column("E g²", "1", apart=True)]
    lines = []
    for row in main_rows(rows):
        name = row.name + (f" ({row.turn + 1})" if row.turn else "")
        cells: list[Any] = [name, row.signal, between(row.signal_low, row.signal_high)]
        cells += [row.gradient, between(row.gradient_low, row.gradient_high)]
        if seen:
            key = (row.name, row.turn)
            cells += [seen.signal.get(key), seen.gradient.get(key)]
        lines.append(tuple(cells))
    return Table("Module by module", tuple(columns), tuple(lines))


def between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "not predicted"
    return f"{Quantity(float(f'{low:.3g}'))} to {Quantity(float(f'{high:.3g}'))}"


def idle_table(rows: Sequence[Any]) -> Table:
    """Shares of units, the worst first."""
    columns = (
        Column("activation"), Column("op"), Column("no gradient", "%"),
        Column("dead in the batch", "%"), Column("nearly none", "%"),
    )  # fmt: skip
    worst = sorted(rows, key=lambda row: -(row.off + row.saturated))[:12]
    lines = tuple(
        (row.where, row.op, 100 * row.off, 100 * row.dead, 100 * row.saturated) for row in worst
    )
    return Table("", columns, lines)


def deviations(run: Run, weights: Mapping[int, Any]) -> tuple[Any, ...]:
    """The derivation, the gains, and each layer's own."""
    names = run.graph.named("parameter")
    rows = []
    before: float | None = None
    for node, number in weighted(run):
        value = run.values[number]
        row = deviation_row(run, node, number, value, before, names, weights)
        before = value.q
        if row:
            rows.append(row)
    step = max(1, math.ceil(len(rows) / MOST_ROWS))
    columns = (
        Column("weight of"), Column("σ now", "1", apart=True),
        Column("σ that keeps E x²", "1", apart=True), Column("E g²", "1", apart=True),
    )  # fmt: skip
    table = Table("Standard deviations, layer by layer", columns, tuple(rows[::step]))
    return (*derivation(), table, gain_table(run))


def deviation_row(
    run: Run, node: Any, number: int, value: Value, before: float | None,
    names: Mapping[str, int], weights: Mapping[int, Any],
) -> tuple[Any, ...] | None:  # fmt: skip
    """What standard deviation would leave the second moment of the layer before, both ways."""
    from botec.analyses.signal.verdict import named_weight

    name = named_weight(run, node)
    if name not in names or names[name] not in weights:
        return None
    deviation = float(weights[names[name]].std())
    taken = node.given.get("input", node.given.get("mat1", node.given.get("self")))
    source = run.values.get(taken) if isinstance(taken, int) else None
    forth = back = None
    if before and value.q > 0:
        forth = deviation * math.sqrt(before / value.q)
    g, h = run.gradients.get(number), run.gradients.get(taken) if isinstance(taken, int) else None
    if g is not None and h is not None and h.q > 0 and isinstance(source, Value):
        share = elements(run.shape(number)) / max(elements(source.shape), 1)
        back = deviation * math.sqrt(g.q * min(share, 1.0) / h.q)
    return (node.scope or name, deviation, forth, back)


def derivation() -> tuple[Text, ...]:
    """He's rule step by step."""
    steps = (
        "y = Σ w x over d inputs; w independent of x, mean 0, variance σ²: E[y²] = d σ² E[x²]",
        "x = max(0, z), z the layer before, symmetric about 0: E[x²] = ½ E[z²] = ½ Var[z]",
        "Var[y] = ½ d σ² Var[z]",
        "for Var[y] = Var[z]: σ = √(2/d); for an activation f: σ = 1/√(d E f(z)²)",
    )
    left_out = (
        "The short form Var[y] = ½ d σ² holds for Var[z] = 1 only. It leaves out the bias, zero "
        "padding (fewer than d terms near a border), weights whose mean is not 0, correlated "
        "residual sums, and that z is Gaussian only in the limit of wide layers. Backward, d is "
        "the number of outputs that an input reaches. (He et al. 2015, equations 7 to 14, "
        "https://arxiv.org/abs/1502.01852)"
    )
    return (*(Text(step, "formula") for step in steps), Text(left_out))


NAMES = {"hardtanh": "relu6", "elu": "elu", "gelu": "gelu"}


def gain_table(run: Run) -> Table:
    """The gains of the activations met, to ten digits."""
    met = {
        node.call.op.removeprefix("aten.").removesuffix("_")
        for place, node in enumerate(run.graph.nodes)
        if place in run.wanted and kind_of(node.call) == "pointwise"
    }
    known = sorted(name for name in met if name in ACTIVATIONS) or ["relu", "tanh", "gelu", "silu"]
    columns = (
        Column("activation"),
        Column("gain g: σ = g/√d"),
        Column("E f(z)²"),
        Column("E f'(z)²"),
    )
    rows = []
    for name in known:
        one = moments(name)
        rows.append((name, f"{one.gain:.10f}", f"{one.square:.10f}", f"{one.slope_square:.10f}"))
    return Table("Gains for a unit normal z", columns, tuple(rows))


# --- notes ----------------------------------------------------------------------------------------


def notes(run: Run, weights: Mapping[int, Any], train: bool) -> tuple[str, ...]:
    """What the reader must know."""
    found = [
        "Inputs are taken as independent normal entries of variance 1, the gradient of the output "
        "too; " + ("norms over the batch use it." if train else "batch norms use what they keep."),
        *(f"{op} has no rule: what follows from it is not predicted." for op in run.unknown),
        *(f"{op} has no rule: it was sampled ({n}×)." for op, n in run.sampled.items()),
        *zeros(run, weights),
    ]
    return tuple(found)


def zeros(run: Run, weights: Mapping[int, Any]) -> Iterator[str]:
    """Weights that are 0, and layer scales that are nearly so: by design, not by accident."""
    empty, tiny = [], []
    for name, number in run.graph.named("parameter").items():
        array = weights.get(number)
        if array is None or not array.size:
            continue
        largest = float(abs(array).max())
        if largest == 0 and array.ndim > 1:
            empty.append(name)
        elif 0 < largest <= 1e-3 and float(abs(array).min()) == largest:
            tiny.append(name)
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        yield (
            f"{empty[0]}{more} is 0 at the start: no gradient passes it before its first step. "
            "That is a choice of the author's, not a vanishing gradient."
        )
    if tiny:
        yield (
            f"{tiny[0]} and {len(tiny) - 1} more scale their branches by a small constant: these "
            "start near the identity, and their own gradients are small by design."
        )
