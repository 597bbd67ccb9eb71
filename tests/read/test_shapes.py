"""Rules for layouts against the framework's own kernels, on the CPU and on the meta device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from botec.poly import symbol
from botec.read import shapes
from botec.read.shapes import layouts_of, workspace
from botec.read.signatures import OpInfo

aten = torch.ops.aten
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
KINDS = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64])
LOOKS = st.sampled_from(["packed", "turned", "sliced", "expanded", "padded"])


def looked_at(shape: tuple[int, ...], dtype: Any, look: str) -> Any:
    """A tensor of ``shape`` that lies in memory as ``look`` says."""
    if look == "turned":
        return torch.ones(shape[::-1], dtype=dtype).permute(*range(len(shape) - 1, -1, -1))
    if look == "sliced":
        return torch.ones((*shape[:-1], 2 * shape[-1]), dtype=dtype)[..., ::2]
    if look == "expanded":
        return torch.ones((1, *shape[1:]), dtype=dtype).expand(shape)
    if look == "padded":
        return torch.ones((shape[0] + 2, *shape[1:]), dtype=dtype)[2:]
    return torch.ones(shape, dtype=dtype)


def meta(value: Any) -> Any:
    """The same arguments without data."""
    if isinstance(value, torch.Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    if isinstance(value, (list, tuple)):
        return type(value)(meta(part) for part in value)
    return value


def layout(out: Any) -> Any:
    """Shape, stride and type; of a size of one the stride says nothing."""
    if out is None:
        return None
    stride = tuple(s for s, n in zip(out.stride(), out.shape, strict=True) if n > 1)
    return tuple(out.shape), stride, out.dtype


def ruled(found: Any) -> Any:
    if found is None:
        return None
    shape, strides, dtype = found
    return layout(torch.empty_strided(shape, strides, dtype=dtype, device="meta"))


def check(func: Any, args: tuple[Any, ...], kwargs: Any = None, on: str = "both") -> bool:
    """Whether a rule answered; if it did, it says what the kernels really give."""
    kwargs = kwargs or {}
    found = layouts_of(OpInfo(func, 0), meta(args), meta(kwargs))
    if found is None:
        return False
    many = isinstance(found, list)
    expected = [ruled(one) for one in found] if many else [ruled(found)]
    for outs in ([] if on == "meta" else [func(*args, **kwargs)]) + (
        [] if on == "cpu" else [func(*meta(args), **meta(kwargs))]
    ):
        given = [layout(one) for one in outs] if many else [layout(outs)]
        # a gradient nobody asked for may come as an undefined tensor or not at all
        assert [g for g, e in zip(given, expected, strict=True) if e is not None] == [
            e for e in expected if e is not None
        ], (func, shapes)
    return True


def plain_overloads() -> list[Any]:
    """Every overload the rule of pointwise ops takes."""
    known = (schema.name.split("::") for schema in torch._C._jit_get_all_schemas())
    found = []
    for name in sorted({name for space, name in known if space == "aten"}):
        packet = getattr(aten, name, None)
        for overload in packet.overloads() if packet is not None else ():
            func = getattr(packet, overload)
            if shapes.is_plain_pointwise(func, OpInfo(func, 0).name) and func not in shapes.RULES:
                found.append(func)
    return found


def arguments_for(func: Any, x: Any) -> tuple[Any, ...] | None:
    """``x`` for every tensor, simple numbers for the rest; ``None`` for what needs more."""
    simple = {"Tensor": x, "number": 1, "Scalar": 1, "float": 0.5, "int": 1, "bool": False}
    values = []
    for argument in func._schema.arguments:
        if argument.kwarg_only:
            break
        kind = str(argument.type)
        if argument.has_default_value() and kind not in simple:
            values.append(argument.default_value)
        elif kind in simple:
            values.append(simple[kind])
        else:
            return None
    return tuple(values)


def wrong_or_not(func: Any, dtype: Any) -> str:
    """``"right"``, ``"wrong"``, or ``""`` where the kernel or the rule does not take it."""
    args = arguments_for(func, torch.full((2, 3), 0.5, dtype=dtype))
    try:
        if args is None:
            return ""
        func(*args)
        return "right" if check(func, args, on="cpu") else ""
    except (RuntimeError, NotImplementedError, TypeError):
        return ""  # of whole numbers only, or of other devices
    except AssertionError:
        return "wrong"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_pointwise_op(dtype: Any) -> None:
    """All plain ones the framework has: the result has the layout of its input."""
    found = {str(func): wrong_or_not(func, dtype) for func in plain_overloads()}
    assert sum(one == "right" for one in found.values()) > 100
    wrong = [name for name, one in found.items() if one == "wrong"]
    assert [name for name in wrong if "float_power" not in name] == []


def test_float_power() -> None:
    x = torch.ones(2, 3)
    check(aten.float_power.Tensor_Tensor, (x, x))


POINTWISE = [aten.add.Tensor, aten.mul.Tensor, aten.gelu.default, aten.relu.default,
             aten.threshold_backward.default, aten.addcmul.default, aten.sigmoid.default,
             aten.div.Tensor, aten.tanh_backward.default, aten.pow.Tensor_Scalar]  # fmt: skip


@settings(max_examples=120)
@given(st.sampled_from(POINTWISE), SHAPES, SHAPES, KINDS, KINDS, LOOKS, LOOKS)
def test_pointwise_ops_on_all_layouts(
    func: Any, first: Any, second: Any, kind: Any, other: Any, look: str, other_look: str
) -> None:
    a = looked_at(first, kind, look)
    b = looked_at(second, other, other_look)
    args = (a, b, 1) if func is aten.threshold_backward.default else (a, b)
    if func is aten.addcmul.default:
        args = (a, b, a)
    if len([x for x in func._schema.arguments if str(x.type) == "Tensor"]) == 1:
        args = (a, 2) if func is aten.pow.Tensor_Scalar else (a,)
    try:
        func(*args)
    except (RuntimeError, NotImplementedError):
        return  # shapes that do not fit, types the kernel has not
    check(func, args)


def test_pointwise_ops_answer_the_plain_case() -> None:
    x = torch.ones(2, 3)
    assert check(aten.add.Tensor, (x, x))
    assert not check(aten.maximum.default, (x, x.t().contiguous().t()))
    assert not check(aten.add.Tensor, (x, x.double()))
    assert not check(aten.eq.Tensor, (x, x))
    assert not check(aten.add.Tensor, (x.long(), x.long()))


@st.composite
def spread_together(draw: Any) -> tuple[Any, ...]:
    """An op that is iterated, with arguments of shapes that spread to one, laid out anyhow."""
    func = draw(st.sampled_from(shapes.ITERATED))
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    kind = draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    args: list[Any] = []
    for argument in func._schema.arguments:
        if argument.kwarg_only or argument.has_default_value():
            break
        if str(argument.type) != "Tensor":
            args.append(1)
            continue
        own = tuple(size if draw(st.integers(0, 3)) else 1 for size in shape)
        own = own[draw(st.integers(0, len(own) - 1)) :]
        order = draw(st.permutations(range(len(own))))
        turned = torch.ones([own[axis] for axis in order], dtype=kind)
        one = turned.permute([order.index(axis) for axis in range(len(own))])
        look = draw(st.sampled_from(["", "", "sliced", "expanded"]))
        args.append(looked_at(own, kind, look) if look else one)
    return func, tuple(args)


@settings(max_examples=300)
@given(spread_together())
def test_ops_that_are_iterated_together(case: tuple[Any, ...]) -> None:
    """Of bfloat16 the framework's meta kernel turns expanded arguments otherwise than its CPU
    kernel: that one is the judge."""
    func, args = case
    try:
        func(*args)
    except RuntimeError:
        return  # oneDNN's kernels take no argument that is spread
    assert check(func, args, on="cpu" if args[0].dtype == torch.bfloat16 else "both")


def test_ops_that_are_iterated_leave_the_rest_to_the_framework() -> None:
    x, turned = torch.ones(2, 3), torch.ones(3, 2).t()
    assert check(aten.mul.Tensor, (x, turned))
    assert not check(aten.mul.Tensor, (turned, torch.ones(())))
    assert not check(aten.mul.Tensor, (turned, x.double()))
    assert not check(aten.mul.Tensor, (turned.long(), x.long()))
    assert not check(aten.mul.Tensor, (turned, 1j))


@settings(max_examples=60)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2), KINDS, LOOKS, st.booleans())
def test_negative_likelihood(
    rows: int, classes: int, reduction: int, kind: Any, look: str, one: bool
) -> None:
    if not kind.is_floating_point:
        return
    x = looked_at((classes,) if one else (rows, classes), kind, look)
    label = torch.zeros(() if one else (rows,), dtype=torch.int64)
    weight = torch.ones(classes, dtype=kind)
    args = (x, label, weight, reduction, -100)
    assert check(aten.nll_loss_forward.default, args) == bool(reduction)
    many = (rows,) if reduction == 0 and not one else ()
    back = (torch.ones(many, dtype=kind), *args, torch.ones((), dtype=kind))
    assert check(aten.nll_loss_backward.default, back)


@settings(max_examples=60)
@given(*[st.integers(1, 5)] * 3, KINDS, LOOKS, LOOKS, st.booleans())
def test_product_added(
    rows: int, inner: int, columns: int, kind: Any, look: str, other: str, row: bool
) -> None:
    bias = looked_at((columns,) if row else (rows, columns), kind, "packed")
    pair = looked_at((rows, inner), kind, look), looked_at((inner, columns), kind, other)
    assert check(aten.addmm.default, (bias, *pair)) == kind.is_floating_point


@settings(max_examples=100)
@given(SHAPES, st.sets(st.integers(-4, 3)), st.booleans(), KINDS, LOOKS)
def test_sums_and_means(
    shape: tuple[int, ...], axes: set[int], keep: bool, kind: Any, look: str
) -> None:
    own = [axis for axis in axes if -len(shape) <= axis < len(shape)]
    if not kind.is_floating_point or len({axis % len(shape) for axis in own}) < len(own):
        return
    x = looked_at(shape, kind, look)
    for func in (aten.mean.dim, aten.sum.dim_IntList):
        answered = check(func, (x, own, keep) if keep else (x, own))
        assert answered == (bool(own) and shapes.is_packed(x))


MASKS = st.lists(st.booleans(), min_size=3, max_size=3)


@settings(max_examples=60)
@given(st.lists(st.integers(2, 4), min_size=3, max_size=5), KINDS, LOOKS, st.booleans(), MASKS)
def test_batch_norm(shape: list[int], kind: Any, look: str, train: bool, mask: list[bool]) -> None:
    if not kind.is_floating_point:
        return
    x = looked_at(tuple(shape), kind, look)
    weight = torch.ones(shape[1], dtype=kind)
    args = (x, weight, weight, weight.clone(), weight.clone(), train, 0.1, 1e-5)
    answered = check(aten.native_batch_norm.default, args, on="both" if train else "cpu")
    assert answered or look != "packed" or kind != torch.float32
    back = (x, x, weight, weight, weight, weight, weight, train, 1e-5, mask)
    check(aten.native_batch_norm_backward.default, back)


@settings(max_examples=60)
@given(SHAPES, st.integers(1, 3), KINDS, LOOKS, MASKS, st.booleans())
def test_layer_norm(
    shape: tuple[int, ...], rest: int, kind: Any, look: str, mask: list[bool], affine: bool
) -> None:
    if not kind.is_floating_point or rest > len(shape):
        return
    x = looked_at(shape, kind, look)
    weight = torch.ones(shape[-rest:], dtype=kind) if affine else None
    axes = list(shape[-rest:])
    answered = check(aten.native_layer_norm.default, (x, axes, weight, weight, 1e-5), on="cpu")
    assert answered == (kind == torch.float32)
    statistics = torch.ones((*shape[:-rest], *[1] * rest), dtype=kind)
    mask = [mask[0], mask[1] and affine, mask[2] and affine]
    back = (x, x, axes, statistics, statistics, weight, weight, mask)
    check(aten.native_layer_norm_backward.default, back, on="cpu")


@settings(max_examples=60)
@given(SHAPES, st.integers(-1, 2), KINDS, LOOKS, LOOKS)
def test_softmax(shape: tuple[int, ...], axis: int, kind: Any, look: str, other: str) -> None:
    if not kind.is_floating_point or axis >= len(shape):
        return
    x, gradient = looked_at(shape, kind, look), looked_at(shape, kind, other)
    for func in (aten._softmax.default, aten._log_softmax.default):
        assert check(func, (x, axis, False)) == shapes.is_packed(x)
    for func in (aten._softmax_backward_data.default, aten._log_softmax_backward_data.default):
        check(func, (gradient, x, axis, kind))


@settings(max_examples=25)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
def test_grouped_products(rows: int, groups: int, half: int, width: int) -> None:
    """Rows of groups times stacked matrices, on the CPU; inner sizes are multiples of 16 bytes."""
    k, n = 8 * half, 8 * width
    ends = torch.linspace(0, rows, groups + 1).round()[1:].to(torch.int32)
    for kind in (torch.float32, torch.bfloat16):
        left, right = torch.ones(rows, k, dtype=kind), torch.ones(groups, k, n, dtype=kind)
        assert check(aten._grouped_mm.default, (left, right, ends), on="cpu")


# -- oneDNN's recurrent layer --------------------------------------------------------------------


def layer(steps: int, batch: int, inputs: int, width: int, train: bool = True) -> tuple[Any, ...]:
    x, state = torch.zeros(steps, batch, inputs), torch.zeros(batch, width)
    weights = torch.zeros(4 * width, inputs), torch.zeros(4 * width, width)
    bias = torch.zeros(4 * width)
    settings = (2, width, 1, True, False, False, train)
    return (x, *weights, bias, bias, state, state, False, [], *settings)


@settings(max_examples=60)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 300), st.integers(1, 300))
def test_the_workspace_is_the_kernels(steps: int, batch: int, inputs: int, width: int) -> None:
    args = layer(steps, batch, inputs, width)
    real = aten.mkldnn_rnn_layer(*args)[3].numel()
    assert workspace(steps, batch, inputs, width) == real
    assert check(aten.mkldnn_rnn_layer.default, args, on="cpu")


@pytest.mark.parametrize(
    "sizes",
    [(7, 3, 256, 512), (2, 1, 64, 64), (5, 2, 1024, 256), (3, 4, 256, 64), (1, 1, 255, 257),
     (35, 20, 650, 650), (4, 2, 240, 128), (1, 1, 1, 1)],
)  # fmt: skip
def test_the_workspace_where_rows_fall_on_one_cache_set(sizes: tuple[int, ...]) -> None:
    real = aten.mkldnn_rnn_layer(*layer(*sizes))[3].numel()
    assert workspace(*sizes) == real
    formula = workspace(symbol("S"), symbol("B"), *sizes[2:])
    assert formula.at(S=sizes[0], B=sizes[1]) == real


@pytest.mark.parametrize(
    ("grad", "train"),
    [
        (True, True),
        (False, False),
        (True, False),
        (False, True),
    ],
)
def test_a_workspace_is_kept_for_a_backward_pass_only(grad: bool, train: bool) -> None:
    args = layer(3, 2, 5, 7, train)
    with torch.set_grad_enabled(grad):
        real = aten.mkldnn_rnn_layer(*args)[3]
        found = layouts_of(OpInfo(aten.mkldnn_rnn_layer.default, 0), meta(args), {})
    assert (real is not None) == grad
    assert found[3][0].numel() == (real.numel() if grad else 0)


@pytest.mark.parametrize(
    ("func", "shapes_of", "rest"),
    [
        (aten.addmm.default, [(3,), (2, 5), (3, 3)], ()),
        (aten.addmm.default, [(4,), (2, 5), (5, 3)], ()),
        (aten.addmm.default, [(3,), (2, 4, 5), (5, 3)], ()),
        (aten.add.Tensor, [(2, 3), (2, 4)], ()),
        (aten.mul.Tensor, [(2, 3), (3, 2)], ()),
        (aten.native_layer_norm.default, [(2, 5)], ([3], None, None, 1e-5)),
        (aten.mean.dim, [(2, 5)], ([2],)),
        (aten.sum.dim_IntList, [(2, 5)], ([1, -1],)),
    ],
    ids=str,
)
def test_what_does_not_fit_is_left_to_the_framework(func: Any, shapes_of: Any, rest: Any) -> None:
    """It refuses in its own words."""
    args = (*(torch.ones(shape) for shape in shapes_of), *rest)
    assert layouts_of(OpInfo(func, 0), meta(args), {}) is None
    with pytest.raises((RuntimeError, IndexError)):
        func(*meta(args))


@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_labels_that_do_not_fit_are_left_to_the_framework(shape: tuple[int, ...]) -> None:
    args = (torch.ones(2, 5), torch.zeros(shape, dtype=torch.int64), None, 1, -100)
    assert layouts_of(OpInfo(aten.nll_loss_forward.default, 0), meta(args), {}) is None


def test_every_rule_is_tested_here() -> None:
    tested = {
        "native_batch_norm", "native_batch_norm_backward", "native_layer_norm",
        "native_layer_norm_backward", "_softmax", "_log_softmax", "_softmax_backward_data",
        "_log_softmax_backward_data", "_grouped_mm", "mkldnn_rnn_layer",
        "mkldnn_rnn_layer_backward", "nll_loss_forward", "nll_loss_backward", "addmm", "mean",
        "sum",
        *(func._schema.name.split("::")[1] for func in shapes.ITERATED),
    }  # fmt: skip
    assert {func._schema.name.split("::")[1] for func in shapes.RULES} == tested


def test_the_recurrent_layers_gradients() -> None:
    """Held against a real backward pass."""
    args = layer(4, 3, 5, 7)
    leaves = [one.requires_grad_() if i < 7 else one for i, one in enumerate(args)]
    out, hidden, cells, kept = aten.mkldnn_rnn_layer(*leaves)
    x, w0, w1, b0, b1, hx, cx, reverse = (
        one.detach() if isinstance(one, torch.Tensor) else one for one in args[:8]
    )
    gradients = [torch.ones_like(one) for one in (out, hidden, cells)]
    back = (x, w0, w1, b0, b1, hx, cx, out.detach(), hidden.detach(), cells.detach(), *gradients,
            reverse, 2, 7, 1, True, True, False, [], False, kept)  # fmt: skip
    assert check(aten.mkldnn_rnn_layer_backward.default, back, on="cpu")
