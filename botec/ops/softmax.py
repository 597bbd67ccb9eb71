"""Softmax and its logarithm, forward and backward.

Per row of n numbers: the maximum n - 1, its subtraction n, exponentials n, their sum n - 1, the
division n: 5 n - 2. The logarithm of it: maximum n - 1, subtraction n, exponentials n, sum n - 1,
one logarithm, one more subtraction n: 5 n - 1.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Tensor
from botec.ops.facts import op
from botec.ops.terms import lines

softmax = op("softmax", "aten._softmax", "aten.softmax", "aten._safe_softmax")
log_softmax = op("logarithm of softmax", "aten._log_softmax", "aten.log_softmax")
masked = op("masked softmax", "aten._masked_softmax")
softmax_backward = op("softmax backward", "aten._softmax_backward_data")
log_softmax_backward = op("logarithm of softmax backward", "aten._log_softmax_backward_data")
masked_backward = op("masked softmax backward", "aten._masked_softmax_backward")


def softmax_of(rows: Any, n: Any) -> Any:
    """Operations of ``rows`` softmaxes over n numbers each."""
    return rows * (5 * n - 2)


@softmax.flops
def _(self: Tensor, dim):
    """5 n - 2 per row."""
    return 5 * self.elements - 2 * lines(self.shape, dim)


@masked.flops
def _(self: Tensor, dim):
    """As a softmax; masked entries are selected away. The last axis where none is named."""
    return 5 * self.elements - 2 * lines(self.shape, -1 if dim is None else dim)


@log_softmax.flops
def _(self: Tensor, dim):
    """5 n - 1 per row."""
    return 5 * self.elements - lines(self.shape, dim)


@softmax_backward.flops
def _(output: Tensor, dim):
    """y (g - sum(g y)): products n, sum n - 1, subtraction n, product n: 4 n - 1 per row."""
    return 4 * output.elements - lines(output.shape, dim)


@masked_backward.flops
def _(output: Tensor, dim):
    """4 n - 1 per row, as without a mask."""
    return 4 * output.elements - lines(output.shape, -1 if dim is None else dim)


@log_softmax_backward.flops
def _(output: Tensor, dim):
    """g - exp(y) sum(g): sum n - 1, exponentials n, products n, subtraction n: 4 n - 1 per row."""
    return 4 * output.elements - lines(output.shape, dim)
