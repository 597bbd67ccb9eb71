"""Operators that work entry by entry."""

from __future__ import annotations

import functools
import operator
from typing import Any

import torch
from torch.nn import functional

from botec.read.onnx.registry import onnx

#: Operators that are one call of torch's, by that call.
SAME = {
    "Abs": torch.abs, "Neg": torch.neg, "Sqrt": torch.sqrt, "Exp": torch.exp, "Log": torch.log,
    "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Relu": torch.relu, "Erf": torch.erf,
    "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round, "Sign": torch.sign,
    "Reciprocal": torch.reciprocal, "Sin": torch.sin, "Cos": torch.cos, "Tan": torch.tan,
    "Asin": torch.asin, "Acos": torch.acos, "Atan": torch.atan, "Sinh": torch.sinh,
    "Cosh": torch.cosh, "Asinh": torch.asinh, "Acosh": torch.acosh, "Atanh": torch.atanh,
    "Not": torch.logical_not, "IsNaN": torch.isnan, "Softplus": functional.softplus,
    "Softsign": functional.softsign, "HardSwish": functional.hardswish, "Mish": functional.mish,
    "BitwiseNot": torch.bitwise_not,
}  # fmt: skip

#: The same of two inputs, one of which may be a number.
PAIRS = {
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Pow": operator.pow,
    "Equal": operator.eq, "Less": operator.lt, "LessOrEqual": operator.le,
    "Greater": operator.gt, "GreaterOrEqual": operator.ge, "And": operator.and_,
    "Or": operator.or_, "Xor": operator.xor, "BitwiseAnd": operator.and_,
    "BitwiseOr": operator.or_, "BitwiseXor": operator.xor,
}  # fmt: skip


def of_one(function: Any) -> Any:
    return lambda x: function(x)


def of_two(function: Any) -> Any:
    return lambda a, b: function(a, b)


for name, function in SAME.items():
    onnx(name)(of_one(function))
for name, function in PAIRS.items():
    onnx(name, numbers=True)(of_two(function))


@onnx("Identity", "Dropout")
def identity(x: Any, ratio: Any = None, training: Any = None, *, seed: int = 0) -> Any:
    """An exported file leaves nothing out, whatever is done with it later."""
    return x


@onnx("Div", numbers=True)
def divide(a: Any, b: Any) -> Any:
    """Whole numbers stay whole, towards zero."""
    whole = all(not one.is_floating_point() for one in (a, b) if isinstance(one, torch.Tensor))
    return torch.div(a, b, rounding_mode="trunc") if whole else a / b


@onnx("Mod", numbers=True)
def modulo(a: Any, b: Any, *, fmod: int = 0) -> Any:
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


@onnx("Sum", numbers=True)
def total(*values: Any) -> Any:
    return functools.reduce(operator.add, values)


@onnx("Mean", numbers=True)
def mean(*values: Any) -> Any:
    return functools.reduce(operator.add, values) / len(values)


@onnx("Max")
def largest(*values: Any) -> Any:
    return functools.reduce(torch.maximum, values)


@onnx("Min")
def smallest(*values: Any) -> Any:
    return functools.reduce(torch.minimum, values)


@onnx("Where", numbers=True)
def where(condition: Any, x: Any, y: Any) -> Any:
    return torch.where(condition, x, y)


@onnx("Clip", known=("low", "high"))
def clip(x: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """Bounds were attributes before opset 11."""
    bounds = (low if low is not None else min, high if high is not None else max)
    return torch.clamp(x, *(None if one is None else float(one) for one in bounds))


@onnx("IsInf")
def is_infinite(x: Any, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    return torch.isinf(x)


@onnx("LeakyRelu")
def leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    return functional.leaky_relu(x, alpha)


@onnx("PRelu")
def prelu(x: Any, slope: Any) -> Any:
    if slope.dim() > 1 and slope.shape[0] == slope.numel():  # one slope a channel
        return functional.prelu(x, slope.reshape(-1))
    return torch.where(x < 0, x * slope, x)


@onnx("Elu")
def elu(x: Any, *, alpha: float = 1.0) -> Any:
    return functional.elu(x, alpha)


@onnx("Celu")
def celu(x: Any, *, alpha: float = 1.0) -> Any:
    return functional.celu(x, alpha)


@onnx("Selu")
def selu(x: Any, *, alpha: float = 1.67326, gamma: float = 1.0507) -> Any:
    return functional.selu(x)


@onnx("ThresholdedRelu")
def thresholded(x: Any, *, alpha: float = 1.0) -> Any:
    return functional.threshold(x, alpha, 0.0)


@onnx("HardSigmoid")
def hard_sigmoid(x: Any, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    """The one with slope 1/6 is torch's own."""
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return functional.hardsigmoid(x)
    return torch.clamp(x * alpha + beta, 0.0, 1.0)


@onnx("Gelu")
def gelu(x: Any, *, approximate: str = "none") -> Any:
    return functional.gelu(x, approximate=approximate)


@onnx("Swish")
def swish(x: Any, *, alpha: float = 1.0) -> Any:
    return functional.silu(x) if alpha == 1.0 else x * torch.sigmoid(alpha * x)


@onnx("Shrink")
def shrink(x: Any, *, bias: float = 0.0, lambd: float = 0.5) -> Any:
    return functional.softshrink(x, lambd) if bias else functional.hardshrink(x, lambd)


@onnx("CastLike")
def cast_like(x: Any, like: Any, *, saturate: int = 1) -> Any:
    return x.to(like.dtype)
