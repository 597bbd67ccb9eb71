"""L-BFGS without a line search, as torch.optim runs it: what it does to one weight.

A step is up to N iterations, each with a gradient of its own. Here all gradients of one step are
equal: the loss is a line while the step lasts. Of one weight, two gradients and the way between
them fix the curvature, so the direction is the secant's whatever else is remembered.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from botec.analyses.optimizers.maths import smaller
from botec.analyses.optimizers.method import Limit, Method, Options, State

LEAST_PAIR = 1e-10  # torch keeps a pair whose product s y is above this


def lbfgs_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """At most N times: d = -g s/y of the last pair (at first -g); w ← w + η d.

    A pair is s = the last iteration's way, y = the change of the gradient, kept where s y > 1e-10.
    """
    if abs(g) <= o.tolerance_grad:
        return state
    for _ in range(rounds(o)):
        state = iterated(state, g, o)
        if state["stopped"]:
            break
    return state


def rounds(o: Options) -> int:
    """The iterations of a step: torch ends it at 5 N/4 gradients too, sooner for N of 2 and 3."""
    most = int(o.max_iter)
    return min(most, max(1, most * 5 // 4 - 1))


def iterated(state: State, g: Any, o: Options) -> State:
    """One iteration; ``stopped`` where its way, or the loss's fall along it, is too small."""
    bend, length = state["bend"], o.lr
    if state["iterations"] == 0:
        length = o.lr * smaller(1, 1 / abs(g))
    else:
        y, s = g - state["g"], state["d"] * state["length"]
        bend = s / y if y * s > LEAST_PAIR else bend
    d = -g * bend
    found = {"g": g, "d": d, "length": length, "bend": bend, "iterations": state["iterations"] + 1}
    if -g * d < o.tolerance_change:
        return {**found, "w": state["w"], "stopped": True}
    way = abs(length * d)
    stopped = way <= o.tolerance_change or way * abs(g) < o.tolerance_change
    return {**found, "w": state["w"] + length * d, "stopped": bool(stopped)}


def lbfgs_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """No pair is ever kept: w = start - η c (min(1, 1/|c|) + n - 1) after n iterations.

    (Nocedal & Wright 2006, algorithm 7.4 with no pair; the first length is torch.optim's.)
    n is N t; a step ends after one iteration where that moves, or lowers the loss, by less than δ₂.
    """
    if abs(c) <= o.tolerance_grad:
        return {"w": start, "iterations": 0}
    found = {"g": c, "d": -c, "bend": 1}
    if c**2 < o.tolerance_change:
        return {**found, "w": start, "iterations": t}
    first = smaller(1, 1 / abs(c))
    count = iterations(first, c, o) + (t - 1) * iterations(1, c, o)
    return {**found, "w": start - o.lr * c * (first + count - 1), "iterations": count}


def iterations(length: Any, c: Any, o: Options) -> int:
    """How many a step takes whose first is ``length`` times η long."""
    way = o.lr * length * abs(c)
    short = way <= o.tolerance_change or way * abs(c) < o.tolerance_change
    return 1 if short else rounds(o)


def lbfgs_speed(c: Any, o: Options) -> Any:
    """N η |c|, η |c| where a step ends after one iteration, 0 where it does not move."""
    if abs(c) <= o.tolerance_grad or c**2 < o.tolerance_change:
        return 0
    return o.lr * abs(c) * iterations(1, c, o)


def kept_after(steps: int, o: Options) -> int:
    """g, d and two more for each pair: every iteration but the first may keep one, H at most."""
    return 2 + 2 * min(steps * rounds(o) - 1, o.history_size)


def grown(o: Options) -> dict[int, int]:
    """Values kept after 1, 2, 5, 10, … steps, until no more are kept."""
    full = ceil((o.history_size + 1) / rounds(o))
    stops = {n * 10**p for p in range(10) for n in (1, 2, 5)}
    return {steps: kept_after(steps, o) for steps in sorted({*stops, full}) if steps <= full}


def lbfgs_limit(o: Options) -> Limit:
    """The secant of a parabola is exact: w ← (1 - η) w from the second iteration on."""
    if o.lr >= 2:
        return Limit(0, "", 0, f"{MEASURES}, and a rate of 2 or more overshoots")
    return Limit(None, "", None, f"{MEASURES}: every iteration but the first makes w (1 - η) w")


MEASURES = "it measures the curvature itself"
LBFGS = Method(
    "lbfgs", "L-BFGS", "LBFGS",
    "Nocedal 1980, Updating quasi-Newton matrices with limited storage; Nocedal & Wright 2006, "
    "Numerical optimization, algorithms 7.4 and 7.5, as torch.optim.LBFGS runs them without a line "
    "search",
    {"lr": 1.0, "max_iter": 20, "history_size": 100, "tolerance_grad": 1e-7,
     "tolerance_change": 1e-9},
    kept=lambda o: ("g", "d", *("pair s", "pair y") * o.history_size), grown=grown,
    begin={"iterations": 0, "bend": 1, "length": 0, "stopped": False},
    rule=lbfgs_rule, closed=lbfgs_closed, formula=lambda o: None,
    derivation=lambda o: (
        "y = gₖ - gₖ₋₁ = c - c = 0, so s y = 0: no pair is kept, and every direction is d = -c",
        "the first iteration goes η min(1, 1/|c|) c, every later one η c",
        "a step is N iterations (one less where N is 2 or 3), t steps are N t:",
        "w = w₀ - η c (min(1, 1/|c|) + N t - 1)",
        "where |c| ≤ δ₁, or c² < δ₂, it does not move",
        "where η |c| ≤ δ₂ or η c² < δ₂, a step ends after one iteration: w = w₀ - η c t for "
        "|c| ≤ 1",
    ),
    words={"d": "the direction", "s": "the way of the last iteration",
           "y": "how the gradient changed along it", "g": "a gradient",
           "k": "the number of an iteration"},
    speed=lbfgs_speed, limit=lbfgs_limit,
    notes=("A step asks for the loss and its gradient again at each of its iterations. What is "
           "said of changing gradients takes all those of one step as equal.",
           "It keeps pairs only while gradients change: under a constant one it keeps 2 values, "
           "in training all of them. Beside them stand 2 numbers for each pair, whatever the "
           "size of the model.",
           "The pairs make one direction for all parameters together; in what is said here, "
           "there is one.",),
)  # fmt: skip
