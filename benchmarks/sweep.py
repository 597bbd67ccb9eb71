"""A million points of (B, S): peak memory and operations of a 7B llama, after it has been read.

``python benchmarks/sweep.py`` prints the seconds, the size of the envelope the peak is the maximum
of, and what a check of single points found.
"""

from __future__ import annotations

import random
from time import perf_counter, process_time

from botec.analyses.count import count
from botec.analyses.grid import Grid, parse_sizes
from botec.analyses.memory import memory, peak_envelope
from botec.analyses.sweep import sweep
from botec.read import read

MODEL = "transformers:llama"  # its defaults are the 7B's
CHECKED = 5


def main() -> None:
    """Read, sweep, and hold some points against the timeline of each."""
    begin = perf_counter()
    program = read(MODEL, B=1000, S=131072)
    print(f"read {program.name} in {perf_counter() - begin:.2f} s, imports included")
    axes = dict(parse_sizes(text, 1000) for text in ("B=1:1000:1", "S=128:131072"))
    grid = Grid(axes)
    rows = []
    begin, busy = perf_counter(), process_time()
    found = sweep(program, grid).run(rows.append)
    print(f"{found.points:,} points, {found.outside:,} outside, in {taken(begin, busy)}")
    sizes = [len(peak_envelope(stream)) for stream in program.streams]
    print(f"the peak is the maximum of {sizes} polynomials, regime by regime")
    begin, busy = perf_counter(), process_time()
    sweep(program, grid).run()
    print(f"again, formulas known: {taken(begin, busy)}")
    for piece in random.Random(0).choices(rows, k=CHECKED):
        place = random.Random(1).randrange(len(piece["B"]))
        point = {name: int(piece[name][place]) for name in axes}
        peak = memory(program, **point).fullest.bytes
        flops = count(program, **point).total("flops").at(**point)
        near = abs(float(piece["flops.step"][place]) / flops - 1)
        print(f"{point}: peak {piece['memory.peak'][place] - peak:+d} B, flops off by {near:.1e}")


def taken(begin: float, busy: float) -> str:
    """Seconds since then, and how many of them this process was at work."""
    return f"{perf_counter() - begin:.2f} s ({process_time() - busy:.2f} s of processor time)"


if __name__ == "__main__":
    main()
