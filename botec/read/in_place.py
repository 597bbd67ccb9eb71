"""Ops a real run does in place, and PyTorch out of place while a dispatch mode listens.

The framework asks ``areAnyTensorSubclassLike`` and then writes a new tensor where it would write
into one of its own. If the old one dies at once, nobody else held it: its memory was used again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._prims_common import is_non_overlapping_and_dense_or_false as is_dense

from botec.program import OP
from botec.read.callers import called_by_attention, called_by_engine, called_by_linear

aten = torch.ops.aten
ADD = aten.add.Tensor
#: Gradients put into zeros: ``index_backward``, ``value_selecting_reduction_backward``,
#: ``gather_backward``, ``index_select_backward``, ``masked_select_backward``, ``take_backward``,
#: ``trace_backward``.
PUT = (
    aten.index_put.default, aten.scatter.src, aten.scatter.value, aten.scatter_add.default,
    aten.index_add.default, aten.masked_scatter.default, aten.put.default,
    aten.index_fill.int_Tensor,
)  # fmt: skip
#: Products and differences of the gradient of one loss, ``binary_cross_entropy_with_logits``; with
#: a ``pos_weight`` the old tensors live on to the end of the formula: reuse of those is not seen.
OF_ONE_LOSS = (aten.sub.Tensor, aten.mul.Tensor)
ENTROPY = "BinaryCrossEntropyWithLogitsBackward0"
SUBSTITUTES = frozenset((ADD, *PUT, *OF_ONE_LOSS))


def reuses(recorder: Any, func: Any, args: Any, old: Any, new: Any) -> bool:
    """Whether ``func`` wrote the storage ``new`` where a real run writes into ``old``.

    Both are lives of the recorder, of one size; ``args[0]`` lies in ``old``. It holds only if
    ``old`` dies next, which the caller has yet to see.
    """
    if func is not ADD:
        return bool(recorder.backward and old.node == new.node and of_a_gradient(func))
    if not isinstance(args[1], torch.Tensor):
        return False
    if not recorder.backward or not called_by_engine():
        return into_a_product(recorder, args[1])
    first, second = args[0], args[1]
    same = first.shape == second.shape and first.dtype == second.dtype
    # two gradients of one tensor (``InputBuffer::accumulate``), made by two nodes
    return same and not first._is_view() and is_dense(first) and old.node != new.node


def of_a_gradient(func: Any) -> bool:
    """Whether the formula of a gradient, in C++, asked for it."""
    if func in PUT:
        return called_by_engine()
    node = torch._C._current_autograd_node()
    return node is not None and node.name() == ENTROPY and called_by_engine()


def into_a_product(recorder: Any, second: Any) -> bool:
    """A linear layer's bias (``at::linear``), or attention's mask where it is written out
    (``_scaled_dot_product_attention_math``)."""
    if second.dim() == 1 and called_by_linear() and follows_view(recorder):
        return True
    return called_by_attention()


def follows_view(recorder: Any) -> bool:
    """Whether the op before this one gave a product its shape back, as ``at::linear`` does."""
    last = range(max(0, len(recorder.kinds) - 6), len(recorder.kinds))
    before = [event for event in last if recorder.kinds[event] == OP]
    if len(before) < 2:
        return False
    return bool(recorder.signatures[recorder.index[before[-2]]].info.name == "aten._unsafe_view")
