"""Lion and Rprop: steps that know only the gradient's sign."""

from __future__ import annotations

from typing import Any

from botec.analyses.optimizers.maths import drift, larger, left_after, sign, smaller, total
from botec.analyses.optimizers.method import Limit, Method, Options, State


def lion_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """w ← (1 - η λ) w - η sign(β₁ m + (1 - β₁) g); m ← β₂ m + (1 - β₂) g."""
    step = sign(o.beta1 * state["m"] + (1 - o.beta1) * g)
    w = (1 - o.lr * o.weight_decay) * state["w"] - o.lr * step
    return {"w": w, "m": o.beta2 * state["m"] + (1 - o.beta2) * g}


def lion_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """w = start - η t sign(c), with decay as AdamW's (from Chen et al. 2023, algorithm 2)."""
    w = drift(start, o.lr * sign(c), o.lr * o.weight_decay, t)
    return {"w": w, "m": c * left_after(1 - o.beta2, t)}


def lion_formula(o: Options) -> str:
    way = "((gradient>0)-(gradient<0))"
    if not o.weight_decay:
        return f"start - lr*steps*{way}"
    kept = "(1-lr*weight_decay)**steps"
    return f"start*{kept} - {way}*(1-{kept})/weight_decay"


def lion_alternating(c: Any, o: Options) -> Any:
    """η, unless β₁ (1 - β₂)/(1 + β₂) > 1 - β₁: m swings too little to hold a sign against g."""
    return o.lr if o.beta1 * (1 - o.beta2) / (1 + o.beta2) < 1 - o.beta1 else None


NEVER = "its steps do not shrink near a minimum: it ends in a swing as wide as a step, on any bowl"

LION = Method(
    "lion", "Lion", "",
    "Chen et al. 2023, Symbolic discovery of optimization algorithms, algorithm 2",
    {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0},
    kept=lambda o: ("m",), rule=lion_rule, closed=lion_closed, formula=lion_formula,
    derivation=lambda o: (
        "m = c (1 - β₂^k) has the sign of c, and so has β₁ m + (1 - β₁) c",
        "every step is η sign(c), whatever the size of c",
        "w = d^t w₀ - η sign(c) (1 - d^t)/(1 - d), d = 1 - η λ; without decay w₀ - η t sign(c)",
    ),
    averages=lambda o: {"beta1": o.beta1, "beta2": o.beta2},
    words={
        "β₁": "the share of the average in what gives the sign",
        "β₂": "how much of the average is kept at a step",
    },
    speed=lambda c, o: 0 if o.weight_decay else o.lr * abs(sign(c)),
    rest=lambda c, o: -sign(c) / o.weight_decay if o.weight_decay else None,
    noise=lambda c, o: o.lr, alternating=lion_alternating,
    limit=lambda o: Limit(0, "", 0, NEVER),
    notes=("Lion is not in torch.optim.",),
)  # fmt: skip


def rprop_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """Δ ← Δ η⁺ where the sign stays, Δ η⁻ where it changes (no step then), within bounds."""
    turn = sign(g * state["g"])
    size = state["size"]
    if turn == -1:
        size = size * o.eta_minus
    elif turn != 0:
        size = size * o.eta_plus
    size = larger(o.step_min, smaller(size, o.step_max))
    g = 0 if turn == -1 else g
    return {"w": state["w"] - size * sign(g), "g": g, "size": size}


def rprop_size(k: Any, o: Options) -> Any:
    """The step at step k: η at first, η⁺ times the last one after, within its bounds."""
    first = larger(o.step_min, smaller(o.lr, o.step_max))
    return smaller(first * o.eta_plus ** (k - 1), o.step_max)


def rprop_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """w = start - sign(c) Σ min(η (η⁺)^(k-1), Δₘₐₓ) (from Riedmiller & Braun 1993, eqs 4-7)."""
    w = start - sign(c) * total(lambda k: rprop_size(k, o), t)
    return {"w": w, "g": c, "size": rprop_size(t, o)}


RPROP = Method(
    "rprop", "Rprop", "Rprop",
    "Riedmiller & Braun 1993, A direct adaptive method for faster backpropagation learning: the "
    "RPROP algorithm, eqs 4-7",
    {"lr": 1e-2, "eta_minus": 0.5, "eta_plus": 1.2, "step_min": 1e-6, "step_max": 50.0},
    kept=lambda o: ("g", "size"), begin={"size": lambda o: o.lr},
    rule=rprop_rule, closed=rprop_closed,
    formula=lambda o: (
        "start - ((gradient>0)-(gradient<0))*sum(min(max(step_min, min(lr, step_max))"
        "*eta_plus**(k-1), step_max) for k in range(1, steps+1))"
    ),
    derivation=lambda o: (
        "the sign never changes, so Δ₁ = η and Δₖ = min(η⁺ Δₖ₋₁, Δₘₐₓ)",
        "Δₖ = min(η (η⁺)^(k-1), Δₘₐₓ), (η held between Δₘᵢₙ and Δₘₐₓ first)",
        "w = w₀ - sign(c) Σ Δₖ: a geometric sum until the largest step, then Δₘₐₓ at each",
    ),
    speed=lambda c, o: o.step_max * abs(sign(c)),
    limit=lambda o: Limit(None, "", None, "its steps shrink by η⁻ at each change of sign"),
    notes=("Rprop's rate is only its first step; it is meant for whole batches.",),
)  # fmt: skip
