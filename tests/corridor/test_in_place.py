"""Ops PyTorch does out of place only because a dispatch mode listens, beside real steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from corridor.stepping import both
from torch import nn

from botec.inputs import Input
from botec.read import recorder
from botec.read.source import Source

TABLE, ROWS, WIDTH = 40, 24, 32
PICKED = Input(ROWS, dtype="int64", below=TABLE)


class Formula(nn.Module):
    """A table of weights, and a function of it and of whole numbers."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(TABLE, WIDTH))
        self.function = function

    def forward(self, picked: Any) -> Any:
        return self.function(torch.tanh(self.table), picked).square()


def entropy(table: Any, picked: Any) -> Any:
    target = torch.zeros_like(table).index_fill(0, picked, 1.0)
    return nn.functional.binary_cross_entropy_with_logits(table, target)


def masked(table: Any, picked: Any) -> Any:
    """Attention with a mask and dropout, which no fused kernel of the CPU takes."""
    states = table.reshape(1, 2, TABLE // 2, WIDTH)
    mask = torch.zeros(TABLE // 2, TABLE // 2)
    return nn.functional.scaled_dot_product_attention(states, states, states, mask, dropout_p=0.1)


FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "rows by their places": lambda table, picked: table[picked],
    "one of each row": lambda table, picked: table.gather(0, picked[:, None].expand(-1, WIDTH)),
    "rows chosen": lambda table, picked: table.index_select(0, picked),
    "the largest of each row": lambda table, picked: table.max(1).values,
    "the first three of each row": lambda table, picked: table.topk(3, 1).values,
    "each row in order": lambda table, picked: table.sort(1).values,
    "the median": lambda table, picked: table.median(1).values,
    "entries by their number": lambda table, picked: table.take(picked),
    "the diagonal's sum": lambda table, picked: table[:, :WIDTH].trace(),
    "the running maximum": lambda table, picked: table.cummax(1).values,
    "cross entropy of yes and no": entropy,
    "attention written out": masked,
    # And the same ops where nobody does them in place: the author asked for a new tensor.
    "put by the author": lambda table, picked: torch.zeros(TABLE, WIDTH).index_put(
        (picked,), table[:ROWS]
    ),
    "scattered by the author": lambda table, picked: torch.zeros(TABLE, WIDTH).scatter(
        0, picked[:, None].expand(-1, WIDTH), table[:ROWS]
    ),
    "a difference of the author's": lambda table, picked: (table * 2).sub(table).mul(table),
}


def steps(name: str) -> Any:
    source = Source("formula", lambda: Formula(FORMULAS[name]), (PICKED,))
    return both(source, {}, optimizer="sgd")


@pytest.mark.parametrize("name", FORMULAS)
def test_each_formula_has_the_real_ones_bytes(name: str) -> None:
    found, _, _ = steps(name)
    assert found.apart() == []
    assert found.theirs == []
    assert len(found.pairs) > 4


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("rows by their places", "index_put"),
        ("one of each row", "scatter_add"),
        ("the largest of each row", "scatter"),
        ("cross entropy of yes and no", "sub"),
        ("attention written out", "add"),
    ],
)
def test_without_the_rule_it_is_apart(monkeypatch: Any, name: str, op: str) -> None:
    """The check sees the op that each rule is for."""
    assert steps(name)[0].apart() == []
    monkeypatch.setattr(recorder, "reuses", lambda *args: False)
    assert op in {one for one, _, _ in steps(name)[0].apart()}
