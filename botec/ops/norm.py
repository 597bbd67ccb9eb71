"""Normalisations, forward and backward.

Forward, N numbers in r rows that share a mean: mean N (N - r additions, r divisions), variance 3 N
(subtraction, square, N - r additions, r divisions), 1 / sqrt(variance + eps) 2 r, normalised
2 N, and N each for a weight and a bias. Without statistics to take (inference): 2 r + 2 N + ...

Backward, d the numbers of a weight: normalised again 2 N where needed; the input's gradient:
product with the weight N, sum of it N - r, sum of its products with the normalised 2 N - r,
both divided 2 r, (dy - c1 - x c2) / deviation 4 N: 7 N (+ N with a weight). The weight's
gradient 2 N - d, the bias's N - d.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Size, Tensor
from botec.ops.facts import op
from botec.ops.terms import given
from botec.poly import product

batch = op("batch norm", "aten.native_batch_norm", "aten._native_batch_norm_legit",
           "aten._native_batch_norm_legit_functional", "aten.batch_norm",
           "aten.cudnn_batch_norm", "aten.miopen_batch_norm")  # fmt: skip
batch_training = op("batch norm, training", "aten._batch_norm_with_update",
                    "aten._batch_norm_with_update_functional")  # fmt: skip
batch_inference = op("batch norm, inference", "aten._native_batch_norm_legit_no_training",
                     "aten._batch_norm_no_update")  # fmt: skip
batch_backward = op("batch norm backward", "aten.native_batch_norm_backward")
batch_backward_any = op("batch norm backward", "aten.batch_norm_backward")
batch_backward_whole = op("batch norm backward, all of it", "aten.cudnn_batch_norm_backward",
                          "aten.miopen_batch_norm_backward")  # fmt: skip
layer = op("layer norm", "aten.native_layer_norm", "aten.layer_norm")
layer_backward = op("layer norm backward", "aten.native_layer_norm_backward")
group = op("group norm", "aten.native_group_norm")
group_backward = op("group norm backward", "aten.native_group_norm_backward")
rms = op("rms norm", "aten._fused_rms_norm")
rms_backward = op("rms norm backward", "aten._fused_rms_norm_backward")
weight_norm = op("weight norm", "aten._weight_norm_interface", "aten._weight_norm")
weight_norm_backward = op("weight norm backward", "aten._weight_norm_interface_backward",
                          "aten._weight_norm_differentiable_backward")  # fmt: skip
statistics = op("batch norm, statistics", "aten.batch_norm_stats")
gathered = op("batch norm, statistics of all devices", "aten.batch_norm_gather_stats",
              "aten.batch_norm_gather_stats_with_counts")  # fmt: skip
elementwise = op("batch norm, normalised", "aten.batch_norm_elemt")
sums = op("batch norm backward, sums", "aten.batch_norm_backward_reduce")
elementwise_backward = op("batch norm backward, normalised", "aten.batch_norm_backward_elemt")
updated = op("batch norm, running statistics", "aten.batch_norm_update_stats")

STATISTICS = 4  # mean 1, variance 3
RUNNING = 3  # (1 - momentum) old + momentum new


def normalised(numbers: Size, rows: Size, weight: Any, bias: Any) -> Any:
    """1 / sqrt(variance + eps) of every row, then every number in its row, scaled and shifted."""
    return 2 * rows + numbers * (2 + given(weight) + given(bias))


def training(input: Tensor, weight: Any, bias: Any, running: Any) -> Any:
    """Statistics taken, numbers normalised, running mean and variance moved where there are any."""
    channels = input.shape[1]
    moved = 2 * RUNNING * given(running) * channels
    return STATISTICS * input.elements + normalised(input.elements, channels, weight, bias) + moved


@batch.flops
def _(input: Tensor, weight, bias, call):
    """In training statistics are taken and running ones moved; in inference running ones serve."""
    if call.arguments["training"]:
        return training(input, weight, bias, call.arguments.get("running_mean"))
    return normalised(input.elements, input.shape[1], weight, bias)


@batch_training.flops
def _(input: Tensor, weight, bias):
    """Statistics taken, running ones moved."""
    return training(input, weight, bias, True)


@batch_inference.flops
def _(input: Tensor, weight, bias):
    """Running statistics serve."""
    return normalised(input.elements, input.shape[1], weight, bias)


def gradients(
    numbers: Size, rows: Size, parameters: Size, weight: Any, wanted: tuple[Any, ...]
) -> Any:
    """Backward of any norm with statistics of its own, as the head of this file counts it."""
    input_wanted, weight_wanted, bias_wanted = wanted
    again = 2 * numbers if input_wanted or weight_wanted else 0
    of_input = (7 + given(weight)) * numbers * input_wanted
    of_weight = (2 * numbers - parameters) * weight_wanted
    return again + of_input + of_weight + (numbers - parameters) * bias_wanted


def batch_gradients(input: Tensor, train: Any, wanted: tuple[Any, ...]) -> Any:
    """Rows are the channels, so the weight's and bias's gradients are the two sums themselves.

    In training 2 N again, 3 N - 2 c the sums, 4 N + 3 c the input's gradient. In inference the
    input's gradient is one product per number; the sums are taken where they are wanted.
    """
    numbers, channels = input.elements, input.shape[1]
    if train and wanted[0]:
        return 9 * numbers + channels
    of_input = (numbers + channels) * wanted[0]
    of_weight = (4 * numbers - channels) * wanted[1]
    return of_input + of_weight + (numbers - channels) * wanted[2]


@batch_backward.flops
def _(input: Tensor, train, output_mask):
    """See :func:`batch_gradients`."""
    return batch_gradients(input, train, output_mask)


@batch_backward_any.flops
def _(input: Tensor, update, output_mask):
    """See :func:`batch_gradients`."""
    return batch_gradients(input, update, output_mask)


@batch_backward_whole.flops
def _(input: Tensor):
    """In training, all three gradients: 9 N + c."""
    return batch_gradients(input, True, (True, True, True))


def row_count(shape: tuple[Size, ...], normalized_shape: tuple[Size, ...]) -> Any:
    """Rows that are normalised each for itself: the sizes before the normalised ones."""
    return product(shape[: len(shape) - len(normalized_shape)])


@layer.flops
def _(input: Tensor, normalized_shape, weight, bias):
    """4 N for the statistics, then normalised."""
    rows = row_count(input.shape, normalized_shape)
    return STATISTICS * input.elements + normalised(input.elements, rows, weight, bias)


@layer_backward.flops
def _(input: Tensor, normalized_shape, weight, output_mask):
    """See :func:`gradients`."""
    rows = row_count(input.shape, normalized_shape)
    parameters = product(normalized_shape)
    return gradients(input.elements, rows, parameters, weight, output_mask)


@group.flops
def _(input: Tensor, weight, bias, group):
    """4 N for the statistics of every example's groups, then normalised."""
    rows = input.shape[0] * group
    return STATISTICS * input.elements + normalised(input.elements, rows, weight, bias)


@group_backward.flops
def _(input: Tensor, group, weight, output_mask):
    """As the kernel: sums per channel first, then the input's gradient as a dy + b x + c.

    Per channel (n c of them) the sums of dy and dy x: 3 N - 2 n c. Input: 4 N; sums over a
    group's channels 4 n c - 2 n g (2 n c less without a weight), 11 per group, a: n c. Weight:
    3 n c and their sum over examples n c - c; bias: n c - c.
    """
    numbers, channels = input.elements, input.shape[1]
    pairs, rows = input.shape[0] * channels, input.shape[0] * group
    of_input = 4 * numbers + (3 + 2 * given(weight)) * pairs + 9 * rows
    of_weight, of_bias = 4 * pairs - channels, pairs - channels
    wanted = (of_input, of_weight, of_bias)
    return (
        3 * numbers
        - 2 * pairs
        + sum(part * asked for part, asked in zip(wanted, output_mask, strict=True))
    )


@rms.flops
def _(input: Tensor, normalized_shape, weight):
    """Squares N, their mean N, 1 / sqrt(mean + eps) 2 r, product N, and N for a weight."""
    rows = row_count(input.shape, normalized_shape)
    return input.elements * (3 + given(weight)) + 2 * rows


@rms_backward.flops
def _(input: Tensor, normalized_shape, weight, output_mask):
    """Normalised again N; input: weight N, sum of dy x 2 N - r, divided r, (dy - x c) / rms 3 N.

    Weight: products N and their sum N - d.
    """
    input_wanted, weight_wanted = output_mask
    of_weight = 2 * input.elements - product(normalized_shape)
    of_input = (5 + given(weight)) * input.elements
    return input.elements + of_input * input_wanted + of_weight * weight_wanted


@weight_norm.flops
def _(v: Tensor, g: Tensor):
    """Squares and their sum 2 N - r, root r, g / norm r, product N."""
    return 3 * v.elements + g.elements


@weight_norm_backward.flops
def _(saved_v: Tensor, saved_g: Tensor):
    """Sum of dw v: 2 N - r; g's gradient r; v's: g / norm (dw - v sum / norm^2): 3 N + 3 r."""
    return 5 * saved_v.elements + 3 * saved_g.elements


@statistics.flops
def _(input: Tensor):
    """Mean and variance 4 N, 1 / sqrt(variance + eps) 2 c."""
    return STATISTICS * input.elements + 2 * input.shape[1]


@gathered.flops
def _(mean: Tensor, running_mean):
    """Per device and channel the moments joined: mean 4, variance 6; running ones 6 per channel."""
    return 10 * mean.elements + 2 * RUNNING * given(running_mean) * mean.shape[-1]


@elementwise.flops
def _(input: Tensor, weight, bias):
    """Normalised 2 N, weight N, bias N."""
    return input.elements * (2 + given(weight) + given(bias))


@sums.flops
def _(input: Tensor):
    """Normalised again 2 N, sums of dy and dy x 3 N - 2 c."""
    return 5 * input.elements - 2 * input.shape[1]


@elementwise_backward.flops
def _(input: Tensor):
    """Normalised again 2 N, (dy - c1 - x c2) / deviation 4 N, and 3 per channel."""
    return 6 * input.elements + 3 * input.shape[1]


@updated.flops
def _(input: Tensor):
    """Mean and variance 4 N, running ones moved."""
    return STATISTICS * input.elements + 2 * RUNNING * input.shape[1]
