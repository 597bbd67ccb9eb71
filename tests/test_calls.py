"""Tensors and calls: plain data, held against the framework's own tensors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from botec.calls import ITEM_BYTES, Call, Tensor, shape_text, tensors_in
from botec.poly import symbol

B, S = symbol("B"), symbol("S")


@pytest.mark.parametrize("name", ITEM_BYTES)
def test_sizes_of_types_are_the_frameworks(name: str) -> None:
    assert getattr(torch, name).itemsize == ITEM_BYTES[name]


def test_every_plain_type_of_the_framework_has_a_size() -> None:
    """Quantised and sub-byte types are no tensors of a step; every other one has its bytes."""
    every = {str(one)[6:] for one in vars(torch).values() if isinstance(one, torch.dtype)}
    strange = {name for name in every if name.startswith(("q", "bits", "float4"))}
    strange |= {f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 8)}
    assert every - strange <= set(ITEM_BYTES)


@given(
    st.lists(st.integers(1, 5), max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from(["float32", "bfloat16", "int64", "bool"]),
)
def test_bytes_are_those_of_the_storage(shape: list[int], wide: list[bool], dtype: str) -> None:
    """A real tensor, some axes expanded: its storage has exactly the bytes it is said to have."""
    stored = [1 if one else size for size, one in zip(shape, wide, strict=False)]
    real = torch.empty(stored, dtype=getattr(torch, dtype)).expand(shape)
    ours = Tensor(tuple(shape), dtype, tuple(a for a in range(len(shape)) if wide[a]))
    assert ours.elements == real.numel()
    assert ours.bytes == real.untyped_storage().nbytes()


def test_bytes_in_formulas() -> None:
    tensor = Tensor((B, 12, S, S), "bfloat16")
    assert tensor.elements == 12 * B * S**2
    assert tensor.bytes == 24 * B * S**2
    assert Tensor((B, 12, S, S), "bfloat16", (1, 2)).bytes == 2 * B * S
    assert Tensor(()).bytes == 4
    assert Tensor((0, 3)).bytes == 0


def test_texts() -> None:
    x, w, y = Tensor((B, 3)), Tensor((3, 4), "int64"), Tensor((B, 4))
    call = Call("aten.mm", "default", {"self": x, "mat2": w}, (y, None, y))
    assert shape_text(x) == "float32[B,3]"
    assert str(call) == "aten.mm(float32[B,3], int64[3,4]) -> float32[B,4], float32[B,4]"
    assert call.results == (y, y)


def test_lists_of_tensors_are_opened_in_order() -> None:
    a, b, c = (Tensor((size,)) for size in (1, 2, 3))
    call = Call("aten.cat", "default", {"tensors": (a, [b, (c,)]), "dim": 0, "x": None}, (a,))
    assert call.inputs == (a, b, c)
    assert list(tensors_in([1, "two", None, 3.0, (), [a]])) == [a]


def test_a_tensor_is_its_data_and_a_call_is_itself() -> None:
    assert Tensor((B, 3)) == Tensor((B, 3))
    assert hash(Tensor((B, 3))) == hash(Tensor((B, 3)))
    assert Tensor((B, 3)) != Tensor((B, 3), "float64")
    one, other = (Call("aten.relu", "default", {}, ()) for _ in range(2))
    assert one != other
