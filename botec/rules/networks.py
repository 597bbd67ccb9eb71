"""Rules of thumb about how much memory numbers take in networks of equal layers, and beyond."""

from __future__ import annotations

import math

from botec.rules.book import Step, rule

UNIFORM = {"n": "examples", "K": "width of every layer", "L": "layers of weights"}
BACKPROP = "Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.5.7, https://www.deeplearningbook.org"


@rule(
    "To infer, L layers of width K hold L·K² + 2·n·K numbers.",
    unit="1",
    beside="memory.peak.numbers.infer",
    text="L*K**2 + 2*n*K",
    where=UNIFORM,
    source=BACKPROP,
    holds="fully connected layers of one width without biases; a layer's input is freed with it",
    steps=[
        Step("The weights:", "w = L*K**2"),
        Step("A layer's input and its output stand at once.", "a = 2*n*K"),
        Step("Together:", "w + a = L*K**2 + 2*n*K"),
    ],
    example={"n": 32, "K": 512, "L": 8},
)
def numbers_to_infer(examples: int, uniform_width: int, linear_layers: int) -> int:
    return linear_layers * uniform_width**2 + 2 * examples * uniform_width


@rule(
    "To train, L layers of width K hold 2·L·K² + L·n·K numbers.",
    unit="1",
    beside="memory.peak.numbers.train",
    text="2*L*K**2 + L*n*K",
    where=UNIFORM,
    source=BACKPROP,
    holds="fully connected layers of one width without biases, plain gradient descent",
    steps=[
        Step("The weights and a gradient for each:", "w = 2*L*K**2"),
        Step("Every layer's input is kept for the backward pass.", "a = Sum(n*K, (i, 1, L))"),
        Step("Together:", "w + a = 2*L*K**2 + L*n*K"),
    ],
    example={"n": 32, "K": 512, "L": 8},
)
def numbers_to_train(examples: int, uniform_width: int, linear_layers: int) -> int:
    return 2 * linear_layers * uniform_width**2 + linear_layers * examples * uniform_width


@rule(
    "A cache of keys and values takes 2·L·h·d·S·b bytes for each sequence.",
    unit="B",
    beside="memory.kv_cache",
    text="2*n*L*h*d*S*b",
    where={
        "n": "sequences", "L": "layers of attention", "h": "heads of keys", "d": "width of a head",
        "S": "tokens of a sequence", "b": "bytes of a number",
    },
    source="Pope et al. 2022, section 3.3, https://arxiv.org/abs/2211.05102",
    holds="every layer keeps every token: no window, no latent compression",
    steps=[
        Step("A token's keys in one layer:", "k = h*d*b"),
        Step("Its values take as much.", "v = h*d*b"),
        Step("In L layers, for S tokens of n sequences:", "n*L*S*(k + v) = 2*n*L*h*d*S*b"),
    ],
    example={"n": 1, "L": 32, "h": 8, "d": 128, "S": 8192, "b": 2},
)  # fmt: skip
def cache_of_keys_and_values(
    examples: int, attentions: int, key_heads: int, head_width: int, sequence: int, item_bytes: int
) -> int:
    return 2 * examples * attentions * key_heads * head_width * sequence * item_bytes


@rule(
    "Checkpointing every √n-th layer keeps about 2·√n layers instead of n, for one more forward.",
    unit="1",
    along="n",
    text="2*sqrt(n)",
    where={"n": "equal layers in a chain"},
    source="Chen et al. 2016, section 4.2, https://arxiv.org/abs/1604.06174",
    holds="equal layers in a chain, each keeping as much as its input",
    steps=[
        Step("Keep k of n inputs, and one stretch of n/k layers while it is computed again.",
             "m = k + n/k"),
        Step("The least m has dm/dk = 1 - n/k² = 0.", "Derivative(k + n/k, k) = 1 - n/k**2"),
        Step("So k = √n, which leaves:", "sqrt(n) + n/sqrt(n) = 2*sqrt(n)"),
    ],
    example={"n": 64},
)  # fmt: skip
def root_of_the_layers(layers: int) -> float:
    return 2 * math.sqrt(layers)


@rule(
    "Adam keeps twice what momentum keeps: two averages for each weight, not one.",
    unit="1",
    beside="memory.peak.optimizer.numbers",
    text="2*P",
    where={"P": "trainable parameters"},
    source="Kingma and Ba 2015, algorithm 1, https://arxiv.org/abs/1412.6980",
    holds="averages kept as the weights are; a step counter for each tensor is left out",
    steps=[
        Step("Momentum: one average of gradients.", "m = P"),
        Step("Adam: an average of gradients, and one of their squares.", "a = P + P"),
        Step("Beside each other:", "a/m = 2"),
        Step("In numbers:", "a = 2*P"),
    ],
    example={"P": 25_557_032},
)
def adam_keeps_two(trainable: int) -> int:
    return 2 * trainable


@rule(
    "LoRA of rank r trains r·(d + k) numbers of a matrix of d·k.",
    unit="1",
    text="r*(d + k)",
    where={"r": "rank", "d": "rows of the matrix", "k": "columns of the matrix"},
    source="Hu et al. 2021, section 4.1, https://arxiv.org/abs/2106.09685",
    holds="each adapted matrix; no bias",
    steps=[
        Step("One factor has d rows and r columns.", "a = d*r"),
        Step("The other r rows and k columns.", "b = r*k"),
        Step("Both:", "a + b = r*(d + k)"),
    ],
    example={"r": 8, "d": 4096, "k": 4096},
)
def low_rank_numbers(rank: int, rows: int, columns: int) -> int:
    return rank * (rows + columns)
