"""What many positions share counts once for every pair of them: it must not be chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from botec.analyses.signal import fold
from botec.analyses.signal.averages import common_of
from botec.analyses.signal.particles import Noise
from botec.analyses.signal.pointwise import drawn
from botec.analyses.signal.sources import matched_to, moments_of
from botec.cli import run

SMALL = {
    "qwen2": "num_hidden_layers=2,hidden_size=64,intermediate_size=64,num_attention_heads=2,"
    "num_key_value_heads=2,vocab_size=100",
    "bart": "encoder_layers=1,decoder_layers=1,d_model=64,encoder_ffn_dim=64,decoder_ffn_dim=64,"
    "encoder_attention_heads=2,decoder_attention_heads=2,vocab_size=100",
    "t5": "d_model=64,num_layers=1,num_decoder_layers=1,d_kv=16,d_ff=128,vocab_size=100",
    "gpt_neox": "num_hidden_layers=2,hidden_size=64,intermediate_size=64,num_attention_heads=2,"
    "vocab_size=100",
}


def asked(kind: str) -> int:
    pytest.importorskip("transformers")
    return run(["learn", f"transformers:{kind}?{SMALL[kind]}", "--only", "signal", "--json"])


@pytest.mark.parametrize("kind", ["qwen2", "bart", "t5"])
def test_long_texts_have_a_page(kind: str, capsys: Any) -> None:
    """Thousands of positions: sums over pairs of them came out below 0, and there was no page."""
    code = asked(kind)
    assert code in (0, 1), capsys.readouterr().err


def test_views_of_large_weights_are_weights(capsys: Any, monkeypatch: Any) -> None:
    """Only what is worked out anew has a size from which on it is not."""
    monkeypatch.setattr(fold, "LARGEST", 100)
    assert asked("gpt_neox") in (0, 1), capsys.readouterr().err


@pytest.mark.parametrize(("roles", "distinct"), [("p", 3), ("pb", 4), ("", 2)])
def test_rows_of_a_table_share_what_the_table_says(roles: str, distinct: int) -> None:
    table = np.random.default_rng(3).normal(0.3, 1.0, (40, 24)).astype("float32")
    along = ([(role, 50) for role in roles] or [("1", 1)], (("u", 24),))
    noise = Noise(1)
    wanted = moments_of(table, along)
    raw = drawn(table, along, noise).astype("float64")
    z = matched_to(raw, wanted)
    assert len({tuple(row) for row in z.tolist()}) == distinct
    assert np.allclose(z @ z.T / z.shape[1], wanted, rtol=1e-9)
    assert not np.allclose(raw @ raw.T / raw.shape[1], wanted, rtol=1e-2)
    # the table's own: every pair of its rows, entry by entry
    rows = table.astype("float64")
    pairs = np.einsum("vu,wu->", rows, rows) / (40 * 40 * 24)
    assert wanted[0, 1] == pytest.approx(pairs if "p" in roles else (rows**2).mean(), rel=1e-6)
    assert wanted[0, 3] == pytest.approx((rows.mean(1) ** 2).mean(), rel=1e-6)


def test_a_table_of_one_row() -> None:
    table = np.ones((1, 8), dtype="float32")
    along = ((("p", 5),), (("u", 8),))
    z = matched_to(drawn(table, along, Noise(1)).astype("float64"), moments_of(table, along))
    assert np.allclose(z, 1)


@pytest.mark.parametrize(("shared", "found"), [(0.5, 0.5), (-0.001, -0.001), (-0.2, -1 / 99)])
def test_what_is_shared_leaves_a_sum_its_second_moment(shared: float, found: float) -> None:
    moments = np.array([[1.0, shared], [shared, 1.0]])
    q, common = common_of(moments, 1, 100)
    assert (q, common) == (1.0, pytest.approx(found))
    assert 100 * q + 100 * 99 * common >= -1e-9
