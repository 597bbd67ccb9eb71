"""What the two folds keep and do once: a page of a real transformer has to fit and to be quick."""

import numpy
import pytest
import torch
from torch import nn

from botec.analyses.signal import page
from botec.analyses.signal.fold import predict
from botec.analyses.signal.layers import layers, outputs_of
from botec.analyses.signal.particles import Noise
from botec.analyses.signal.value import Data, Value
from botec.inputs import Input
from botec.read.executor import Executor, real
from botec.read.source import Source
from botec.read.tape import tape_source

TOKENS, LAYERS = 24, 3


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.drop = nn.LayerNorm(32), nn.Linear(32, 96), nn.Dropout(0.1)

    def forward(self, x):
        b, s, _ = x.shape
        q, k, v = (
            one.view(b, s, 4, 8).transpose(1, 2) for one in self.qkv(self.norm(x)).split(32, -1)
        )
        mask = torch.where(torch.ones(s, s, device=x.device).tril() > 0, 0.0, -torch.inf)
        p = self.drop((q @ k.transpose(-1, -2) / 8**0.5 + mask).softmax(-1))
        return x + (p @ v).transpose(1, 2).reshape(b, s, 32)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.places = nn.Embedding(50, 32), nn.Embedding(TOKENS, 32)
        self.blocks = nn.Sequential(*(Attention() for _ in range(LAYERS)))

    def forward(self, tokens):
        x = self.table(tokens) + self.places.weight[: tokens.shape[1]]
        return self.blocks(x)


class Counting(Executor):
    def __init__(self):
        self.count = {}

    def run(self, call, given):
        self.count[call.op] = self.count.get(call.op, 0) + 1
        return super().run(call, given)


def folded():
    source = Source("net", Decoder, (Input(2, TOKENS, dtype="int64", below=50),))
    graph = tape_source(source, {}, train=True)
    executor = Counting()
    return predict(graph, executor, real(source, train=True).of(graph)), executor


def test_profiles_are_let_go():
    run, _ = folded()
    shown = set(outputs_of(run.graph).values())
    assert not run.unknown
    assert all(row.gradient for row in layers(run) if row.name.endswith("qkv"))
    kept = [
        number
        for number, value in run.values.items()
        if isinstance(value, Value) and any(part.profile.size > 1 for part in value.parts)
    ]
    assert kept
    assert set(kept) <= shown | set(run.graph.inputs)
    assert all(part.profile.size == 1 for one in run.gradients.values() for part in one.parts)
    assert not run.pulls


def test_what_follows_from_known_arrays_alone_is_worked_out_once():
    run, executor = folded()
    ops = [node.call.op for node in run.graph.nodes]
    assert ops.count("aten.tril") == LAYERS
    assert executor.count["aten.tril"] == 1
    masks = [value for value in run.values.values() if isinstance(value, Data) and not value.name]
    square = [one.array for one in masks if one.array.shape == (TOKENS, TOKENS)]
    assert len({id(one) for one in square}) < len(square)
    rows = {
        id(value.attention.mean)
        for value in run.values.values()
        if isinstance(value, Value) and hasattr(value.attention, "boost")
    }
    assert len(rows) == 1


def test_nobody_asks_for_a_masks_gradient():
    run, _ = folded()
    masks = [
        number
        for number, value in run.values.items()
        if isinstance(value, Value) and value.keep is not None
    ]
    assert masks
    assert not any(number in run.gradients for number in masks)


def test_a_deviation_piece_by_piece(monkeypatch):
    monkeypatch.setattr(page, "PIECE", 100)
    array = numpy.random.default_rng(0).normal(3, 0.1, (50, 7)).astype("float32")
    for one in (array, array.T, array[0], array[0, :1]):
        assert page.deviation_of(one) == pytest.approx(float(one.astype("float64").std()), rel=1e-6)


def test_draws_know_nothing_of_those_before():
    """Of the last 96 rows, however many were drawn before; each of mean 0 and variance 1."""
    noise = Noise()
    rows = [noise.normal(4) for _ in range(60)]
    last = numpy.concatenate(rows[-24:])
    products = last @ last.T / noise.samples
    assert abs(last.mean(1)).max() < 1e-12
    assert abs(products - numpy.eye(len(last))).max() < 1e-10
    assert abs(rows[-1] @ rows[-30].T).max() / noise.samples > 1e-6  # further back: only nearly
