"""The recorded streams of PyTorch's CUDA allocator (tests/data/cuda_host_traces/README.md)."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "data" / "cuda_host_traces"
NAMES = sorted(path.name.removesuffix(".json.gz") for path in FOLDER.glob("*.json.gz"))


@cache
def recorded(name: str) -> dict[str, Any]:
    """One stream as it was recorded."""
    with gzip.open(FOLDER / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


@cache
def births_and_deaths(name: str) -> list[tuple[int, int | None]]:
    """Its requests, as ``Allocator.replay`` takes them."""
    events = recorded(name)["events"]
    return [
        (event[1], event[2] if event[0] == "alloc" else None)
        for event in events
        if event[0] in ("alloc", "free_completed")
    ]
