"""Pages about real gradients: those made in three ways, and those held against the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from botec.analyses.differentiation import WAYS, WORDS
from botec.report import Column, Figure, Figures, Measured, Section, Table, Text


class Direction(Protocol):
    """What was checked together: the gradient's promise beside what the loss did."""

    @property
    def names(self) -> tuple[str, ...]:
        """The weights moved."""
        ...

    @property
    def promised(self) -> float:
        """What the gradient says."""
        ...

    @property
    def found(self) -> float:
        """What the loss does."""
        ...

    @property
    def bound(self) -> float:
        """How far that is sure."""
        ...

    @property
    def step(self) -> float:
        """How far the weights were moved."""
        ...

    @property
    def kinks(self) -> int:
        """Signs that changed on the way."""
        ...

    @property
    def error(self) -> float:
        """Their difference as a share."""
        ...

    @property
    def sharp(self) -> bool:
        """Whether it is sure enough to see a small mistake."""
        ...


def ways_section(
    passes: Mapping[str, int], seconds: Mapping[str, float], apart: Mapping[str, float]
) -> Section:
    """A gradient really made in three ways: passes, seconds, and how far the ways lie apart."""
    rows = tuple(
        (WORDS[name], passes[name], seconds[name], seconds[name] / seconds["reverse"],
         f"{apart[name]:.1e}")
        for name in WAYS
    )  # fmt: skip
    columns = (
        Column("way"), Column("passes", "1"), Column("time", "s", apart=True),
        Column("in reverse modes", "1", apart=True), Column("largest difference"),
    )  # fmt: skip
    said = Text(
        "Made in float64. Differences are shares of the largest entry; forward mode is exact to "
        "rounding, one-sided finite differences keep half of the digits."
    )
    return Section("The same gradient in three ways", (Table("", columns, rows), said))


def check_figures(
    verdicts: Sequence[Direction], wrong: Sequence[Direction], passes: int
) -> dict[str, Figure]:
    """How many tensors' gradients are wrong, how far the others lie apart (of those that a kink or
    rounding leaves sharp), and what it cost."""
    names = {name for one in wrong for name in one.names}
    healthy = [one.error for one in verdicts if one.sharp and not names & set(one.names)]
    numbers = (
        ("wrong", "tensors whose gradient is wrong", len(names)),
        ("error", "largest difference where it is right", max(healthy, default=None)),
        ("passes", "forward passes it took", passes),
    )
    how = "differences of the loss along the gradient"
    return {
        f"gradient.check.{key}": Figure(
            f"gradient.check.{key}", title, "1", measured=Measured(value, how)
        )
        for key, title, value in numbers
        if value is not None
    }


def check_section(
    verdicts: Sequence[Direction], wrong: Sequence[Direction], passes: int, silent: Sequence[str]
) -> Section:
    """What was checked, how, and what is wrong."""
    parts: list[Any] = []
    if wrong:
        parts += [Text(f"Wrong: {told(one)}", "no") for one in wrong]
    else:
        parts.append(Text(f"Every gradient agrees with the loss, in {passes} forward passes."))
    rows = tuple(
        (spoken(one.names), one.promised, one.found, f"{one.error:.1e}", f"{one.bound:.1e}",
         f"{one.step:g}", one.kinks)
        for one in verdicts
    )  # fmt: skip
    columns = (
        Column("weights"), Column("gradient says", "1", apart=True),
        Column("loss does", "1", apart=True), Column("apart"), Column("sure to"), Column("step"),
        Column("kinks crossed", "1"),
    )  # fmt: skip
    parts.append(Figures(tuple(check_figures(verdicts, wrong, passes))))
    parts.append(Table("", columns, rows))
    if silent:
        parts.append(Text(f"Without a gradient, and without an effect: {spoken(silent)}."))
    parts.append(Text(METHOD))
    return Section("Are the gradients right?", tuple(parts))


METHOD = (
    "Each row moves some weights along v = g ⊙ U(½, 1.5), scaled to each tensor's own size, and "
    "compares g·v with a central difference of the loss. Its error is about h²f'''/6 + ε|L|/h; "
    "“sure to” estimates it from two steps h. What fails is asked again in float64, where "
    "kinks and rounding do not count, and halved until the tensors are found."
)


def told(one: Direction) -> str:
    """``fc.bias: the gradient says 1.2, the loss does -1.2``."""
    return (
        f"{spoken(one.names)}: along its gradient the loss should change by {one.promised:.4g}, "
        f"and changes by {one.found:.4g}"
    )


def spoken(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
