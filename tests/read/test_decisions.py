"""Which kernel attention takes: botec's answer on shapes against a real CPU's, tensor by tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from read.watching import watched
from torch.nn.functional import scaled_dot_product_attention

from botec.read.decisions import decisions

FLASH, MATH = "_scaled_dot_product_flash_attention_for_cpu", "bmm"


def kernel(watch: Any) -> str:
    names = watch.names
    return FLASH if FLASH in names else MATH if MATH in names else "neither"


def look(tensor: Any, way: str) -> Any:
    """The same shape, lying otherwise in memory."""
    if way == "heads inside":  # as after x.view(b, s, h, d).transpose(1, 2)
        return tensor.transpose(1, 2).contiguous().transpose(1, 2)
    if way == "last axis apart":
        return tensor.transpose(-1, -2).contiguous().transpose(-1, -2)
    return tensor


def masks(kind: str, dtype: Any, b: int, h: int, s: int, t: int) -> Any:
    shape = {"2": (s, t), "3": (h, s, t), "4": (b, h, s, t), "4 ones": (1, 1, s, t),
             "bool": (b, 1, s, t), "grad": (s, t), "row": (1, t)}.get(kind)  # fmt: skip
    if shape is None:
        return None
    if kind == "bool":
        return torch.ones(shape, dtype=torch.bool)
    return torch.zeros(shape, dtype=dtype, requires_grad=kind == "grad")


def inputs(
    dtype: Any, b: int, heads: tuple[int, int], lengths: tuple[int, int], d: int, value_d: int
) -> list[Any]:
    (h, kv), (s, t) = heads, lengths
    shapes = [(b, h, s, d), (b, kv, t, d), (b, kv, t, value_d)]
    return [torch.zeros(shape, dtype=dtype) for shape in shapes]


def on_meta(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    twin = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return twin.requires_grad_(value.requires_grad)


def both(tensors: list[Any], mask: Any, **kwargs: Any) -> tuple[Any, Any]:
    """What a real CPU runs, and what botec answers on shapes; ``None`` where it is refused."""
    try:
        real = watched(lambda: scaled_dot_product_attention(*tensors, attn_mask=mask, **kwargs))
    except RuntimeError:
        return None, None
    twins, twin_mask = [on_meta(one) for one in tensors], on_meta(mask)
    with decisions():
        ours = watched(lambda: scaled_dot_product_attention(*twins, attn_mask=twin_mask, **kwargs))
    return real, ours


KINDS = st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64])
LOOKS = st.sampled_from(["packed", "heads inside", "last axis apart"])
MASKS = st.sampled_from(["none", "2", "3", "4", "4 ones", "bool", "grad", "row"])


@settings(max_examples=150)
@given(
    KINDS,
    st.integers(1, 3),
    st.sampled_from([(2, 2), (1, 1), (4, 2)]),
    st.sampled_from([(4, 4), (1, 5), (3, 7)]),
    st.sampled_from([(8, 8), (8, 4), (5, 5)]),
    st.tuples(LOOKS, LOOKS, LOOKS),
    MASKS,
    st.sampled_from([0.0, 0.0, 0.0, 0.1]),
    st.booleans(),
)
@example(torch.float32, 1, (2, 2), (4, 4), (8, 8), ("packed",) * 3, "none", 0.0, True)
@example(torch.float32, 1, (4, 2), (4, 4), (8, 8), ("packed",) * 3, "none", 0.0, False)
def test_the_kernel_a_real_cpu_takes(
    kind: Any, b: int, heads: Any, lengths: Any, widths: Any, looks: Any, mask_kind: str,
    dropout: float, causal: bool,
) -> None:  # fmt: skip
    tensors = [
        look(one, way)
        for one, way in zip(inputs(kind, b, heads, lengths, *widths), looks, strict=True)
    ]
    mask = masks(mask_kind, kind, b, heads[0], *lengths)
    gqa = heads[0] != heads[1]
    real, ours = both(tensors, mask, dropout_p=dropout, is_causal=causal, enable_gqa=gqa)
    if real is not None:
        assert kernel(ours) == kernel(real)
        assert ours.heard[-1][2] == real.heard[-1][2], "the last output's shape and type"


@pytest.mark.parametrize(
    "shapes", [[(4, 8)] * 3, [(2, 4, 8)] * 3, [(2, 2, 2, 4, 8)] * 3, [(2, 2, 1, 1)] * 3]
)
def test_other_ranks_and_small_sizes(shapes: Any) -> None:
    real, ours = both([torch.zeros(shape) for shape in shapes], None)
    assert real is not None
    assert kernel(ours) == kernel(real)


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param([(2, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8)], id="one batch of keys for all"),
        pytest.param([(2, 2, 4, 8), (2, 1, 4, 8), (2, 1, 4, 8)], id="one head of keys for all"),
    ],
)
def test_broadcast_keys(shapes: Any) -> None:
    real, ours = both([torch.zeros(shape) for shape in shapes], None)
    assert kernel(ours) == kernel(real) == MATH


@pytest.mark.parametrize("grad", [(True, True, True), (True, False, False), (False,) * 3])
def test_gradients_do_not_change_the_kernel(grad: tuple[bool, ...]) -> None:
    tensors = [torch.zeros(2, 2, 4, 8, requires_grad=one) for one in grad]
    real, ours = both(tensors, None)
    assert kernel(ours) == kernel(real) == FLASH


def test_the_choice_is_gone_afterwards() -> None:
    twins = [torch.empty(2, 2, 4, 8, device="meta") for _ in range(3)]
    with decisions():
        assert FLASH in watched(lambda: scaled_dot_product_attention(*twins)).names
    assert FLASH not in watched(lambda: scaled_dot_product_attention(*twins)).names


def test_the_choice_is_gone_after_an_error() -> None:
    twins = [torch.empty(2, 2, 4, 8, device="meta") for _ in range(3)]
    with pytest.raises(ValueError, match="planned"), decisions():
        raise ValueError("planned")
    assert FLASH not in watched(lambda: scaled_dot_product_attention(*twins)).names
