"""Networks whose gradients are wrong, each in one way people have got them wrong; and the weight
that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Made = tuple[nn.Module, tuple[int, ...], str]
PLANTED: dict[str, Callable[[], Made]] = {}


def planted(one: Callable[[], Made]) -> Callable[[], Made]:
    PLANTED[one.__name__.replace("_", " ")] = one
    return one


def wrong(forward: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    """A function of tensors with a backward of its own."""

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> Any:
            return backward(gradient, *ctx.saved_tensors)

    return Own.apply


def linear_backward(g: Any, x: Any, w: Any, b: Any) -> tuple[Any, Any, Any]:
    return g @ w, g.T @ x, g.sum(0)


class With(nn.Module):
    """Two healthy layers about one whose product is the function given."""

    def __init__(self, product: Any) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.product = product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.first(x))
        x = self.product(x, self.middle.weight, self.middle.bias)
        return self.last(torch.tanh(x))


@planted
def a_missing_mean() -> Made:
    def backward(g: Any, x: Any, w: Any, b: Any) -> Any:
        inward, weight, bias = linear_backward(g, x, w, b)
        return inward, weight / len(x), bias  # the mean over examples was already in g

    return With(wrong(functional.linear, backward)), (5, 6), "middle.weight"


@planted
def a_wrong_sign_in_one_bias() -> Made:
    def backward(g: Any, x: Any, w: Any, b: Any) -> Any:
        inward, weight, bias = linear_backward(g, x, w, b)
        return inward, weight, -bias

    return With(wrong(functional.linear, backward)), (5, 6), "middle.bias"


@planted
def a_transposed_weight() -> Made:
    def backward(g: Any, x: Any, w: Any, b: Any) -> Any:
        _, weight, bias = linear_backward(g, x, w, b)
        return g @ w.T, weight, bias

    return With(wrong(functional.linear, backward)), (5, 6), "first.weight"


@planted
def a_transposed_gradient() -> Made:
    def backward(g: Any, x: Any, w: Any, b: Any) -> Any:
        inward, weight, bias = linear_backward(g, x, w, b)
        return inward, weight.T, bias

    return With(wrong(functional.linear, backward)), (5, 6), "middle.weight"


@planted
def a_detached_branch() -> Made:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.side, self.last = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.tanh(self.first(x)) + self.side(x).detach())

    return Detached(), (5, 6), "side.weight"


@planted
def a_tied_weight_counted_twice() -> Made:
    def backward(g: Any, x: Any, w: Any, b: Any) -> Any:
        inward, weight, bias = linear_backward(g, x, w, b)
        return inward, 2 * weight, bias

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inward, self.shared = nn.Linear(6, 8), nn.Linear(8, 8)
            self.product = wrong(functional.linear, backward)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.tanh(self.shared(torch.tanh(self.inward(x))))
            return self.product(x, self.shared.weight, self.shared.bias)

    return Tied(), (5, 6), "shared.weight"


@planted
def a_forgotten_scale() -> Made:
    """Attention whose scores are scaled on the way in and not on the way back."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(6, 6) for _ in range(3))
            self.scale = wrong(lambda x: x / 6**0.5, lambda g, x: g)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = self.scale(self.query(x) @ self.key(x).transpose(1, 2))
            return scores.softmax(-1) @ self.value(x)

    return Attention(), (3, 7, 6), "query.weight"


@planted
def a_norm_that_forgets_its_mean() -> Made:
    """Normalised rows whose backward treats mean and deviation as constants."""

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
            self.norm = wrong(
                lambda x: (x - x.mean(1, True)) / x.std(1, keepdim=True),
                lambda g, x: g / x.std(1, keepdim=True),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.norm(self.first(x)))

    return Norm(), (5, 6), "first.weight"
