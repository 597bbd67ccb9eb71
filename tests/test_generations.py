"""Devices that fit takes for one generation: their kernels give one and the same trace."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

import botec
from botec.fit import GENERATIONS, catalogue, generation
from botec.program import Stream

NETWORKS = {
    "transformers:gpt2?n_layer=1,n_embd=64,n_head=2": {"B": 2, "S": 32, "precision": "bf16"},
    "transformers:gpt2?n_layer=1,n_embd=128,n_head=1": {"B": 2, "S": 32},
    "torchvision:squeezenet1_1": {"B": 2},
}
KNOWN = sorted({10 * one.capability[0] + one.capability[1] for one in catalogue()})


@cache
def trace(model: str, capability: int) -> Stream:
    return botec.read(model, device=f"cuda:{capability}", **NETWORKS[model]).streams[0]


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("capability", KNOWN)
def test_a_generation_is_one_trace(model: str, capability: int) -> None:
    first = max((one for one in GENERATIONS if one <= capability), default=KNOWN[0])
    here, there = trace(model, capability), trace(model, first)
    assert [str(one.bytes) for one in here.storages] == [str(one.bytes) for one in there.storages]
    assert (here.kinds, here.index) == (there.kinds, there.index)


def test_every_device_has_a_generation() -> None:
    assert {generation(one) for one in catalogue()} == {0, *GENERATIONS}


@pytest.mark.parametrize(("one", "next_one"), pairwise(GENERATIONS))
def test_generations_differ(one: int, next_one: int) -> None:
    model = next(iter(NETWORKS))
    sizes = [[str(s.bytes) for s in trace(model, which).storages] for which in (one, next_one)]
    assert sizes[0] != sizes[1]
