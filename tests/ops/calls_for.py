"""Calls written down by hand, as a front end would hand them on."""

from __future__ import annotations

from botec.calls import Call, Tensor


def tensor(*shape, dtype="float32"):
    return Tensor(tuple(shape), dtype)


def call(name, outputs, overload="default", **arguments):
    """``outputs``: a shape, or a list of tensors."""
    written = outputs if isinstance(outputs, list) else [tensor(*outputs)]
    return Call(name, overload, arguments, tuple(written))


def like(real):
    """The type of a real tensor."""
    return Tensor(tuple(real.shape), str(real.dtype).removeprefix("torch."))
