"""Rules of thumb about how much memory a network takes."""

from __future__ import annotations

from botec.rules.book import Step, rule

BLOCK = {
    "s": "tokens of an example", "b": "examples", "h": "width of the block",
    "a": "heads of attention", "L": "blocks",
}  # fmt: skip


@rule(
    "Training with Adam takes four times the weights: weights, gradients and two averages.",
    unit="B",
    beside="memory.peak",
    text="4*W",
    where={"W": "bytes of the weights"},
    source="Rajbhandari et al. 2020 (ZeRO), section 3.1, https://arxiv.org/abs/1910.02054",
    holds="activations are small beside the weights; everything in one precision",
    steps=[
        Step("A gradient for every weight, of its type.", "G = W"),
        Step("Two running averages for every weight, of its type.", "A = 2*W"),
        Step("Together:", "W + G + A = 4*W"),
    ],
    example={"W": 28_000_000_000},
)
def four_times_the_weights(adam_weights: int) -> int:
    return 4 * adam_weights


@rule(
    "Training with Adam in mixed precision takes 16 bytes for every parameter.",
    unit="B",
    beside="memory.states",
    text="16*N",
    where={"N": "parameters"},
    source="Rajbhandari et al. 2020 (ZeRO), section 3.1, https://arxiv.org/abs/1910.02054",
    holds="16-bit weights and gradients, 32-bit copies of the weights and both averages; or all "
    "in 32 bits; activations apart",
    steps=[
        Step("Weights and gradients of 16 bits:", "W = 2*N + 2*N"),
        Step("A copy of the weights and two averages of 32 bits:", "A = 3*4*N"),
        Step("Together:", "W + A = 16*N"),
    ],
    example={"N": 7_000_000_000},
)
def sixteen_bytes_a_parameter(adam_parameters: int) -> int:
    return 16 * adam_parameters


@rule(
    "Training keeps every output of the forward pass twice: its value and its gradient.",
    unit="B",
    beside="memory.beside_states",
    text="2*B*N",
    where={"B": "examples", "N": "bytes of all outputs of one example"},
    source="Stanford CS231n, Convolutional networks, computational considerations, "
    "https://cs231n.github.io/convolutional-networks/",
    holds="weights apart; every layer's output is saved and nothing is freed before the end",
    steps=[
        Step("The values of a batch:", "V = B*N"),
        Step("A gradient for each value:", "G = B*N"),
        Step("Together:", "V + G = 2*B*N"),
    ],
    example={"B": 32, "N": 96_000_000},
)
def twice_the_outputs(trained_examples: int, outputs_of_one: int) -> int:
    return 2 * trained_examples * outputs_of_one


@rule(
    "Inference takes 1.2 times the weights.",
    unit="B",
    beside="memory.peak",
    text="1.2*W",
    where={"W": "bytes of the weights"},
    source="EleutherAI, Transformer Math 101, https://blog.eleuther.ai/transformer-math/",
    holds="small batches and short contexts of large language models",
    underived="a fifth is what its authors saw; nothing makes it follow",
    example={"W": 14_000_000_000},
)
def weights_and_a_fifth(inferred_weights: int) -> float:
    return 1.2 * inferred_weights


@rule(
    "A transformer block keeps s·b·h·(34 + 5·a·s/h) bytes of activations.",
    unit="B",
    beside="memory.saved",
    text="L*s*b*h*(34 + 5*a*s/h)",
    where=BLOCK,
    source="Korthikanti et al. 2022, section 4.1 and table 2, https://arxiv.org/abs/2205.05198",
    holds="blocks of GPT's form in 16 bits: four widths in the feed-forward layer, GELU, three "
    "dropouts with masks of one byte, attention written out",
    steps=[
        Step("Attention: its input, queries, keys, values and the output's input.", "p = 2+4+2+2"),
        Step("The mask of the dropout after it takes a byte each.", "d = 1"),
        Step(
            "Softmax's result, its dropout's mask and result for every pair of tokens.",
            "c = a*s**2*b*(2 + 1 + 2)",
        ),
        Step("Feed-forward: its input, GELU's input and result of four widths, a mask.",
             "f = 2 + 4*2 + 4*2 + 1"),
        Step("The inputs of two norms.", "n = 2 + 2"),
        Step("Together, over L blocks:",
             "L*(s*b*h*(p + d + f + n) + c) = L*s*b*h*(34 + 5*a*s/h)"),
    ],
    example={"s": 2048, "b": 4, "h": 6144, "a": 64, "L": 48},
)  # fmt: skip
def activations_of_a_block(
    sequence: int, examples: int, heads_width: int, heads: int, attentions: int
) -> int:
    each = 34 * sequence * examples * heads_width + 5 * heads * sequence * sequence * examples
    return attentions * each
