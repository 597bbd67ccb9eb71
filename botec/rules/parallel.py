"""Rules of thumb about many devices, and about serving one token at a time."""

from __future__ import annotations

from botec.rules.book import Step, rule


@rule(
    "Decoding runs at bandwidth ÷ bytes of the weights: every token reads all of them.",
    unit="1/s",
    text="w/M",
    where={"w": "bandwidth in bytes a second", "M": "bytes of the weights"},
    source="Pope et al. 2022, section 3, https://arxiv.org/abs/2211.05102",
    holds="one sequence at a time and a short context; an upper bound, since no kernel reads at "
    "full bandwidth",
    steps=[
        Step("A token's time is at least what reading the weights takes.", "t = M/w"),
        Step("Tokens a second:", "1/t = w/M"),
    ],
    example={"w": 2.039e12, "M": 13.5e9},
)
def decode_speed(bandwidth: float, weights: float) -> float:
    return bandwidth / weights


@rule(
    "A ring all-reduce of n devices moves 2·(n-1)/n of the data over each link.",
    unit="1",
    along="n",
    text="2*(n - 1)/n",
    where={"n": "devices in the ring"},
    source="Patarasuk and Yuan 2009, https://doi.org/10.1016/j.jpdc.2008.09.002",
    holds="large messages: bandwidth counts, latency does not",
    steps=[
        Step("Sum up: each device sends n - 1 pieces of 1/n.", "s = (n - 1)/n"),
        Step("Hand round: as many again.", "g = (n - 1)/n"),
        Step("Both:", "s + g = 2*(n - 1)/n"),
    ],
    example={"n": 8},
)
def ring_all_reduce(devices: int) -> float:
    return 2 * (devices - 1) / devices


@rule(
    "A pipeline of p stages and m micro-batches idles (p-1)/m of its work.",
    unit="1",
    along="m",
    text="(p - 1)/m",
    where={"p": "stages", "m": "micro-batches"},
    source="Narayanan et al. 2021, section 2.2.1, https://arxiv.org/abs/2104.04473",
    holds="equal stages, all forward then all backward, or one forward one backward",
    steps=[
        Step("A stage works m times t.", "w = m*t"),
        Step("It waits while p - 1 others fill and empty.", "b = (p - 1)*t"),
        Step("Their ratio:", "b/w = (p - 1)/m"),
    ],
    example={"p": 8, "m": 32},
)
def pipeline_bubble(stages: int, micro_batches: int) -> float:
    return (stages - 1) / micro_batches


@rule(
    "Amdahl: with a share f made s times faster, the whole is 1/(1 - f + f/s) times faster.",
    unit="1",
    along="s",
    text="1/(1 - f + f/s)",
    where={"f": "share of the time that is made faster", "s": "how many times faster"},
    source="Amdahl 1967, https://doi.org/10.1145/1465482.1465560",
    holds="the rest takes as long as before",
    steps=[
        Step("The rest of a time T:", "r = (1 - f)*T"),
        Step("The faster part:", "q = f*T/s"),
        Step("Old time by new time:", "T/(r + q) = 1/(1 - f + f/s)"),
    ],
    example={"f": 0.9, "s": 8},
)
def amdahl(share: float, times_faster: float) -> float:
    return 1 / (1 - share + share / times_faster)
