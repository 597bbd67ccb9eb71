"""The book of rules of thumb: what people scribble on an envelope, with its source and its range.

A rule is arithmetic on plain numbers. It prints beside the count, never instead of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

RULES: dict[str, Rule] = {}


@dataclass(frozen=True)
class Rule:
    """One rule: its sentence, the unit of its answer, where it comes from and where it holds."""

    name: str
    sentence: str
    unit: str
    source: str
    holds: str
    formula: Callable[..., Any]

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self.formula(*values, **named)


def rule(sentence: str, *, unit: str, source: str, holds: str) -> Callable[[Any], Rule]:
    """Declare the decorated function as a rule of thumb under its own name."""

    def declare(formula: Callable[..., Any]) -> Rule:
        name = formula.__name__.replace("_", " ")
        RULES[name] = Rule(name, sentence, unit, source, holds, formula)
        return RULES[name]

    return declare
