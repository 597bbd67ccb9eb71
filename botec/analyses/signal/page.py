"""The page about signals and gradients at initialisation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botec.analyses.signal.fold import Run, elements
from botec.analyses.signal.gains import gain_tables, sampled_notes
from botec.analyses.signal.layers import CONSTANT, Layer, weights_found
from botec.analyses.signal.particles import SELF, UNIT
from botec.analyses.signal.value import Value
from botec.analyses.signal.verdict import (
    Finding,
    activations,
    named_weight,
    slopes,
    weighted,
)  # fmt: skip
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
PIECE = 1 << 18  # entries of a weight that are looked at together
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
        why = f"no {what} passes from {first.name} to {last.name}"
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
    verdict += untold(rows)
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


def untold(rows: Sequence[Layer]) -> Iterator[Text]:
    """What is not predicted is no news that it is sound."""
    lost = [row for row in rows if row.signal is None and row.why != CONSTANT]
    mute = [row for row in rows if row.signal is not None and row.gradient is None]
    if lost:
        many = f"{len(lost)} of {len(rows)} modules are not predicted"
        yield Text(f"{many}, from {lost[0].name} on: {lost[0].why}.", "warning")
    elif mute:
        yield Text(
            f"No gradient reaches {len(mute)} of {len(rows)} modules, {mute[-1].name} the last of "
            "them: what follows passes none, or none that is known.",
            "warning",
        )


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
        Column("activation"), Column("op"),
        *(Column(what, "%", True) for what in ("no gradient", "dead", "nearly none")),
    )  # fmt: skip
    worst = sorted(rows, key=lambda row: -(row.off + row.saturated))[:12]
    lines = tuple(
        (row.where, row.op, 100 * row.off, 100 * row.dead, 100 * row.saturated) for row in worst
    )
    return Table("", columns, lines)


def deviations(run: Run, weights: Mapping[int, Any]) -> tuple[Any, ...]:
    """The derivation, the gains, and each layer's own."""
    names = run.graph.named("parameter")
    found = weights_found(run)
    rows = []
    for node, number in weighted(run):
        row = deviation_row(run, node, number, names, weights, found)
        if row:
            rows.append(row)
    step = max(1, math.ceil(len(rows) / MOST_ROWS))
    columns = (
        Column("weight of"), Column("σ now", "1", apart=True),
        Column("for E x²", "1", apart=True), Column("for E g²", "1", apart=True),
        Column("rms of its gradient", "1", apart=True),
    )  # fmt: skip
    title = "Standard deviations, and those that keep E x² forward and E g² backward"
    note = Text(
        "Kept from what a layer reads, before its activation, to what it gives; one layer at a "
        "time, all others as they are."
    )
    return (*derivation(), Table(title, columns, tuple(rows[::step])), note, *gain_tables(run))


def deviation_row(
    run: Run, node: Any, number: int, names: Mapping[str, int], weights: Mapping[int, Any],
    found: Mapping[str, float],
) -> tuple[Any, ...] | None:  # fmt: skip
    """What standard deviation would leave the second moment as it is read, both ways."""
    name = named_weight(run, node)
    if name not in names or names[name] not in weights:
        return None
    array = weights[names[name]]
    deviation = deviation_of(array)
    taken = node.given.get("input", node.given.get("mat1", node.given.get("self")))
    value, own = run.values[number], run.values.get(taken) if isinstance(taken, int) else None
    forth = back = None
    if isinstance(own, Value) and isinstance(taken, int):
        source, slope = before_activation(run, taken)
        if value.q > 0:
            forth = deviation * math.sqrt(run.values[source].q / value.q)
        outputs = run.shape(number)[1 if kind_of(node.call) == "convolution" else -1]
        entries = elements(run.shape(number)) / max(elements(own.shape), 1)
        reached = array.size / max(outputs, 1) * entries  # outputs that an input reaches
        back = 1 / math.sqrt(reached * slope) if reached * slope > 0 else None
    gradient = found.get(name)
    rms = None if gradient is None else math.sqrt(gradient)
    return (node.scope or name, deviation, forth, back, rms)


def deviation_of(array: Any) -> float:
    """The standard deviation of weights, piece by piece: of 40 million no second copy is made."""
    import numpy

    flatly, mean = array.ravel(order="K"), float(array.mean())
    pieces = numpy.array_split(flatly, max(-(-flatly.size // PIECE), 1))
    total = sum(float(numpy.square(piece - mean, dtype="float64").sum()) for piece in pieces)
    return math.sqrt(total / flatly.size)


def before_activation(run: Run, number: int) -> tuple[int, float]:
    """The value behind the activations on the way to ``number``, and their mean squared slope."""
    slope = 1.0
    while run.graph.values[number].node >= 0:
        node = run.graph.nodes[run.graph.values[number].node]
        before = node.given.get("self")
        value = run.values.get(before) if isinstance(before, int) else None
        through = node.call.view or kind_of(node.call) == "pointwise"
        if not through or len(node.inputs) != 1 or not isinstance(value, Value):
            break
        if not node.call.view:
            each = slopes(run, node, value.one.z)
            slope *= 1.0 if each is None else float((each[SELF] ** 2).mean())
        number = node.inputs[0]
    return number, slope


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


# --- notes ----------------------------------------------------------------------------------------


def notes(run: Run, weights: Mapping[int, Any], train: bool) -> tuple[str, ...]:
    """What the reader must know."""
    found = [
        "Inputs are taken as independent normal entries of variance 1, the gradient of the output "
        "too; " + ("norms over the batch use it." if train else "batch norms use what they keep."),
        *(f"{op} has no rule: what follows from it is not predicted." for op in run.unknown),
        *(f"{op} has no rule: it was sampled ({n}×)." for op, n in run.sampled.items()),
        *sampled_notes(run),
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
        low, high = float(array.min()), float(array.max())
        if low == high == 0 and array.ndim > 1:
            empty.append(name)
        elif low == high != 0 and abs(high) <= 1e-3:
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
