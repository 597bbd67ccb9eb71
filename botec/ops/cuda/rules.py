"""What the host code of CUDA's kernels takes, makes and gives back, op by op, in order.

Each rule names the function of PyTorch 2.13 it follows. An op without a rule makes its outputs in
order and takes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botec.calls import ITEM_BYTES, Tensor
from botec.ops.cuda import attention
from botec.ops.cuda.attention import HALF
from botec.ops.cuda.layouts import in_one_row, leads
from botec.ops.cuda.look import Look, Step, bytes_of, divided, give, out, take
from botec.ops.cuda.recurrent import GATES
from botec.ops.cuda.reduction import processors, reduction, staging_bytes
from botec.ops.cuda.sorting import SINGLE_TILE, scan_bytes, sort_bytes
from botec.poly import product

MOST_UNSORTED = 3072  # rows whose gradients one kernel adds without sorting them
ROWS_OF_A_PART = 10  # ``NROWS_PER_THREAD``
THREADS_OF_A_BLOCK = 1024
BLOCKS_OF_A_PROCESSOR = 4  # ``MAX_ATOMIC_ACCUM_BLOCKS_PER_SM``
EMBEDDING = "aten.embedding_dense_backward"


def accumulated(dtype: str) -> str:
    """The type in which a kernel adds up (``acc_type``)."""
    return "float32" if dtype in HALF else dtype


# --- norms, softmax, dropout --------------------------------------------------------------------


def row_norm(look: Look) -> list[Step]:
    """``layer_norm_cuda`` (and the root-mean-square one): a packed copy of the input."""
    return [*look.copy("input"), *out(), *give("input")]


def row_norm_backward(look: Look) -> list[Step]:
    """``layer_norm_backward_cuda``: the input's copy, the gradients, the copy of their own one."""
    gradient = "grad_out"
    return [
        *look.copy("input"), *out(), *look.copy(gradient), *give(gradient, "input"),
    ]  # fmt: skip


def group_norm(look: Look) -> list[Step]:
    """``GroupNormKernelImpl``: factor and shift of every channel of every example."""
    if look.number(look["HxW"]) == 1 or look["weight"] is None:
        return out()
    size = look["N"] * look["C"] * ITEM_BYTES[accumulated(look["input"].dtype)]
    return [*out(), *take("factor", size), *take("shift", size), *give("shift", "factor")]


def group_norm_backward(look: Look) -> list[Step]:
    """``GroupNormBackwardKernelImpl``: sums by channel, by group, and the input's factors."""
    if look.number(look["HxW"]) == 1:
        return out()
    item = ITEM_BYTES[accumulated(look["input"].dtype)]
    channels, groups = look["N"] * look["C"] * item, look["N"] * look["group"] * item
    names = {"ds": channels, "db": channels, "c2": groups, "c3": groups}
    if look["weight"] is not None:
        names["c1"] = channels
    taken = [step for name, size in names.items() for step in take(name, size)]
    return [*out(), *taken, *give(*reversed(names))]


def softmax(look: Look) -> list[Step]:
    """``host_softmax``: the output, then a packed copy of the input."""
    return [*out(), *look.copy("self"), *give("self")]


def safe_softmax(look: Look) -> list[Step]:
    """``_safe_softmax``: where all is minus infinity, which rows, and the zero put there."""
    x, axis = look["self"], look["dim"]
    rows = product(size for place, size in enumerate(x.shape) if place != axis % len(x.shape))
    item = ITEM_BYTES[look.call.results[0].dtype]
    return [
        *out(), *take("masked", x.elements), *take("rows", rows), *take("zero", item),
        *give("zero", "rows", "masked"),
    ]  # fmt: skip


def softmax_backward(look: Look) -> list[Step]:
    """``softmax_backward_cuda_out``: gradient times output in full, packed where it is not."""
    product_bytes = bytes_of(look["grad_output"])
    steps = [*out(), *take("product", product_bytes)]
    if not look.packed("grad_output") and not look.packed("output"):
        steps += take("packed", product_bytes)
    return [*steps, *look.copy("output"), *give("output", "packed", "product")]


def log_softmax_backward(look: Look) -> list[Step]:
    """``host_softmax_backward``: packed copies of both."""
    return [
        *out(), *look.copy("grad_output"), *look.copy("output"), *give("output", "grad_output"),
    ]  # fmt: skip


def dropout(look: Look) -> list[Step]:
    """``dropout_cuda``: the mask comes first."""
    return out(1, 0) if look["train"] is not False else out()


def reduced(look: Look) -> list[Step]:
    """``gpu_reduce_kernel``: the result, then the buffer and counters of a sum over blocks."""
    count = len(look["self"].shape)
    if "self" not in look.strides or not count:
        return out()
    return [*out(), *staged(look, "self", axes_of(look["dim"], count), sum_type(look))]


def staged(look: Look, name: str, axes: list[int], added: str) -> list[Step]:
    """The buffer between the blocks of a long sum, where it has one; ``added`` is the type (or the
    bytes) of what is added up."""
    tensor, layout = look[name], look.layout(name)
    if layout is None:
        return []
    item, sum_item = ITEM_BYTES.get(tensor.dtype, 1), ITEM_BYTES.get(added) or int(added)
    one = reduction(*layout, axes, item, sum_item)
    inside = product(size for axis, size in enumerate(tensor.shape) if axis in axes)
    across = product(size for axis, size in enumerate(tensor.shape) if axis not in axes)
    found = staging_bytes(one, look.capability, inside, across)
    if found is None:
        return []
    return [*take("parts", found[0]), *take("counters", found[1]), *give("counters", "parts")]


def axes_of(axes: Any, count: int) -> list[int]:
    """The axes a reduction is over; none named means all."""
    if axes is None or axes == ():
        return list(range(count))
    named = axes if isinstance(axes, (tuple, list)) else [axes]
    return [axis % count for axis in named]


def sum_type(look: Look) -> str:
    """What a reduction adds up: wider than 16-bit types; a variance keeps four numbers."""
    kind = look["self"].dtype
    if look.call.op in ("aten.var", "aten.var_mean", "aten.std", "aten.std_mean"):
        return "32" if kind == "float64" else "16"
    if look.call.op in ("aten.any", "aten.all"):
        return "bool"
    made = look.call.results[0].dtype if look.call.results else kind
    return accumulated(kind if kind in HALF else made)


# --- products and convolutions -------------------------------------------------------------------


def matrix_product(look: Look) -> list[Step]:
    """``prepare_matrix_for_cublas``: operands no leading dimension can describe are copied."""
    names = [name for name in ("self", "mat1", "batch1", "vec", "mat2", "batch2") if look[name]]
    if look["mat1"] is not None or look["batch1"] is not None:
        names.remove("self")
    layouts = {name: look.layout(name) for name in names}
    copied = [name for name, layout in layouts.items() if layout and not leads(*layout)]
    steps = [step for name in copied for step in take(name, bytes_of(look[name]))]
    return [*out(), *steps, *give(*reversed(copied))]


def convolution(look: Look) -> list[Step]:
    """``_convolution`` and ``cudnn_convolution``: input packed, output, filters packed."""
    if own_depthwise(look):
        return [*look.copy("input"), *out(), *give("input")]
    last = last_channels(look, "input", "weight")
    return [
        *packed_as(look, "input", last), *out(), *packed_as(look, "weight", last),
        *give("weight", "input"),
    ]  # fmt: skip


def convolution_backward(look: Look) -> list[Step]:
    """``convolution_backward``: of the input, of the filters, then of the bias."""
    mask = look["output_mask"] or (True, True, True)
    inner = own_depthwise(look)
    steps = depthwise_backward(look, mask) if inner else cudnn_backward(look, mask)
    if not mask[2] or "grad_output" not in look.strides:
        return [*steps, *out()]
    axes = [axis for axis in range(len(look["grad_output"].shape)) if axis != 1]
    return [*steps, *out(), *staged(look, "grad_output", axes, accumulated(look["input"].dtype))]


def depthwise_backward(look: Look, mask: Any) -> list[Step]:
    """``conv_depthwise2d_backward_cuda``: the filters' gradient comes before the input's."""
    copies = [*look.copy("grad_output"), *look.copy("input")]
    made = out(1, 0) if mask[0] and mask[1] else out(0)
    return [*copies, *made, *give("input", "grad_output")]


def cudnn_backward(look: Look, mask: Any) -> list[Step]:
    """``cudnn_convolution_backward``: each part packs what it reads; the gradient is put in order
    once where the channels lie innermost, and for sequences."""
    last = last_channels(look, "input", "weight")
    gradient = packed_as(look, "grad_output", last)
    once = last or len(look["input"].shape) == 3
    steps = [*packed_as(look, "input", last), *(gradient if once else [])]
    again = [] if once else gradient
    end = [] if once else give("grad_output")
    if mask[0]:
        steps += [*out(0), *packed_as(look, "weight", last), *again, *end, *give("weight")]
    if mask[1]:
        steps += [*again, *out(1 if mask[0] else 0), *end]
    return [*steps, *give("grad_output", "input")]


def own_depthwise(look: Look) -> bool:
    """Whether PyTorch's own kernel for one filter a channel runs (``use_cudnn_depthwise``)."""
    x, weight = look["input"], look["weight"]
    if look["transposed"] or len(x.shape) not in (4, 5) or last_channels(look, "input", "weight"):
        return False
    groups, channels = look["groups"], look.number(x.shape[1])
    wide = x.dtype in HALF and channels >= 32 and len(x.shape) == 4
    alone = groups == channels > 1 and look.number(weight.shape[0]) % channels == 0
    return alone and not wide


def last_channels(look: Look, *names: str) -> bool:
    """Whether cuDNN works with the channels innermost (``cudnn_conv_suggest_memory_format``)."""
    if look["input"].dtype == "float64":
        return False
    return any(look.channels_last(name) for name in names)


def packed_as(look: Look, name: str, last: bool) -> list[Step]:
    """A copy of an argument in the layout the kernel works in, where it lies in another."""
    count = len(look[name].shape)
    if not last or name not in look.strides or count not in (4, 5):
        return look.copy(name)
    kept = look.packed_as(name, (0, *range(2, count), 1))
    return [] if kept else take(name, bytes_of(look[name]))


def recurrent(look: Look) -> list[Step]:
    """``_cudnn_rnn``: the input packed, steps outermost, and the workspace, which is an estimate:
    the products of all inputs of one layer."""
    x, mode = look["input"], look["mode"]
    products = GATES[mode] * x.elements // x.shape[-1] * look["hidden_size"] * ITEM_BYTES[x.dtype]
    axes = (1, 0, 2) if look["batch_first"] else (0, 1, 2)
    copy = [] if look.packed_as("input", axes) else take("input", bytes_of(x))
    return [
        *copy, *out(0, 1, 2), *take("workspace", products), *out(), *give("workspace", "input"),
    ]  # fmt: skip


# --- look-ups, indices, moves --------------------------------------------------------------------


def embedding(look: Look) -> list[Step]:
    """``embedding``: the indices in one row, copied where no view of them is one."""
    layout = look.layout("indices")
    if layout is None or in_one_row(*layout):
        return out()
    return [*take("indices", bytes_of(look["indices"])), *out(), *give("indices")]


def embedding_backward(look: Look) -> list[Step]:
    """``embedding_dense_backward_cuda``: more than 3,072 rows are sorted and added in parts."""
    copies = [*look.copy("indices"), *look.copy("grad_output")]
    end = give("grad_output", "indices")
    count = look["indices"].elements
    if look.number(count) <= MOST_UNSORTED and not look["scale_grad_by_freq"]:
        return [*copies, *out(), *end]
    each = ITEM_BYTES[look["indices"].dtype]
    sort = sorted_pairs(count * each, count, look.number(look["num_weights"]), look)
    return [*copies, *sort, *give("range"), *out(), *added_in_parts(look, count, each), *end]


def sorted_pairs(row: Any, count: Any, most: int, look: Look) -> list[Step]:
    """Sorted keys, where they came from, the row of numbers, and the sort's own memory."""
    few = look.number(count) <= SINGLE_TILE
    return [
        *take("sorted", row), *take("origin", row), *take("range", row),
        *take("sort", sort_bytes(count, most, few)), *give("sort"),
    ]  # fmt: skip


def added_in_parts(look: Look, count: Any, each: int) -> list[Step]:
    """``embedding_backward_cuda_kernel``: segments of equal indices, in parts of ten rows."""
    weights, width = look["num_weights"], look["grad_output"].shape[-1]
    segments = count if look.number(count) <= look.number(weights) else weights
    parts = divided(count - (ROWS_OF_A_PART - 1), ROWS_OF_A_PART) + segments
    last = each * parts
    if not fused(look, look.number(segments), look.number(parts)):
        last = parts * width * ITEM_BYTES[accumulated(look["grad_output"].dtype)]
    steps = [
        *take("starts", count * each), *take("number", 8), *take("keys", count * each),
        *take("unique", scan_bytes(count)), *give("unique", "keys"),
        *take("partials", segments * each), *take("offsets", segments * each),
        *take("scan", scan_bytes(segments)), *give("scan"), *take("total", 8),
        *take("places", parts * each), *take("last", last),
    ]  # fmt: skip
    if look["grad_output"].dtype in HALF and fused(look, look.number(segments), look.number(parts)):
        steps += [*take("sums", look["num_weights"] * width * 4), *give("sums")]
    names = ("last", "places", "total", "offsets", "partials", "number", "starts")
    return [*steps, *give(*names, "origin", "sorted")]


def fused(look: Look, segments: Any, parts: Any) -> bool:
    """Whether few, long segments are added by one kernel with atomic sums."""
    width = look.number(look["grad_output"].shape[-1])
    warped = -(-width // 32) * 32
    blocks = -(-segments * warped // min(warped, THREADS_OF_A_BLOCK))
    enough = processors(look.capability)[0] * BLOCKS_OF_A_PROCESSOR
    return blocks < enough and parts > 4 * blocks


def index_put(look: Look) -> list[Step]:
    """``index_put_with_sort_kernel``, where values are added up: the places are sorted first."""
    indices = [one for one in look["indices"] or () if isinstance(one, Tensor)]
    if not look["accumulate"] or not indices:
        return out()
    largest = max(indices, key=lambda one: look.number(one.elements))
    count = largest.elements
    steps = list(out(0)) if look.call.op == "aten.index_put" else []
    for place in range(len(indices)):
        kept = f"place {place}"
        steps += [*take("wrapped", 8 * count), *take(kept, 8 * count), *give("wrapped")]
        steps += give(kept) if place else []
    written = product(look["self"].shape[place] for place in indexed(look))
    steps += look.copy("values")
    steps += sorted_pairs(8 * count, count, look.number(written) - 1, look)
    return [*steps, *give("range", "origin", "sorted", "values", "place 0")]


def indexed(look: Look) -> list[int]:
    """The axes that are indexed."""
    return [axis for axis, one in enumerate(look["indices"]) if isinstance(one, Tensor)]


def roll(look: Look) -> list[Step]:
    """``roll_common``: one axis after the other, the earlier results kept."""
    shifts = look["shifts"]
    many = len(shifts) if isinstance(shifts, (tuple, list)) else 1
    steps = look.copy("self")
    for turn in range(many - 1):
        steps += [*take(f"turn {turn}", bytes_of(look["self"])), *give("self")]
    return [*steps, *out(), *give("self", *(f"turn {turn}" for turn in reversed(range(many - 1))))]


def packed_gradient(look: Look) -> list[Step]:
    """Backward kernels that work on a packed gradient (pooling)."""
    return [*out(), *look.copy("grad_output"), *give("grad_output")]


RULES: dict[str, Callable[[Look], list[Step]]] = {
    **attention.RULES,
    "aten.native_layer_norm": row_norm,
    "aten.native_layer_norm_backward": row_norm_backward,
    "aten._fused_rms_norm": row_norm,
    "aten._fused_rms_norm_backward": row_norm_backward,
    "aten.native_group_norm": group_norm,
    "aten.native_group_norm_backward": group_norm_backward,
    "aten._softmax": softmax,
    "aten._log_softmax": softmax,
    "aten._safe_softmax": safe_softmax,
    "aten._softmax_backward_data": softmax_backward,
    "aten._log_softmax_backward_data": log_softmax_backward,
    "aten.native_dropout": dropout,
    "aten.mm": matrix_product,
    "aten.addmm": matrix_product,
    "aten.bmm": matrix_product,
    "aten.baddbmm": matrix_product,
    "aten.convolution": convolution,
    "aten.convolution_backward": convolution_backward,
    "aten._cudnn_rnn": recurrent,
    "aten._cudnn_rnn_backward": recurrent,
    "aten.embedding": embedding,
    EMBEDDING: embedding_backward,
    "aten.index_put": index_put,
    "aten.index_put_": index_put,
    "aten._index_put_impl_": index_put,
    "aten.roll": roll,
    **dict.fromkeys(
        (
            "aten.sum",
            "aten.mean",
            "aten.prod",
            "aten.amax",
            "aten.amin",
            "aten.any",
            "aten.all",
            "aten.linalg_vector_norm",
            "aten.var",
            "aten.var_mean",
            "aten.std",
            "aten.std_mean",
        ),
        reduced,
    ),
    "aten.adaptive_avg_pool2d_backward": packed_gradient,
    "aten._adaptive_avg_pool2d_backward": packed_gradient,
}
