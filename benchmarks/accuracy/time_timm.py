"""timm's own benchmark tables: model families, and a device, that the fit had not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from benchmarks import fit_time
from benchmarks.accuracy import rows

ORDER = 60
TITLE = "Time of timm's models"
GOALS = {
    "rtx-3090 infer": "median 8 %, 90th 25 %", "rtx-4090 infer": "median 8 %, 90th 25 %",
    "rtx-3090 train": "median 9 %", "unseen": "median 15 %",
}  # fmt: skip
INTRODUCTION = """One number per model: seconds of a batch (AMP, NCHW, eager), as timm's benchmark
measured it, beside what botec says from the model's ops. Families (files of timm) are dealt into
five folds; a fold is predicted with efficiencies fitted to the other four. *Operations* is a
constant times the multiplications; *operations and bytes* adds the bytes moved and a constant, both
fitted on the same families. *Band* is the share of models inside the 80 % interval, whose width
came from the other folds.
"""


def described(held: fit_time.Held) -> list[Any]:
    """Errors of one held-out table, in words for a row."""
    return [*numbers(held.predicted, held.measured), f"{fit_time.coverage(held):.0%}"]


def numbers(predicted: Any, measured: Any) -> list[Any]:
    errors = np.abs(predicted / measured - 1)
    quantiles = [np.median(errors), errors.mean(), np.quantile(errors, 0.9)]
    within = [(errors <= limit).mean() for limit in (0.1, 0.25)]
    return [len(errors), *(f"{one:.1%}" for one in quantiles), *(f"{one:.0%}" for one in within)]


def simple(name: str, columns: Callable[[Any, Any], list[Any]]) -> tuple[Any, Any]:
    """A sum of columns, its factors fitted to the other folds' models: predicted, measured."""
    one = next(table for table in fit_time.tables() if table.runs.name == name)
    sums = [
        np.bincount(one.model, values * one.times, len(one.families))
        for values in (one.operations, one.bytes)
    ]
    made = np.stack(columns(*sums), 1)[one.timed]
    measured = one.seconds[one.timed]
    fold = np.array([fit_time.dealt()[one.families[place]] for place in one.timed])
    predicted = np.zeros(len(measured))
    for number in range(fit_time.FOLDS):
        own, others = fold == number, fold != number
        predicted[own] = made[own] @ factors(made[others], measured[others])
    return predicted, measured


def factors(columns: Any, measured: Any) -> Any:
    """Positive factors of columns, by errors of logarithms that count by their size."""
    start = np.log(np.median(measured / columns.mean(1)) / columns.shape[1])
    scale = np.median(columns, 0)

    def errors(x: Any) -> Any:
        return np.log((columns / scale) @ np.exp(x)) - np.log(measured)

    first = np.full(columns.shape[1], start + np.log(scale.mean()))
    found = least_squares(errors, first, loss="soft_l1", f_scale=0.1)
    return np.exp(found.x) / scale


SIMPLE: dict[str, Callable[[Any, Any], list[Any]]] = {
    "operations": lambda operations, moved: [np.maximum(operations, 1.0)],
    "operations and bytes": lambda operations, moved: [
        np.maximum(operations, 1.0), moved, np.full(len(moved), 1e6),
    ],
}  # fmt: skip


def table_of(name: str) -> list[list[Any]]:
    """Rows about one table: botec, then the simpler predictors."""
    found = [[name, "botec", *described(fit_time.cross_validated(fit_time.ALL, name)), GOALS[name]]]
    for title, columns in SIMPLE.items():
        found.append([name, title, *numbers(*simple(name, columns)), "", ""])
    return found


def unseen(name: str) -> list[Any]:
    """A device from its data sheet alone, with the other device's efficiencies."""
    source = fit_time.TRANSFERS[name]
    held = fit_time.cross_validated(source, name)
    return [name, f"{source[0].split()[0]} only", *described(held), GOALS["unseen"]]


def farthest(count: int = 12) -> list[list[Any]]:
    """The models with the largest errors, all tables together."""
    found = []
    for name in fit_time.ALL:
        held = fit_time.cross_validated(fit_time.ALL, name)
        for key, family, ratio in zip(held.keys, held.families, held.ratios, strict=True):
            found.append((abs(np.log(ratio)), [name, key[0], family, f"{ratio:.2f}"]))
    found.sort(key=lambda pair: -pair[0])
    best: dict[str, list[Any]] = {}
    for _, line in found:
        best.setdefault(line[2], line)
    return list(best.values())[:count]


HEADS = ("table", "predictor", "models", "median", "mean", "90th of 100", "within 10 %",
         "within 25 %", "band", "goal")  # fmt: skip


def made() -> dict[str, Any]:
    """All rows of the section."""
    return {
        "seen": [line for name in fit_time.ALL for line in table_of(name)],
        "unseen": [unseen(name) for name in fit_time.TRANSFERS],
        "farthest": farthest(),
    }


def section() -> str:
    """Families unseen, a device unseen, and where it errs most."""
    found = rows.worked_out("timm", made)
    worst = rows.table(("table", "model", "family", "measured / predicted"), found["farthest"])
    return "\n\n".join((
        INTRODUCTION, rows.table(HEADS, found["seen"]),
        "A device that the fit had not seen, from its data sheet (its families unseen too):",
        rows.table(HEADS, found["unseen"]),
        "The farthest model of each of the worst families. Nobody here had the cards to find out "
        "why. Slow ones have convolutions of unusual shapes (few channels over attention maps, "
        "windows of 9, 48 groups), for which a library may choose a slow kernel; of those that "
        "are faster than predicted many have group norms, which a flag of timm's benchmark keeps "
        "in half precision.",
        worst,
    ))  # fmt: skip
