"""The solved largest batch, run for real under a limit the operating system keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from analyses.limited_run import NETWORKS

import botec
from botec.analyses.fit import Fit, Room
from botec.analyses.memory import memory

SCRIPT = Path(__file__).parent / "limited_run.py"
# What the process maps beside tensors while it runs (Python's own, a product's packed operands);
# an example of either network takes six mebibytes or more, so that it cannot hide one.
BESIDE = 2 * 2**20


def runs(network: str, examples: int, limit: int) -> bool:
    """Whether two real steps of so many examples end within ``limit`` bytes."""
    command = [sys.executable, str(SCRIPT), network, str(examples), str(limit + BESIDE)]
    environment = {
        **os.environ, "MALLOC_MMAP_THRESHOLD_": "16384", "OMP_NUM_THREADS": "1",
        "MALLOC_TRIM_THRESHOLD_": "0",
    }  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    return done.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's limits")
@pytest.mark.parametrize("network", NETWORKS)
def test_the_largest_runs_and_one_more_does_not(network: str) -> None:
    kind, shape = NETWORKS[network]
    program = botec.read(kind(), botec.Input("B", *shape), optimizer="adam", B=4)
    timeline = memory(program)
    step = timeline.peak(B=9) - timeline.peak(B=8)
    assert step > 2 * BESIDE
    for limit in (timeline.peak(B=8), timeline.peak(B=16) + step // 3):
        asked = Fit(program, Room(limit, 0), program.asked)
        span = asked.span(program.streams[0], "B")
        assert span is not None
        largest = asked.solve(span)
        assert runs(network, largest, limit)
        assert not runs(network, largest + 1, limit)


def test_the_limit_is_felt() -> None:
    """Without it the run ends well; with nothing it cannot."""
    assert runs("layers", 1, 2**33)
    assert not runs("layers", 1, 2**20)
