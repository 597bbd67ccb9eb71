"""Times against arithmetic done by hand, and against a second way of adding them up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import botec
from botec.analyses.count import Line
from botec.analyses.duration.classes import class_of
from botec.analyses.duration.pages import Timed, time_figures
from botec.analyses.duration.speeds import (
    Rate,
    Speeds,
    check_precision,
    constant,
    rates_of,
    speeds_of,
)
from botec.analyses.duration.times import Durations, Seconds, Work, bytes_of, parts_of, smooth
from botec.calls import Call, Tensor
from botec.devices import Device, device, devices
from botec.errors import BadInput

SPEEDS = Speeds(
    title="a device", basis="data-sheet",
    products={("matmul", "float32"): constant(1e9), ("matmul", "bfloat16"): constant(4e9)},
    memory={("elementwise", ""): constant(1e6), ("matmul", ""): constant(2e6)},
    overhead=0.001, view=0.0, sharpness=50.0, low=0.5, high=2.0,
    peaks={"float32": 2e9}, bandwidth=4e6,
)  # fmt: skip


def work(name: str | None, operations: int, moved: int, dtype: str = "float32") -> Work:
    return Work(name, dtype, "forward", 0, 1, operations, moved)


@pytest.mark.parametrize(
    ("one", "seconds", "bound"),
    [
        (work("matmul", 10**8, 1000), 0.1 + 0.001, "compute"),  # 1e8 / 1e9
        (work("matmul", 10**8, 1000, "bfloat16"), 0.025 + 0.001, "compute"),
        (work("matmul", 10**6, 1_000_000), 0.5 + 0.001, "bandwidth"),  # 1e6 B / 2e6 B/s
        (work("matmul", 10**3, 100), 0.00005 + 0.001, "overhead"),
        (work("elementwise", 0, 500_000), 0.5 + 0.001, "bandwidth"),
        (work("softmax", 0, 500_000), 0.5 + 0.001, "bandwidth"),  # as elementwise: none of its own
        (work(None, 0, 0), 0.0, "compute"),
    ],
)
def test_one_op_by_hand(one: Work, seconds: float, bound: str) -> None:
    parts = parts_of(one, one.operations, one.bytes, SPEEDS)
    assert parts.seconds == pytest.approx(seconds)
    assert parts.bound == bound


def test_the_smooth_maximum() -> None:
    """(3**2 + 4**2)**(1/2) = 5; far apart it is the larger, never less than it."""
    assert smooth(3.0, 4.0, 2.0) == pytest.approx(5.0)
    assert smooth(1e-9, 4.0, 3.0) == pytest.approx(4.0)
    assert smooth(0.0, 0.0, 2.0) == 0.0
    assert smooth(3.0, 4.0, 50.0) == 4.0


def test_a_rate_by_size_is_a_line_between_logarithms() -> None:
    """At the middle of 1e3 and 1e5 in logarithms, 1e4, the rate is the mean of 1e6 and 1e8's."""
    rate = Rate((1e3, 1e5), (1e6, 1e8))
    assert rate.at(1e4) == pytest.approx(1e7)
    assert rate.at(1.0) == pytest.approx(1e6)
    assert rate.at(1e9) == pytest.approx(1e8)
    assert rate.at(np.array([1e3, 1e5])) == pytest.approx([1e6, 1e8])


@pytest.fixture(scope="module")
def program() -> botec.Program:
    return botec.read("mlp:784-512-10", B=64)


def test_a_step_by_hand() -> None:
    """mlp:3-2, one example, inference: addmm of 6 multiply-adds and (2 + 3 + 6 + 2) numbers."""
    small = botec.read("mlp:3-2", train=False, B=1)
    found = Durations(small, small.stream(), SPEEDS).total()
    moved = 4 * (2 + 3 + 6 + 2)
    assert found == pytest.approx(max(2 * 6 / 1e9, moved / 2e6) + 0.001)


def test_phases_kinds_and_modules_each_add_up_to_the_step(program: botec.Program) -> None:
    timed = Timed(program, SPEEDS)
    phases = [timed.seconds[name] for name in ("forward", "backward", "optimizer")]
    assert sum(phases) == pytest.approx(timed.step)
    for part in (lambda one: one.name, lambda one: one.scope, lambda one: one.phase):
        shares = timed.durations.shares(part)
        assert sum(share.seconds for share in shares.values()) == pytest.approx(timed.step)
        assert sum(sum(share.bounds.values()) for share in shares.values()) == pytest.approx(
            timed.step
        )


def test_figures_have_an_interval_and_a_basis(program: botec.Program) -> None:
    figures = time_figures(Timed(program, SPEEDS))
    assert list(figures) == ["time.forward", "time.backward", "time.optimizer", "time.step"]
    step = figures["time.step"]
    assert step.counted is not None
    assert step.counted.status == "estimate"
    assert "data-sheet" in (step.counted.why or "")
    assert (step.low, step.high) == (0.5 * step.counted.value, 2 * step.counted.value)
    assert step.rule is not None
    assert step.rule.value == pytest.approx(3 * figures["time.forward"].counted.value)


def test_a_whole_sweep_at_once_is_each_point_alone(program: botec.Program) -> None:
    durations = Durations(program, program.streams[0], SPEEDS)
    seconds = Seconds(durations, ("forward", "backward", "optimizer"))
    batches = np.array([2, 64, 1000])
    assert seconds.at(B=batches) == pytest.approx([seconds.at(B=int(size)) for size in batches])


def test_large_results_take_new_memory() -> None:
    """A result of 16,384 x 1,024 float32 numbers is 2**26 bytes; one of 2**24 is reused."""
    program = botec.read("mlp:8-1024", train=False, B=16_384)
    slow = Durations(program, program.stream(), replace(SPEEDS, fresh=1e-9))
    plain = Durations(program, program.stream(), SPEEDS)
    assert slow.total() - plain.total() == pytest.approx(1e-9 * 2**26)
    assert slow.total(B=4_096) == plain.total(B=4_096)
    many = np.array([4_096, 16_384])
    assert slow.total(B=many) - plain.total(B=many) == pytest.approx([0.0, 1e-9 * 2**26])


def test_a_dense_table_gets_a_whole_gradient() -> None:
    """7 places of 8 bytes, their 7 gradients of 5 numbers, and a table of 1,000 rows of zeros."""
    call = Call(
        "aten.embedding_dense_backward", "",
        {"grad_output": Tensor((7, 5)), "indices": Tensor((7,), "int64")}, (Tensor((1000, 5)),),
    )  # fmt: skip
    line = Line(call, "embedding", "backward", 0, 1, {"bytes": 0})
    assert bytes_of(line, class_of(call)) == 7 * 8 + 7 * 5 * 4 + 1000 * 5 * 4


def test_utilisation_is_products_over_time_and_peak(program: botec.Program) -> None:
    """784·512 + 512·10 multiply-adds an example; backward makes no gradient of the input."""
    timed = Timed(program, SPEEDS)
    first, second = 784 * 512, 512 * 10
    products = 2 * 64 * ((first + second) + (first + 2 * second))
    assert timed.products == products
    assert timed.utilisation == pytest.approx(products / (timed.step * 2e9))


CONVOLUTIONS = {
    "convolution": ((32, 16, 3, 3), 1, False),
    "convolution 1x1": ((32, 16, 1, 1), 1, False),
    "convolution depthwise": ((16, 1, 3, 3), 16, False),
    "convolution grouped": ((16, 4, 3, 3), 4, False),
    "convolution transposed": ((16, 32, 2, 2), 1, True),
    "convolution of few channels": ((32, 3, 7, 7), 1, False),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_by_their_windows_and_groups(name: str) -> None:
    shape, groups, transposed = CONVOLUTIONS[name]
    arguments = {
        "input": Tensor((1, 16, 8, 8)), "weight": Tensor(shape), "groups": groups,
        "transposed": transposed,
    }  # fmt: skip
    call = Call("aten.convolution", "default", arguments, (Tensor((1, 32, 8, 8)),))
    assert class_of(call) == name
    back = Call("aten.convolution_backward", "default", arguments, (Tensor((1, 16, 8, 8)),))
    assert class_of(back, "backward") == f"{name}, backward"


@pytest.mark.parametrize(
    ("op", "arguments", "phase", "name"),
    [
        ("aten.native_batch_norm", {"training": True}, "forward", "batch norm, training"),
        ("aten.native_batch_norm", {"training": False}, "forward", "batch norm"),
        ("aten.native_layer_norm_backward", {}, "backward", "layer norm, backward"),
        ("aten.bmm", {}, "backward", "batched matmul"),
        ("aten._to_copy", {}, "forward", "cast"),
        ("aten.add_", {}, "optimizer", "optimizer"),
        ("aten.gelu", {}, "forward", "elementwise with a series"),
        ("aten.empty", {}, "forward", None),
        ("mine.own", {}, "forward", "elementwise"),
    ],
)
def test_classes_by_name(op: str, arguments: dict[str, object], phase: str, name: str) -> None:
    call = Call(op, "default", {"self": Tensor((2, 3)), **arguments}, (Tensor((2, 3)),))
    assert class_of(call, phase) == name


def test_causal_attention_is_timed_for_the_half_its_kernel_computes() -> None:
    q = Tensor((1, 2, 8, 4), "bfloat16")
    seconds = {}
    for causal in (True, False):
        arguments = {"query": q, "key": q, "value": q, "dropout_p": 0.0, "is_causal": causal}
        call = Call("aten._scaled_dot_product_flash_attention", "default", arguments, (q,))
        from botec.analyses.count import Line, costs_of
        from botec.analyses.duration.times import operations_of

        line = Line(call, "attention", "forward", 0, 1, costs_of(call))
        seconds[causal] = operations_of(line, class_of(call))
    assert seconds[False] == 2 * 2 * 2 * 8 * 8 * 4  # two products, two heads, 8 x 8 scores of 4
    assert seconds[True] == seconds[False] * 36 // 64  # 8 + 7 + ... + 1 of 64


KNOWN = [one for one in devices() if one.bandwidth and rates_of(one)]


@pytest.mark.parametrize("one", KNOWN, ids=lambda one: one.name)
def test_every_device_with_a_sheet_can_be_asked(one: Device) -> None:
    speeds = speeds_of(one)
    assert speeds.low < 1 < speeds.high
    assert all(rate.rates[0] > 0 for rate in speeds.products.values())


def test_a_device_without_a_bandwidth_is_refused() -> None:
    assert len(KNOWN) >= 70
    with pytest.raises(BadInput, match="the bandwidth of Bare is not known"):
        speeds_of(Device("bare", "Bare"))


def test_a_precision_a_device_does_not_have() -> None:
    with pytest.raises(BadInput, match=r"V100.*has no bf16; it has .*use --precision amp-fp16"):
        check_precision(device("v100"), "amp-bf16")
    with pytest.raises(BadInput, match="use --precision fp16"):
        check_precision(device("v100"), "bf16")
    check_precision(device("v100"), "amp-fp16")


def test_float32_convolutions_take_tensor_cores_where_cudnn_does() -> None:
    """A100: TF32 156 against fp32 19.5 (cuDNN's default since sm_80); V100 has no TF32."""
    a100, v100 = speeds_of(device("a100")), speeds_of(device("v100"))
    rates = {name: a100.product(name, "float32").rates[0] for name in ("convolution", "matmul")}
    assert rates["convolution"] > 4 * rates["matmul"]
    ratio = (
        v100.product("convolution", "float32").rates[0] / v100.product("matmul", "float32").rates[0]
    )
    assert ratio < 1.5
