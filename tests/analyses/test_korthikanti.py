"""Korthikanti et al. 2022, table 2: activations of a transformer block, in symbols."""

from __future__ import annotations

import sys

import pytest
import torch
from analyses.kept import ROOT, kept_by_autograd, megatron_block

from botec.rules.memory import activations_of_a_block

sys.path.insert(0, ROOT)
from benchmarks.accuracy import korthikanti


@pytest.mark.parametrize(("width", "heads"), [(64, 2), (96, 3)])
def test_the_formula_is_the_papers_and_the_norms_own_numbers(width: int, heads: int) -> None:
    """34·s·b·h + 5·a·s²·b, and 16·s·b: mean and reciprocal deviation of two norms in 32 bits."""
    linear, square, rest = korthikanti.coefficients(width, heads)
    assert (linear, square, rest) == (34 * width + 16, 5 * heads, [])


def test_the_rule_is_what_autograd_really_keeps_of_one_block() -> None:
    s, b, h, a = 24, 3, 64, 2
    x = torch.randn(s, b, h, dtype=torch.bfloat16, requires_grad=True)
    real = kept_by_autograd(megatron_block(h, a).bfloat16(), x, least=s * b)
    assert real == activations_of_a_block(s, b, h, a, 1)


def test_a_block_that_keeps_more_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second GELU keeps its own input: eight more widths."""
    before = korthikanti.functional.gelu
    monkeypatch.setattr(korthikanti.functional, "gelu", lambda x: before(before(x)))
    assert korthikanti.coefficients(64, 2)[0] == 34 * 64 + 16 + 8 * 64
