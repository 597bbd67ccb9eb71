"""Rules of thumb about single layers: fully connected ones, convolutions, transforms."""

from __future__ import annotations

import math

from botec.rules.book import Step, rule

NIELSEN = (
    "Nielsen 2015, Neural Networks and Deep Learning, chapter 2, "
    "http://neuralnetworksanddeeplearning.com/chap2.html"
)
TEXTBOOK = "Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.5, https://www.deeplearningbook.org"
UNIFORM = {"n": "examples", "K": "width of every layer", "L": "layers of weights"}


@rule(
    "A layer of K units after K units costs n·K² multiplications for n examples.",
    unit="multiplication",
    text="n*K**2",
    where={"n": "examples", "K": "width"},
    source=TEXTBOOK,
    holds="fully connected layers",
    steps=[
        Step("A unit multiplies its K inputs by K weights.", "u = K"),
        Step("There are K units and n examples.", "n*K*u = n*K**2"),
    ],
    example={"n": 32, "K": 512},
)
def square_of_the_width(examples: int, width: int) -> int:
    return examples * width**2


@rule(
    "Between layers of N and M units stand N·M multiplications for each example.",
    unit="multiplication",
    text="N*M",
    where={"N": "units before", "M": "units after"},
    source=NIELSEN,
    holds="fully connected layers; one example",
    steps=[
        Step("Each of the M units multiplies the N before it.", "M*N = N*M"),
    ],
    example={"N": 784, "M": 30},
)
def product_of_neighbours(before: int, after: int) -> int:
    return before * after


@rule(
    "Between layers of N and M units stand M sums over N + 1 terms and M activations: "
    "M·(N + 2) operations beside the products.",
    unit="flop",
    text="M*(N + 2)",
    where={"N": "units before", "M": "units after"},
    source=NIELSEN,
    holds="fully connected layers with a bias, an activation counted as one operation; one example",
    steps=[
        Step("A sum over N products and the bias has N additions.", "a = N"),
        Step("Counted as N + 1 terms, as the sum's own loop runs:", "t = a + 1"),
        Step("One activation.", "M*(t + 1) = M*(N + 2)"),
    ],
    example={"N": 784, "M": 30},
)
def sums_and_activations(before: int, after: int) -> int:
    return after * (before + 2)


@rule(
    "Three layers of 30, 30 and 30 units multiply 1,800 times.",
    unit="multiplication",
    text="N*M + M*P",
    where={"N": "units of the first layer", "M": "of the second", "P": "of the third"},
    source=NIELSEN,
    holds="fully connected layers; one example, forward",
    steps=[
        Step("Between the first two:", "f = N*M"),
        Step("Between the last two:", "s = M*P"),
        Step("Both:", "f + s = N*M + M*P"),
    ],
    example={"N": 30, "M": 30, "P": 30},
)
def thirty_thirty_thirty(first: int, second: int, third: int) -> int:
    return first * second + second * third


@rule(
    "A forward pass through L layers of width K costs n·K²·L multiplications.",
    unit="multiplication",
    beside="multiplications.forward",
    text="n*K**2*L",
    where=UNIFORM,
    source=TEXTBOOK,
    holds="fully connected layers of one width",
    steps=[
        Step("Every layer costs the same.", "l = n*K**2"),
        Step("There are L of them.", "Sum(l, (i, 1, L)) = n*K**2*L"),
    ],
    example={"n": 32, "K": 512, "L": 8},
)
def forward_of_equal_layers(examples: int, uniform_width: int, linear_layers: int) -> int:
    return examples * uniform_width**2 * linear_layers


@rule(
    "A training step through L layers of width K costs 3·n·K²·L multiplications.",
    unit="multiplication",
    beside="multiplications.step",
    text="3*n*K**2*L",
    where=UNIFORM,
    source=TEXTBOOK,
    holds="fully connected layers of one width; exactly n·K² less, since the first layer's input "
    "needs no gradient",
    steps=[
        Step("Forward:", "F = n*K**2*L"),
        Step("Weight gradients: every layer.", "W = n*K**2*L"),
        Step("Input gradients: every layer; the first one's is not needed.", "X = n*K**2*L"),
        Step("All three:", "F + W + X = 3*n*K**2*L"),
    ],
    example={"n": 32, "K": 512, "L": 8},
)
def step_of_equal_layers(examples: int, uniform_width: int, linear_layers: int) -> int:
    return 3 * examples * uniform_width**2 * linear_layers


@rule(
    "A convolution multiplies n·C·K²·C'·H'·W' times.",
    unit="multiplication",
    text="n*C*K**2*D*H*W",
    where={
        "n": "examples", "C": "channels in", "K": "kernel size", "D": "channels out (C')",
        "H": "rows of the output (H')", "W": "columns of the output (W')",
    },
    source="Dumoulin and Visin 2016, https://arxiv.org/abs/1603.07285; "
    "Howard et al. 2017 (MobileNets), section 3.1, https://arxiv.org/abs/1704.04861",
    holds="one group; a kernel as wide as high; products with padding are counted",
    steps=[
        Step("One output number is a sum over C channels and K·K places.", "p = C*K**2"),
        Step("There are C'·H'·W' of them in each example.", "n*D*H*W*p = n*C*K**2*D*H*W"),
    ],
    example={"n": 1, "C": 3, "K": 7, "D": 64, "H": 112, "W": 112},
)  # fmt: skip
def convolution_products(
    examples: int, channels_in: int, kernel: int, channels_out: int, rows: int, columns: int
) -> int:
    return examples * channels_in * kernel**2 * channels_out * rows * columns


@rule(
    "A depthwise-separable convolution costs 1/C' + 1/K² of a full one.",
    unit="1",
    along="D",
    text="1/D + 1/K**2",
    where={"D": "channels out (C')", "K": "kernel size"},
    source="Howard et al. 2017 (MobileNets), section 3.1, https://arxiv.org/abs/1704.04861",
    holds="stride 1; as many depthwise channels as inputs",
    steps=[
        Step("Full, at each place:", "f = C*K**2*D"),
        Step("Depthwise: each channel by itself.", "d = C*K**2"),
        Step("Pointwise: channels mixed at each place.", "p = C*D"),
        Step("Their share:", "(d + p)/f = 1/D + 1/K**2"),
    ],
    example={"D": 256, "K": 3},
)
def separable_share(channels_out: int, kernel: int) -> float:
    return 1 / channels_out + 1 / kernel**2


@rule(
    "A fast Fourier transform costs n·log₂ n where the direct one costs n².",
    unit="multiplication",
    along="n",
    text="n*log(n, 2)",
    where={"n": "points, a power of two"},
    source="Cooley and Tukey 1965, https://doi.org/10.1090/S0025-5718-1965-0178586-1",
    holds="growth, not the constant: a radix-2 transform has (n/2)·log₂ n complex products",
    steps=[
        Step("One transform is two of half the size and n/2 products of twiddle factors, each "
             "used twice; counting both uses, T(n) = 2·T(n/2) + n.", "T = n*log(n, 2)"),
        Step("This solves it: twice the half and n more are the whole.",
             "2*((n/2)*log(n/2, 2)) + n = n*log(n, 2)"),
    ],
    example={"n": 1_000_000},
)  # fmt: skip
def fast_transform(points: int) -> float:
    return points * math.log2(points)


@rule(
    "A direct Fourier transform costs n² multiplications.",
    unit="multiplication",
    along="n",
    text="n**2",
    where={"n": "points"},
    source="Cooley and Tukey 1965, https://doi.org/10.1090/S0025-5718-1965-0178586-1",
    holds="complex products; each of n results sums n",
    steps=[Step("n results, each a sum over n points.", "n*n = n**2")],
    example={"n": 1_000_000},
)
def direct_transform(points: int) -> int:
    return points**2
