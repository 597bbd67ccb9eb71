"""The way of a weight: by its closed form, or by running the update rule on plain numbers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botec.analyses.optimizers.method import Method, Options, State
from botec.errors import BadInput

SEED, SETTLED, MOST_RUN = 0, 0.99, 200_000


@dataclass(frozen=True)
class Way:
    """One optimizer with its options from ``start`` under a constant ``gradient`` for ``steps``."""

    method: Method
    options: Options
    gradient: float
    steps: int
    start: float = 0.0

    @cached_property
    def reason(self) -> str | None:
        """Why there is no closed form here, ``None`` where there is one."""
        return self.method.no_form(self.start, self.gradient, self.options)

    @property
    def rounds(self) -> int:
        """How often a step changes the weight at most: it may be several iterations."""
        return int(getattr(self.options, "max_iter", 1))

    @property
    def updates(self) -> int:
        """How often the weight is changed at most."""
        return self.steps * self.rounds

    def at(self, steps: int) -> State:
        """The state after so many steps."""
        if steps == 0:
            return self.method.begun(self.start, self.options)
        if self.reason is None:
            return self.method.closed(self.start, self.gradient, steps, self.options)
        return self.ran[steps]

    @cached_property
    def ran(self) -> list[State]:
        """The states of every step, by the update rule."""
        if self.steps > MOST_RUN:
            do = f"ask for at most {MOST_RUN} steps"
            raise BadInput(f"no closed form: {self.reason}, and every step would be run", do)
        begun = self.method.begun(self.start, self.options)
        gradients = [self.gradient] * self.steps
        return [begun, *run(self.method, self.options, begun, gradients)]

    def moved(self, steps: int) -> float:
        """The size of step number ``steps``."""
        return abs(self.at(steps)["w"] - self.at(steps - 1)["w"])


def run(
    method: Method, options: Options, state: State, gradients: Iterable[float], done: int = 0
) -> Iterator[State]:
    """The state after each of ``gradients``; ``done`` steps were taken before."""
    for number, gradient in enumerate(gradients, done + 1):
        try:
            state = method.rule(state, float(gradient), number, options)
        except (ZeroDivisionError, OverflowError) as error:
            seen = f"step {number} has no value ({error})"
            raise BadInput(seen, "give an eps above 0, or a smaller rate") from None
        yield state


def sizes(method: Method, options: Options, gradients: Iterable[float]) -> list[float]:
    """The sizes of the steps under these gradients, from 0."""
    found, last = [], 0.0
    for state in run(method, options, method.begun(0.0, options), gradients):
        found.append(state["w"] - last)
        last = state["w"]
    return found


def noise_by_running(method: Method, options: Options, deviation: float, steps: int) -> float:
    """Root mean square of the last half of the steps under Gaussian noise."""
    draw = random.Random(SEED)
    taken = sizes(method, options, (draw.gauss(0, deviation) for _ in range(steps)))
    late = taken[steps // 2 :]
    return float(sum(step * step for step in late) / len(late)) ** 0.5


def alternating_by_running(method: Method, options: Options, size: float, steps: int) -> float:
    """The last step's size when the gradient is c, -c, c, …."""
    return abs(sizes(method, options, (size if k % 2 == 0 else -size for k in range(steps)))[-1])


@dataclass(frozen=True)
class Change:
    """What a jump of the gradient from c to ``factor`` c does, after so many steps at c.

    Step sizes are signed along the old direction: ``before``, the ``largest`` of those after it and
    its number, the last one (``settled``), the number of the first step within 1 % of that, and the
    way ``coasted`` in the old direction after the jump.
    """

    factor: float
    before: float
    largest: float
    at: int
    settled: float
    within: int | None
    coasted: float


def change(way: Way, factor: float, warm: int, after: int) -> Change:
    """Run ``warm`` steps at the gradient, then ``after`` at ``factor`` times it."""
    c = way.gradient
    taken = sizes(way.method, way.options, [c] * warm + [factor * c] * after)
    along = -1 if c > 0 else 1
    before, later = along * taken[warm - 1], [along * step for step in taken[warm:]]
    place = max(range(after), key=lambda k: abs(later[k]))
    last = later[-1]
    near = [k for k, step in enumerate(later, 1) if abs(step - last) > 0.01 * abs(last)]
    within = (near[-1] + 1 if near else 1) if last and (not near or near[-1] < after) else None
    coasted = 0.0
    for step in later:
        if step <= 0:
            break
        coasted += step
    return Change(factor, before, later[place], place + 1, last, within, coasted)


def exponent(way: Way, factor: float = 1.001) -> Any:
    """How the way depends on the gradient's size: w - start goes as |c| to this power, near c."""
    from math import log

    def length(gradient: float) -> float:
        other = Way(way.method, way.options, gradient, way.steps, way.start)
        return abs(other.at(way.steps)["w"] - way.start)

    low, high = length(way.gradient / factor), length(way.gradient * factor)
    return log(high / low) / (2 * log(factor)) if low and high else None
