"""Which ops share an efficiency: the classes that times are fitted and reported by.

An op's class follows from its family in the book of ops and from what it is asked to do: a
depthwise convolution reaches other rates than a dense one, a norm that makes its own statistics
other ones than one that is given them. Ops that only look at memory, or name it, have no class.
"""

from __future__ import annotations

from collections.abc import Callable

from botec.calls import Call
from botec.ops.facts import kind_of

PRODUCTS = "product"
FEW_CHANNELS = 8  # a convolution of fewer input channels leaves most of a matrix unit empty

#: Families whose ops are one class by name alone.
FAMILIES = {
    "softmax": "softmax",
    "interpolate": "interpolation",
    "dropout": "random numbers",
    "pointwise": "elementwise",
    "reduce": "reduction",
    "pool": "pooling",
    "embedding": "gather",
    "loss": "loss",
    "recurrent": "recurrent",
    "fft": "transform",
    "linalg": "decomposition",
    "optimizer": "optimizer",
    "vision": "gather",
    "sort": "gather",
    "unknown": "elementwise",
}
#: Ops that are not what their family is.
BY_NAME = {
    "aten._to_copy": "cast",
    "aten.sort": "sort", "aten.topk": "sort", "aten.argsort": "sort", "aten.kthvalue": "sort",
    "aten.msort": "sort", "aten._unique2": "sort",
    "aten.fill": "fill", "aten.zero": "fill", "aten.zeros": "fill", "aten.ones": "fill",
    "aten.full": "fill", "aten.zeros_like": "fill", "aten.ones_like": "fill",
    "aten.full_like": "fill", "aten.new_zeros": "fill", "aten.arange": "fill",
    "aten.scalar_tensor": "fill", "aten.new_full": "fill", "aten.new_ones": "fill",
}  # fmt: skip
#: They name memory and move none of it.
NOTHING = {
    "aten.empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty", "aten.as_strided_",
    "aten.new_empty_strided", "aten.resize_", "aten.set_", "aten.lift_fresh", "aten.record_stream",
}  # fmt: skip
#: Elementwise functions that cost a CPU more arithmetic than memory.
SERIES = {
    f"aten.{name}"
    for name in (
        "gelu", "silu", "sigmoid", "tanh", "exp", "log", "pow", "sin", "cos", "erf", "softplus",
        "mish", "elu", "log_sigmoid_forward", "gelu_backward", "silu_backward", "tanh_backward",
        "sigmoid_backward", "mish_backward", "expm1", "log1p", "selu", "celu",
    )
}  # fmt: skip

BACKWARD = ", backward"
TRAINING = ", training"
#: Classes bound by multiplications where they are large; all others by memory.
MULTIPLYING = {
    "matmul", "batched matmul", "attention", "convolution 1x1", "convolution",
    "convolution grouped", "convolution depthwise", "convolution transposed",
    "convolution of few channels", "recurrent", "transform", "decomposition",
}  # fmt: skip


def class_of(call: Call, phase: str = "forward") -> str | None:
    """The class of a call; ``None`` where it moves nothing (a view, a name for memory).

    What belongs to the backward pass by its name says so; a product in the backward pass is a
    product like any other. Everything in the optimizer's phase is the optimizer's.
    """
    if call.view or call.op in NOTHING:
        return None
    if phase == "optimizer":
        return "optimizer"
    name = call.op.removesuffix("_")
    kind = kind_of(call)
    if kind in BY_FAMILY:
        return BY_FAMILY[kind](call, name)
    found = BY_NAME.get(name) or FAMILIES.get(kind, "copy")
    if found == "elementwise" and name in SERIES:
        found = "elementwise with a series"
    return found + BACKWARD if "backward" in name else found


def convolution(call: Call, name: str) -> str:
    """By the window, the groups, and how many channels meet it."""
    suffix = BACKWARD if "backward" in name else ""
    weight = call.arguments.get("weight")
    if weight is None:
        return "convolution" + suffix
    _, inside, *window = (size if isinstance(size, int) else 0 for size in weight.shape)
    groups = call.arguments.get("groups", 1)
    if call.arguments.get("transposed"):
        return "convolution transposed" + suffix
    if groups > 1:
        return ("convolution depthwise" if inside == 1 else "convolution grouped") + suffix
    if 0 < inside < FEW_CHANNELS:
        return "convolution of few channels" + suffix
    return ("convolution 1x1" if all(side == 1 for side in window) else "convolution") + suffix


def matmul(call: Call, name: str) -> str:
    """Products of one pair of matrices, or of many pairs at once."""
    batched = ("aten.bmm", "aten.baddbmm", "aten.addbmm", "aten.matmul")
    return "batched matmul" if name in batched else "matmul"


def attention(call: Call, name: str) -> str:
    """Fused attention of any maker."""
    return "attention" + (BACKWARD if "backward" in name else "")


def norm(call: Call, name: str) -> str:
    """Norms over a batch (with their own statistics or given ones), rows, groups."""
    suffix = BACKWARD if "backward" in name else ""
    if "batch_norm" in name or "instance_norm" in name:
        given = call.arguments.get("training", call.arguments.get("train")) is False
        given = given or "no_training" in name or "no_update" in name
        return "batch norm" + (suffix or ("" if given else TRAINING))
    return ("group norm" if "group" in name else "layer norm") + suffix


BY_FAMILY: dict[str, Callable[[Call, str], str]] = {
    "convolution": convolution,
    "matmul": matmul,
    "attention": attention,
    "norm": norm,
}


def multiplies(name: str) -> bool:
    """Whether a class has a rate of multiplications of its own."""
    return name.removesuffix(BACKWARD) in MULTIPLYING


def dtype_of(call: Call) -> str:
    """The type a call computes in: that of its first floating input."""
    for tensor in (*call.inputs, *call.results):
        if "float" in tensor.dtype or "complex" in tensor.dtype:
            return tensor.dtype
    return "float32"
