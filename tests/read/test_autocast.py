"""Autocast on tensors without data, held against the CPU's own autocast.

Judges: the types real ops give under ``torch.autocast("cpu")``, the allocator's peaks of real
steps, the lists in the framework's documentation. Where they differ is said beside the test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from read.phases import differences, recorded
from torch import nn
from torch.nn import functional

import botec
from botec.errors import BadInput
from botec.inputs import Input
from botec.program import OP
from botec.read import autocast
from botec.read.source import Source

AMP = {"amp-bf16": torch.bfloat16, "amp-fp16": torch.float16}
KINDS = [torch.float32, torch.bfloat16, torch.float64]


class Pictures(nn.Module):
    """Two convolutions, two batch norms, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, bias=False), nn.Conv2d(16, 32, 3, stride=2)
        self.norms = nn.ModuleList([nn.BatchNorm2d(16), nn.BatchNorm2d(32)])
        self.head = nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.norms[0](self.first(x)))
        return self.head(torch.relu(self.norms[1](self.second(x))).mean((2, 3)))


class Recurrent(nn.Module):
    """An embedding, two recurrent layers, a head."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 24)
        self.inner = kind(24, 32, 2, batch_first=True)
        self.head = nn.Linear(32, 100)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.inner(self.embedding(tokens))[0])


class Islands(nn.Module):
    """Its own blocks: none, an inner one without autocast, one named by its tensor's device."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(48, 48) for _ in range(3))

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.a(x))
        with torch.autocast("cpu", enabled=False):
            x = torch.relu(self.b(x.float()))
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            x = self.c(x) + self.a(x)
        return torch.softmax(x, -1)


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.GELU(),
        nn.LayerNorm(128), nn.Linear(128, 10),
    )  # fmt: skip


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


TOKENS = (Input("B", "S", dtype="int64", name="tokens", below=100),)
ROWS = {"B": 4, "S": 12}
SMALL: dict[str, tuple[Callable[[], nn.Module], tuple[Input, ...], dict[str, int]]] = {
    "mlp": (perceptron, (Input("B", 64),), {"B": 32}),
    "pictures": (Pictures, (Input("B", 3, 20, 20),), {"B": 4}),
    "encoder": (encoder, (Input("B", "S", 32),), ROWS),
    "lstm": (lambda: Recurrent(nn.LSTM), TOKENS, ROWS),
    "gru": (lambda: Recurrent(nn.GRU), TOKENS, ROWS),
    "rnn": (lambda: Recurrent(nn.RNN), TOKENS, ROWS),
    "islands": (Islands, (Input("B", 48),), {"B": 32}),
}
LLAMA = (
    "transformers:llama?num_hidden_layers=2,hidden_size=64,intermediate_size=128,"
    "num_attention_heads=4,num_key_value_heads=2,vocab_size=500"
)
ZOO = {
    LLAMA: {"B": 2, "S": 16},
    "transformers:gpt2?n_layer=2,n_embd=64,n_head=4,vocab_size=500": {"B": 2, "S": 16},
}
LARGE: dict[str, dict[str, int]] = {
    "transformers:gpt2?n_layer=2": {"B": 2, "S": 32},
    "transformers:bert?num_hidden_layers=2": {"B": 2, "S": 32},
    "torchvision:resnet18": {"B": 2},
}
# oneDNN's workspace of an LSTM in two-byte types is not the one known for float32, and of its
# backward pass the casts happen inside the op: training is left out. An encoder's inference takes
# a fused kernel on a CPU that the trace does not know, whatever the precision.
UNLIKE = {("lstm", True), ("encoder", False)}


@cache
def opened(name: str) -> tuple[Source, dict[str, int]]:
    if name in SMALL:
        factory, inputs, point = SMALL[name]
        return Source(name, factory, inputs), point
    from botec.read.doors import open_source

    return open_source(name, True, ()), {**ZOO, **LARGE}[name]


@pytest.mark.parametrize("train", [True, False], ids=["train", "infer"])
@pytest.mark.parametrize("name", [*SMALL, *ZOO])
def test_peaks_of_a_real_step_under_autocast(name: str, train: bool) -> None:
    if (name, train) in UNLIKE:
        pytest.skip("named above")
    assert differences(*opened(name), train=train, precision="amp-bf16") == {}


@pytest.mark.parametrize("name", ["mlp", "pictures", "gru", LLAMA])
def test_peaks_in_half_precision(name: str) -> None:
    """The same in fp16; scaling of the loss is a user's choice and no part of it."""
    assert differences(*opened(name), precision="amp-fp16") == {}


@pytest.mark.slow
@pytest.mark.parametrize("train", [True, False], ids=["train", "infer"])
@pytest.mark.parametrize("name", LARGE)
def test_peaks_of_large_models(name: str, train: bool) -> None:
    assert differences(*opened(name), train=train, precision="amp-bf16") == {}


@pytest.mark.parametrize("train", [True, False], ids=["train", "infer"])
def test_a_model_with_blocks_of_its_own_in_float32(train: bool) -> None:
    """Autocast inside forward counts where nobody asked for it outside."""
    assert differences(*opened("islands"), train=train) == {}


@pytest.mark.parametrize("name", ["mlp", "pictures", "encoder", "lstm", LLAMA])
def test_no_multiplication_more_or_less(name: str) -> None:
    source, point = opened(name)
    counts = [recorded(source, point, precision=kind) for kind in ("fp32", "amp-bf16")]
    assert products(counts[0]) == products(counts[1])


def products(trace: Any) -> list[tuple[str, Any]]:
    """Every product of a trace with the shapes it made."""
    called = (
        trace.signatures[index]
        for kind, index in zip(trace.kinds, trace.index, strict=True)
        if kind == OP
    )
    known = ("mm", "bmm", "addmm", "convolution", "attention", "rnn_layer")
    return [
        (one.info.name, tuple(made and made[0] for made in one.results))
        for one in called
        if any(word in one.info.name for word in known)
    ]


def test_a_library_block_that_steps_aside_on_meta_is_kept() -> None:
    """``transformers`` has a block for islands without autocast, by the tensor's own device."""
    generic = pytest.importorskip("transformers.utils.generic")
    for device in ("cpu", "meta"):
        x = torch.ones(3, 3, device=device)
        with autocast.autocast_as_on_cpu(), torch.autocast("cpu", dtype=torch.bfloat16):
            with generic.maybe_autocast(device_type=x.device.type, enabled=False):
                inside = x @ x
            outside = x @ x
        assert (inside.dtype, outside.dtype) == (torch.float32, torch.bfloat16)


def test_counts_of_a_whole_reading_are_those_of_float32() -> None:
    factory, inputs, point = SMALL["mlp"]
    full, low = (botec.read(factory(), *inputs, precision=p, **point) for p in ("fp32", "amp-bf16"))
    totals = [botec.count(one).total("multiplications", ()) for one in (full, low)]
    assert totals[0].value == totals[1].value
    assert botec.memory(low).peak() != botec.memory(full).peak()


@pytest.mark.parametrize("uses", [1, 3])
def test_a_weight_is_cast_once_a_block(uses: int) -> None:
    """Weight and bias once, the input each time: 2 + ``uses`` casts before the backward pass."""

    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return sum(self.layer(x) for _ in range(uses))

    trace = recorded(
        Source("again", Again, (Input("B", 8),)), {"B": 4}, train=False, precision="amp-bf16"
    )
    casts = [
        index
        for kind, index in zip(trace.kinds, trace.index, strict=True)
        if kind == OP and trace.signatures[index].info.name == "aten._to_copy"
    ]
    assert len(casts) == 2 + uses


# Calls of every kind: lower precision, float32, promotion, none of them.
CALLS: dict[str, Callable[..., Any]] = {
    "linear": lambda x, w: functional.linear(x, w),
    "matmul": lambda x, w: x @ w,
    "addmm": lambda x, w: torch.addmm(w[0], x, w),
    "bmm": lambda x, w: torch.bmm(x[None], w[None]),
    "einsum": lambda x, w: torch.einsum("ij,jk->ik", x, w),
    "conv1d": lambda x, w: functional.conv1d(x[None], w[:, :, None]),
    "attention": lambda x, w: functional.scaled_dot_product_attention(*[x[None, None]] * 3),
    "cat": lambda x, w: torch.cat([x, w, x]),
    "stack": lambda x, w: torch.stack([x, w]),
    "add": lambda x, w: x + w,
    "softmax": lambda x, w: torch.softmax(x, -1),
    "layer_norm": lambda x, w: functional.layer_norm(x, (4,)),
    "mse_loss": lambda x, w: functional.mse_loss(x, w),
    "smooth_l1_loss": lambda x, w: functional.smooth_l1_loss(x, w),
    "cross_entropy": lambda x, w: functional.cross_entropy(x, torch.tensor([0] * 4).to(x.device)),
    "prod": lambda x, w: torch.prod(x),
    "gelu": lambda x, w: functional.gelu(x),
    "cdist": lambda x, w: torch.cdist(x[None], w[None]),
    "trace": lambda x, w: torch.trace(x),
    "pad": lambda x, w: functional.pad(x[None], (1, 1), mode="reflect"),
    "index_copy": lambda x, w: torch.index_copy(x, 0, torch.tensor([0]).to(x.device), w[:1]),
    "prelu": lambda x, w: functional.prelu(x, w[0, :1]),
    "sum": lambda x, w: x.sum(),
}  # fmt: skip


def outcome(call: Callable[..., Any], kinds: tuple[Any, Any], device: str) -> Any:
    """The type of the result, or that there is none."""
    x, w = (torch.ones(4, 4, dtype=kind, device=device) for kind in kinds)
    try:
        return call(x, w).dtype
    except Exception:
        return "refused"


@pytest.mark.parametrize("low", AMP.values(), ids=AMP)
@pytest.mark.parametrize("name", CALLS)
def test_types_are_those_of_the_real_ops(name: str, low: Any) -> None:
    """Where the CPU's kernel refuses a mixture, a meta kernel may still answer."""
    mixtures = [(one, other) for one in KINDS for other in KINDS]
    with torch.autocast("cpu", dtype=low):
        real = {kinds: outcome(CALLS[name], kinds, "cpu") for kinds in mixtures}
    with autocast.autocast_as_on_cpu(), torch.autocast("cpu", dtype=low):
        traced = {kinds: outcome(CALLS[name], kinds, "meta") for kinds in mixtures}
    worked = [kinds for kinds in mixtures if real[kinds] != "refused"]
    assert worked
    assert [traced[kinds] for kinds in worked] == [real[kinds] for kinds in worked]


# The framework's documentation, "Automatic Mixed Precision package", CPU op-specific behavior;
# one overload of each op on the lists that a tensor of any kind can be asked with.
LOWER = [
    "conv1d", "conv2d", "conv3d", "bmm", "mm", "linalg_vecdot", "baddbmm", "addmm", "addbmm",
    "linear", "matmul", "conv_tbc", "mkldnn_rnn_layer", "scaled_dot_product_attention",
]  # fmt: skip
FLOAT32 = [
    "avg_pool3d", "binary_cross_entropy", "grid_sampler", "polar", "prod", "quantile",
    "nanquantile", "stft", "cdist", "trace", "view_as_complex", "cholesky", "inverse", "pinverse",
    "mse_loss", "cosine_embedding_loss", "nll_loss", "l1_loss", "huber_loss", "smooth_l1_loss",
    "kl_div", "fft_fft", "fft_rfft", "linalg_inv", "linalg_svd", "geqrf", "max_unpool2d",
    "max_pool3d", "reflection_pad1d",
]  # fmt: skip


@pytest.mark.parametrize("name", [*LOWER, *FLOAT32])
def test_the_cpu_answers_as_its_documentation_says(name: str) -> None:
    known = {one.partition(".")[0].removeprefix("aten::"): one for one in autocast.ops_of_the_cpu()}
    low, op = torch.bfloat16, autocast.op_named(known[name])
    given, wanted = (torch.float32, low) if name in LOWER else (low, torch.float32)
    schema = [one.type.kind() for one in op._schema.arguments if not one.has_default_value()]
    with torch.autocast("cpu", dtype=low):
        args = [sample(kind, given) for kind in schema]
        plan = autocast.asked_plan(op, tuple(args), {})
        same = autocast.asked_plan(op, tuple(sample(kind, wanted) for kind in schema), {})
    count = sum(isinstance(one, torch.Tensor) for one in args)
    assert dict(plan) == dict.fromkeys(range(count), wanted)
    assert same == ()


def sample(kind: str, dtype: Any) -> Any:
    """Some value of a schema's type."""
    values = {"TensorType": torch.zeros((), dtype=dtype), "IntType": 1, "FloatType": 1.0}
    return values.get(kind, [1] if kind == "ListType" else False if kind == "BoolType" else None)


def test_nothing_stays_behind() -> None:
    block = torch.autocast
    before = (block.__enter__, block.__exit__, block.__init__, torch.is_autocast_enabled)
    clear = torch.clear_autocast_cache
    recorded(*opened("mlp"), precision="amp-bf16")
    after = (block.__enter__, block.__exit__, block.__init__, torch.is_autocast_enabled)
    assert before == after
    assert torch.clear_autocast_cache is clear
    assert not torch._C._dispatch_tls_is_dispatch_key_included(autocast.OWN_KEY)
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    assert not has("aten::linear", autocast.KEY)


def test_a_failing_model_leaves_nothing_behind() -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            raise ValueError(f"no {self.layer(x).dtype}")

    with pytest.raises(Exception, match=r"no torch\.bfloat16"):
        recorded(Source("failing", Failing, (Input("B", 4),)), {"B": 2}, precision="amp-bf16")
    assert not torch.is_autocast_enabled("cpu")
    assert not torch._C._dispatch_tls_is_dispatch_key_included(autocast.OWN_KEY)


def test_an_unknown_precision_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="precision 'amp-bf61' is not known"):
        botec.read(nn.Linear(2, 2), Input("B", 2), precision="amp-bf61")
