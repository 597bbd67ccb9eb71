"""Memory that is only estimated: what cuDNN's recurrent kernels keep, and figures it stands in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from botec.ops.cuda.recurrent import MOST, OP_NAME, kept_bytes, least_reserve
from botec.poly import at
from botec.program import OP, Stream
from botec.report import Figure

#: Figures of memory that count no activations.
CERTAIN = (
    "memory.weights", "memory.kv_cache", "memory.peak.parameter", "memory.peak.buffer",
    "memory.peak.input", "memory.peak.gradient", "memory.peak.optimizer",
)  # fmt: skip


def estimated(figures: Iterable[Figure], stream: Stream, point: Mapping[str, int]) -> list[Figure]:
    """Figures of memory with what they are worth where recurrent kernels keep memory of their own.

    They become estimates, from the gates alone to twice what was taken; others stay as they are.
    """
    if not any(call.op == OP_NAME for call in stream.calls):
        return list(figures)
    less, more = spread(stream, point)
    return [widened(figure, less, more) for figure in figures]


def spread(stream: Stream, point: Mapping[str, int]) -> tuple[int, int]:
    """How many bytes less, and how many more, the kernels of a stream are likely to keep."""
    kept = low = 0
    for kind, place, _ in stream.events():
        if kind == OP:
            call = stream.calls[place]
            own = int(at(kept_bytes(call), point))
            if own:
                kept, low = kept + own, low + least_reserve(call, own)
    return kept - low, (MOST - 1) * kept


def widened(figure: Figure, less: int, more: int) -> Figure:
    """One figure as an estimate with its span, where recurrent kernels' memory is in it."""
    counted = figure.counted
    held = figure.key.startswith("memory.") and figure.key not in CERTAIN
    if not held or counted is None or counted.value is None:
        return figure
    found = replace(figure, counted=replace(counted, status="estimate"))
    if not (less or more):
        return found
    return replace(found, low=counted.value - less, high=counted.value + more)
