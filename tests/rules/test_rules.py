"""Rules of thumb: each has a sentence, a unit, a source and a range, and it can be worked out."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import pytest

import botec.rules
from botec.poly import symbol
from botec.rules.book import RULES, Rule, rule

for module in pkgutil.iter_modules(botec.rules.__path__):
    importlib.import_module(f"botec.rules.{module.name}")

UNITS = {"1", "multiplication", "flop", "B", "s", "1/s", "flop/s", "flop/B"}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_where_and_whence(name: str) -> None:
    one = RULES[name]
    assert one.name == name
    assert re.fullmatch(r"[A-Z].*\.", one.sentence), "a sentence"
    assert one.unit in UNITS
    assert re.search(r"(19|20)\d\d|https://", one.source), "a year or an address"
    assert one.holds


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_arithmetic(name: str) -> None:
    """The same for words and places, and for formulas where its answer is whole."""
    one = RULES[name]
    places = inspect.signature(one.formula).parameters
    values = one.example.values() if one.example else [1000] * len(places)
    given = one(*values)
    assert one(**dict(zip(places, values, strict=True))) == given
    if all(isinstance(value, int) for value in (given, *values)):
        formula = one(*[symbol("x")] * len(places))
        assert formula.at(x=7) == one(*[7] * len(places))


@pytest.mark.parametrize(
    ("name", "values", "result"),
    [
        ("four times the weights", (7,), 28),
        ("weights and a fifth", (10,), 12.0),
        ("three forwards", (7,), 21),
        ("two forwards", (7,), 14),
        ("two per parameter and token", (7, 3), 42),
    ],
)
def test_values(name: str, values: tuple[int, ...], result: float) -> None:
    assert RULES[name](*values) == result


def test_declaring_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botec.rules.book.RULES", {})

    @rule("Twice.", unit="1", source="Anon 2020", holds="always")
    def twice_it(number: int) -> int:
        return 2 * number

    assert isinstance(twice_it, Rule)
    assert (twice_it.name, twice_it(21)) == ("twice it", 42)
