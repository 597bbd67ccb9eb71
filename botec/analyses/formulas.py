"""A program's figures as formulas, regime by regime: what a page needs to answer as you slide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from botec.analyses.cache import cache_bytes
from botec.analyses.count import MEASURES, Counts
from botec.analyses.figures import Answers, maximum, weight_figures
from botec.analyses.kernels.pieces import pieces
from botec.analyses.kernels.weaving import woven
from botec.analyses.memory import Memory, peak_envelope, stored_unknown, weight_bytes, written
from botec.analyses.memory_rules import RULES, rule_rows
from botec.analyses.spelled import Spelled
from botec.analyses.standing import cases
from botec.analyses.tables import Rows, causal_saying, table_formulas
from botec.analyses.vocabulary import Vocabulary
from botec.program import PHASES, Program, Regime, Stream
from botec.report import Case, Formulas
from botec.rules.memory import four_times_the_weights, weights_and_a_fifth
from botec.rules.operations import three_forwards, two_forwards, two_per_parameter_and_token

PEAK = "memory.peak"
BESIDE = (
    three_forwards, two_forwards, two_per_parameter_and_token, four_times_the_weights,
    weights_and_a_fifth,
)  # fmt: skip
MOST_LETTERS = 60_000  # of one peak's formula; image sizes can make a thousand polynomials


def formulas(program: Program, one_by_one: bool = False) -> tuple[Formulas, ...]:
    """The figures of every stream, in the order in which streams are asked.

    Who stands on the peak is among them, groups of tensors ``one_by_one`` too.
    """
    found: list[Formulas] = []
    for stream in program.streams:
        found += formulas_of(program, stream, one_by_one)
    return tuple(found)


def formulas_of(program: Program, stream: Stream, one_by_one: bool = False) -> Iterator[Formulas]:
    """One stream's figures, with where they hold.

    With the memory of a device's kernels in it, the peak has formulas of its own wherever all of
    them choose alike, along one dimension with the others as asked; beyond, there is none.
    """
    steps = spans(program)
    counts, phases = Counts(program, stream), steps.get("step", steps["forward"])
    base = replace(
        placed(stream.regime, dict(values(program, stream))),
        tables=table_formulas(program, counts, phases),
        rules=rules_beside(program, stream),
        texts=causal_saying(counts, phases),
    )
    parts = []
    for regime, point in pieces(program, stream):
        there = woven(stream, point)
        own = with_peak(moved(base, regime), program, there, regime, one_by_one)
        parts.append((regime, own))
    yield from merged(parts)
    whole = base
    if stream.kernels is None:
        whole = with_peak(whole, program, stream, stream.regime, one_by_one)
    yield whole


def peaks(program: Program, known: dict[Any, Formulas]) -> Iterator[Formulas]:
    """The peak of every stream, who stands on it, groups one by one, and what rules say of it.

    What was found for a woven stream in a regime stays in ``known``: other generations of devices
    whose kernels choose alike have the same.
    """
    for stream in program.streams:
        base = beside_peak(program, stream)
        parts = []
        for regime, point in pieces(program, stream):
            there = woven(stream, point)
            key = there, repr(regime)
            if key not in known:
                known[key] = with_peak(moved(base, regime), program, there, regime, True)
            parts.append((regime, known[key]))
        yield from merged(parts)
        yield base


def beside_peak(program: Program, stream: Stream) -> Formulas:
    """What a page about memory tells beside the peak, wherever a stream holds."""
    counts = Counts(program, stream)
    tables = {RULES: tuple(rule_rows(Answers(program), counts))}
    found = placed(stream.regime, dict(memory_values(program, stream)), tables)
    return replace(found, rules=rules_beside(program, stream))


def merged(parts: Iterable[tuple[Regime, Formulas]]) -> Iterator[Formulas]:
    """Neighbours along a dimension with the same formulas as one."""
    last: tuple[Regime, Formulas] | None = None
    for regime, own in parts:
        if (
            last
            and follows(last[0], regime)
            and last[1].values == own.values
            and last[1].cases == own.cases
        ):
            regime = replace(regime, least=last[0].least)
        elif last:
            yield last[1]
        last = regime, moved(own, regime)
    if last:
        yield last[1]


def moved(one: Formulas, regime: Regime) -> Formulas:
    """The same formulas for another regime."""
    where = placed(regime, {})
    return replace(one, text=where.text, where=where.where)


def follows(one: Regime, other: Regime) -> bool:
    """Whether a piece begins where another one ends, along the same dimension."""
    return one.fixed == other.fixed and {
        name: most + one.step.get(name, 1) for name, most in one.most.items()
    } == dict(other.least)


def with_peak(
    found: Formulas, program: Program, stream: Stream, regime: Regime, one_by_one: bool
) -> Formulas:
    """Formulas with those of the peak and of who stands on it, kernels' memory among the events."""
    there = cases(program, stream, regime, one_by_one)
    polys = [one.formula for one in there] or peak_envelope(stream)
    peak = maximum(tuple(polys))
    if len(peak) > MOST_LETTERS:
        return found
    return replace(found, values={**found.values, PEAK: peak}, cases=there)


def placed(
    regime: Regime,
    found: Mapping[str, str],
    tables: Mapping[str, Rows] | None = None,
    cases: tuple[Case, ...] = (),
) -> Formulas:
    """Formulas with the regime they hold in."""
    where = {
        "fixed": dict(regime.fixed),
        "least": dict(regime.least),
        "most": dict(regime.most),
        "step": dict(regime.step),
    }
    return Formulas(str(regime), where, found, tables=tables or {}, cases=cases)


def values(program: Program, stream: Stream) -> Iterator[tuple[str, str]]:
    """Key and formula of every count that is complete, and of weights."""
    for one in weight_figures(program):
        if one.counted and one.counted.formula:
            yield one.key, one.counted.formula
    yield from memory_values(program, stream)
    counts = Counts(program, stream)
    for measure in MEASURES:
        for span, phases in spans(program).items():
            if (measure, span) == ("multiplications", "optimizer"):
                continue
            total = counts.total(measure, phases)
            if not total.missing:
                yield f"{measure}.{span}", str(total.value)


def memory_values(program: Program, stream: Stream) -> Iterator[tuple[str, str]]:
    """Memory that needs no peak: weights as stored, what is saved, what the model's cache holds."""
    if not stored_unknown(program):
        yield "memory.weights", str(weight_bytes(program))
    if program.setting.train:
        yield "memory.saved", str(Memory(program, written(program, stream), {}).saved())
    elif cache := cache_bytes(stream):
        yield "memory.kv_cache", str(cache)


def rules_beside(program: Program, stream: Stream) -> dict[str, str]:
    """What the rules in the figures' own column give, by the key of the figure."""
    words = Vocabulary(Answers(program), Counts(program, stream))
    found = {}
    for rule in BESIDE:
        values = [words[word] for word in rule.parameters]
        if all(value is not None for value in values):
            found[rule.beside] = str(rule(*(Spelled(str(value)) for value in values)))
    return found


def spans(program: Program) -> dict[str, tuple[str, ...]]:
    """The phases of the setting, and the whole step."""
    if not program.setting.train:
        return {"forward": PHASES[:1]}
    phases = PHASES[: 3 if program.setting.optimizer else 2]
    found: dict[str, tuple[str, ...]] = {phase: (phase,) for phase in phases}
    return {**found, "step": phases}
