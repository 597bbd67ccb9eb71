"""Every algebraic step of every derivation is proved by sympy, which knows nothing of botec.

Letters are positive. An equation whose left side is a letter not met before names it; every other
one must follow from what was named, and the last right side must be the rule's own text.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
import sympy
from sympy.parsing.sympy_parser import parse_expr

from botec.rules.book import Rule, Step, book

BOOK = book()
DERIVED = {name: rule for name, rule in BOOK.items() if rule.steps}
SPOKEN = {
    "log",
    "sqrt",
    "exp",
    "erf",
    "Sum",
    "Product",
    "Derivative",
    "Integral",
    "pi",
    "Max",
    "oo",
    "floor",
}


class Unproved(AssertionError):
    """A step that does not follow."""


def letters(text: str) -> dict[str, Any]:
    """Every letter of a text as a positive number of sympy's; its functions are left alone."""
    import re

    names = set(re.findall(r"[A-Za-z_]\w*", text)) - SPOKEN
    return {name: sympy.Symbol(name, positive=True) for name in names}


def expression(text: str, named: dict[Any, Any]) -> Any:
    found = parse_expr(text, local_dict=letters(text)).doit()
    for letter in reversed(list(named)):
        found = found.subs(letter, named[letter])
    return found


def equal(one: Any, other: Any) -> bool:
    return sympy.simplify(sympy.expand_log(one - other, force=True)) == 0


def proved(rule: Rule) -> Any:
    """Raises :class:`Unproved` at the first equation that does not follow."""
    named: dict[Any, Any] = {}
    right: Any = None
    for step in rule.steps:
        if not step.equation:
            continue
        left, _, other = step.equation.partition(" = ")
        letter = letters(left).get(left)
        right = expression(other, named)
        if letter is not None and letter not in named and left not in rule.where:
            named[letter] = right
        elif not equal(expression(left, named), right):
            raise Unproved(step.equation)
    if not equal(right, expression(rule.text, named)):
        raise Unproved(f"{right} is not {rule.text}")
    return right


@pytest.mark.parametrize("name", DERIVED)
def test_every_step_follows(name: str) -> None:
    proved(DERIVED[name])


@pytest.mark.parametrize("name", DERIVED)
def test_a_wrong_step_is_found(name: str) -> None:
    """The proof can fail: with the answer doubled and one more, it does."""
    from dataclasses import replace

    rule = DERIVED[name]
    left, _, right = rule.steps[-1].equation.partition(" = ")
    wrong = replace(rule, steps=(*rule.steps[:-1], Step("", f"{left} = 2*({right}) + 1")))
    with pytest.raises(Unproved):
        proved(wrong)


@pytest.mark.parametrize("name", BOOK)
def test_a_rule_has_a_derivation_or_says_why_not(name: str) -> None:
    rule = BOOK[name]
    assert bool(rule.steps) != bool(rule.underived)
    assert rule.where
    assert rule.text
    assert rule.example


@pytest.mark.parametrize("name", BOOK)
def test_letters_are_the_parameters_in_their_order(name: str) -> None:
    rule = BOOK[name]
    assert len(rule.where) == len(rule.parameters)
    assert list(rule.example) == list(rule.where)
    assert letters(rule.text).keys() <= rule.where.keys()


@pytest.mark.parametrize("name", BOOK)
def test_the_text_is_what_the_function_works_out(name: str) -> None:
    rule = BOOK[name]
    generator = random.Random(name)
    for _ in range(3):
        values = {letter: generator.uniform(0.1, 9) for letter in rule.where}
        text = expression(rule.text, {})
        there = text.subs({sympy.Symbol(k, positive=True): v for k, v in values.items()})
        assert float(there) == pytest.approx(float(rule(*values.values())), rel=1e-9)
