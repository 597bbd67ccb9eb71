"""Steps of sharded training of language models: public measurements beside what botec says of them.

The rows are llm-foundry's tables (`data/SOURCES.md`). Its MPT models are stood in for by GPT-2 of
the same sizes; two and three blocks were read at each row's batch and length, and blocks are added
to the published depth: `python -m benchmarks.trace_time mpt` makes the file anew.
"""

from __future__ import annotations

import csv
import json
import lzma
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import minimize

from botec.analyses.duration.run import exchange, link_of
from botec.analyses.duration.speeds import Speeds, speeds_of
from botec.analyses.duration.times import Work, parts_of
from botec.devices import device

DATA = Path(__file__).parent / "data"
SHARE = 0.05  # of a collective's time shows though work could cover it; see :func:`scalars`
OPTIMIZER = 28  # bytes read and written for a weight: weight, gradient, two averages in float32
REACHED = 0.6  # of the bandwidth, by the optimizer
DEVICES = ("a100", "h100")
FARTHEST = 0.5  # an error in logarithms that counts no more than this


@dataclass(frozen=True)
class Row:
    """One published run, its step measured, and predicted parts of one micro-batch at scalar 1."""

    device: str
    model: str
    tokens: int
    batch: int
    devices: int
    accumulate: int
    parameters: int
    measured: float
    attention: float
    other: float

    def predicted(self, scalar: float = 1.0, attention: float = 1.0) -> float:
        """Seconds of the step: all micro-batches with what is exchanged, the share's update."""
        sheet = device(self.device)
        work = scalar * (self.other + attention * self.attention)
        link = link_of(sheet, self.devices) or 1e9
        sent = exchange(self.parameters, 2, self.devices, work, link, SHARE)
        update = self.parameters / self.devices * OPTIMIZER / ((sheet.bandwidth or 1e12) * REACHED)
        return (work + sent.exposed) * self.accumulate + update


@cache
def works() -> dict[tuple[str, bool, int, int], list[Any]]:
    """What a micro-batch does, by model, checkpointing, tokens and batch: rows of
    ``[class, type, operations, bytes, times]``."""
    text = lzma.decompress((DATA / "mpt_work.jsonl.xz").read_bytes()).decode()
    lines = map(json.loads, text.splitlines())
    return {(one["model"], one["checkpoint"], one["tokens"], one["batch"]): one["work"]
            for one in lines}  # fmt: skip


@cache
def rows() -> tuple[Row, ...]:
    """Every row of the tables."""
    with (DATA / "llm_foundry_sharded.csv").open(encoding="utf-8", newline="") as file:
        return tuple(map(row, csv.DictReader(file)))


def row(line: dict[str, str]) -> Row:
    tokens, batch = int(line["tokens"]), int(line["batch"])
    accumulate = int(line["accumulate"])
    speeds = unscaled(line["device"])
    attention = other = 0.0
    for name, dtype, operations, moved, times in works()[
        line["model"], line["checkpoint"] == "1", tokens, batch
    ]:
        work = Work(name, dtype, "forward", 0, times, operations, moved)
        seconds = parts_of(work, operations, moved, speeds).seconds * times
        if name.startswith("attention"):
            attention += seconds
        else:
            other += seconds
    measured = tokens * batch * accumulate / float(line["tokens_per_second_per_device"])
    return Row(
        line["device"], line["model"], tokens, batch, int(line["devices"]), accumulate,
        int(line["parameters"]), measured, attention, other,
    )  # fmt: skip


@cache
def unscaled(name: str) -> Speeds:
    """A device by its data sheet alone: no scalar of its own or of its kind."""
    return speeds_of(device(name), train=True, scalar=1.0)


def scalars(chosen: Iterable[Row], with_attention: bool = True) -> tuple[float, float]:
    """The factor by which a device is slower than its sheet and the classes say, and that of its
    attention (llm-foundry ran FlashAttention 1; the class is fitted to version 2)."""
    given = list(chosen)

    def loss(logarithms: Sequence[float]) -> float:
        scalar = math.exp(logarithms[0])
        attention = math.exp(logarithms[-1]) if with_attention else 1.0
        return sum(
            min(abs(math.log(one.predicted(scalar, attention) / one.measured)), FARTHEST)
            for one in given
        )

    found = minimize(loss, [0.2, 0.4][: 1 + with_attention], method="Nelder-Mead")
    return math.exp(found.x[0]), math.exp(found.x[-1]) if with_attention else 1.0


def of(name: str) -> list[Row]:
    """The rows of a device."""
    return [one for one in rows() if one.device == name]


def crossed(name: str) -> list[tuple[Row, float]]:
    """A device's rows from its data sheet, with the other device's scalar."""
    others = [one for one in rows() if one.device != name]
    scalar, _ = scalars(others, with_attention=False)
    return [(one, one.predicted(scalar)) for one in of(name)]


def coverage(found: Sequence[tuple[Row, float]]) -> float:
    """The share of rows inside a band of 80 % that was made of the other model sizes' rows."""
    inside = []
    for one, predicted in found:
        others = [other.measured / own for other, own in found if other.model != one.model]
        low, high = np.quantile(others, (0.1, 0.9))
        inside.append(low <= one.measured / predicted <= high)
    return sum(inside) / len(inside)


def held_out(name: str, with_attention: bool = True) -> list[tuple[Row, float]]:
    """Each row of a device predicted with scalars from the other model sizes' rows."""
    own = of(name)
    found = []
    for model in dict.fromkeys(one.model for one in own):
        scalar, attention = scalars([one for one in own if one.model != model], with_attention)
        found += [(one, one.predicted(scalar, attention)) for one in own if one.model == model]
    return found


def constant_share(name: str) -> list[tuple[Row, float]]:
    """The simpler predictor: six operations a parameter and token, and those of attention, at the
    share of the peak that the other sizes reach at the median."""
    own = of(name)
    found = []
    for model in dict.fromkeys(one.model for one in own):
        others = [one.measured / model_work(one) for one in own if one.model != model]
        rate = median(others)
        found += [(one, model_work(one) * rate) for one in own if one.model == model]
    return found


LAYERS = {
    "125m": (768, 12), "350m": (1024, 24), "760m": (1536, 24), "1b": (2048, 24), "3b": (2560, 32),
    "7b": (4096, 32), "13b": (5120, 40), "30b": (7168, 48), "70b": (8192, 80),
}  # fmt: skip


def model_work(one: Row) -> float:
    """Operations of a device's step by the usual formula, recomputation left out."""
    width, layers = LAYERS[one.model]
    tokens = one.tokens * one.batch * one.accumulate
    return tokens * (6 * one.parameters + 12 * layers * width * one.tokens)
