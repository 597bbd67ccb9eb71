"""Rules of thumb about initial weights and memories."""

from __future__ import annotations

import math

from botec.rules.book import Step, rule


@rule(
    "A ReLU layer of d inputs multiplies the second moment by ½·d·σ².",
    unit="1",
    text="d*v/2",
    where={"d": "inputs of a unit", "v": "variance of its weights, σ²"},
    source="He et al. 2015, equations 7 to 10, https://arxiv.org/abs/1502.01852",
    holds="weights of mean 0, no bias, no padding, wide layers; the previous layer's variance "
    "multiplies it, which the short form leaves out",
    steps=[
        Step("ReLU leaves half of a symmetric variable's square, here of variance 1.", "s = 1/2"),
        Step("A sum of d products of independent weights and such inputs.", "q = d*v*s"),
        Step("Together:", "q = d*v/2"),
    ],
    example={"d": 512, "v": 0.00390625},
    beside="learn.signal.gain",
)
def half_of_the_inputs(inputs: int, variance: float) -> float:
    return inputs * variance / 2


@rule(
    "To remember T steps more than the present one set the forget bias to ln(T).",
    unit="1",
    text="log(T)",
    where={"T": "steps beyond the present one"},
    source="Tallec and Ollivier 2018, section 3, https://arxiv.org/abs/1804.11188",
    holds="one unit whose gate alone decides how long it remembers",
    steps=[
        Step("A gate that keeps f of its cell forgets it in 1/(1 - f) steps.", "f = 1 - 1/(1 + T)"),
        Step("The gate is 1/(1 + e^-b); solved for b:", "log(f/(1 - f)) = log(T)"),
    ],
    example={"T": 99},
    beside="learn.forget_bias",
)
def chrono_forget_bias(steps: float) -> float:
    return math.log(steps)


@rule(
    "A gradient falls to 1/1000 in ln(1000)/-ln(ρ) steps, ρ the largest recurrent eigenvalue.",
    unit="1",
    text="log(1000)/(-log(r))",
    where={"r": "size of the largest eigenvalue, below 1"},
    source="Pascanu et al. 2013, section 2.1, https://arxiv.org/abs/1211.5063",
    holds="a linear recurrence, in the long run: eigenvalues hide the first steps, and a squashing "
    "unit takes its own slope out of every step",
    steps=[
        Step("Each step multiplies by r in the end, so it adds b to the logarithm.", "b = log(r)"),
        Step("The logarithm has a to fall.", "a = log(1/1000)"),
        Step("Steps that takes:", "a/b = log(1000)/(-log(r))"),
    ],
    example={"r": 0.9},
    beside="learn.horizon",
)
def steps_of_the_radius(radius: float) -> float:
    return math.log(1000) / -math.log(radius)


@rule(
    "Glorot: draw weights with a variance of 2/(inputs + outputs).",
    unit="1",
    text="2/(m + n)",
    where={"m": "inputs of a unit", "n": "outputs it feeds"},
    source="Glorot and Bengio 2010, equation 12, https://proceedings.mlr.press/v9/glorot10a.html",
    holds="units that are linear near zero; a compromise between the two passes, exact for neither",
    steps=[
        Step("The signal keeps its variance if m weights of variance a add up to 1.", "a = 1/m"),
        Step("The gradient keeps its own if n weights of variance b do.", "b = 1/n"),
        Step("Their harmonic mean lies between:", "2/(1/a + 1/b) = 2/(m + n)"),
    ],
    example={"m": 784, "n": 512},
)
def glorot_variance(inputs: int, outputs: int) -> float:
    return 2 / (inputs + outputs)


@rule(
    "He: draw the weights of a ReLU layer of d inputs with a deviation of √(2/d).",
    unit="1",
    text="sqrt(2/d)",
    where={"d": "inputs of a unit"},
    source="He et al. 2015, equation 10, https://arxiv.org/abs/1502.01852",
    holds="weights of mean 0, no bias, no padding; it keeps the second moment of the signal, not "
    "the gradient's",
    steps=[
        Step("ReLU keeps half of the second moment q of what it is given.", "h = q/2"),
        Step("A unit sums d products with weights of variance v.", "o = d*v*h"),
        Step("So the moment grows by this factor.", "o/q = d*v/2"),
        Step("Call v with a factor of 1 by its name.", "w = 2/d"),
        Step("It does leave the moment as it was.", "d*w/2 = 1"),
        Step("Its root is the deviation.", "sqrt(w) = sqrt(2/d)"),
    ],
    example={"d": 512},
)
def he_deviation(inputs: int) -> float:
    return math.sqrt(2 / inputs)
