"""From a program to the figures of the page: every count beside its rule and its formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botec.analyses.count import Counts, Total, active_count, parameter_count
from botec.analyses.fit import device_figures, on_its_device
from botec.analyses.memory import (
    Memory,
    memory,
    peak_formulas,
    stored_unknown,
    weight_bytes,
    written,
)
from botec.analyses.reserve import estimated
from botec.poly import Poly, at
from botec.program import PHASES, ROLES, Program, Stream
from botec.report import Counted, Figure, Ruled
from botec.rules.book import Rule
from botec.rules.memory import four_times_the_weights, weights_and_a_fifth
from botec.rules.operations import three_forwards, two_forwards, two_per_parameter_and_token

UNITS = {"multiplications": "multiplication", "flops": "flop", "bytes": "B"}
TITLES = {
    "multiplications": "multiplications",
    "flops": "floating-point operations",
    "bytes": "bytes moved",
}
TWO_AVERAGES = ("adam", "adamw", "nadam", "radam", "adamax")


@dataclass(frozen=True)
class Answers:
    """A program at its asked point: in the stream that holds there, and in the widest one."""

    program: Program

    @cached_property
    def stream(self) -> Stream:
        """The stream that holds at the asked point."""
        return self.program.stream()

    @cached_property
    def here(self) -> Counts:
        """Counts at the asked point."""
        return Counts(self.program, self.stream)

    @cached_property
    def widest(self) -> Counts:
        """Counts in the stream with the most free dimensions."""
        return Counts(self.program, self.program.streams[0])

    @cached_property
    def memory(self) -> Memory:
        """The timeline at the asked point."""
        return memory(self.program)

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of this setting."""
        last = 3 if self.program.setting.optimizer else 2
        return PHASES[:last] if self.program.setting.train else PHASES[:1]

    def count(self, measure: str, phases: tuple[str, ...]) -> Counted:
        """A sum at the asked point, with the widest formula that gives the same number there."""
        total = self.here.total(measure, phases)
        value = total.at(**self.program.asked)
        formula, why = self.formula_of(measure, phases, value, total)
        return Counted(value, formula, self.status(total), total.missing, why)

    def formula_of(
        self, measure: str, phases: tuple[str, ...], value: Any, total: Total
    ) -> tuple[str | None, str | None]:
        wide = self.widest.total(measure, phases)
        if at(wide.value, self.program.asked) == value and wide.missing == total.missing:
            free = self.widest.stream.regime.least
            missing = [name for name in self.program.asked if name not in free]
            fixed = not isinstance(wide.value, Poly) and missing
            if not fixed:
                return str(wide.value), self.program.why or None if missing else None
        if isinstance(total.value, Poly) or not self.program.asked:
            return str(total.value), f"holds for {self.stream.regime}"
        return None, self.program.why or f"traced at {self.stream.regime} only"

    def status(self, total: Total) -> str:
        """How sure a sum is: partial where ops are missing, exact where it was proved."""
        if total.missing:
            return "partial"
        return "exact" if self.proved else "complete"

    @property
    def proved(self) -> bool:
        """Whether the asked point's stream was held against a trace the fit had not seen."""
        return bool(self.stream.regime.proved or not self.program.asked)


def figures(answers: Answers) -> dict[str, Figure]:
    """Every figure of the estimate, by key, in reading order."""
    found = [*weight_figures(answers.program), *work_figures(answers), *memory_figures(answers)]
    return {figure.key: figure for figure in found}


def weight_figures(program: Program) -> list[Figure]:
    """Parameters: all (tied ones once), trainable, active; buffers."""
    trainable = [p for p in program.parameters if p.trainable]
    values = {
        "parameters": ("parameters", parameter_count(program.parameters)),
        "parameters.trainable": ("trainable parameters", parameter_count(trainable)),
        "parameters.active": ("parameters one example uses", active_count(program.parameters)),
        "buffers": ("buffer entries", parameter_count(program.buffers)),
    }
    return [
        Figure(key, title, "1", Counted(value, str(value), "exact"))
        for key, (title, value) in values.items()
    ]


def work_figures(answers: Answers) -> list[Figure]:
    """Multiplications, operations and bytes by phase and of the whole step."""
    found = []
    for measure in UNITS:
        spans: dict[str, tuple[str, ...]] = {phase: (phase,) for phase in answers.phases}
        if measure == "multiplications":
            spans.pop("optimizer", None)
        if answers.program.setting.train:
            spans["step"] = answers.phases
        for span, phases in spans.items():
            key, counted = f"{measure}.{span}", answers.count(measure, phases)
            title = f"{TITLES[measure]}, {span}"
            found.append(Figure(key, title, UNITS[measure], counted, work_rule(answers, key)))
    return found


def work_rule(answers: Answers, key: str) -> Ruled | None:
    """The rule of thumb beside a count of work, and why it differs."""
    asked = answers.program.asked
    if key in ("multiplications.step", "multiplications.backward"):
        forward = answers.here.total("multiplications", ("forward",)).at(**asked)
        rule: Rule = three_forwards if key.endswith("step") else two_forwards
        return Ruled(rule(forward), rule.name, why_not_twice(answers))
    tokens = tokens_of(answers.program)
    if key == "flops.forward" and tokens:
        count = parameter_count(answers.program.parameters)
        rule = two_per_parameter_and_token
        return Ruled(rule(count, tokens), rule.name, "attention and lookups are not in it")
    return None


def why_not_twice(answers: Answers) -> str | None:
    """Which modules' backward multiplications are not twice their forward ones."""
    asked = answers.program.asked
    before = answers.here.by_scope("multiplications", ("forward",))
    after = answers.here.by_scope("multiplications", ("backward",))
    less: list[tuple[int, str]] = []
    more: list[tuple[int, str]] = []
    for scope in dict.fromkeys((*before, *after)):
        forward = before[scope].at(**asked) if scope in before else 0
        backward = after[scope].at(**asked) if scope in after else 0
        difference = backward - 2 * forward
        name = answers.program.scopes[scope] or "the model itself"
        if difference:
            (less if difference < 0 else more).append((difference, name))
    parts = [
        sentence(less, "less", "inputs or frozen weights take no gradient"),
        sentence(more, "more", why_more(answers)),
    ]
    return "; ".join(part for part in parts if part) or None


def why_more(answers: Answers) -> str:
    """What a backward pass does beyond two products, by the kinds of its ops."""
    if answers.program.setting.checkpoint:
        return "checkpointed blocks are computed again"
    kinds = answers.here.by_kind("multiplications", ("backward",))
    if "attention" in kinds:
        return "fused attention forms its scores again"
    if "recurrent" in kinds:
        return "recurrent kernels give the gradients of their states too"
    return "some of the forward is computed again"


def sentence(modules: list[tuple[int, str]], how: str, cause: str) -> str:
    """Which modules do less (or more) than twice their forward, by how much, and why."""
    if not modules:
        return ""
    modules = sorted(modules, key=lambda pair: -abs(pair[0]))
    names = ", ".join(name for _, name in modules[:2])
    rest = f" and {len(modules) - 2} more" if len(modules) > 2 else ""
    verb, own = ("does", "its") if len(modules) == 1 else ("do", "their")
    total = sum(difference for difference, _ in modules)
    return f"{names}{rest} {verb} {how} than twice {own} forward: {cause} ({total:+,})"


def tokens_of(program: Program) -> int:
    """Rows of token numbers in a batch, 0 where the network reads something else."""
    parts = token_sizes(program)
    return product_of(parts, program.asked) if parts else 0


def token_sizes(program: Program) -> list[str]:
    """The sizes whose product is :func:`tokens_of`: names of dimensions, or numbers."""
    for text in program.setting.inputs:
        name, _, rest = text.partition("=")
        sizes, _, dtype = rest.partition(":")
        parts = sizes.split(",")
        if name == "input_ids" and dtype == "int64" and len(parts) == 2:
            return parts
    return []


def product_of(parts: list[str], point: Mapping[str, int]) -> int:
    total = 1
    for part in parts:
        total *= point[part] if part in point else int(part)
    return total


def memory_figures(answers: Answers) -> list[Figure]:
    """The peak, what stands at it by role, what the backward pass waits for, and the weights."""
    peak = answers.memory.fullest.bytes
    formula, why = peak_formula(answers)
    status = "exact" if answers.proved else "complete"
    unknown = stored_unknown(answers.program)
    counted = Counted(peak, formula, "partial" if unknown else status, unknown, why)
    found = [
        Figure("memory.peak", "memory peak", "B", counted, memory_rule(answers)),
        *outside_figures(answers),
    ]
    roles = answers.memory.by_role()
    for role in ROLES:
        if role in roles:
            found.append(role_figure(answers, role, roles[role], status))
    if answers.program.setting.train:
        kept = saved_count(answers, status)
        found.append(Figure("memory.saved", "saved for the backward pass", "B", kept))
    weights = weight_bytes(answers.program)
    stored = Counted(weights, str(weights), "exact")
    if unknown:
        why = f"how {', '.join(unknown)} stores weights is not known to botec"
        stored = Counted(None, None, "unknown", unknown, why)
    found.append(Figure("memory.weights", "weights and buffers as stored", "B", stored))
    return estimated(found, answers.stream, answers.program.asked)


def saved_count(answers: Answers, status: str) -> Counted:
    """What the backward pass waits for; of a point that was only traced, with the widest regime's
    formula where it gives the same there."""
    program, asked = answers.program, answers.program.asked
    saved = answers.memory.saved()
    value = at(saved, asked)
    if isinstance(saved, Poly) or not asked:
        return Counted(value, str(saved), status)
    wide = Memory(program, written(program, program.streams[0]), {}).saved()
    if isinstance(wide, Poly) and at(wide, asked) == value:
        return Counted(value, str(wide), status)
    return Counted(value, None, status, {}, f"traced at {answers.stream.regime}")


def outside_figures(answers: Answers) -> list[Figure]:
    """What a CUDA device's allocator holds at most, what the device shows, the model's cache."""
    from botec.analyses.cache import cache_figures

    there = on_its_device(answers.program)
    return [*(device_figures(there) if there else ()), *cache_figures(answers)]


def role_figure(answers: Answers, role: str, value: int, status: str) -> Figure:
    constant = role in ("parameter", "buffer")
    why = None if constant else "what stands at the peak changes with the point"
    counted = Counted(value, str(value) if constant else None, status, {}, why)
    return Figure(f"memory.peak.{role}", f"of it {role}", "B", counted)


def peak_formula(answers: Answers) -> tuple[str | None, str | None]:
    """The peak as a formula that gives the asked number, and what to know about it."""
    peak = answers.memory.fullest.bytes
    polys = answers.memory.formula()
    asked = answers.program.asked
    if not asked or any(isinstance(poly, Poly) for poly in polys):
        return maximum(polys), where_of_peak(answers.program, answers.stream)
    widest = answers.program.streams[0]
    if widest is answers.stream:
        return None, answers.program.why or f"traced at {answers.stream.regime} only"
    polys = peak_formulas(answers.program, widest)
    text = maximum(polys)
    if max(at(poly, asked) for poly in polys) == peak:
        return text, where_of_peak(answers.program, widest) if widest.kernels else None
    return None, f"{answers.stream.regime} is a regime of its own; for {widest.regime}: {text}"


def where_of_peak(program: Program, stream: Stream) -> str | None:
    """Where the peak's formula holds, if that is less than wherever the network can be read."""
    if stream.kernels is not None and stream.regime.least:
        from botec.analyses.kernels.region import where_it_holds

        return where_it_holds(program, stream)
    return f"holds for {stream.regime}" if stream.regime.fixed else None


def maximum(polys: tuple[Any, ...]) -> str:
    """The maximum of formulas as Python text."""
    return str(polys[0]) if len(polys) == 1 else f"max({', '.join(map(str, polys))})"


def memory_rule(answers: Answers) -> Ruled | None:
    """The rule of thumb beside the peak."""
    setting = answers.program.setting
    weights = weight_bytes(answers.program)
    roles = answers.memory.by_role()
    if not setting.train:
        rule: Rule = weights_and_a_fifth
        return Ruled(rule(weights), rule.name, None)
    if setting.optimizer not in TWO_AVERAGES:
        return None
    rule = four_times_the_weights
    beside = roles.get("activation", 0) + roles.get("temporary", 0)
    why = f"activations and temporaries at the peak: {beside:,} bytes" if beside else None
    return Ruled(rule(weights), rule.name, why)
