"""Read every model of the timing tables anew: the work of their steps, as the fit takes it.

    python -m benchmarks.trace_time infer|train|mpt [--resume FILE]

About ten minutes a kind on one core. `infer` and `train` are timm's models at the tables' picture
sizes and batches (float16 autocast, kernels of an RTX 3090; in training products and softmax stand
where torch 1.12 had no fused attention); `mpt` are language models of MPT's sizes.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
TABLES = {
    "infer": ("timm_infer_rtx-3090.csv", "timm_infer_rtx-4090.csv"),
    "train": ("timm_train_rtx-3090.csv",),
}
SIZES = {
    "125m": (768, 12, 12), "350m": (1024, 24, 16), "760m": (1536, 24, 12), "1b": (2048, 24, 16),
    "3b": (2560, 32, 20), "7b": (4096, 32, 32), "13b": (5120, 40, 40), "30b": (7168, 48, 56),
    "70b": (8192, 80, 64),
}  # fmt: skip
Rows = dict[tuple[Any, ...], int]


def work_of(program: Any) -> tuple[Rows, int]:
    """``(class, type, operations, bytes) → times`` of a program, and how often it only looks."""
    from botec.analyses.duration.speeds import speeds_of
    from botec.analyses.duration.times import Durations
    from botec.devices import device
    from botec.poly import at

    found: Rows = {}
    views = 0
    for one in Durations(program, program.stream(), speeds_of(device("rtx-3090"))).work:
        if one.name is None:
            views += one.times
            continue
        costs = (at(cost, program.asked) for cost in (one.operations, one.bytes))
        key = (one.name, one.dtype, *costs)
        found[key] = found.get(key, 0) + one.times
    return found, views


def asked_of(kind: str) -> list[tuple[str, int, int]]:
    """Models, picture sizes and batches of the tables of a kind."""
    import csv

    found: dict[tuple[str, int, int], None] = {}
    for name in TABLES[kind]:
        with (DATA / name).open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                found[line["model"], int(line["size"]), int(line["batch"])] = None
    return list(found)


def picture_model(kind: str, name: str, size: int, batch: int) -> dict[str, Any]:
    """One model of timm, read at one size and batch."""
    import torch

    import botec
    from botec.read.from_timm import library

    timm = library(f"timm:{name}")
    with torch.device("meta"):
        try:
            model = timm.create_model(name, img_size=size)
        except TypeError:  # a convolutional network takes any size
            model = timm.create_model(name)
    channels = model.pretrained_cfg["input_size"][0]
    program = botec.read(
        model, botec.Input(batch, channels, size, size, name="x"), train=kind == "train",
        optimizer="sgd-momentum" if kind == "train" else None, precision="amp-fp16",
        device="rtx-3090",
    )  # fmt: skip
    work, views = work_of(program)
    return {
        "model": name, "size": size, "batch": batch,
        "family": timm.models._registry._model_to_module.get(name.split(".")[0], "?"),
        "parameters": sum(one.numel() for one in model.parameters()), "views": views,
        "work": [[f"{key[0]}|{key[1]}", *key[2:], times] for key, times in work.items()],
    }  # fmt: skip


def language_model(model: str, checkpoint: bool, tokens: int, batch: int) -> dict[str, Any]:
    """One row of the sharded tables: two and three blocks read, the others added."""
    two, three = (blocks(model, checkpoint, tokens, batch, depth) for depth in (2, 3))
    more = SIZES[model][1] - 2
    work = {
        key: two.get(key, 0) + more * (three.get(key, 0) - two.get(key, 0))
        for key in {**two, **three}
    }
    return {
        "model": model, "checkpoint": checkpoint, "tokens": tokens, "batch": batch,
        "work": [[*key, times] for key, times in sorted(work.items()) if times],
    }  # fmt: skip


def blocks(model: str, checkpoint: bool, tokens: int, batch: int, depth: int) -> Rows:
    import tempfile

    import botec

    width, _, heads = SIZES[model]
    sizes = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": width,
        "n_layer": depth, "n_head": heads, "n_positions": 65536, "vocab_size": 50368,
        "activation_function": "gelu", "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(sizes), encoding="utf-8")
        ids = botec.Input(batch, tokens, dtype="int64", name="input_ids")
        program = botec.read(
            f"transformers:{folder}", ids, optimizer=None, precision="bf16", device="h100",
            checkpoint=checkpoint,
        )  # fmt: skip
    return work_of(program)[0]


def made(kind: str, store: Path) -> Iterator[dict[str, Any]]:
    """Every model's work; what the store has is taken from there, refusals are said and left."""
    known = {}
    if store.exists():
        lines = map(json.loads, store.read_text(encoding="utf-8").splitlines())
        known = {json.dumps(one["asked"]): one for one in lines}
    every = rows_of_mpt() if kind == "mpt" else asked_of(kind)
    for number, asked in enumerate(every):
        found = known.get(json.dumps(asked))
        if found is None:
            try:
                own = language_model(*asked) if kind == "mpt" else picture_model(kind, *asked)
            except Exception as error:
                own = {"refused": str(error)}
            found = {"asked": asked, "work": own}
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
        if number % 50 == 0:
            print(f"  {number} of {len(every)}", file=sys.stderr)
        if "refused" in found["work"]:
            print(f"  {asked}: {found['work']['refused']}", file=sys.stderr)
        else:
            yield found["work"]


def rows_of_mpt() -> list[tuple[Any, ...]]:
    import csv

    with (DATA / "llm_foundry_sharded.csv").open(encoding="utf-8", newline="") as file:
        found = [
            (one["model"], one["checkpoint"] == "1", int(one["tokens"]), int(one["batch"]))
            for one in csv.DictReader(file)
        ]
    return list(dict.fromkeys(found))


def packed(kind: str, every: Iterable[dict[str, Any]]) -> bytes:
    """The file: for timm's models the names of classes and types stand once, in its first line."""
    lines = list(every)
    head: list[str] = []
    if kind != "mpt":
        names = list(dict.fromkeys(row[0] for one in lines for row in one["work"]))
        for one in lines:
            one["work"] = sorted([names.index(row[0]), *row[1:]] for row in one["work"])
        lines.sort(key=lambda one: (one["family"], one["model"], one["size"], one["batch"]))
        head = [json.dumps({"kinds": names})]
    text = [json.dumps(one, separators=(",", ":")) for one in lines]
    return lzma.compress(("\n".join([*head, *text]) + "\n").encode(), preset=9)


def main() -> int:
    """Read all models of a kind, write their file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=("infer", "train", "mpt"))
    parser.add_argument("--resume", type=Path, help="keep what was read in this file")
    given = parser.parse_args()
    if given.kind == "train":
        os.environ["TIMM_FUSED_ATTN"] = "0"
    store = given.resume or Path(f"timm_{given.kind}.partly.jsonl")
    name = "mpt_work" if given.kind == "mpt" else f"timm_{given.kind}_work"
    (DATA / f"{name}.jsonl.xz").write_bytes(packed(given.kind, made(given.kind, store)))
    if given.resume is None:
        store.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
