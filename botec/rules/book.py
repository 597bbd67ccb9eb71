"""The book of rules of thumb: what people scribble on an envelope, with its source and its range.

A rule is arithmetic on plain numbers. It prints beside the count, never instead of it. A rule with
a derivation carries it step by step; every equation in it is text that sympy can prove.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from botec.errors import UnknownName, nearest

RULES: dict[str, Rule] = {}


@dataclass(frozen=True)
class Step:
    """One step of a derivation: a sentence, and the equation it leads to ("" for none).

    ``F = 2*N*D`` with an ``F`` not met before names it; any other equation follows by algebra from
    what was named before it, or by the sums ``Sum(term, (i, 1, L))`` it contains.
    """

    words: str
    equation: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule: its sentence, the unit of its answer, where it comes from and where it holds.

    ``text`` is the formula in the letters of ``where``, which define the function's parameters in
    their order. ``steps`` derive it, or ``underived`` says why nothing does. ``example`` gives the
    letters numbers. ``beside`` is the key of the figure the rule stands beside, ``along`` the
    letter along which a picture of it helps.
    """

    name: str
    sentence: str
    unit: str
    source: str
    holds: str
    formula: Callable[..., Any]
    text: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    underived: str = ""
    example: Mapping[str, float | int] = field(default_factory=dict)
    beside: str = ""
    along: str = ""

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self.formula(*values, **named)

    @property
    def subject(self) -> str:
        """The file it stands in: ``"operations"``."""
        return self.formula.__module__.rpartition(".")[2]

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The words of the function's parameters."""
        return tuple(inspect.signature(self.formula).parameters)

    @property
    def worked(self) -> Any:
        """What the example gives; ``None`` without one."""
        return self.formula(*self.example.values()) if self.example else None


def rule(
    sentence: str,
    *,
    unit: str,
    source: str,
    holds: str,
    text: str = "",
    where: Mapping[str, str] | None = None,
    steps: Sequence[Step] = (),
    underived: str = "",
    example: Mapping[str, float | int] | None = None,
    beside: str = "",
    along: str = "",
) -> Callable[[Any], Rule]:
    """Declare the decorated function as a rule of thumb under its own name."""

    def declare(formula: Callable[..., Any]) -> Rule:
        name = formula.__name__.replace("_", " ")
        RULES[name] = Rule(
            name, sentence, unit, source, holds, formula,
            text, where or {}, tuple(steps), underived, example or {}, beside, along,
        )  # fmt: skip
        return RULES[name]

    return declare


def book() -> dict[str, Rule]:
    """Every rule of the folder by name: the folder is the registry."""
    import botec.rules as folder

    for found in iter_modules(folder.__path__):
        import_module(f"{folder.__name__}.{found.name}")
    return dict(sorted(RULES.items(), key=lambda pair: (pair[1].subject, pair[0])))


def found(name: str) -> Rule:
    """The rule called ``name``; spaces, ``_`` and ``-`` are the same.

    Raises :class:`~botec.errors.UnknownName` with the nearest name.
    """
    known = book()
    wanted = name.replace("_", " ").replace("-", " ").lower().strip()
    if wanted not in known:
        do = nearest(wanted, known) or "list them with botec rules"
        raise UnknownName(f"no rule is called {name!r}", do, name)
    return known[wanted]
