"""Rules of thumb about how long it takes."""

from __future__ import annotations

from botec.rules.book import Step, rule

USUAL = 0.4  # utilisation that large training runs report


@rule(
    "Seconds are operations over four tenths of the peak.",
    unit="s",
    text="5*F/(2*R)",
    where={"F": "operations, two for a multiply-add", "R": "the device's peak"},
    source="Chowdhery et al. 2022 (PaLM), table 3: 21 to 46 % of the peak, "
    "https://arxiv.org/abs/2204.02311",
    holds="large matrix products in the type whose peak it is; small networks and those of many "
    "elementwise ops take longer",
    steps=[
        Step("A device does four tenths of its peak.", "r = 2*R/5"),
        Step("Time is work over rate.", "F/r = 5*F/(2*R)"),
    ],
    example={"F": 4.089e9 * 2, "R": 312e12},
)
def operations_over_rate(operations: float, peak: float) -> float:
    return operations / (USUAL * peak)


@rule(
    "A training step takes three times its forward pass: multiply your count by 3, or by 4 where "
    "blocks are recomputed.",
    unit="s",
    text="3*t",
    where={"t": "seconds of the forward pass"},
    source="Kaplan et al. 2020, section 2.1, https://arxiv.org/abs/2001.08361",
    holds="products take most of the time and the optimizer little of it",
    steps=[
        Step("The backward pass makes two products for each of the forward's.", "b = 2*t"),
        Step("The step is both.", "t + b = 3*t"),
    ],
    example={"t": 0.05},
)
def step_is_three_forwards(forward_seconds: float) -> float:
    return 3 * forward_seconds


@rule(
    "A few thousand multiplications take a CPU well under a millisecond.",
    unit="s",
    text="m/10**9",
    where={"m": "multiplications"},
    source="a core of 1 GHz that multiplies once a cycle; compare Dean 2009, numbers everyone "
    "should know, https://research.google/people/jeff/",
    holds="the arithmetic alone: a framework adds microseconds for every op it is asked",
    steps=[
        Step("A core makes at least one product in a nanosecond.", "s = 1/10**9"),
        Step("So many take:", "m*s = m/10**9"),
    ],
    example={"m": 5000},
)
def thousands_are_nothing(multiplications_in_all: float) -> float:
    return multiplications_in_all / 10**9


@rule(
    "A run takes its operations an example, times examples, times epochs, over the rate.",
    unit="s",
    text="f*n*e/r",
    where={
        "f": "operations of an example, forward and backward", "n": "examples", "e": "epochs",
        "r": "operations a second that are really reached",
    },
    source="Amodei and Hernandez 2018, AI and Compute, appendix, "
    "https://openai.com/research/ai-and-compute",
    holds="the rate is one that was seen, not a peak; loading data and validation are not in it",
    steps=[
        Step("All operations of a run.", "w = f*n*e"),
        Step("Time is work over rate.", "w/r = f*n*e/r"),
    ],
    example={"f": 24.5e9, "n": 1_281_167, "e": 90, "r": 1e14},
)  # fmt: skip
def run_over_rate(example_operations: float, examples: float, epochs: float, rate: float) -> float:
    return example_operations * examples * epochs / rate


@rule(
    "Below the ridge, peak over bandwidth, an op waits for memory.",
    unit="flop/B",
    text="R/w",
    where={"R": "the device's peak", "w": "its bandwidth in bytes a second"},
    source="Williams, Waterman and Patterson 2009, section 3, "
    "https://doi.org/10.1145/1498765.1498785",
    holds="one op at a time whose data come from memory, not from a cache",
    steps=[
        Step("At a operations a byte, compute and memory take F/R and F/(a·w) seconds.", "c = F/R"),
        Step("They are equal where a is the ridge.", "a = R/w"),
        Step("Then:", "F/(a*w) = c"),
        Step("So the ridge is", "a = R/w"),
    ],
    example={"R": 312e12, "w": 2.039e12},
)
def ridge_point(peak: float, bandwidth: float) -> float:
    return peak / bandwidth
