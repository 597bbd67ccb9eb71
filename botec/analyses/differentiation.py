"""What a gradient costs: by finite differences, in forward mode and in reverse mode.

A pass is one run of the network. With P weights, one-sided finite differences take P + 1 passes
(central ones 2·P), forward mode one pass for each of P directions, reverse mode one. What a pass
costs is counted:

* reverse: the forward and the backward pass, as traced;
* forward mode: a product Y = X·W carries Ẏ = Ẋ·W + X·Ẇ, one more product for each operand with a
  tangent. With tangents on all weights these are the operands that have gradients, so a pass costs
  what reverse mode costs, less what a backward computes again.

Claims beside it, all of operations and none of memory: Baur and Strassen 1983 (at most 5 times the
function; 3 times where only multiplications and divisions count); Griewank and Walther 2008,
section 4 (3 to 4 times, the cheap gradient principle); "about two forward passes" and "three".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botec.analyses.figures import Answers
from botec.analyses.vocabulary import Vocabulary
from botec.poly import at
from botec.report import Column, Counted, Figure, Figures, Measured, Ruled, Section, Table, Text
from botec.rules.learning import passes_of_differences

WEEK = 7 * 86400
CLAIMS = (
    ("about two forward passes", 2.0, "true of the backward pass alone"),
    ("three forward passes", 3.0, "a forward, and each factor's gradient"),
    ("at most 4", 4.0, "Griewank & Walther 2008, section 4"),
    ("at most 5", 5.0, "Baur & Strassen 1983"),
    ("at most 3", 3.0, "the same, of multiplications alone"),
)
WAYS = ("reverse", "forward_mode", "finite_difference")
WORDS = {
    "reverse": "reverse mode", "forward_mode": "forward mode",
    "finite_difference": "finite differences",
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One way to a gradient: how many passes, multiplications of one, and of all."""

    name: str
    passes: int
    each: int

    @property
    def multiplications(self) -> int:
        """Of the whole gradient."""
        return self.passes * self.each


@dataclass(frozen=True)
class Differentiation:
    """The three ways at a point: ``forward`` multiplications of one plain pass, P ``weights``."""

    forward: int
    weights: int
    examples: int | None
    ways: tuple[Way, ...]

    @property
    def ratio(self) -> float | None:
        """A gradient by reverse mode, in forward passes."""
        return self.ways[0].each / self.forward if self.forward else None


def differentiation(answers: Answers) -> Differentiation:
    """The three ways, counted from a traced training step at its asked point."""
    asked = answers.program.asked
    before = answers.here.by_scope("multiplications", ("forward",))
    after = answers.here.by_scope("multiplications", ("backward",))
    forward = sum(at(total.value, asked) for total in before.values())
    backward = sum(at(total.value, asked) for total in after.values())
    tangents = sum(
        min(at(total.value, asked), 2 * at(before[scope].value, asked) if scope in before else 0)
        for scope, total in after.items()
    )
    words = Vocabulary(answers)
    ways = (
        Way("reverse", 1, forward + backward),
        Way("forward_mode", words.trainable, forward + tangents),
        Way("finite_difference", words.trainable + 1, forward),
    )
    return Differentiation(forward, words.trainable, words.examples, ways)


def figures(found: Differentiation) -> dict[str, Figure]:
    """Passes and multiplications of each way."""
    figures = {}
    for way in found.ways:
        rule = None
        if way.name == "finite_difference":
            rule = Ruled(passes_of_differences(found.weights), passes_of_differences.name)
        key, title = f"gradient.passes.{way.name}", f"passes, {WORDS[way.name]}"
        figures[key] = Figure(key, title, "1", Counted(way.passes, status="exact"), rule)
        key = f"gradient.multiplications.{way.name}"
        title = f"multiplications of a gradient, {WORDS[way.name]}"
        figures[key] = Figure(key, title, "multiplication", Counted(way.multiplications))
    return figures


def section(found: Differentiation, rate: float | None, where: str) -> Section:
    """The three ways side by side. ``rate``: multiplications a second of a device, if one is."""
    parts: list[Any] = [Figures(tuple(figures(found))), table(found, rate, where)]
    if found.ratio is not None:
        parts.append(claims(found.ratio))
    parts.extend(Text(text) for text in sentences(found))
    return Section("What a gradient costs", tuple(parts))


def table(found: Differentiation, rate: float | None, where: str) -> Table:
    columns = [
        Column("way"), Column("passes", "1", apart=True), Column("a pass, in forwards", "1"),
        Column("multiplications", "multiplication", apart=True),
    ]  # fmt: skip
    if found.examples:
        columns.append(Column("for each example", "multiplication", apart=True))
    if rate:
        columns.append(Column(f"at the full rate of {where}", "s", apart=True))
    rows = []
    for way in found.ways:
        each = way.each / found.forward if found.forward else None
        row = [WORDS[way.name], way.passes, each, way.multiplications]
        if found.examples:
            row.append(way.multiplications // found.examples)
        if rate:
            row.append(way.multiplications / rate)
        rows.append(tuple(row))
    return Table("", tuple(columns), tuple(rows))


def claims(ratio: float) -> Table:
    """The counted cost of a gradient beside what is said of it."""
    rows = [("counted here", ratio, "the traced passes, both ways")]
    rows += [(claim, value, source) for claim, value, source in CLAIMS]
    return Table(
        "A gradient by reverse mode, in forward passes",
        (Column("claim"), Column("forwards", "1"), Column("from")),
        tuple(rows),
    )


def sentences(found: Differentiation) -> list[str]:
    """What it means, in words."""
    if not found.forward:
        return ["Nothing multiplies in this network: passes are all there is to compare."]
    reverse, _, differences = found.ways
    times = differences.multiplications / reverse.multiplications
    return [
        f"{found.weights:,} weights want {differences.passes:,} passes of finite differences; "
        f"central ones, twice as sharp, {2 * found.weights:,}.",
        f"A training run that takes a week by reverse mode takes {span(times * WEEK)} by finite "
        f"differences ({times:,.4g} times as long).",
    ]


def span(seconds: float) -> str:
    """``"200,000 years"``: a time people can picture, to two digits."""
    for length, name in ((365.25 * 86400, "years"), (WEEK, "weeks"), (86400, "days")):
        if seconds >= 2 * length:
            number = float(f"{seconds / length:.2g}")
            return f"{number:,.0f} {name}" if number >= 10 else f"{number:.1f} {name}"
    return f"{seconds / 3600:.1f} hours"


def with_measured(
    figures: Mapping[str, Figure], passes: Mapping[str, int], how: str
) -> dict[str, Figure]:
    """The figures of passes with what really ran beside them."""
    from dataclasses import replace

    found = dict(figures)
    for name, count in passes.items():
        key = f"gradient.passes.{name}"
        found[key] = replace(found[key], measured=Measured(count, how))
    return found
