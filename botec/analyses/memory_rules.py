"""Rules of thumb about memory beside what is counted of the same thing, with their error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from botec.analyses.count import parameter_count
from botec.analyses.figures import TWO_AVERAGES, Answers
from botec.analyses.memory import Memory, weight_bytes
from botec.analyses.vocabulary import Vocabulary
from botec.poly import at
from botec.program import BIRTH, PHASE, PHASES
from botec.rules.book import Rule
from botec.rules.memory import (
    activations_of_a_block,
    four_times_the_weights,
    sixteen_bytes_a_parameter,
    twice_the_outputs,
    weights_and_a_fifth,
)


@dataclass(frozen=True)
class Compared:
    """A rule's answer in bytes beside the count of what it speaks ``of``."""

    rule: Rule
    given: float
    count: int
    of: str

    @property
    def error(self) -> float:
        """How far the rule is off, as a share of the count."""
        return self.given / self.count - 1


def memory_rules(answers: Answers) -> Iterator[Compared]:
    """The rules that apply to this setting. What a rule leaves out is left out of its count."""
    peak = answers.memory.fullest.bytes
    weights = weight_bytes(answers.program)
    if not answers.program.setting.train:
        yield Compared(weights_and_a_fifth, weights_and_a_fifth(weights), peak, "the peak")
        return
    states = states_of(answers)
    if answers.program.setting.optimizer in TWO_AVERAGES:
        given = four_times_the_weights(weights)
        yield Compared(four_times_the_weights, given, peak, "the peak")
        given = sixteen_bytes_a_parameter(parameter_count(answers.program.parameters))
        of = "weights, gradients and optimizer states"
        yield Compared(sixteen_bytes_a_parameter, given, states, of)
    if peak > states:
        given = twice_the_outputs(1, outputs_of(answers.memory))
        yield Compared(twice_the_outputs, given, peak - states, "the peak beside those")
    yield from block_rule(answers)


def block_rule(answers: Answers) -> Iterator[Compared]:
    """The rule of the transformer block, where every word of it is known of the network."""
    words = Vocabulary(answers)
    values = [words[word] for word in activations_of_a_block.parameters]
    saved = at(answers.memory.saved(), answers.program.asked)
    if saved and all(values):
        given = activations_of_a_block(*values)
        yield Compared(activations_of_a_block, given, saved, "saved for the backward pass")


def states_of(answers: Answers) -> int:
    """Bytes of weights and buffers, of a gradient for each trained weight, and of the optimizer."""
    trained = (one for one in answers.program.parameters if one.trainable)
    gradients = sum(at(one.tensor.bytes, {}) for one in trained)
    memory = answers.memory
    states = sum(
        size
        for storage, size in zip(memory.stream.storages, memory.sizes, strict=True)
        if storage.role == "optimizer"
    )
    return weight_bytes(answers.program) + gradients + states


def outputs_of(memory: Memory) -> int:
    """Bytes of everything an op of the forward pass gives out for the batch."""
    found, forward = 0, False
    for kind, index, _ in memory.stream.events():
        if kind == PHASE:
            forward = index == PHASES.index("forward")
        elif forward and kind == BIRTH and memory.stream.storages[index].name != "workspace":
            found += memory.sizes[index]
    return found
