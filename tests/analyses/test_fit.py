"""Fit: the two-step run against recorded peaks of the real allocator, and the solved largest."""

from __future__ import annotations

import pytest
from read.test_cuda import TRAINED

import botec
from botec.analyses.allocator import Allocator
from botec.analyses.fit import CONTEXT, Fit, Room, device_figures
from botec.analyses.memory import memory
from botec.analyses.requests import requests
from botec.report import Figure

# name -> (max_memory_allocated, max_memory_reserved) as PyTorch's own allocator had them; see
# tests/data/README.md. Tolerance: births inside one op come in an order of their own, which moves
# splits: 0.35 % of what is allocated, 5 % of what is reserved.
RECORDED = {
    "mlp_adam": (437882368, 448790528),
    "mlp_sgdm": (270699520, 281018368),
    "mlp_rmsprop": (353770496, 364904448),
    "gpt2_adamw": (1416115200, 1625292800),
    "bert_adamw": (1081695232, 1279262720),
    "llama_adamw": (416513536, 450887680),
    "llama_bf16": (216353280, 249561088),
    "resnet50_adam": (739928064, 805306368),
    "densenet121_sgdm": (619868160, 643825664),
    "swin_t_adam": (855808000, 931135488),
    "t5_adamw": (766093824, 855638016),
}
# Recorded after a cast of float32 weights, whose cache the allocator still held.
CAST_AFTERWARDS = {"llama_bf16"}
EXACT = {"mlp_adam", "mlp_sgdm", "mlp_rmsprop", "llama_adamw", "resnet50_adam", "densenet121_sgdm"}


@pytest.mark.parametrize("name", RECORDED)
def test_allocated_and_reserved_are_the_recorded_ones(name: str) -> None:
    read, options = TRAINED[name]
    usage = Allocator().replay(requests(memory(read(device="cuda", **options)))).peak
    allocated, reserved = RECORDED[name]
    assert usage.allocated == pytest.approx(allocated, rel=0 if name in EXACT else 0.0035)
    if name not in CAST_AFTERWARDS:
        assert usage.reserved == pytest.approx(reserved, rel=0 if name in EXACT else 0.05)


@pytest.mark.parametrize(
    ("model", "point", "name"),
    [
        ("mlp:784-512-10", {"B": 64}, "B"),
        ("torchvision:resnet18", {"B": 8}, "B"),
        ("transformers:gpt2?n_layer=2", {"B": 2, "S": 128}, "B"),
        ("transformers:gpt2?n_layer=2", {"B": 2, "S": 128}, "S"),
    ],
)
def test_the_solved_largest_fits_and_the_next_does_not(
    model: str, point: dict[str, int], name: str
) -> None:
    program = botec.read(model, device="cuda", **point)
    asked = Fit(program, Room(2 * 2**30, 2**28), program.asked)
    largest = asked.largest(name)
    assert largest
    assert asked.at(**{name: largest}).fits
    limit = max(stream.regime.most.get(name, 2**40) for stream in program.streams)
    assert largest == limit or not asked.at(**{name: largest + 1}).fits


def test_nothing_fits_where_the_weights_do_not() -> None:
    program = botec.read("mlp:4096-4096", device="cuda", B=1)
    assert Fit(program, Room(2**26, 0), program.asked).largest("B") == 0


def test_the_context_has_a_spread_until_the_user_says_it() -> None:
    program = botec.read("mlp:784-512-10", device="cuda", B=64)

    def used(context: int) -> Figure:
        fit = Fit(program, Room(2**34, context), program.asked)
        return next(one for one in device_figures(fit) if one.key == "memory.device")

    taken, said = used(CONTEXT), used(2**30)
    assert taken.counted is not None
    assert taken.low is not None
    assert taken.high is not None
    assert taken.low < taken.counted.value < taken.high
    assert taken.high - taken.low == 300 * 10**6
    assert (said.low, said.high) == (None, None)


def test_a_dimension_without_a_formula_has_no_largest() -> None:
    program = botec.read("mlp:64-64", botec.Input(3, 64), device="cuda")
    assert Fit(program, Room(2**30, 0), program.asked).largest("B") is None


def test_every_request_is_given_back_or_stays() -> None:
    program = botec.read("mlp:64-64-64", device="cuda", B=4)
    asked = list(requests(memory(program)))
    given = [name for name, size in asked if size is not None]
    back = [name for name, size in asked if size is None]
    assert len(set(given)) == len(given)
    assert set(back) <= set(given)
    stays = {name for name in given if name not in back}
    roles = {memory(program).stream.storages[name].role for name in stays if isinstance(name, int)}
    assert roles <= {"parameter", "buffer", "optimizer", "temporary"}
