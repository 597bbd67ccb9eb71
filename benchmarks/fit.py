"""How long the fit of a 405B-shaped llama on every device takes, and how much memory.

    python benchmarks/fit.py [MODEL] [DIM=VALUE ...]

One training step with AdamW in bfloat16, B=1 and S=8192 where nothing is said, in a process of its
own: the whole command, imports included.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

LLAMA = (
    "transformers:llama?hidden_size=16384,num_hidden_layers=126,num_attention_heads=128,"
    "num_key_value_heads=8,intermediate_size=53248,vocab_size=128256"
)


def main() -> None:
    """Run the command, and print its seconds, processor seconds and memory."""
    model, *point = sys.argv[1:] or [LLAMA, "B=1", "S=8192"]
    command = [sys.executable, "-c", "from botec.cli import main; main()", "fit", model, *point]
    command += ["--optimizer", "adamw", "--precision", "bf16", "--json"]
    start = time.perf_counter()
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    seconds = time.perf_counter() - start
    if ended.returncode > 1:
        raise SystemExit(ended.stderr)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    verdict = json.loads(ended.stdout)["sections"][0]["parts"][0]["text"]
    print(f"{model} {' '.join(point)}\n  {verdict}")
    print(f"  {seconds:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processor")
    print(f"  {used.ru_maxrss * unit / 2**20:.0f} MiB of memory at most")


if __name__ == "__main__":
    main()
