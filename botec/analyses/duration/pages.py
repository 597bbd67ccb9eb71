"""The page about time: figures with their intervals, who takes it, what bounds it, a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botec.analyses.count import parameter_count
from botec.analyses.duration.run import EXAMPLES, Costs, Exchange, Run, best_splits
from botec.analyses.duration.speeds import (
    ASSUMED,
    CALIBRATED,
    MEASURED,
    SHEET,
    Speeds,
)  # fmt: skip
from botec.analyses.duration.times import BOUNDS, Durations, Share, Work, ideal
from botec.analyses.figures import Answers, tokens_of
from botec.analyses.paths import grouping
from botec.analyses.storages import ITSELF
from botec.analyses.tables import ordered
from botec.poly import at
from botec.program import Program
from botec.report import (
    Column,
    Counted,
    Curve,
    Figure,
    Figures,
    Part,
    Picture,
    Ruled,
    Section,
    Table,
    Text,
)  # fmt: skip
from botec.rules.time import (
    USUAL,
    operations_over_rate,
    ridge_point,
    run_over_rate,
    step_is_three_forwards,
    thousands_are_nothing,
)  # fmt: skip
from botec.units import Quantity

VIEWS = "views"
TOLD = BASIS, BOUND, USED = "time.basis", "time.bound", "time.used"  # what a page tells anew
SPENT, SHARED = "time.spent", "time.shared"
NO_LINK = "What the devices send each other is not in it: no link is known."
BASES = {
    MEASURED: "its own calibration",
    CALIBRATED: "public measurements of this device",
    SHEET: "its data sheet, with efficiencies measured on other devices",
    ASSUMED: "an assumption: nobody has measured it",
}
FEW = 10_000  # multiplications
KEPT_DOTS = 20
ROOF_STEPS = 60  # points of the roof where letters draw it


@dataclass(frozen=True)
class Timed:
    """A program on a device: everything the page asks, worked out once."""

    program: Program
    speeds: Speeds

    @cached_property
    def answers(self) -> Answers:
        """Counts at the asked point."""
        return Answers(self.program)

    @cached_property
    def durations(self) -> Durations:
        """Times of the stream that holds at the asked point."""
        return Durations(self.program, self.program.stream(), self.speeds)

    @cached_property
    def spans(self) -> dict[str, tuple[str, ...]]:
        """The phases of this setting, and the whole step."""
        phases = self.answers.phases
        single: dict[str, tuple[str, ...]] = {phase: (phase,) for phase in phases}
        return {**single, "step": phases} if self.program.setting.train else single

    @cached_property
    def seconds(self) -> dict[str, float]:
        """The best figure of every span."""
        return {name: float(self.durations.total(spans)) for name, spans in self.spans.items()}

    @property
    def step(self) -> float:
        """Seconds of the whole step (of the forward in inference)."""
        return self.seconds.get("step", self.seconds["forward"])

    @cached_property
    def products(self) -> Any:
        """Operations of the step's products: two for each multiply-add."""
        total = self.answers.here.total("multiplications", self.answers.phases)
        return 2 * total.at(**self.program.asked)

    @property
    def computed_in(self) -> str:
        """The type the largest part of the products computes in."""
        found: dict[str, Any] = {}
        for work in self.durations.work:
            done = at(work.operations, self.program.asked) * work.times
            found[work.dtype] = found.get(work.dtype, 0) + done
        return max(found, key=lambda name: found[name], default="float32")

    @property
    def peak(self) -> float | None:
        """The roof of the type it computes in."""
        return self.speeds.peak(self.computed_in)

    @property
    def utilisation(self) -> float | None:
        """The step's products over what the peak would do meanwhile (MFU)."""
        return self.products / (self.step * self.peak) if self.peak else None


def time_figures(timed: Timed) -> dict[str, Figure]:
    """``time.forward|backward|optimizer|step`` with low and high."""
    why = f"{timed.speeds.basis}: {BASES[timed.speeds.basis]}"
    found = {}
    for name, best in timed.seconds.items():
        key = f"time.{name}"
        counted = Counted(best, None, "estimate", {}, why)
        title = f"time of the {name}" if name != "optimizer" else "time of the optimizer's step"
        found[key] = Figure(
            key, title, "s", counted, rule_beside(timed, name),
            low=best * timed.speeds.low, high=best * timed.speeds.high,
        )  # fmt: skip
    return found


def rule_beside(timed: Timed, span: str) -> Ruled | None:
    """The envelope beside a time: operations over the peak, three forwards for a step; a few
    thousand multiplications on this machine are next to nothing."""
    if span == "step":
        given = step_is_three_forwards(timed.seconds["forward"])
        return Ruled(given, step_is_three_forwards.name, None)
    if span != "forward":
        return None
    count = timed.answers.here.total("multiplications", ("forward",)).at(**timed.program.asked)
    if timed.speeds.basis in (MEASURED, ASSUMED) and 0 < count <= FEW:
        words = "asking for an op costs microseconds, whatever it does"
        return Ruled(thousands_are_nothing(count), thousands_are_nothing.name, words)
    if timed.peak:
        given = operations_over_rate(2 * count, timed.peak)
        return Ruled(given, operations_over_rate.name, "no peak is reached, and memory is not free")
    return None


def time_sections(timed: Timed, keys: tuple[str, ...]) -> tuple[Section, ...]:
    """The verdict, the tables, the picture."""
    told = (Text(text, key=key) for key, text in zip(TOLD, verdict(timed), strict=False))
    first: list[Part] = [*told, Figures(keys)]
    roof = (roofline(timed),) if timed.speeds.bandwidth and timed.peak else ()
    tables = (class_table(timed), module_table(timed))
    return (Section("Time", tuple(first)), Section("Who takes it", tables), *pictured(roof))


def pictured(roof: tuple[Picture, ...]) -> tuple[Section, ...]:
    words = "Every kind of op: what it does a second, by its operations a byte."
    return (Section("Roofline", (Text(words, always=True), *roof)),) if roof else ()


def verdict(timed: Timed) -> list[str]:
    """What it rests on, what bounds it, how near it comes to the ideal."""
    speeds = timed.speeds
    bounds = dict.fromkeys(BOUNDS, 0.0)
    for share in timed.durations.shares(lambda work: work.phase).values():
        for name, seconds in share.bounds.items():
            bounds[name] += seconds
    whole = sum(bounds.values()) or 1.0
    parts = [f"{name} {seconds / whole:.0%}" for name, seconds in bounds.items() if seconds]
    found = [
        rests_on(speeds),
        f"Bound by {', '.join(sorted(parts, key=lambda text: -int(text.split()[-1][:-1])))}.",
    ]
    if timed.utilisation is not None:
        found.append(f"{utilisation(timed)}{speed(timed)}")
    return found


def rests_on(speeds: Speeds) -> str:
    """Whose speeds they are, how they are known, and how far they may lie off."""
    return f"On {speeds.title}, by {BASES[speeds.basis]} ({speeds.basis}). {interval(speeds)}"


def utilisation(timed: Timed) -> str:
    """The share of the peak, and how much faster the ideal would be; caches can beat its roof."""
    best = ideal(timed.durations, timed.answers.phases)
    words = f"Utilisation (MFU) {timed.utilisation:.1%} of the {timed.computed_in} peak"
    if best is None or best > timed.step:
        return f"{words}."
    share = best / timed.step
    return f"{words}; at full peak and bandwidth the step takes {share:.0%} of the time."


def speed(timed: Timed) -> str:
    """How much of the first dimension a second."""
    first, size = next(iter(timed.program.asked.items()), ("", 0))
    if not first:
        return ""
    named = "examples" if first == "B" else f"of {first}"
    return f" {round(size / timed.step):,} {named} a second."


def interval(speeds: Speeds) -> str:
    """How far a real step may lie from the figure."""
    if speeds.basis == ASSUMED:
        return f"A real step may take {speeds.low:.1f} to {speeds.high:.1f} times the figure."
    return f"Four of five real steps take {speeds.low:.2f} to {speeds.high:.2f} times the figure."


def class_table(timed: Timed) -> Table:
    """Seconds by class of ops, with what bounds each and what it reaches."""
    shares = timed.durations.shares(lambda work: work.name or VIEWS)
    rows = [
        (
            name, share.calls or share.views, share.seconds, 100 * share.seconds / timed.step,
            share.bound, share.operations, share.bytes, share.operations / share.seconds,
        )
        for name, share in shares.items()
        if share.seconds
    ]  # fmt: skip
    columns = (
        Column("kind of op"), Column("calls", "1"), Column("time", "s"), Column("share", "%"),
        Column("bound by"), Column("operations", "flop"), Column("bytes", "B"),
        Column("reached", "flop/s", apart=True),
    )  # fmt: skip
    total = (
        "all", sum(row[1] for row in rows), sum(row[2] for row in rows), "", "",
        sum(row[5] for row in rows), sum(row[6] for row in rows),
        sum(row[5] for row in rows) / timed.step,
    )  # fmt: skip
    return Table("By kind of op", columns, tuple(rows), total, "time.kind")


def module_table(timed: Timed) -> Table:
    """Seconds by module and phase, and what bounds each module."""
    program = timed.program
    group = grouping(program.scopes)
    phases = timed.answers.phases

    def part(work: Work) -> str:
        return group(program.scopes[work.scope])

    by_phase = {phase: timed.durations.shares(part, (phase,)) for phase in phases}
    every = timed.durations.shares(part, phases)
    seconds = {name: share.seconds for name, share in every.items()}
    names = ordered(program.scopes, group, [seconds])
    rows = tuple(
        (
            name or ITSELF,
            *(took(by_phase[phase].get(name)) for phase in phases),
            *((seconds[name],) if len(phases) > 1 else ()),
            100 * seconds[name] / timed.step, every[name].bound,
        )
        for name in names
    )  # fmt: skip
    heads = [Column(phase, "s") for phase in phases]
    heads += [Column("step", "s")] if len(phases) > 1 else []
    totals = [sum(row[place + 1] for row in rows) for place in range(len(heads))]
    columns = (Column("module"), *heads, Column("share", "%"), Column("bound by"))
    return Table("By module", columns, rows, ("all", *totals, "", ""), "time.module")


def took(share: Share | None) -> float:
    return share.seconds if share else 0.0


def roofline(timed: Timed) -> Picture:
    """The roof, and every kind of op at its operations a byte and operations a second."""
    peak, bandwidth = timed.peak or 1.0, timed.speeds.bandwidth or 1.0
    dots = {
        name: (share.operations / share.bytes, share.operations / share.seconds)
        for name, share in timed.durations.shares(lambda work: work.name or VIEWS).items()
        if share.operations and share.bytes
    }
    across = [point[0] for point in dots.values()]
    ridge = ridge_point(peak, bandwidth)
    least, most = min([*across, ridge / 10]), max([*across, ridge * 10])
    steps = [least * (most / least) ** (step / ROOF_STEPS) for step in range(ROOF_STEPS + 1)]
    roof = Curve("the roof", tuple((x, min(peak, bandwidth * x)) for x in sorted([*steps, ridge])))
    # a curve has two points at least: a dot is the same one twice
    curves = [Curve(name, (point, point)) for name, point in list(dots.items())[:KEPT_DOTS]]
    up = Column("operations a second", "flop/s")
    return Picture(
        f"{timed.speeds.title}: {timed.computed_in} roof, ridge at {ridge:.0f} operations a byte",
        Column("operations a byte", "1"), up, (roof, *curves), key="time.roofline",
    )  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """A run as it was asked, with what it takes at best, and least and most."""

    run: Run
    devices: int
    best: Costs
    low: Costs
    high: Costs
    exchange: Exchange | None
    why_no_cost: str
    pue: float


def run_figures(whole: Whole, timed: Timed) -> dict[str, Figure]:
    """``time.run``, ``cost.run``, ``energy.run``."""
    many = f"{whole.devices} devices" if whole.devices > 1 else "one device"
    steps = f"{whole.best.steps:,} steps on {many}"
    rated = f"rated power × {whole.pue} (PUE): an upper figure"
    beside = run_rule(whole, timed)
    return {
        "time.run": Figure(
            "time.run", "time of the run", "s",
            Counted(whole.best.seconds, None, "estimate", {}, steps), beside,
            low=whole.low.seconds, high=whole.high.seconds,
        ),
        "cost.run": Figure(
            "cost.run", "cost of the run", "$",
            counted(whole.best.dollars, whole.why_no_cost),
            low=whole.low.dollars, high=whole.high.dollars,
        ),
        "energy.run": Figure(
            "energy.run", "energy of the run", "J",
            counted(whole.best.joules, rated if whole.best.joules else "its power is not known"),
            low=whole.low.joules, high=whole.high.joules,
        ),
    }  # fmt: skip


def run_rule(whole: Whole, timed: Timed) -> Ruled | None:
    """Operations of an example times examples times epochs over a rate, where those were asked."""
    if not timed.peak:
        return None
    words = "at 40 % of the peak"
    if whole.run.unit != EXAMPLES:
        given = operations_over_rate(timed.products * whole.best.steps, timed.peak)
        return Ruled(given, operations_over_rate.name, words)
    each = timed.products / next(iter(timed.program.asked.values()), 1)
    rate = USUAL * timed.peak * whole.devices
    given = run_over_rate(each, whole.run.amount, whole.run.epochs, rate)
    return Ruled(given, run_over_rate.name, words)


def counted(value: float | None, why: str) -> Counted:
    return Counted(value, None, "unknown" if value is None else "estimate", {}, why or None)


def run_section(whole: Whole, timed: Timed) -> Section:
    """The run's figures, what the devices tell each other, and the best split of the compute."""
    parts: list[Any] = [Figures(("time.run", "cost.run", "energy.run"))]
    hours = Quantity(whole.best.seconds * whole.devices / 3600)
    parts.append(Text(f"{whole.best.steps:,} steps; {hours} device-hours.", key=SPENT))
    if whole.exchange is not None:
        share = whole.exchange.exposed / (timed.step + whole.exchange.exposed)
        words = (
            f"Sharded over {whole.devices} devices each sends {whole.exchange.bytes:,.0f} "
            f"bytes a step; {share:.1%} of the step waits for it."
        )
        parts.append(Text(words, key=SHARED))
    if whole.devices > 1 and whole.exchange is None:
        parts.append(Text(NO_LINK, key=SHARED))
    if tokens_of(timed.program) and timed.program.setting.train:
        parts.append(split_table(whole, timed))
    return Section("The run", tuple(parts))


def split_table(whole: Whole, timed: Timed) -> Table:
    """Parameters and tokens of this run beside those that spend its operations best."""
    operations = float(timed.products) * whole.best.steps * whole.devices
    own = parameter_count(timed.program.parameters)
    tokens = tokens_of(timed.program) * whole.best.steps * whole.devices
    columns = (
        Column("for the same operations"), Column("parameters", "1"), Column("tokens", "1"),
        Column("tokens a parameter", "1"),
    )  # fmt: skip
    splits = {"this run": (own, tokens), **best_splits(operations)}
    rows = tuple(
        (name, round(parameters), round(many), round(many / parameters, 1))
        for name, (parameters, many) in splits.items()
    )
    return Table("How the operations are split", columns, rows)


def setting_of(timed: Timed, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of how it was asked."""
    return {"basis": timed.speeds.basis, **extra}
