"""Losses and their gradients, term by term; N numbers, reduced to a mean, a sum or not at all.

``reduction`` is the framework's: 0 none, 1 mean (N - 1 additions and a division), 2 sum (N - 1). In
a gradient the mean's 1/N scales the incoming gradient: one product per number.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Tensor
from botec.ops.facts import op
from botec.ops.terms import given

NONE, MEAN, SUM = range(3)

# Per number. Forward: what is summed. Backward: the derivative and its product with the gradient.
TERMS = {
    "mse_loss": (2, "(x - t)^2"),
    "l1_loss": (2, "|x - t|"),
    "smooth_l1_loss": (5, "z = |x - t|, then z z / 2 / beta (or z - beta / 2, less)"),
    "huber_loss": (5, "z = |x - t|, then z z / 2 (or delta (z - delta / 2), as many with both)"),
    "soft_margin_loss": (4, "log(1 + exp(-x t)): product, sign, exponential, logarithm"),
    "binary_cross_entropy": (8, "-(t log x + (1 - t) log(1 - x))"),
    "multi_margin_loss": (3, "max(0, margin - x_t + x): two sums, one choice"),
    "multilabel_margin_loss_forward": (3, "max(0, 1 - x_t + x): two sums, one choice"),
}
GRADIENTS = {
    "mse_loss_backward": (3, "2 (x - t) g"),
    "smooth_l1_loss_backward": (3, "(x - t) / beta (or its sign) times g"),
    "huber_loss_backward": (3, "(x - t) (or delta times its sign) times g"),
    "soft_margin_loss_backward": (5, "-t z / (1 + z) g, z = exp(-x t), as many with z known"),
    "binary_cross_entropy_backward": (5, "g (x - t) / ((1 - x) x)"),
    "multi_margin_loss_backward": (4, "margin - x_t + x, chosen, added to the target's"),
    "multilabel_margin_loss_backward": (4, "1 - x_t + x, chosen, added to the target's"),
}


def reduced(numbers: Any, reduction: Any) -> Any:
    """Operations that make one number of them."""
    return {NONE: 0, MEAN: numbers, SUM: numbers - 1}[reduction]


def tell_term(name: str, times: int) -> None:
    """A loss that is a function of each number and its target."""

    @op(name, f"aten.{name}", kind="loss").flops
    def _(self: Tensor, reduction, call):
        weighted = given(call.arguments.get("weight"))
        return self.elements * (times + weighted) + reduced(self.elements, reduction)


def tell_gradient(name: str, times: int) -> None:
    """Its gradient: per number, with the mean's and the weight's products."""

    @op(name, f"aten.{name}", kind="loss").flops
    def _(self: Tensor, reduction, call):
        weighted = given(call.arguments.get("weight"))
        averaged = 1 if reduction == MEAN else 0
        return self.elements * (times + weighted + averaged)


for loss_name, (loss_times, _what) in TERMS.items():
    tell_term(loss_name, loss_times)
for gradient_name, (gradient_times, _what) in GRADIENTS.items():
    tell_gradient(gradient_name, gradient_times)

likelihood = op("negative log likelihood", "aten.nll_loss_forward", "aten.nll_loss2d_forward",
                "aten.nll_loss", "aten.nll_loss2d")  # fmt: skip
likelihood_backward = op("negative log likelihood backward", "aten.nll_loss_backward",
                         "aten.nll_loss2d_backward")  # fmt: skip
with_logits = op("cross entropy of logits", "aten.binary_cross_entropy_with_logits")
divergence = op("divergence", "aten.kl_div")
alignment = op("connectionist classification", "aten._ctc_loss", "aten._cudnn_ctc_loss",
               "aten.miopen_ctc_loss")  # fmt: skip
alignment_backward = op("connectionist classification backward", "aten._ctc_loss_backward")


@likelihood.flops
def _(target: Tensor, weight, reduction):
    """Per target its number is picked and its sign turned (times a weight); then reduced.

    With a weight per class the weights are summed too.
    """
    count = target.elements
    return count * (1 + 2 * given(weight)) + reduced(count, reduction)


@likelihood_backward.flops
def _(target: Tensor, weight, reduction):
    """Per target the sign of the gradient (times a weight, over the weights' sum for a mean)."""
    return target.elements * (1 + given(weight) + (1 if reduction == MEAN else 0))


@with_logits.flops
def _(self: Tensor, weight, pos_weight, reduction):
    """(1 - t) x + log(1 + exp(-|x|)) + max(-x, 0): nine per number; one per weight more."""
    times = 9 + given(weight) + 3 * given(pos_weight)
    return self.elements * times + reduced(self.elements, reduction)


@divergence.flops
def _(self: Tensor, reduction):
    """t (log t - x): three per number."""
    return self.elements * 3 + reduced(self.elements, reduction)


def lattice(call: Any) -> Any | None:
    """Numbers of the lattice log alpha: (examples, time, 2 length + 1); unknown without it."""
    found = [tensor for tensor in call.inputs + call.results if is_lattice(tensor, call)]
    return found[-1].elements if found else None


def is_lattice(tensor: Tensor, call: Any) -> bool:
    """It alone has three axes and is not shaped like the log probabilities."""
    log_probabilities = call.arguments["log_probs"]
    return len(tensor.shape) == 3 and tensor.shape != log_probabilities.shape


@alignment.flops
def _(call):
    """Per number of the lattice the log of a sum of three exponentials and a sum: 12.

    Greatest of three 2, subtracted 3, exponentials 3, sums 2, logarithm 1, sum with it and with
    the symbol's log probability 2, less the 1 that starts a line. Kernels that keep their lattice
    to themselves are not counted.
    """
    numbers = lattice(call)
    return None if numbers is None else 12 * numbers


@alignment_backward.flops
def _(call):
    """The lattice from behind 12, gathered per symbol 6, the gradient of every number 4."""
    numbers = lattice(call)
    whole = call.arguments["log_probs"].elements
    return None if numbers is None else 18 * numbers + 4 * whole
