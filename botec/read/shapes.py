"""Output layouts of the ops whose own shape kernels are slow Python, for the plain cases only.

A rule answers only where the layout is certain; everything else asks the framework. The tests hold
every rule against the framework's kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from botec.poly import round_up

aten = torch.ops.aten
Layout = tuple[Any, Any, Any]
# Pointwise ops whose result may have another type than their arguments, or which are drawn.
OTHER_TYPE = (
    "eq", "ne", "lt", "le", "gt", "ge", "is", "logical", "sign", "where", "clone", "_to_copy",
    "bitwise", "native_dropout", "frexp", "bernoulli", "copy", "fill", "zeros", "ones", "to",
    "polar", "complex", "float_power", "angle", "real", "imag", "view", "conj", "_conj", "abs",
    "quantize", "fake_quantize", "resolve",
)  # fmt: skip
KNOWN: dict[Any, Callable[[Any, Any], Any] | None] = {}


def layouts_of(info: Any, args: Any, kwargs: Any) -> Any:
    """The layout of the output (or a list of them), ``None`` where the framework must say."""
    func = info.func
    if func not in KNOWN:
        KNOWN[func] = RULES.get(func) or (
            pointwise if is_plain_pointwise(func, info.name) else None
        )
    rule = KNOWN[func]
    return rule(args, kwargs or {}) if rule else None


def is_plain_pointwise(func: Any, name: str) -> bool:
    short = name.split(".")[1]
    schema = func._schema
    plain = torch.Tag.pointwise in func.tags and not schema.is_mutable and len(schema.returns) == 1
    return (plain and not short.startswith(OTHER_TYPE)) or short == "threshold_backward"


def packed(shape: Any) -> tuple[int, ...]:
    strides, stride = [], 1
    for size in reversed(shape):
        strides.append(stride)
        stride *= max(size, 1)
    return tuple(reversed(strides))


def is_packed(tensor: Any) -> bool:
    return tensor.stride() == packed(tensor.shape)


def same(tensor: Any) -> Layout:
    return tensor.shape, tensor.stride(), tensor.dtype


def packed_like(tensor: Any) -> Layout:
    return tensor.shape, packed(tensor.shape), tensor.dtype


def pointwise(args: Any, kwargs: Any) -> Layout | None:
    """All tensors alike, floating and packed: the result is alike too."""
    first = None
    for value in args:
        if isinstance(value, torch.Tensor):
            if first is None:
                first = value
            elif same(value) != same(first):
                return None
        elif isinstance(value, (complex, list, tuple)):
            return None
    if first is None or kwargs or not first.dtype.is_floating_point or not is_packed(first):
        return None
    return same(first)


def iterated(args: Any, kwargs: Any) -> Layout | None:
    """Floating tensors of one type that an iterator goes through together, spread to one shape:
    the result is dense, its axes in the order of the first argument whose strides tell two axes
    apart (``TensorIteratorBase::reorder_dimensions``)."""
    found = pointwise(args, kwargs)
    given = [value for value in args if isinstance(value, torch.Tensor)]
    if found is not None or not given or any(isinstance(value, complex) for value in args):
        return found
    kind, rank = given[0].dtype, max(one.dim() for one in given)
    if not kind.is_floating_point or any(one.dtype != kind or one.dim() == 0 for one in given):
        return None
    shapes = [(1,) * (rank - one.dim()) + tuple(one.shape) for one in given]
    shape = tuple(map(max, zip(*shapes, strict=True)))
    pairs = (pair for own in shapes for pair in zip(own, shape, strict=True))
    if 0 in shape or any(size not in (1, whole) for size, whole in pairs):
        return None
    strides = [spread(one, shape) for one in given]
    dense, extent = [0] * rank, 1
    for axis in innermost_first(shape, strides):
        dense[axis] = extent
        extent *= shape[axis]
    return torch.Size(shape), tuple(dense), kind


def spread(tensor: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor seen in a larger shape: where it is the same all along, 0."""
    missing = len(shape) - tensor.dim()
    rows = zip(tensor.stride(), tensor.shape, shape[missing:], strict=True)
    return (0,) * missing + tuple(step if size == whole else 0 for step, size, whole in rows)


def innermost_first(shape: Sequence[int], strides: Sequence[tuple[int, ...]]) -> list[int]:
    """Axes from the fastest to the slowest: an insertion sort, since not all can be compared."""

    def wrong(inner: int, outer: int) -> bool | None:
        for own in strides:
            if own[inner] and own[outer]:
                if own[inner] != own[outer]:
                    return own[inner] > own[outer]
                if shape[inner] > shape[outer]:
                    return True
        return None

    order = list(range(len(shape)))[::-1]
    for start in range(1, len(order)):
        place = start
        for before in reversed(range(start)):
            swap = wrong(order[before], order[place])
            if swap:
                order[before], order[place] = order[place], order[before]
                place = before
            elif swap is False:
                break
    return order


def batch_norm(args: Any, kwargs: Any) -> list[Layout] | None:
    x = args[0]
    if kwargs or not is_packed(x) or x.dtype != torch.float32:
        return None
    # outside of training the CPU's kernel keeps no statistics, the meta kernel does
    channels = (torch.Size(x.shape[1:2] if args[5] else (0,)), (1,), x.dtype)
    return [same(x), channels, channels]


def batch_norm_backward(args: Any, kwargs: Any) -> list[Layout | None] | None:
    gradient, x, weight, mask = args[0], args[1], args[2], args[9]
    if weight is None or not is_packed(x) or not is_packed(gradient) or x.dtype != torch.float32:
        return None
    channels = (torch.Size(x.shape[1:2]), (1,), x.dtype)
    layouts = (same(x), channels, channels)
    return [layout if wanted else None for layout, wanted in zip(layouts, mask, strict=True)]


def layer_norm(args: Any, kwargs: Any) -> list[Layout] | None:
    """It works on a packed copy (``LayerNormKernelImpl``)."""
    x, sizes = args[0], tuple(args[1])
    held = (one for one in args[2:4] if one is not None)
    fits = x.shape[-len(sizes) :] == sizes and all(one.shape == sizes for one in held)
    if x.dtype != torch.float32 or not sizes or not fits:
        return None
    rest = len(sizes)
    shape = torch.Size(tuple(x.shape[:-rest]) + (1,) * rest)
    statistics = (shape, packed(shape), x.dtype)
    return [packed_like(x), statistics, statistics]


def layer_norm_backward(args: Any, kwargs: Any) -> list[Layout | None] | None:
    _, x, _, _, _, weight, bias, mask = args
    if x.dtype != torch.float32:
        return None
    tensors = (x, weight, bias)
    return [
        packed_like(tensor) if wanted and tensor is not None else None
        for tensor, wanted in zip(tensors, mask, strict=True)
    ]


def negative_likelihood(args: Any, kwargs: Any) -> list[Layout] | None:
    """The loss and the weight of all examples, two numbers, unless every example's is wanted."""
    x, target, weight, reduction = args[:4]
    number = (torch.Size(()), (), x.dtype)
    fits = x.dim() in (1, 2) and target.shape == x.shape[:-1]
    fits = fits and (weight is None or weight.shape == x.shape[-1:])
    return [number, number] if reduction and fits else None


def negative_likelihood_backward(args: Any, kwargs: Any) -> Layout:
    return packed_like(args[1])


def product_added(args: Any, kwargs: Any) -> Layout | None:
    bias, left, right = args[:3]
    if not bias.dtype == left.dtype == right.dtype or not left.dtype.is_floating_point:
        return None
    if left.dim() != 2 or right.dim() != 2 or left.shape[1] != right.shape[0]:
        return None
    shape = torch.Size((left.shape[0], right.shape[1]))
    return (shape, packed(shape), left.dtype) if bias.shape in (shape, shape[1:]) else None


def reduced(args: Any, kwargs: Any) -> Layout | None:
    """A sum or mean over some axes of a packed tensor."""
    x, axes, keep = args[0], args[1], len(args) > 2 and args[2]
    if kwargs or not axes or not x.dtype.is_floating_point or not is_packed(x):
        return None
    gone = {axis % x.dim() for axis in axes if -x.dim() <= axis < x.dim()}
    if len(gone) < len(axes):
        return None  # one that is not there, or twice
    sizes = ((1 if at in gone else size) for at, size in enumerate(x.shape)
             if keep or at not in gone)  # fmt: skip
    shape = torch.Size(tuple(sizes))
    return shape, packed(shape), x.dtype


def softmax(args: Any, kwargs: Any) -> Layout | None:
    return same(args[0]) if is_packed(args[0]) and not args[2] else None


def softmax_backward(args: Any, kwargs: Any) -> Layout | None:
    x = args[0]
    return same(x) if is_packed(x) and is_packed(args[1]) and x.dtype == args[3] else None


def grouped_product(args: Any, kwargs: Any) -> Layout:
    """Rows of groups times stacked matrices, in any type: the framework's shape kernel takes
    bfloat16 alone, its CPU kernel float32 too. Rows of the result are padded to 16 bytes."""
    left, right = args[0], args[1]
    kind = kwargs.get("out_dtype") or left.dtype
    groups = args[2] if len(args) > 2 else kwargs.get("offs")
    shape: tuple[int, ...] = (left.shape[-2], right.shape[-1])
    if left.dim() == right.dim():
        count = left.shape[0] if left.dim() == 3 else groups.shape[0]
        shape = (count, *shape)
    unit = 16 // kind.itemsize
    row = -(-shape[-1] // unit) * unit
    strides = (row, 1) if len(shape) == 2 else (shape[1] * row, row, 1)
    return torch.Size(shape), strides, kind


def recurrent_layer(args: Any, kwargs: Any) -> list[Layout]:
    """oneDNN's layer: every step's output, the last hidden and cell state, its own workspace."""
    x, weight, hidden = args[0], args[1], args[5]
    steps, batch, width = x.shape[0], x.shape[1], hidden.shape[-1]
    output = torch.Size((steps, batch, width))
    state = torch.Size(hidden.shape)
    kept = torch.is_grad_enabled()  # the kernel goes by this, not by its ``train``
    size = torch.Size((workspace(steps, batch, weight.shape[1], width) if kept else 0,))
    return [
        (output, packed(output), x.dtype),
        (state, packed(state), x.dtype),
        (state, packed(state), x.dtype),
        (size, (1,), torch.uint8),
    ]


def recurrent_layer_backward(args: Any, kwargs: Any) -> list[Layout]:
    """Gradients of the input, the four weights and the two states, each of its own memory."""
    x, hidden, cells = args[0], args[5], args[6]
    return [(t.shape, packed(t.shape), t.dtype) for t in (x, *args[1:5], hidden, cells)]


def workspace(steps: Any, batch: Any, inputs: int, width: int) -> Any:
    """Bytes oneDNN keeps between an LSTM layer's forward and backward pass, on whole pages.

    Gates, outputs before projection, the states of the layer and of the step with the layer's
    gradients, cell states and their gradients (``rnn_utils::set_workspace_sizes``). Rows are padded
    to 16 numbers and once more where they would fall on the same cache set. Found by running the
    kernel over sizes, and held against it by a test; works on numbers and on formulas.
    """
    widest = padded(max(inputs, width))
    states = 2 * (steps + 1) * batch
    buffers = [steps * batch * padded(4 * width), steps * batch * padded(width)]
    buffers += [states * widest] * 3 + [states * width] * 2
    return sum(round_up(4 * numbers, 4096) for numbers in buffers)


def padded(row: int) -> int:
    """The length of a row of float32 in oneDNN's recurrent buffers (``get_good_ld``)."""
    row = -(-row // 16) * 16
    return row + 16 if row % 256 == 0 else row


def workspace_shape(arguments: Any) -> tuple[Any, ...]:
    """:func:`workspace` of a call in formulas; 0 where nothing is kept for a backward pass."""
    x, weight, hidden = arguments["input"], arguments["weight0"], arguments["hx_"]
    if not arguments["train"]:
        return (0,)
    return (workspace(x.shape[0], x.shape[1], weight.shape[1], hidden.shape[-1]),)


def row_sums_shape(arguments: Any) -> tuple[Any, ...]:
    """The logarithms of sums that memory-efficient attention keeps: rows in blocks of 32."""
    batch, heads, length, _ = arguments["query"].shape
    kept = arguments["compute_log_sumexp"]
    return batch, heads, round_up(length, 32) if kept else 0


# Outputs whose sizes are no polynomials: (op, which output) -> its shape from the arguments.
SHAPES: dict[tuple[str, int], Callable[[Any], tuple[Any, ...]]] = {
    ("aten.mkldnn_rnn_layer", 3): workspace_shape,
    ("aten._scaled_dot_product_efficient_attention", 1): row_sums_shape,
}
# Ops an iterator runs entry by entry, arguments of other shapes and strides among them.
ITERATED = (
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.neg.default,
    aten.gelu.default, aten.gelu_backward.default, aten.silu.default, aten.silu_backward.default,
    aten.tanh.default, aten.tanh_backward.default, aten.sigmoid.default, aten.relu.default,
    aten.sigmoid_backward.default, aten.exp.default, aten.rsqrt.default, aten.sqrt.default,
    aten.pow.Tensor_Scalar, aten.mul.Scalar, aten.addcmul.default, aten.div.Scalar,
)  # fmt: skip
RULES: dict[Any, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(ITERATED, iterated),
    aten.native_batch_norm.default: batch_norm,
    aten.native_batch_norm_backward.default: batch_norm_backward,
    aten.native_layer_norm.default: layer_norm,
    aten.native_layer_norm_backward.default: layer_norm_backward,
    aten.nll_loss_forward.default: negative_likelihood,
    aten.nll_loss_backward.default: negative_likelihood_backward,
    aten.addmm.default: product_added,
    aten.mean.dim: reduced,
    aten.sum.dim_IntList: reduced,
    aten._softmax.default: softmax,
    aten._log_softmax.default: softmax,
    aten._softmax_backward_data.default: softmax_backward,
    aten._log_softmax_backward_data.default: softmax_backward,
    aten._grouped_mm.default: grouped_product,
    aten.mkldnn_rnn_layer.default: recurrent_layer,
    aten.mkldnn_rnn_layer_backward.default: recurrent_layer_backward,
}
