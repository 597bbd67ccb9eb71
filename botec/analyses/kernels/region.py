"""Where a formula holds that was written with kernels' choices at one point.

Along one dimension every size is tried, one after the other, up to the first that differs. Nothing
is claimed beyond the sizes that were tried, or with other dimensions at other sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from botec.analyses.evaluate import largest
from botec.analyses.kernels.choices import representative
from botec.analyses.kernels.peaks import peak_at
from botec.analyses.memory import peak_formulas
from botec.program import Program, Regime, Stream

TRIED = 2**17  # sizes in each direction
FIRST = 2**10  # sizes tried at once, then twice as many, and so on

Same = Callable[[dict[str, Any]], Any]


def same_peak(program: Program, stream: Stream) -> Regime:
    """The part of a regime where the peak's formulas, as they are written, give the peak."""
    formulas = peak_formulas(program, stream)

    def same(points: dict[str, Any]) -> Any:
        return peak_at(stream, points) == largest(formulas, points)

    return narrowed(program, stream, same)


def narrowed(program: Program, stream: Stream, same: Same) -> Regime:
    """A regime along its one free dimension from ``same`` to ``same``; of several, along the first
    with the others held where the formulas are written."""
    regime, home = stream.regime, representative(program, stream)
    name = next(iter(regime.least), None)
    if stream.kernels is None or name is None:
        return regime
    low, high = interval(regime, home, name, same)
    held = {other: home[other] for other in regime.least if other != name}
    only = {name: regime.step[name]} if name in regime.step else {}
    return replace(
        regime, fixed={**regime.fixed, **held}, least={name: low}, most={name: high}, step=only
    )


def interval(regime: Regime, home: Mapping[str, int], name: str, same: Same) -> tuple[int, int]:
    """The first and the last size around a point's own for which ``same`` says so throughout."""
    step, here = regime.step.get(name, 1), home[name]
    most = regime.most.get(name, here + TRIED * step)
    up = (min(most, here + TRIED * step) - here) // step
    down = min(TRIED, (here - regime.least[name]) // step)
    low = here - step * reached(home, name, -step, down, same)
    return low, here + step * reached(home, name, step, up, same)


def reached(home: Mapping[str, int], name: str, step: int, most: int, same: Same) -> int:
    """How many steps of one dimension ``same`` holds for without a gap, of ``most``."""
    import numpy as np

    done, many = 0, FIRST
    while done < most:
        count = min(many, most - done)
        steps = np.arange(done + 1, done + count + 1)
        points = {other: np.full(count, size) for other, size in home.items()}
        right = np.asarray(same({**points, name: home[name] + step * steps}))
        if not right.all():
            return done + int(right.argmin())
        done, many = done + count, 2 * many
    return done


@cache
def where_it_holds(program: Program, stream: Stream) -> str:
    """For the reader of the peak's formula: where it gives the peak."""
    return f"holds for {same_peak(program, stream)}; at other sizes kernels choose anew"
