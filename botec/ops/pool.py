"""Pooling, forward and backward. Windows are counted whole, padding included.

The greater of two numbers is one operation, as in :mod:`botec.ops.pointwise`; the place it came
from is none. Adaptive windows are counted as if they parted the input, as they do where the
output's size divides the input's; elsewhere neighbours share a line of numbers, left out here.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Tensor
from botec.ops.facts import nothing, op
from botec.ops.terms import reals
from botec.poly import product

greatest = {
    axes: op(f"max pooling, {axes} axes", *aliases)
    for axes, aliases in {
        1: ("aten.max_pool1d", "aten.max_pool1d_with_indices"),
        2: ("aten.max_pool2d", "aten.max_pool2d_with_indices", "aten.mkldnn_max_pool2d",
            "aten.quantized_max_pool2d", "aten.fractional_max_pool2d"),
        3: ("aten.max_pool3d", "aten.max_pool3d_with_indices", "aten.mkldnn_max_pool3d",
            "aten.quantized_max_pool3d", "aten.fractional_max_pool3d"),
    }.items()
}  # fmt: skip
average = {axes: op(f"average pooling, {axes} axes", f"aten.avg_pool{axes}d") for axes in (1, 2, 3)}
average_backward = {
    axes: op(f"average pooling backward, {axes} axes", f"aten.avg_pool{axes}d_backward")
    for axes in (2, 3)
}
adaptive_greatest = op("adaptive max pooling", "aten.adaptive_max_pool1d",
                       "aten.adaptive_max_pool2d", "aten.adaptive_max_pool3d")  # fmt: skip
adaptive_average = op("adaptive average pooling", "aten.adaptive_avg_pool1d",
                      "aten.adaptive_avg_pool2d", "aten.adaptive_avg_pool3d",
                      "aten._adaptive_avg_pool2d", "aten._adaptive_avg_pool3d",
                      "aten.mkldnn_adaptive_avg_pool2d")  # fmt: skip
adaptive_average_backward = op("adaptive average pooling backward",
                               "aten._adaptive_avg_pool2d_backward",
                               "aten._adaptive_avg_pool3d_backward",
                               "aten.adaptive_avg_pool3d_backward",
                               "aten.mkldnn_adaptive_avg_pool2d_backward")  # fmt: skip
scattered = op("max pooling backward", "aten.max_pool2d_with_indices_backward",
               "aten.max_pool3d_with_indices_backward", "aten.max_pool2d_backward",
               "aten.mkldnn_max_pool2d_backward", "aten.mkldnn_max_pool3d_backward",
               "aten.adaptive_max_pool2d_backward", "aten.adaptive_max_pool3d_backward",
               "aten.fractional_max_pool2d_backward",
               "aten.fractional_max_pool3d_backward")  # fmt: skip

nothing("numbers are put back where an index says", "aten.max_unpool2d", "aten.max_unpool3d",
        kind="pool")  # fmt: skip


def window(kernel_size: Any, axes: int) -> Any:
    """Numbers in a window; one size given stands for all axes."""
    sizes = kernel_size if isinstance(kernel_size, (tuple, list)) else (kernel_size,)
    return product(sizes) if len(sizes) == axes else sizes[0] ** axes


def tell(axes: int) -> None:
    """Max and average pooling along ``axes`` axes."""

    @greatest[axes].flops
    def _(outputs, kernel_size):
        """k numbers take k - 1 choices of the greater."""
        return reals(outputs[0]) * (window(kernel_size, axes) - 1)

    @average[axes].flops
    def _(outputs, kernel_size):
        """k - 1 additions and a division."""
        return outputs[0].elements * window(kernel_size, axes)


def tell_backward(axes: int) -> None:
    """Average pooling backward along ``axes`` axes."""

    @average_backward[axes].flops
    def _(grad_output: Tensor, kernel_size):
        """A division, then added to the k numbers of the window."""
        return grad_output.elements * (window(kernel_size, axes) + 1)


for count in average:
    tell(count)
for count in average_backward:
    tell_backward(count)


@adaptive_greatest.flops
def _(self: Tensor, outputs):
    """All numbers but one per window are weighed against the greatest so far."""
    return self.elements - outputs[0].elements


@adaptive_average.flops
def _(self: Tensor):
    """Per window of k numbers k - 1 additions and a division: one per input number."""
    return self.elements


@adaptive_average_backward.flops
def _(grad_output: Tensor, self: Tensor):
    """A division per window, an addition per input number."""
    return grad_output.elements + self.elements


@scattered.flops
def _(grad_output: Tensor):
    """Each gradient is added where its number came from."""
    return reals(grad_output)
