"""Looking rows up in a table, and putting gradients back into them.

No multiplications. Bytes are those of the indices and of the rows touched, read and written; never
the table, of which a call sees only its rows. (The gradient of a dense table is zeroed whole before
the rows are added to it; that is not counted here.)
"""

from __future__ import annotations

from typing import Any

from botec.calls import Tensor
from botec.ops.facts import nothing, op
from botec.ops.terms import all_bytes, given

SUM, MEAN, GREATEST = range(3)

lookup = nothing("rows are copied", "aten.embedding", kind="embedding")
gradient = op("embedding backward", "aten.embedding_dense_backward", "aten.embedding_backward")
sparse = nothing("gradients are kept beside their indices", "aten.embedding_sparse_backward",
                 kind="embedding")  # fmt: skip
bags = op("embedding bags", "aten._embedding_bag", "aten._embedding_bag_forward_only",
          "aten.embedding_bag")  # fmt: skip
bags_gradient = op("embedding bags backward", "aten._embedding_bag_backward",
                   "aten._embedding_bag_dense_backward",
                   "aten._embedding_bag_sparse_backward")  # fmt: skip
shares_gradient = op("embedding bags backward, weights of samples",
                     "aten._embedding_bag_per_sample_weights_backward")  # fmt: skip
renormalised = op("embedding rows bounded", "aten.embedding_renorm")


@lookup.bytes
def _(indices: Tensor, outputs):
    """Indices, the rows read, the rows written."""
    return indices.bytes + 2 * outputs[0].bytes


@gradient.flops
def _(inputs):
    """Each gradient row is added to its row of the table."""
    return inputs[0].elements


@gradient.bytes
def _(inputs):
    """Indices, the gradient read, the rows added to written."""
    grad, indices = inputs[:2]
    return indices.bytes + 2 * grad.bytes


@sparse.bytes
def _(grad: Tensor, indices: Tensor):
    """Both read, both written."""
    return 2 * (grad.bytes + indices.bytes)


def touched(indices: Tensor, width: Any) -> Any:
    """Numbers in the rows looked up."""
    return indices.elements * width


@bags.flops
def _(weight: Tensor, indices: Tensor, outputs, mode, per_sample_weights):
    """A row's numbers are added to their bag (or weighed against its greatest), one each.

    A weight per sample is one product more; a mean is one division per result more.
    """
    divided = outputs[0].elements if mode == MEAN else 0
    return touched(indices, weight.shape[-1]) * (1 + given(per_sample_weights)) + divided


@bags.bytes
def _(weight: Tensor, indices: Tensor, inputs, outputs):
    """The rows read, every other operand, every output written."""
    rows = indices.elements * row_bytes(weight)
    return rows + all_bytes(inputs[1:]) + all_bytes(outputs)


def row_bytes(table: Tensor) -> Any:
    return Tensor(table.shape[1:], table.dtype).bytes


@bags_gradient.flops
def _(grad: Tensor, indices: Tensor, mode, per_sample_weights):
    """Each row of the bag's gradient is added to its row of the table.

    One product more for a weight per sample, one division more for a mean.
    """
    each = 1 + given(per_sample_weights) + (1 if mode == MEAN else 0)
    return touched(indices, grad.shape[-1]) * each


@bags_gradient.bytes
def _(grad: Tensor, indices: Tensor, inputs):
    """All operands read, the rows added to written."""
    return all_bytes(inputs) + indices.elements * row_bytes(grad)


@shares_gradient.flops
def _(weight: Tensor, indices: Tensor):
    """Per sample the row's numbers times the bag's gradient, summed: 2 d - 1."""
    return indices.elements * (2 * weight.shape[-1] - 1)


@shares_gradient.bytes
def _(weight: Tensor, indices: Tensor, grad: Tensor, outputs):
    """Two rows per sample, the indices, the results."""
    rows = indices.elements * (row_bytes(weight) + row_bytes(grad))
    return rows + indices.bytes + all_bytes(outputs)


@renormalised.flops
def _(self: Tensor, indices: Tensor):
    """Norm 2 d, the bound's quotient, the row scaled d."""
    return indices.elements * (3 * self.shape[-1] + 1)


@renormalised.bytes
def _(self: Tensor, indices: Tensor):
    """Indices; the rows read and written."""
    return indices.bytes + 2 * indices.elements * row_bytes(self)
