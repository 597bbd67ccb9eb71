"""Rules of thumb about how much work a network is."""

from __future__ import annotations

from botec.rules.book import rule


@rule(
    "Training costs three forwards: one forward, two for the backward pass.",
    unit="multiplication",
    source="Kaplan et al. 2020, section 2.1, https://arxiv.org/abs/2001.08361",
    holds="every product needs the gradient of both its factors; nothing is recomputed",
)
def three_forwards(forward: int) -> int:
    return 3 * forward


@rule(
    "The backward pass costs two forwards: one product for each factor's gradient.",
    unit="multiplication",
    source="Kaplan et al. 2020, section 2.1, https://arxiv.org/abs/2001.08361",
    holds="every product needs the gradient of both its factors; nothing is recomputed",
)
def two_forwards(forward: int) -> int:
    return 2 * forward


@rule(
    "A forward pass costs two operations for every parameter and token.",
    unit="flop",
    source="Kaplan et al. 2020, table 1 and equation 2.2, https://arxiv.org/abs/2001.08361",
    holds="dense transformers whose context is short beside their width",
)
def two_per_parameter_and_token(parameters: int, tokens: int) -> int:
    return 2 * parameters * tokens
