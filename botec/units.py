"""Units: the only place where a number becomes text, and text a number of bytes.

    >>> str(Quantity(25_557_032)), str(Quantity(4_089_184_256, "multiplication"))
    ('25,557,032', '4.089 G')
    >>> str(Quantity(2**30 + 2**29, "B")), str(Quantity(0.01234, "s")), str(Quantity(None, "B"))
    ('1.5 GiB', '12.3 ms', '?')

A text with fewer digits than its unit usually shows is exact (``1.5 GiB``); any other is rounded to
them, half away from zero, and moves on to the next prefix where rounding carries it there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any, TypeAlias

from botec.errors import BadInput

Number: TypeAlias = int | float
Ladder: TypeAlias = tuple[tuple[Fraction, str], ...]

UNKNOWN = "?"
SMALL = ((Fraction(1, 10**9), "n"), (Fraction(1, 10**6), "µ"), (Fraction(1, 10**3), "m"))
LARGE = tuple((Fraction(1000**step), name) for step, name in enumerate(["", *"kMGTPEZYRQ"]))
BYTES = tuple(
    (Fraction(1024**step), name)
    for step, name in enumerate(("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))
)
TIMES = (
    *((factor, f"{name}s") for factor, name in SMALL),
    *((Fraction(factor), name) for factor, name in ((1, "s"), (60, "min"), (3600, "h"))),
    (Fraction(86400), "d"),
)
LEAST_PLAIN, MOST_PLAIN = Fraction(1, 10**6), 10**6


@dataclass(frozen=True)
class Unit:
    """How numbers of one unit print.

    ``ladder`` holds the prefixes from small to large; rounded numbers show ``digits`` significant
    digits; whole numbers below ``whole`` show all of theirs.
    """

    ladder: Ladder
    digits: int = 4
    whole: int = 1000


def ladder(suffix: str, steps: Ladder = SMALL + LARGE) -> Ladder:
    """``steps`` with the unit's own name after each prefix."""
    return tuple((factor, prefix + suffix) for factor, prefix in steps)


UNITS = {
    "1": Unit(LARGE[:1] + LARGE[2:], whole=10**9),
    "multiplication": Unit(LARGE[:1] + LARGE[2:], whole=10**6),
    "flop": Unit(LARGE[:1] + LARGE[2:], whole=10**6),
    "B": Unit(BYTES),
    "B/s": Unit(ladder("/s", BYTES)),
    "s": Unit(TIMES, digits=3),
    "%": Unit(((Fraction(1), "%"),), digits=3),
    **{name: Unit(ladder(name)) for name in ("J", "W", "Wh", "Hz", "flop/s", "1/s")},
}


def unit_of(name: str) -> Unit:
    """The unit called ``name``; one that is not in the book prints plainly, its name behind."""
    return UNITS.get(name) or Unit(((Fraction(1), name),), whole=10**15)


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, or ``None`` where nobody knows it. Prints short, or ``exact``."""

    value: Number | None
    unit: str = "1"

    def __str__(self) -> str:
        return special(self.value) or short(Fraction(self.value or 0), unit_of(self.unit))

    @property
    def exact(self) -> str:
        """Every digit: ``"4,089,184,256"``, ``"1,610,612,736 B"``."""
        if found := special(self.value):
            return found
        digits = f"{self.value:,}"
        return digits if self.unit in ("1", "multiplication", "flop") else f"{digits} {self.unit}"


def special(value: Number | None) -> str:
    """The text of what is no finite number, else ``""``."""
    if value is None or value != value:
        return UNKNOWN
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return ""


def short(value: Fraction, unit: Unit) -> str:
    """``value`` in the prefix that suits it. 0 has none."""
    sign, size = "-" if value < 0 else "", abs(value)
    base = next(name for factor, name in unit.ladder if factor == 1)
    if size.denominator == 1 and size < unit.whole:
        return named(f"{sign}{int(size):,}", base)
    factor, name = step_for(size, unit)
    if size and not LEAST_PLAIN <= size / factor < MOST_PLAIN:
        return named(sign + scientific(size, unit.digits), base)
    if size < factor and factor > unit.ladder[0][0]:  # rounded up to it: 59.96 s is 1.00 min
        return named(sign + fixed(10 ** (unit.digits - 1), unit.digits - 1), name)
    return named(sign + digits_of(size / factor, unit.digits), name)


def named(digits: str, name: str) -> str:
    """A number with its unit's name behind it, where it has one."""
    return f"{digits} {name}".rstrip()


def step_for(size: Fraction, unit: Unit) -> tuple[Fraction, str]:
    """The largest prefix under ``size``, once it is rounded to the unit's digits."""
    chosen = unit.ladder[0]
    for step in unit.ladder[1:]:
        whole, decimals = rounded(size / chosen[0], unit.digits)
        if Fraction(whole, 10**decimals) * chosen[0] < step[0]:
            break
        chosen = step
    return chosen


def rounded(size: Fraction, digits: int) -> tuple[int, int]:
    """``(n, d)``: ``size`` is about ``n / 10**d``, with ``digits`` digits that count.

    Digits before the point are never rounded away.
    """
    place = order_of(size)
    decimals = max(0, digits - 1 - place)
    whole = nearest_whole(size * 10**decimals)
    if decimals and whole >= 10 ** (place + 1 + decimals):
        decimals -= 1
        whole //= 10
    return whole, decimals


def order_of(size: Fraction) -> int:
    """The power of ten of its first digit; 0 for 0."""
    if not size:
        return 0
    found = Decimal(size.numerator).adjusted() - Decimal(size.denominator).adjusted()
    return found if size >= Fraction(10) ** found else found - 1


def nearest_whole(size: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    return math.floor(size + Fraction(1, 2)) if size >= 0 else -nearest_whole(-size)


def digits_of(size: Fraction, digits: int) -> str:
    """``"4.089"``; trailing zeros go where the text is exact."""
    whole, decimals = rounded(size, digits)
    text = fixed(whole, decimals)
    exact = Fraction(whole, 10**decimals) == size
    return text.rstrip("0").rstrip(".") if exact and decimals else text


def scientific(size: Fraction, digits: int) -> str:
    """``"1.000e+40"``: what no prefix brings near one."""
    context = Context(prec=digits, rounding=ROUND_HALF_UP)
    quotient = context.divide(Decimal(size.numerator), Decimal(size.denominator))
    return f"{quotient:.{digits - 1}e}"


def fixed(whole: int, decimals: int) -> str:
    """``whole / 10**decimals`` with all its decimals: ``fixed(4089, 3) == "4.089"``."""
    above, below = divmod(abs(whole), 10**decimals)
    sign = "-" if whole < 0 else ""
    return f"{sign}{above:,}" + (f".{below:0{decimals}d}" if decimals else "")


def column(
    values: Sequence[Any], unit: str, total: Any = None, beside: Any = 0
) -> tuple[list[str], str]:
    """A column of numbers in one common prefix, so that they can be compared and added.

    Returns the texts, the total's last where there is one, and the prefixed unit's name. All are
    shown to the same decimal: the one that gives the largest one digit more than alone. Where
    ``values`` add up to ``total``, so do their texts: as many as needed are rounded the other way,
    those nearest to a half first. Only zero prints as ``0``; what rounds to it as ``<0.01``.

    ``beside`` is the largest number of the columns it is to be compared with: they all take its
    prefix, but for one whose numbers are less than a thousandth of it.
    """
    shown = [*values] if total is None else [*values, total]
    exact = [None if special(value) else Fraction(value) for value in shown]
    known = [value for value in exact if value is not None]
    factor, name, decimals = common_step(known, unit_of(unit), Fraction(beside))
    scaled = [None if value is None else value / factor * 10**decimals for value in exact]
    wholes = adding_up(scaled, total is not None)
    texts = [cell_text(*cell, decimals) for cell in zip(shown, scaled, wholes, strict=True)]
    return texts, name


def cell_text(value: Any, scaled: Fraction | None, whole: int | None, decimals: int) -> str:
    """One cell of a column; what is above zero and rounds to it says so."""
    if scaled is None or whole is None:
        return special(value)
    if not whole:
        return (
            f"<{fixed(1, decimals)}" if scaled > 0 else f">-{fixed(1, decimals)}" if scaled else "0"
        )
    return fixed(whole, decimals)


def common_step(
    known: Sequence[Fraction], unit: Unit, beside: Fraction
) -> tuple[Fraction, str, int]:
    """The prefix and the number of decimals that suit a whole column."""
    largest = max(map(abs, known), default=Fraction(0))
    largest = beside if largest < beside <= 1000 * largest else largest
    if largest < unit.whole and all(value.denominator == 1 for value in known):
        return Fraction(1), next(name for factor, name in unit.ladder if factor == 1), 0
    factor, name = step_for(largest, unit)
    _, decimals = rounded(largest / factor, unit.digits + 1)
    return factor, name, decimals


def adding_up(scaled: Sequence[Fraction | None], with_total: bool) -> list[int | None]:
    """Each number as a whole one; with the last their total, so that it is their sum."""
    wholes = [None if number is None else nearest_whole(number) for number in scaled]
    known = [place for place, number in enumerate(scaled) if number is not None]
    if not with_total or scaled[-1] is None or sum(scaled[p] or 0 for p in known) != 2 * scaled[-1]:
        return wholes
    rows = known[:-1]
    left = (wholes[-1] or 0) - sum(wholes[place] or 0 for place in rows)
    step = 1 if left > 0 else -1
    by_error = sorted(rows, key=lambda p: step * ((wholes[p] or 0) - (scaled[p] or 0)))
    for place in by_error[: abs(left)]:
        wholes[place] = (wholes[place] or 0) + step
    return wholes


SIZES = {name.lower(): int(factor) for factor, name in BYTES} | {
    f"{name.lower()}b": int(factor) for factor, name in LARGE[1:7]
}


def parse_bytes(text: str) -> int:
    """``parse_bytes("24GiB") == 24 * 2**30``; ``"80 GB"`` is 80 * 10**9; ``"512"`` is bytes.

    Raises :class:`~botec.errors.BadInput` for anything else.
    """
    found = re.fullmatch(r"(\d{1,30}(?:\.\d{1,30})?)\s*([A-Za-z]*)", text.strip())
    factor = SIZES.get(found[2].lower() or "b") if found else None
    if not found or factor is None:
        raise BadInput("not an amount of memory", "write it as 24GiB or 80GB", text)
    return int(Fraction(found[1]) * factor)
