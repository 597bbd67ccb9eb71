"""The registry of rules: what each op that mixes entries does to moments, forward and backward.

A file of this folder tells the rules of one family::

    @rule("aten.mean")
    def mean(run, node, given):
        ...
        return Outcome((value,), pull)

``given`` has what the op takes by argument name, each a :class:`Value` (random), :class:`Data`
(known) or a tuple of these; ``pull`` is given the gradients of the outputs and returns those of
the arguments by name, ``None`` where nothing reaches the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from botec.analyses.signal.value import Gradient

Pull = Callable[[Sequence[Gradient | None]], Mapping[str, Any]]
Rule = Callable[[Any, Any, Mapping[str, Any]], "Outcome | None"]
RULES: dict[str, Rule] = {}


@dataclass(frozen=True)
class Outcome:
    """What an op gives: its outputs in order, and how gradients pass it (``None``: not at all)."""

    outputs: tuple[Any, ...]
    pull: Pull | None = None


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Enter a function as the rule of ``ops``."""

    def declare(function: Rule) -> Rule:
        for op in ops:
            RULES[op] = function
        return function

    return declare


def rule_of(op: str) -> Rule | None:
    """The rule of an op; an in-place op has its plain twin's."""
    load()
    return RULES.get(op) or (RULES.get(op[:-1]) if op.endswith("_") else None)


@cache
def load() -> None:
    """Read every file of this folder."""
    import botec.analyses.signal as folder

    for found in iter_modules(folder.__path__):
        import_module(f"{folder.__name__}.{found.name}")
