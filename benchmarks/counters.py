"""Which counter gets what right: the counters people use on the cases that part them.

    python benchmarks/counters.py [-o docs/counters.md]

Each cell is what the counter reports, as multiplications, divided by the true number: 1 is exact.
The truth is a hand formula beside each case. A counter that reports flops is halved, by its own
documentation; one that is not installed is left out and named; one that raises shows the error's
name. Everything is run here and now.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import logging
import platform
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

B, S, E, HEADS, T, HIDDEN = 2, 128, 256, 4, 128, 128


@dataclass(frozen=True)
class Case:
    """A module, the input it is called with, and the true multiplications by hand.

    ``train`` asks for the backward's multiplications, which few counters know.
    """

    name: str
    module: Callable[[], nn.Module]
    shape: tuple[int, ...]
    truth: int
    formula: str
    train: bool = False
    below: int = 0

    def inputs(self) -> torch.Tensor:
        """A fresh input: tokens below ``below``, else normal numbers."""
        if self.below:
            return torch.randint(0, self.below, self.shape)
        return torch.randn(self.shape)


class Fused(nn.Module):
    """Self-attention; the product with the fused function, or written with ``@``."""

    def __init__(self, written: bool) -> None:
        super().__init__()
        self.written = written
        self.qkv, self.out = nn.Linear(E, 3 * E), nn.Linear(E, E)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, S, E]`` to the same."""
        batch, length, width = x.shape
        heads = self.qkv(x).view(batch, length, 3, HEADS, width // HEADS)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        if self.written:
            scores = (q @ k.transpose(-2, -1)) * (width // HEADS) ** -0.5
            mixed = scores.softmax(-1) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class SelfAttention(nn.Module):
    """``nn.MultiheadAttention`` with itself: in eval the framework takes a fused path."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(E, HEADS, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, S, E]`` to the same."""
        return self.inner(x, x, x)[0]


class Bare(nn.Module):
    """A convolution called as a function, its kernel a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(16, 8, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 8, 32, 32]`` to ``[B, 16, 30, 30]``."""
        return functional.conv2d(x, self.kernel)


class Recurrent(nn.Module):
    """A recurrent layer of the framework; the output alone."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.inner = kind(64, HIDDEN, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, T, 64]`` to ``[B, T, HIDDEN]``."""
        return self.inner(x)[0]


class Tied(nn.Module):
    """One weight, looked up on the way in and multiplied on the way out."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(1000, 64), nn.Linear(64, 1000, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """``[B, S]`` tokens to ``[B, S, 1000]``."""
        return self.head(self.embedding(tokens))


class Again(nn.Module):
    """One layer called 100 times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 64, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 64]`` to the same."""
        for _ in range(100):
            x = self.layer(x)
        return x


def depthwise() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 32, 1), nn.Conv2d(32, 32, 3, padding=1, groups=32))


ATTENTION = B * (4 * S * E * E + 2 * S * S * E)
ATTENTION_TEXT = "B·(4·S·E² + 2·S²·E)"
POINT, DEPTH = B * 32 * 32 * 32 * 8, B * 32 * 32 * 32 * 9
CASES = (
    Case(
        "`nn.Linear` on `[B, S, E]`",
        lambda: nn.Sequential(nn.Linear(E, E)),
        (B, S, E),
        B * S * E * E,
        "B·S·E²",
    ),
    Case("`F.conv2d`, bare parameter", Bare, (B, 8, 32, 32), B * 16 * 900 * 72, "B·16·30²·8·3²"),
    Case("depthwise convolution", depthwise, (B, 8, 32, 32), POINT + DEPTH, "B·32·32²·(8 + 3²)"),
    Case(
        "`nn.ConvTranspose2d`, stride 2",
        lambda: nn.Sequential(nn.ConvTranspose2d(8, 16, 4, stride=2, padding=1)),
        (B, 8, 16, 16),
        B * 8 * 16 * 16 * 16 * 16,
        "B·8·16²·16·4²",
    ),
    Case(
        "`nn.LSTM`",
        lambda: Recurrent(nn.LSTM),
        (B, T, 64),
        B * T * 4 * HIDDEN * (64 + HIDDEN),
        "B·T·4·H·(I + H)",
    ),
    Case(
        "`nn.GRU`",
        lambda: Recurrent(nn.GRU),
        (B, T, 64),
        B * T * 3 * HIDDEN * (64 + HIDDEN),
        "B·T·3·H·(I + H)",
    ),
    Case("attention, fused function", lambda: Fused(False), (B, S, E), ATTENTION, ATTENTION_TEXT),
    Case("attention, written with `@`", lambda: Fused(True), (B, S, E), ATTENTION, ATTENTION_TEXT),
    Case("`nn.MultiheadAttention`, eval", SelfAttention, (B, S, E), ATTENTION, ATTENTION_TEXT),
    Case("tied embedding and head", Tied, (B, S), B * S * 64 * 1000, "B·S·64·1000", below=1000),
    Case("one layer called 100 times", Again, (B, 64), 100 * B * 64 * 64, "100·B·64²"),
    Case(
        "backward of two linear layers",
        lambda: nn.Sequential(nn.Linear(E, E), nn.Linear(E, E)),
        (B, E),
        3 * B * E * E,
        "3·B·E² (no gradient of the input)",
        train=True,
    ),
    Case(
        "backward of a depthwise convolution",
        depthwise,
        (B, 8, 32, 32),
        POINT + 2 * DEPTH,
        "B·32·32²·(8 + 2·3²)",
        train=True,
    ),
)

Counter = Callable[[nn.Module, torch.Tensor], float]


def by_thop(model: nn.Module, x: torch.Tensor) -> float:
    from thop import profile

    return profile(model, inputs=(x,), verbose=False)[0]


def by_ptflops(backend: str) -> Counter:
    def count(model: nn.Module, x: torch.Tensor) -> float:
        from ptflops import get_model_complexity_info

        found, _ = get_model_complexity_info(
            model,
            tuple(x.shape),
            input_constructor=lambda _: next_input(model, x),
            as_strings=False,
            print_per_layer_stat=False,
            backend=backend,
        )
        if found is None:
            raise ValueError("gives None")
        return found

    return count


def next_input(model: nn.Module, x: torch.Tensor) -> Any:
    """The input under the name the model's ``forward`` gives it, as ptflops wants it."""
    import inspect

    name = next(iter(inspect.signature(model.forward).parameters))
    return {name: x}


def by_fvcore(model: nn.Module, x: torch.Tensor) -> float:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(model, x)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return analysis.total()


def by_torchinfo(model: nn.Module, x: torch.Tensor) -> float:
    from torchinfo import summary

    return summary(model, input_data=x, verbose=0).total_mult_adds


def by_calflops(model: nn.Module, x: torch.Tensor) -> float:
    from calflops import calculate_flops

    _, found, _ = calculate_flops(
        model, args=[x], print_results=False, print_detailed=False, output_as_string=False
    )
    return found


def by_torch(device: str) -> Counter:
    def count(model: nn.Module, x: torch.Tensor) -> float:
        from torch.utils.flop_counter import FlopCounterMode

        model, x = model.to(device), x.to(device)
        counter = FlopCounterMode(display=False)
        with counter:
            out = model(x)
            forward = counter.get_total_flops()
            if model.training:
                out.mean().backward()
        return (counter.get_total_flops() - (forward if model.training else 0)) / 2

    return count


def by_botec(model: nn.Module, x: torch.Tensor) -> float:
    from botec import Input
    from botec.estimate import estimate

    dtype = str(x.dtype).removeprefix("torch.")
    training = model.training
    report = estimate(model, Input(*x.shape, dtype=dtype), train=training, optimizer=None)
    key = "multiplications.backward" if training else "multiplications.forward"
    counted = report.figures[key].counted
    if counted is None or counted.value is None:
        raise ValueError("unknown")
    return counted.value


@dataclass(frozen=True)
class Tool:
    """A counter: its column's ``title``, the ``package`` it is in, whether it knows backwards."""

    title: str
    package: str
    count: Counter
    backward: bool = False


TOOLS = (
    Tool("botec", "botec", by_botec, backward=True),
    Tool("thop", "thop", by_thop),
    Tool("ptflops, pytorch", "ptflops", by_ptflops("pytorch")),
    Tool("ptflops, aten", "ptflops", by_ptflops("aten")),
    Tool("fvcore", "fvcore", by_fvcore),
    Tool("torchinfo", "torchinfo", by_torchinfo),
    Tool("calflops", "calflops", by_calflops),
    Tool("FlopCounterMode, CPU", "torch", by_torch("cpu"), backward=True),
    Tool("FlopCounterMode, meta", "torch", by_torch("meta"), backward=True),
)


def cell(tool: Tool, case: Case) -> str:
    """What ``tool`` says of ``case`` over the truth, as text."""
    if case.train and not tool.backward:
        return "–"
    torch.manual_seed(0)
    model, x = case.module().train(case.train), case.inputs()
    try:
        with hushed(), contextlib.nullcontext() if case.train else torch.no_grad():
            found = tool.count(deepcopy(model), x)
    except Exception as error:
        return type(error).__name__
    return ratio(float(found) / case.truth)


def ratio(value: float) -> str:
    """Three digits, and 1 only where it is exact: ``"1"``, ``"1.0002"``, ``"0.80"``, ``"0"``."""
    if value in (0, 1):
        return f"{value:.0f}"
    if abs(value - 1) < 0.005:
        return f"{value:.6f}".rstrip("0")
    return f"{value:.3g}" if value < 0.1 else f"{value:.2f}"


@contextlib.contextmanager
def hushed() -> Any:
    """The counters print and warn as they like; not here."""
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def mend_torchvision() -> None:
    """Some counters import torchvision, which fails beside a torch it was not built for.

    The schemas its Python needs are declared; no operator of it is run here.
    """
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        torch.library.define(
            "torchvision::nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
        torch.library.define(
            "torchvision::qnms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )


def installed(package: str) -> str | None:
    """Its version, ``None`` where it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def available(tool: Tool) -> bool:
    if tool.package == "botec":
        from importlib.util import find_spec

        return find_spec("botec.estimate") is not None
    return installed(tool.package) is not None


def page() -> str:
    """The whole page in Markdown: what was run, the table, and what is not installed."""
    mend_torchvision()
    tools = [tool for tool in TOOLS if available(tool)]
    packages = dict.fromkeys(("torch", *(tool.package for tool in tools)))
    versions = ", ".join(f"{name} {installed(name)}" for name in packages)
    lines = [
        "# Counters beside the truth",
        "",
        "Multiplications each counter reports, divided by the true number (1 = exact; an error's "
        "name = it raised; – = it has no backward). The truth is the formula on the right, with "
        f"B = {B}, S = {S}, E = {E}, T = {T}, I = 64, H = {HIDDEN}. Inference in eval mode; the "
        "two backwards are of the mean of the output. Where a counter gives multiply-adds they are "
        "taken (thop, ptflops, fvcore, torchinfo, calflops); FlopCounterMode's flops are halved.",
        "",
        f"Measured {datetime.date.today().isoformat()} with {versions}, "
        f"Python {platform.python_version()}; made by `python benchmarks/counters.py`.",
        "",
        "| case | " + " | ".join(tool.title for tool in tools) + " | truth |",
        "|---|" + "---|" * (len(tools) + 1),
    ]
    for case in CASES:
        cells = [cell(tool, case) for tool in tools]
        lines.append(f"| {case.name} | {' | '.join(cells)} | {case.formula} = {case.truth:,} |")
    missing = sorted({tool.package for tool in TOOLS if not available(tool)})
    if missing:
        lines += ["", f"Not installed here, so not run: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the page and, with ``-o``, write it."""
    parser = argparse.ArgumentParser(description="The counters people use beside the truth.")
    parser.add_argument("-o", "--output", type=Path, help="write the page to this file")
    output = parser.parse_args().output
    torch.set_num_threads(1)
    text = page()
    print(text, end="")
    if output:
        output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
