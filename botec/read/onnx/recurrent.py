"""Recurrent operators: torch's own kernels where the graph asks for nothing else."""

from __future__ import annotations

from typing import Any

import torch

from botec.errors import BadInput
from botec.read.onnx.registry import onnx

#: Where torch has ONNX's gates: ONNX writes LSTM's as i o f c, torch as i f g o; GRU's as z r h,
#: torch as r z n.
GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
KERNELS = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN": torch.rnn_tanh}


def recurrent(kind: str) -> Any:
    def run(
        x: Any, weights: Any, r: None = None, b: None = None, lengths: Any = None, h: Any = None,
        c: Any = None, peepholes: Any = None, *, hidden_size: int, direction: str = "forward",
        layout: int = 0, activations: Any = None, clip: Any = None, input_forget: int = 0,
        linear_before_reset: int = 0,
    ) -> Any:  # fmt: skip
        """``x`` (time, batch, input); ``weights`` as :func:`in_order` has them. Outputs: every
        step (time, directions, batch, hidden), and the last states."""
        unlike = peepholes is not None or clip or input_forget or direction == "reverse" or layout
        if unlike or activations or (kind == "GRU" and not linear_before_reset):
            do = "export it as torch's own layers are (linear_before_reset=1 for a GRU)"
            raise BadInput(f"{kind} with gates that torch's own does not have", do)
        ways = 2 if direction == "bidirectional" else 1
        start = x.new_zeros(ways, x.shape[1], hidden_size) if h is None else h
        state = (start, torch.zeros_like(start) if c is None else c) if kind == "LSTM" else start
        biased = len(weights) == 4 * ways
        steps, *last = KERNELS[kind](
            x, state, weights, biased, 1, 0.0, torch.is_grad_enabled(), ways == 2, False
        )
        return (steps.unflatten(-1, (ways, hidden_size)).transpose(1, 2), *last)

    return run


def in_order(kind: str, w: Any, r: Any, b: Any = None) -> list[Any]:
    """Weights as torch's kernels take them: of each direction input and recurrent weights, then
    both biases, gates in torch's order. ``w`` (directions, gates·hidden, inputs), ``r`` likewise,
    ``b`` (directions, 2·gates·hidden)."""
    found = []
    for way in range(w.shape[0]):
        parts = [w[way], r[way], *(b[way].chunk(2) if b is not None else ())]
        found += [ordered(part, GATES[kind]) for part in parts]
    return found


def ordered(weight: Any, gates: tuple[int, ...]) -> Any:
    chunks = weight.chunk(len(gates))
    return torch.cat([chunks[gate] for gate in gates])


for kind in KERNELS:
    onnx(kind)(recurrent(kind))
