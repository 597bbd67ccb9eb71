"""A program's figures as formulas, regime by regime: what a page needs to answer as you slide."""

from __future__ import annotations

from collections.abc import Iterator

from botec.analyses.count import MEASURES, Counts
from botec.analyses.figures import maximum
from botec.analyses.memory import peak_envelope
from botec.program import PHASES, Program, Stream
from botec.report import Formulas

MOST_LETTERS = 60_000  # of one peak's formula; image sizes can make a thousand polynomials


def formulas(program: Program) -> tuple[Formulas, ...]:
    """The figures of every stream, in the order in which streams are asked."""
    return tuple(formulas_of(program, stream) for stream in program.streams)


def formulas_of(program: Program, stream: Stream) -> Formulas:
    """One stream's figures, with where they hold."""
    regime = stream.regime
    where = {
        "fixed": dict(regime.fixed),
        "least": dict(regime.least),
        "most": dict(regime.most),
        "step": dict(regime.step),
    }
    return Formulas(str(regime), where, dict(values(program, stream)))


def values(program: Program, stream: Stream) -> Iterator[tuple[str, str]]:
    """Key and formula of every count that is complete, and of the peak."""
    counts = Counts(program, stream)
    for measure in MEASURES:
        for span, phases in spans(program).items():
            if (measure, span) == ("multiplications", "optimizer"):
                continue
            total = counts.total(measure, phases)
            if not total.missing:
                yield f"{measure}.{span}", str(total.value)
    peak = maximum(peak_envelope(stream))
    if len(peak) <= MOST_LETTERS:
        yield "memory.peak", peak


def spans(program: Program) -> dict[str, tuple[str, ...]]:
    """The phases of the setting, and the whole step."""
    if not program.setting.train:
        return {"forward": PHASES[:1]}
    phases = PHASES[: 3 if program.setting.optimizer else 2]
    found: dict[str, tuple[str, ...]] = {phase: (phase,) for phase in phases}
    return {**found, "step": phases}
