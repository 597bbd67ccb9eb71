"""Rules of thumb about memory beside what is counted of the same thing."""

from __future__ import annotations

from collections.abc import Iterator

from botec.analyses.figures import Answers
from botec.analyses.rulings import Ruling, rulings
from botec.poly import at
from botec.report import Counted, Figure
from botec.rules.memory import (
    activations_of_a_block,
    four_times_the_weights,
    sixteen_bytes_a_parameter,
    twice_the_outputs,
    weights_and_a_fifth,
)

RULES = (
    weights_and_a_fifth, four_times_the_weights, sixteen_bytes_a_parameter, twice_the_outputs,
    activations_of_a_block,
)  # fmt: skip


def memory_rules(answers: Answers) -> Iterator[Ruling]:
    """The rules that apply to this setting. What a rule leaves out is left out of its count."""
    saved = at(answers.memory.saved(), answers.program.asked)
    counts = {
        "memory.peak": ("the peak", answers.memory.fullest.bytes),
        "memory.saved": ("saved for the backward pass", saved),
    }
    figures = {
        key: Figure(key, title, "B", Counted(value)) for key, (title, value) in counts.items()
    }
    return (one for one in rulings(answers, figures, {r.name: r for r in RULES}) if one.counted)
