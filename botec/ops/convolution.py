"""Convolutions of any dimension: grouped, dilated, strided, transposed, and their backward.

Windows are counted whole: a product with a padded zero is a product, as every kernel computes it
and every published table counts it. A bias starts the sum, so two per multiply-add is exact with
one (see :mod:`botec.ops.matmul`).
"""

from __future__ import annotations

from typing import Any

from botec.calls import Tensor
from botec.ops.facts import op
from botec.ops.terms import given, per_product, reals
from botec.poly import product

# i is the channels one group reads; in a transposed convolution, those one group writes.
FORWARD = "*x, _ i *k -> *y"
BACKWARD = "*y, *x, _ i *k"

either = op("convolution", "aten.convolution", "aten._convolution",
            "aten.convolution_overrideable", shapes=FORWARD)  # fmt: skip
direct = op("direct convolution", "aten.conv1d", "aten.conv2d", "aten.conv3d",
            "aten._convolution_mode", "aten.mkldnn_convolution", "aten.cudnn_convolution",
            "aten.miopen_convolution", "aten.miopen_depthwise_convolution",
            "aten._mps_convolution", "aten._nnpack_spatial_convolution",
            "aten._conv_depthwise2d", "aten.conv_depthwise3d", "aten.thnn_conv2d",
            "aten._slow_conv2d_forward", "aten.slow_conv3d", "aten.slow_conv3d_forward",
            "aten.slow_conv_dilated2d", "aten.slow_conv_dilated3d", shapes=FORWARD)  # fmt: skip
transposed = op("transposed convolution", "aten.conv_transpose1d", "aten.conv_transpose2d",
                "aten.conv_transpose3d", "aten.cudnn_convolution_transpose",
                "aten.miopen_convolution_transpose", "aten._mps_convolution_transpose",
                "aten.slow_conv_transpose2d", "aten.slow_conv_transpose3d",
                shapes=FORWARD)  # fmt: skip
rectified = op("convolution, bias and relu", "aten.cudnn_convolution_relu",
               "aten.miopen_convolution_relu", shapes=FORWARD)  # fmt: skip
added = op("convolution, bias, sum and relu", "aten.cudnn_convolution_add_relu",
           "aten.miopen_convolution_add_relu", shapes=FORWARD)  # fmt: skip
backward = op("convolution backward", "aten.convolution_backward",
              "aten.convolution_backward_overrideable", shapes=BACKWARD)  # fmt: skip
direct_backward = op("direct convolution backward", "aten._slow_conv2d_backward", shapes=BACKWARD)
twice = op("convolution double backward", "aten._convolution_double_backward")
time_first = op("convolution, time first", "aten.conv_tbc", shapes="*_ c, k _ _ -> *y")
time_first_backward = op("convolution backward, time first", "aten.conv_tbc_backward",
                         shapes="*y, *_, k c _")  # fmt: skip


@either.multiplications
def _(x, y, i, k, transposed, inputs):
    """Each output number sums i prod(k) products; transposed, each input number gives as many."""
    return product(x if transposed else y) * i * product(k) * per_product(*inputs)


def direct_multiplications(y, i, k, inputs):
    """Each output number sums i prod(k) products; the weight's i is channels / groups."""
    return product(y) * i * product(k) * per_product(*inputs)


for declared in (direct, rectified, added):
    declared.multiplications(direct_multiplications)


@transposed.multiplications
def _(x, i, k, inputs):
    """Each input number gives i prod(k) products; i = output channels / groups."""
    return product(x) * i * product(k) * per_product(*inputs)


@rectified.flops
def _(y, i, k, inputs):
    """Two per multiply-add, one per result for the relu."""
    return 2 * direct_multiplications(y, i, k, inputs) + product(y)


@added.flops
def _(y, i, k, inputs):
    """Two per multiply-add; per result the product with alpha, the sum and the relu."""
    return 2 * direct_multiplications(y, i, k, inputs) + 3 * product(y)


def one_pass(y, x, i, k, across) -> Any:
    """Pairs of a number of the smaller side and a weight it meets: what each gradient goes over."""
    return product(x if across else y) * i * product(k)


def bias_additions(grad: Tensor, wanted) -> Any:
    """The bias's gradient: one sum per channel; no product."""
    return wanted * (reals(grad) - grad.shape[1] if wanted else 0)


@backward.multiplications
def _(y, x, i, k, transposed, output_mask, inputs):
    """The input's and the weight's gradient go once over the forward's pairs of numbers, each.

    So a grouped weight gradient divides by the groups as the forward does. The counter shipped
    with the framework (torch 2.13, flop_counter.conv_backward_flop) multiplies by them.
    """
    pairs = one_pass(y, x, i, k, transposed) * per_product(*inputs)
    return pairs * (output_mask[0] + output_mask[1])


@backward.flops
def _(y, x, i, k, transposed, output_mask, inputs):
    """Two per multiply-add; the bias's gradient adds up every channel of the output's gradient."""
    pairs = one_pass(y, x, i, k, transposed) * per_product(*inputs)
    return 2 * pairs * (output_mask[0] + output_mask[1]) + bias_additions(inputs[0], output_mask[2])


@direct_backward.multiplications
def _(y, x, i, k, output_mask):
    """As the backward of any convolution."""
    return one_pass(y, x, i, k, False) * (output_mask[0] + output_mask[1])


@direct_backward.flops
def _(y, x, i, k, output_mask, inputs):
    """Two per multiply-add; the bias's gradient adds up every channel of the output's gradient."""
    pairs = one_pass(y, x, i, k, False)
    return 2 * pairs * (output_mask[0] + output_mask[1]) + bias_additions(inputs[0], output_mask[2])


@twice.multiplications
def _(ggI, ggW, gO, weight, self, transposed, output_mask):  # noqa: N803 (the schema's names)
    """ggO takes a pass for each of ggI and ggW; gW takes ggI with gO, gI takes ggW with gO.

    ``output_mask`` is (ggO, gI, gW).
    """
    side = self if transposed else gO
    pairs = side.elements * product(weight.shape[1:])
    wanted = output_mask[0] * (given(ggI) + given(ggW))
    return pairs * (wanted + output_mask[1] * given(ggW) + output_mask[2] * given(ggI))


@time_first.multiplications
def _(y, c, k):
    """Input (time, batch, c), weight (k, c, o): each output number sums k c products."""
    return product(y) * k * c


@time_first_backward.multiplications
def _(y, c, k):
    """Both gradients, one pass each."""
    return 2 * product(y) * k * c
