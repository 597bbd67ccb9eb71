"""Loss of language models against parameters and tokens: two published fits of one law.

L(N, D) = E + A/N^α + B/D^β, with N parameters and D tokens. For a given compute C = 6·N·D the least
loss has N = G·(C/6)^(β/(α+β)) and D = (C/6)^(α/(α+β))/G, where G = (α·A/(β·B))^(1/(α+β)):
Hoffmann et al. 2022, section 3.3 and equation 4, https://arxiv.org/abs/2203.15556.

Constants: Hoffmann et al.'s own, unrounded (from the paper's TeX source: rounding α and β to two
digits moves tokens for each parameter by 57 %), and those of Besiroglu et al. 2024,
https://arxiv.org/abs/2404.10102, who fitted the same points again and gave standard errors. No
covariance is published, so the span between the two fits stands as the interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp


@dataclass(frozen=True)
class Law:
    """One fit: a name, its source and five constants."""

    name: str
    source: str
    irreducible: float
    a: float
    b: float
    alpha: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Nats a token of a model of N ``parameters`` trained on D ``tokens``, each seen once."""
        by_size = self.a / parameters**self.alpha
        return self.irreducible + by_size + self.b / tokens**self.beta

    def optimal(self, compute: float) -> tuple[float, float]:
        """``(N, D)`` of the least loss for ``compute`` = 6·N·D operations."""
        together = self.alpha + self.beta
        g = (self.alpha * self.a / (self.beta * self.b)) ** (1 / together)
        n = g * (compute / 6) ** (self.beta / together)
        return n, compute / 6 / n

    def tokens_for(self, parameters: float) -> float:
        """The D for which ``parameters`` is the best size: where both terms fall equally fast."""
        small = self.alpha * self.a / parameters**self.alpha
        return (self.beta * self.b / small) ** (1 / self.beta)


HOFFMANN = Law(
    "Hoffmann et al. 2022", "https://arxiv.org/abs/2203.15556",
    exp(0.52672), exp(6.00734), exp(6.01792), 0.33917, 0.28491,
)  # fmt: skip
BESIROGLU = Law(
    "Besiroglu et al. 2024", "https://arxiv.org/abs/2404.10102",
    1.8172, 482.01, 2085.43, 0.3478, 0.3658,
)  # fmt: skip
LAWS = (BESIROGLU, HOFFMANN)
