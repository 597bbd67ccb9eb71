"""Choices of a step: what they count, what they leave alone, and what is refused in one line.

Live bytes of the same choices stand beside real steps in ``tests/corridor/test_real_steps.py``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from corridor.networks import opened
from corridor.stepping import both
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import botec
from botec import Input
from botec.analyses.memory import memory
from botec.archive import load, save
from botec.errors import BotecError
from botec.poly import at
from botec.program import BIRTH, OP, PHASE, PHASES, Program
from botec.read import read, settle
from botec.read.from_torchvision import make_importable
from botec.read.source import Source

X = Input("B", 32)


class Block(nn.Module):
    """Up, and down again."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)

    def forward(self, x: Any) -> Any:
        return x + self.down(torch.relu(self.up(x)))


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 32), nn.Sequential(Block(), Block()), nn.Linear(32, 4))


SOURCE = Source("net", net, (X,)), {"B": 8}


def names(program: Program, phase: str) -> list[str]:
    """The ops of a phase."""
    now, found = "", []
    for kind, index, _ in program.stream().events():
        if kind == PHASE:
            now = (*PHASES, "end")[index]
        elif kind == OP and now == phase:
            found.append(program.stream().calls[index].op.removeprefix("aten."))
    return found


# --- micro-batches --------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_multiplications_of_all_micro_batches(parts: int) -> None:
    """PyTorch's own counter over a real loop: two operations for a multiply-add."""
    model, x = net(), torch.ones(8, 32)
    with FlopCounterMode(display=False) as counter:
        for _ in range(parts):
            (model(x).mean() / parts).backward()
    counts = botec.count(read(net(), X, B=8, accumulate=parts))
    assert 2 * counts.multiplications() == counter.get_total_flops()


def test_what_is_counted_once_and_what_for_every_micro_batch() -> None:
    one, two, many = (botec.count(read(net(), X, B=8, accumulate=n)) for n in (1, 2, 10))
    for measure in ("multiplications", "flops", "bytes"):
        in_all = [count.total(measure, ("forward",)).at(B=8) for count in (one, two, many)]
        update = [count.total(measure, ("optimizer",)).at(B=8) for count in (one, two, many)]
        assert update[0] == update[1] == update[2]
        later = (in_all[2] - in_all[1]) / 8
        assert in_all[1] + 8 * later == in_all[2]
        assert in_all[1] >= 2 * in_all[0]  # the loss is divided by the number of them


def test_the_trace_does_not_grow_with_their_number() -> None:
    two, many = (read(net(), X, B=8, accumulate=n).stream() for n in (2, 1000))
    assert len(two.kinds) == len(many.kinds)
    assert (two.repeated, many.repeated) == (1, 999)


def test_three_micro_batches_for_real() -> None:
    """The real loop takes three, the Program two: the peak is the same, between ops."""
    found, program, real = both(*SOURCE, accumulate=3)
    assert abs(memory(program).fullest.bytes - real.peak_at_boundaries) <= 96
    assert len(found.pairs) > 50


class Tiring(nn.Module):
    """Does more in every call after the second."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = nn.Linear(32, 32), 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        for _ in range(max(1, self.calls - 1)):
            x = self.inner(x)
        return x


def test_a_later_micro_batch_that_differs_is_refused() -> None:
    with pytest.raises(BotecError) as caught:
        read(Tiring(), X, B=8, accumulate=4)
    assert str(caught.value) == (
        "Tiring: a later micro-batch does other work than the second; ask for --accumulate 2"
    )


def test_activations_are_those_of_one_micro_batch() -> None:
    one, many = (memory(read(net(), X, B=8, accumulate=n)) for n in (1, 5))
    assert many.saved() == one.saved()


# --- optimizers -----------------------------------------------------------------------------------


def test_a_gpu_works_on_lists_and_a_cpu_on_one_after_the_other() -> None:
    """Adafactor alone takes the slower way on both: its lists are as large as the weights."""
    for device, lists in (("cpu", False), ("cuda", True)):
        ops = names(read(net(), X, B=8, device=device), "optimizer")
        assert any("_foreach_" in op for op in ops) is lists
        ops = names(read(net(), X, B=8, device=device, optimizer="adafactor"), "optimizer")
        assert not any("_foreach_" in op for op in ops)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_ways_that_are_asked_for(device: str) -> None:
    for way, word in (("foreach=True", "_foreach_"), ("fused=True", "_fused_")):
        ops = names(read(net(), X, B=8, device=device, optimizer=f"adam({way})"), "optimizer")
        assert any(word in op for op in ops)
    single = names(read(net(), X, B=8, device=device, optimizer="adam(foreach=False)"), "optimizer")
    assert not any("_foreach_" in op or "_fused_" in op for op in single)


def test_an_optimizer_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "class Slow(torch.optim.SGD):\n"
        "    def __init__(self, weights, lr, drag=0.5):\n"
        "        super().__init__(weights, lr=lr, momentum=drag)\n"
        "class Other: pass\n"
    )
    program = read(net(), X, B=8, optimizer=f"{file}:Slow(drag=0.9)")
    same = read(net(), X, B=8, optimizer="sgd(momentum=0.9)")
    assert memory(program).by_role() == memory(same).by_role()
    for name, seen in (
        ("Slwo", "the file has no Slwo; did you mean Slow"),
        ("Other", "Other is no optimizer"),
        ("Slow(drga=1)", "Slow has no argument 'drga'; did you mean drag"),
    ):
        with pytest.raises(BotecError, match=seen):
            read(net(), X, B=8, optimizer=f"{file}:{name}")


# --- states and gradients -------------------------------------------------------------------------


def test_states_are_born_in_the_first_step() -> None:
    steady, first = (read(net(), X, B=8, first_step=one) for one in (False, True))
    assert memory(first).by_role()["optimizer"] == memory(steady).by_role()["optimizer"]
    before, after = ({}, {})  # bytes of states born before the first phase, and after it
    for program, sums in ((steady, before), (first, after)):
        stream, begun = program.stream(), False
        for kind, index, _ in stream.events():
            begun = begun or kind == PHASE
            if kind == BIRTH and stream.storages[index].role == "optimizer":
                sums[begun] = sums.get(begun, 0) + stream.storages[index].bytes
    assert set(before) == {False}
    assert set(after) == {True}


def test_sixteen_bits_with_copies_take_sixteen_bytes_a_weight() -> None:
    """Rajbhandari et al. 2020 (ZeRO), section 3.1: 2 + 2 + 4 + 4 + 4, the 16-bit gradients gone
    here once they are copied (4 instead of 2)."""
    program = read("mlp:256-256-256-256", precision="bf16", master=True, B=1)
    weights = sum(one.tensor.elements for one in program.parameters)
    roles = memory(program).by_role()
    counters = 4 * len(program.parameters)
    assert roles["parameter"] == 2 * weights
    assert roles["optimizer"] - counters == 12 * weights
    assert roles["gradient"] == 4 * weights


# --- what is computed again, what is trained, which attention -------------------------------------


class OwnCheckpoint(nn.Module):
    """Calls the framework's checkpointing itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(), Block()

    def forward(self, x: Any) -> Any:
        x = checkpoint(self.first, x, use_reentrant=False)
        return checkpoint(self.second, x, use_reentrant=False)


def test_a_model_that_checkpoints_itself() -> None:
    found, program, _ = both(Source("own", OwnCheckpoint, (X,)), {"B": 8})
    assert not found.apart()
    assert found.share > 0.95
    plain = read(nn.Sequential(Block(), Block()), X, B=8)
    assert memory(program).saved().at(B=64) < memory(plain).saved().at(B=64)


def test_every_second_block_is_computed_again() -> None:
    plain, half, all_of_them = (
        botec.count(read(net(), X, B=8, **choice)).multiplications("backward")
        for choice in ({}, {"checkpoint_how": "every=2"}, {"checkpoint": True})
    )
    assert half - plain == (all_of_them - plain) / 2 > 0


def test_kept_products_are_not_computed_again() -> None:
    plain, kept = (
        botec.count(read(net(), X, B=8, **choice)).multiplications()
        for choice in ({}, {"checkpoint_how": "save=matmuls"})
    )
    assert kept == plain


def test_a_cache_of_keys_is_off_while_checkpointing() -> None:
    """Run twice, a block would add its keys twice: nothing is as long as two sequences."""
    make_importable()
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=64, num_attention_heads=4, num_hidden_layers=2, intermediate_size=96,
        vocab_size=50, use_cache=True,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    program = read(model, Input("B", "S", dtype="int64", below=50), B=2, S=8, checkpoint=True)
    joined = [line.call for line in botec.count(program).lines if line.call.op == "aten.cat"]
    point = {"B": 3, "S": 5}
    lengths = {at(size, point) for one in joined for size in one.outputs[0].shape}
    assert 5 in lengths
    assert 10 not in lengths
    assert config.use_cache


def test_the_users_module_is_left_as_it_was() -> None:
    module = net()
    weights = {name: id(one) for name, one in module.named_parameters()}
    types = [type(part) for part in module.modules()]
    read(module, X, B=8, lora="r=2,targets=up,down")
    read(module, X, B=8, train_only="2")
    assert {name: id(one) for name, one in module.named_parameters()} == weights
    assert [type(part) for part in module.modules()] == types
    assert all(one.requires_grad for one in module.parameters())
    assert not any("peft" in name for part in module.modules() for name in vars(part))


def adapted() -> nn.Module:
    make_importable()
    peft = pytest.importorskip("peft")
    return peft.get_peft_model(net(), peft.LoraConfig(r=2, target_modules=["up"]))


def test_a_model_of_peft_is_read_as_it_is() -> None:
    found, program, _ = both(Source("adapted", adapted, (X,)), {"B": 8})
    assert not found.apart()
    assert found.share > 0.95
    asked = read(net(), X, B=8, lora="r=2,targets=up")
    assert [one.trainable for one in program.parameters] == [
        one.trainable for one in asked.parameters
    ]
    assert memory(program).fullest.bytes == memory(asked).fullest.bytes


def test_gradients_of_adapters_alone() -> None:
    plain, lora = (
        read("transformers:llama?num_hidden_layers=2", B=1, S=16, **choice)
        for choice in ({}, {"lora": "r=8,targets=q_proj,v_proj"})
    )
    trained = sum(one.tensor.elements for one in lora.parameters if one.trainable)
    assert trained == 2 * 2 * 8 * (4096 + 4096)
    assert botec.count(lora).multiplications("backward") < 0.6 * botec.count(plain).multiplications(
        "backward"
    )


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
def test_attention_that_is_asked_for(kind: str) -> None:
    found, _, _ = both(
        *opened("bert"), prepare=lambda model: model.set_attn_implementation(kind), attention=kind
    )
    assert not found.apart()
    assert found.share > 0.95


# --- a Program that was read, and wrong questions -------------------------------------------------


def test_a_setting_goes_through_a_file(tmp_path: Path) -> None:
    choices: dict[str, Any] = {
        "accumulate": 4, "freeze": ("0",), "zero_grad": "between", "checkpoint_how": "every=2"
    }  # fmt: skip
    program = read(net(), X, B=8, **choices)
    save(program, tmp_path / "net.botec")
    again = load(tmp_path / "net.botec")
    assert again.setting == program.setting
    assert botec.count(again).multiplications() == botec.count(program).multiplications()
    assert read(again, B=16, **choices, checkpoint=True).asked == {"B": 16}
    with pytest.raises(BotecError, match="it was read with accumulate=4"):
        read(again, **{**choices, "accumulate": 1})


def test_inference_takes_no_training_choices() -> None:
    asked = settle(False, "adamw", "bf16", "cpu", True, accumulate=4, master=True, zero_grad="keep")
    assert asked == settle(False, None, "bf16", "cpu", False)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"optimizer": "adamx"},
     "--optimizer: no optimizer 'adamx' in torch.optim; did you mean adamax, adam, radam?"),
    ({"optimizer": "sgd(momentun=0.9)"},
     "--optimizer: SGD has no argument 'momentun'; did you mean momentum?"),
    ({"optimizer": "sgd(lr=__import__('os'))"},
     "--optimizer: \"sgd(lr=__import__('os'))\" is no optimizer with plain values; "
     "write it as sgd(momentum=0.9)"),
    ({"optimizer": "sgd(0.1)"},
     "--optimizer sgd(0.1): an argument without a name; write it as lr=0.01"),
    ({"optimizer": "lbfgs"},
     "--optimizer: LBFGS calls the model again inside its step; choose another"),
    ({"optimizer": torch.optim.SGD(nn.Linear(2, 2).parameters())},
     'optimizer: optimizer is made already: SGD; name it, such as optimizer="adamw", '
     "or give its class"),
    ({"optimizer": lambda weights: weights},
     "--optimizer: <lambda> makes a list, no torch.optim.Optimizer; "
     "derive it from torch.optim.Optimizer"),
    ({"accumulate": 0}, "--accumulate 0: accumulate is 0; give a whole number from 1"),
    ({"accumulate": 2.5}, "--accumulate 2.5: accumulate is 2.5; give a whole number from 1"),
    ({"zero_grad": "never"},
     "--zero-grad never: zero-grad 'never' is not known; use one of after, before, between, keep"),
    ({"master": True},
     "--master: copies in fp32 are kept of 16-bit weights, and precision is fp32; "
     "use --precision bf16 or fp16"),
    ({"master": True, "precision": "bf16", "zero_grad": "keep"},
     "--master --zero-grad keep: gradients of fp32 copies are made anew in every step; "
     "choose another --zero-grad"),
    ({"master": True, "precision": "bf16", "optimizer": None},
     "--master: there is no optimizer to step; name one"),
    ({"scaler": True},
     "--scaler: a gradient scaler is for fp16, and precision is fp32; use --precision amp-fp16"),
    ({"scaler": True, "precision": "amp-bf16"},
     "--scaler: a gradient scaler is for fp16, and precision is amp-bf16; "
     "use --precision amp-fp16"),
    ({"scaler": True, "precision": "fp16"},
     "--scaler: PyTorch's scaler refuses gradients in fp16; "
     "add --master, or use --precision amp-fp16"),
    ({"freeze": "1.0.upp"},
     "--freeze 1.0.upp: no weight is called '1.0.upp'; did you mean 1.0.up, 1.1.up, "
     "1.0.up.bias?"),
    ({"freeze": ""}, '--freeze: an empty pattern; write one such as "encoder.*"'),
    ({"train_only": "head"},
     "--train-only head: no weight is called 'head'; the first is 0.weight"),
    ({"freeze": "*"}, "net: the model has no parameter that requires a gradient; use --infer"),
    ({"lora": "r=4,targets=upp"},
     "--lora r=4,targets=upp: no module is called 'upp'; did you mean up?"),
    ({"lora": "targets=up"},
     "--lora targets=up: the rank r is missing; write r=8,targets=q_proj,v_proj"),
    ({"lora": "r=0"}, "--lora r=0: 'r=0' has no whole number from 1; write such as 8"),
    ({"lora": "rank=4"},
     "--lora rank=4: 'rank=4' is not known; write r=8,targets=q_proj,v_proj"),
    ({"lora": "r=4,dropout=2"},
     "--lora r=4,dropout=2: 'dropout=2' has no number from 0 to 1; write such as 0.05"),
    ({"lora": "r=4,targets=up", "train_only": "0"},
     "--lora --train-only: with adapters, only they are trained; leave one of both out"),
    ({"checkpoint_how": "every=0"},
     "--checkpoint-how every=0: 'every=0' has no whole number from 1; write such as 8"),
    ({"checkpoint_how": "reentrnt"},
     "--checkpoint-how reentrnt: 'reentrnt' is not known; did you mean reentrant?"),
    ({"checkpoint_how": "reentrant,save=matmuls"},
     "--checkpoint-how reentrant,save=matmuls: the reentrant way keeps nothing; "
     "leave reentrant out"),
    ({"attention": "flash"},
     "--attention flash: attention 'flash' is not known; use one of sdpa, eager"),
    ({"attention": "eager"},
     "Sequential: only a model of transformers lets its attention be chosen; "
     "leave --attention out"),
]  # fmt: skip


@pytest.mark.parametrize(("choices", "line"), WRONG)
def test_wrong_questions(choices: dict[str, Any], line: str) -> None:
    with pytest.raises(BotecError) as caught:
        read(net(), X, B=8, **choices)
    assert str(caught.value).replace("Sequential: the", "net: the") == line


def test_a_model_without_weights_is_not_trained() -> None:
    with pytest.raises(BotecError, match="no parameter that requires a gradient; use --infer"):
        read(nn.ReLU(), X, B=8)
    assert read(nn.ReLU(), X, B=8, train=False).parameters == ()


def test_adapters_without_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("botec.read.trained"), "find_spec", lambda name: None)
    with pytest.raises(BotecError) as caught:
        read(net(), X, B=8, lora="r=4,targets=up")
    assert str(caught.value) == '--lora r=4,targets=up: peft is not installed; pip install "peft"'
