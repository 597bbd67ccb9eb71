"""Networks of different families, their real architecture, small enough to run for real.

``NETWORKS[name]`` gives a source and the point it is run at. Large ones are narrowed or shortened
by their own configuration; the others are whole, on small pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from botec.inputs import Input
from botec.read.doors import open_source
from botec.read.from_torchvision import make_importable
from botec.read.source import Source

Opened = tuple[Source, dict[str, int]]
Opener = Callable[[bool], Opened]
PICTURES = (Input("B", 3, 64, 64),)
WORDS = {"B": 2, "S": 12}


def whole(name: str, inputs: tuple[Input, ...] = PICTURES) -> Opener:
    """A model of torchvision as it is."""
    return lambda train: (open_source(f"torchvision:{name}", train, inputs), {"B": 2})


def small(text: str, **point: int) -> Opener:
    """A model of transformers with fields of its configuration changed.

    A point may have dimensions that only training knows.
    """

    def door(train: bool) -> Opened:
        source = open_source(f"transformers:{text}", train, ())
        used = {name for one in source.inputs for name in one.names}
        return source, {name: size for name, size in (point or WORDS).items() if name in used}

    return door


def own(make: Callable[[], nn.Module], *inputs: Input, **point: int) -> Opener:
    return lambda train: (Source(make.__name__.lower(), make, inputs, point), point)


def vision_transformer() -> nn.Module:
    make_importable()
    from torchvision.models import VisionTransformer

    return VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=4, hidden_dim=64, mlp_dim=128
    )


class Twice(nn.Sequential):
    """Two convolutions with norms, as in every stage of a U-Net."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )  # fmt: skip


class UNet(nn.Module):
    """Ronneberger et al. 2015, three stages deep."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([Twice(3, 16), Twice(16, 32), Twice(32, 64)])
        self.rise = nn.ModuleList(
            [nn.ConvTranspose2d(64, 32, 2, stride=2), nn.ConvTranspose2d(32, 16, 2, stride=2)]
        )
        self.up = nn.ModuleList([Twice(64, 32), Twice(32, 16)])
        self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(16, 5, 1)

    def forward(self, x: Any) -> Any:
        kept = []
        for stage in self.down:
            x = stage(self.pool(x) if kept else x)
            kept.append(x)
        kept.pop()
        for rise, stage in zip(self.rise, self.up, strict=True):
            x = stage(torch.cat([kept.pop(), rise(x)], 1))
        return self.head(x)


class Recurrent(nn.Module):
    """Embedding, two recurrent layers, a head."""

    kind: Any = nn.LSTM

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(300, 48)
        self.inner = self.kind(48, 64, 2, batch_first=True)
        self.head = nn.Linear(64, 300)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.inner(self.table(tokens))[0])


class Gated(Recurrent):
    """The same of gated recurrent units."""

    kind = nn.GRU


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
    return nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)


TOKENS = Input("B", "S", dtype="int64", name="tokens", below=300)
WIDE = (
    "hidden_size=64,num_attention_heads=4,num_hidden_layers=3,intermediate_size=128,vocab_size=300"
)
PARTS = ",".join(
    f"{part}.{field}"
    for part in ("text_config", "vision_config")
    for field in (
        "hidden_size=64", "num_attention_heads=4", "num_hidden_layers=2", "intermediate_size=128"
    )
)  # fmt: skip
NETWORKS: dict[str, Opener] = {
    "resnet50": whole("resnet50"),
    "vit": own(vision_transformer, Input("B", 3, 32, 32), B=2),
    "vit_b_16": whole("vit_b_16", (Input("B", 3, 224, 224),)),
    "swin_t": whole("swin_t"),
    "densenet121": whole("densenet121"),
    "efficientnet_b0": whole("efficientnet_b0"),
    "mobilenet_v3_large": whole("mobilenet_v3_large"),
    "convnext_tiny": whole("convnext_tiny"),
    "r3d_18": whole("r3d_18", (Input("B", 3, 4, 32, 32),)),
    "unet": own(UNet, Input("B", 3, 32, 32), B=2),
    "bert": small(f"bert?{WIDE}"),
    "gpt2": small("gpt2?n_embd=64,n_head=4,n_layer=3,vocab_size=300"),
    "llama": small(f"llama?{WIDE},num_key_value_heads=2"),
    "t5": small("t5?d_model=64,d_kv=16,d_ff=128,num_layers=2,num_heads=4,vocab_size=300",
                B=2, S=12, T=10),
    "whisper": small("whisper?d_model=64,encoder_layers=2,decoder_layers=2,vocab_size=300,"
                     "encoder_attention_heads=4,decoder_attention_heads=4,encoder_ffn_dim=128,"
                     "decoder_ffn_dim=128,max_source_positions=50,pad_token_id=0,bos_token_id=1,"
                     "eos_token_id=2,decoder_start_token_id=1", B=2, T=12),
    "mamba": small("mamba?hidden_size=64,num_hidden_layers=2,vocab_size=300", B=2, S=8),
    "lstm": own(Recurrent, TOKENS, B=4, S=12),
    "gru": own(Gated, TOKENS, B=4, S=12),
    "encoder": own(encoder, Input("B", "S", 64), B=4, S=12),
    "mixtral": small(f"mixtral?{WIDE},num_key_value_heads=2,num_local_experts=4"),
    "clip": small(f"clip?{PARTS},projection_dim=32,text_config.vocab_size=300,"
                  "vision_config.image_size=32,vision_config.patch_size=8,"
                  "text_config.eos_token_id=2,text_config.bos_token_id=1"),
}  # fmt: skip


@cache
def opened(name: str, train: bool = True) -> Opened:
    """The source of a network, and where it is run."""
    return NETWORKS[name](train)
