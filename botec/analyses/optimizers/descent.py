"""Stochastic gradient descent with its momenta, and averaged descent.

Polyak 1964 (heavy ball); Nesterov 1983 in the form of Sutskever et al. 2013, eqs 1-4, rearranged as
torch.optim.SGD computes it: the first step is not dampened, Nesterov's step is g + μ b.
"""

from __future__ import annotations

from typing import Any

from botec.analyses.optimizers.maths import gone, left_after, root, total
from botec.analyses.optimizers.method import Limit, Method, Options, State, coupled


def sgd_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """b ← μ b + (1 - τ) g (b = g at the first step); w ← w - η b, Nesterov w - η (g + μ b)."""
    g = coupled(state, g, o)
    if o.momentum == 0:
        return {"w": state["w"] - o.lr * g}
    b = g if t == 1 else o.momentum * state["b"] + (1 - o.dampening) * g
    step = g + o.momentum * b if o.nesterov else b
    return {"w": state["w"] - o.lr * step, "b": b}


def sgd_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """Under the constant gradient c (geometric sums of Polyak's and Nesterov's rules).

    b = c (μ^(t-1) + (1 - τ) (1 - μ^(t-1))/(1 - μ))
    w = start - η Σ b, Nesterov's start - η (c t + μ Σ b)
    with Σ b = c (S + (1 - τ) (t - S)/(1 - μ)), S = (1 - μ^t)/(1 - μ).
    """
    if o.weight_decay != 0:
        return sgd_decayed(start, c, t, o)
    if o.momentum == 0:
        return {"w": start - o.lr * c * t}
    forgotten, fresh = 1 - o.momentum, 1 - o.dampening
    before = o.momentum ** (t - 1)
    b = c * (before + fresh * (1 - before) / forgotten)
    early = left_after(forgotten, t) / forgotten
    steps = c * (early + fresh * (t - early) / forgotten)
    moved = c * t + o.momentum * steps if o.nesterov else steps
    return {"w": start - o.lr * moved, "b": b}


def sgd_decayed(start: Any, c: Any, t: Any, o: Options) -> State:
    """With coupled decay w swings or slides to -c/λ: w = start - A (1 - r₁^t) - B (1 - r₂^t).

    r = 1 - x; x are the roots of x² - p x + q with q = η λ (1 - τ), p = 1 - μ + q (Nesterov
    p = 1 - μ + q (1 + μ)); A and B meet the first two weights.
    """
    away, first = start + c / o.weight_decay, o.lr * (c + o.weight_decay * start)
    if o.momentum == 0:
        return {"w": start - away * left_after(o.lr * o.weight_decay, t)}
    first = first * (1 + o.momentum) if o.nesterov else first
    slow, fast = rates(o)
    one = (away * fast - first) / (fast - slow)
    two = (first - slow * away) / (fast - slow)

    def at(steps: Any) -> Any:
        return start - real(one * left_after(slow, steps) + two * left_after(fast, steps))

    w = at(t)
    if o.nesterov:
        old = at(t - 1)
        return {"w": w, "b": ((old - w) / o.lr - c - o.weight_decay * old) / o.momentum}
    moved = one * slow * (1 - slow) ** (t - 1) + two * fast * (1 - fast) ** (t - 1)
    return {"w": w, "b": real(moved) / o.lr}


def rates(o: Options) -> tuple[Any, Any]:
    """What the two modes lose at a step, the slower first."""
    q = o.lr * o.weight_decay * (1 - o.dampening)
    p = 1 - o.momentum + (q * (1 + o.momentum) if o.nesterov else q)
    fast = (p + root(p**2 - 4 * q)) / 2
    return q / fast, fast


def real(value: Any) -> Any:
    return value.real if isinstance(value, complex) else value


def sgd_no_form(start: Any, c: Any, o: Options) -> str | None:
    if o.weight_decay and o.momentum and (o.lr == 0 or o.dampening == 1):
        return "nothing decays: a rate of 0 or a dampening of 1"
    if o.weight_decay and o.momentum and len(set(rates(o))) == 1:
        return "both modes decay alike (a double root), where A and B are not defined"
    return None


def gathered(o: Options) -> Any:
    """How much faster than one gradient the momentum becomes."""
    if o.momentum == 0:
        return 1
    return (1 if o.nesterov else 1 - o.dampening) / (1 - o.momentum)


def sgd_speed(c: Any, o: Options) -> Any:
    """η |c| (1 - τ)/(1 - μ), Nesterov η |c|/(1 - μ); 0 with decay."""
    return 0 if o.weight_decay else o.lr * abs(c) * gathered(o)


def sgd_rest(c: Any, o: Options) -> Any:
    return -c / o.weight_decay if o.weight_decay else None


def sgd_noise(c: Any, o: Options) -> Any:
    """Root mean square of a step when gradients are noise of deviation c: a sum of powers of μ."""
    mu = o.momentum
    if mu == 0:
        return o.lr * abs(c)
    if o.nesterov:
        return o.lr * abs(c) * root((1 + mu) ** 2 + mu**4 / (1 - mu**2))
    return o.lr * abs(c) * (1 - o.dampening) / root(1 - mu**2)


def sgd_alternating(c: Any, o: Options) -> Any:
    """Steps when the gradient is c, -c, c, …: η |c| (1 - τ)/(1 + μ), Nesterov (1 + 2μ)/(1 + μ)."""
    mu = o.momentum
    if mu == 0:
        return o.lr * abs(c)
    return o.lr * abs(c) * ((1 + 2 * mu) if o.nesterov else (1 - o.dampening)) / (1 + mu)


def sgd_limit(o: Options) -> Limit:
    """2/η; 2 (1 + μ)/(η (1 - τ)) with momentum; 2 (1 + μ)/((1 + 2μ) η) with Nesterov's.

    Both roots of the characteristic polynomial r² - T r + D stay in the unit circle while
    1 + T + D > 0 (Cohen et al. 2021, appendix B). Coupled decay is curvature like any other.
    """
    mu = o.momentum
    if o.nesterov:
        found, text = 2 * (1 + mu) / ((1 + 2 * mu) * o.lr), "2*(1+momentum)/((1+2*momentum)*lr)"
    elif mu == 0:
        found, text = 2 / o.lr, "2/lr"
    else:
        found = 2 * (1 + mu) / (o.lr * (1 - o.dampening))
        text = "2*(1+momentum)/(lr*(1-dampening))"
    if o.weight_decay:
        return Limit(found - o.weight_decay, f"{text} - weight_decay")
    return Limit(found, text)


def sgd_formula(o: Options) -> str | None:
    if o.weight_decay:
        text = "start - (start+gradient/weight_decay)*(1-(1-lr*weight_decay)**steps)"
        return None if o.momentum else text
    if o.momentum == 0:
        return "start - lr*gradient*steps"
    early = "(1-momentum**steps)/(1-momentum)"
    moved = f"({early} + (1-dampening)*(steps-{early})/(1-momentum))"
    if o.nesterov:
        return f"start - lr*gradient*(steps + momentum*{moved})"
    return f"start - lr*gradient*{moved}"


def sgd_derivation(o: Options) -> tuple[str, ...]:
    if o.weight_decay and o.momentum:
        return DECAYED
    if o.weight_decay:
        return (
            "wₖ = wₖ₋₁ - η (c + λ wₖ₋₁), so wₖ + c/λ = (1 - η λ) (wₖ₋₁ + c/λ)",
            "the distance to -c/λ shrinks by 1 - η λ at each step:",
            "w = w₀ - (w₀ + c/λ) (1 - (1 - η λ)^t)",
        )
    if o.momentum == 0:
        return ("wₖ = wₖ₋₁ - η c at each of t steps:", "w = w₀ - η c t")
    last = "w = w₀ - η (c t + μ Σ bₖ)" if o.nesterov else "w = w₀ - η Σ bₖ"
    return (
        "b₁ = c, and bₖ = μ bₖ₋₁ + (1 - τ) c from the second step on",
        "bₖ = c (μ^(k-1) + (1 - τ) (1 + μ + … + μ^(k-2)))",
        "   = c (μ^(k-1) + (1 - τ) (1 - μ^(k-1))/(1 - μ)), a geometric sum",
        "Σ bₖ over t steps = c (S + (1 - τ) (t - S)/(1 - μ)) with S = (1 - μ^t)/(1 - μ)",
        "without dampening: Σ bₖ = c/(1 - μ) · (t + 1 - (1 - μ^(t+1))/(1 - μ))",
        last,
    )


DECAYED = (
    "uₖ = wₖ + c/λ is the distance to the point of rest -c/λ; the gradient is c + λ wₖ = λ uₖ",
    "heavy ball: uₖ₊₁ = (1 + μ - q) uₖ - μ uₖ₋₁ with q = η λ (1 - τ)",
    "Nesterov:   uₖ₊₁ = (1 + μ) (1 - q) uₖ - μ (1 - q) uₖ₋₁ with q = η λ",
    "uₖ = r^k solves it for both roots r = 1 - x of x² - p x + q = 0, p = 1 - μ + q, "
    "Nesterov p = 1 - μ + q (1 + μ)",
    "A + B = u₀ and A x₁ + B x₂ = u₀ - u₁ (the first step, η λ u₀, Nesterov η λ u₀ (1 + μ))",
    "w = w₀ - A (1 - (1 - x₁)^t) - B (1 - (1 - x₂)^t)",
)

SGD = Method(
    "sgd", "SGD", "SGD",
    "Polyak 1964, Some methods of speeding up the convergence of iteration methods; Sutskever et "
    "al. 2013, On the importance of initialization and momentum in deep learning, eqs 1-4",
    {"lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "nesterov": False, "weight_decay": 0.0},
    kept=lambda o: () if o.momentum == 0 else ("b",),
    rule=sgd_rule, closed=sgd_closed, no_form=sgd_no_form,
    formula=sgd_formula, derivation=sgd_derivation,
    averages=lambda o: {"momentum": o.momentum} if o.momentum else {},
    words={
        "x": "the share of a mode that a step takes away", "r": "the share it leaves, 1 - x",
        "A": "the slower mode at the start", "B": "the faster one",
    },
    speed=sgd_speed, rest=sgd_rest, noise=sgd_noise, alternating=sgd_alternating, limit=sgd_limit,
)  # fmt: skip


def asgd_rate(k: Any, o: Options) -> Any:
    """η/(1 + λₐ η (k - 1))^α at step k: torch computes it at the end of the step before."""
    return o.lr / (1 + o.lambd * o.lr * (k - 1)) ** o.power


def asgd_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """w ← (1 - λₐ ηₖ) w - ηₖ g; the average a ← a + (w - a)/max(1, k - 1 - t₀)."""
    rate = asgd_rate(t, o)
    w = (1 - o.lambd * rate) * state["w"] - rate * coupled(state, g, o)
    late = t - 1 - o.t0 > 1 if isinstance(t, int) else False
    a = state["a"] + (w - state["a"]) / (t - 1 - o.t0) if late else w
    return {"w": w, "a": a}


def asgd_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """w + c/λ' shrinks by 1 - λ' ηₖ at step k, λ' = λₐ + λ (Polyak & Juditsky 1992; Bottou)."""
    decay = o.lambd + o.weight_decay
    if decay == 0:
        w = start - c * total(lambda k: asgd_rate(k, o), t)
    else:
        w = start - (start + c / decay) * gone(lambda k: decay * asgd_rate(k, o), t)
    return {"w": w, "a": w}


def asgd_formula(o: Options) -> str:
    rate = "lr/(1+lambd*lr*(k-1))**power"
    if o.lambd + o.weight_decay == 0:
        return f"start - gradient*sum({rate} for k in range(1, steps+1))"
    decay = "(lambd+weight_decay)"
    left = f"prod(1-{decay}*{rate} for k in range(1, steps+1))"
    return f"start - (start+gradient/{decay})*(1-{left})"


ASGD = Method(
    "asgd", "ASGD", "ASGD",
    "Polyak & Juditsky 1992, Acceleration of stochastic approximation by averaging",
    {"lr": 1e-2, "lambd": 1e-4, "power": 0.75, "t0": 1e6, "weight_decay": 0.0},
    kept=lambda o: ("a",),
    rule=asgd_rule, closed=asgd_closed, formula=asgd_formula,
    derivation=lambda o: (
        "ηₖ = η/(1 + λₐ η (k - 1))^α",
        "wₖ = (1 - λₐ ηₖ) wₖ₋₁ - ηₖ (c + λ wₖ₋₁), so wₖ + c/λ' = (1 - λ' ηₖ) (wₖ₋₁ + c/λ'), "
        "λ' = λₐ + λ",
        "w = w₀ - (w₀ + c/λ') (1 - Π (1 - λ' ηₖ)); the average is w itself until step t₀ + 2",
    ),
    rest=lambda c, o: -c / (o.lambd + o.weight_decay) if o.lambd + o.weight_decay else None,
    speed=lambda c, o: 0 if o.lambd + o.weight_decay else o.lr * abs(c),
    limit=lambda o: Limit(2 / o.lr - o.lambd - o.weight_decay, "2/lr - lambd - weight_decay"),
    notes=("The average begins at step t₀ + 2; until then it is the weight itself.",),
)  # fmt: skip
