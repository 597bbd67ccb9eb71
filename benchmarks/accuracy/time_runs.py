"""Published hours of whole runs: parameters, tokens and a device, nothing else."""

from __future__ import annotations

from typing import Any

from benchmarks.accuracy import rows
from botec.analyses.duration.speeds import fitted
from botec.devices import device
from botec.rules.time import operations_over_rate

ORDER = 66
TITLE = "Hours of whole runs"
INTRODUCTION = """Device-hours of training runs as their model cards give them (restarts and
evaluation included), beside botec's: a step of {tokens:,} tokens a device, in bf16, as
`botec time` has it on this device, times the tokens of the run. Beside it the rule
of thumb, operations (6·parameters·tokens) over four tenths of the peak.
"""
TOKENS = 4096
# name, device, parameters, tokens, published device-hours; (width, inner width, blocks, heads,
# heads of keys, vocabulary) are those of the published configurations
RUNS: tuple[tuple[str, str, float, float, tuple[int, ...]], ...] = (
    ("Llama 2 7B", "a100", 2.0e12, 184_320, (4096, 11008, 32, 32, 32, 32000)),
    ("Llama 2 13B", "a100", 2.0e12, 368_640, (5120, 13824, 40, 40, 40, 32000)),
    ("Llama 2 70B", "a100", 2.0e12, 1_720_320, (8192, 28672, 80, 64, 8, 32000)),
    ("Llama 3 8B", "h100", 15e12, 1_300_000, (4096, 14336, 32, 32, 8, 128256)),
    ("Llama 3 70B", "h100", 15e12, 6_400_000, (8192, 28672, 80, 64, 8, 128256)),
    ("TinyLlama 1.1B", "a100-40gb", 300e9, 3456, (2048, 5632, 22, 32, 4, 32000)),
)
NAMES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
         "num_key_value_heads", "vocab_size")  # fmt: skip


def row(name: str, where: str, tokens: float, hours: float, sizes: tuple[int, ...]) -> Any:
    """Predicted hours by botec and by the rule, and what is published."""
    deep = dict(zip(NAMES, sizes, strict=True))
    layers = deep.pop("num_hidden_layers")
    two, three = (step(where, {**deep, "num_hidden_layers": one}) for one in (2, 3))
    seconds = two[0] + (layers - 2) * (three[0] - two[0])
    parameters = two[1] + (layers - 2) * (three[1] - two[1])
    peak = device(where).peak("bf16") or 1.0
    return {
        "botec": seconds * tokens / TOKENS / 3600, "published": hours, "parameters": parameters,
        "rule": operations_over_rate(6 * parameters * tokens, peak) / 3600,
    }  # fmt: skip


def step(where: str, sizes: dict[str, int]) -> tuple[float, int]:
    """Seconds of a step of a Llama of these sizes, and its parameters."""
    import json
    import tempfile
    from pathlib import Path

    import botec
    from botec.analyses.count import parameter_count
    from botec.analyses.duration.pages import Timed
    from botec.analyses.duration.speeds import speeds_of
    from botec.duration import kernels_of

    sheet = device(where)
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"], **sizes})
        Path(folder, "config.json").write_text(text, encoding="utf-8")
        ids = botec.Input(1, TOKENS, dtype="int64", name="input_ids")
        program = botec.read(
            f"transformers:{folder}", ids, optimizer=None, precision="bf16",
            device=kernels_of(sheet),
        )  # fmt: skip
    timed = Timed(program, speeds_of(sheet, train=True))
    return timed.step, parameter_count(program.parameters)


def section() -> str:
    """One row for each published run."""
    lines, pairs = [], []
    for name, where, tokens, hours, sizes in RUNS:
        found = rows.worked_out(
            f"hours of {name}",
            lambda n=name, w=where, t=tokens, h=hours, s=sizes: row(n, w, t, h, s),
        )
        pairs.append((found["botec"], hours))
        peak = device(where).peak("bf16") or 1.0
        used = 6 * found["parameters"] * tokens / (3600 * hours * peak)
        lines.append((
            name, device(where).title, f"{found['parameters'] / 1e9:.1f} G", f"{tokens:.3g}",
            f"{hours:,.0f}", f"{used:.1%}", f"{found['botec']:,.0f}",
            rows.error(found["botec"], hours), f"{found['rule']:,.0f}",
            rows.error(found["rule"], hours),
        ))  # fmt: skip
    heads = ("run", "device", "parameters", "tokens", "published hours", "that is of the peak",
             "botec", "error", "rule", "error")  # fmt: skip
    date = fitted()["date"]
    return "\n\n".join((
        INTRODUCTION.format(tokens=TOKENS), rows.table(heads, lines),
        f"{rows.summary(pairs)} (efficiencies of {date}). What the devices wait for each other, "
        "for data, for restarts and evaluation is in the published hours and not in botec's. "
        "TinyLlama ran fused norms, rotations and losses; botec times the library's own, eager.",
    ))  # fmt: skip
