"""Decisions by data: answered as ordinary data make them, said, and as a real run makes them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import botec
from botec import Input
from botec.errors import DataDependent
from botec.read.supposed import NOTE, finite

TOKENS = Input("B", "S", dtype="int64", below=50)
PADDING = 1


class Reads(nn.Module):
    """A small language model that does ``look`` with its tokens and what it made of them."""

    def __init__(self, look: Any) -> None:
        super().__init__()
        self.table, self.layer, self.look = nn.Embedding(50, 4), nn.Linear(4, 4), look

    def forward(self, tokens: Any) -> Any:
        hidden = self.layer(self.table(tokens))
        return self.look(tokens, hidden)


def padded(tokens: Any, hidden: Any) -> Any:
    mask = tokens.eq(PADDING)
    return hidden.masked_fill(mask[..., None], 0) if mask.any() else hidden


def shifted(tokens: Any, hidden: Any) -> Any:
    moved = tokens.new_zeros(tokens.shape)
    moved[..., 1:] = tokens[..., :-1].clone()
    moved[..., 0] = 2
    moved.masked_fill_(moved == -100, PADDING)
    assert torch.all(moved >= 0).item()
    return hidden


def clamped(tokens: Any, hidden: Any) -> Any:
    if not torch.isfinite(hidden).all():
        hidden = torch.clamp(hidden, -9, 9)
    if torch.isinf(hidden).any() or torch.isnan(hidden).any():
        hidden = hidden * 0
    return hidden


def replaced(tokens: Any, hidden: Any) -> Any:
    """A mask in an index that chooses nothing: a backward pass through no rows."""
    hidden = hidden * 1
    hidden[tokens == 49] = hidden.mean((0, 1))
    return hidden


@pytest.mark.parametrize("look", [padded, shifted, clamped, replaced], ids=lambda f: f.__name__)
def test_a_decision_is_the_one_ordinary_data_make(look: Any) -> None:
    """The ops of the real forward pass, on tokens that are none of the special ones."""
    program = botec.read(Reads(look), TOKENS, B=2, S=6)
    assert program.why == ""
    assert NOTE in program.notes
    assert NOTE not in program.assumed
    names: list[str] = []

    class Listener(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
            names.append(func._schema.name)
            return func(*args, **(kwargs or {}))

    with Listener():
        Reads(look)(torch.randint(3, 49, (2, 6)))
    done = {call.op.replace(".", "::") for call in program.streams[0].calls}
    for telling in ("aten::masked_fill", "aten::masked_fill_", "aten::clamp", "aten::index_put_"):
        assert (telling in names) == (telling in done) or telling == "aten::index_put_"


REFUSED = {
    "how many": lambda tokens, hidden: hidden * tokens.eq(3).sum().item(),
    "which": lambda tokens, hidden: hidden * tokens.max().item(),
    "a list": lambda tokens, hidden: hidden * len(tokens[0].tolist()),
    "a mask of some": lambda tokens, hidden: hidden[
        (tokens > 2) & (torch.arange(tokens.shape[1], device=tokens.device) > 1)
    ],
    "different ones": lambda tokens, hidden: hidden[: tokens.unique().shape[0]],
    "a float": lambda tokens, hidden: hidden * (2 if hidden.max() > 0 else 1),
    "what it writes over": lambda tokens, hidden: (
        hidden if tokens.clone().copy_(hidden[..., 0].long()).eq(3).any() else hidden * 2
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_more_than_a_yes_or_no_is_refused(name: str) -> None:
    with pytest.raises(DataDependent, match="needs a value that only real data gives"):
        botec.read(Reads(REFUSED[name]), TOKENS, B=2, S=6)


def test_experts_are_chosen_by_numbers_nobody_supposes() -> None:
    """Which expert a token goes to is computed: no token is supposed to go nowhere."""

    def routed(tokens: Any, hidden: Any) -> Any:
        chosen = hidden.argmax(-1)
        return hidden * 2 if (chosen == 3).any() else hidden

    with pytest.raises(DataDependent):
        botec.read(Reads(routed), TOKENS, B=2, S=6)


NUMBERS = torch.tensor([1.5, -2.0, 0.0])


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("eq", (NUMBERS, NUMBERS)),
        ("ne", (NUMBERS, NUMBERS)),
        ("eq", (NUMBERS, float("inf"))),
        ("ne", (NUMBERS, float("-inf"))),
        *((name, (NUMBERS,)) for name in ("isnan", "isinf", "isposinf", "isneginf")),
    ],
)
def test_what_is_said_of_finite_numbers_is_true_of_them(name: str, args: Any) -> None:
    assert bool(getattr(torch, name)(*args).all()) is finite(f"aten.{name}", args)


@pytest.mark.parametrize(
    ("name", "args"),
    [("eq", (NUMBERS, 0.0)), ("eq", (NUMBERS, NUMBERS + 0)), ("eq", (NUMBERS.long(), float("inf"))),
     ("isin", (NUMBERS,)), ("arange", (3,)), ("rand", ())],
)  # fmt: skip
def test_of_anything_else_nothing_is_said(name: str, args: Any) -> None:
    assert finite(f"aten.{name}", args) is None
