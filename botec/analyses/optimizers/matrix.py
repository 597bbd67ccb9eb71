"""Adafactor and Muon, which are made for matrices: what they do to one weight.

For Adafactor that is a vector of one entry (a matrix whose entries are all equal moves the same);
for Muon a matrix of one entry, or the one direction of a gradient of rank one.
"""

from __future__ import annotations

import struct
from typing import Any

from botec.analyses.optimizers.maths import decayed, drift, larger, left_after, root, smaller
from botec.analyses.optimizers.method import Limit, Method, Options, State

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ROUNDS, LEAST_NORM = 5, 1e-7


def adafactor_rate(k: Any, o: Options) -> Any:
    """min(η, 1/√k)."""
    return smaller(o.lr, 1 / root(k))


def adafactor_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """v ← v + t^κ (g² - v); u = g/max(√v, ε₁), clipped; w ← (1 - η λ) w - max(ε₂, |w|) ρ u."""
    v = state["v"] + t**o.beta2_decay * (g**2 - state["v"])
    u = g / larger(root(v), o.eps1)
    u = u / larger(1, abs(u) / o.clip)
    step = larger(o.eps2, abs(state["w"])) * adafactor_rate(t, o) * u
    return {"w": (1 - o.lr * o.weight_decay) * state["w"] - step, "v": v}


def adafactor_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """From 0: at first |w| = ε₂ s Σ ρₖ; from |w| > ε₂ on each step multiplies it by 1 + ρₖ s.

    s = |c|/max(|c|, ε₁), ρₖ = min(η, 1/√k) (from Shazeer & Stern 2018, algorithm 5, with g = c).
    """
    part = abs(c) / larger(abs(c), o.eps1)
    size, k = 0, 0
    while k < t and size <= o.eps2:
        k += 1
        size = size + o.eps2 * part * adafactor_rate(k, o)
    while k < t:
        k += 1
        size = size * (1 + part * adafactor_rate(k, o))
    return {"w": -size if c > 0 else size, "v": c**2}


def adafactor_no_form(start: Any, c: Any, o: Options) -> str | None:
    if start or o.weight_decay:
        return "its step grows with the weight itself: only from 0 and without decay does it sum up"
    return None


ADAFACTOR = Method(
    "adafactor", "Adafactor", "Adafactor",
    "Shazeer & Stern 2018, Adafactor: adaptive learning rates with sublinear memory cost, "
    "algorithms 4 and 5, ε₁ as torch.optim.Adafactor has it (a float32's by default)",
    {"lr": 1e-2, "beta2_decay": -0.8, "eps1": 2.0**-23, "eps2": 1e-3, "clip": 1.0,
     "weight_decay": 0.0},
    kept=lambda o: ("v",), rule=adafactor_rule, closed=adafactor_closed,
    no_form=adafactor_no_form, formula=lambda o: None,
    derivation=lambda o: (
        "the first average takes all of c², and every later one is c² too: v = c²",
        "u = c/max(|c|, ε₁): ± s, 1 for all but the smallest gradients; its root mean square is "
        "at most 1, so nothing is clipped",
        "the step is max(ε₂, |w|) ρₖ s, ρₖ = min(η, 1/√k): relative to the weight's own size",
        "from w = 0: |w| = ε₂ s Σ ρₖ while |w| ≤ ε₂; then |wₖ| = (1 + ρₖ s) |wₖ₋₁|, a product",
    ),
    limit=lambda o: Limit(
        None, "", None, "its rate falls as 1/√k, so every bowl becomes stable in time"
    ),
    notes=("For a matrix of m by n it keeps m + n values, not m n; one for each entry of a vector.",
           "Its step is a share of the weight's own size, so it grows with the weight, not with "
           "the gradient; below ε₁ it falls with the gradient."),
)  # fmt: skip


def to_bfloat16(value: float) -> float:
    """The nearest bfloat16 number, ties to even, by way of float32 as tensors are cast."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    bits += 0x7FFF + ((bits >> 16) & 1)
    return float(struct.unpack("<f", struct.pack("<I", bits & 0xFFFF0000))[0])


def single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def orthogonal(u: Any) -> Any:
    """Five rounds of x ← a x + b x³ + c x⁵ from u/max(|u|, 1e-7), every product in bfloat16.

    Symbols are not rounded. (Jordan et al. 2024, Muon: an optimizer for hidden layers.)
    """
    a, b, c = NEWTON_SCHULZ
    if not isinstance(u, float):
        x = u / larger(abs(u), LEAST_NORM)
        for _ in range(ROUNDS):
            x = a * x + b * x**3 + c * x**5
        return x
    x = to_bfloat16(u)
    x = to_bfloat16(x / max(abs(x), to_bfloat16(LEAST_NORM)))
    for _ in range(ROUNDS):
        gram = to_bfloat16(x * x)
        inner = to_bfloat16(single(b * gram + c * to_product(gram, gram)))
        x = to_bfloat16(single(a * x + to_product(inner, x)))
    return x


def to_product(one: float, other: float) -> float:
    """The product of two bfloat16 numbers, which a float32 holds without rounding."""
    return single(one * other)


def muon_rule(state: State, g: Any, t: Any, o: Options) -> State:
    """b ← μ b + (1 - μ) g; u = (1 - μ) g + μ b, or b; w ← (1 - η λ) w - η orthogonal(u)."""
    b = o.momentum * state["b"] + (1 - o.momentum) * g
    u = (1 - o.momentum) * g + o.momentum * b if o.nesterov else b
    return {"w": (1 - o.lr * o.weight_decay) * state["w"] - o.lr * orthogonal(u), "b": b}


def muon_closed(start: Any, c: Any, t: Any, o: Options) -> State:
    """w = d^t start - η Σ d^(t-k) σₖ, σₖ = orthogonal(c (1 - μ^(k+1))), or of 1 - μ^k (from Jordan
    et al. 2024, with g = c). All σ are alike above 1e-7: σ = ± p⁵(1) = ± 0.702 up to rounding.
    """
    more = 1 if o.nesterov else 0

    def step(k: Any) -> Any:
        return o.lr * orthogonal(c * left_after(1 - o.momentum, k + more))

    decay = o.lr * o.weight_decay
    # A tensor is rounded before it is divided by its size, so a number of any size becomes ± 1.
    settled = isinstance(c, float) and abs(c) * (1 - o.momentum) > 2 * LEAST_NORM
    w = drift(start, step(1), decay, t) if settled else decayed(start, step, decay, t)
    return {"w": w, "b": c * left_after(1 - o.momentum, t)}


MUON = Method(
    "muon", "Muon", "Muon",
    "Jordan et al. 2024, Muon: an optimizer for hidden layers, https://kellerjordan.github.io/posts/muon/",
    {"lr": 1e-3, "momentum": 0.95, "nesterov": True, "weight_decay": 0.1},
    kept=lambda o: ("b",), rule=muon_rule, closed=muon_closed,
    formula=lambda o: None,
    derivation=lambda o: (
        "b = c (1 - μ^k); Nesterov's u = (1 - μ) c + μ b = c (1 - μ^(k+1))",
        "u is divided by its size: a matrix of one entry becomes ± 1, whatever c",
        "five rounds of x ← 3.4445 x - 4.775 x³ + 2.0315 x⁵ bring singular values near 1: "
        "1 becomes σ = 0.70 (in bfloat16, as torch computes)",
        "w = d^t w₀ - η σ sign(c) (1 - d^t)/(1 - d), d = 1 - η λ",
    ),
    averages=lambda o: {"momentum": o.momentum},
    words={"x": "a singular value on its way to 1"},
    speed=lambda c, o: 0 if o.weight_decay else o.lr * abs(orthogonal(float(c))),
    rest=lambda c, o: -orthogonal(float(c)) / o.weight_decay if o.weight_decay else None,
    limit=lambda o: Limit(0, "", 0, "its steps do not shrink near a minimum: it ends in a swing"),
    notes=("Muon takes matrices only; its steps' singular values lie between about 0.7 and 1.2 "
           "times η, whatever the gradient's size.",),
)  # fmt: skip
