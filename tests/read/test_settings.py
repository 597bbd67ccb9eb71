"""Settings of a step that are traced, not assumed: optimizers, checkpointing, frozen and tied
weights, stored precisions. The judge is the allocator in a real step of the same setting.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from read.phases import differences, recorded, traced_peaks
from torch import nn

import botec
from botec.errors import BadInput
from botec.inputs import Input
from botec.read.source import Source
from botec.read.statistics import NORMS, statistics_as_on_cpu

OPTIMIZERS = [
    "sgd", "sgd-momentum", "adam", "adamw", "nadam", "radam", "rmsprop", "adagrad", "adadelta",
    "adamax", "adafactor", "rprop", "asgd",
]  # fmt: skip
GPT2 = "transformers:gpt2?n_layer=3,n_embd=64,n_head=4,vocab_size=500"
RANDOM_STATE = 5056  # bytes of the CPU generator's state, which checkpointing keeps


class Block(nn.Module):
    """A transformer's feed-forward part."""

    def __init__(self, drop: float = 0.0) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(64), nn.Dropout(drop)
        self.up, self.down = nn.Linear(64, 256), nn.Linear(256, 64)

    def forward(self, x: Any) -> Any:
        return x + self.drop(self.down(nn.functional.gelu(self.up(self.norm(x)))))


class Three(nn.Module):
    """Three layers, ``frozen`` ones of them without a gradient of their own."""

    def __init__(self, frozen: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 64)
        for name, weight in self.named_parameters():
            weight.requires_grad_(not name.startswith(frozen) if frozen else True)

    def forward(self, x: Any) -> Any:
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


class Tied(nn.Module):
    """A table used to read tokens and to tell them."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.inner = nn.Embedding(200, 64), nn.Linear(64, 64)
        self.head = nn.Linear(64, 200, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens: Any) -> Any:
        return self.head(torch.tanh(self.inner(self.table(tokens))))


class PartlyWithout(nn.Module):
    """Two parts of its forward under ``no_grad``."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 64)

    def forward(self, x: Any) -> Any:
        with torch.no_grad():
            y = torch.relu(self.a(x))
        z = self.b(y)
        with torch.no_grad():
            gate = torch.softmax(self.b(z), -1)
        return self.c(z * gate)


class Masked(nn.Module):
    """Writes one value where a mask of the data says."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 64)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.inner(x)).clone()
        y[y > 0.5] = 0.0
        return self.inner(y)


class Pictures(nn.Sequential):
    """Convolutions and norms of two kinds."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2),
            nn.GroupNorm(4, 16), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10),
        )  # fmt: skip
        self[-1] = nn.Linear(16 * 8 * 8, 10)


def blocks(drop: float) -> nn.Module:
    inner = nn.Sequential(*(Block(drop) for _ in range(3)))
    return nn.Sequential(nn.Linear(32, 64), inner, nn.Linear(64, 8))


ROWS, POINT = (Input("B", 64),), {"B": 32}
TOKENS = (Input("B", "S", dtype="int64", name="tokens", below=200),)
PICTURES = Source("pictures", Pictures, (Input("B", 3, 20, 20),)), {"B": 4}
MODELS = {
    "frozen first": (Source("frozen", lambda: Three(("a", "b.weight")), ROWS), POINT),
    "frozen last": (Source("frozen", lambda: Three(("c",)), ROWS), POINT),
    "tied": (Source("tied", Tied, TOKENS), {"B": 4, "S": 16}),
    "partly without": (Source("partly", PartlyWithout, ROWS), POINT),
    "masked": (Source("masked", Masked, ROWS), POINT),
}


def gpt2() -> tuple[Source, dict[str, int]]:
    from botec.read.doors import open_source

    return open_source(GPT2, True, ()), {"B": 2, "S": 16}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(optimizer: str) -> None:
    assert differences(*PICTURES, optimizer=optimizer) == {}


@pytest.mark.parametrize("optimizer", ["muon", "adafactor"])
def test_optimizers_of_matrices(optimizer: str) -> None:
    two = Source(
        "two", lambda: nn.Sequential(nn.Linear(64, 96, False), nn.Linear(96, 32, False)), ROWS
    )
    assert differences(two, POINT, optimizer=optimizer) == {}


@pytest.mark.parametrize("optimizer", ["sgd-momentum", "adafactor"])
def test_an_optimizer_in_a_whole_reading(optimizer: str) -> None:
    """The Program's peak is the trace's, as a formula proved elsewhere."""
    source, point = PICTURES
    program = botec.read(Pictures(), *source.inputs, optimizer=optimizer, **point)
    assert program.stream(program.asked).regime.proved
    traced = traced_peaks(source, point, optimizer=optimizer)
    assert botec.memory(program).peak() == max(traced.values())


def test_muon_refuses_what_is_no_matrix_in_one_line() -> None:
    with pytest.raises(BadInput) as caught:
        botec.read(nn.Linear(4, 4), Input("B", 4), optimizer="muon")
    text = str(caught.value)
    assert text.startswith("--optimizer: Muon refuses: Muon only supports 2D parameters")
    assert "\n" not in text


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16"])
@pytest.mark.parametrize("drop", [0.0, 0.1])
def test_checkpointed_blocks(drop: float, precision: str) -> None:
    source = Source("blocks", lambda: blocks(drop), (Input("B", 32),))
    assert differences(source, {"B": 64}, checkpoint=True, precision=precision) == {}


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16"])
def test_a_checkpointed_language_model(precision: str) -> None:
    assert differences(*gpt2(), checkpoint=True, precision=precision) == {}


def test_checkpointing_keeps_the_generator_once_a_block() -> None:
    source, point = Source("blocks", lambda: blocks(0.1), (Input("B", 32),)), {"B": 64}
    sizes = recorded(source, point, checkpoint=True).sizes
    # once for each of three blocks, and once more while each is run again
    assert sizes.count(RANDOM_STATE) == 6
    assert sizes.count(RANDOM_STATE) > recorded(source, point).sizes.count(RANDOM_STATE) == 0


@pytest.mark.parametrize("train", [True, False], ids=["train", "infer"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", ["fp32", "amp-bf16"])
def test_models_that_choose_for_themselves(name: str, train: bool, precision: str) -> None:
    assert differences(*MODELS[name], train=train, precision=precision) == {}


@pytest.mark.parametrize("train", [True, False], ids=["train", "infer"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", ["pictures", "blocks", GPT2])
def test_one_two_byte_type_throughout(name: str, precision: str, train: bool) -> None:
    known = {"pictures": PICTURES, "blocks": (Source("b", Block, ROWS), POINT)}
    source, point = known.get(name) or gpt2()
    assert differences(source, point, train=train, precision=precision) == {}


def test_the_first_step_of_a_process_is_like_every_other() -> None:
    """What the framework imports late must not hold tensors of whatever step is first."""
    code = """
from read.phases import traced_peaks
from read.test_settings import Source, Input
from torch import nn
source = Source("rnn", lambda: nn.RNN(16, 24, batch_first=True), (Input("B", "S", 16),))
print(*(traced_peaks(source, {"B": 4, "S": 12}, train=False)["forward"] for _ in range(2)))
"""
    tests = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tests
    )
    first, second = done.stdout.split()
    assert first == second


# --- statistics that norms keep ----------------------------------------------------------------


def layouts(call: Any, device: str) -> list[Any]:
    return [(tuple(one.shape), one.stride(), one.dtype) for one in call(device)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stored", [torch.float32, None, "same"])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NORMS)
def test_statistics_are_those_of_the_real_kernels(
    name: str, kind: Any, stored: Any, form: Any, training: bool
) -> None:
    def call(device: str) -> Any:
        x = torch.ones(4, 8, 5, 5, dtype=kind, device=device).to(memory_format=form)
        stored_as = kind if stored == "same" else stored
        w = None if stored is None else torch.ones(8, dtype=stored_as, device=device)
        if name == "native_batch_norm":
            running = w if w is not None or training else x.new_ones(8)
            return torch.native_batch_norm(x, w, w, running, running, training, 0.1, 1e-5)
        if name == "native_layer_norm":
            x = x.permute(0, 2, 3, 1)
            return torch.native_layer_norm(x, (8,), w, w, 1e-5)
        return torch.native_group_norm(x, w, w, 4, 8, 25, 2, 1e-5)

    real = layouts(call, "cpu")
    with statistics_as_on_cpu():
        assert layouts(call, "meta") == real
