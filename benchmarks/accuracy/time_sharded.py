"""llm-foundry's tables: sharded training of language models on A100 and H100, sizes held out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks import sharded
from benchmarks.accuracy import rows

ORDER = 64
TITLE = "Time of sharded training"
INTRODUCTION = """Steps of MPT models (GPT-2 of the same sizes stands in) on 8 to 512 devices, fully
sharded, bf16. A step is the time of its micro-batches, what weights and gradients take to be
exchanged, and the update of a share. Two numbers are fitted to the *other* model sizes of the
device: one scalar, and one for attention (these runs had FlashAttention 1). *Constant share* is
6·parameters·tokens and attention's operations at the share of the peak that the other sizes reach.
The last rows use nothing of the device but its data sheet, and the other device's scalar.
Goal: median 8 %.
"""


def line(title: str, predictor: str, pairs: Iterable[tuple[float, float]]) -> list[Any]:
    errors = np.array([abs(predicted / measured - 1) for predicted, measured in pairs])
    quantiles = [np.median(errors), errors.mean(), np.quantile(errors, 0.9), errors.max()]
    return [title, predictor, len(errors), *(f"{one:.1%}" for one in quantiles)]


def pairs_of(found: Iterable[tuple[sharded.Row, float]]) -> list[tuple[float, float]]:
    return [(predicted, one.measured) for one, predicted in found]


def lengths() -> list[list[Any]]:
    """Errors by the length of the sequences."""
    found: dict[int, list[tuple[float, float]]] = {}
    for name in ("a100", "h100"):
        for one, predicted in sharded.held_out(name):
            found.setdefault(one.tokens, []).append((predicted, one.measured))
    return [line(f"{tokens:,} tokens", "botec", found[tokens]) for tokens in sorted(found)]


def section() -> str:
    """Both devices, the simpler predictor, the devices crossed, and errors by length."""
    found = {name: sharded.held_out(name) for name in sharded.DEVICES}
    held = {name: pairs_of(own) for name, own in found.items()}
    lines = [line("A100 and H100", "botec", [*held["a100"], *held["h100"]])]
    for name in held:
        lines.append(line(name, "botec", held[name]))
        lines.append(line(name, "botec, one scalar", pairs_of(sharded.held_out(name, False))))
        lines.append(line(name, "constant share", pairs_of(sharded.constant_share(name))))
    lines.append(
        line("a100", "its data sheet, the H100's scalar", pairs_of(sharded.crossed("a100")))
    )
    lines.append(
        line("h100", "its data sheet, the A100's scalar", pairs_of(sharded.crossed("h100")))
    )
    heads = ("rows of", "predictor", "rows", "median", "mean", "90th of 100", "worst")
    inside = sharded.coverage([pair for own in found.values() for pair in own])
    words = f"A band of 80 %, made of the other sizes' rows, holds {inside:.0%} of them."
    return "\n\n".join((INTRODUCTION, rows.table(heads, lines), words, "By length:",
                        rows.table(heads, lengths())))  # fmt: skip
