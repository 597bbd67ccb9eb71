"""Live bytes when each op has returned, beside real steps on the CPU: networks, then settings.

Both sides are the same step of a run that goes on. Equal means: every op that stands on both sides,
in the same order, within single numbers of at most 96 bytes. What is not equal stands in
:data:`CASTS`, :data:`STOPPED` or :data:`FUSED` with its cause, and nothing else may be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from corridor.networks import NETWORKS, opened
from corridor.stepping import SCALARS, Beside, both
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

import botec
from botec.inputs import Input
from botec.read.from_torchvision import make_importable
from botec.read.source import Source

SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd"},
    "adamw": {"optimizer": "adamw"},
    "infer": {"train": False, "optimizer": None},
}
# A Python number that a tensor is multiplied with is kept for the backward, 8 bytes each, inside
# C++ where no op is seen: 12 and more layers of stochastic depth; ten scales in three layers of
# gpt2, and three or 20 adapters with theirs.
NUMBERS = {
    "swin_t": 128,
    "gpt2, the library's targets": 128,
    "gpt2, all linear, autocast": 256,
}
# Whole layers that are one op of a fused kernel in inference: only peaks can be compared.
FUSED = {"vit": "_native_multi_head_attention", "encoder": "_transformer_encoder_layer_fwd"}
LEAST = 0.96  # the share of real ops with a counterpart; the others are names in the assertion
QUICK = [("unet", "adamw"), ("unet", "infer"), ("lstm", "sgd"), ("vit", "adamw")]
REST = [(name, setting) for name in NETWORKS for setting in SETTINGS]


def check(found: Beside, exceptions: dict[str, str], numbers: int = SCALARS) -> None:
    apart = [one for one in found.apart(numbers) if one[0] not in exceptions]
    assert not apart, apart[:5]
    assert found.share >= LEAST, found.theirs
    assert len(found.pairs) > 5


def check_network(name: str, setting: str) -> None:
    choices = SETTINGS[setting]
    train = choices.get("train", True)
    found, program, real = both(*opened(name, train), **choices)
    if not train and name in FUSED:
        assert f"aten::{FUSED[name]}" in {op for op, _ in real.boundaries}
        assert abs(botec.memory(program).fullest.bytes - real.peak) <= SCALARS
        return
    check(found, {}, NUMBERS.get(name, SCALARS))


@pytest.mark.parametrize(("name", "setting"), QUICK)
def test_small_networks(name: str, setting: str) -> None:
    check_network(name, setting)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "setting"), [one for one in REST if one not in QUICK])
def test_every_network(name: str, setting: str) -> None:
    check_network(name, setting)


# --- settings of a step ---------------------------------------------------------------------------


class Block(nn.Module):
    """A feed-forward block with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(64), nn.Linear(64, 96), nn.Linear(96, 64)

    def forward(self, x: Any) -> Any:
        hidden = torch.nn.functional.dropout(torch.relu(self.up(self.norm(x))), 0.1, self.training)
        return x + self.down(hidden)


class Stack(nn.Module):
    """An embedding, four blocks, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(90, 64)
        self.blocks = nn.ModuleList(Block() for _ in range(4))
        self.head = nn.Linear(64, 90)

    def forward(self, tokens: Any) -> Any:
        x = self.table(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


TOKENS = (Input("B", "S", dtype="int64", name="tokens", below=90),)
STACK = Source("stack", Stack, TOKENS), {"B": 3, "S": 10}
UPDATES: dict[str, dict[str, Any]] = {
    "two micro-batches": {"accumulate": 2},
    "two, no state": {"accumulate": 2, "optimizer": "sgd"},
    "dropped before forward": {"zero_grad": "before"},
    "dropped between": {"zero_grad": "between"},
    "dropped between, two": {"zero_grad": "between", "accumulate": 2},
    "kept": {"zero_grad": "keep"},
    "first step": {"first_step": True},
    "first step of momentum": {
        "first_step": True, "optimizer": "sgd(momentum=0.9,nesterov=True)"
    },
    "first fused step": {"first_step": True, "optimizer": "adamw(fused=True)"},
    "autocast": {"precision": "amp-bf16"},
    "autocast, two": {"precision": "amp-bf16", "accumulate": 2},
    "scaler": {"precision": "amp-fp16", "scaler": True},
    "copies": {"precision": "bf16", "master": True},
    "copies, two, between": {
        "precision": "bf16", "master": True, "accumulate": 2, "zero_grad": "between"
    },
    "copies and scaler": {"precision": "fp16", "master": True, "scaler": True},
    **{
        optimizer: {"optimizer": optimizer}
        for optimizer in (
            "sgd(momentum=0.9,nesterov=True)", "adamw(foreach=True)", "adamw(fused=True)",
            "adam(fused=True,amsgrad=True)", "sgd(fused=True,momentum=0.9)",
            "adagrad(fused=True)", "nadam(foreach=True)", "rmsprop(momentum=0.5,centered=True)",
            "adagrad", "adafactor", "adafactor(foreach=True)",
        )
    },
}  # fmt: skip


def quick(names: Any, *chosen: str) -> list[Any]:
    """The chosen ones in every run, the others where slow ones are asked for."""
    return [one if one in chosen else pytest.param(one, marks=pytest.mark.slow) for one in names]


@pytest.mark.parametrize(
    "name",
    quick(
        UPDATES, "two micro-batches", "kept", "dropped between, two", "first step", "scaler",
        "copies and scaler", "adagrad(fused=True)", "adafactor(foreach=True)",
    ),
)  # fmt: skip
def test_updates(name: str) -> None:
    found, _, _ = both(*STACK, **UPDATES[name])
    check(found, {})


@pytest.mark.slow
@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("network", ["unet", "llama"])
def test_updates_of_networks(network: str, name: str) -> None:
    found, _, _ = both(*opened(network), **UPDATES[name])
    check(found, CASTS if "amp" in UPDATES[name].get("precision", "") else {})


# The profiler hears autocast's casts inside such an op, where they are gone when it returns.
CASTS = dict.fromkeys(("cat", "addmm"), "casts of its inputs live until it has returned")


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023: the sign of an average of gradients."""

    def __init__(self, weights: Any, lr: float = 1e-4) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for weight in (weight for group in self.param_groups for weight in group["params"]):
            state = self.state[weight]
            if not state:
                state["average"] = torch.zeros_like(weight)
            weight.add_(state["average"].lerp(weight.grad, 0.1).sign_(), alpha=-1e-4)
            state["average"].lerp_(weight.grad, 0.01)


def test_an_optimizer_of_the_users_own() -> None:
    for maker in (Lion, lambda weights: Lion(weights, 0.1)):
        found, program, _ = both(*STACK, optimizer=Lion, maker=maker)
        check(found, {})
        assert program.setting.optimizer.endswith("Lion")


# --- what is computed again -----------------------------------------------------------------------

aten = torch.ops.aten
PRODUCTS = [aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default,
            aten.convolution.default]  # fmt: skip
FLASH = [aten._scaled_dot_product_flash_attention_for_cpu.default]


def again(
    every: int = 1, reentrant: bool = False, kept: list[Any] | None = None
) -> Callable[[Any], None]:
    """Put every k-th block under the framework's checkpointing, as a user does by hand."""
    options: dict[str, Any] = {"use_reentrant": reentrant}
    if kept:
        options["context_fn"] = partial(create_selective_checkpoint_contexts, kept)

    def prepare(model: Any) -> None:
        for part in model.modules():
            if getattr(getattr(part, "config", None), "use_cache", False):
                part.config.use_cache = False
        for part in model.modules():
            blocks = (
                list(part.children()) if isinstance(part, (nn.ModuleList, nn.Sequential)) else []
            )
            if len(blocks) > 1 and len(set(map(type, blocks))) == 1 and list(blocks[0].children()):
                for block in blocks[::every]:
                    block.forward = under(block.forward, options)

    return prepare


def under(forward: Any, options: Any) -> Any:
    return lambda *args, **named: checkpoint(partial(forward, **named), *args, **options)


def of_the_library(reentrant: bool = False) -> Callable[[Any], None]:
    """``transformers``' own switch."""

    def prepare(model: Any) -> None:
        model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": reentrant}
        )

    return prepare


# Checkpointing stops with the last thing it needs, here inside an op whose result is then let go.
STOPPED = {"native_layer_norm": "the recomputation stops inside it"}
AGAIN: dict[str, tuple[Any, dict[str, Any]]] = {
    "blocks": (again(), {"checkpoint": True}),
    "blocks, autocast": (again(), {"checkpoint": True, "precision": "amp-bf16"}),
    "blocks, two": (again(), {"checkpoint": True, "accumulate": 2}),
    "reentrant": (again(reentrant=True), {"checkpoint_how": "reentrant"}),
    "every second": (again(2), {"checkpoint_how": "every=2"}),
    "every second, reentrant": (again(2, True), {"checkpoint_how": "every=2,reentrant"}),
    "products kept": (again(kept=PRODUCTS), {"checkpoint_how": "save=matmuls"}),
}


@pytest.mark.parametrize("name", quick(AGAIN, "blocks", "every second, reentrant", "products kept"))
def test_checkpointing(name: str) -> None:
    prepare, choices = AGAIN[name]
    found, _, _ = both(*STACK, prepare=prepare, **choices)
    check(found, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*AGAIN, "attention kept", "the library's", "the library's, reentrant"]
)
@pytest.mark.parametrize("network", ["llama", "bert"])
def test_checkpointed_networks(network: str, name: str) -> None:
    known = {
        **AGAIN,
        "attention kept": (again(kept=FLASH), {"checkpoint_how": "save=attention"}),
        "the library's": (of_the_library(), {"checkpoint": True}),
        "the library's, reentrant": (of_the_library(True), {"checkpoint_how": "reentrant"}),
    }
    prepare, choices = known[name]
    found, _, _ = both(*opened(network), prepare=prepare, **choices)
    check(found, {**STOPPED, **(CASTS if "amp" in choices.get("precision", "") else {})})


# --- what is trained ------------------------------------------------------------------------------


def frozen(*starts: str, but: bool = False, ends: str = "") -> Callable[[Any], None]:
    def prepare(model: Any) -> None:
        for name, weight in model.named_parameters():
            if (name.startswith(starts) and name.endswith(ends)) != but:
                weight.requires_grad = False

    return prepare


def in_turn(*steps: Callable[[Any], None]) -> Callable[[Any], None]:
    def prepare(model: Any) -> None:
        for step in steps:
            step(model)

    return prepare


def adapters(targets: Any, **options: Any) -> Callable[[Any], None]:
    def prepare(model: Any) -> None:
        make_importable()
        peft = pytest.importorskip("peft")
        peft.get_peft_model(model, peft.LoraConfig(target_modules=targets, **options))

    return prepare


TRAINED: dict[str, tuple[Any, dict[str, Any]]] = {
    "first ones frozen": (
        frozen("table", "blocks.0", "blocks.1"), {"freeze": ("table", "blocks.[01].*")}
    ),
    "the last alone": (frozen("head", but=True), {"train_only": "head"}),
    "biases alone": (
        frozen("table", "blocks", "head", ends="weight"),
        {"train_only": "*.bias", "precision": "amp-bf16"},
    ),
    "adapters": (adapters(["up", "down"], r=4), {"lora": "r=4,targets=up,down"}),
    "adapters, dropout, bf16": (
        adapters(["up"], r=4, lora_dropout=0.1, lora_alpha=32),
        {"lora": "r=4,targets=up,dropout=0.1,alpha=32", "precision": "bf16"},
    ),
    "adapters, inference": (
        adapters(["up"], r=4), {"lora": "r=4,targets=up", "train": False, "optimizer": None}
    ),
    "adapters, checkpointed": (
        in_turn(adapters(["up"], r=4), again()),
        {"lora": "r=4,targets=up", "checkpoint": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", quick(TRAINED, "first ones frozen", "biases alone", "adapters, checkpointed")
)
def test_trained_weights(name: str) -> None:
    prepare, choices = TRAINED[name]
    found, _, _ = both(*STACK, prepare=prepare, **choices)
    check(found, {})


OF_NETWORKS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "resnet50, the head alone": ("resnet50", frozen("fc", but=True), {"train_only": "fc"}),
    "llama, first layers frozen": (
        "llama", frozen("model.embed_tokens", "model.layers.0"),
        {"freeze": ("model.embed_tokens", "model.layers.0")},
    ),
    "llama, adapters": (
        "llama", adapters(["q_proj", "v_proj"], r=8), {"lora": "r=8,targets=q_proj,v_proj"}
    ),
    "llama, adapters in inference": (
        "llama", adapters(["q_proj"], r=8),
        {"lora": "r=8,targets=q_proj", "train": False, "optimizer": None},
    ),
    "gpt2, the library's targets": ("gpt2", adapters(None, r=4), {"lora": "r=4"}),
    "gpt2, all linear, autocast": (
        "gpt2", adapters("all-linear", r=4, lora_alpha=16),
        {"lora": "r=4,alpha=16,targets=all-linear", "precision": "amp-bf16"},
    ),
    "unet, adapters of convolutions": (
        "unet", adapters(["down.0.0", "head"], r=2), {"lora": "r=2,targets=down.0.0,head"}
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_NETWORKS)
def test_trained_weights_of_networks(name: str) -> None:
    network, prepare, choices = OF_NETWORKS[name]
    found, _, _ = both(*opened(network, choices.get("train", True)), prepare=prepare, **choices)
    check(found, CASTS if "amp" in choices.get("precision", "") else {}, NUMBERS.get(name, SCALARS))


# --- many equal blocks, read once and repeated ----------------------------------------------------


class Deep(Stack):
    """Nine blocks: enough that a reading takes a few of them for all."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(9))


DEEP: dict[str, tuple[Any, dict[str, Any]]] = {
    "adamw": (None, {}),
    "fused": (None, {"optimizer": "adamw(fused=True)"}),
    "two micro-batches": (None, {"accumulate": 2}),
    "first step": (None, {"first_step": True}),
    "some frozen": (
        frozen("table", "blocks.0", "blocks.3", "blocks.4"),
        {"freeze": ("table", "blocks.0", "blocks.[34].*")},
    ),
    "adapters": (adapters(["up"], r=4), {"lora": "r=4,targets=up"}),
    **{f"again: {name}": one for name, one in AGAIN.items()},
}


@pytest.mark.parametrize("name", quick(DEEP, "adamw", "again: products kept"))
def test_many_blocks(name: str) -> None:
    prepare, choices = DEEP[name]
    found, _, _ = both(Source("deep", Deep, TOKENS), STACK[1], prepare=prepare, **choices)
    check(found, {})


# --- the judge can fail ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "done"),
    [
        ({"zero_grad": "after"}, {"zero_grad": "keep"}),
        ({"optimizer": "adamw"}, {"optimizer": "sgd(momentum=0.9,nesterov=True)"}),
        ({"precision": "bf16"}, {"precision": "bf16", "master": True}),
        ({"accumulate": 1}, {"accumulate": 2}),
    ],
)
def test_another_setting_is_seen(asked: Any, done: Any) -> None:
    """What one setting does is not what another does: the comparison tells them apart."""
    from corridor import stepping

    program = botec.read(Stack(), *TOKENS, **{**STACK[1], **asked})
    setting = stepping.settle(
        True, done.get("optimizer", "adamw"), done.get("precision", "fp32"), "cpu", False,
        **{key: value for key, value in done.items() if key not in ("optimizer", "precision")},
    )  # fmt: skip
    live, _ = stepping.real_live(stepping.loop_of(*STACK, None, None, setting))
    with pytest.raises(AssertionError):
        check(stepping.beside(stepping.traced_live(program), live), {})
