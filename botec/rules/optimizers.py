"""Rules of thumb about how optimizers move, and how their rate follows the batch."""

from __future__ import annotations

import math

from botec.rules.book import Step, rule


@rule(
    "Adam moves a weight by at most its rate at each step, however large the gradient.",
    unit="1",
    text="eta",
    where={"eta": "learning rate"},
    source="Kingma and Ba 2015, section 2.1, https://arxiv.org/abs/1412.6980",
    holds="steady gradients far above ε; a rare large gradient moves it up to (1-β₁)/√(1-β₂) times "
    "as far",
    steps=[
        Step("Under a constant gradient c the corrected averages are c and c².", "m = c"),
        Step("With ε = 0 the step is η·m/√v.", "eta*m/sqrt(c**2) = eta*c/sqrt(c**2)"),
        Step("Its size, for c > 0, is the rate: the gradient's scale is gone.",
             "eta*c/sqrt(c**2) = eta"),
    ],
    example={"eta": 1e-3},
)  # fmt: skip
def adam_step(rate: float) -> float:
    return rate


@rule(
    "Momentum β makes steps 1/(1-β) times as long.",
    unit="1",
    text="1/(1 - beta)",
    where={"beta": "share of the last step that is kept"},
    source="Sutskever et al. 2013, section 2, https://proceedings.mlr.press/v28/sutskever13.html",
    holds="in the long run under a steady gradient; reached to 1 % after ln(0.01)/ln(β) steps",
    steps=[
        Step("The velocity repeats itself once v = β·v + c.", "v = c/(1 - beta)"),
        Step("It does: both sides are equal.", "beta*v + c = v"),
        Step("Beside a plain step c:", "v/c = 1/(1 - beta)"),
    ],
    example={"beta": 0.9},
)
def momentum_gain(momentum: float) -> float:
    return 1 / (1 - momentum)


@rule(
    "With a batch k times as large take a rate k times as large.",
    unit="1",
    text="k*eta",
    where={"k": "how many times larger the batch is", "eta": "learning rate"},
    source="Goyal et al. 2017, section 2.1, https://arxiv.org/abs/1706.02677",
    holds="plain SGD below the critical batch, with warm-up",
    steps=[
        Step("k small steps at weights that barely move:", "s = eta*k*g"),
        Step("One large step with the mean of the k gradients g:", "l = k*eta*g"),
        Step("They are the same.", "l/s = 1"),
        Step("So the rate of the one is:", "l/g = k*eta"),
    ],
    example={"k": 8, "eta": 0.1},
)
def linear_scaling(times_larger: float, rate: float) -> float:
    return times_larger * rate


@rule(
    "With a batch k times as large take a rate √k times as large.",
    unit="1",
    text="sqrt(k)*eta",
    where={"k": "how many times larger the batch is", "eta": "learning rate"},
    source="Krizhevsky 2014, section 5, https://arxiv.org/abs/1404.5997; for Adam: "
    "Malladi et al. 2022, https://arxiv.org/abs/2205.10287",
    holds="noise-dominated gradients, and adaptive optimizers",
    steps=[
        Step("A mean over k times as many examples has a variance k times smaller.", "v = s/k"),
        Step(
            "A step's noise has variance η'²·v. It stays at η²·s for this η':",
            "sqrt(eta**2*s/v) = sqrt(k)*eta",
        ),
    ],
    example={"k": 4, "eta": 1e-3},
)  # fmt: skip
def square_root_scaling(times_larger: float, rate: float) -> float:
    return math.sqrt(times_larger) * rate
