"""NAdam, RAdam and Adamax: Adam's averages, other steps."""

from __future__ import annotations

from typing import Any

from botec.analyses.optimizers.adam import (
    adam_alternating,
    adam_noise,
    adam_rest,
    adam_speed,
    averaged,
    averages,
    both_averages,
    corrected,
    full,
)
from botec.analyses.optimizers.maths import (
    choose,
    decayed,
    drift,
    larger,
    left_after,
    product,
    root,
)
from botec.analyses.optimizers.method import (
    Limit,
    Method,
    Options,
    State,
    coupled,
    coupled_has_none,
    decay_of,
    shrunk,
)

DEFAULTS = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "decoupled": False}
KEPT = "start*(1-lr*weight_decay)**steps"
EACH = "(1-lr*weight_decay)**(steps-k)"
SPAN = "for k in range(1, steps+1)"


def momentum_at(k: Any, o: Options) -> Any:
    """μₖ = β₁ (1 - ½ 0.96^(k ψ)) (Dozat 2016, section 3)."""
    return o.beta1 * (1 - (0.96 ** (k * o.momentum_decay)) / 2)


def nadam_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """w ← w - η ((1 - μₜ) g/(1 - Πμ) + μₜ₊₁ m/(1 - Πμ μₜ₊₁))/(√v̂ + ε)."""
    g = coupled(state, g, o)
    found = averaged(state, g, o)
    now, after = momentum_at(t, o), momentum_at(t + 1, o)
    through = state["through"] * now
    top = g * (1 - now) / (1 - through) + found["m"] * after / (1 - through * after)
    below = root(found["v"] / left_after(1 - o.beta2, t)) + o.eps
    return {"w": shrunk(state, o) - o.lr * top / below, **found, "through": through}


def nadam_step(c: Any, k: Any, o: Options, through: Any) -> Any:
    """The step in units of η at step k, with g = c, m = c (1 - β₁^k), v̂ = c²."""
    now, after = momentum_at(k, o), momentum_at(k + 1, o)
    ahead = after * left_after(1 - o.beta1, k) / (1 - through * after)
    return c * ((1 - now) / (1 - through) + ahead) / (abs(c) + o.eps)


def nadam_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """A finite sum of steps (from Dozat 2016, algorithm 2, with g = c)."""

    def through(k: Any) -> Any:
        return product(lambda j: momentum_at(j, o), k)

    products: dict[Any, Any] = {}

    def step(k: Any) -> Any:
        # Each product from the one before it: t steps take t multiplications.
        if k - 1 in products:
            products[k] = products[k - 1] * momentum_at(k, o)
        else:
            products[k] = through(k)
        return o.lr * nadam_step(c, k, o, products[k])

    w = decayed(start, step, decay_of(o), t)
    return {"w": w, **both_averages(c, t, o), "through": through(t)}


def nadam_noise(c: Any, o: Options) -> Any:
    """Once μ has come to β₁ the step is (1 - β) g + β m: a sum of powers of β = β₁."""
    b = o.beta1
    return full(c, o) * (1 - b) * root((1 + b) ** 2 + b**4 / (1 - b**2))


def nadam_alternating(c: Any, o: Options) -> Any:
    b = o.beta1
    return full(c, o) * (1 - b) * (1 + 2 * b) / (1 + b)


def nadam_limit(o: Options) -> Limit:
    """Nesterov's limit for averages: h/(√v̂ + ε) < (2 + 2β₁)/((1 - β₁)(1 + 2β₁) η)."""
    found = (2 + 2 * o.beta1) / ((1 - o.beta1) * (1 + 2 * o.beta1) * o.lr)
    why = "without weight decay; once the momentum has come to its full size"
    text = "(2+2*beta1)/((1-beta1)*(1+2*beta1)*lr)"
    return Limit(found, text, found * o.eps, why, divided=True)


MU = "(beta1*(1-0.96**({}*momentum_decay)/2))"
THROUGH = f"prod({MU.format('j')} for j in range(1, k+1))"
NADAM_STEP = (
    f"lr*gradient/(abs(gradient)+eps)*((1-{MU.format('k')})/(1-{THROUGH})"
    f" + {MU.format('(k+1)')}*(1-beta1**k)/(1-{THROUGH}*{MU.format('(k+1)')}))"
)


def summed(step: str) -> Any:
    """The formula of a weight whose steps differ."""

    def formula(o: Options) -> str:
        if decay_of(o):
            return f"{KEPT} - sum({EACH}*{step} {SPAN})"
        return f"start - sum({step} {SPAN})"

    return formula


NADAM = Method(
    "nadam", "NAdam", "NAdam", "Dozat 2016, Incorporating Nesterov momentum into Adam, algorithm 2",
    {"lr": 2e-3, **DEFAULTS, "momentum_decay": 4e-3},
    kept=lambda o: ("m", "v"), begin={"through": 1},
    rule=nadam_rule, closed=nadam_closed, formula=summed(NADAM_STEP), no_form=coupled_has_none,
    derivation=lambda o: (
        "μₖ = β₁ (1 - ½ 0.96^(k ψ)), Πₖ = μ₁ μ₂ … μₖ",
        "m = c (1 - β₁^k) and v̂ = c² as for Adam",
        "step k: η sₖ = η c/(|c| + ε) · ((1 - μₖ)/(1 - Πₖ) + μₖ₊₁ (1 - β₁^k)/(1 - Πₖ μₖ₊₁))",
        "w = d^t w₀ - η Σ d^(t-k) sₖ, d = 1 - η λ where decay is decoupled, else 1",
        "k → ∞: μ → β₁ and Π → 0, so sₖ → c/(|c| + ε), Adam's",
    ),
    averages=averages, shown=lambda s, t, o: corrected(s, t, o),
    speed=lambda c, o: adam_speed(c, o), rest=lambda c, o: adam_rest(c, o),
    noise=nadam_noise, alternating=nadam_alternating, limit=nadam_limit,
)  # fmt: skip


def rectified(k: Any, o: Options) -> tuple[Any, Any]:
    """ρₖ and the factor rₖ (Liu et al. 2020, algorithm 2); ρ∞ = 2/(1 - β₂) - 1."""
    most = 2 / (1 - o.beta2) - 1
    # Rounded as the framework rounds it: the difference is small and magnifies the last digit.
    length = most - 2 * k * o.beta2**k / (1 - o.beta2**k)
    return length, (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)


def radam_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """w ← w - η m̂ while ρₜ ≤ 5, then w ← w - η rₜ m̂ √(1 - β₂^t)/(√v + ε)."""
    found = averaged(state, coupled(state, g, o), o)
    m_hat = found["m"] / left_after(1 - o.beta1, t)
    length, square = rectified(t, o)

    def scaled() -> Any:
        part = root(left_after(1 - o.beta2, t))
        return m_hat * root(square) * part / (root(found["v"]) + o.eps)

    w = shrunk(state, o) - o.lr * choose(length <= 5, m_hat, scaled)
    return {"w": w, **found}


def radam_step(c: Any, k: Any, o: Options) -> Any:
    """The step in units of η at step k: c itself, then rₖ c pₖ/(|c| pₖ + ε), pₖ = √(1 - β₂^k)."""
    length, square = rectified(k, o)

    def scaled() -> Any:
        part = root(left_after(1 - o.beta2, k))
        return c * root(square) * part / (abs(c) * part + o.eps)

    return choose(length <= 5, c, scaled)


def radam_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """A finite sum of steps (from Liu et al. 2020, algorithm 2, with g = c)."""
    w = decayed(start, lambda k: o.lr * radam_step(c, k, o), decay_of(o), t)
    return {"w": w, **both_averages(c, t, o)}


LENGTH = "(2/(1-beta2)-1 - 2*k*beta2**k/(1-beta2**k))"
MOST = "(2/(1-beta2)-1)"
RADAM_STEP = (
    f"lr*gradient*(1 if {LENGTH} <= 5 else (({LENGTH}-4)*({LENGTH}-2)*{MOST}"
    f"/(({MOST}-4)*({MOST}-2)*{LENGTH}))**0.5"
    "*(1-beta2**k)**0.5/(abs(gradient)*(1-beta2**k)**0.5+eps))"
)


def radam_limit(o: Options) -> Limit:
    found = (2 + 2 * o.beta1) / ((1 - o.beta1) * o.lr)
    why = "without weight decay; once r has come to 1"
    return Limit(found, "(2+2*beta1)/((1-beta1)*lr)", found * o.eps, why, divided=True)


RADAM = Method(
    "radam", "RAdam", "RAdam",
    "Liu et al. 2020, On the variance of the adaptive learning rate and beyond, algorithm 2",
    {"lr": 1e-3, **DEFAULTS}, kept=lambda o: ("m", "v"),
    rule=radam_rule, closed=radam_closed, formula=summed(RADAM_STEP), no_form=coupled_has_none,
    derivation=lambda o: (
        "ρ∞ = 2/(1 - β₂) - 1, ρₖ = ρ∞ - 2 k β₂^k/(1 - β₂^k): how many squares v averages",
        "m̂ = c and v̂ = c² as for Adam",
        "while ρₖ ≤ 5 the step is η m̂ = η c: plain descent, which knows the gradient's scale",
        "then η rₖ c pₖ/(|c| pₖ + ε), pₖ = √(1 - β₂^k), "
        "rₖ² = (ρₖ - 4)(ρₖ - 2) ρ∞/((ρ∞ - 4)(ρ∞ - 2) ρₖ)",
        "w = d^t w₀ - Σ d^(t-k) stepₖ, d = 1 - η λ where decay is decoupled, else 1",
        "k → ∞: rₖ → 1, the step is Adam's",
    ),
    averages=averages, shown=corrected,
    speed=lambda c, o: adam_speed(c, o), rest=lambda c, o: adam_rest(c, o),
    noise=lambda c, o: adam_noise(c, o),
    alternating=lambda c, o: adam_alternating(c, o), limit=radam_limit,
    notes=("Its first steps (while ρ ≤ 5, five with β₂ = 0.999) are plain descent: they grow with "
           "the gradient, so RAdam is not independent of its scale.",),
)  # fmt: skip


def adamax_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """u ← max(β₂ u, |g| + ε); w ← w - η m̂/u."""
    g = coupled(state, g, o)
    m = o.beta1 * state["m"] + (1 - o.beta1) * g
    u = larger(o.beta2 * state["u"], abs(g) + o.eps)
    return {"w": state["w"] - o.lr * m / left_after(1 - o.beta1, t) / u, "m": m, "u": u}


def adamax_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """w = start - η t c/(|c| + ε) (Kingma & Ba 2015, algorithm 2; ε as torch.optim.Adamax)."""
    u = abs(c) + o.eps
    w = drift(start, o.lr * c / u, 0, t)
    return {"w": w, "m": c * left_after(1 - o.beta1, t), "u": u}


ADAMAX = Method(
    "adamax", "Adamax", "Adamax", "Kingma & Ba 2015, Adam, algorithm 2; ε as torch.optim.Adamax",
    {"lr": 2e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
    kept=lambda o: ("m", "u"), rule=adamax_rule, closed=adamax_closed, no_form=coupled_has_none,
    formula=lambda o: "start - lr*steps*gradient/(abs(gradient)+eps)",
    derivation=lambda o: (
        "m = c (1 - β₁^t), so m̂ = c, as for Adam",
        "u₁ = |c| + ε, and β₂ u < |c| + ε at every later step, so u = |c| + ε",
        "w = w₀ - η t c/(|c| + ε)",
    ),
    averages=averages, words={"u": "the largest gradient, which fades with β₂"},
    shown=lambda s, t, o: {"m_hat": s["m"] / left_after(1 - o.beta1, t)},
    speed=lambda c, o: 0 if o.weight_decay else o.lr * abs(c) / (abs(c) + o.eps),
    rest=lambda c, o: -c / o.weight_decay if o.weight_decay else None,
    alternating=lambda c, o: o.lr * abs(c) / (abs(c) + o.eps) * (1 - o.beta1) / (1 + o.beta1),
    limit=lambda o: Limit(
        (2 + 2 * o.beta1) / ((1 - o.beta1) * o.lr), "(2+2*beta1)/((1-beta1)*lr)",
        (2 + 2 * o.beta1) / ((1 - o.beta1) * o.lr) * o.eps - o.weight_decay, divided=True,
    ),
)  # fmt: skip
