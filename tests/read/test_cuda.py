"""CUDA's decisions against what PyTorch's CUDA build really asked its allocator for.

``tests/data/cuda_requested_bytes.json`` holds, for networks at their second step, the bytes asked
for: the peak inside each phase and what is left at its end. They were recorded from PyTorch
2.13's own CUDA host code (compute capability 8.0) on a driver that gives out addresses and computes
nothing: every allocation is the real one. Tolerance: 4 bytes, the loss, which the recorded loops
hold until the step is over.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import botec
from botec.inputs import Input
from botec.program import BIRTH, DEATH, PHASE, PHASES

RECORDED = json.loads(
    (Path(__file__).parent.parent / "data" / "cuda_requested_bytes.json").read_text()
)
LOSS = 4
SMALL_LLAMA = (
    "transformers:llama?hidden_size=512,intermediate_size=1376,num_hidden_layers=4,"
    "num_attention_heads=8,num_key_value_heads=4,vocab_size=8000"
)
T5 = "transformers:t5?num_layers=4,d_model=512,d_ff=1024,num_heads=8,d_kv=64"


class Classified(nn.Module):
    """A classifier with its loss: the scenarios' cross-entropy."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any, labels: Any) -> Any:
        return nn.functional.cross_entropy(self.inner(x), labels)


def layered() -> nn.Module:
    return nn.Sequential(
        nn.Linear(1024, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.GELU(), nn.LayerNorm(4096),
        nn.Dropout(0.1), nn.Linear(4096, 10),
    )  # fmt: skip


def vision(name: str, trained: Callable[[str], bool] = lambda _: True) -> Callable[..., Any]:
    """A torchvision model on four pictures; ``trained`` says which parameters are."""

    def read(**options: Any) -> Any:
        from botec.read.from_torchvision import torchvision_models

        with torch.device("meta"):
            model = torchvision_models().get_model(name, weights=None)
        for key, parameter in model.named_parameters():
            parameter.requires_grad_(trained(key))
        inputs = (Input(4, 3, 224, 224), Input(4, dtype="int64"))
        return botec.read(Classified(model), *inputs, **options)

    return read


def mlp(**options: Any) -> Any:
    inputs = (Input(64, 1024), Input(64, dtype="int64"))
    with torch.device("meta"):
        model = Classified(layered())
    return botec.read(model, *inputs, **options)


def zoo(text: str, **point: int) -> Callable[..., Any]:
    return lambda **options: botec.read(text, **options, **point)


TWO = {"B": 2, "S": 128}
TRAINED: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "mlp_adam": (mlp, {"optimizer": "adam"}),
    "mlp_sgdm": (mlp, {"optimizer": "sgd-momentum"}),
    "mlp_rmsprop": (mlp, {"optimizer": "rmsprop"}),
    "gpt2_adamw": (zoo("transformers:gpt2?n_layer=4", **TWO), {}),
    "bert_adamw": (zoo("transformers:bert?num_hidden_layers=4", **TWO), {}),
    "llama_adamw": (zoo(SMALL_LLAMA, **TWO), {}),
    "llama_bf16": (zoo(SMALL_LLAMA, **TWO), {"precision": "bf16"}),
    "t5_adamw": (zoo(T5, **TWO, T=128), {}),
    "resnet50_adam": (vision("resnet50"), {"optimizer": "adam"}),
    "resnet50_frozen": (
        vision("resnet50", lambda name: name.startswith(("fc", "layer4"))),
        {"optimizer": "sgd-momentum"},
    ),
    "densenet121_sgdm": (vision("densenet121"), {"optimizer": "sgd-momentum"}),
    "efficientnet_b0_adam": (vision("efficientnet_b0"), {"optimizer": "adam"}),
    "swin_t_adam": (vision("swin_t"), {"optimizer": "adam"}),
    "vit_b_16_adam": (vision("vit_b_16"), {"optimizer": "adam"}),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_step_asks_for_what_the_cuda_build_asked_for(name: str) -> None:
    read, options = TRAINED[name]
    found = by_phase(read(device="cuda", **options))
    recorded = RECORDED[name]
    for phase in PHASES:
        assert found[phase][0] == pytest.approx(recorded[phase][0], abs=LOSS), phase
        assert found[phase][1] == pytest.approx(recorded[phase][1], abs=LOSS), phase


def test_a_recorded_stream_is_not_met_by_the_cpu_decisions() -> None:
    read, options = TRAINED["gpt2_adamw"]
    found = by_phase(read(device="cpu", **options))
    assert abs(found["backward"][0] - RECORDED["gpt2_adamw"]["backward"][0]) > 1_000_000


def by_phase(program: Any) -> dict[str, tuple[int, int]]:
    """The peak inside each phase and the bytes alive at its end."""
    timeline = botec.memory(program)
    live, phase = 0, -1
    peaks: dict[int, int] = {}
    ends: dict[int, int] = {}
    for kind, index, _ in timeline.stream.events():
        if kind == PHASE:
            ends[phase] = live
            phase, peaks[index] = index, live
        elif kind in (BIRTH, DEATH):
            live += timeline.sizes[index] * (1 if kind == BIRTH else -1)
            peaks[phase] = max(peaks.get(phase, 0), live)
    return {name: (peaks[place], ends[place]) for place, name in enumerate(PHASES)}
