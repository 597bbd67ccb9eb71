"""Second moments of signals and gradients at initialisation, beside real passes over seeds."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from benchmarks.accuracy.rows import worked_out
from botec.inputs import Input, parse_input
from botec.read.source import Source

ORDER = 60
TITLE = "Signals and gradients at initialisation: 30 networks beside real passes"
SEEDS = 3
NOTHING = (
    1e-9  # of the median: a gradient that is 0 but for rounding, behind a norm that cancels it
)


# --- the networks ---------------------------------------------------------------------------------


class Deep(nn.Sequential):
    """A plain network of 50 layers whose weights keep the second moment for its activation."""

    def __init__(self, activation: Callable[[], nn.Module], gain: float, width: int = 256) -> None:
        layers: list[nn.Module] = []
        for _ in range(50):
            linear = nn.Linear(width, width)
            nn.init.normal_(linear.weight, 0, gain / math.sqrt(width))
            nn.init.zeros_(linear.bias)
            layers += [linear, activation()]
        super().__init__(*layers)


class UNet(nn.Module):
    """Three levels down and up again, with batch norms and skips."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([block(3, 32), block(32, 64), block(64, 128)])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(128, 64, 2, 2), nn.ConvTranspose2d(64, 32, 2, 2)]
        )
        self.join = nn.ModuleList([block(128, 64), block(64, 32)])
        self.head = nn.Conv2d(32, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.down[0](x)
        second = self.down[1](nn.functional.max_pool2d(first, 2))
        x = self.down[2](nn.functional.max_pool2d(second, 2))
        x = self.join[0](torch.cat([self.up[0](x), second], 1))
        return self.head(self.join[1](torch.cat([self.up[1](x), first], 1)))


def block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in (before, after):
        layers += [nn.Conv2d(size, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def llama() -> nn.Module:
    """A small one of the family, by its own class and initialisation."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=2000, hidden_size=256, intermediate_size=688, num_hidden_layers=6,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=128, use_cache=False,
    )  # fmt: skip
    return LlamaForCausalLM(config)


PLAIN = {
    "50 × Linear, ReLU, He": (nn.ReLU, math.sqrt(2)),
    "50 × Linear, tanh": (nn.Tanh, 1.0),
    "50 × Linear, GELU": (nn.GELU, 1.5335304412),
    "50 × Linear, SiLU": (nn.SiLU, 1.6765324703),
}
PICTURES = {
    "alexnet": 128, "vgg11": 96, "vgg16": 96, "squeezenet1_1": 96, "vgg16_bn": 96, "resnet18": 96,
    "resnet50": 96, "resnext50_32x4d": 96, "wide_resnet50_2": 96, "densenet121": 96,
    "googlenet": 96, "mobilenet_v2": 96, "mobilenet_v3_small": 96, "mnasnet0_5": 96,
    "shufflenet_v2_x1_0": 96, "efficientnet_b0": 96, "regnet_y_400mf": 96, "convnext_tiny": 96,
    "vit_b_16": 224, "swin_t": 112,
}  # fmt: skip
TEXTS = {"gpt2": {"B": 2, "S": 64}, "bert": {"B": 2, "S": 64}, "t5": {"B": 2}}
WITHOUT_NORM = {*PLAIN, "alexnet", "vgg11", "vgg16", "squeezenet1_1", "mlp"}


def networks() -> Iterator[tuple[str, Callable[[], tuple[Source, dict[str, int]]]]]:
    """Every network by name, with what opens it: its source and its point."""
    for name, (activation, gain) in PLAIN.items():
        yield name, lambda a=activation, g=gain: (of_module(lambda: Deep(a, g), "B,256"), {"B": 64})
    yield "mlp", lambda: (door("mlp:512-512-512-512-10"), {"B": 64})
    for name, side in PICTURES.items():
        yield name, lambda n=name, s=side: (door(f"torchvision:{n}", f"B,3,{s},{s}"), {"B": 4})
    yield "U-Net", lambda: (of_module(UNet, "B,3,64,64"), {"B": 4})
    for name, point in TEXTS.items():
        yield name, lambda n=name, p=point: (door(f"transformers:{n}"), p)
    yield "llama, 6 blocks", lambda: (
        of_module(llama, Input("B", "S", dtype="int64", below=2000)), {"B": 2, "S": 64}
    )  # fmt: skip


def door(name: str, shape: str = "") -> Source:
    """A network of a zoo; a head that is 0 at the start is drawn, or no gradient would pass it."""
    from botec.read.doors import open_source

    source = open_source(name, True, (parse_input(shape),) if shape else ())
    return replace(source, build=lambda: with_head(source.build()))


def of_module(build: Callable[[], nn.Module], shape: Any) -> Source:
    one = parse_input(shape) if isinstance(shape, str) else shape
    return Source("module", build, (one,))


def with_head(model: nn.Module) -> nn.Module:
    for name, weight in model.named_parameters():
        empty = weight.dim() == 2 and not weight.is_meta and not bool(weight.detach().any())
        if empty and "head" in name:
            nn.init.normal_(weight, 0, 0.02)
    return model


# --- both sides -----------------------------------------------------------------------------------


def compared(source: Source, point: dict[str, int], seeds: int = SEEDS) -> dict[str, Any]:
    """ln(predicted ÷ measured) of every module and parameter, and how many lie inside."""
    from botec.analyses.signal.fold import predict
    from botec.analyses.signal.layers import layers
    from botec.measure.signal import measured
    from botec.read.executor import Executor, real
    from botec.read.tape import tape_source

    graph = tape_source(source, point, train=True)
    run = predict(graph, Executor(), real(source, train=True).of(graph))
    passes = [measured(source, graph.point, seed=seed, train=True) for seed in range(seeds)]
    found: dict[str, Any] = {"signal": {}, "gradient": {}, "weights": {}, "inside": [0, 0]}
    for row in layers(run):
        key = (row.name, row.turn)
        if key not in passes[0].signal or passes[0].shapes[key] != graph.values[row.number].shape:
            continue
        for what, ends in (("signal", (row.signal_low, row.signal_high)),
                           ("gradient", (row.gradient_low, row.gradient_high))):  # fmt: skip
            values = [getattr(one, what)[key] for one in passes if key in getattr(one, what)]
            predicted = getattr(row, what)
            if predicted and values and min(values) > 0:
                name = f"{row.name} {row.turn}"
                found[what][name] = math.log(predicted) - sum(map(math.log, values)) / len(values)
                found["inside"][0] += sum(ends[0] <= value <= ends[1] for value in values)
                found["inside"][1] += len(values)
    real_weights = {n: [one.weights[n] for one in passes] for n in passes[0].weights}
    middle = sorted(min(v) for v in real_weights.values())[len(real_weights) // 2]
    for name, values in real_weights.items():
        predicted = run.weights.get(name, 0.0)
        if predicted > 0 and min(values) > NOTHING * middle:
            mean = sum(map(math.log, values)) / len(values)
            found["weights"][name] = math.log(predicted) - mean
    found["unknown"] = dict(run.unknown)
    return found


def median(errors: dict[str, float]) -> float:
    sizes = sorted(map(abs, errors.values()))
    return sizes[len(sizes) // 2] if sizes else math.nan


def worst(errors: dict[str, float]) -> str:
    name = max(errors, key=lambda one: abs(errors[one]), default="")
    return f"{abs(errors[name]):.2f} {name.removesuffix(' 0')}" if name else "–"


def section() -> str:
    """The table, worked out here and now."""
    rows, medians = [], {"signal": [], "gradient": [], "weights": [], "plain": []}
    inside = [0, 0]
    for name, opened in networks():
        found = worked_out(f"signal {name}", lambda o=opened: compared(*o()))
        plain = name in WITHOUT_NORM
        medians["plain" if plain else "signal"].append(median(found["signal"]))
        medians["gradient"].append(median(found["gradient"]))
        medians["weights"].append(median(found["weights"]))
        inside = [a + b for a, b in zip(inside, found["inside"], strict=True)]
        share = 100 * found["inside"][0] / max(found["inside"][1], 1)
        rows.append(
            f"| {name} | {len(found['signal'])} | {median(found['signal']):.4f} "
            f"| {median(found['gradient']):.3f} | {median(found['weights']):.3f} "
            f"| {share:.0f} % | {worst(found['signal'])} | {worst(found['gradient'])} |"
        )
    return "\n".join([*introduction(medians, inside), *rows])


def introduction(medians: dict[str, list[float]], inside: list[int]) -> list[str]:
    middle = {k: sorted(v)[len(v) // 2] if v else math.nan for k, v in medians.items()}
    return [
        f"Weights as each author draws them, normal inputs, a normal gradient of the output, "
        f"{SEEDS} networks drawn anew; predicted from the first one's weights. Numbers are medians "
        "over modules (parameters) of |ln(predicted ÷ measured)|. Maps are small, batches of "
        "4: a norm whose statistics come from a few dozen values makes gradients that the "
        "prediction, which takes them as settled, misses by more than with full ones.",
        "",
        f"Median network: signal {middle['signal']:.4f} with norms and {middle['plain']:.3f} "
        f"without, gradient {middle['gradient']:.3f}, weights' gradient {middle['weights']:.3f}. "
        f"{100 * inside[0] / max(inside[1], 1):.1f} % of measured moments lie in their 95 % "
        "intervals.",
        "",
        "| network | modules | signal | gradient | weights | inside | worst signal "
        "| worst gradient |",
        "|---|---:|---:|---:|---:|---:|---|---|",
    ]


if __name__ == "__main__":
    chosen = sys.argv[1:]
    for network, opens in networks():
        if not chosen or network in chosen:
            print(json.dumps([network, compared(*opens())]), flush=True)
