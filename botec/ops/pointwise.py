"""Elementwise functions, by table: operations per result.

One per result for a function of its operands, whatever it costs in hardware: sums, products, roots,
exp, tanh, gelu, the greater of two, the absolute value. More where the op is several arithmetic
results by its own definition (ADD, SEVERAL). The derivative of such a function times the gradient
is two: the derivative, the product; where the derivative only lets pass or stops, one (PASSING).

Decided once, for all of them: results that are integers or truth values are no floating-point
operations and count 0 (so comparisons do, and arithmetic on positions); complex results count
twice, and what COMPLEX says where it differs.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Call, Tensor
from botec.ops.facts import nothing, op
from botec.ops.terms import COMPLEX as COMPLEX_TYPES
from botec.ops.terms import given, reals

ONCE = """
abs absolute acos acosh arccos arccosh angle asin asinh arcsin arcsinh atan atan2 atanh arctan
arctan2 arctanh ceil celu clamp clamp_max clamp_min clip copysign cos cosh deg2rad rad2deg digamma
div divide true_divide elu erf erfc erfinv exp exp2 expm1 floor fmax fmin fmod frac gelu hardshrink
hardsigmoid hardswish hardtanh heaviside hypot i0 igamma igammac ldexp leaky_relu lgamma log log10
log1p log2 log_sigmoid log_sigmoid_forward logaddexp logaddexp2 logit maximum minimum mish mul
multiply mvlgamma neg negative nextafter polygamma pow prelu _prelu_kernel reciprocal relu relu6
remainder round rrelu rrelu_with_noise rrelu_with_noise_functional rsqrt selu sgn sigmoid sign silu
sin sinc sinh softplus softshrink sqrt square tan tanh threshold trunc fix xlogy float_power
floor_divide special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
special_chebyshev_polynomial_t special_chebyshev_polynomial_u special_chebyshev_polynomial_v
special_chebyshev_polynomial_w special_entr special_erfcx special_hermite_polynomial_h
special_hermite_polynomial_he special_i0e special_i1 special_i1e special_laguerre_polynomial_l
special_legendre_polynomial_p special_log_ndtr special_modified_bessel_i0 special_modified_bessel_i1
special_modified_bessel_k0 special_modified_bessel_k1 special_ndtri
special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1
special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u
special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w
special_spherical_bessel_j0 special_xlog1py special_zeta _conj_physical conj_physical frexp
_standard_gamma _standard_gamma_grad gcd lcm
bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor
__and__ __or__ __xor__ __lshift__ __rshift__ __iand__ __ior__ __ixor__ __ilshift__ __irshift__
eq equal ne lt le gt ge not_equal less less_equal greater greater_equal isfinite isinf isnan
isneginf isposinf signbit logical_and logical_not logical_or logical_xor isin isclose
"""

PASSING = """
threshold_backward hardtanh_backward hardshrink_backward softshrink_backward leaky_relu_backward
hardsigmoid_backward _prelu_kernel_backward rrelu_with_noise_backward
"""

DERIVATIVE = """
gelu_backward silu_backward elu_backward hardswish_backward softplus_backward mish_backward
log_sigmoid_backward logit_backward infinitely_differentiable_gelu_backward
"""

SEVERAL = {
    "addcmul": (3, "value tensor1 tensor2, added to self"),
    "addcdiv": (3, "value tensor1 / tensor2, added to self"),
    "lerp": (3, "self + weight (end - self)"),
    "sigmoid_backward": (3, "g y (1 - y)"),
    "tanh_backward": (3, "g (1 - y y)"),
    "glu": (2, "a sigmoid(b)"),
    "glu_backward": (3, "per half: sigmoid(b) and its product, then four more for b's"),
    "polar": (2, "r cos(t), r sin(t)"),
    "_add_relu": (2, "a sum and its relu"),
    "_fake_quantize_learnable_per_tensor_affine": (6, "as below, and the scale's inverse"),
    "_fake_quantize_learnable_per_channel_affine": (6, "as below, and the scale's inverse"),
    "fake_quantize_per_tensor_affine": (5, "x / s + z rounded and bounded, - z, times s"),
    "fake_quantize_per_channel_affine": (5, "x / s + z rounded and bounded, - z, times s"),
    "fake_quantize_per_tensor_affine_cachemask": (5, "x / s + z rounded and bounded, - z, times s"),
    "fake_quantize_per_channel_affine_cachemask": (5, "the same, each channel with its own"),
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams": (5, "the same"),
    "_fused_moving_avg_obs_fq_helper": (7, "the same, after the least and the greatest"),
}

# Real operations in one complex one: (a + bi)(c + di) is 4 products and 2 sums; its inverse problem
# takes 6 products, 3 sums, 2 divisions by the common square.
COMPLEX = {"mul": 6, "multiply": 6, "square": 6, "div": 11, "divide": 11, "reciprocal": 6}


def table(names: str, times: int) -> None:
    """Declare one op for each of ``names``: ``times`` operations per result."""
    for name in names.split():
        declared = op(name, f"aten.{name}", kind="pointwise")
        declared.flops(per_result(times, COMPLEX.get(name, 2 * times)))


def per_result(times: int, complex_times: int) -> Any:
    """A formula: ``times`` for every floating-point result, ``complex_times`` for a complex one."""

    def formula(outputs: tuple[Tensor, ...]) -> Any:
        return sum(amount(tensor, times, complex_times) for tensor in outputs)

    return formula


def amount(tensor: Tensor, times: int, complex_times: int) -> Any:
    if tensor.dtype in COMPLEX_TYPES:
        return complex_times * tensor.elements
    return times * reals(tensor)


table(ONCE, 1)
table(PASSING, 1)
table(DERIVATIVE, 2)
for several_name, (several_times, _why) in SEVERAL.items():
    table(several_name, several_times)

add = op("sum", "aten.add", "aten.sub", "aten.subtract", "aten.rsub")
masked_scale = op("scaled mask", "aten._masked_scale")
cross = op("cross product", "aten.linalg_cross", "aten.cross")
glu_jvp = op("glu forward derivative", "aten.glu_jvp")
unscale = op("gradients unscaled", "aten._amp_foreach_non_finite_check_and_unscale")
square_distance = op("linear combination", "aten._compute_linear_combination")


@add.flops
def _(call: Call):
    """One sum per result; where ``alpha`` is not 1, its product is one more."""
    times = 1 + given(call.arguments.get("alpha"), 1)
    return sum(amount(tensor, times, 2 * times) for tensor in call.results)


@masked_scale.flops
def _(outputs: tuple[Tensor, ...]):
    """Products with the mask and the scale."""
    return 2 * reals(outputs[0])


@cross.flops
def _(outputs: tuple[Tensor, ...]):
    """Two products and a difference per result."""
    return 3 * reals(outputs[0])


@glu_jvp.flops
def _(outputs: tuple[Tensor, ...]):
    """da sigmoid(b) + glu (1 - sigmoid(b)) db: the sigmoid, three products, two sums."""
    return 6 * reals(outputs[0])


@unscale.flops
def _(call: Call):
    """One product with the inverse scale per number; what is not finite is looked for."""
    return sum(reals(tensor) for tensor in call.arguments["self"])


@square_distance.flops
def _(input: Tensor, coefficients: Tensor):
    """Every result adds up as many products as there are inputs."""
    return 2 * input.elements * coefficients.shape[0]


@unscale.bytes
def _(call: Call):
    """Gradients read and written."""
    return 2 * sum(tensor.bytes for tensor in call.arguments["self"])


nothing("a value is chosen, none is computed", "aten.where", "aten.masked_fill",
        "aten.nan_to_num", "aten.positive", "aten._is_any_true", "aten._is_all_true",
        kind="pointwise")  # fmt: skip
nothing("a gradient passes or is stopped by a stored mask",
        "aten.fake_quantize_per_tensor_affine_cachemask_backward",
        "aten.fake_quantize_per_channel_affine_cachemask_backward", kind="pointwise")  # fmt: skip
nothing("one number is moved by rule", "aten._amp_update_scale", kind="pointwise")
