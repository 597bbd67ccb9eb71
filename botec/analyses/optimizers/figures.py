"""The figures of an optimizer: what it keeps, where it leads, how fast, how it takes to change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botec.analyses.optimizers.method import MEANINGS
from botec.analyses.optimizers.path import (
    Way,
    alternating_by_running,
    exponent,
    noise_by_running,
    sizes,
)
from botec.errors import BadInput
from botec.report import Counted, Figure, Measured

#: Closed forms and the real optimizer differ by rounding alone: 1,000 steps, each half a last digit
#: of float64 (1.1e-16), and a cancellation of two digits at most. A rule that is run step by step
#: repeats the same arithmetic, in another order. Of more than 9,000 updates the roundings alone may
#: be more, as they are all to one side where a step is small beside its weight.
TOLERANCE, ROUNDING = 1e-12, 2.0**-53
STATES = {
    "m": "average of the gradients, m",
    "v": "average of their squares, v",
    "v_max": "largest v so far",
    "m_hat": "m corrected, m̂",
    "v_hat": "v corrected, v̂",
    "b": "momentum, b",
    "u": "second state, u",
    "s": "sum of the squares, s",
    "g": "last gradient, g",
    "size": "size of the step, Δ",
    "a": "average of the weights, a",
    "d": "last direction, d",
    "pair s": "the way of an iteration, s",
    "pair y": "the change of the gradient along it, y",
}
RUN_STEPS, SETTLING = 2000, 20_000


def figures(way: Way) -> dict[str, Figure]:
    """Every figure of one optimizer on its way, by key, in reading order."""
    made = (state_figures(way), way_figures(way), speed_figures(way), answer_figures(way))
    found = [figure for part in made for figure in part]
    return {figure.key: figure for figure in found}


def exact(key: str, title: str, value: Any, formula: str | None = None, **more: Any) -> Figure:
    """A figure that a formula gives."""
    why = more.pop("why", None)
    counted = Counted(value, formula, more.pop("status", "exact"), {}, why)
    return Figure(f"optimizer.{key}", title, "1", counted)


def belongs(key: str, name: str) -> bool:
    """Whether a key is that of ``name`` or stands under it."""
    return key == f"optimizer.{name}" or key.startswith(f"optimizer.{name}.")


def state_figures(way: Way) -> Iterator[Figure]:
    kept, grown = len(way.method.kept(way.options)), way.method.grown(way.options)
    most = ", at most" if grown else ""
    yield exact("state", f"values kept for each parameter{most}", kept, str(kept))
    for steps, then in grown.items():
        word = "step" if steps == 1 else "steps"
        yield exact(f"state.after.{steps}", f"after {steps:,} {word}", then, str(then))
    stored = Counted(4 * kept, str(4 * kept), "exact")
    yield Figure("optimizer.state.bytes", "in float32, for each parameter", "B", stored)


def way_figures(way: Way) -> Iterator[Figure]:
    """The weight and its state after all steps."""
    state = way.at(way.steps)
    formula = None if way.reason else way.method.formula(way.options)
    why = f"{way.reason}; the update rule was run" if way.reason else None
    if not why and not formula:
        why = "it has several cases, which stand in the derivation"
    status = "complete" if way.reason else "exact"
    title = f"weight after {way.steps:,} steps"
    yield exact("w", title, state["w"], formula, why=why, status=status)
    shown = way.method.shown(state, way.steps, way.options)
    for name, value in {**state, **shown}.items():
        if name in STATES:
            yield exact(name, STATES[name], value, status=status)


def speed_figures(way: Way) -> Iterator[Figure]:
    """The first step and the last, the steady one and when it is reached, and the rest."""
    yield exact("step.first", "size of the first step", way.moved(1))
    yield exact("step.last", "size of the last step", way.moved(way.steps))
    if way.method.speed:
        speed = way.method.speed(way.gradient, way.options)
        yield exact("speed", "steady speed: a step after infinitely many", speed)
        reached = steps_to(way, speed) if speed else None
        if reached:
            yield exact("speed.reached", "steps until it stays within 1 %", reached)
    rest = way.method.rest(way.gradient, way.options) if way.method.rest else None
    if rest is not None:
        yield exact("rest", "where the weight comes to rest", rest)
    for name, kept in way.method.averages(way.options).items():
        symbol = MEANINGS[name].symbol
        half, nearly = (steps_for(kept, share) for share in (0.5, 0.99))
        yield exact(
            f"halflife.{name}", f"half-life of {symbol}, steps", half, f"log(1/2)/log({name})"
        )
        text = f"ceil(log(1/100)/log({name}))"
        yield exact(f"settled.{name}", f"steps until {symbol} has taken in 99 %", nearly, text)


def steps_for(kept: float, share: float) -> float:
    """Steps until an average has taken in ``share`` of a constant; whole for all but the half."""
    if not kept:
        return 1
    steps = math.log(1 - share) / math.log(kept)
    return steps if share == 0.5 else math.ceil(steps)


def steps_to(way: Way, speed: float) -> int | None:
    """The first step from which on all are within 1 % of the steady speed, within the run."""
    most = SETTLING // way.rounds
    taken = sizes(way.method, way.options, [way.gradient] * most)
    far = [k for k, step in enumerate(taken, 1) if abs(abs(step) - speed) > 0.01 * speed]
    reached = far[-1] + 1 if far else 1
    return reached if reached <= most else None


def answer_figures(way: Way) -> Iterator[Figure]:
    """How it takes the gradient's size, noise, a changing sign, and curvature."""
    power = exponent(way)
    yield exact(
        "scale.exponent", "the way grows as |gradient| to the power", power, status="estimate"
    )
    half = half_speed(way)
    if half is not None:
        yield exact("scale.half", "gradient at which it has half its speed", half[0], half[1])
    yield rooted(way, "noise", "step, root mean square, when gradients are noise")
    yield rooted(way, "alternating", "step when the gradient changes sign each time")
    if way.method.limit:
        limit = way.method.limit(way.options)
        title = "stable while curvature is below"
        if limit.divided:
            title = "stable while curvature over its divisor is below"
        value = math.inf if limit.value is None else limit.value
        yield exact("stability", title, value, limit.formula or None, why=limit.why)
        if limit.divided:
            yield exact("stability.rest", "at the minimum itself, curvature below", limit.at_rest)
    if {"beta1", "beta2"} <= set(way.method.options) and way.method.name != "lion":
        yield from uncorrected(way)


def half_speed(way: Way) -> tuple[float, str] | None:
    """The gradient at which ε takes half of the speed."""
    o = way.options
    limit = way.method.limit(o) if way.method.limit else None
    if not limit or not limit.divided or getattr(o, "centered", False) or o.weight_decay:
        return None
    if getattr(o, "eps_place", "") == "inside":
        return math.sqrt(o.eps / 3), "(eps/3)**0.5"
    return o.eps, "eps"


def rooted(way: Way, key: str, title: str) -> Figure:
    """The answer by its formula, or by running the rule."""
    formula = getattr(way.method, key)
    value = formula(way.gradient, way.options) if formula else None
    if value is not None:
        # Where a method divides, its divisor still trembles: the formula takes it as settled.
        settled = bool(way.method.limit and way.method.limit(way.options).divided)
        status = "estimate" if key == "noise" and settled else "exact"
        return exact(key, title, value, status=status)
    run = noise_by_running if key == "noise" else alternating_by_running
    value = run(way.method, way.options, abs(way.gradient), RUN_STEPS)
    why = f"{RUN_STEPS:,} steps of the update rule were run"
    return exact(key, title, value, status="estimate", why=why)


def uncorrected(way: Way) -> Iterator[Figure]:
    """How large Adam's step would be at most without bias correction, in units of η."""
    if way.method.name == "adamax":
        return
    largest, at = max((raw(way.options, t), -t) for t in range(1, 5001))
    text = "(1-beta1**k)/(1-beta2**k)**0.5"
    yield exact("uncorrected", "largest step without bias correction, over η", largest, text)
    yield exact("uncorrected.at", "at step", -at)


def raw(o: Any, t: int) -> float:
    """The step over η without bias correction: (1 - β₁^t)/√(1 - β₂^t)."""
    return float((1 - o.beta1**t) / math.sqrt(1 - o.beta2**t))


def judged(
    way: Way,
    found: Mapping[str, Figure],
    path: Sequence[Mapping[str, float]],
    kept: Sequence[float],
    how: str,
) -> dict[str, Figure]:
    """``found`` with what the real one ``kept`` after each step and where its ``path`` led."""
    from dataclasses import replace

    measured = {f"state.after.{steps}": values for steps, values in enumerate(kept, 1)}
    if len(kept) >= max(way.method.grown(way.options), default=1):
        measured["state"] = kept[-1]
    measured |= {"step.first": abs(path[1]["w"] - path[0]["w"])}
    measured |= {"step.last": abs(path[-1]["w"] - path[-2]["w"]), **path[-1]}
    filled = dict(found)
    for name, value in measured.items():
        key = f"optimizer.{name}"
        if key in filled:
            filled[key] = replace(filled[key], measured=Measured(value, how))
    error = Measured(largest_error(way, path), how)
    title = "largest relative error on the way"
    filled["optimizer.error"] = Figure("optimizer.error", title, "1", measured=error)
    return filled


def largest_error(way: Way, path: Sequence[Mapping[str, float]]) -> float:
    """Of the weight and its state at some steps, relative to the largest of each till then."""
    worst, largest = 0.0, dict.fromkeys(path[-1], 0.0)
    for steps in looked_at(len(path) - 1):
        real, state = path[steps], way.at(steps)
        for name in real.keys() & state.keys():
            if not math.isfinite(real[name]):
                raise BadInput(
                    f"the real {name} is not finite after {steps} steps", "ask for fewer"
                )
            largest[name] = max(largest[name], abs(real[name]))
            if largest[name]:
                worst = max(worst, abs(state[name] - real[name]) / largest[name])
    return worst


def looked_at(steps: int) -> list[int]:
    """The first twenty steps, the last, and a hundred between, ever farther apart."""
    return sorted({*range(1, min(steps, 20) + 1), *(round(steps ** (k / 100)) for k in range(101))})


def disagreements(found: Mapping[str, Figure], updates: int = 0) -> tuple[str, ...]:
    """Why the answer is no: after so many updates the closed form and the real optimizer part."""
    figure = found.get("optimizer.error")
    error = figure.measured.value if figure and figure.measured else 0.0
    wrong, most = [], max(TOLERANCE, updates * ROUNDING)
    if error > most:
        seen = f"the way differs from the real optimizer's by {error:.1e}"
        wrong.append(f"{seen}, more than {most:.2g}")
    for key, state in found.items():
        if not belongs(key, "state") or not state.measured or not state.counted:
            continue
        if state.measured.value != state.counted.value:
            wrong.append(f"it keeps {state.measured.value:g} values, not {state.counted.value}")
    return tuple(wrong)
