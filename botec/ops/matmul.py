"""Products of matrices and vectors.

``multiplications`` is rows x depth x columns. ``flops`` is two per multiply-add: the first product
of every sum starts from the bias where there is one and from zero where not: ``2 n k m`` is exact
for ``addmm`` and one addition per result too many for ``mm``, as everybody counts it. Complex
numbers take four real multiply-adds each. Products of integers count as the floating-point ones
they stand for.
"""

from __future__ import annotations

from botec.calls import Call, Tensor
from botec.ops.facts import op
from botec.ops.terms import given, per_product, reals
from botec.poly import product

outer = op("outer product", "aten.outer", "aten.ger", "aten.addr")
grouped = op("grouped product", "aten._grouped_mm")
scaled = op("scaled product", "aten._scaled_mm", "aten._scaled_mm_v2")
scaled_grouped = op(
    "scaled grouped product", "aten._scaled_grouped_mm", "aten._scaled_grouped_mm_v2"
)
activated = op("product, bias and activation", "aten._addmm_activation")
plain = op("product", "aten.mm", "aten.bmm", "aten.mv", "aten.dot", "aten.vdot", "aten.matmul",
           "aten._int_mm")  # fmt: skip
biased = op("product and sum", "aten.addmm", "aten.baddbmm", "aten.addmv")
summed = op("products summed", "aten.addbmm")
linear = op("linear", "aten.linear", "aten.mkldnn_linear", shapes="*n k, m _")
linear_backward = op("linear backward", "aten.linear_backward", "aten.mkldnn_linear_backward",
                     shapes="*_ k, *n m")  # fmt: skip
matmul_backward = op("product backward", "aten.matmul_backward", shapes="*n m, *_ k, *_ _")
packed = op("product with packed weight", "aten._weight_int8pack_mm", "aten._weight_int4pack_mm",
            "aten._weight_int4pack_mm_for_cpu",
            "aten._weight_int4pack_mm_with_scales_and_zeros")  # fmt: skip
trilinear = op("trilinear", "aten._trilinear")


@plain.multiplications
def _(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]):
    """Every result is a sum along the first operand's last axis, whatever the ranks."""
    left, right = inputs[:2]
    return outputs[0].elements * left.shape[-1] * per_product(left, right)


@linear.multiplications
def _(n, k, m, inputs: tuple[Tensor, ...]):
    """n rows of k numbers, each against m weight rows."""
    return product(n) * k * m * per_product(*inputs)


@packed.multiplications
def _(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]):
    """As a plain product; the weight's rows are its columns."""
    return outputs[0].elements * inputs[0].shape[-1]


@packed.flops
def _(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]):
    """Two per multiply-add, one per result for the column's scale (or a group's, taken once)."""
    return outputs[0].elements * (2 * inputs[0].shape[-1] + 1)


def biased_multiplications(call: Call):
    """``self + left @ right``; every result a sum along ``left``'s last axis."""
    _, left, right = call.inputs[:3]
    return call.results[0].elements * left.shape[-1] * per_product(left, right)


def biased_flops(call: Call):
    """Two per multiply-add; one more per result for each of ``alpha`` and ``beta`` that is not 1.

    With ``beta`` = 0 nothing is scaled: the bias is not read.
    """
    scales = given(call.arguments.get("alpha"), 1) + given(call.arguments.get("beta"), 0, 1)
    return 2 * biased_multiplications(call) + reals(call.results[0]) * scales


def activated_flops(call: Call):
    """As ``addmm``, and one per result for the activation."""
    return biased_flops(call) + reals(call.results[0])


for declared, formula in ((biased, biased_flops), (activated, activated_flops)):
    declared.multiplications(biased_multiplications)
    declared.flops(formula)


@summed.multiplications
def _(batch1: Tensor, batch2: Tensor):
    """b products of n x k by k x m, all added into one n x m."""
    return batch1.elements * batch2.shape[-1] * per_product(batch1, batch2)


@outer.multiplications
def _(outputs: tuple[Tensor, ...]):
    """One product for every pair."""
    return outputs[0].elements * per_product(outputs[0])


def grouped_multiplications(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]):
    """Every row meets the matrix of its group only: rows x k x n, however rows are shared out.

    Four forms: 2-D by 3-D (``offs`` parts the rows), 3-D by 2-D (it parts the columns), 3-D by
    3-D (a ``bmm``), and 2-D by 2-D, where ``offs`` parts the depth and every group gives a matrix.
    """
    left, right = inputs[:2]
    if len(left.shape) == len(right.shape) == 2:
        return left.elements * right.shape[-1]
    return outputs[0].elements * left.shape[-1]


for declared in (grouped, scaled_grouped, scaled):
    declared.multiplications(grouped_multiplications)


@grouped.flops
def _(inputs, outputs, bias: Tensor | None):
    """Two per multiply-add; a bias is added afterwards, one per result."""
    return 2 * grouped_multiplications(inputs, outputs) + given(bias) * outputs[0].elements


def scaled_flops(inputs, outputs):
    """Two per multiply-add, and one product per result with the operands' scale."""
    return 2 * grouped_multiplications(inputs, outputs) + outputs[0].elements


scaled_grouped.flops(scaled_flops)
scaled.flops(scaled_flops)


@linear_backward.multiplications
def _(n, k, m, output_mask):
    """Gradients of input and weight are a product of n k m each; the bias's is a sum."""
    return product(n) * k * m * (output_mask[0] + output_mask[1])


@linear_backward.flops
def _(n, k, m, output_mask):
    """Two per multiply-add; the bias's gradient adds n rows of m."""
    rows = product(n)
    return (2 * rows * k * (output_mask[0] + output_mask[1]) + output_mask[2] * (rows - 1)) * m


@matmul_backward.multiplications
def _(n, k, m, mask):
    """Each wanted gradient is a product as large as the forward one."""
    return product(n) * k * m * (mask[0] + mask[1])


def expanded_sizes(tensor: Tensor, places: tuple[int, ...]) -> dict[int, object]:
    """Axis -> size of ``tensor`` once unit axes stand at ``places``; unit axes left out."""
    sizes = iter(tensor.shape)
    rank = len(tensor.shape) + len(places)
    return {axis: next(sizes) for axis in range(rank) if axis not in places}


@trilinear.multiplications
def _(i1, i2, i3, expand1, expand2, expand3, sumdim):
    """Two pairwise products, as the kernel does them: i1 with i2, summed, then with i3.

    An axis can be summed in the first pair where i3 has it not. ``F.bilinear`` (batch b, o outputs,
    i and j inputs) takes b o i j + b o j.
    """
    first, second = expanded_sizes(i1, expand1), expanded_sizes(i2, expand2)
    third = expanded_sizes(i3, expand3)
    pair = {**first, **second}
    left = {axis: size for axis, size in pair.items() if axis in third or axis not in sumdim}
    return product(pair.values()) + product({**third, **left}.values())
