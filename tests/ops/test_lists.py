"""Ops on whole lists: the optimizers' ``_foreach_`` and fused steps."""

import itertools

import pytest
import torch

from botec.ops.facts import bytes_moved, flops, kind_of, multiplications, op_of
from tests.ops.calls_for import call, tensor
from tests.ops.counting import Number, function, number, tally

ROWS = (tensor(3, 4), tensor(5), tensor(3, 4))
NUMBERS = 12 + 5 + 12
BYTES = 4 * NUMBERS


def in_place(name, **arguments):
    """In place a list's op returns nothing."""
    return call(f"aten._foreach_{name}_", [], self=ROWS, **arguments)


@pytest.mark.parametrize(
    ("name", "times", "reads", "arguments"),
    [
        ("add", 1, 2, {"other": ROWS, "alpha": 1}),
        ("add", 2, 2, {"other": ROWS, "alpha": 0.5}),
        ("mul", 1, 1, {"scalar": 0.9}),
        ("mul", 1, 1, {"scalars": (0.9, 0.8, 0.7)}),
        ("lerp", 3, 2, {"tensors1": ROWS, "weight": 0.1}),
        ("addcmul", 3, 3, {"tensor1": ROWS, "tensor2": ROWS, "value": 0.1}),
        ("addcdiv", 3, 3, {"tensor1": ROWS, "tensor2": ROWS, "scalars": (0.1, 0.2, 0.3)}),
        ("sqrt", 1, 1, {}),
        ("pow", 1, 1, {"exponent": 2.0}),
        ("maximum", 1, 2, {"other": ROWS}),
        ("zero", 0, 0, {}),
        ("copy", 0, 1, {"src": ROWS, "non_blocking": False}),
    ],
)
def test_lists_are_counted_as_their_twins(name, times, reads, arguments):
    asked = in_place(name, **arguments)
    assert flops(asked) == times * NUMBERS
    assert multiplications(asked) == 0
    assert bytes_moved(asked) == (reads + 1) * BYTES


def test_norms_of_a_list():
    asked = call("aten._foreach_norm", [tensor()] * 3, self=ROWS, ord=2, dtype=None)
    assert flops(asked) == 2 * NUMBERS
    assert bytes_moved(asked) == BYTES + 3 * 4
    sums = call("aten._foreach_norm", [tensor()] * 3, self=ROWS, ord=1, dtype=None)
    assert flops(sums) == 2 * NUMBERS - 3


def test_products_of_a_list():
    pairs = {"self": (tensor(2, 3), tensor(4, 5)), "mat2": (tensor(3, 6), tensor(5, 2))}
    asked = call("aten._foreach_mm", [tensor(2, 6), tensor(4, 2)], **pairs)
    assert multiplications(asked) == 2 * 3 * 6 + 4 * 5 * 2
    assert flops(asked) == 2 * multiplications(asked)
    assert kind_of(asked) == "matmul"


def test_every_foreach_of_the_framework_has_a_twin():
    schemas = {schema.name for schema in torch._C._jit_get_all_schemas()}
    names = [name for name in schemas if name.startswith("aten::_foreach_")]
    assert len(names) > 80
    assert [name for name in names if op_of(name.replace("::", ".")) is None] == []


def adam_loops(p, g, m, v, options):
    """AdamW as its paper writes it, decay taken off the weight; scalars of the step are given."""
    decay = options["weight_decay"] * 0.01
    p = p - p * decay if decay else p
    m = m + (g - m) * 0.1
    v = v * 0.999 + number(0.001) * g * g
    top = Number(max(v.value, 0)) if not options["amsgrad"] else v + 0
    return p - m / (function("sqrt", top) / 0.5 + 1e-8) * 0.01


@pytest.mark.parametrize(("decay", "amsgrad"), list(itertools.product((0.0, 0.1), (False, True))))
def test_fused_adam(decay, amsgrad):
    options = {"weight_decay": decay, "amsgrad": amsgrad, "maximize": False}
    done, _ = tally(adam_loops, *map(Number, (1, 2, 3, 4)), options)
    tensors = dict.fromkeys(("self", "grads", "exp_avgs", "exp_avg_sqs"), ROWS)
    greatest = {"max_exp_avg_sqs": ROWS if amsgrad else ()}
    asked = call("aten._fused_adamw_", [], **tensors, **greatest, **options)
    assert flops(asked) == NUMBERS * done["elementwise"]
    lists = 7 + 2 * amsgrad
    assert bytes_moved(asked) == lists * BYTES


def test_fused_descent():
    tensors = dict.fromkeys(("self", "grads", "momentum_buffer_list"), ROWS)
    plain = {"weight_decay": 0, "nesterov": False, "is_first_step": False, "maximize": False}
    moving = call("aten._fused_sgd_", [], **tensors, momentum=0.9, **plain)
    p, g, b = map(Number, (1, 2, 3))
    done, _ = tally(lambda: p - (b * 0.9 + g * 0.5) * 0.1)
    assert flops(moving) == NUMBERS * done["elementwise"]
    assert bytes_moved(moving) == 5 * BYTES
