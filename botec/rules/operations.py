"""Rules of thumb about how much work a step is, whatever the network."""

from __future__ import annotations

from botec.rules.book import Step, rule

KAPLAN = "Kaplan et al. 2020, section 2.1, https://arxiv.org/abs/2001.08361"
TWO_FACTORS = "every product needs the gradient of both its factors; nothing is recomputed"


@rule(
    "Training costs three forwards: one forward, two for the backward pass.",
    unit="multiplication",
    beside="multiplications.step",
    text="3*F",
    where={"F": "multiplications of the forward pass"},
    source=KAPLAN,
    holds=TWO_FACTORS,
    steps=[
        Step(
            "A product Y = X·W of n rows, p inputs and q outputs multiplies each of n·q results "
            "p times.",
            "y = n*p*q",
        ),
        Step("The gradient of X is dY·Wᵀ: n·p results, q multiplications each.", "x = n*p*q"),
        Step("The gradient of W is Xᵀ·dY: p·q results, n multiplications each.", "w = n*p*q"),
        Step("Each of the two costs what the forward did.", "x + w = 2*y"),
        Step("Summed over all products, the backward pass is two forwards.", "G = 2*F"),
        Step("The step is both.", "F + G = 3*F"),
    ],
    example={"F": 4_089_184_256},
)
def three_forwards(forward: int) -> int:
    return 3 * forward


@rule(
    "The backward pass costs two forwards: one product for each factor's gradient.",
    unit="multiplication",
    beside="multiplications.backward",
    text="2*F",
    where={"F": "multiplications of the forward pass"},
    source=KAPLAN,
    holds=TWO_FACTORS,
    steps=[
        Step("A product of n rows, p inputs and q outputs.", "y = n*p*q"),
        Step("Its two gradients cost as much each.", "x = n*p*q"),
        Step("Both:", "x + n*q*p = 2*y"),
        Step("So it is with their sums: a backward pass G beside a forward pass F.", "G = 2*F"),
    ],
    example={"F": 4_089_184_256},
)
def two_forwards(forward: int) -> int:
    return 2 * forward


@rule(
    "The backward pass costs as much as the forward pass, so a step is two forwards.",
    unit="multiplication",
    beside="multiplications.step",
    text="2*F",
    where={"F": "multiplications of the forward pass"},
    source="Nielsen 2015, Neural Networks and Deep Learning, chapter 2, "
    "http://neuralnetworksanddeeplearning.com/chap2.html",
    holds="only where no weight gradients are made (frozen weights), or no input gradients",
    underived="it is one forward short: the chapter compares the product Wᵀ·δ with W·a, and "
    "leaves out the product δ·aᵀ that gives the weights' gradient, which costs as much again",
    example={"F": 4_089_184_256},
)
def backward_is_one_forward(forward: int) -> int:
    return 2 * forward


@rule(
    "A forward pass costs two operations for every parameter and token.",
    unit="flop",
    beside="flops.forward",
    text="2*N*D",
    where={"N": "parameters", "D": "tokens"},
    source="Kaplan et al. 2020, table 1 and equation 2.2, https://arxiv.org/abs/2001.08361",
    holds="dense transformers whose context is short beside their width",
    steps=[
        Step("Each token meets each weight of a matrix once: N·D multiply-adds.", "M = N*D"),
        Step("A multiply-add is two operations.", "2*M = 2*N*D"),
    ],
    example={"N": 6_738_415_616, "D": 2048},
)
def two_per_parameter_and_token(parameters: int, tokens: int) -> int:
    return 2 * parameters * tokens


@rule(
    "Training costs six operations for every parameter and token.",
    unit="flop",
    beside="flops.step",
    text="6*N*D",
    where={"N": "parameters", "D": "tokens"},
    source="Kaplan et al. 2020, section 2.1 (C = 6ND), https://arxiv.org/abs/2001.08361",
    holds="dense transformers whose context is short beside their width; no recomputing",
    steps=[
        Step("Forward: a multiply-add for each weight and token.", "F = 2*N*D"),
        Step("Backward: one product for each factor's gradient.", "G = 2*F"),
        Step("Together:", "F + G = 6*N*D"),
    ],
    example={"N": 6_738_415_616, "D": 2048},
)
def six_per_parameter_and_token(parameters: int, tokens: int) -> int:
    return 6 * parameters * tokens


@rule(
    "Training costs 6N + 12·L·H·Q·T operations a token: weights, and attention over T tokens.",
    unit="flop",
    beside="flops.step",
    text="D*(6*N + 12*L*H*Q*T)",
    where={
        "N": "parameters", "L": "layers of attention", "H": "heads", "Q": "width of a head",
        "T": "tokens of a sequence", "D": "tokens of the batch",
    },
    source="Chowdhery et al. 2022 (PaLM), appendix B, https://arxiv.org/abs/2204.02311",
    holds="dense transformers; attention over the whole square, nothing recomputed",
    steps=[
        Step("Weights: six operations for each and token.", "w = 6*N"),
        Step("Scores: a token's query meets T keys of H·Q numbers, in L layers.", "s = L*H*Q*T"),
        Step("Weighted values: as many again.", "v = L*H*Q*T"),
        Step("Forward, a multiply-add being two operations:", "a = 2*(s + v)"),
        Step("With the backward pass three times as many.", "3*a = 12*L*H*Q*T"),
        Step("For all D tokens:", "D*(w + 3*a) = D*(6*N + 12*L*H*Q*T)"),
    ],
    example={"N": 6_738_415_616, "L": 32, "H": 32, "Q": 128, "T": 2048, "D": 2048},
)  # fmt: skip
def weights_and_attention(
    parameters: int, attentions: int, heads: int, head_width: int, sequence: int, tokens: int
) -> int:
    return tokens * (6 * parameters + 12 * attentions * heads * head_width * sequence)


@rule(
    "Attention over T tokens of width d costs 4·n·T²·d operations.",
    unit="flop",
    beside="flops.forward.attention",
    along="T",
    text="4*n*T**2*d*L",
    where={
        "n": "examples", "T": "tokens of a sequence", "d": "width of all heads together",
        "L": "layers of attention",
    },
    source="Vaswani et al. 2017, table 1, https://arxiv.org/abs/1706.03762",
    holds="self-attention over the whole square; its softmax is left out",
    steps=[
        Step("Scores: T·T results of d multiply-adds.", "s = T**2*d"),
        Step("Weighted values: T·d results of T multiply-adds.", "v = T*d*T"),
        Step("Two operations each, n examples, L layers:", "2*n*L*(s + v) = 4*n*T**2*d*L"),
    ],
    example={"n": 1, "T": 2048, "d": 4096, "L": 32},
)  # fmt: skip
def attention_is_quadratic(examples: int, sequence: int, heads_width: int, attentions: int) -> int:
    return 4 * examples * sequence**2 * heads_width * attentions
