"""Second moments of signals and gradients at initialisation, beside real passes over seeds."""

from __future__ import annotations

import math
import statistics
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
SEEDS = 10
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


def passes_of(source: Source, point: dict[str, int]) -> list[dict[str, Any]]:
    """What ``SEEDS`` networks drawn anew give, as plain data."""
    from botec.measure.signal import measured
    from botec.read.tape import tape_source

    graph = tape_source(source, point, train=True)
    found = []
    for seed in range(SEEDS):
        one = measured(source, graph.point, seed=seed, train=True)
        tables = {"weights": one.weights}
        for what in ("signal", "gradient", "shapes"):
            tables[what] = {f"{name} {turn}": v for (name, turn), v in vars(one)[what].items()}
        found.append(tables)
    return found


def compared(source: Source, point: dict[str, int], passes: list[dict[str, Any]]) -> dict[str, Any]:
    """ln(predicted ÷ measured) of every module and parameter, and how many lie inside."""
    from botec.analyses.signal.fold import predict
    from botec.analyses.signal.layers import layers, weights_found
    from botec.read.executor import Executor, real
    from botec.read.tape import tape_source

    graph = tape_source(source, point, train=True)
    run = predict(graph, Executor(), real(source, train=True).of(graph))
    found: dict[str, Any] = {"signal": {}, "gradient": {}, "weights": {}, "inside": [0, 0]}
    for row in layers(run):
        key = f"{row.name} {row.turn}"
        shape = passes[0]["shapes"].get(key)
        if shape is None or tuple(shape) != graph.values[row.number].shape:
            continue
        for what, ends in (("signal", (row.signal_low, row.signal_high)),
                           ("gradient", (row.gradient_low, row.gradient_high))):  # fmt: skip
            values = [one[what][key] for one in passes if key in one[what]]
            predicted = getattr(row, what)
            if predicted and values and min(values) > 0:
                found[what][key] = math.log(predicted) - mean_log(values)
                found["inside"][0] += sum(ends[0] <= value <= ends[1] for value in values)
                found["inside"][1] += len(values)
    expected = weights_found(run)
    middle = statistics.median(passes[0]["weights"].values())
    for name in passes[0]["weights"]:
        values = [one["weights"][name] for one in passes]
        if expected.get(name, 0.0) > 0 and min(values) > NOTHING * middle:
            found["weights"][name] = math.log(expected[name]) - mean_log(values)
    found["unknown"] = dict(run.unknown)
    return found


def mean_log(values: list[float]) -> float:
    return sum(map(math.log, values)) / len(values)


# --- the table ------------------------------------------------------------------------------------

#: The goals: medians of |ln(predicted ÷ measured)|.
GOALS = {"signal": 0.02, "plain": 0.15, "gradient": 0.12, "weights": 0.2}
#: Why a network's medians are beyond them.
CAUSES = {
    "squeezenet1_1": "squeeze layers of 16 units, no norm: its networks lie e^±1 apart, the mean "
    "of ten of them is known to e^±0.3, and the first one's sums of weights are its own",
    "vgg11": "no norm, and the sums of one network's weights act on inputs of large mean",
    "vgg16": "no norm; which entry of a window is the largest decides about gradients, and how "
    "alike neighbours are is estimated from the padding alone",
    "vgg16_bn": "which entry of a window is the largest: as in vgg16",
    "efficientnet_b0": "gates behind a mean over the map: how widely networks differ in so few "
    "units is carried whole through the sigmoid, which hides it, and takes from the typical "
    "gradient at every norm behind (about a fifth of the miss); on maps of 3 and 6 a kernel of a "
    "channel's own has a variance of more than its Σ w², by which its norm divides (-0.05 of ln "
    "E g² each)",
    "mobilenet_v3_small": "gates behind a mean over the map, as in efficientnet_b0",
    "U-Net": "all gradients pass a head of 64 weights; the first network's are not the others'",
    "googlenet": "likely pools of stride 1 and windows of 3: neighbours share their largest "
    "entry, whose gradients add up more than entries far apart say",
}


def median(errors: Any) -> float:
    sizes = sorted(map(abs, errors.values() if isinstance(errors, dict) else errors))
    return statistics.median(sizes) if sizes else math.nan


def worst(errors: dict[str, float]) -> str:
    name = max(errors, key=lambda one: abs(errors[one]), default="")
    return f"{errors[name]:+.2f} {name.removesuffix(' 0')}" if name else "–"


def found_of(name: str, opened: Callable[[], tuple[Source, dict[str, int]]]) -> dict[str, Any]:
    """One network's comparison; passes and predictions are kept apart."""
    passes = worked_out(f"signal measured {name}", lambda: passes_of(*opened()))
    return worked_out(f"signal {name}", lambda: compared(*opened(), passes))


def section() -> str:
    """The table, worked out here and now."""
    every = {name: found_of(name, opened) for name, opened in networks()}
    rows = [row(name, found) for name, found in every.items()]
    return "\n".join([*introduction(every), *rows, "", *misses(every)])


def row(name: str, found: dict[str, Any]) -> str:
    share = 100 * found["inside"][0] / max(found["inside"][1], 1)
    cells = [
        name, str(len(found["signal"])), f"{median(found['signal']):.4f}",
        f"{median(found['gradient']):.3f}", f"{median(found['weights']):.3f}", f"{share:.0f} %",
        worst(found["signal"]), worst(found["gradient"]), worst(found["weights"]),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def goal_of(name: str, what: str) -> float:
    return GOALS["plain"] if what == "signal" and name in WITHOUT_NORM else GOALS[what]


def misses(every: dict[str, dict[str, Any]]) -> list[str]:
    """The networks whose medians are beyond a goal, and why."""
    lines = []
    for name, found in every.items():
        beyond = [
            f"{what} {median(found[what]):.2f}"
            for what in ("signal", "gradient", "weights")
            if median(found[what]) > goal_of(name, what)
        ]
        if beyond:
            lines.append(
                f"* {name} ({', '.join(beyond)}): {CAUSES.get(name, 'the cause is not found')}."
            )
    return ["Beyond the goals:", "", *lines] if lines else []


def introduction(every: dict[str, dict[str, Any]]) -> list[str]:
    inside = [sum(found["inside"][i] for found in every.values()) for i in range(2)]
    text = (
        f"Weights as each author draws them, normal inputs, a normal gradient of the output; "
        f"{SEEDS} networks drawn anew, predicted from the first one's weights. Numbers are medians "
        "over modules (parameters) of |ln(predicted ÷ geometric mean of measured)|; the worst have "
        "their sign. Maps are small and batches of 4, so that norms see as few as 36 values. A "
        "share inside counts all layers of all ten networks, though they are not independent."
    )
    head = ["", "| over | goal | all modules at once | median network | networks within |",
            "|---|---:|---:|---:|---:|"]  # fmt: skip
    for what, title, plain in (
        ("signal", "signal, with norms", False), ("signal", "signal, without", True),
        ("gradient", "gradient", None), ("weights", "weights' gradient", None),
    ):  # fmt: skip
        chosen = {n: f[what] for n, f in every.items() if plain in (None, n in WITHOUT_NORM)}
        goal = GOALS["plain" if plain else what]
        medians = [median(errors) for errors in chosen.values()]
        pooled = median([error for errors in chosen.values() for error in errors.values()])
        head.append(
            f"| {title} | {goal} | {pooled:.4f} | {statistics.median(medians):.4f} "
            f"| {sum(one <= goal for one in medians)} of {len(medians)} |"
        )
    share = f"{100 * inside[0] / max(inside[1], 1):.1f} % of {inside[1]:,} measured moments lie "
    return [
        text, *head, "", f"{share}in their 95 % intervals.", "",
        "| network | modules | signal | gradient | weights | inside | worst signal "
        "| worst gradient | worst weight |",
        "|---|---:|---:|---:|---:|---:|---|---|---|",
    ]  # fmt: skip


if __name__ == "__main__":
    import argparse
    from pathlib import Path

    from benchmarks.accuracy import rows as kept

    parser = argparse.ArgumentParser(description="Work out some networks' rows, one a process.")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--resume", type=Path, help="where rows are kept")
    asked = parser.parse_args()
    kept.STORE = asked.resume
    for network, opens in networks():
        if not asked.names or network in asked.names:
            print(row(network, found_of(network, opens)), flush=True)
