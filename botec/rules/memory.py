"""Rules of thumb about how much memory a network takes."""

from __future__ import annotations

from botec.rules.book import rule


@rule(
    "Training with Adam takes four times the weights: weights, gradients and two averages.",
    unit="B",
    source="Rajbhandari et al. 2020 (ZeRO), section 3.1, https://arxiv.org/abs/1910.02054",
    holds="activations are small beside the weights; everything in one precision",
)
def four_times_the_weights(weights: int) -> int:
    return 4 * weights


@rule(
    "Inference takes 1.2 times the weights.",
    unit="B",
    source="EleutherAI, Transformer Math 101, https://blog.eleuther.ai/transformer-math/",
    holds="small batches and short contexts of large language models",
)
def weights_and_a_fifth(weights: int) -> float:
    return 1.2 * weights
