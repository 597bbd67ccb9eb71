"""The page about recurrent layers: horizons, exponents, the linear rule beside the real product."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botec.analyses.recurrence import (
    OVERFLOW,
    UNDERFLOW,
    Cell,
    Growth,
    Matrix,
    crossing,
    forget_bias_for,
    horizon,
    jacobian,
    linear_rule,
)  # fmt: skip
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
from botec.rules.initialisation import chrono_forget_bias, steps_of_the_radius

SHARE = 1e-3
LARGEST_MATRIX = 1024  # rows of a Jacobian whose eigenvalues are still found at once
HOW = "torch autograd, float64, normal inputs: the slope of ln‖∂L/∂x‖ over steps 40 to 160"

Found = Sequence[tuple[Cell, Growth]]
Real = Mapping[str, tuple[float, float]]


def page(
    found: Found, memory: float | None = None, real: Real | None = None
) -> tuple[dict[str, Figure], tuple[Section, ...], tuple[str, ...]]:
    """Figures, sections and notes about layers and their growth.

    ``memory`` is a wanted reach in steps, ``real`` what back-propagation gave, by layer.
    """
    real = real or {}
    rules = {cell.name: rule_of(cell, growth) for cell, growth in found}
    slowest = max(found, key=lambda pair: pair[1].leading)
    shown = dict(figures(found, slowest, rules, real, memory))
    parts: list[Any] = [Figures(tuple(shown)), *words(slowest), layer_table(found, rules)]
    parts += [spectrum_table(found), picture(slowest, rules)]
    return shown, (Section("Gradients through time", tuple(parts)),), notes(found, memory)


def rule_of(cell: Cell, growth: Growth) -> Matrix | None:
    """The linear rule of a layer: of W itself, of a gated layer's Jacobian where it ended."""
    if cell.states > LARGEST_MATRIX:
        return None
    if cell.kind in ("linear", "tanh", "relu"):
        return linear_rule(cell.hidden)
    return linear_rule(jacobian(cell, growth.last[:, 0], growth.state[:, 0]))


def figures(
    found: Found, slowest: tuple[Cell, Growth], rules: Mapping[str, Matrix | None], real: Real,
    memory: float | None,
) -> Iterator[tuple[str, Figure]]:  # fmt: skip
    """Of the layer that remembers longest."""
    cell, growth = slowest
    matrix = rules[cell.name]
    steps = horizon(growth.leading, SHARE)
    error = steps * growth.error / abs(growth.leading) if growth.leading else 0.0
    rule, measured = None, None
    if matrix is not None and 0 < matrix.radius < 1:
        why = "it takes the layer as linear: each step's own slopes are left out"
        rule = Ruled(steps_of_the_radius(matrix.radius), steps_of_the_radius.name, why)
    if cell.name in real:
        measured = Measured(horizon(real[cell.name][0], SHARE), HOW)
    status: dict[str, Any] = {"status": "estimate"}
    yield "learn.horizon", Figure(
        "learn.horizon", f"steps until a gradient falls to 1/1000, {cell.name}", "1",
        Counted(steps, **status), rule, measured,
        low=steps - 2 * error, high=steps + 2 * error,
    ) if math.isfinite(steps) else Figure(
        "learn.horizon", f"steps until a gradient falls to 1/1000, {cell.name}", "1",
        Counted(math.inf, **status, why="it grows"), rule, measured,
    )  # fmt: skip
    exponent = Measured(real[cell.name][0], HOW) if cell.name in real else None
    yield "learn.exponent", Figure(
        "learn.exponent", "leading Lyapunov exponent, a step", "1",
        Counted(growth.leading, **status), measured=exponent,
        low=growth.leading - 2 * growth.error, high=growth.leading + 2 * growth.error,
    )  # fmt: skip
    if cell.name in real:
        norm = Measured(real[cell.name][1], "the same run, loss the mean square of all outputs")
        yield "learn.clip", Figure("learn.clip", "norm of the weights' gradient, before clipping",
                                   "1", measured=norm)  # fmt: skip
    if memory is not None and cell.kind == "lstm":
        more = forget_bias_for(cell, memory)
        counted = Counted(more, **status) if more is not None else Counted(None, status="unknown")
        why = "single units remember as long as their own gate says; together they remember longer"
        yield "learn.forget_bias", Figure(
            "learn.forget_bias", f"forget bias to add for a memory of {memory:g} steps", "1",
            counted, Ruled(chrono_forget_bias(memory - 1), chrono_forget_bias.name, why),
        )  # fmt: skip


def words(slowest: tuple[Cell, Growth]) -> Iterator[Text]:
    """What it means, in sentences."""
    cell, growth = slowest
    yield Text("∂h_t/∂h_k = J_t ⋯ J_(k+1), J = D W; ln‖∂h_t/∂h_k‖ ≈ λ (t - k)", "formula")
    λ = growth.leading
    if λ < 0:
        under = horizon(λ, UNDERFLOW["fp16"])
        yield Text(
            f"In {cell.name} a gradient changes ×{math.exp(λ):.4g} a step: it falls to 1/e in "
            f"{horizon(λ, 1 / math.e):.3g} steps, to 1/1000 in {horizon(λ, SHARE):.3g}, below what "
            f"fp16 can hold in {under:.3g}. Longer windows of truncated back-propagation add "
            "nothing at initialisation."
        )
    elif λ > 0:
        over = horizon(λ, OVERFLOW["fp32"])
        half = horizon(λ, OVERFLOW["fp16"])
        yield Text(
            f"In {cell.name} a gradient grows ×{math.exp(λ):.4g} a step: it overflows fp32 in "
            f"{over:.3g} steps and fp16 in {half:.3g}. The layer is chaotic: clip the gradient's "
            "norm, or make the recurrent weights smaller.",
            "warning",
        )
    first = crossing(growth.curve, SHARE)
    if first is not None:
        yield Text(
            f"With its first steps, which are not yet typical, 1/1000 is reached at {first}."
        )


def layer_table(found: Found, rules: Mapping[str, Matrix | None]) -> Table:
    """Layer by layer."""
    columns = (
        Column("layer"), Column("kind"), Column("units", "1"), Column("λ a step", "1", apart=True),
        Column("± ", "1", apart=True), Column("steps to 1/e", "1", apart=True),
        Column("to 1/1000", "1", apart=True), Column("ρ", "1", apart=True),
        Column("σ", "1", apart=True), Column("largest ‖Wᵗ‖/ρᵗ", "1", apart=True),
    )  # fmt: skip
    rows = []
    for cell, growth in found:
        matrix = rules[cell.name]
        three = (matrix.radius, matrix.norm, matrix.peak) if matrix else (None, None, None)
        λ = growth.leading
        rows.append((cell.name, cell.kind, cell.units, λ, growth.error,
                     horizon(λ, 1 / math.e), horizon(λ, SHARE), *three))  # fmt: skip
    return Table("Layer by layer", columns, tuple(rows))


def spectrum_table(found: Found) -> Table:
    """The leading exponents of each layer."""
    most = max(len(growth.exponents) for _, growth in found)
    shown = min(most, 6)
    columns = (Column("layer"), *(Column(f"λ{n + 1}", "1", apart=True) for n in range(shown)))
    rows = tuple(
        (
            cell.name,
            *(growth.exponents[n] if n < len(growth.exponents) else None for n in range(shown)),
        )
        for cell, growth in found
    )
    return Table("Lyapunov spectrum, largest first", columns, rows)


def picture(slowest: tuple[Cell, Growth], rules: Mapping[str, Matrix | None]) -> Picture:
    """The real product beside W^t and ρ^t."""
    cell, growth = slowest
    matrix = rules[cell.name]
    last = len(growth.curve) - 1
    curves = [Curve("product of the steps' own Jacobians", tuple(
        (t, math.exp(growth.curve[t])) for t in spaced(last) if growth.curve[t] > -600
    ))]  # fmt: skip
    if matrix is not None:
        powers = [(t, size) for t, size in matrix.powers if t <= last and abs(size) < 600]
        curves.append(
            Curve("‖Wᵗ‖, as if it were linear", tuple((t, math.exp(s)) for t, s in powers))
        )
        radius = matrix.radius
        if radius > 0:
            points = tuple((t, radius**t) for t, _ in powers)
            curves.append(Curve("ρᵗ, by eigenvalues alone", points))
    up, across = Column("size over the first"), Column("steps back")
    return Picture("A gradient through time", across, up, tuple(curves))


def spaced(last: int) -> list[int]:
    """Steps ever farther apart."""
    return sorted({max(1, round(last ** (k / 60))) for k in range(61)}) if last > 1 else [1]


def notes(found: Found, memory: float | None) -> tuple[str, ...]:
    """What was assumed."""
    told = [
        "Exponents are found along trajectories driven by independent normal inputs of variance 1, "
        "from the weights as they are.",
        "Clipping: half to ten times the average norm of a gradient is a usual threshold "
        "(Pascanu et al. 2013, section 3.2, https://arxiv.org/abs/1211.5063); --backprop shows "
        "that norm.",
    ]
    if any(cell.states > LARGEST_MATRIX for cell, _ in found):
        told.append(f"Eigenvalues are left out above {LARGEST_MATRIX} states.")
    if memory is not None and not any(cell.kind == "lstm" for cell, _ in found):
        told.append("Only an LSTM has a forget gate to set a memory with.")
    return tuple(told)
