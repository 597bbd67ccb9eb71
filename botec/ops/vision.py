"""Ops of torchvision's detection and segmentation models.

Bilinear samples cost 7 each (four products, three sums); their weights belong to the position.
Where the number of samples or windows depends on the boxes' sizes the count is unknown.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Tensor
from botec.ops.facts import op
from botec.ops.terms import given
from botec.poly import product

SAMPLE = 7

suppression = op("non-maximum suppression", "torchvision.nms")
aligned = op("regions, sampled", "torchvision.roi_align", "torchvision.ps_roi_align")
aligned_backward = op("regions, sampled, backward", "torchvision._roi_align_backward",
                      "torchvision._ps_roi_align_backward")  # fmt: skip
pooled = op("regions, pooled", "torchvision.roi_pool", "torchvision.ps_roi_pool")
pooled_backward = op("regions, pooled, backward", "torchvision._roi_pool_backward")
deformable = op("deformable convolution", "torchvision.deform_conv2d")
deformable_backward = op("deformable convolution backward", "torchvision._deform_conv2d_backward")


@suppression.flops
def _(dets: Tensor):
    """Areas 3 per box; per pair of n (n - 1) / 2: corners 4, sides 4, both products and sums 3,
    the quotient 1: 12. All pairs, as if nothing were suppressed before its turn.
    """
    n = dets.shape[0]
    return 6 * n * (n - 1) + 3 * n


def samples(sampling_ratio: Any, results: Any) -> Any | None:
    """Samples of all windows: known where their number per window is fixed."""
    return sampling_ratio**2 * results if sampling_ratio > 0 else None


@aligned.multiplications
@aligned_backward.multiplications
@pooled.multiplications
@pooled_backward.multiplications
def _():
    return 0


@aligned.flops
def _(outputs, sampling_ratio):
    """Per sample 7 and its sum, per result a division."""
    results = outputs[0].elements
    found = samples(sampling_ratio, results)
    return None if found is None else (SAMPLE + 1) * found + results


@aligned_backward.flops
def _(grad: Tensor, sampling_ratio):
    """Per sample four products with the gradient and the count's quotient, four sums: 12."""
    found = samples(sampling_ratio, grad.elements)
    return None if found is None else 12 * found


@pooled.flops
def _():
    """Windows are as large as the boxes: unknown."""


@pooled_backward.flops
def _(grad: Tensor):
    """Each gradient is added where its number came from."""
    return grad.elements


def columns(weight: Tensor, result: Tensor, groups: Any) -> Any:
    """Numbers sampled: every input channel and kernel tap of every output position."""
    n, _, *places = result.shape
    return n * product(places) * product(weight.shape[1:]) * groups


@deformable.multiplications
def _(weight: Tensor, outputs):
    """As a convolution; sampling is not one."""
    return outputs[0].elements * product(weight.shape[1:])


@deformable.flops
def _(weight: Tensor, outputs, groups, use_mask):
    """Two per multiply-add; per number sampled 7, and 1 for a mask; per result 1 for the bias."""
    products = outputs[0].elements * product(weight.shape[1:])
    sampled = columns(weight, outputs[0], groups) * (SAMPLE + given(use_mask, False))
    return 2 * products + sampled + outputs[0].elements


@deformable_backward.multiplications
def _(grad: Tensor, weight: Tensor):
    """The sampled numbers' gradient and the weight's."""
    return 2 * grad.elements * product(weight.shape[1:])


@deformable_backward.flops
def _(grad: Tensor, weight: Tensor, groups, use_mask):
    """Two per multiply-add. Per number sampled: again 7; to the input four products and sums 8;
    to the offsets for both axes four differences' products and sums 16; for a mask 3. Bias: sums.
    """
    products = 2 * grad.elements * product(weight.shape[1:])
    sampled = columns(weight, grad, groups) * (SAMPLE + 24 + 3 * given(use_mask, False))
    return 2 * products + sampled + grad.elements - grad.shape[1]
