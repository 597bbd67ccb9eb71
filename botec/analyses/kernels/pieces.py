"""A stream in pieces along a dimension: in each of them every kernel chooses alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from botec.analyses.kernels.choices import Script, cells, representative
from botec.analyses.kernels.peaks import parted
from botec.program import Program, Regime, Stream

TRIED = 2**17  # sizes from the least on
MOST_PIECES = 16  # along one dimension, those nearest to the asked size


def pieces(program: Program, stream: Stream) -> Iterator[tuple[Regime, dict[str, int]]]:
    """Where all kernels choose alike, with a point that lies there: along one free dimension after
    the other, the others as asked; everywhere at once where no choice depends on a size. Of a
    stream that the asked point does not lie in, only where its other sizes are the asked ones.
    Nothing of a stream without such kernels.
    """
    if stream.kernels is None:
        return
    if not parted(stream).alive or not stream.regime.least:
        yield stream.regime, representative(program, stream)
        return
    here = stream.regime.holds(program.asked)
    for name in stream.regime.least:
        for regime, point in along(program, stream, name):
            if here or regime.holds({**point, name: program.asked[name]}):
                yield regime, point


def along(program: Program, stream: Stream, name: str) -> list[tuple[Regime, dict[str, int]]]:
    """The pieces along one dimension, in the order of its sizes."""
    regime, home = stream.regime, representative(program, stream)
    step, least = regime.step.get(name, 1), regime.least[name]
    least = -(-least // step) * step
    most = min(regime.most.get(name, least + TRIED * step), least + TRIED * step)
    bounds = runs(stream, home, name, range(least, most + 1, step))
    bounds.sort(key=lambda one: max(one[0] / home[name], home[name] / one[1]))
    held = {other: home[other] for other in regime.least if other != name}
    only = {name: step} if step > 1 else {}
    found = []
    for low, high in sorted(bounds[:MOST_PIECES]):
        fixed = {**regime.fixed, **held}
        part = replace(regime, fixed=fixed, least={name: low}, most={name: high}, step=only)
        found.append((part, {**home, name: low}))
    return found


def runs(stream: Stream, home: dict[str, int], name: str, sizes: range) -> list[tuple[int, int]]:
    """The first and the last size of every run of sizes in which every kernel chooses alike."""
    import numpy as np

    tried = np.array(sizes)
    points: dict[str, Any] = {one: np.full(len(tried), size) for one, size in home.items()}
    points[name] = tried
    changes = np.zeros(len(tried), dtype=bool)
    for place in parted(stream).alive:
        script_of, known = np.zeros(len(tried), dtype=int), dict[Script, int]()
        for script, places in cells(stream, place, points):
            script_of[places] = known.setdefault(script, len(known))
        changes[1:] |= script_of[1:] != script_of[:-1]
    starts = [0, *np.flatnonzero(changes).tolist()]
    ends = [*(start - 1 for start in starts[1:]), len(tried) - 1]
    return [(int(tried[low]), int(tried[high])) for low, high in zip(starts, ends, strict=True)]
