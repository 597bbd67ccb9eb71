"""How long reading a 7B training step takes, and how much memory: in a process of its own.

    python benchmarks/llama.py [S] [--json]

transformers' default llama, the whole step with AdamW, at S tokens (2,048 where none are given).
Importing torch and transformers is timed apart, since every program that uses them pays for it;
what is left is botec: reading the network (several traces, a proof) and every figure of the page.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

MODEL, FORWARD = "transformers:llama", 14_630_806_093_824


def measured(tokens: int) -> dict[str, Any]:
    """Seconds and bytes of one estimate; to be run in a fresh process."""
    start = time.perf_counter()
    import botec
    from botec.read.from_torchvision import make_importable

    make_importable()
    import torch  # noqa: F401
    import transformers.models.llama.modeling_llama  # noqa: F401

    imported, before, used = time.perf_counter(), peak_bytes(), time.process_time()
    program = botec.read(MODEL, optimizer="adamw", B=1, S=tokens)
    read = time.perf_counter()
    report = botec.estimate(program)
    done = time.perf_counter()
    found: Any = {key: figure.counted.value for key, figure in report.figures.items()}
    if tokens == 2048:
        assert found["multiplications.forward"] == FORWARD, found["multiplications.forward"]
    return {
        "seconds": {
            "imports": imported - start, "read": read - imported, "figures": done - read,
            "beyond the imports": done - imported,
        },
        "bytes": {"imports": before, "peak": peak_bytes()},
        "processor": time.process_time() - used,
        "figures": {key: found[key] for key in ("multiplications.step", "memory.peak")},
    }  # fmt: skip


def peak_bytes() -> int:
    """The most memory this process has had resident."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def fresh(tokens: int) -> dict[str, Any]:
    """:func:`measured` in a process that has imported nothing yet."""
    command = [sys.executable, __file__, str(tokens), "--here"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return json.loads(ended.stdout)


def text(found: dict[str, Any], tokens: int) -> str:
    """The measurement in a few lines."""
    seconds, sizes = found["seconds"], found["bytes"]
    return "\n".join(
        [
            f"{MODEL}, one training step with AdamW, B=1, S={tokens:,}",
            *(f"  {name:<22}{value:8.2f} s" for name, value in seconds.items()),
            f"  {'processor beyond them':<22}{found['processor']:8.2f} s",
            f"  {'memory after imports':<22}{sizes['imports'] / 2**20:8.0f} MiB",
            f"  {'memory at its peak':<22}{sizes['peak'] / 2**20:8.0f} MiB",
        ]
    )


def main() -> None:
    """Measure in a fresh process and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("tokens", nargs="?", type=int, default=2048, metavar="S")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.here:
        print(json.dumps(measured(given.tokens)))
    else:
        found = fresh(given.tokens)
        print(json.dumps(found, indent=1) if given.json else text(found, given.tokens))


if __name__ == "__main__":
    main()
