"""Recurrent layers on shapes against the same layers run for real: the same ops, the same sizes."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from read.watching import watched
from torch import nn

from botec.read.decisions import decisions

# Looks at memory, and ones that only the real engine's bookkeeping needs; neither is work.
LOOKS = ("t", "transpose", "unbind", "select", "view", "_unsafe_view", "detach", "unsafe_chunk",
         "unsafe_split", "slice", "expand", "alias", "unsqueeze", "squeeze", "as_strided",
         "permute", "split", "unsafe_split_with_sizes", "split_with_sizes", "_reshape_alias",
         "transpose_")  # fmt: skip
CELLS: dict[str, Any] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "tanh": nn.RNN,
    "relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
}
WAYS = [
    {"bidirectional": both, "num_layers": layers, "batch_first": first, "bias": bias}
    for both, layers, first, bias in product((False, True), (1, 2), (False, True), (True, False))
]


def layer(cell: str, device: str, train: bool = True, **ways: Any) -> Any:
    with torch.device(device):
        return CELLS[cell](5, 7, **ways).train(train)


def work_of(watch: Any) -> list[Any]:
    """All ops with their sizes; the LSTM's own workspace is held against the kernel elsewhere."""
    found = []
    for name, given, made in watch.heard:
        if name == "mkldnn_rnn_layer":
            made = made[:3]
        if name == "mkldnn_rnn_layer_backward":
            given = given[:-1]
        found.append((name, given, made))
    return found


def forward_of(module: Any, x: Any) -> Any:
    return watched(lambda: module(x), LOOKS)


def step_of(module: Any, x: Any) -> Any:
    def run() -> None:
        out = module(x)[0]
        out.mean().backward()

    return watched(run, LOOKS)


def words(ways: dict[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in ways.items())


CASES = [
    pytest.param(
        cell,
        ways,
        id=f"{cell},{words(ways)}",
    )
    for cell, ways in product(CELLS, WAYS)
]


@pytest.mark.parametrize(("cell", "ways"), CASES)
def test_the_ops_of_a_real_run(cell: str, ways: dict[str, Any]) -> None:
    """Forward in training: op by op, what goes in and what comes out, types too."""
    real = forward_of(layer(cell, "cpu", **ways), torch.zeros(3, 2, 5))
    with decisions():
        ours = forward_of(layer(cell, "meta", **ways), torch.empty(3, 2, 5, device="meta"))
    assert ours.names == real.names
    assert work_of(ours) == work_of(real)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("train", [True, False])
def test_with_dropout(cell: str, train: bool) -> None:
    ways = {"num_layers": 2, "dropout": 0.5, "train": train}
    real = forward_of(layer(cell, "cpu", **ways), torch.zeros(3, 2, 5))
    with decisions():
        ours = forward_of(layer(cell, "meta", **ways), torch.empty(3, 2, 5, device="meta"))
    assert ours.names == real.names


@pytest.mark.parametrize("cell", CELLS)
def test_the_backward_pass(cell: str) -> None:
    """The same products of the same sizes come back, and the fused kernel's own backward."""
    real = step_of(layer(cell, "cpu"), torch.zeros(3, 2, 5))
    with decisions():
        ours = step_of(layer(cell, "meta"), torch.empty(3, 2, 5, device="meta"))
    work = ("mm", "addmm", "bmm", "mkldnn_rnn_layer", "mkldnn_rnn_layer_backward")
    ours, real = work_of(ours), work_of(real)
    assert [h for h in ours if h[0] in work] == [h for h in real if h[0] in work]


@pytest.mark.parametrize("sizes", [(1, 1), (1, 4), (6, 1)])
@pytest.mark.parametrize("cell", CELLS)
def test_one_step_and_one_example(cell: str, sizes: tuple[int, int]) -> None:
    real = forward_of(layer(cell, "cpu"), torch.zeros(*sizes, 5))
    with decisions():
        ours = forward_of(layer(cell, "meta"), torch.empty(*sizes, 5, device="meta"))
    assert work_of(ours) == work_of(real)


@pytest.mark.parametrize("ways", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_a_projected_lstm(ways: dict[str, Any]) -> None:
    """Projections are not in the fused kernel: it steps through time."""
    real = forward_of(layer("lstm", "cpu", proj_size=3, **ways), torch.zeros(3, 2, 5))
    with decisions():
        ours = forward_of(
            layer("lstm", "meta", proj_size=3, **ways), torch.empty(3, 2, 5, device="meta")
        )
    assert "mkldnn_rnn_layer" not in real.names
    assert work_of(ours) == work_of(real)


@pytest.mark.parametrize("cell", CELLS)
def test_given_states_and_no_batch(cell: str) -> None:
    for device in ("cpu", "meta"):
        hidden = torch.zeros(1, 7, device=device)
        states = (hidden, hidden) if cell == "lstm" else hidden
        x = torch.zeros(3, 5, device=device)
        module = layer(cell, device)
        with decisions():
            heard = work_of(watched(lambda m=module, x=x, s=states: m(x, s), LOOKS))
        if device == "cpu":
            real = heard
    assert heard == real


@pytest.mark.parametrize(
    "kind",
    [
        torch.float64,
        torch.bfloat16,
    ],
)
def test_an_lstm_of_other_types(kind: Any) -> None:
    """float64 is not in oneDNN's kernel; what bfloat16 takes is the machine's own choice."""
    real = forward_of(layer("lstm", "cpu").to(kind), torch.zeros(3, 2, 5, dtype=kind))
    with decisions():
        ours = forward_of(
            layer("lstm", "meta").to(kind), torch.empty(3, 2, 5, dtype=kind, device="meta")
        )
    assert ours.names == real.names
