"""Every rule that applies to a network, beside the count, with their ratio and why they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botec.analyses.count import Counts
from botec.analyses.figures import Answers, why_not_twice
from botec.analyses.spelled import Spelled
from botec.analyses.vocabulary import Vocabulary
from botec.poly import at
from botec.report import Figure
from botec.rules.book import Rule
from botec.units import Quantity


@dataclass(frozen=True)
class Ruling:
    """A rule held against a network: the letters' numbers, its answer, the figure it stands beside.

    ``counted`` and ``ratio`` (rule ÷ count) are ``None`` where botec counts nothing like it.
    """

    rule: Rule
    values: Mapping[str, Any]
    given: float | int
    title: str
    counted: float | int | None
    why: str = ""

    @property
    def ratio(self) -> float | None:
        """The rule's answer in counts."""
        return self.given / self.counted if self.counted else None

    @property
    def error(self) -> float | None:
        """How far the rule is off, as a share of the count."""
        return None if self.ratio is None else self.ratio - 1


def rulings(
    answers: Answers, figures: Mapping[str, Figure], rules: Mapping[str, Rule]
) -> Iterator[Ruling]:
    """Every rule whose words are all known of the network, in the book's order."""
    words = Vocabulary(answers)
    for rule, values, title, count in applying(words, figures, rules):
        given = rule(*values)
        why = difference(rule, given, count, words)
        yield Ruling(rule, lettered(rule, values), given, title, count, why)


def spelled(
    answers: Answers, counts: Counts, figures: Mapping[str, Figure], rules: Mapping[str, Rule]
) -> Iterator[Ruling]:
    """The same as formulas of a stream's counts, its numbers being texts in which figures stand by
    their keys."""
    words = Vocabulary(answers, counts)
    for rule, values, title, count in applying(words, figures, rules):
        given: Any = rule(*(Spelled(str(value)) for value in values))
        yield Ruling(rule, lettered(rule, values), given, title, count)


def applying(
    words: Vocabulary, figures: Mapping[str, Figure], rules: Mapping[str, Rule]
) -> Iterator[tuple[Rule, list[Any], str, Any]]:
    """The rules that apply: what their words are, and the title and count of what is beside."""
    for rule in rules.values():
        if not rule.beside:
            continue
        values = [words[word] for word in rule.parameters]
        counted = beside(rule.beside, words, figures)
        if counted is not None and all(value is not None for value in values):
            yield rule, values, *counted


def lettered(rule: Rule, values: list[Any]) -> dict[str, Any]:
    """The values of a rule's letters."""
    return dict(zip(rule.where or rule.parameters, values, strict=True))


def beside(key: str, words: Vocabulary, figures: Mapping[str, Figure]) -> tuple[str, Any] | None:
    """Title and count of the figure a rule stands beside; ``None`` where this network has none."""
    if key in figures:
        counted = figures[key].counted
        if counted is None or counted.value is None:
            return None
        return figures[key].title, Spelled(key) if words.formal else counted.value
    if key in COUNTS:
        return COUNTS[key](words)
    return None


def attention_flops(words: Vocabulary) -> tuple[str, Any] | None:
    """Operations of the forward pass's fused attention."""
    kinds = words.counts.by_kind("flops", ("forward",))
    if "attention" not in kinds:
        return None
    return "operations of attention, forward", words.here(kinds["attention"].value)


def peak_to_infer(words: Vocabulary) -> tuple[str, Any] | None:
    """The peak of inference in numbers of the weights' type."""
    return None if words.program.setting.train else peak_numbers(words)


def peak_to_train(words: Vocabulary) -> tuple[str, Any] | None:
    """The peak of training in numbers of the weights' type."""
    return peak_numbers(words) if words.program.setting.train else None


def peak_numbers(words: Vocabulary) -> tuple[str, Any] | None:
    size = words.item_bytes
    return ("memory peak in numbers", words.peak // size) if size else None


def kept_numbers(words: Vocabulary) -> tuple[str, Any] | None:
    """The numbers that Adam or its kin keeps."""
    if not words.item_bytes or not words.kept or not words.two_averages:
        return None
    return "numbers the optimizer keeps", words.kept // words.item_bytes


def states(words: Vocabulary) -> tuple[str, Any] | None:
    """Weights, gradients and optimizer states together."""
    if not words.program.setting.train:
        return None
    return "weights, gradients and optimizer states", words.states


def beside_states(words: Vocabulary) -> tuple[str, Any] | None:
    """What of the peak is neither weight, gradient nor state."""
    if not words.program.setting.train:
        return None
    rest = words.peak - words.states
    return ("the peak beside weights, gradients and states", rest) if positive(rest) else None


def positive(rest: Any) -> bool:
    """Whether there is a rest; of a formula nobody knows before sizes are known."""
    return isinstance(rest, Spelled) or rest > 0


COUNTS = {
    "memory.states": states,
    "memory.beside_states": beside_states,
    "flops.forward.attention": attention_flops,
    "memory.peak.numbers.infer": peak_to_infer,
    "memory.peak.numbers.train": peak_to_train,
    "memory.peak.optimizer.numbers": kept_numbers,
}


SMALL = 0.01  # of the count
STANDING = {
    "activation": "activations",
    "temporary": "temporaries",
    "optimizer": "optimizer states",
    "gradient": "gradients",
}


def difference(rule: Rule, given: float, count: float, words: Vocabulary) -> str:
    """Why a rule differs from the count, each part worked out from the network."""
    if given == count:
        return "equal"
    parts = list(causes(rule, words))
    if not parts and abs(given - count) < SMALL * abs(count):
        return f"{count - given:+,} of small things it does not name"
    return "; ".join(parts) or f"outside its range: {rule.holds}"


def causes(rule: Rule, words: Vocabulary) -> Iterator[str]:
    """The parts of a difference that the network shows."""
    if rule.beside in ("multiplications.step", "multiplications.backward"):
        yield from multiplication_causes(rule, words)
    elif rule.beside in ("flops.forward", "flops.step") and "parameters" in rule.parameters:
        yield from parameter_causes(rule, words)
    elif rule.beside == "flops.forward.attention":
        yield "softmax, scale and mask are counted too"
    elif rule.beside.startswith("memory.peak"):
        roles = words.answers.memory.by_role()
        for role, plural in STANDING.items():
            if roles.get(role):
                yield f"{plural} at the peak take {Quantity(roles[role], 'B')}"


def multiplication_causes(rule: Rule, words: Vocabulary) -> Iterator[str]:
    why = why_not_twice(words.answers)
    if rule.name == "backward is one forward":
        yield "each product has two gradients, one for each factor"
    if why:
        yield why


def parameter_causes(rule: Rule, words: Vocabulary) -> Iterator[str]:
    """What 2·N or 6·N a token leaves out, and what it counts that does not multiply."""
    phases = ("forward",) if rule.beside == "flops.forward" else words.answers.phases
    each = 2 if rule.beside == "flops.forward" else 6
    kinds = words.answers.here.by_kind("flops", phases)
    products = {"matmul", "attention"}
    if words.looked_up:
        lost = each * words.looked_up * (words.tokens or 0)
        yield f"{words.looked_up:,} parameters are looked up, not multiplied ({signed(-lost)})"
    if "attention" in kinds and "sequence" not in rule.parameters:
        done = at(kinds["attention"].value, words.program.asked)
        yield f"attention is in no parameter ({signed(done)})"
    rest = sum(
        at(total.value, words.program.asked)
        for kind, total in kinds.items()
        if kind not in products
    )
    if rest:
        yield f"norms, activations, the loss and the optimizer ({signed(rest)})"


def signed(value: int) -> str:
    """``+1.2 Tflop``."""
    return f"{'+' if value > 0 else '-'}{Quantity(abs(value), 'flop')}flop"
