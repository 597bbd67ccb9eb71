"""RMSprop, Adagrad and Adadelta: gradients divided by their own size, without bias correction."""

from __future__ import annotations

from typing import Any

from botec.analyses.optimizers.maths import decayed, left_after, root, total
from botec.analyses.optimizers.method import (
    COUPLED,
    Limit,
    Method,
    Options,
    State,
    coupled,
    coupled_has_none,
)

SPAN = "for k in range(1, steps+1)"


def rmsprop_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """v ← α v + (1 - α) g²; s = g/(√v + ε), centered √(v - m²); b ← μ b + s; w ← w - η b."""
    g = coupled(state, g, o)
    found = {"v": o.alpha * state["v"] + (1 - o.alpha) * g**2}
    square = found["v"]
    if o.centered:
        found["m"] = o.alpha * state["m"] + (1 - o.alpha) * g
        square = square - found["m"] ** 2
    step = g / (root(square) + o.eps)
    if o.momentum != 0:
        step = found["b"] = o.momentum * state["b"] + step
    return {"w": state["w"] - o.lr * step, **found}


def rmsprop_step(c: Any, k: Any, o: Options) -> Any:
    """The step in units of η at step k, before momentum: c/(|c| √(1 - α^k) + ε).

    Centered, the deviation is |c| √((1 - α^k) α^k): it falls to 0, and the step grows to c/ε.
    """
    part = left_after(1 - o.alpha, k)
    if o.centered:
        part = part * o.alpha**k
    return c / (abs(c) * root(part) + o.eps)


def rmsprop_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """A finite sum (from Tieleman & Hinton 2012, lecture 6.5, with g = c).

    With momentum step k is taken up again by all later ones: Σ sₖ (1 - μ^(t-k+1))/(1 - μ).
    """
    found = {"v": c**2 * left_after(1 - o.alpha, t)}
    if o.centered:
        found["m"] = c * left_after(1 - o.alpha, t)
    if o.momentum == 0:
        return {"w": start - o.lr * total(lambda k: rmsprop_step(c, k, o), t), **found}
    mu = o.momentum
    found["b"] = decayed(0, lambda k: -rmsprop_step(c, k, o), 1 - mu, t)
    plain = total(lambda k: rmsprop_step(c, k, o), t)
    return {"w": start - o.lr * (plain - mu * found["b"]) / (1 - mu), **found}


def rmsprop_formula(o: Options) -> str:
    part = "(1-alpha**k)*alpha**k" if o.centered else "1-alpha**k"
    later = "*(1-momentum**(steps-k+1))/(1-momentum)" if o.momentum else ""
    step = f"gradient/(abs(gradient)*({part})**0.5+eps){later}"
    return f"start - lr*sum({step} {SPAN})"


def rmsprop_derivation(o: Options) -> tuple[str, ...]:
    lines = ["v = c² (1 - α^k): the average has taken in 1 - α^k of c²; nothing corrects it"]
    if o.centered:
        lines += [
            "m = c (1 - α^k), so v - m² = c² (1 - α^k) α^k",
            "step k: sₖ = c/(|c| √((1 - α^k) α^k) + ε), growing to c/ε",
        ]
    else:
        lines += ["step k: sₖ = c/(|c| √(1 - α^k) + ε), at first 1/√(1 - α) too large"]
    if o.momentum:
        return (*lines, "bₖ = μ bₖ₋₁ + sₖ: w = w₀ - η Σ sₖ (1 - μ^(t-k+1))/(1 - μ)")
    return (*lines, "w = w₀ - η Σ sₖ")


def rmsprop_speed(c: Any, o: Options) -> Any:
    """η/(1 - μ) |c|/(|c| + ε); centered η/(1 - μ) |c|/ε."""
    if o.weight_decay:
        return 0
    below = o.eps if o.centered else abs(c) + o.eps
    return o.lr * abs(c) / below / (1 - o.momentum) if below else None


def rmsprop_noise(c: Any, o: Options) -> Any:
    return o.lr * abs(c) / (abs(c) + o.eps) / root(1 - o.momentum**2)


def rmsprop_alternating(c: Any, o: Options) -> Any:
    """η |c|/(|c| + ε)/(1 + μ)."""
    return None if o.centered else o.lr * abs(c) / (abs(c) + o.eps) / (1 + o.momentum)


def rmsprop_limit(o: Options) -> Limit:
    """h/(√v + ε) < 2 (1 + μ)/η: the heavy ball's, divided."""
    found = 2 * (1 + o.momentum) / o.lr
    return Limit(found, "2*(1+momentum)/lr", found * o.eps - o.weight_decay, divided=True)


CENTERED = (
    "Centered: under a constant gradient the deviation falls to 0, so the step grows until ε stops "
    "it at c/ε. In floating point v - m² then loses all its digits (it may fall below 0)."
)


def rmsprop_no_form(start: Any, c: Any, o: Options) -> str | None:
    return COUPLED if o.weight_decay else None


RMSPROP = Method(
    "rmsprop", "RMSprop", "RMSprop",
    "Tieleman & Hinton 2012, Neural networks for machine learning, lecture 6.5; Graves 2013, "
    "Generating sequences with recurrent neural networks, eqs 38-45 (centered)",
    {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0,
     "centered": False},
    kept=lambda o: ("v", *(["m"] if o.centered else []), *(["b"] if o.momentum else [])),
    rule=rmsprop_rule, closed=rmsprop_closed, no_form=rmsprop_no_form,
    formula=rmsprop_formula, derivation=rmsprop_derivation,
    averages=lambda o: {"alpha": o.alpha, **({"momentum": o.momentum} if o.momentum else {})},
    speed=rmsprop_speed, noise=rmsprop_noise, alternating=rmsprop_alternating, limit=rmsprop_limit,
    rest=lambda c, o: -c / o.weight_decay if o.weight_decay else None,
    notes=(CENTERED,),
)  # fmt: skip


def adagrad_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """s ← s + g²; w ← w - η/(1 + (t - 1) γ) g/(√s + ε)."""
    g = coupled(state, g, o)
    s = state["s"] + g**2
    rate = o.lr / (1 + (t - 1) * o.lr_decay)
    return {"w": state["w"] - rate * g / (root(s) + o.eps), "s": s}


def adagrad_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """A finite sum (Duchi et al. 2011, eq. 1 with diagonal G, g = c); about -2η √t for large t."""

    def step(k: Any) -> Any:
        size = root(o.initial_accumulator_value + k * c**2) + o.eps
        return c / (1 + (k - 1) * o.lr_decay) / size

    w = start - o.lr * total(step, t)
    return {"w": w, "s": o.initial_accumulator_value + t * c**2}


ADAGRAD_STEP = "gradient/(1+(k-1)*lr_decay)/((initial_accumulator_value+k*gradient**2)**0.5+eps)"
ADAGRAD = Method(
    "adagrad", "Adagrad", "Adagrad",
    "Duchi, Hazan & Singer 2011, Adaptive subgradient methods for online learning, eq. 1",
    {"lr": 1e-2, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0,
     "eps": 1e-10},
    kept=lambda o: ("s",), words={"s": "the sum of the squares"},
    begin={"s": lambda o: o.initial_accumulator_value},
    rule=adagrad_rule, closed=adagrad_closed, no_form=coupled_has_none,
    formula=lambda o: f"start - lr*sum({ADAGRAD_STEP} {SPAN})",
    derivation=lambda o: (
        "s = s₀ + k c²: one square more at each step",
        "step k: η/(1 + (k - 1) γ) c/(√(s₀ + k c²) + ε)",
        "w = w₀ - Σ stepₖ; with s₀ = γ = ε = 0, w = w₀ - η sign(c) (1 + 1/√2 + … + 1/√t), "
        "which is 2√t - 1.46 + 1/(2√t) steps of η",
    ),
    speed=lambda c, o: 0,
    rest=lambda c, o: -c / o.weight_decay if o.weight_decay else None,
    limit=lambda o: Limit(
        None, "", None, "the sum it divides by only grows, so every bowl becomes stable in time"
    ),
    notes=("Its steps shrink as 1/√t for ever: there is no steady speed but 0.",),
)  # fmt: skip


def adadelta_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """v ← ρ v + (1 - ρ) g²; δ = g √(u + ε)/√(v + ε); u ← ρ u + (1 - ρ) δ²; w ← w - η δ."""
    g = coupled(state, g, o)
    v = o.rho * state["v"] + (1 - o.rho) * g**2
    move = g * root(state["u"] + o.eps) / root(v + o.eps)
    u = o.rho * state["u"] + (1 - o.rho) * move**2
    return {"w": state["w"] - o.lr * move, "v": v, "u": u}


def adadelta_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """Only v has a closed form, c² (1 - ρ^t) (Zeiler 2012, algorithm 1, with g = c)."""
    return {"v": c**2 * left_after(1 - o.rho, t)}


def adadelta_limit(o: Options) -> Limit:
    """2/η: near the minimum √(u + ε)/√(v + ε) goes to 1, whatever ε. Coupled decay is curvature."""
    if o.weight_decay:
        return Limit(2 / o.lr - o.weight_decay, "2/lr - weight_decay")
    return Limit(2 / o.lr, "2/lr")


ADADELTA = Method(
    "adadelta", "Adadelta", "Adadelta",
    "Zeiler 2012, Adadelta: an adaptive learning rate method, algorithm 1",
    {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0},
    kept=lambda o: ("v", "u"), rule=adadelta_rule, closed=adadelta_closed,
    no_form=lambda start, c, o: (
        "each step divides the last steps' average by the gradients', a product that does not sum"
    ),
    formula=lambda o: None,
    derivation=lambda o: (
        "v = c² (1 - ρ^t); step k: δₖ = c √(uₖ₋₁ + ε)/√(vₖ + ε)",
        "with y = u + ε and a = c²/(c² + ε) once v = c²: yₖ = (ρ + (1 - ρ) a) yₖ₋₁ + (1 - ρ) ε",
        "y grows by (1 - ρ) ε at a step at first, and comes to c² + ε, where δ = c",
        "so in the very end a step is η c, plain descent; the way there takes about "
        "(c² + ε)/((1 - ρ) ε) steps",
    ),
    averages=lambda o: {"rho": o.rho},
    words={"u": "the average of the squares of the steps δ"},
    speed=lambda c, o: 0 if o.weight_decay else o.lr * abs(c),
    rest=lambda c, o: -c / o.weight_decay if o.weight_decay else None,
    limit=adadelta_limit,
    notes=("Its first steps are η √(ε/(1 - ρ)) whatever the gradient, and grow until they are as "
           "large as the gradient itself: it depends on the scale.",
           "Near a minimum both averages go to 0 and their ratio to 1: it becomes plain descent.",),
)  # fmt: skip
