"""How long a real step takes on this machine: medians of repeated runs, with their spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter

from botec.measure.realise import Step

SECONDS = 3.0
MOST_REPETITIONS = 50
WARM_UP = 2


@dataclass(frozen=True)
class Spread:
    """Seconds: the median of the repetitions, and the quarter of them below and above."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Timing:
    """Seconds by phase and for the whole ``step``, over ``repetitions`` runs; ``how`` in words."""

    phases: Mapping[str, Spread]
    repetitions: int
    how: str


def time_step(step: Step, seconds: float = SECONDS) -> Timing:
    """Time ``step`` after a warm-up, for about ``seconds`` in all and at least once.

    The clock is ``time.perf_counter``: what the user waits, other programs' turns included; the
    median is little moved by those. One slow step can take longer than ``seconds``.
    """
    until = perf_counter() + seconds
    for _ in range(WARM_UP):
        first = timed(step)
        if perf_counter() + first["step"] > until:
            break
    runs: list[dict[str, float]] = []
    while not runs or (len(runs) < MOST_REPETITIONS and perf_counter() < until):
        runs.append(timed(step))
    phases = {name: spread([run[name] for run in runs]) for name in runs[0]}
    return Timing(phases, len(runs), how(len(runs)))


def timed(step: Step) -> dict[str, float]:
    """Seconds of one run: each phase by name, and ``step`` from first to last."""
    taken: dict[str, float] = {}
    begin = last = perf_counter()
    for name, run in step.phases.items():
        run()
        now, phase = perf_counter(), name.partition(".")[0]  # of every micro-batch together
        taken[phase], last = taken.get(phase, 0.0) + now - last, now
    taken["step"] = last - begin
    return taken


def spread(seconds: list[float]) -> Spread:
    """The median and the quartiles; of fewer than four runs the least and the most."""
    if len(seconds) < 4:
        return Spread(median(seconds), min(seconds), max(seconds))
    low, middle, high = quantiles(seconds, n=4, method="inclusive")
    return Spread(middle, low, high)


def how(repetitions: int) -> str:
    """``"this machine's CPU, 2 threads, torch 2.13.0+cpu, median of 12 runs"``."""
    import torch

    runs = "one run" if repetitions == 1 else f"median of {repetitions} runs"
    return (
        f"this machine's CPU, {torch.get_num_threads()} threads, torch {torch.__version__}, {runs}"
    )
