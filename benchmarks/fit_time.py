"""Fit the class efficiencies that botec ships, on public measurements, and say how well they hold.

    python -m benchmarks.fit_time [-o botec/analyses/duration/efficiencies.toml]

The measurements are timm's own benchmark tables (`data/SOURCES.md`); the work of every model was
read by botec (`python -m benchmarks.trace_time` makes `data/timm_*_work.jsonl.xz` anew). Model
families (files of timm) are dealt out into five folds: no family is in the fit and in the test.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import lzma
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from benchmarks import sharded
from botec.analyses.duration.speeds import reachable
from botec.devices import Device, device, devices

DATA = Path(__file__).parent / "data"
OUTPUT = Path(__file__).parent.parent / "botec/analyses/duration/efficiencies.toml"
SHORT = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
TF32_FROM = (8, 0)
FOLDS = 5
EDGE = 0.1  # logarithm of time from which an error counts by its size, not its square (Huber)
PULL = 1e-4  # how strongly a class is held at its usual efficiency
USUAL_OPERATIONS, USUAL_BYTES, USUAL_OVERHEAD, USUAL_SHARPNESS = 0.8, 0.7, 4e-6, 2.5
BAND = (0.1, 0.9)
KINDS = ("infer", "train")
SHARDED = (
    "Efficiencies of ops were fitted to timm's public timings on RTX 3090 and 4090, this device's "
    "scalar to llm-foundry's of sharded training."
)
#: Classes no table has: near which one, what part of it, and whether its bytes are meant too.
UNSEEN = {
    "attention, backward": ("attention", 0.8, True),  # Dao 2023, FlashAttention-2, section 4.1
    "convolution transposed": ("convolution", 0.5, True),
    "convolution transposed, backward": ("convolution, backward", 0.5, True),
    "recurrent": ("matmul", 0.3, True),
    "recurrent, backward": ("matmul", 0.3, True),
    "transform": ("matmul", 0.1, True),
    "decomposition": ("matmul", 0.05, True),
    "sort": ("copy", 0.05, True),
    "loss": ("reduction", 0.7, True),
}
# Nothing multiplies faster than the peak (boost clocks allow a little), nothing reads much faster
# than memory does even where caches help: without limits two roofs trade places.
MOST_OPERATIONS, MOST_BYTES = np.log((0.05, 1.35)), np.log((0.08, 1.6))
OVERHEADS, POWERS = np.log((2e-6, 8e-6)), np.log((0.8, 7.0))
#: Bands of a calibrated machine and of ops timed one by one: benchmarks/accuracy/time_here.py.
HERE = {
    "measured-here.infer": (0.88, 1.14), "measured-here.train": (0.93, 1.26),
    "exact.infer": (0.92, 1.14), "exact.train": (0.95, 1.22),
}  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """One public table: a device, what was run on it, and seconds of a step by model."""

    device: str
    kind: str
    seconds: Mapping[tuple[str, int, int], float]

    @property
    def name(self) -> str:
        """``rtx-3090 infer``."""
        return f"{self.device} {self.kind}"


@dataclass(frozen=True)
class Models:
    """Every model's work as rows: ``model, class and type, operations, bytes, times``."""

    keys: list[tuple[str, int, int]]
    families: list[str]
    kinds: list[tuple[str, str]]
    rows: Any
    parameters: list[int] = field(default_factory=list)


@cache
def runs(name: str, kind: str) -> Runs:
    """The table of a device (``rtx-3090``) and kind (``infer``, ``train``)."""
    with (DATA / f"timm_{kind}_{name}.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    return Runs(name, kind, {
        (line["model"], int(line["size"]), int(line["batch"])):
        int(line["batch"]) / float(line["examples_per_second"])
        for line in lines
    })  # fmt: skip


@cache
def models(kind: str) -> Models:
    """What botec read of every model of the tables of a kind."""
    text = lzma.decompress((DATA / f"timm_{kind}_work.jsonl.xz").read_bytes()).decode()
    head, *lines = (json.loads(line) for line in text.splitlines())
    kinds = [tuple(name.split("|")) for name in head["kinds"]]
    rows = [(place, *row) for place, one in enumerate(lines) for row in one["work"]]
    keys = [(one["model"], one["size"], one["batch"]) for one in lines]
    return Models(keys, [one["family"] for one in lines], kinds, np.array(rows, dtype=float),
                  [one["parameters"] for one in lines])  # fmt: skip


def ceiling() -> float:
    """What the best product reaches of its peak, where the catalogue has it measured: a median."""
    shares = [
        one.measured("bf16") / one.peak("bf16")
        for one in devices()
        if one.vendor == "NVIDIA" and one.measured("bf16") and one.peak("bf16")
    ]
    return float(np.median(shares))


def roof(one: Device, name: str, dtype: str) -> float:
    """Operations a second that a class is measured against on a device."""
    short = SHORT.get(dtype, "fp32")
    capability = one.capability or (0, 0)
    if short == "fp32" and name.startswith("convolution") and capability >= TF32_FROM:
        short = "tf32"
    return reachable(one, SHORT.get(dtype, "fp32"), one.peak(short) or one.peak("fp32") or 1.0)


@dataclass
class Set:
    """One table laid over its models' rows, ready to be fitted: roofs and the wanted logarithms."""

    runs: Runs
    models: Models
    classes: Sequence[str]

    def __post_init__(self) -> None:
        """Arrays of the rows: which class, which roof; and which models were timed."""
        one, rows = device(self.runs.device), self.models.rows
        kinds = self.models.kinds
        own = np.array([self.classes.index(name) for name, _ in kinds])
        roofs = np.array([roof(one, name, dtype) for name, dtype in kinds])
        which = rows[:, 1].astype(int)
        self.model, self.own, self.roof = rows[:, 0].astype(int), own[which], roofs[which]
        self.operations, self.bytes, self.times = rows[:, 2], rows[:, 3], rows[:, 4]
        self.bandwidth = one.bandwidth or 1.0
        places = {key: place for place, key in enumerate(self.models.keys)}
        known = [key for key in self.runs.seconds if key in places]
        self.timed = np.array([places[key] for key in known])
        self.seconds = np.full(len(places), np.nan)
        self.seconds[self.timed] = [self.runs.seconds[key] for key in known]
        self.families = np.array(self.models.families)


@dataclass
class Fitted:
    """Logarithms of what was fitted; ``scalars`` multiply a device's times."""

    classes: Sequence[str]
    operations: Any
    bytes: Any
    overhead: dict[str, float]
    sharpness: float
    scalars: dict[str, float]

    def predicted(self, one: Set) -> Any:
        """Seconds of every model of a set's file."""
        times, *_ = seconds_of(one, slice(None), self)
        total = np.bincount(one.model, times, len(one.families))
        return total * self.scalars.get(one.runs.device, 1.0)


def seconds_of(one: Set, chosen: Any, fitted: Fitted) -> tuple[Any, ...]:
    """Seconds of every row, and what its logarithms change: operations, bytes, overhead, power."""
    own, times = one.own[chosen], one.times[chosen]
    power = 1 + np.exp(fitted.sharpness)
    memory = one.bytes[chosen] / (one.bandwidth * np.exp(fitted.bytes)[own])
    overhead = np.exp(fitted.overhead[one.runs.kind]) * times
    both, zero = memory * times, np.zeros_like(memory)
    by_compute, by_memory, by_power = zero, -both, zero.copy()
    two = one.operations[chosen] > 0  # rows with both roofs; the others are memory's alone
    compute = one.operations[chosen][two] / (one.roof[chosen] * np.exp(fitted.operations)[own])[two]
    more, less = np.maximum(compute, memory[two]), np.minimum(compute, memory[two])
    ratio = np.maximum(less / np.maximum(more, 1e-30), 1e-12)
    small = ratio**power
    both[two] = more * (1 + small) ** (1 / power) * times[two]
    of_more, of_less = -both[two] / (1 + small), -both[two] * small / (1 + small)
    first = compute >= memory[two]
    by_compute[two] = np.where(first, of_more, of_less)
    by_memory[two] = np.where(first, of_less, of_more)
    bent = small * np.log(ratio) / ((1 + small) * power) - np.log1p(small) / power**2
    by_power[two] = both[two] * bent * (power - 1)
    return both + overhead, by_compute, by_memory, overhead, by_power


def fit(sets: Sequence[Set], chosen: Sequence[Any], steps: int = 200) -> Fitted:
    """Efficiencies of all classes from several tables at once; ``chosen`` are the models of each.

    Every device has one scalar; the first one's is 1. Errors are Huber's, of logarithms, a table's
    mean each.
    """
    classes = sets[0].classes
    count, names = len(classes), list(dict.fromkeys(one.runs.device for one in sets))
    start = np.zeros(2 * count + 3 + len(names))
    start[:count], start[count : 2 * count] = np.log(USUAL_OPERATIONS), np.log(USUAL_BYTES)
    start[2 * count : 2 * count + 2] = np.log(USUAL_OVERHEAD)
    start[2 * count + 2] = np.log(USUAL_SHARPNESS - 1)
    parts = [prepared(one, which) for one, which in zip(sets, chosen, strict=True)]

    def loss(x: Any) -> tuple[float, Any]:
        fitted = unpacked(x, classes, names)
        total, slope = 0.0, np.zeros_like(x)
        for place, (one, which) in enumerate(zip(sets, chosen, strict=True)):
            own = names.index(one.runs.device)
            total += one_loss(one, which, parts[place], fitted, x, own, slope)
        away = x - start
        return total + PULL * (away @ away), slope + 2 * PULL * away

    limits = [*[MOST_OPERATIONS] * count, *[MOST_BYTES] * count, OVERHEADS, OVERHEADS, POWERS]
    limits += [(None, None)] * len(names)
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": steps}
    )
    return unpacked(found.x, classes, names)


def prepared(one: Set, which: Any) -> Any:
    kept = np.zeros(len(one.families), dtype=bool)
    kept[which] = True
    return kept[one.model]


def one_loss(
    one: Set, which: Any, rows: Any, fitted: Fitted, x: Any, place: int, slope: Any
) -> float:
    """The loss of one table; its slope is added to ``slope``."""
    count = len(one.classes)
    times, *changes = seconds_of(one, rows, fitted)
    total = np.bincount(one.model[rows], times, len(one.families))[which]
    scalar = x[2 * count + 3 + place] if place else 0.0
    error = np.log(total) + scalar - np.log(one.seconds[which])
    size = np.abs(error)
    pulled = np.where(size < EDGE, error, EDGE * np.sign(error)) / len(error)
    weight = np.zeros(len(one.families))
    weight[which] = pulled / total
    each, own = weight[one.model[rows]], one.own[rows]
    slope[:count] += np.bincount(own, changes[0] * each, count)
    slope[count : 2 * count] += np.bincount(own, changes[1] * each, count)
    slope[2 * count + KINDS.index(one.runs.kind)] += changes[2] @ each
    slope[2 * count + 2] += changes[3] @ each
    if place:
        slope[2 * count + 3 + place] += pulled.sum()
    return float(np.where(size < EDGE, error**2 / 2, EDGE * (size - EDGE / 2)).mean())


def unpacked(x: Any, classes: Sequence[str], names: Sequence[str]) -> Fitted:
    count = len(classes)
    scalars = {name: float(np.exp(x[2 * count + 3 + place])) if place else 1.0
               for place, name in enumerate(names)}  # fmt: skip
    overheads = dict(zip(KINDS, x[2 * count : 2 * count + 2], strict=True))
    efficiencies = x[:count], x[count : 2 * count]
    return Fitted(classes, *efficiencies, overheads, x[2 * count + 2], scalars)


def folds(families: Iterable[str]) -> dict[str, int]:
    """Which fold a family is in: the largest first, each to the fold with the fewest models."""
    counts = Counter(families)
    sizes, found = [0] * FOLDS, {}
    for family in sorted(counts, key=lambda name: (-counts[name], name)):
        found[family] = int(np.argmin(sizes))
        sizes[found[family]] += counts[family]
    return found


@cache
def tables() -> tuple[Set, ...]:
    """The three public tables over one list of classes."""
    sources = (("rtx-3090", "infer"), ("rtx-4090", "infer"), ("rtx-3090", "train"))
    known = {name for kind in ("infer", "train") for name, _ in models(kind).kinds}
    classes = sorted(known)
    return tuple(Set(runs(name, kind), models(kind), classes) for name, kind in sources)


@dataclass
class Held:
    """Predictions of models whose families the fit had not seen, beside their measured seconds."""

    keys: list[tuple[str, int, int]]
    families: list[str]
    predicted: Any
    measured: Any
    fold: Any

    @property
    def ratios(self) -> Any:
        """Measured over predicted."""
        return self.measured / self.predicted

    @property
    def errors(self) -> Any:
        """Sizes of the relative errors."""
        return np.abs(self.predicted / self.measured - 1)


@cache
def dealt() -> dict[str, int]:
    """The fold of every family of the tables."""
    return folds([name for one in tables() for name in np.array(one.families)[one.timed]])


@cache
def left_out(fit_on: tuple[str, ...]) -> tuple[Fitted, ...]:
    """One fit for each fold, made without that fold's families."""
    sets = [one for one in tables() if one.runs.name in fit_on]
    print(f"  fitting {', '.join(fit_on)} with each fold left out", file=sys.stderr)
    return tuple(
        fit(sets, [
            np.array([p for p in one.timed if dealt()[one.families[p]] != number]) for one in sets
        ])
        for number in range(FOLDS)
    )  # fmt: skip


@cache
def cross_validated(fit_on: tuple[str, ...], test_on: str) -> Held:
    """Fit on some tables with a fold's families left out, predict those of another table."""
    test = next(one for one in tables() if one.runs.name == test_on)
    predicted, fold = np.full(len(test.families), np.nan), np.full(len(test.families), -1)
    for number, fitted in enumerate(left_out(fit_on)):
        mine = [p for p in test.timed if dealt()[test.families[p]] == number]
        predicted[mine], fold[mine] = fitted.predicted(test)[mine], number
    place = test.timed
    return Held(
        [test.models.keys[p] for p in place], [test.families[p] for p in place],
        predicted[place], test.seconds[place], fold[place],
    )  # fmt: skip


def band(ratios: Any) -> tuple[float, float]:
    """Between which factors four of five measured times lie."""
    low, high = np.quantile(ratios, BAND)
    return float(low), float(high)


def coverage(held: Held) -> float:
    """The share of rows inside a band that was made of the other folds' rows."""
    inside = []
    for number in range(FOLDS):
        own, others = held.fold == number, held.fold != number
        low, high = band(held.ratios[others])
        inside.append((held.ratios[own] >= low) & (held.ratios[own] <= high))
    return float(np.concatenate(inside).mean())


ALL = ("rtx-3090 infer", "rtx-4090 infer", "rtx-3090 train")
TRANSFERS = {"rtx-4090 infer": ("rtx-3090 infer",), "rtx-3090 infer": ("rtx-4090 infer",)}


def words(held: Held) -> str:
    """Errors in short."""
    errors = 100 * held.errors
    return (
        f"{len(errors)} models, median {np.median(errors):.1f} %, mean {errors.mean():.1f} %, "
        f"90th of 100 {np.quantile(errors, 0.9):.1f} %"
    )


def written(fitted: Fitted) -> str:
    """The file botec ships."""
    held = {name: cross_validated(ALL, name) for name in ALL}
    moved = {name: cross_validated(source, name) for name, source in TRANSFERS.items()}
    infer = np.concatenate([held[name].ratios for name in ALL[:2]])
    unseen = np.concatenate([one.ratios for one in moved.values()])
    bands = {
        "calibrated.infer": band(infer),
        "calibrated.train": band(held[ALL[2]].ratios),
        "data-sheet.infer": band(unseen),
        "data-sheet.train": wider(band(unseen), band(held[ALL[2]].ratios), band(infer)),
        **HERE,
    }
    lines = [
        "# Class efficiencies for botec time; made by python -m benchmarks.fit_time, do not edit.",
        "# Source of the measurements: timm's results/benchmark-*.csv (Apache-2.0), RTX 3090 and",
        "# 4090, AMP, NCHW. Errors below are of model families the fit had not seen.",
        *(f"#   {name}: {words(one)}, band holds for {coverage(one):.0%}"
          for name, one in held.items()),
        *(f"#   {name} from the other device: {words(one)}, band holds for {coverage(one):.0%}"
          for name, one in moved.items()),
        f'date = "{datetime.date.today().isoformat()}"',
        'vendor = "NVIDIA"',
        'note = "Efficiencies of ops were fitted to timm\'s public timings on RTX 3090 and 4090."',
        f"ceiling = {ceiling():.4g}",
        *(f"overhead.{kind} = {np.exp(own):.4g}" for kind, own in fitted.overhead.items()),
        f"sharpness = {1 + np.exp(fitted.sharpness):.4g}",
        "", "# Share of the reachable rate of products.", "[operations]",
    ]  # fmt: skip
    multiplying = {name for one in tables() for name in used(one)}
    pairs = list(zip(fitted.classes, np.exp(fitted.operations), strict=True))
    lines += shares({name: own for name, own in pairs if name in multiplying})
    lines += ["", "# Share of the data sheet's bandwidth.", "[bytes]"]
    lines += shares(dict(zip(fitted.classes, np.exp(fitted.bytes), strict=True)), False)
    lines += ["", "# How much longer a device takes than its sheet and the classes say."]
    lines += scalar_lines(fitted)
    lines += ["", "# Share of a collective's time that shows though work could cover it.",
              "[exchange]", f"share = {sharded.SHARE}"]  # fmt: skip
    lines += ["", "# Four of five measured times lie between low and high times the predicted one."]
    for name, (low, high) in bands.items():
        lines += [f'[bands."{name}"]', f"low = {low:.4g}", f"high = {high:.4g}"]
    return "\n".join(lines) + "\n"


def scalar_lines(fitted: Fitted) -> list[str]:
    """A scalar for each device somebody timed, and for each kind the mean of its devices'.

    The data centre's come from sharded training of language models (benchmarks/sharded.py), and
    have bands of their own: from other model sizes, and from the other device.
    """
    lines = []
    for name, scalar in fitted.scalars.items():
        lines += [f"[devices.{name}]", f"scalar = {scalar:.4g}"]
    logarithms = []
    for name in sharded.DEVICES:
        scalar, _ = sharded.scalars(sharded.of(name), with_attention=False)
        logarithms.append(np.log(scalar))
        lines += [f"[devices.{device(name).name}]", f"scalar = {scalar:.4g}", f'note = "{SHARDED}"']
        lines += limits(sharded.held_out(name, with_attention=False))
    lines += ["", "# Of devices nobody timed, by their kind."]
    own = np.exp(np.mean(np.log(list(fitted.scalars.values()))))
    lines += ["[kinds.consumer]", f"scalar = {own:.4g}"]
    lines += ['[kinds."data centre"]', f"scalar = {np.exp(np.mean(logarithms)):.4g}"]
    return lines + limits([pair for one in sharded.DEVICES for pair in sharded.crossed(one)])


def limits(found: Sequence[tuple[sharded.Row, float]]) -> list[str]:
    """The band of rows beside their predictions."""
    low, high = band(np.array([one.measured / predicted for one, predicted in found]))
    return [f"low = {low:.4g}", f"high = {high:.4g}"]


def shares(known: Mapping[str, float], multiplying: bool = True) -> list[str]:
    """Lines of the file: what was fitted, then what no table has, from what is nearest to it."""
    lines = [f'"{name}" = {own:.4g}' for name, own in known.items()]
    for name, (near, part, of_bytes) in UNSEEN.items():
        if name not in known and near in known and (of_bytes or multiplying):
            lines.append(f'"{name}" = {known[near] * part:.4g}  # not fitted: {part} of {near}')
    return lines


def wider(one: tuple[float, float], two: tuple[float, float], base: tuple[float, float]) -> Any:
    """A training band for a device nobody timed: training's own, widened as inference's was."""
    return two[0] * one[0] / base[0], two[1] * one[1] / base[1]


def used(one: Set) -> set[str]:
    """Classes that have multiplications anywhere in a table."""
    return {one.classes[place] for place in np.unique(one.own[one.operations > 0])}


def main() -> int:
    """Fit all tables, write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    output = parser.parse_args().output
    sets = tables()
    print("fitting efficiencies, and again with each fold left out", file=sys.stderr)
    fitted = fit(sets, [one.timed for one in sets])
    output.write_text(written(fitted), encoding="utf-8")
    print(f"written to {output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
