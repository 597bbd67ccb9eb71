"""Predicted GPU memory beside a real GPU's: allocated, reserved, and the device's total.

    python scripts/verify_gpu.py [-o docs/gpu.md]

Without a CUDA device it says what it would run, and stops. With one it runs every network in a
process of its own, training and inference, in float32, under autocast and in bfloat16, and writes
a table with the device's name and the median and largest error of each column. The prediction is
made by botec on shapes, for the device's own capability, before the real run; nothing is fitted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

NETWORKS = {
    "mlp:1024-4096-4096-10": {"B": 64},
    "torchvision:resnet50": {"B": 16},
    "torchvision:vit_b_16": {"B": 8},
    "torchvision:swin_t": {"B": 8},
    "torchvision:densenet121": {"B": 8},
    "torchvision:efficientnet_b0": {"B": 16},
    "torchvision:mobilenet_v3_large": {"B": 16},
    "torchvision:convnext_tiny": {"B": 8},
    "transformers:bert": {"B": 8, "S": 128},
    "transformers:gpt2": {"B": 4, "S": 512},
    "transformers:llama?num_hidden_layers=4,hidden_size=1024,num_attention_heads=16,"
    "num_key_value_heads=8,intermediate_size=2816": {"B": 4, "S": 512},
    "transformers:t5": {"B": 4, "S": 128, "T": 128},
    "transformers:whisper": {"B": 4, "T": 64},
    "transformers:qwen3?num_hidden_layers=4,hidden_size=1024": {"B": 2, "S": 512},
    "transformers:deit": {"B": 8},
    "transformers:segformer": {"B": 8},
}
PRECISIONS = ("fp32", "amp-bf16", "bf16")
MODES = [(train, precision) for train in (True, False) for precision in PRECISIONS]
STEPS = 3
KEYS = ("allocated", "reserved", "total")


def predicted(model: str, point: dict[str, int], train: bool, precision: str, device: str) -> Any:
    """Allocated and reserved bytes by botec, and the device's total with its default context."""
    import botec
    from botec.analyses.allocator import Allocator
    from botec.analyses.fit import CONTEXT
    from botec.analyses.memory import memory
    from botec.analyses.requests import requests

    program = botec.read(model, train=train, precision=precision, device=device, **point)
    moved_there = requests(memory(program), constructed=False)
    usage = Allocator().replay(moved_there).peak
    total = usage.reserved + CONTEXT
    return {"allocated": usage.allocated, "reserved": usage.reserved, "total": total}


def measured(model: str, point: dict[str, int], train: bool, precision: str) -> Any:
    """Allocated and reserved bytes of real steps on the GPU, and what the driver says of it now."""
    import torch

    from botec.measure.realise import realise
    from botec.read.doors import open_source

    source = open_source(model, train, ())
    step = realise(source, point, train=train, optimizer=None, precision=precision)
    if precision.startswith("amp"):
        step.autocast = lambda: torch.autocast("cuda", dtype=torch.bfloat16)
    step.model.to("cuda")
    step.arguments = tuple(moved(one) for one in step.arguments)
    step.keywords = {name: moved(value) for name, value in step.keywords.items()}
    if train:
        trained = [one for one in step.model.parameters() if one.requires_grad]
        step.optimizer = torch.optim.AdamW(trained, lr=1e-3)
    for _ in range(STEPS):
        for phase in step.phases.values():
            phase()
    torch.cuda.synchronize()
    return {
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
        "total": shown_as_used(),
    }


def shown_as_used() -> int:
    """Bytes the driver shows as used on the first GPU: asked of it beside CUDA, which would make a
    context of its own to ask."""
    words = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) * 2**20


def moved(value: Any) -> Any:
    """A tensor on the GPU; anything else as it is."""
    return value.to("cuda") if hasattr(value, "to") else value


def one_row(model: str, train: bool, precision: str) -> None:
    """Predict, then measure, in this process; one JSON line on stdout."""
    import torch

    before = shown_as_used()
    major, minor = torch.cuda.get_device_capability()
    point = NETWORKS[model]
    row = {"predicted": predicted(model, point, train, precision, f"cuda:{10 * major + minor}")}
    row["measured"] = measured(model, point, train, precision)
    row["measured"]["total"] -= before
    row["measured"]["context"] = row["measured"]["total"] - row["measured"]["reserved"]
    print(json.dumps(row))


def table(rows: list[tuple[str, bool, str, Any]], device: str) -> str:
    """The rows as a Markdown page."""
    lines = [
        f"# Predicted and real memory on {device}",
        "",
        "*Total* is what nvidia-smi shows more than before; the context is the rest of it that the",
        "allocator does not hold.",
        "",
        "| network | mode | allocated | error | reserved | error | total | error | context |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for model, train, precision, row in rows:
        mode = f"{'training' if train else 'inference'} {precision}"
        if "error" in row:
            lines.append(f"| `{model}` | {mode} | {row['error']} | | | | | | |")
            continue
        told, real = row["predicted"], row["measured"]
        cells = [cell for key in KEYS for cell in (f"{real[key]:,}", error(told, real, key))]
        cells.append(f"{real['context']:,}")
        lines.append(f"| `{model}` | {mode} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *summary(rows)]) + "\n"


def summary(rows: list[tuple[str, bool, str, Any]]) -> list[str]:
    """The median and the largest error of what was compared."""
    found = []
    for key in KEYS:
        errors = sorted(
            abs(row["predicted"][key] / row["measured"][key] - 1)
            for *_, row in rows
            if "error" not in row
        )
        if errors:
            middle, most = statistics.median(errors), errors[-1]
            found.append(
                f"{key}: median error {middle:.2%}, largest {most:.2%}, {len(errors)} runs"
            )
    return found


def error(told: Any, real: Any, key: str) -> str:
    return f"{100 * (told[key] / real[key] - 1):+.2f}%"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.row:
        one_row(asked.row[0], asked.row[1] == "train", asked.row[2])
        return 0
    import torch

    if not torch.cuda.is_available():
        count = len(NETWORKS) * len(MODES)
        print(f"no CUDA device here; with one, {count} runs would be compared:")
        for model, point in NETWORKS.items():
            print(f"  {model} at {', '.join(f'{name}={size}' for name, size in point.items())}")
        print(f"each trained and run in {', '.join(PRECISIONS)}; AdamW, {STEPS} steps; compared:")
        print("torch.cuda's max_memory_allocated and max_memory_reserved, and nvidia-smi's total")
        return 0
    rows = []
    for model in NETWORKS:
        for train, precision in MODES:
            words = [sys.executable, __file__, "--row", model, "train" if train else "infer"]
            done = subprocess.run([*words, precision], capture_output=True, text=True, check=False)
            last = done.stdout.strip().splitlines()[-1:] or [""]
            row = json.loads(last[0]) if done.returncode == 0 else {"error": done.stderr[-200:]}
            rows.append((model, train, precision, row))
            print(model, train, precision, row, file=sys.stderr)
    page = table(rows, torch.cuda.get_device_name())
    if asked.output:
        Path(asked.output).write_text(page, encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
