"""How far networks drawn anew differ, beside networks drawn anew."""

import math

import numpy
import pytest
from torch import nn

from botec.analyses.signal.fold import predict
from botec.analyses.signal.layers import layers
from botec.inputs import parse_input
from botec.measure.signal import measured
from botec.read.executor import Executor, real
from botec.read.source import Source
from botec.read.tape import tape_source


def both(build, shape: str, seeds: int):
    source = Source("net", build, (parse_input(shape),))
    graph = tape_source(source, {}, train=True)
    run = predict(graph, Executor(), real(source, train=True).of(graph))
    passes = [measured(source, graph.point, seed=seed) for seed in range(seeds)]
    return {row.name: row for row in layers(run)}, passes


def logs(passes, what: str, name: str):
    return numpy.log([getattr(one, what)[name, 0] for one in passes])


def test_the_mean_over_channels_of_their_own_is_a_mean_over_all():
    """Gradients alike all over a map: one channel's differ widely, the mean of 64 does not."""

    def net():
        kernels = nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False)
        return nn.Sequential(
            nn.Conv2d(8, 64, 1), kernels, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 64)
        )

    rows, passes = both(net, "2,8,5,5", 20)
    there = logs(passes, "gradient", "0")
    assert math.log(rows["0"].gradient) == pytest.approx(there.mean(), abs=0.12)
