"""Fused optimizer steps: operations per number of the parameters, term by term.

The ``_foreach_`` ops the other optimizers are written in come from their plain twins
(:mod:`botec.ops.foreach`). Work once per tensor or step (bias corrections, the step's count) is not
counted. Bytes: all operands are read, parameters and state are written.
"""

from __future__ import annotations

from typing import Any

from botec.calls import Call
from botec.ops.facts import op
from botec.ops.terms import all_bytes, all_reals, given

# first moment 3 (lerp), second 4 (b v + (1 - b) g g), sqrt(v) / c + eps 3, step m / that, taken 3.
ADAM = 13

adam = op("Adam, fused", "aten._fused_adam", "aten._fused_adamw")
descent = op("gradient descent, fused", "aten._fused_sgd")
adagrad = op("Adagrad, fused", "aten._fused_adagrad")


def chosen(call: Call) -> int:
    """Per number: decay 2 (decay p, added), a turned sign 1, the scale taken off the gradient 1."""
    option = call.arguments.get
    turned = given(option("maximize"), False) + given(option("grad_scale"))
    return 2 * given(option("weight_decay"), 0) + turned


def numbers(call: Call) -> Any:
    return all_reals(call.arguments["self"])


@adam.flops
def _(amsgrad, call: Call):
    """13 per number (see ADAM); AMSGrad's greatest 1; decay 2 in either form."""
    return numbers(call) * (ADAM + given(amsgrad, False) + chosen(call))


@descent.flops
def _(momentum, nesterov, is_first_step, call: Call):
    """Step 2; momentum m b + (1 - d) g 3, a copy at the first step; Nesterov's look ahead 2."""
    moving = given(momentum, 0) * (1 - given(is_first_step, False))
    return numbers(call) * (2 + 3 * moving + 2 * given(nesterov, False) + chosen(call))


@adagrad.flops
def _(call: Call):
    """Square and sum 2; root, eps, product with the rate, quotient, step 5."""
    return numbers(call) * (7 + chosen(call))


def moved(call: Call, *state: str) -> Any:
    """Everything read once; the parameters and the lists named ``state`` written once."""
    written = [call.arguments["self"], *(call.arguments.get(name) or () for name in state)]
    return all_bytes(call.inputs) + sum(all_bytes(tensors) for tensors in written)


@adam.bytes
def _(call: Call):
    """Reads parameters, gradients, both moments; writes all but the gradients."""
    return moved(call, "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs")


@descent.bytes
def _(call: Call):
    """Reads parameters, gradients, momentum; writes all but the gradients."""
    return moved(call, "momentum_buffer_list")


@adagrad.bytes
def _(call: Call):
    """Reads parameters, gradients, sums; writes all but the gradients."""
    return moved(call, "state_sums")
