"""A program's figures as formulas, regime by regime: what a page needs to answer as you slide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from botec.analyses.count import MEASURES, Counts
from botec.analyses.figures import maximum, weight_figures
from botec.analyses.kernels.region import same_choices
from botec.analyses.memory import (
    Memory,
    peak_formulas,
    stored_unknown,
    weight_bytes,
    written,
)
from botec.analyses.tables import Rows, table_formulas
from botec.program import PHASES, Program, Regime, Stream
from botec.report import Formulas

PEAK = "memory.peak"
MOST_LETTERS = 60_000  # of one peak's formula; image sizes can make a thousand polynomials


def formulas(program: Program) -> tuple[Formulas, ...]:
    """The figures of every stream, in the order in which streams are asked."""
    found: list[Formulas] = []
    for stream in program.streams:
        found += formulas_of(program, stream)
    return tuple(found)


def formulas_of(program: Program, stream: Stream) -> Iterator[Formulas]:
    """One stream's figures, with where they hold.

    With the memory of a device's kernels in it, the peak's formula holds where all of them choose
    as they do at the asked point; beyond, there is none.
    """
    found = dict(values(program, stream))
    steps = spans(program)
    phases = steps.get("step", steps["forward"])
    tables = table_formulas(program, Counts(program, stream), phases)
    if stream.kernels is None:
        yield placed(stream.regime, found, tables)
        return
    yield placed(same_choices(program, stream), found, tables)
    others = {key: text for key, text in found.items() if key != PEAK}
    yield placed(stream.regime, others, tables)


def placed(
    regime: Regime, found: dict[str, str], tables: Mapping[str, Rows] | None = None
) -> Formulas:
    """Formulas with the regime they hold in."""
    where = {
        "fixed": dict(regime.fixed),
        "least": dict(regime.least),
        "most": dict(regime.most),
        "step": dict(regime.step),
    }
    return Formulas(str(regime), where, found, tables=tables or {})


def values(program: Program, stream: Stream) -> Iterator[tuple[str, str]]:
    """Key and formula of every count that is complete, of weights, and of the peak."""
    for one in weight_figures(program):
        if one.counted and one.counted.formula:
            yield one.key, one.counted.formula
    if not stored_unknown(program):
        yield "memory.weights", str(weight_bytes(program))
    if program.setting.train:
        yield "memory.saved", str(Memory(program, written(program, stream), {}).saved())
    counts = Counts(program, stream)
    for measure in MEASURES:
        for span, phases in spans(program).items():
            if (measure, span) == ("multiplications", "optimizer"):
                continue
            total = counts.total(measure, phases)
            if not total.missing:
                yield f"{measure}.{span}", str(total.value)
    peak = maximum(peak_formulas(program, stream))
    if len(peak) <= MOST_LETTERS:
        yield PEAK, peak


def spans(program: Program) -> dict[str, tuple[str, ...]]:
    """The phases of the setting, and the whole step."""
    if not program.setting.train:
        return {"forward": PHASES[:1]}
    phases = PHASES[: 3 if program.setting.optimizer else 2]
    found: dict[str, tuple[str, ...]] = {phase: (phase,) for phase in phases}
    return {**found, "step": phases}
