"""A language model's cache, as a formula, against transformers' own objects after a real run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import botec
from botec import Program
from botec.analyses.cache import cache_bytes
from botec.poly import at
from botec.read.from_torchvision import declare_schemas

TINY = {
    "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 96,
    "intermediate_size": 64, "max_position_embeddings": 512,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "every head its own": {"model_type": "llama", **TINY, "num_key_value_heads": 4},
    "grouped": {"model_type": "llama", **TINY, "num_key_value_heads": 2},
    "one for all": {"model_type": "llama", **TINY, "num_key_value_heads": 1},
    "sliding window": {
        "model_type": "mistral", **TINY, "sliding_window": 8, "num_key_value_heads": 2
    },
    "some layers slide": {
        "model_type": "gemma3_text", **TINY, "sliding_window": 8, "head_dim": 16,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "latent": {
        "model_type": "deepseek_v3", **TINY, "first_k_dense_replace": 3, "kv_lora_rank": 16,
        "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16,
    },
    "linear attention beside": {
        "model_type": "qwen3_next", **TINY, "num_experts": 0, "head_dim": 16,
        "layer_types": ["linear_attention", "full_attention", "linear_attention"],
        "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
    },
    "learned positions": {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4,
                          "vocab_size": 96},
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def read(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[Program, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("model")
    config = CONFIGS[request.param]
    (Path(folder) / "config.json").write_text(json.dumps(config))
    return botec.read(f"transformers:{folder}", train=False, B=2, S=24), config


def really_held(config: dict[str, Any], B: int, S: int) -> int:  # noqa: N803
    """Bytes of the storages of keys, values and states in the real cache, each once."""
    declare_schemas()
    import transformers

    fields = {key: value for key, value in config.items() if key != "model_type"}
    settings = transformers.AutoConfig.for_model(config["model_type"], **fields)
    model = transformers.AutoModelForCausalLM.from_config(settings).float().eval()
    with torch.no_grad():
        given = torch.randint(0, 96, (B, S))
        cache = model(given, use_cache=True).past_key_values
    storages = {}
    for layer in cache.layers:
        for name in ("keys", "values", "conv_states", "recurrent_states"):
            found = getattr(layer, name, None)
            for tensor in found.values() if isinstance(found, dict) else [found]:
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def test_the_formula_is_what_the_real_cache_holds(read: Any) -> None:
    """At the asked point, and at another one where the formula holds."""
    program, config = read
    regimes = [stream.regime for stream in program.streams]
    points = [{"B": 2, "S": 24}, {"B": 3, "S": 40}, {"B": 3, "S": 16}]
    held = [point for point in points if any(regime.holds(point) for regime in regimes)]
    assert len(held) > 1
    for point in held:
        found = at(cache_bytes(program.stream(point)), point)
        assert found == really_held(config, **point)


def test_a_static_cache_takes_as_much() -> None:
    """The cache that is made at its full length before the first token."""
    declare_schemas()
    import transformers

    settings = transformers.LlamaConfig(**TINY, num_key_value_heads=2)
    model = transformers.LlamaForCausalLM(settings).eval()
    cache = transformers.StaticCache(config=settings, max_cache_len=24)
    with torch.no_grad():
        model(torch.randint(0, 96, (2, 24)), past_key_values=cache)
    real = sum(one.keys.nbytes + one.values.nbytes for one in cache.layers)
    changed = ",".join(f"{key}={value}" for key, value in TINY.items())
    name = f"transformers:llama?{changed},num_key_value_heads=2"
    page = botec.estimate(name, train=False, B=2, S=24)
    counted = page.figures["memory.kv_cache"].counted
    assert counted is not None
    assert counted.value == real == 2 * 3 * 2 * 16 * 2 * 24 * 4
    assert (counted.formula, counted.status) == ("768*B*S", "exact")
    assert page.figures["memory.peak"].counted.value > real


def test_a_network_without_a_cache_has_no_such_figure() -> None:
    bert = ",".join(f"{key}={value}" for key, value in TINY.items())
    for page in (
        botec.estimate(f"transformers:bert?{bert}", train=False, B=2, S=24),
        botec.estimate(f"transformers:llama?{bert}", B=2, S=24),
        botec.estimate(f"transformers:llama?{bert},use_cache=False", train=False, B=2, S=24),
    ):
        assert "memory.kv_cache" not in page.figures


def test_a_window_is_told_of(tmp_path: Path) -> None:
    """After the first pass the storages hold every token; the next one cuts them to the window."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["some layers slide"]))
    page = botec.estimate(f"transformers:{tmp_path}", train=False, B=2, S=24)
    words = "2 layers look at a window of 8 tokens"
    assert any(note.startswith(words) for note in page.notes)
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["grouped"]))
    page = botec.estimate(f"transformers:{tmp_path}", train=False, B=2, S=24)
    assert not any("window" in note for note in page.notes)
