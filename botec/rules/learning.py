"""Rules of thumb about derivatives, depth in time, and how much data a network wants."""

from __future__ import annotations

import math

from botec.rules.book import Step, rule


@rule(
    "Finite differences need P + 1 forward passes for P weights: a million and one for a million.",
    unit="1",
    beside="gradient.passes.finite_difference",
    text="P + 1",
    where={"P": "trainable parameters"},
    source="Nocedal and Wright 2006, Numerical Optimization, section 8.1, "
    "https://doi.org/10.1007/978-0-387-40065-5",
    holds="one-sided differences; central ones need 2·P",
    steps=[
        Step("One pass where the network stands.", "a = 1"),
        Step("One more with each weight moved by itself.", "b = P"),
        Step("Together:", "a + b = P + 1"),
    ],
    example={"P": 1_000_000},
)
def passes_of_differences(trainable: int) -> int:
    return trainable + 1


@rule(
    "A gradient through t steps scales as wᵗ: it vanishes for |w| < 1 and explodes for |w| > 1.",
    unit="1",
    along="t",
    text="w**t",
    where={"w": "size of the recurrent weight's largest eigenvalue", "t": "steps in time"},
    source="Bengio, Simard, Frasconi 1994, https://doi.org/10.1109/72.279181; "
    "Pascanu et al. 2013, section 2.1, https://arxiv.org/abs/1211.5063",
    holds="a linear recurrence with a normal matrix, in the long run; a squashing unit takes its "
    "own derivative out of every step",
    steps=[
        Step("Each step multiplies by the same derivative.", "p = Product(w, (i, 1, t))"),
        Step("Of t equal factors:", "p = w**t"),
    ],
    example={"w": 0.9, "t": 50},
)
def power_of_the_weight(weight: float, steps: int) -> float:
    return weight**steps


@rule(
    "The first loss of a classifier is ln(classes).",
    unit="1",
    text="log(k)",
    where={"k": "classes"},
    source="Karpathy 2019, A Recipe for Training Neural Networks, "
    "https://karpathy.github.io/2019/04/25/recipe/",
    holds="cross-entropy, outputs near zero at the start",
    steps=[
        Step("Equal outputs give each class 1/k.", "p = 1/k"),
        Step("The loss is -ln of the right one.", "-log(p) = log(k)"),
    ],
    example={"k": 1000},
)
def first_loss(classes: int) -> float:
    return math.log(classes)


@rule(
    "Train on 20 tokens for every parameter.",
    unit="1",
    text="20*N",
    where={"N": "parameters"},
    source="Hoffmann et al. 2022 (Chinchilla), table 3, https://arxiv.org/abs/2203.15556",
    holds="the least loss for a given compute; about 26 at 10¹⁸ and 16 at 10²⁶ operations by the "
    "re-fit of Besiroglu et al. 2024, https://arxiv.org/abs/2404.10102",
    underived="it is read off fits to trained models, not derived",
    example={"N": 70_000_000_000},
)
def twenty_tokens(parameters: int) -> int:
    return 20 * parameters


@rule(
    "A threshold unit learns by heart two random labels for each of its weights.",
    unit="1",
    text="2*K",
    where={"K": "weights of the unit"},
    source="Cover 1965, https://doi.org/10.1109/PGEC.1965.264137; MacKay 2003, chapter 40, "
    "https://www.inference.org.uk/mackay/itila/",
    holds="one linear threshold unit, examples in general position, labels by coin",
    steps=[
        Step("Give it twice as many points as weights.", "N = 2*K"),
        Step(
            "Of 2^N labellings it makes T = 2·Σ C(N-1, k), k from 0 to K-1 (Cover). The N "
            "terms C(N-1, k) for k from 0 to N-1 sum to 2^(N-1) and are the same from both "
            "ends; K is half of N, so the sum is half of that.",
            "T = 2*(2**(N - 1)/2)",
        ),
        Step("That is half of all labellings: at even chances it learns them.", "T/2**N = 1/2"),
        Step("The number of points where this is so:", "N = 2*K"),
    ],
    example={"K": 50},
)  # fmt: skip
def two_labels_a_weight(weights: int) -> int:
    return 2 * weights


@rule(
    "Have ten examples for every parameter.",
    unit="1",
    text="10*P",
    where={"P": "trainable parameters"},
    source="Peduzzi et al. 1996 (ten events a variable), "
    "https://doi.org/10.1016/S0895-4356(96)00236-3; Baum and Haussler 1989, "
    "https://doi.org/10.1162/neco.1989.1.1.151 (weights ÷ error allowed)",
    holds="regression with few variables; networks far above it generalise all the same",
    underived="it is read off simulations of logistic regression; for networks it is the bound "
    "weights ÷ ε at an error of ε = 0.1, without its constants and logarithms",
    example={"P": 11_000},
)
def ten_examples(trainable: int) -> int:
    return 10 * trainable
