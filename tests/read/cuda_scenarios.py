"""The recorded steps of tests/data/cuda_host_traces, as botec reads them.

Models, inputs and optimizers are those of the recordings; a network and its loss are one module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import botec
from botec.inputs import Input

Made = tuple[nn.Module, tuple[Input, ...]]


class WithLoss(nn.Module):
    """A classifier with its cross-entropy, or a language model that is asked for its own loss."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: Any, **named: Any) -> Any:
        if named:
            return self.inner(**named).loss
        return nn.functional.cross_entropy(self.inner(given[0]), given[1])


def layered() -> Made:
    model = nn.Sequential(
        nn.Linear(1024, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.GELU(), nn.LayerNorm(4096),
        nn.Dropout(0.1), nn.Linear(4096, 10),
    )  # fmt: skip
    return model, (Input(64, 1024), Input(64, dtype="int64"))


def vision(name: str, trained: tuple[str, ...] = ("",)) -> Made:
    """A torchvision model on four pictures; parameters that start so are trained."""
    from botec.read.from_torchvision import torchvision_models

    model = torchvision_models().get_model(name, weights=None)
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(key.startswith(trained))
    return model, (Input(4, 3, 224, 224), Input(4, dtype="int64"))


def importable() -> None:
    """Let transformers find torchvision, whose compiled part is not here."""
    from botec.read.from_torchvision import make_importable

    make_importable()


def words(length: int = 128) -> tuple[Input, ...]:
    return tuple(Input(2, length, dtype="int64", name=name) for name in ("input_ids", "labels"))


def gpt2(length: int = 128, recomputed: bool = False) -> Made:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_layer=4))
    if recomputed:
        model.gradient_checkpointing_enable()
    return model, words(length)


def bert() -> Made:
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(num_hidden_layers=4)), words()


def llama(length: int = 128, adapted: bool = False) -> Made:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 512, "intermediate_size": 1376, "vocab_size": 8000}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "num_hidden_layers": 4}
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads))
    if adapted:
        adapt(model)
    return model, words(length)


def t5() -> Made:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"num_layers": 4, "d_model": 512, "d_ff": 1024, "num_heads": 8, "d_kv": 64}
    config = T5Config(**sizes, decoder_start_token_id=0, pad_token_id=0)
    return T5ForConditionalGeneration(config), words()


def whisper() -> Made:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    sizes = {"d_model": 384, "encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536}
    layers = {"encoder_layers": 4, "decoder_layers": 4}
    heads = {"encoder_attention_heads": 6, "decoder_attention_heads": 6}
    model = WhisperForConditionalGeneration(WhisperConfig(**sizes, **layers, **heads))
    sound = Input(2, 80, 3000, name="input_features")
    return model, (sound, Input(2, 32, dtype="int64", name="labels"))


def mamba() -> Made:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(hidden_size=256, num_hidden_layers=4, vocab_size=4000)
    return MambaForCausalLM(config), words()


class Adapted(nn.Module):
    """A frozen linear layer beside a trained product of rank 8."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner
        self.down = nn.Linear(inner.in_features, 8, bias=False)
        self.up = nn.Linear(8, inner.out_features, bias=False)

    def forward(self, x: Any) -> Any:
        return self.inner(x) + self.up(self.down(x))


def adapt(model: nn.Module) -> None:
    """Freeze a model and put adapters at the queries and values."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for part in list(model.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.Linear) and name in ("q_proj", "v_proj"):
                setattr(part, name, Adapted(child))


def scenario(make: Callable[[], Made], **options: Any) -> Callable[[], Any]:
    """How a recorded step is read for ``--device cuda``."""

    def read() -> Any:
        importable()
        with torch.device("meta"):
            model, inputs = make()
        return botec.read(WithLoss(model), *inputs, device="cuda", **options)

    return read


MOMENTUM, AMP = {"optimizer": "sgd-momentum"}, {"precision": "amp-bf16"}
ADAM, INFER = {"optimizer": "adam"}, {"train": False}
LAST = ("fc", "layer4")
SCENARIOS: dict[str, Callable[[], Any]] = {
    "mlp_adam": scenario(layered, **ADAM),
    "mlp_sgdm": scenario(layered, **MOMENTUM),
    "mlp_rmsprop": scenario(layered, optimizer="rmsprop"),
    "mlp_adamw_foreach": scenario(layered, optimizer="adamw(foreach=True)"),
    "mlp_adamw_fused": scenario(layered, optimizer="adamw(fused=True)"),
    "gpt2_adamw": scenario(gpt2),
    "gpt2_accum": scenario(gpt2, accumulate=2),
    "gpt2_gc": scenario(lambda: gpt2(256, recomputed=True)),
    "gpt2_amp": scenario(gpt2, **AMP),
    "gpt2_inf": scenario(gpt2, **INFER),
    "bert_adamw": scenario(bert),
    "bert_amp": scenario(bert, **AMP),
    "llama_adamw": scenario(llama),
    "llama_bf16": scenario(llama, precision="bf16"),
    "llama_lora": scenario(lambda: llama(256, adapted=True)),
    "llama_inf": scenario(llama, **INFER),
    "t5_adamw": scenario(t5),
    "whisper_amp": scenario(whisper, **AMP),
    "mamba_inf": scenario(mamba, **INFER),
    "resnet50_adam": scenario(lambda: vision("resnet50"), **ADAM),
    "resnet50_amp": scenario(lambda: vision("resnet50"), **MOMENTUM, **AMP),
    "resnet50_frozen": scenario(lambda: vision("resnet50", LAST), **MOMENTUM),
    "resnet50_inf": scenario(lambda: vision("resnet50"), **INFER),
    "densenet121_sgdm": scenario(lambda: vision("densenet121"), **MOMENTUM),
    "efficientnet_b0_adam": scenario(lambda: vision("efficientnet_b0"), **ADAM),
    "swin_t_adam": scenario(lambda: vision("swin_t"), **ADAM),
    "vit_b_16_adam": scenario(lambda: vision("vit_b_16"), **ADAM),
    "vit_b_16_inf": scenario(lambda: vision("vit_b_16"), **INFER),
}
