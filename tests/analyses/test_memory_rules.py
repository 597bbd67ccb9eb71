"""Rules of thumb about memory beside the count of what each speaks of, on small networks."""

from __future__ import annotations

import pytest
from torch import nn

import botec
from botec.analyses.figures import Answers
from botec.analyses.memory import memory
from botec.analyses.memory_rules import memory_rules
from botec.measure.allocator import live_bytes


def compared(program: botec.Program) -> dict[str, tuple[float, int]]:
    return {one.rule.name: (one.given, one.counted) for one in memory_rules(Answers(program))}


def test_each_rule_is_held_against_what_it_speaks_of() -> None:
    program = botec.read("mlp:64-64-64", B=32)
    found = compared(program)
    weights, count = 4 * 2 * 65 * 64, 2 * 65 * 64
    peak = Answers(program).memory.fullest.bytes
    assert found["four times the weights"] == (4 * weights, peak)
    # Adam's two averages, a weight and its gradient of four bytes; a counter for each tensor.
    assert found["sixteen bytes a parameter"] == (16 * count, 16 * count + 4 * 4)


def test_the_states_are_those_of_a_real_step() -> None:
    import torch

    network = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(8, 64)).mean().backward()
    optimizer.step()
    tensors = [*network.parameters(), *(p.grad for p in network.parameters())]
    tensors += [one for state in optimizer.state.values() for one in state.values()]
    assert memory(botec.read("mlp:64-64-64", B=8)).states() == live_bytes(tensors)


def test_outputs_count_twice_where_all_are_kept() -> None:
    """Three layers of tanh after one weight: outputs of one mebibyte each, a product and a sum."""

    class Waves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(botec_ones())

        def forward(self, x):
            return (x * self.scale).tanh().tanh().tanh()

    program = botec.read(Waves(), botec.Input("B", 2**18), B=4)
    given, count = compared(program)["twice the outputs"]
    outputs = 4 * 4 * 2**20
    assert given == pytest.approx(2 * outputs, rel=1e-5)
    assert 0.5 < given / count < 2


def botec_ones():
    import torch

    return torch.ones(2**18)


def test_an_optimizer_without_averages_has_no_rule_of_them() -> None:
    assert "four times the weights" not in compared(botec.read("mlp:8-8", B=4, optimizer="sgd"))


def test_the_rule_of_a_block_needs_attention() -> None:
    assert "activations of a block" not in compared(botec.read("mlp:8-8", B=4))
    name = "transformers:gpt2?n_layer=2,n_embd=64,n_head=2,vocab_size=100,attn_pdrop=0.0"
    given, saved = compared(botec.read(name, B=2, S=32, precision="bf16"))["activations of a block"]
    assert given == 2 * (34 * 32 * 2 * 64 + 5 * 2 * 32 * 32 * 2)
    assert saved > 0


@pytest.mark.parametrize("train", [True, False])
def test_an_estimate_on_a_cuda_device_has_all_three_sums(train: bool) -> None:
    page = botec.estimate("mlp:512-512-10", device="rtx4090", B=64, train=train)
    held, used = (page.figures[key].counted for key in ("memory.reserved", "memory.device"))
    assert held is not None
    assert used is not None
    assert page.figures["memory.peak"].counted.value < held.value
    assert used.value == held.value + 450 * 2**20
    assert used.status == "estimate"
    assert "nvidia-smi" in str(page)


def test_an_estimate_on_the_cpu_has_none_of_them() -> None:
    page = botec.estimate("mlp:8-8", B=4)
    assert not {"memory.reserved", "memory.device"} & page.figures.keys()
    assert "nvidia-smi" not in str(page)
