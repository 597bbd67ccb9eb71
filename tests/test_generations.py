"""Devices that fit takes for one generation: their kernels give one and the same trace."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

import botec
from botec.analyses.memory import memory
from botec.fit import GENERATIONS, catalogue, generation, run_by, run_on
from botec.fit.controls import one_for_all
from botec.program import Stream

NETWORKS = {
    "transformers:gpt2?n_layer=1,n_embd=64,n_head=2": {"B": 2, "S": 32, "precision": "bf16"},
    "transformers:gpt2?n_layer=1,n_embd=128,n_head=1": {"B": 2, "S": 32},
    "torchvision:squeezenet1_1": {"B": 2},
}
KNOWN = sorted({10 * one.capability[0] + one.capability[1] for one in catalogue()})


@cache
def trace(model: str, capability: int) -> Stream:
    program = botec.read(model, device=f"cuda:{capability}", **NETWORKS[model])
    point = {**program.asked, "B": 2}
    return memory(program, **point).stream


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


def test_devices_of_one_generation_have_their_own_processors() -> None:
    """How a long sum is split follows the processors: what one device's kernels take is what a
    reading for that device says, though the trace is that of its generation."""
    asked = {"B": 32768}
    one, other = (botec.read("mlp:900-900-9", device=f"cuda:{at}", **asked) for at in (80, 89))
    known = next(target for target in catalogue() if target.capability == (8, 9))
    assert memory(run_on(one, known)).fullest.bytes == memory(other).fullest.bytes
    sizes = [[str(s.bytes) for s in memory(each).stream.storages] for each in (one, other)]
    assert sizes[0] != sizes[1]


WRITTEN_OUT = "transformers:gpt2?n_layer=1,n_embd=6,n_head=2"  # heads of three: no kernel has them


@pytest.mark.parametrize("model", ["mlp:64-32-10", "torchvision:squeezenet1_1"])
def test_without_attention_one_reading_serves_every_generation(model: str) -> None:
    """Read for one generation and run by another, or read for the other: the same."""
    program = botec.read(model, device="cuda:80", B=2)
    assert one_for_all(program)
    for capability in GENERATIONS:
        own = memory(botec.read(model, device=f"cuda:{capability}", B=2)).stream
        here = memory(run_by(program, capability)).stream
        assert [one.bytes for one in here.storages] == [one.bytes for one in own.storages]
        assert (here.kinds, here.index) == (own.kinds, own.index)


@pytest.mark.parametrize("model", [*list(NETWORKS)[:2], WRITTEN_OUT])
def test_attention_is_read_for_every_generation(model: str) -> None:
    options = NETWORKS.get(model, {"B": 2, "S": 32})
    assert not one_for_all(botec.read(model, device="cuda:80", **options))
