"""The page of ``botec fit``: yes or no, what fills it, the room left, the largest that fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from botec.analyses.cache import cache_figures
from botec.analyses.figures import Answers, maximum, memory_rule
from botec.analyses.fit import Fit, device_figures, where_seen
from botec.analyses.memory import weight_bytes
from botec.analyses.memory_rules import rule_table
from botec.analyses.reserve import estimated
from botec.analyses.standing import memory_section, standing_table
from botec.analyses.timeline import picture
from botec.poly import Poly
from botec.report import Column, Counted, Figure, Figures, Saying, Section, Table, Text
from botec.units import Quantity

HOUR = "cost.hour"
LARGEST, VERDICT, SEEN = "fit.largest", "fit.verdict", "fit.seen"  # what a page tells anew
SAYINGS = {
    VERDICT: (
        Saying(
            "choose(usable, 0, 1, 0)",
            "It does not fit on {place}: the driver's context ({context|B}) is all of its "
            "{total|B}.",
            "no",
        ),
        Saying(
            "choose(weights, usable, 0, 1)",
            "It does not fit on {place}: the weights alone ({weights|B}) are larger than its "
            "memory ({total|B} with the driver's context).",
            "no",
        ),
        Saying(
            "fits",
            "It fits on {place}: {memory.device / total|%0} of its {total|B} is used at most.",
            "",
        ),
        Saying(
            "1 - fits",
            "It does not fit on {place}: it takes {memory.device / total|.2} times its {total|B} "
            "({memory.device - total|B} more).",
            "no",
        ),
        Saying("1", "Nobody has tried this size on {place}, nor one near enough.", "warning"),
    ),
    SEEN: (
        Saying(
            "1",
            "Who looks where sees: torch.cuda.max_memory_allocated() {memory.allocated|B} "
            "(memory.peak in blocks of 512 bytes), torch.cuda.max_memory_reserved() "
            "{memory.reserved|B} (memory.reserved), nvidia-smi {memory.device|B} (memory.device: "
            "the same with the driver's context, {context|B}, an assumption).",
        ),
    ),
}  # as verdict and where_seen say it


@dataclass(frozen=True)
class Tried:
    """A change that was traced: what it is, the fit under it, its step's multiplications."""

    name: str
    fit: Fit
    multiplications: int


def fit_figures(fit: Fit, largest: Mapping[str, int | None]) -> dict[str, Figure]:
    """The three sums of memory, the room left, and the largest of every dimension."""
    answers = Answers(fit.program)
    found = [
        Figure("memory.peak", "tensors at the peak", "B", peak_of(fit), memory_rule(answers)),
        *device_figures(fit),
        *cache_figures(answers),
        Figure(
            "fit.room", "free room", "B",
            Counted(fit.room.total - fit.device, None, "estimate"),
        ),
    ]  # fmt: skip
    found = estimated(found, fit.memory.stream, fit.point)
    for name, value in largest.items():
        counted = largest_of(fit, name, value)
        found.append(Figure(f"fit.largest.{name}", f"largest {name} that fits", "1", counted))
    return {figure.key: figure for figure in found}


def largest_of(fit: Fit, name: str, value: int | None) -> Counted:
    """The largest of a dimension, and what bounds it where memory does not."""
    if value is None:
        return Counted(None, None, "unknown", {}, f"no formula in {name}")
    bounded = value and value == fit.bound(name)
    why = f"the model's own formulas end at {name}={value:,}, not the memory" if bounded else None
    return Counted(value, None, "complete", {}, why)


def peak_of(fit: Fit) -> Counted:
    polys = fit.memory.formula()
    known = any(isinstance(poly, Poly) for poly in polys) or not fit.program.asked
    return Counted(fit.memory.fullest.bytes, maximum(polys) if known else None, "complete")


def fit_sections(
    fit: Fit, largest: Mapping[str, int | None], tried: Iterable[Tried], title: str
) -> tuple[Section, ...]:
    """The verdict, the timeline, what stands at the peak, and what would make it fit."""
    answers = Answers(fit.program)
    keys = ["memory.peak", "memory.reserved", "memory.device", "memory.kv_cache", "fit.room"]
    keys += [*(f"fit.largest.{name}" for name in largest), HOUR]
    figures = Figures(tuple(keys))
    found = [
        Section(
            "Fit",
            (
                Text(verdict(fit, title), "" if fit.fits else "no", VERDICT),
                figures,
                Text(where_seen(fit), key=SEEN),
                *larger(fit, largest),
            ),
        ),
        Section("Timeline", (picture(fit.memory, (fit.room.total, title)),)),
        with_standing(memory_section(answers.memory), answers),
    ]
    remedies = tuple(tried)
    if remedies:
        found.append(Section("What would help", (remedy_table(fit, remedies),)))
    return (*found, *rule_section(answers))


def with_standing(section: Section, answers: Answers) -> Section:
    """The section of the peak, with the tensors that stand on it."""
    return Section(section.title, (*section.parts, standing_table(answers.memory)))


def rule_section(answers: Answers) -> tuple[Section, ...]:
    """What rules of thumb say of the peak."""
    table = rule_table(answers)
    return (Section("Rules of thumb", (table,)),) if table else ()


def verdict(fit: Fit, title: str) -> str:
    """One sentence: whether it fits, by how much; weights too large on their own come first."""
    total = Quantity(fit.room.total, "B")
    if fit.room.usable <= 0:
        own = Quantity(fit.room.context, "B")
        return f"It does not fit on {title}: the driver's context ({own}) is all of its {total}."
    if fit.weights_alone:
        weights = Quantity(weight_bytes(fit.program), "B")
        return (
            f"It does not fit on {title}: the weights alone ({weights}) are larger than its memory "
            f"({total} with the driver's context)."
        )
    share = fit.device / fit.room.total
    if fit.fits:
        return f"It fits on {title}: {share:.0%} of its {total} is used at most."
    more = Quantity(fit.device - fit.room.total, "B")
    return f"It does not fit on {title}: it takes {share:.2f} times its {total} ({more} more)."


def larger(fit: Fit, largest: Mapping[str, int | None]) -> tuple[Table, ...]:
    """The room that the largest value of each dimension leaves."""
    rows = []
    for name, value in largest.items():
        if value:
            there = fit.at(**{name: value})
            rows.append((name, value, there.device, fit.room.total - there.device))
    if not rows:
        return ()
    columns = (
        Column("dimension"), Column("largest", "1"), Column("used on the device", "B"),
        Column("free room", "B"),
    )  # fmt: skip
    return (Table("The largest that fits", columns, tuple(rows), key=LARGEST),)


def remedy_table(fit: Fit, tried: Iterable[Tried]) -> Table:
    """Each change with what it saves and what its step costs beside the asked one."""
    base = Answers(fit.program)
    asked = base.here.total("multiplications", base.phases).at(**fit.program.asked)
    rows = tuple(
        (
            one.name, one.fit.device, fit.device - one.fit.device,
            f"{one.multiplications / asked:.2f}" if asked else "?",
            "yes" if one.fit.fits else "no",
        )
        for one in tried
    )  # fmt: skip
    columns = (
        Column("change"), Column("used on the device", "B"), Column("saved", "B"),
        Column("multiplications, ratio"), Column("fits"),
    )  # fmt: skip
    return Table("Traced again, each change alone", columns, rows)
