"""Rules of thumb about memory beside what is counted of the same thing."""

from __future__ import annotations

from collections.abc import Iterator

from botec.analyses.count import Counts
from botec.analyses.figures import Answers
from botec.analyses.rulings import Ruling, rulings, spelled
from botec.analyses.spelled import part
from botec.poly import at
from botec.report import Column, Counted, Figure, Table
from botec.rules.memory import (
    activations_of_a_block,
    four_times_the_weights,
    sixteen_bytes_a_parameter,
    twice_the_outputs,
    weights_and_a_fifth,
)

RULES = "memory.rules"  # a table that a page works out anew
SAVED = "saved for the backward pass"
KNOWN = (
    weights_and_a_fifth, four_times_the_weights, sixteen_bytes_a_parameter, twice_the_outputs,
    activations_of_a_block,
)  # fmt: skip


def memory_rules(answers: Answers) -> Iterator[Ruling]:
    """The rules that apply to this setting. What a rule leaves out is left out of its count."""
    saved = at(answers.memory.saved(), answers.program.asked)
    known = figures(answers.memory.fullest.bytes, saved)
    return (one for one in rulings(answers, known, {r.name: r for r in KNOWN}) if one.counted)


def figures(peak: int, saved: int) -> dict[str, Figure]:
    """The figures the rules stand beside."""
    counts = {"memory.peak": ("the peak", peak), "memory.saved": (SAVED, saved)}
    return {key: Figure(key, title, "B", Counted(value)) for key, (title, value) in counts.items()}


def rule_table(answers: Answers) -> Table | None:
    """What the rules give beside the count; ``None`` where none applies."""
    rows = tuple(
        (one.rule.name, one.given, one.counted, one.ratio, one.title)
        for one in memory_rules(answers)
    )
    columns = (
        Column("rule"), Column("rule gives", "B"), Column("counted", "B"),
        Column("rule ÷ count", "1"), Column("of"),
    )  # fmt: skip
    return Table("Beside the count", columns, rows, key=RULES) if rows else None


def rule_rows(answers: Answers, counts: Counts) -> Iterator[tuple[str, ...]]:
    """The rows of the table as formulas of a stream; all zero where there is nothing to count."""
    for one in spelled(answers, counts, figures(1, 1), {r.name: r for r in KNOWN}):
        given, counted = part(one.given), part(one.counted)
        if counted != "0":
            ratio = f"{given} / max({counted}, 1)"
            cells = (f"choose({counted}, 0, 0, {cell})" for cell in (given, counted, ratio))
            yield (one.rule.name, *cells, one.title)
