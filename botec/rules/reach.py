"""Rules of thumb about what convolutions make of sizes, and what they see."""

from __future__ import annotations

from botec.rules.book import Step, rule

ARAUJO = (
    "Araujo, Norris & Sim 2019, Computing receptive fields of convolutional neural networks, "
    "https://distill.pub/2019/computing-receptive-fields"
)
GUIDE = "Dumoulin & Visin 2016, relationship 6, https://arxiv.org/abs/1603.07285"


LETTERS = {"W": "input places", "K": "kernel", "S": "stride", "P": "padding on either side"}


@rule(
    "A convolution's output has (W + 2P - K)/S + 1 places, rounded down.",
    unit="1",
    text="floor((W + 2*P - K)/S) + 1",
    where=LETTERS,
    source=GUIDE,
    holds="no dilation (with dilation D, D(K - 1) + 1 stands for K); the window fits in",
    steps=[
        Step("With padding there are W + 2P places.", "a = W + 2*P"),
        Step("A window may start at the first, and no later than K before the end.", "l = a - K"),
        Step(
            "Every S-th of these starts, with the first one.",
            "floor(l/S) + 1 = floor((W + 2*P - K)/S) + 1",
        ),
    ],
    example={"W": 224, "K": 7, "S": 2, "P": 3},
)
def output_places(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


@rule(
    "For V output places a convolution needs S(V - 1) + K - 2P input places.",
    unit="1",
    text="S*(V - 1) + K - 2*P",
    where={"V": "output places", **{k: v for k, v in LETTERS.items() if k != "W"}},
    source=f"{ARAUJO}, equation 1 solved for the input",
    holds="no dilation; the smallest such input (up to S - 1 more give the same output)",
    steps=[
        Step("The last window starts V - 1 strides after the first.", "l = S*(V - 1)"),
        Step(
            "It ends K places on, and 2P of all these are padding.",
            "l + K - 2*P = S*(V - 1) + K - 2*P",
        ),
    ],
    example={"V": 112, "K": 7, "S": 2, "P": 3},
)
def input_places(made: int, kernel: int, stride: int, padding: int) -> int:
    return stride * (made - 1) + kernel - 2 * padding


@rule(
    "A chain of windows sees Σ(K - 1)∏S + 1 places, ∏S over the layers before; here three layers.",
    unit="1",
    text="(K - 1) + (L - 1)*S + (M - 1)*S*T + 1",
    where={"K": "first kernel", "S": "first stride", "L": "second kernel", "T": "second stride",
           "M": "third kernel"},
    source=f"{ARAUJO}, equation 2",
    holds="one chain, no dilation (with D, D(K - 1) stands for K - 1), away from borders",
    steps=[
        Step("One place of the third layer sees M places of the second.", "a = M"),
        Step("The windows of a places start T(a - 1) apart from end to end.", "b = T*(a - 1) + L"),
        Step("So do those of b places, one layer earlier.",
             "S*(b - 1) + K = (K - 1) + (L - 1)*S + (M - 1)*S*T + 1"),
    ],
    example={"K": 7, "S": 2, "L": 3, "T": 2, "M": 3},
)  # fmt: skip
def reach_of_a_chain(first: int, stride: int, second: int, next_stride: int, third: int) -> int:
    return (first - 1) + (second - 1) * stride + (third - 1) * stride * next_stride + 1


@rule(
    "Padding does not widen the reach: with K = 3 and P = 1 every place still sees 3.",
    unit="1",
    text="K",
    where={"K": "kernel", "P": "padding on either side"},
    source=f"{ARAUJO}, equation 2 has no P in it",
    holds="padding adds places to the output; what they see of it is no part of the picture",
    steps=[
        Step("Output place u sees from u - P.", "f = u - P"),
        Step("It sees up to u - P + K - 1.", "g = u - P + K - 1"),
        Step("From the first to the last, padding falls out.", "g - f + 1 = K"),
    ],
    example={"K": 3, "P": 1},
)
def reach_with_padding(kernel: int, padding: int) -> int:
    return kernel
