"""Attention: fused kernels forward and backward, and the fast paths of whole layers.

Letters: b all leading sizes (examples and query heads), s queries, t keys, e their size, v the size
of a value. Query heads count: keys and values shared between heads are multiplied with each of
them. The whole rectangle s x t is counted, as every kernel's interface has it; what a causal mask
leaves is a fact of its own, ``causal``. Sequences packed one after the other (``cum_seq_q``) keep
their lengths in a tensor: their count is unknown.

Forward, per query and key: e products for the score, v for the result. Backward (FlashAttention,
Dao et al. 2022, algorithm 4; the efficient, cuDNN and CPU kernels do the same): the score again,
dP = dO V^T, dV = P^T dO, dQ = dS K, dK = dS^T Q: 3 e + 2 v.

Besides: forward, one product with the scale and a softmax as :mod:`botec.ops.softmax` counts it
(the rescaling between a kernel's blocks is left out: it depends on the block), one addition for a
mask, two for dropout. Backward, exp(scale S - lse) 3, dP - delta and its product with P 2, the
scale 1, delta = sum(dO O) 2 v - 1 per query, one for a mask, four for dropout (on P and on dP).
"""

from __future__ import annotations

from typing import Any

from botec.calls import Call, Tensor
from botec.ops.facts import Op, nothing, op
from botec.ops.softmax import softmax_of
from botec.ops.terms import fraction, given
from botec.poly import product

heads_first = op("attention", "aten._scaled_dot_product_flash_attention",
                 "aten._scaled_dot_product_flash_attention_for_cpu",
                 "aten._scaled_dot_product_efficient_attention",
                 "aten._scaled_dot_product_cudnn_attention",
                 "aten._scaled_dot_product_fused_attention_overrideable",
                 "aten._scaled_dot_product_attention_math",
                 "aten._scaled_dot_product_attention_math_for_mps",
                 "aten.scaled_dot_product_attention",
                 "aten._cudnn_attention_forward",
                 "aten._triton_scaled_dot_attention")  # fmt: skip
heads_first_backward = op("attention backward", "aten._scaled_dot_product_flash_attention_backward",
                          "aten._scaled_dot_product_flash_attention_for_cpu_backward",
                          "aten._scaled_dot_product_efficient_attention_backward",
                          "aten._scaled_dot_product_cudnn_attention_backward",
                          "aten._scaled_dot_product_fused_attention_overrideable_backward",
                          "aten._cudnn_attention_backward")  # fmt: skip
tokens_first = op("attention, tokens first", "aten._flash_attention_forward",
                  "aten._efficient_attention_forward",
                  "aten._flash_attention_forward_no_dropout_inplace")  # fmt: skip
tokens_first_backward = op("attention backward, tokens first", "aten._flash_attention_backward",
                           "aten._efficient_attention_backward")  # fmt: skip
multi_head = op("multi-head attention", "aten._native_multi_head_attention",
                "aten._triton_multi_head_attention")  # fmt: skip
encoder_layer = op("transformer encoder layer", "aten._transformer_encoder_layer_fwd")
split_heads = op("queries, keys, values from one product", "aten._transform_bias_rescale_qkv")

MASKS = ("attn_mask", "attn_bias", "bias")
CAUSAL_FROM_TOP, CAUSAL_FROM_BOTTOM = 1, 2


class Sizes:
    """b, s, t, e, v of a call, whichever axis its heads lie on."""

    def __init__(self, call: Call, heads: int) -> None:
        query, key, value = operands(call)
        tokens = -2 if heads == -3 else -3
        self.b = product(query.shape[:-3]) * query.shape[heads]
        self.s, self.t = query.shape[tokens], key.shape[tokens]
        self.e, self.v = query.shape[-1], value.shape[-1]

    @property
    def forward(self) -> Any:
        """Multiplications per query and key, going forward."""
        return self.e + self.v

    @property
    def backward(self) -> Any:
        """Multiplications per query and key, going backward."""
        return 3 * self.e + 2 * self.v

    @property
    def scores(self) -> Any:
        return self.b * self.s * self.t


def operands(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value of a call, under either set of names."""
    given_names = call.arguments
    return tuple(
        given_names[long] if long in given_names else given_names[long[0]]
        for long in ("query", "key", "value")
    )


def packed(call: Call) -> bool:
    """Whether sequences of unknown lengths stand one after the other.

    The efficient kernels then keep four axes, the others three; those with four hand their
    backward tensors of lengths that mean nothing.
    """
    query, _, _ = operands(call)
    without_examples = len(query.shape) == 3 and isinstance(call.arguments.get("cum_seq_q"), Tensor)
    return without_examples or isinstance(call.arguments.get("cu_seqlens_q"), Tensor)


def masked(call: Call) -> int:
    """1 where a mask is added to the scores."""
    found = (call.arguments.get(name) for name in MASKS)
    return int(any(isinstance(mask, Tensor) and mask.shape != (0,) for mask in found))


def dropped(call: Call) -> int:
    return given(call.arguments.get("dropout_p", 0), 0)


def is_causal(call: Call) -> bool:
    kinds = (CAUSAL_FROM_TOP, CAUSAL_FROM_BOTTOM)
    return bool(call.arguments.get("is_causal")) or call.arguments.get("custom_mask_type") in kinds


def forward_flops(call: Call, sizes: Sizes) -> Any:
    """Two per multiply-add; scale, softmax, mask and dropout as said above."""
    rows = sizes.b * sizes.s
    extra = 1 + masked(call) + 2 * dropped(call)
    return sizes.scores * (2 * sizes.forward + extra) + softmax_of(rows, sizes.t)


def backward_flops(call: Call, sizes: Sizes) -> Any:
    """Two per multiply-add; softmax backward, mask and dropout as said above."""
    rows = sizes.b * sizes.s
    extra = 6 + masked(call) + 4 * dropped(call)
    return sizes.scores * (2 * sizes.backward + extra) + rows * (2 * sizes.v - 1)


def triangle(sizes: Sizes, per_pair: Any) -> Any | None:
    """Multiplications under the diagonal: s (s + 1) / 2 of the s x t pairs.

    Known where there are as many keys as queries; two different sizes could only be compared, and
    kernels differ on which corner the diagonal starts from: ``None``.
    """
    if sizes.s != sizes.t:
        return None
    return fraction(sizes.b * sizes.s * (sizes.s + 1) * per_pair, 2)


def tell(declared: Op, heads: int, backward: bool) -> None:
    """The facts of one layout and direction; all are unknown where sequences are packed."""
    ask = backward_flops if backward else forward_flops

    def per_pair(sizes: Sizes) -> Any:
        return sizes.backward if backward else sizes.forward

    @declared.multiplications
    def _(call: Call):
        """Scores times products per score."""
        sizes = Sizes(call, heads)
        return sizes.scores * per_pair(sizes) if not packed(call) else None

    @declared.flops
    def _(call: Call):
        return ask(call, Sizes(call, heads)) if not packed(call) else None

    @declared.causal
    def _(call: Call):
        """The pairs at or before the query's own place."""
        sizes = Sizes(call, heads)
        return triangle(sizes, per_pair(sizes)) if is_causal(call) and not packed(call) else None


tell(heads_first, heads=-3, backward=False)
tell(heads_first_backward, heads=-3, backward=True)
tell(tokens_first, heads=-2, backward=False)
tell(tokens_first_backward, heads=-2, backward=True)


def layer_products(query: Tensor, key: Tensor, value: Tensor) -> Any:
    """Four projections and two products of attention, all of width d."""
    b, s, d = query.shape
    t = key.shape[-2]
    projections = 2 * query.elements + key.elements + value.elements
    return projections * d + 2 * b * s * t * d


def layer_elementwise(query: Tensor, key: Tensor, num_head: Any, mask: Any) -> Any:
    """The scale on every query number, the softmax, one per score for a mask."""
    b, s, _ = query.shape
    rows, t = b * s * num_head, key.shape[-2]
    return query.elements + softmax_of(rows, t) + given(mask) * rows * t


@multi_head.multiplications
def _(query: Tensor, key: Tensor, value: Tensor):
    """Query, key, value (b, s, d): projections in, attention in all heads, projection out."""
    return layer_products(query, key, value)


@multi_head.flops
def _(query: Tensor, key: Tensor, value: Tensor, num_head, mask):
    """Two per multiply-add (biases start their sums), scale, softmax, mask."""
    products = layer_products(query, key, value)
    return 2 * products + layer_elementwise(query, key, num_head, mask)


def encoder_products(src: Tensor, ffn_weight_1: Tensor, ffn_weight_2: Tensor) -> Any:
    tokens = product(src.shape[:-1])
    feed_forward = tokens * (ffn_weight_1.elements + ffn_weight_2.elements)
    return layer_products(src, src, src) + feed_forward


@encoder_layer.multiplications
def _(src: Tensor, ffn_weight_1: Tensor, ffn_weight_2: Tensor):
    """Self-attention with its projections, and two feed-forward products."""
    return encoder_products(src, ffn_weight_1, ffn_weight_2)


@encoder_layer.flops
def _(src: Tensor, ffn_weight_1: Tensor, ffn_weight_2: Tensor, num_heads, mask):
    """Two per multiply-add; attention's own; the activation; two residuals; two layer norms.

    A norm is 8 per number and 2 per row, as :mod:`botec.ops.norm` counts it with weight and bias.
    """
    tokens = product(src.shape[:-1])
    norms = 2 * (8 * src.elements + 2 * tokens)
    activation = tokens * ffn_weight_1.shape[0]
    elementwise = layer_elementwise(src, src, num_heads, mask)
    products = encoder_products(src, ffn_weight_1, ffn_weight_2)
    return 2 * products + elementwise + activation + 2 * src.elements + norms


@split_heads.flops
def _(qkv: Tensor):
    """One sum per number for the bias; one product per query number, a third of them."""
    tokens = product(qkv.shape[:-1])
    return qkv.elements + tokens * fraction(qkv.shape[-1], 3)


choice = nothing("a kernel is chosen by shapes", "aten._fused_sdp_choice", kind="attention")
choice.bytes(lambda: 0)
