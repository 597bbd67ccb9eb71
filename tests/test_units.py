"""Numbers as text: exact tables, and laws that hold for every number."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botec.errors import BadInput
from botec.units import BYTES, LARGE, TIMES, UNITS, Quantity, column, parse_bytes

TABLE = [
    (25_557_032, "1", "25,557,032"),
    (6_738_415_616, "1", "6.738 G"),
    (4_089_184_256, "multiplication", "4.089 G"),
    (1_800, "multiplication", "1,800"),
    (999_999, "flop", "999,999"),
    (999_999_600, "flop", "1.000 G"),
    (2 * 10**9, "flop", "2 G"),
    (999.6, "1", "999.6"),
    (999.96, "1", "1,000"),
    (12_345.678, "1", "12,346"),
    (0.00012345678, "1", "0.0001235"),
    (0, "B", "0 B"),
    (0.0, "s", "0 s"),
    (-4_089_184_256, "flop", "-4.089 G"),
    (1_023, "B", "1,023 B"),
    (1_024, "B", "1 KiB"),
    (int(1_023.96 * 1024), "B", "1.000 MiB"),
    (24 * 2**30, "B", "24 GiB"),
    (102_228_128, "B", "97.49 MiB"),
    (3 * 2**40, "B", "3 TiB"),
    (1.5e-9, "s", "1.50 ns"),
    (0.0000123, "s", "12.3 µs"),
    (0.25, "s", "250 ms"),
    (59.94, "s", "59.9 s"),
    (59.96, "s", "1.00 min"),
    (5_400, "s", "1.5 h"),
    (86_400 * 1_234, "s", "1,234 d"),
    (312e12, "flop/s", "312 Tflop/s"),
    (2**40, "B/s", "1 TiB/s"),
    (3.5e-5, "J", "35.00 µJ"),
    (12.5, "USD", "12.5 USD"),
    (37.53, "%", "37.5 %"),
    (10**40, "1", "1.000e+40"),
    (10**40, "B", "1.000e+40 B"),
    (10**5000, "flop", "1.000e+5000"),
    (None, "B", "?"),
    (float("nan"), "s", "?"),
    (float("inf"), "1", "∞"),
    (float("-inf"), "1", "-∞"),
]
numbers = st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)
units = st.sampled_from(sorted(UNITS))


@pytest.mark.parametrize(("value", "unit", "text"), TABLE, ids=[row[2] for row in TABLE])
def test_text(value: float, unit: str, text: str) -> None:
    assert str(Quantity(value, unit)) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(4_089_184_256, "flop", "4,089,184,256"), (1536, "B", "1,536 B"), (None, "B", "?")],
)
def test_exact_has_every_digit(value: int, unit: str, text: str) -> None:
    assert Quantity(value, unit).exact == text


def spoken(text: str) -> Fraction:
    """The number a text stands for, read by other means: a table of names and ``Decimal``."""
    digits, _, name = text.partition(" ")
    factors = {name: factor for factor, name in (*LARGE, *BYTES, *TIMES)}
    prefixes = {"µ": -6, "m": -3, "n": -9} | {p: 3 * n for n, p in enumerate("kMGTPEZYRQ", 1)}
    name = name.removesuffix("/s") if name.removesuffix("/s") in factors else name
    if name in factors:
        factor = factors[name]
    else:
        short = name[:1] in prefixes and name not in ("%",)
        factor = Fraction(10) ** (prefixes[name[:1]] if short else 0)
    return Fraction(Decimal(digits.replace(",", ""))) * factor


@given(numbers, units)
def test_a_text_is_the_number_to_its_digits(value: float, unit: str) -> None:
    # Half a unit of the last digit shown, relative to a first digit of at least one.
    digits = UNITS[unit].digits
    allowed = abs(Fraction(value)) * Fraction(1, 2 * 10 ** (digits - 1))
    assert abs(spoken(str(Quantity(value, unit))) - Fraction(value)) <= allowed


@given(numbers, units)
def test_a_short_text_is_exact(value: float, unit: str) -> None:
    text = str(Quantity(value, unit))
    shown = re.sub(r"[^\d]", "", text.partition(" ")[0].partition("e")[0]).lstrip("0")
    if len(shown) < UNITS[unit].digits and "e" not in text:
        assert spoken(text) == Fraction(value)


@given(numbers, units)
def test_no_prefix_is_carried_over(value: float, unit: str) -> None:
    """``1,024 MiB`` and ``1,000 M`` do not occur, nor ``60.0 s``."""
    text = str(Quantity(abs(value), unit))
    name = text.partition(" ")[2]
    names = [step for _, step in UNITS[unit].ladder]
    if "e" not in text.partition(" ")[0] and name and name != names[-1] and name in names:
        following = UNITS[unit].ladder[names.index(name) + 1][0]
        assert spoken(text) < following


@given(st.lists(numbers | st.none(), max_size=12), units)
def test_a_column_adds_up_as_printed(values: list[float | None], unit: str) -> None:
    total = sum(Fraction(value) for value in values if value is not None)
    if total.denominator != 1:
        values = [None if value is None else int(value) for value in values]
        total = Fraction(sum(value for value in values if value is not None))
    texts, _ = column(values, unit, int(total))
    assert len(texts) == len(values) + 1
    shown = [Fraction(0 if re.match("[<>]", t) else Decimal(t.replace(",", "")))
             for t in texts if t != "?"]  # fmt: skip
    assert sum(shown[:-1]) == shown[-1]


@given(st.lists(numbers, min_size=1, max_size=12), units)
def test_a_column_says_each_number_to_its_last_place(values: list[float], unit: str) -> None:
    texts, name = column(values, unit, None)
    factor = next(factor for factor, step in UNITS[unit].ladder if step == name)
    for value, text in zip(values, texts, strict=True):
        if not re.match("[<>]", text):
            place = Fraction(1, 10 ** len(text.partition(".")[2]))
            assert abs(Fraction(Decimal(text.replace(",", ""))) - Fraction(value) / factor) <= place


def test_only_zero_prints_as_zero_in_a_column() -> None:
    texts, unit = column([0, 1, 2**30, None], "B", None)
    assert (texts, unit) == (["0", "<0.0001", "1.0000", "?"], "GiB")


@pytest.mark.parametrize(
    ("text", "size"),
    [("24GiB", 24 * 2**30), ("80 GB", 80 * 10**9), ("512", 512), ("1.5KiB", 1536), ("0b", 0)],
)
def test_parse_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "1e3", "24 apples", "nan", "1" * 5000])
def test_parse_bytes_refuses_by_name(text: str) -> None:
    with pytest.raises(BadInput, match="not an amount of memory; write it as 24GiB or 80GB"):
        parse_bytes(text)


@given(st.integers(0, 2**60))
def test_bytes_in_full_parse_back(size: int) -> None:
    assert parse_bytes(Quantity(size, "B").exact.replace(",", "")) == size
