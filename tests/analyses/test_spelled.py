"""Rules asked with formulas: what they spell gives, worked out by Python, what they give."""

from __future__ import annotations

import random

import pytest

from botec.analyses.spelled import Spelled
from botec.rules.book import Rule, book

#: Those beside figures of an estimate; what a network learns has no formula.
HELD = [one for one in book().values() if one.beside and not one.beside.startswith("learn.")]


@pytest.mark.parametrize("rule", HELD, ids=[one.name for one in HELD])
def test_a_rule_spelled_gives_its_number(rule: Rule) -> None:
    draw = random.Random(3)
    for _ in range(50):
        values = [draw.randrange(1, 10**9) for _ in rule.parameters]
        names = [f"n{place}" for place in range(len(values))]
        spelled = str(rule(*map(Spelled, names)))
        assert eval(spelled, dict(zip(names, values, strict=True))) == rule(*values)


def test_order_is_python_s_own() -> None:
    """Each of a hundred random chains of operators, sums among their names."""
    draw = random.Random(5)
    signs = {
        "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
        "//": lambda a, b: a // b, "/": lambda a, b: a / b,
    }  # fmt: skip
    for _ in range(100):
        number, spelled = 7 - 3, Spelled("x - 3")
        for _ in range(5):
            sign, other = draw.choice(list(signs)), draw.randrange(1, 50)
            if draw.random() < 0.3 and sign in "+*":
                number, spelled = signs[sign](other, number), signs[sign](other, spelled)
            else:
                number, spelled = signs[sign](number, other), signs[sign](spelled, other)
        assert eval(str(spelled), {"x": 7}) == number, str(spelled)
