"""Autocast as CUDA does it, held against the types that PyTorch documents for its CUDA ops.

The lists are those of the documentation ("CUDA Ops that can autocast to float16", "... to float32",
"... that promote to the widest input type"): nobody of this project made them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from botec.read import autocast
from botec.read.autocast_on_cuda import autocast_as_on_cuda

META = "meta"


def single(*shape: int) -> Any:
    return torch.empty(shape, device=META)


def half(*shape: int) -> Any:
    return torch.empty(shape, dtype=torch.float16, device=META)


TO_HALF: dict[str, Callable[[], Any]] = {
    "mm": lambda: torch.mm(single(2, 3), single(3, 4)),
    "linear": lambda: functional.linear(single(2, 3), single(4, 3)),
    "bmm": lambda: torch.bmm(single(2, 3, 4), single(2, 4, 5)),
    "conv2d": lambda: functional.conv2d(single(1, 3, 8, 8), single(4, 3, 3, 3)),
    "conv_transpose2d": lambda: functional.conv_transpose2d(single(1, 3, 8, 8), single(3, 4, 2, 2)),
    "einsum": lambda: torch.einsum("ij,jk->ik", single(2, 3), single(3, 4)),
    "prelu": lambda: functional.prelu(single(2, 3), single(3)),
}
TO_SINGLE: dict[str, Callable[[], Any]] = {
    "layer_norm": lambda: functional.layer_norm(half(2, 4), (4,)),
    "group_norm": lambda: functional.group_norm(half(2, 4, 3), 2),
    "softmax": lambda: torch.softmax(half(2, 4), -1),
    "log_softmax": lambda: torch.log_softmax(half(2, 4), -1),
    "sum": lambda: half(2, 4).sum(-1),
    "pow": lambda: half(2, 4).pow(2),
    "exp": lambda: half(2, 4).exp(),
    "norm": lambda: half(2, 4).norm(dim=1),
    "cumsum": lambda: half(2, 4).cumsum(0),
    "mse_loss": lambda: functional.mse_loss(half(2, 4), half(2, 4)),
}
ALONE: dict[str, tuple[Callable[[], Any], Any]] = {
    "relu": (lambda: half(2, 4).relu(), torch.float16),
    "gelu": (lambda: functional.gelu(single(2, 4)), torch.float32),
    "batch_norm": (
        lambda: functional.batch_norm(half(2, 4, 3), single(4), single(4)), torch.float16,
    ),
    "addcmul": (lambda: torch.addcmul(half(2), half(2), single(2)), torch.float32),
    "double": (lambda: torch.mm(single(2, 2).double(), single(2, 2).double()), torch.float64),
}  # fmt: skip


def kind_of(run: Callable[[], Any]) -> Any:
    with torch.no_grad(), autocast_as_on_cuda(), autocast.autocast("amp-fp16"):
        return run().dtype


@pytest.mark.parametrize("name", TO_HALF)
def test_products_are_made_in_half(name: str) -> None:
    assert kind_of(TO_HALF[name]) == torch.float16
    assert TO_HALF[name]().dtype == torch.float32  # it is the block that does it


@pytest.mark.parametrize("name", TO_SINGLE)
def test_sums_are_made_in_single(name: str) -> None:
    assert kind_of(TO_SINGLE[name]) == torch.float32
    assert TO_SINGLE[name]().dtype == torch.float16


@pytest.mark.parametrize("name", ALONE)
def test_the_rest_is_left_alone_or_widened(name: str) -> None:
    run, kind = ALONE[name]
    assert kind_of(run) == kind


def test_nothing_of_it_stays() -> None:
    assert kind_of(TO_HALF["mm"]) == torch.float16
    assert TO_HALF["mm"]().dtype == torch.float32
    assert not torch.is_autocast_enabled("cuda")
