"""Every step that is held beside a real one on the CPU: networks and their settings, by name.

A :class:`Case` says what botec is asked and what is done to the real model; the tests assert them,
`benchmarks/real_steps.py` writes them down. Equal means: every op that stands on both sides, in the
same order, within single numbers of at most 96 bytes. What is not equal stands in :data:`CASTS`,
:data:`STOPPED` or :data:`FUSED` with its cause, and nothing else may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from corridor.networks import NETWORKS, opened
from corridor.stepping import SCALARS, Beside, both
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

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
    **dict.fromkeys((f"swin_t, {setting}" for setting in SETTINGS), 128),
    "gpt2, the library's targets": 128,
    "gpt2, all linear, autocast": 256,
}
# Whole layers that are one op of a fused kernel in inference: only peaks can be compared.
FUSED = {
    **dict.fromkeys(("vit", "vit_b_16"), "_native_multi_head_attention"),
    "encoder": "_transformer_encoder_layer_fwd",
}

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


# The profiler hears autocast's casts inside such an op, where they are gone when it returns.
CASTS = dict.fromkeys(("cat", "addmm"), "casts of its inputs live until it has returned")


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
        import peft

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


# --- many equal blocks, read once and repeated ----------------------------------------------------


AGAIN_OF_NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "attention kept": (again(kept=FLASH), {"checkpoint_how": "save=attention"}),
    "the library's": (of_the_library(), {"checkpoint": True}),
    "the library's, reentrant": (of_the_library(True), {"checkpoint_how": "reentrant"}),
}


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


# --- all of them, by name -------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One step: a network, what botec is asked, and what is done to the real model by hand.

    ``known`` are ops whose bytes may differ, with the cause; ``numbers`` the bytes of single
    numbers allowed; ``whole`` an op that is a whole layer below autograd: only peaks compare.
    """

    name: str
    network: str
    open: Callable[[], tuple[Source, dict[str, int]]]
    choices: Mapping[str, Any]
    prepare: Any = None
    known: Mapping[str, str] = field(default_factory=dict)
    whole: str = ""

    @property
    def numbers(self) -> int:
        """Bytes that single numbers, kept inside C++, may make."""
        return NUMBERS.get(self.name, SCALARS)

    def run(self) -> tuple[Beside, Any, Any]:
        """The step as botec reads it beside the real one."""
        return both(*self.open(), prepare=self.prepare, **self.choices)


def of_network(
    name: str, network: str, choices: Any, prepare: Any = None, known: Any = None
) -> Case:
    """A step of one of the networks."""
    train = choices.get("train", True)
    whole = "" if train else FUSED.get(network, "")
    amp = CASTS if "amp" in choices.get("precision", "") else {}
    return Case(
        name, network, partial(opened, network, train), choices, prepare,
        {**amp, **(known or {})}, whole,
    )  # fmt: skip


def networks() -> Iterator[Case]:
    """The networks, trained and run."""
    for network in NETWORKS:
        for setting, choices in SETTINGS.items():
            yield of_network(f"{network}, {setting}", network, choices)


def updates() -> Iterator[Case]:
    """Settings of the update: of four blocks, of a U-Net, of a language model."""
    for name, choices in UPDATES.items():
        yield Case(f"blocks, {name}", "blocks", lambda: STACK, choices)
        for network in ("unet", "llama"):
            yield of_network(f"{network}, {name}", network, choices)


def recomputed() -> Iterator[Case]:
    """Activations that are computed again."""
    for name, (prepare, choices) in AGAIN.items():
        yield Case(f"blocks, {name}", "blocks", lambda: STACK, choices, prepare)
    for network in ("llama", "bert"):
        for name, (prepare, choices) in {**AGAIN, **AGAIN_OF_NETWORKS}.items():
            yield of_network(f"{network}, {name}", network, choices, prepare, STOPPED)


def trained() -> Iterator[Case]:
    """Frozen parts, and adapters."""
    for name, (prepare, choices) in TRAINED.items():
        yield Case(f"blocks, {name}", "blocks", lambda: STACK, choices, prepare)
    for name, (network, prepare, choices) in OF_NETWORKS.items():
        yield of_network(name, network, choices, prepare)


def many_blocks() -> Iterator[Case]:
    """Nine equal blocks, read once and repeated."""
    for name, (prepare, choices) in DEEP.items():
        opening = partial(lambda point: (Source("deep", Deep, TOKENS), point), STACK[1])
        yield Case(f"many blocks, {name}", "many blocks", opening, choices, prepare)


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "Networks, trained and run": networks,
    "Updates: accumulation, gradients dropped or kept, autocast, scalers, copies, optimizers":
        updates,
    "Checkpointing, whole and selective": recomputed,
    "Frozen parts and adapters": trained,
    "Many equal blocks, read once and repeated": many_blocks,
}  # fmt: skip
CASES = {case.name: case for group in GROUPS.values() for case in group()}
