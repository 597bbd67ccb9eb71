"""Capacity against data: bounds and measured figures, each with what it assumes.

Three figures are often mixed that mean different things: 2 labels for each weight is what one
linear threshold unit can learn by heart (Cover 1965); about 3.6 bits for each parameter is what
language models were measured to store of random strings (Morris et al. 2025); about 2 bits of
knowledge for each parameter is what they were measured to store of facts seen a thousand times,
1 bit at a hundred (Allen-Zhu and Li 2025).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, comb, log2
from typing import Any

from botec.analyses.scaling import LAWS
from botec.errors import BadInput
from botec.report import Column, Counted, Figure, Figures, Section, Table, Text
from botec.units import Quantity

BITS_RAW, BITS_LOW, BITS_HIGH = 3.6, 2.0, 3.83
MORRIS = "Morris et al. 2025, https://arxiv.org/abs/2505.24832"
ALLEN_ZHU = "Allen-Zhu and Li 2025, https://arxiv.org/abs/2404.05405"
COVER = "Cover 1965, https://doi.org/10.1109/PGEC.1965.264137"
BELKIN = "Belkin et al. 2019, https://arxiv.org/abs/1812.11118"
ZHANG = "Zhang et al. 2017, theorem 1, https://arxiv.org/abs/1611.03530"
BARTLETT = "Bartlett et al. 2019, https://arxiv.org/abs/1703.02930"


@dataclass(frozen=True)
class Data:
    """What a network is to learn: ``examples`` of one of ``classes`` each, or ``tokens``."""

    examples: int | None = None
    classes: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < (2 if name == "classes" else 1):
                least = 2 if name == "classes" else 1
                raise BadInput(f"{name} are {value}", f"give at least {least}", f"--{name} {value}")


@dataclass(frozen=True)
class Network:
    """What of a network matters here: trained ``weights``, sizes in and out, layers of matrices."""

    weights: int
    inputs: int | None
    layers: int


def cover(points: int, weights: int) -> float:
    """The share of labellings of ``points`` in general position one threshold unit can make.

    T(N, K)/2^N = 2·ΣC(N-1, k)/2^N for k below K, 1 where N ≤ K (Cover 1965; MacKay 2003, ch. 40).
    """
    if points <= weights:
        return 1.0
    made = 2 * sum(comb(points - 1, k) for k in range(weights))
    return made / 2**points if points < 900 else float(made * 10**15 // 2**points) / 1e15


def narrowest(examples: int, inputs: int, classes: int) -> int:
    """The least width of one hidden layer with as many weights as there are outputs to set.

    Interpolation needs P ≥ n·K (degrees of freedom against equations), for K outputs of n examples:
    (d + 1 + K)·h + K ≥ n·K.
    """
    return max(1, ceil((examples * classes - classes) / (inputs + 1 + classes)))


def figures(network: Network) -> dict[str, Figure]:
    """``learn.capacity``: bits the weights can hold, with the span of what was measured."""
    p = network.weights
    counted = Counted(BITS_RAW * p, None, "estimate", why="measured on language models")
    title = "bits it can learn by heart"
    return {
        "learn.capacity": Figure(
            "learn.capacity", title, "bit", counted, low=BITS_LOW * p, high=BITS_HIGH * p
        )
    }


def sections(network: Network, data: Data) -> tuple[Section, ...]:
    """The card: bits, thresholds and widths; for language models compute and loss."""
    parts: list[Any] = [Figures(("learn.capacity",)), table(network, data)]
    told = enumerate(sources(rows_of(network, data)), 1)
    parts.append(Text("; ".join(f"[{place}] {source}" for place, source in told)))
    parts += map(Text, sentences(network, data))
    found = [Section("Capacity against data", tuple(parts))]
    if data.tokens:
        found.append(Section("Parameters and tokens", tuple(scaling(network, data.tokens))))
    return tuple(found)


def table(network: Network, data: Data) -> Table:
    """One bound a row: what it says, and what it assumes, with its source's number."""
    rows = list(rows_of(network, data))
    places = {source: place for place, source in enumerate(sources(rows), 1)}
    columns = (Column("what"), Column("here", "1", apart=True), Column("assumes"))
    cells = tuple(
        (what, here, f"{assumes} [{places[source]}]" if source else assumes)
        for what, here, assumes, source in rows
    )
    return Table("", columns, cells)


def sources(rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """The sources of the rows, each once, in their order."""
    return list(dict.fromkeys(row[3] for row in rows if row[3]))


def rows_of(network: Network, data: Data) -> Iterator[tuple[Any, ...]]:
    p, n, k = network.weights, data.examples, data.classes
    yield "trained parameters P", p, "", ""
    if n and k:
        yield "outputs to set, n·K", n * k, "one number for each class", ""
        yield "P ÷ n·K: near 1 test error peaks", p / (n * k), "square loss, no decay", BELKIN
        yield "bits of the labels, n·log₂K", n * log2(k), "labels by coin", ""
        yield "… ÷ bits it can hold", n * log2(k) / (BITS_RAW * p), "3.6 bits a weight", MORRIS
    if n and k and network.inputs:
        yield "narrowest hidden layer", narrowest(n, network.inputs, k), "P ≥ n·K", BELKIN
        yield "… weights that suffice", 2 * n + network.inputs, "one output, two layers", ZHANG
    if n:
        yield "examples for each parameter", n / p, "", ""
    yield "labels one unit of P weights learns", 2 * p, "one threshold unit", COVER
    yield "bits of facts it can hold", 2 * p, "each seen 1,000 times", ALLEN_ZHU
    if network.layers:
        bound = p * network.layers * log2(max(2, p))
        yield "order of its VC dimension", bound, "P·L·log P, no constant", BARTLETT


def sentences(network: Network, data: Data) -> Iterator[str]:
    """What the numbers mean, and what they do not."""
    p = network.weights
    if data.examples and data.classes:
        n, k = data.examples, data.classes
        ratio = p / (n * k)
        yield f"{verdict(ratio)} {p:,} parameters stand against {n * k:,} outputs to set."
        share = n * log2(k) / (BITS_RAW * p)
        yield (
            f"Labels given by coin carry {Quantity(n * log2(k), 'bit')}; it can hold about "
            f"{Quantity(BITS_RAW * p, 'bit')}: random labels could be learnt by heart"
            + (" many times over." if share < 0.1 else "." if share < 1 else " only in part.")
        )
    yield (
        "“A network should be as large as its task is hard” can honestly mean: labels that follow "
        "from the inputs by a short rule need few bits, and a network far larger than its data can "
        "still find the rule; none of these bounds says that it will."
    )
    yield (
        "Two labels a weight, 3.6 bits and 2 bits a parameter are different quantities: a bound "
        "for one linear unit, random strings stored by language models, and facts they were taught."
    )


def verdict(ratio: float) -> str:
    """Where a network stands beside the interpolation threshold."""
    if ratio < 0.5:
        return "It cannot fit every label: it has to find what examples share."
    if ratio <= 2:
        return "It stands at the interpolation threshold, where test error peaks without decay."
    return "It can fit every label, wrong ones too; what it finds depends on how it is trained."


def scaling(network: Network, tokens: int) -> Iterator[Any]:
    """The loss both fits expect, and the best split of the same compute."""
    n, compute = network.weights, 6 * network.weights * tokens
    rows = []
    for law in LAWS:
        best, data = law.optimal(compute)
        rows.append(
            (law.name, law.loss(n, tokens), best, data, data / best, law.loss(best, data),
             law.tokens_for(n))
        )  # fmt: skip
    columns = (
        Column("fit"), Column("loss, nats a token", "1"),
        Column("best parameters", "1", apart=True), Column("best tokens", "1", apart=True),
        Column("tokens a parameter", "1"),
        Column("its loss", "1"), Column("tokens this size wants", "1", apart=True),
    )  # fmt: skip
    yield Table("", columns, tuple(rows))
    low, high = sorted(row[1] for row in rows)
    yield Text(
        f"Expected loss {low:.3f} to {high:.3f} nats a token: the span between two fits of the "
        "same points; neither knows your data, your tokenizer or your architecture."
    )
    yield Text(
        f"Compute is taken as 6·N·D = {Quantity(compute, 'flop')}flop: attention and embeddings "
        "are not in it. Tokens repeated up to 4 times count almost as fresh ones (Muennighoff et "
        "al. 2023, https://arxiv.org/abs/2305.16264)."
    )


def peak_risk(examples: int, parameters: int, noise: float = 1.0) -> float:
    """Excess squared error of least squares below its threshold: σ²·P/(n - P - 1).

    Gaussian inputs, n > P + 1 (Hastie et al. 2022, section 3.2, https://arxiv.org/abs/1903.08560).
    """
    return noise * parameters / (examples - parameters - 1)
