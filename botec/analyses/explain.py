"""Why do two tools disagree? Which convention or omission gives a number somebody has seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Any

from botec.analyses.counters import Convention, Pieces, candidates, named, tool_names
from botec.analyses.figures import Answers
from botec.errors import BadInput, UnknownName, nearest
from botec.report import Column, Counted, Figure, Figures, Measured, Report, Section, Table, Text
from botec.units import Quantity

FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12, "p": 10**15}
NUMBER = re.compile(
    r"(\d+(?:,\d{3})*|\d+)(\.\d+)?(?:e\+?(\d+))?\s*([kmgbtp]?)\s*(?:macs?|flops?|mult-?adds?|ops)?",
    re.IGNORECASE,
)
#: A number within this span of the count might be about this network at all.
SPAN = 100.0
#: The chance that a match is one by luck, above which it is called that.
LUCK = 0.05


@dataclass(frozen=True)
class Seen:
    """A number as it was printed: its value, and half a unit of its last digit."""

    text: str
    value: float
    half: float

    def fits(self, value: float) -> bool:
        """Whether ``value`` prints as this number."""
        return abs(value - self.value) <= self.half * (1 + 1e-9)


@dataclass(frozen=True)
class Match:
    """A convention that gives the number, and what of it matters here."""

    convention: Convention
    value: float
    words: tuple[str, ...]


def seen_from(text: str) -> Seen:
    """``4.09G``, ``4,089,184,256``, ``8.2 GFLOPs``. Raises :class:`BadInput`."""
    found = NUMBER.fullmatch(text.strip())
    if not found:
        raise BadInput("not a number", "write it as 4.09G or 4089184256", f"--seen {text}")
    digits = found[1].replace(",", "") + (found[2] or "")
    factor = FACTORS[found[4].lower()] * 10 ** int(found[3] or 0)
    decimals = len(found[2] or ".") - 1
    value = float(digits) * factor
    half = 0.5 * factor / 10**decimals
    return Seen(text, value, half)


def explained(pieces: Pieces, seen: Seen, tool: str = "") -> list[Match]:
    """Every convention whose value prints as the number seen, the plainest first.

    Raises :class:`UnknownName` for a tool whose rules nobody has told.
    """
    if tool and not named(tool):
        do = nearest(tool.lower(), tool_names()) or f"use one of {', '.join(tool_names())}"
        raise UnknownName(f"nobody has told how {tool!r} counts", do, f"--as {tool}")
    found: list[Match] = []
    for convention in candidates(tool):
        value = convention.value(pieces)
        words = tuple(convention.words(pieces))
        known = any(value == one.value and words == one.words for one in found)
        if seen.fits(value) and not known:
            found.append(Match(convention, value, words))
    return found


def luck(pieces: Pieces, seen: Seen, tool: str) -> float:
    """The chance that a number like it, drawn at random, is met by some convention."""
    values = {round(one.value(pieces)) for one in candidates(tool)}
    if not seen.value:
        return 1.0
    return min(1.0, len(values) * 2 * seen.half / seen.value / log(SPAN**2))


def report(answers: Answers, seen: Seen, tool: str, setting: dict[str, Any]) -> Report:
    """The page: the count, the number seen, and what lies between them."""
    from botec import __version__

    pieces = Pieces(answers)
    found = explained(pieces, seen, tool)
    figure = Figure(
        "multiplications.forward", "multiplications, forward", "multiplication",
        Counted(pieces.total), None, Measured(seen.value, f"seen as {seen.text}"),
    )  # fmt: skip
    parts = [Figures((figure.key,)), *spoken(pieces, found, seen, tool)]
    return Report(
        {"name": answers.program.name, "inputs": list(answers.program.setting.inputs)}, setting,
        {figure.key: figure}, (Section(f"Why {seen.text}?", tuple(parts)), pieces_section(pieces)),
        (), __version__,
    )  # fmt: skip


def spoken(pieces: Pieces, found: list[Match], seen: Seen, tool: str) -> Iterator[Any]:
    """The causes, or that none is known, with what comes nearest."""
    if not found:
        yield Text(nothing(pieces, seen, tool), "no")
        return
    for match in found:
        causes = "; ".join(match.words) or "it is the count itself"
        yield Text(f"{match.convention.name}: {causes}: {round(match.value):,}.")
        yield Text(f"Known from {match.convention.source}.")
    chance = luck(pieces, seen, tool)
    if chance > LUCK:
        yield Text(
            f"With so few digits one in {1 / chance:.0f} numbers would fit some convention: give "
            "more of them to be sure."
        )


def nothing(pieces: Pieces, seen: Seen, tool: str) -> str:
    """That no convention gives the number, and the nearest that does not."""
    values = [(one.value(pieces), one.name) for one in candidates(tool)]
    value, name = min(values, key=lambda pair: abs(pair[0] - seen.value))
    return (
        f"No convention botec knows gives {seen.text}; the nearest, {name}, gives "
        f"{Quantity(value)}. Is it the same model, input size and version?"
    )


def pieces_section(pieces: Pieces) -> Section:
    """What there is to count and to leave out."""
    rows = [(name, value) for name, value in {**pieces.products, **pieces.small}.items() if value]
    rows.sort(key=lambda row: -row[1])
    columns = (Column("piece"), Column("multiplications or elements", "1", apart=True))
    return Section("The pieces", (Table("", columns, tuple(rows)),))
