"""transformers' models, two layers deep: formulas, and what a fresh reading elsewhere says.

A formula is read at one point and asked at another; there the network is read again, from nothing,
and every count and the memory peak must be the same whole numbers. Widths are the configurations'
own: a shape costs nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from corridor.asking import figures, formula, value
from hypothesis import given, settings
from hypothesis import strategies as st

import botec
from botec.analyses.memory import peak_envelope
from botec.errors import OutsideRegime
from botec.poly import at
from botec.program import PHASES, Program, Regime

ROOT = Path(__file__).resolve().parents[2]
BOTH = "num_hidden_layers=2"
PARTS = "text_config.num_hidden_layers=2,vision_config.num_hidden_layers=2"


@dataclass(frozen=True)
class Kind:
    """Fields of a configuration, the point it is read at, and the dimensions it has formulas in."""

    fields: str
    point: dict[str, int]
    free: str = "B S"


KINDS = {
    "bert": Kind(BOTH, {"B": 2, "S": 24}),
    "gpt2": Kind("n_layer=2", {"B": 2, "S": 24}),
    "llama": Kind(BOTH, {"B": 2, "S": 24}),
    "mistral": Kind(BOTH, {"B": 2, "S": 24}),
    "mixtral": Kind(BOTH, {"B": 2, "S": 24}),
    "qwen3": Kind(BOTH, {"B": 2, "S": 24}),
    "qwen3_moe": Kind(f"{BOTH},num_experts=16", {"B": 2, "S": 24}),
    "deepseek_v3": Kind(
        f"{BOTH},first_k_dense_replace=1,n_routed_experts=16,n_group=2,topk_group=1",
        {"B": 2, "S": 24},
    ),
    "gemma3": Kind(PARTS, {"B": 2, "S": 24}),
    "t5": Kind("num_layers=2", {"B": 2, "S": 24, "T": 20}, "B S T"),
    "whisper": Kind("encoder_layers=2,decoder_layers=2", {"B": 2, "T": 24}, "B T"),
    "clip": Kind(PARTS, {"B": 2, "S": 24}),
    "vit": Kind(BOTH, {"B": 2}, "B"),
    "deit": Kind(BOTH, {"B": 2}, "B"),
    "segformer": Kind("depths=[1,1,1,1]", {"B": 2}, "B"),
    "wav2vec2": Kind(BOTH, {"B": 2, "N": 16000}, "B N"),
    "mamba": Kind(BOTH, {"B": 2, "S": 8}, "B"),
}


def model(name: str) -> str:
    return f"transformers:{name}?{KINDS[name].fields}"


def read(name: str, train: bool, **point: int) -> Program:
    return botec.read(model(name), train=train, optimizer="adamw" if train else None, **point)


def numbers(program: Program, point: dict[str, int]) -> dict[str, Any]:
    """Every count of every phase, and the peak, from the stream that holds at ``point``."""
    stream = program.stream(point)
    counts = botec.count(program, **point)
    found: dict[str, Any] = {"peak": max(at(poly, point) for poly in peak_envelope(stream))}
    for measure in ("multiplications", "flops", "bytes"):
        for phase in PHASES:
            total = counts.total(measure, (phase,))
            assert total.missing == {}, (measure, phase)
            found[f"{measure}.{phase}"] = total.at(**point)
    return found


def elsewhere(regime: Regime, shift: int) -> dict[str, int]:
    """Another point of the regime: the far end of what the regime allows, or ``shift`` further."""
    point = dict(regime.fixed)
    for name, least in regime.least.items():
        step = regime.step.get(name, 1)
        first = -(-least // step) * step
        point[name] = min(first + shift * step, regime.most.get(name, first + shift * step))
    return point


def check(name: str, train: bool, shift: int) -> None:
    """The formulas read at the kind's own point are those of a fresh reading elsewhere."""
    program = read(name, train, **KINDS[name].point)
    regime = program.streams[0].regime
    assert " ".join(regime.least) == KINDS[name].free, program.why
    assert regime.proved
    there = {key: elsewhere(regime, shift)[key] for key in program.asked}
    fresh = read(name, train, **there)
    assert numbers(program, there) == numbers(fresh, there), there
    own = botec.memory(fresh).fullest.bytes
    assert own == numbers(fresh, there)["peak"] == botec.memory(program).peak(**there)


@pytest.mark.parametrize("name", KINDS)
def test_a_training_step_elsewhere(name: str) -> None:
    check(name, True, 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_inference_elsewhere(name: str) -> None:
    check(name, False, 9)


@pytest.mark.slow
@settings(max_examples=6)
@given(shift=st.integers(0, 60), train=st.booleans())
@pytest.mark.parametrize("name", KINDS)
def test_anywhere(name: str, shift: int, train: bool) -> None:
    check(name, train, shift)


TEXT = ["bert", "gpt2", "llama", "mixtral", "t5"]


@pytest.mark.parametrize("name", TEXT)
def test_inference_and_its_printed_formulas(name: str) -> None:
    """What the command line prints as a formula gives the number beside it, and holds elsewhere."""
    answer = {"T": 12} if name == "t5" else {}
    words = [f"{key}={size}" for key, size in answer.items()]
    found = figures(model(name), "--infer", "B=3", "S=16", *words)
    point = {"B": 3, "S": 16, **answer}
    for key in ("multiplications.forward", "flops.forward", "bytes.forward", "memory.peak"):
        assert found[key]["counted"]["status"] == "exact", key
        assert formula(found, key, **point) == value(found, key), key
    other = figures(model(name), "--infer", "B=2", "S=11", *words)
    text = "multiplications.forward"
    assert formula(found, text, **{**point, "B": 2, "S": 11}) == value(other, text)


def attention(b: int, s: int, width: int, layers: int) -> int:
    """Scores and their use: every query with every key, no causal discount."""
    return layers * 2 * b * s * s * width


def test_llama_by_hand() -> None:
    """The default configuration (7B): four projections, three of the feed-forward, the head."""
    b, s, e, f, layers, words = 1, 2048, 4096, 11008, 32, 32000
    by_hand = b * s * (layers * (4 * e * e + 3 * e * f) + words * e) + attention(b, s, e, layers)
    assert by_hand == 14_630_806_093_824
    found = figures("transformers:llama", "--infer", f"S={s}")
    assert value(found, "multiplications.forward") == by_hand
    text = "multiplications.forward"
    assert formula(found, text, B=3, S=100) == 3 * 100 * 6_607_077_376 + attention(3, 100, e, 32)
    assert (
        value(found, "parameters") == 2 * words * e + layers * (4 * e * e + 3 * e * f + 2 * e) + e
    )


def test_gpt2_by_hand() -> None:
    """12 E² a layer and token, the tied head, and attention."""
    b, s, e, layers, words = 2, 30, 768, 2, 50257
    found = figures(model("gpt2"), "--infer", f"B={b}", f"S={s}")
    products = b * s * (layers * 12 * e * e + words * e)
    assert value(found, "multiplications.forward") == products + attention(b, s, e, layers)


def test_a_recurrence_written_in_python_has_no_formula_in_its_length() -> None:
    """Mamba's scan is one op after the other: numbers at the asked length, and the reason."""
    program = read("mamba", True, **KINDS["mamba"].point)
    assert "no formula in S: the number of ops changes with it" in program.why
    with pytest.raises(OutsideRegime, match="S=9"):
        botec.count(program, S=9)


@pytest.mark.slow
def test_the_benchmark_counts_what_the_command_line_does() -> None:
    """Its seconds are the machine's; its figures are not."""
    command = [sys.executable, str(ROOT / "benchmarks" / "llama.py"), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(ended.stdout)
    found = figures("transformers:llama", "S=2048")
    assert measured["figures"] == {key: value(found, key) for key in measured["figures"]}
    assert measured["seconds"]["beyond the imports"] > 0 < measured["bytes"]["peak"]
