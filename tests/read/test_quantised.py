"""Quantised weights by their stored bytes: published bits a weight, and what the page says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import botec
from botec import Report
from botec.read.quantised import SCHEMES

SHAPE = (4096, 4096)
# scheme, fields, bits a weight, source. Tolerance: what is kept once for a tensor or a row.
PUBLISHED = [
    ("bitsandbytes", {"load_in_4bit": True}, 4.5, "QLoRA, section 3: 32/64 = 0.5 bits of scales"),
    (
        "bitsandbytes", {"load_in_4bit": True, "bnb_4bit_use_double_quant": True}, 4.127,
        "QLoRA, section 3: 8/64 + 32/(64·256) = 0.127 bits of scales",
    ),
    ("bitsandbytes", {"load_in_8bit": True}, 8.008, "LLM.int8(): 32 bits for 4096 inputs"),
    ("gptq", {"bits": 4, "group_size": 128}, 4.164, "16/128 of scales, 4/128 of zeros, 32/4096"),
    ("gptq", {"bits": 3, "group_size": -1}, 3.0125, "19/4096 of scales and zeros, 32/4096"),
    ("awq", {"bits": 4, "group_size": 128}, 4.156, "16/128 of scales, 4/128 of zeros"),
    ("fp8", {"weight_block_size": [128, 128]}, 8.002, "32/(128·128) of scales"),
    ("fbgemm_fp8", {}, 8.008, "32 bits for 4096 inputs"),
    ("mxfp4", {}, 4.25, "OCP Microscaling: 8/32 of scales"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "fields", "bits", "source"), PUBLISHED)
def test_bits_a_weight_are_the_published_ones(
    scheme: str, fields: dict[str, Any], bits: float, source: str
) -> None:
    stored = SCHEMES[scheme](SHAPE, fields)
    assert stored is not None
    assert 8 * stored / (SHAPE[0] * SHAPE[1]) == pytest.approx(bits, rel=5e-4), source


LAYERS, WIDTH, INNER, WORDS = 2, 256, 512, 1000


@pytest.fixture
def page(tmp_path: Path) -> Any:
    def asked(told: Any, **options: Any) -> Report:
        config = {
            "model_type": "llama", "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
            "num_attention_heads": 4, "intermediate_size": INNER, "vocab_size": WORDS,
            **({"quantization_config": told} if told else {}),
        }  # fmt: skip
        (tmp_path / "config.json").write_text(json.dumps(config))
        given = {"train": False, "precision": "bf16", **options}
        return botec.estimate(f"transformers:{tmp_path}", B=2, S=16, **given)

    return asked


def counted(page: Report, key: str) -> Any:
    return page.figures[key].counted


EIGHT = {"quant_method": "bitsandbytes", "load_in_8bit": True}


def test_linear_layers_are_packed_and_the_output_is_not(page: Any) -> None:
    whole, packed = page(None), page(EIGHT)
    linear = LAYERS * (4 * WIDTH * WIDTH + 3 * WIDTH * INNER)
    scales = 4 * LAYERS * (4 * WIDTH + 2 * INNER + WIDTH)
    less = counted(whole, "memory.weights").value - counted(packed, "memory.weights").value
    assert less == 2 * linear - (linear + scales)
    assert counted(whole, "memory.peak").value - counted(packed, "memory.peak").value == less
    assert counted(packed, "parameters").value == counted(whole, "parameters").value


def test_the_configuration_says_what_is_left_out(page: Any) -> None:
    some = page({**EIGHT, "modules_to_not_convert": ["mlp", "lm_head"]})
    less = counted(page(None), "memory.weights").value - counted(some, "memory.weights").value
    linear = LAYERS * 4 * WIDTH * WIDTH
    assert less == linear - 4 * LAYERS * 4 * WIDTH
    assert any(note.startswith(f"{4 * LAYERS} weights are kept as") for note in some.notes)


def test_a_scheme_that_nobody_told_is_unknown_by_name(page: Any) -> None:
    found = page({"quant_method": "vptq"})
    weights, peak = counted(found, "memory.weights"), counted(found, "memory.peak")
    assert (weights.value, weights.status) == (None, "unknown")
    assert weights.missing == {"vptq": 7 * LAYERS}
    assert peak.status == "partial"
    assert "?" in str(found)


def test_a_training_step_says_that_it_is_of_whole_weights(page: Any) -> None:
    found = page(EIGHT, train=True)
    assert any("followed in inference only" in note for note in found.notes)
    whole = page(None, train=True)
    assert counted(found, "memory.weights") == counted(whole, "memory.weights")


def test_packed_weights_are_kept_in_a_file(tmp_path: Path, page: Any) -> None:
    page(EIGHT)
    program = botec.read(f"transformers:{tmp_path}", train=False, precision="bf16", B=2, S=16)
    botec.save(program, tmp_path / "a.botec")
    again = botec.load(tmp_path / "a.botec")
    assert again.parameters == program.parameters
    assert any(one.kept for one in again.parameters)
