"""What cuDNN's recurrent layers keep from the forward pass for the backward one: an estimate.

Only the library can say it (``cudnnGetRNNTempSpaceSizes``). It is taken from what the backward pass
must know: of every step, layer and direction the gates, and what a cell keeps beside them.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Call

RELU, TANH, LSTM, GRU = range(4)
GATES = {RELU: 1, TANH: 1, LSTM: 4, GRU: 3}
#: Rows of the hidden width that are kept for every step: gates, and what a cell keeps beside them.
KEPT = {RELU: 1, TANH: 1, LSTM: 6, GRU: 5}
OP_NAME = "aten._cudnn_rnn"
MOST = 2  # times the estimate: what is likely at most


def kept_bytes(call: Call) -> Any:
    """Bytes one call is taken to keep, as a formula; 0 for what is not trained."""
    trained = call.op == OP_NAME and call.arguments["train"]
    return call.outputs[3].bytes if trained and call.outputs[3] is not None else 0


def least_reserve(call: Call, kept: int) -> int:
    """Bytes of the gates alone, of the ``kept`` ones of a call."""
    mode = call.arguments["mode"]
    return kept * GATES[mode] // KEPT[mode]
