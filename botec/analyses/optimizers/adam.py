"""Adam and its nearest kin, with ε in each of the places people put it.

Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019 for decoupled decay; Reddi et al. 2018 for
AMSGrad. ``eps_place``: ``outside`` the root after both corrections (algorithm 1, torch.optim.Adam),
``uncorrected`` (ε̂ at the end of section 2, torch.optim.SparseAdam), ``inside`` the root.
"""

from __future__ import annotations

from typing import Any

from botec.analyses.optimizers.maths import decayed, drift, larger, left_after, root
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

DEFAULTS = {
    "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0,
    "decoupled": False, "amsgrad": False, "eps_place": "outside",
}  # fmt: skip


def averaged(state: State, g: Any, o: Options) -> State:
    """m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²."""
    m = o.beta1 * state["m"] + (1 - o.beta1) * g
    v = o.beta2 * state["v"] + (1 - o.beta2) * g**2
    return {"m": m, "v": v}


def both_averages(c: Any, t: Any, o: Options) -> State:
    """m = c (1 - β₁^t), v = c² (1 - β₂^t): each average has taken in 1 - β^t of a constant."""
    return {"m": c * left_after(1 - o.beta1, t), "v": c**2 * left_after(1 - o.beta2, t)}


def corrected(state: State, t: Any, o: Options) -> State:
    """m̂ = m/(1 - β₁^t), v̂ = v/(1 - β₂^t) (Kingma & Ba 2015, section 3)."""
    v = state.get("v_max", state["v"])
    return {
        "m_hat": state["m"] / left_after(1 - o.beta1, t),
        "v_hat": v / left_after(1 - o.beta2, t),
    }


def divided(m_hat: Any, v: Any, t: Any, o: Options) -> Any:
    """m̂ over the root of v, corrected, with ε where ``eps_place`` says."""
    part = left_after(1 - o.beta2, t)
    if o.eps_place == "inside":
        return m_hat / root(v / part + o.eps)
    if o.eps_place == "uncorrected":
        return m_hat * root(part) / (root(v) + o.eps)
    return m_hat / (root(v / part) + o.eps)


def adam_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """w ← w - η m̂/(√v̂ + ε), after w ← (1 - η λ) w where decay is decoupled."""
    found = averaged(state, coupled(state, g, o), o)
    if o.amsgrad:
        found["v_max"] = larger(state["v_max"], found["v"])
    m_hat = found["m"] / left_after(1 - o.beta1, t)
    w = shrunk(state, o) - o.lr * divided(m_hat, found.get("v_max", found["v"]), t, o)
    return {"w": w, **found}


def adam_step(c: Any, k: Any, o: Options) -> Any:
    """The step in units of η at step k: m̂ = c and v̂ = c² at every step."""
    if o.eps_place == "inside":
        return c / root(c**2 + o.eps)
    if o.eps_place == "uncorrected":
        part = root(left_after(1 - o.beta2, k))
        return c * part / (abs(c) * part + o.eps)
    return c / (abs(c) + o.eps)


def adam_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """w = start - η t c/(|c| + ε) (from Kingma & Ba 2015, algorithm 1, with g = c).

    With decoupled decay (Loshchilov & Hutter 2019, algorithm 2) d^t start - η s (1 - d^t)/(1 - d),
    d = 1 - η λ, s the step in units of η. With ε uncorrected s depends on the step: a finite sum.
    """
    found = both_averages(c, t, o)
    if o.amsgrad:
        found["v_max"] = found["v"]
    if o.eps_place == "uncorrected":
        w = decayed(start, lambda k: o.lr * adam_step(c, k, o), decay_of(o), t)
    else:
        w = drift(start, o.lr * adam_step(c, t, o), decay_of(o), t)
    return {"w": w, **found}


def inside(o: Options) -> bool:
    """Whether ε stands inside the root; most of Adam's kin have it outside, and no such option."""
    return getattr(o, "eps_place", "outside") == "inside"


def size(c: Any, o: Options) -> Any:
    """What a settled step divides by: |c| + ε, or √(c² + ε)."""
    return root(c**2 + o.eps) if inside(o) else abs(c) + o.eps


def adam_speed(c: Any, o: Options) -> Any:
    """η |c|/(|c| + ε); 0 with decay, for w comes to rest."""
    return 0 if o.weight_decay else full(c, o)


def adam_rest(c: Any, o: Options) -> Any:
    """-s/λ where decay is decoupled, s = c/(|c| + ε); -c/λ where it is in the gradient."""
    if not o.weight_decay:
        return None
    if not o.decoupled:
        return -c / o.weight_decay
    return -c / size(c, o) / o.weight_decay


def adam_noise(c: Any, o: Options) -> Any:
    """η √((1 - β₁)/(1 + β₁)): m's deviation is that of an average, v̂ has come to c²."""
    return full(c, o) * root((1 - o.beta1) / (1 + o.beta1))


def full(c: Any, o: Options) -> Any:
    """η |c|/(|c| + ε), decay apart."""
    return o.lr * abs(c) / size(c, o)


def adam_alternating(c: Any, o: Options) -> Any:
    """η (1 - β₁)/(1 + β₁) |c|/(|c| + ε): m swings between ± c (1 - β₁)/(1 + β₁), v stays c²."""
    return full(c, o) * (1 - o.beta1) / (1 + o.beta1)


def adam_limit(o: Options) -> Limit:
    """h/(√v̂ + ε) < (2 + 2β₁)/((1 - β₁) η) (Cohen et al. 2022, Adaptive gradient methods at the edge
    of stability, eq. 2); (1 + β₁)(2 - η λ)/((1 - β₁) η) with decoupled decay.

    At the minimum √v̂ has shrunk to 0, and h must be below that times ε (√ε where it is inside).
    """
    found = (1 + o.beta1) * (2 - decay_of(o)) / ((1 - o.beta1) * o.lr)
    text = "(1+beta1)*2/((1-beta1)*lr)"
    if decay_of(o):
        text = "(1+beta1)*(2-lr*weight_decay)/((1-beta1)*lr)"
    least = root(o.eps) if inside(o) else o.eps
    at_rest = found * least - (0 if getattr(o, "decoupled", False) else o.weight_decay)
    return Limit(found, text, at_rest, divided=True)


def adam_formula(o: Options) -> str:
    step = {
        "inside": "gradient/(gradient**2+eps)**0.5",
        "outside": "gradient/(abs(gradient)+eps)",
        "uncorrected": "gradient*(1-beta2**k)**0.5/(abs(gradient)*(1-beta2**k)**0.5+eps)",
    }[o.eps_place]
    kept = "(1-lr*weight_decay)"
    if o.eps_place == "uncorrected":
        if not decay_of(o):
            return f"start - lr*sum({step} for k in range(1, steps+1))"
        moved = f"lr*sum({kept}**(steps-k)*{step} for k in range(1, steps+1))"
        return f"start*{kept}**steps - {moved}"
    if not decay_of(o):
        return f"start - lr*steps*{step}"
    return f"start*{kept}**steps - {step}*(1-{kept}**steps)/weight_decay"


SIZES = {
    "outside": "step: η m̂/(√v̂ + ε) = η c/(|c| + ε), the same at every step",
    "inside": "step: η m̂/√(v̂ + ε) = η c/√(c² + ε), the same at every step",
    "uncorrected": "step: η √(1 - β₂^k)/(1 - β₁^k) m/(√v + ε) = η c rₖ/(|c| rₖ + ε), "
    "rₖ = √(1 - β₂^k)",
}


def adam_derivation(o: Options) -> tuple[str, ...]:
    first = (
        "mₖ = β₁ mₖ₋₁ + (1 - β₁) c with m₀ = 0: c - mₖ = β₁ (c - mₖ₋₁), so m = c (1 - β₁^t)",
        "the same with c² and β₂: v = c² (1 - β₂^t)",
        "corrected: m̂ = m/(1 - β₁^t) = c and v̂ = v/(1 - β₂^t) = c²",
        SIZES[o.eps_place],
    )
    if decay_of(o):
        last = (
            "wₖ = d wₖ₋₁ - η s, d = 1 - η λ: w = d^t w₀ - η s (1 - d^t)/(1 - d), s the step over η"
        )
        return (*first, last)
    if o.eps_place == "uncorrected":
        return (*first, "w = w₀ - η Σ c rₖ/(|c| rₖ + ε)")
    size = "c/(|c| + ε)" if o.eps_place == "outside" else "c/√(c² + ε)"
    return (*first, f"w = w₀ - η t {size}")


def averages(o: Options) -> dict[str, Any]:
    """The averages of gradients and of their squares."""
    return {"beta1": o.beta1, "beta2": o.beta2}


FORMS: dict[str, Any] = {
    "rule": adam_rule, "closed": adam_closed, "formula": adam_formula,
    "derivation": adam_derivation, "no_form": coupled_has_none, "averages": averages,
    "shown": corrected, "speed": adam_speed, "rest": adam_rest, "noise": adam_noise,
    "alternating": adam_alternating, "limit": adam_limit,
    "kept": lambda o: ("m", "v", "v_max") if o.amsgrad else ("m", "v"),
}  # fmt: skip
PAPER = "Kingma & Ba 2015, Adam: a method for stochastic optimization, algorithm 1"
ADAM = Method("adam", "Adam", "Adam", PAPER, DEFAULTS, **FORMS)
ADAMW = Method(
    "adamw", "AdamW", "AdamW",
    "Loshchilov & Hutter 2019, Decoupled weight decay regularization, algorithm 2",
    {**DEFAULTS, "decoupled": True, "weight_decay": 1e-2}, **FORMS,
)  # fmt: skip
SPARSE = Method(
    "sparseadam", "SparseAdam", "SparseAdam", f"{PAPER}, with ε̂ as at the end of section 2",
    {**DEFAULTS, "eps_place": "uncorrected"}, **FORMS,
    notes=("Only the rows a sparse gradient names move; the forms speak of such a row.",),
)  # fmt: skip
