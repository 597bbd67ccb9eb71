"""Reach of what mixes whole axes: products of matrices, attention, softmax, norms, reductions."""

from __future__ import annotations

from typing import Any

from botec.calls import Call, Tensor
from botec.ops.reach import Axes, Link, Read, axis_of, broadcast, first, same, told
from botec.ops.reach.steps import SAME, Shares, Upto
from botec.ops.reach.windows import sizes


def left(rank: int) -> Axes:
    """Rows of a product's first factor: ``(…, n, k)`` gives ``(…, n, m)``."""
    return Axes(rank, {axis: (axis, SAME) for axis in range(rank - 1)}, (rank - 1,))


def right(rank: int) -> Axes:
    """Columns of its second: ``(…, k, m)``."""
    walked: dict[int, Any] = {axis: (axis, SAME) for axis in range(rank) if axis != rank - 2}
    return Axes(rank, walked, (rank - 2,))


@told("mm bmm addmm baddbmm")
def product(call: Call) -> list[Read]:
    """A row of the first with a column of the second; what is added lies under it."""
    rank = len(call.results[0].shape)
    pairs = (("batch1", "batch2"), ("mat1", "mat2"), ("self", "mat2"))
    names = next(pair for pair in pairs if pair[0] in call.arguments and pair[1] in call.arguments)
    found = [Read((names[0],), left(rank)), Read((names[1],), right(rank))]
    if call.op in ("aten.addmm", "aten.baddbmm"):
        added: Tensor = call.arguments["self"]
        found.append(Read(("self",), broadcast(len(added.shape), rank)))
    return found


@told("mv addmv")
def matrix_and_vector(call: Call) -> list[Read]:
    """A row with the vector."""
    matrix, vector = ("self", "vec") if call.op == "aten.mv" else ("mat", "vec")
    found = [Read((matrix,), Axes(1, {0: (0, SAME)}, (1,))), Read((vector,), Axes(1, {}, (0,)))]
    return found + ([Read(("self",), same(1))] if call.op == "aten.addmv" else [])


@told("dot vdot")
def dot(call: Call) -> list[Read]:
    """Two vectors."""
    return [Read((name,), Axes(0, {}, (0,))) for name in ("self", "tensor", "other")
            if isinstance(call.arguments.get(name), Tensor)]  # fmt: skip


@told("_softmax _log_softmax _safe_softmax softmax log_softmax")
def softmax(call: Call) -> list[Read]:
    """All places of the axis."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments["dim"], rank)
    return [Read(name, whole_axes(rank, (axis,)))]


def whole_axes(rank: int, axes: tuple[int, ...]) -> Axes:
    """These axes are read whole and seen by every output; the others walked place by place."""
    return Axes(rank, {a: (a, SAME) for a in range(rank) if a not in axes}, axes)


@told("_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention")
@told("_scaled_dot_product_efficient_attention _scaled_dot_product_attention_math")
@told("_scaled_dot_product_cudnn_attention scaled_dot_product_attention")
def attention(call: Call) -> list[Read]:
    """Every query sees all keys and values; a causal one those up to its own place."""
    query, key = call.arguments["query"], call.arguments["key"]
    rank = len(query.shape)
    causal = bool(call.arguments.get("is_causal"))
    shift = 0  # the mask of the kernel starts at the upper left corner
    found = [Read(("query",), whole_axes(rank, (rank - 1,)))]
    grouped = len(query.shape) > 2 and sizes(query)[1] != sizes(key)[1]
    for name in ("key", "value"):
        walked: dict[int, Any] = {axis: (axis, SAME) for axis in range(rank - 2)}
        if grouped:
            walked[1] = (1, Shares(1, sizes(query)[1] // sizes(key)[1]))
        read: tuple[int, ...] = (rank - 2, rank - 1) if name == "key" else (rank - 2,)
        if name == "value":
            walked[rank - 1] = (rank - 1, SAME)
        if causal:
            walked[rank - 2] = (rank - 2, Upto(shift))
            read = read[1:]
        found.append(Read((name,), Axes(rank, walked, read)))
    mask = call.arguments.get("attn_mask")
    if isinstance(mask, Tensor):
        over = broadcast(len(mask.shape), rank)
        last = len(mask.shape) - 1
        rows = {axis: to for axis, to in over.walked.items() if axis != last}
        found.append(Read(("attn_mask",), Axes(rank, rows, (last,))))
        found = [Read(one.argument, one.link, bound=one.argument != ("query",)) for one in found]
    return found


# -- norms ----------------------------------------------------------------------------------


def first_output(name: tuple[Any, ...], link: Link, apart: Link | None = None) -> list[Read]:
    return [Read(name, link, 0, apart)]


def parameters(call: Call, made: int, axis: int) -> list[Read]:
    """Weights and statistics of each channel."""
    names = ("weight", "bias", "running_mean", "running_var")
    return [
        Read((name,), Axes(made, {0: (axis, SAME)}))
        for name in names
        if isinstance(call.arguments.get(name), Tensor)
    ]


@told("native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training")
@told("_batch_norm_with_update _batch_norm_no_update cudnn_batch_norm batch_norm")
def batch_norm(call: Call) -> list[Read]:
    """In training every output sees its whole channel, other examples too; else its own place."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    own = same(rank)
    training = call.arguments.get("training", call.op == "aten._batch_norm_with_update")
    if not training:
        return first_output(name, own) + parameters(call, rank, 1)
    statistics = whole_axes(rank, tuple(axis for axis in range(rank) if axis != 1))
    weights = [read for read in parameters(call, rank, 1) if "running" not in read.argument[0]]
    return first_output(name, statistics, own) + weights


@told("native_layer_norm layer_norm _fused_rms_norm")
def layer_norm(call: Call) -> list[Read]:
    """The normalised axes whole; where these hold places, apart from statistics only channels."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axes = tuple(range(rank - len(call.arguments["normalized_shape"]), rank))
    apart = whole_axes(rank, axes[:1]) if len(axes) > 1 else None
    return first_output(name, whole_axes(rank, axes), apart)


@told("native_group_norm")
def group_norm(call: Call) -> list[Read]:
    """The channels of a group at all places; apart from statistics, at its own place."""
    name, tensor = first(call)
    rank, channels = len(tensor.shape), sizes(tensor)[1]
    share = channels // int(call.arguments["group"])
    grouped = {0: (0, SAME), 1: (1, Shares(share, share))}
    everywhere = Axes(rank, grouped, tuple(range(2, rank)))
    here = {**grouped, **{axis: (axis, SAME) for axis in range(2, rank)}}
    return first_output(name, everywhere, Axes(rank, here))


@told("_weight_norm_interface _weight_norm")
def weight_norm(call: Call) -> list[Read]:
    """Of weights only."""
    rank = len(call.results[0].shape)
    return [Read(("v",), whole_axes(rank, tuple(range(rank))))]


# -- reductions -----------------------------------------------------------------------------


@told("mean sum amax amin var var_mean std std_mean nansum prod logsumexp max min aminmax")
@told("linalg_vector_norm norm all any argmax argmin median mode")
def reduced(call: Call) -> list[Read]:
    """The axes read whole; they stay with size 1, or go."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    if call.overload in ("other", "binary"):  # the greater of two tensors
        from botec.ops.reach import pointwise

        return pointwise(call)
    axes = reduced_axes(call, rank)
    found = []
    for number, out in enumerate(call.results):
        kept = len(out.shape) == rank
        left_over = [axis for axis in range(rank) if axis not in axes]
        walked = {a: (a if kept else place, SAME) for place, a in enumerate(left_over)}
        found.append(Read(name, Axes(len(out.shape), walked, axes), number))
    return found


def reduced_axes(call: Call, rank: int) -> tuple[int, ...]:
    """Which axes: all where none is named."""
    dims = call.arguments.get("dim")
    if dims is None or dims == ():
        return tuple(range(rank))
    dims = dims if isinstance(dims, tuple) else (dims,)
    return tuple(sorted({axis_of(int(one), rank) for one in dims}))


@told("cumsum cumprod logcumsumexp cummax cummin")
def running(call: Call) -> list[Read]:
    """Everything before, and itself."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments["dim"], rank)
    walked: dict[int, Any] = dict(same(rank).walked)
    walked[axis] = (axis, Upto())
    return [Read(name, Axes(rank, walked), out) for out in range(len(call.results))]


@told("topk sort argsort")
def ordered(call: Call) -> list[Read]:
    """Any place of the axis may come first."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments.get("dim", -1), rank)
    link = whole_axes(rank, (axis,))
    return [Read(name, link, out, bound=True) for out in range(len(call.results))]


@told("glu")
def halves(call: Call) -> list[Read]:
    """Both halves of an axis at the same place."""
    from botec.ops.reach.steps import Listed

    name, tensor = first(call)
    rank = len(tensor.shape)
    axis = axis_of(call.arguments["dim"], rank)
    half = sizes(tensor)[axis] // 2
    walked: dict[int, Any] = dict(same(rank).walked)
    walked[axis] = (axis, Listed(tuple((o, o + half) for o in range(half))))
    return [Read(name, Axes(rank, walked))]


@told("_thnn_fused_lstm_cell lstm_cell gru_cell _thnn_fused_gru_cell")
def cells(call: Call) -> list[Read]:
    """One step of a recurrent cell: units mix, examples do not."""
    return [
        Read((name,), whole_axes(2, (1,)), out)
        for out, made in enumerate(call.outputs[:2])
        if made is not None
        for name in call.arguments
        if isinstance(call.arguments[name], Tensor) and len(call.arguments[name].shape) == 2
    ]


@told("mkldnn_rnn_layer")
def recurrent_layer(call: Call) -> list[Read]:
    """Along time (the first axis): everything up to its own step, backwards from it on."""
    name, tensor = first(call)
    from botec.ops.reach.steps import Listed

    steps = sizes(tensor)[0]
    step: Any = Upto()
    if call.arguments.get("reverse"):
        step = Listed(tuple(tuple(range(o, steps)) for o in range(steps)))
    through = Axes(3, {0: (0, step), 1: (1, SAME)}, (2,))
    found = [Read(name, through, 0)]
    for number, out in enumerate(call.outputs[1:3], 1):
        if out is not None:
            rank = len(out.shape)
            found.append(Read(name, Axes(rank, {1: (rank - 2, SAME)}, (0, 2)), number))
    return found
