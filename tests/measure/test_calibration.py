"""The calibration's arithmetic: fake clocks make seconds exact; nothing here waits for a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from botec.analyses.count import Line
from botec.analyses.duration.classes import class_of, multiplies
from botec.analyses.duration.times import Work, bytes_of, parts_of
from botec.calls import Call, Tensor
from botec.duration.here import speeds_from
from botec.measure import calibration
from botec.measure.calibration import NEW_MEMORY, Calibration, Sample
from botec.measure.exact import runner, seconds_of, signature
from botec.measure.kernels import kernels
from botec.ops import facts


def steady(run: Callable[[], Any], times: int) -> float:
    """A machine on which every call takes two microseconds."""
    return 2e-6 * times


def test_a_batch_is_long_enough_for_its_clock() -> None:
    asked: list[int] = []

    def clock(run: Callable[[], Any], times: int) -> float:
        asked.append(times)
        return steady(run, times)

    seconds, spread = calibration.timed(lambda: None, clock, least=1e-3)
    assert (seconds, spread) == (pytest.approx(2e-6), pytest.approx(0.0))
    assert asked == [1, 1, *[500] * calibration.BATCHES]


def test_a_long_call_is_a_batch_of_its_own() -> None:
    """Warmed up once, timed once; the other round is there for its spread."""
    each = iter([9.0, 0.2])
    assert calibration.timed(lambda: None, lambda run, times: next(each), least=1e-3) == (0.2, 0.0)
    assert next(each, None) is None


def test_a_disturbed_machine_shows_in_the_spread() -> None:
    each = iter([1e-3, 1e-3, 0.01, 0.02, 0.03])
    seconds, spread = calibration.timed(lambda: None, lambda run, times: next(each), least=1e-3)
    assert seconds == pytest.approx(0.02)
    assert spread == pytest.approx((0.025 - 0.015) / 0.02)


def test_two_rounds_are_one_sample_unless_one_was_disturbed() -> None:
    def rounds(*seconds: float) -> Sample:
        return calibration.together(
            [Sample("matmul", "float32", 1e6, 1e4, own, 0.01) for own in seconds]
        )

    assert rounds(2e-3, 3.125e-3).seconds == pytest.approx(2.5e-3)
    assert rounds(2e-3, 3.125e-3).spread == pytest.approx(0.5625)
    assert rounds(9e-3, 2e-3).seconds == 2e-3
    assert rounds(3e-3) == Sample("matmul", "float32", 1e6, 1e4, pytest.approx(3e-3), 0.01)


def samples() -> tuple[Sample, ...]:
    """Ten GB/s, a tenth of it from 1e6 bytes on; products of 2 Gflop/s and 4 where large."""
    return (
        Sample("elementwise", "float32", 0.0, 1e4, 1e-6, 0.01),
        Sample("elementwise", "float32", 0.0, 1e6, 1e-3, 0.01),
        Sample("matmul", "float32", 1e6, 1e4, 5e-4, 0.01),
        Sample("matmul", "float32", 1e8, 1e5, 2.5e-2, 0.01),
        Sample("convolution", "float32", 2e8, 1e5, 0.1, 0.01),
        Sample("convolution", "float32", 4e8, 1e5, 0.2, 0.01),
    )


FOUND = Calibration(
    machine="a processor (2 cores)", torch="2.13.0", threads=1, date="2026-11-21", call=1e-6,
    infer=2e-6, train=3e-6, seconds=8.0, spread=0.02, samples=samples(),
)  # fmt: skip


@pytest.mark.parametrize("one", samples(), ids=lambda one: f"{one.name} {one.operations:g}")
def test_what_was_measured_is_what_is_predicted(one: Sample) -> None:
    """At the sizes that were timed; five per cent: a sample is heard at its neighbours' places."""
    work = Work(one.name, "float32", "forward", 0, 1, one.operations, one.bytes)
    speeds = speeds_from(FOUND, train=False)
    found = parts_of(work, one.operations, one.bytes, speeds)
    assert found.seconds - speeds.overhead == pytest.approx(one.seconds, rel=0.05)
    assert speeds.overhead == 2e-6
    assert speeds_from(FOUND, train=True).overhead == 3e-6


@pytest.mark.parametrize(
    ("name", "operations", "moved", "least", "most"),
    [
        ("elementwise", 0, 100_000, 1e5 / 1e10, 1e5 / 1e9),  # between two sizes, between two rates
        ("matmul", 10**7, 30_000, 0.99 * 1e7 / 4e9, 1e7 / 2e9),
        ("elementwise", 0, 10**8, 0.1 * 0.95, 0.1 * 1.05),  # beyond the last: at the last's rate
        ("matmul", 10**10, 10**6, 2.5 * 0.95, 2.5 * 1.05),
        ("elementwise", 0, 100, 1e-8 * 0.95, 1e-8 * 1.05),
        ("convolution, backward", 4 * 10**8, 100_000, 0.19, 0.21),  # as forward: nothing else known
    ],
)
def test_between_and_beyond_what_was_measured(
    name: str, operations: int, moved: int, least: float, most: float
) -> None:
    work = Work(name, "float32", "forward", 0, 1, operations, moved)
    speeds = speeds_from(FOUND, train=False)
    assert least < parts_of(work, operations, moved, speeds).seconds - speeds.overhead < most


def test_a_formula_says_what_the_slowdown_does() -> None:
    """The text, worked out by Python, against the arrays' arithmetic."""
    from math import exp, log

    slowdown = speeds_from(FOUND, train=False).slowdowns["matmul", "float32"]
    for operations, moved in ((0, 10), (1e6, 1e4), (3e7, 5e4), (1e12, 1e9)):
        names = {"operations": operations, "bytes": moved, "exp": exp, "log": log}
        assert eval(slowdown.text(), {**names, "min": min, "max": max}) == pytest.approx(
            float(slowdown.at(operations, moved))
        )


def test_a_busy_machine_is_said() -> None:
    busy = speeds_from(replace(FOUND, spread=0.4), train=False)
    assert any("The machine was busy" in note for note in busy.notes)
    assert not any("busy" in note for note in speeds_from(FOUND, train=False).notes)
    assert busy.high - busy.low > 0.35


def test_it_is_kept_for_one_machine_version_and_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own = replace(FOUND, torch=torch.__version__, threads=torch.get_num_threads())
    assert calibration.kept() is None
    path = calibration.save(own)
    assert tmp_path in path.parents
    assert calibration.kept() == own
    assert calibration.kept(threads=own.threads + 1) is None
    path.write_text("{}")
    assert calibration.kept() is None


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "botec").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Exception, match=r"cannot be written .*; set XDG_CACHE_HOME to a folder"):
        calibration.save(FOUND)


def plain(value: Any) -> Any:
    """A call's argument as programs have it."""
    if isinstance(value, torch.Tensor):
        return Tensor(tuple(value.shape), str(value.dtype).removeprefix("torch."))
    return tuple(map(plain, value)) if isinstance(value, (list, tuple)) else value


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """Every kernel's calls, as the dispatcher sees them."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Seen(TorchDispatchMode):
        calls: list[Call]

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            made = func(*args, **(kwargs or {}))
            names = (argument.name for argument in func._schema.arguments)
            given = {**dict(zip(names, args, strict=False)), **(kwargs or {})}
            outputs = made if isinstance(made, (tuple, list)) else (made,)
            results = tuple(plain(one) for one in outputs if isinstance(one, torch.Tensor))
            arguments = {name: plain(value) for name, value in given.items()}
            name = str(func.overloadpacket)
            self.calls.append(Call(name, "", arguments, results, view=func.is_view))
            return made

    found: dict[str, Any] = {}
    with torch.no_grad():
        for one in kernels(torch.float32):
            if one.bytes < 3e6:
                mode = Seen()
                mode.calls = []
                with mode:
                    one.run()
                found[f"{one.name} {one.operations} {one.bytes}"] = (one, mode.calls)
    return found


NEITHER = ("optimizer", NEW_MEMORY)  # a phase; memory, not an op


def test_every_class_of_kernels_is_one_that_programs_have(seen: dict[str, Any]) -> None:
    """The op a kernel runs is of the class it is kept under (by the program's own naming)."""
    for one, calls in seen.values():
        if one.name not in NEITHER:
            assert one.name in {class_of(call) for call in calls}, one.name


def test_bytes_of_kernels_are_those_that_programs_count(seen: dict[str, Any]) -> None:
    """Five per cent: what a norm's weights and statistics take of a small tensor is not asked."""
    checked = set()
    for one, calls in seen.values():
        if one.bytes < 1e5 or one.name in NEITHER or one.name == "recurrent":
            continue
        (call,) = (call for call in calls if class_of(call) == one.name)
        line = Line(call, "", "forward", 0, 1, {"bytes": facts.bytes_moved(call)})
        assert bytes_of(line, one.name) == pytest.approx(one.bytes, rel=0.05), one.name
        checked.add(one.name)
    assert len(checked) > 30


def test_operations_of_products_are_twice_their_multiplications(seen: dict[str, Any]) -> None:
    """The framework's own counter says the same of every matrix product and convolution forward."""
    from torch.utils.flop_counter import FlopCounterMode

    checked = 0
    for one, _ in seen.values():
        if multiplies(one.name) and not one.name.startswith(("attention", "recurrent")):
            if "backward" in one.name and ("grouped" in one.name or "depthwise" in one.name):
                continue  # its count of grouped weight gradients is wrong (measure/operations.py)
            with FlopCounterMode(display=False) as counter:
                one.run()
            assert counter.get_total_flops() == one.operations, one.name
            checked += 1
    assert checked > 10


def test_ops_of_a_program_run_alone() -> None:
    """Every op of a small training step can be made and run on its own."""
    import botec

    program = botec.read("mlp:8-6-4", B=3)
    calls = [call for call in program.stream().calls if class_of(call) is not None]
    found = seconds_of(calls, program.asked)
    assert found.keys() == {signature(call, program.asked) for call in calls}
    assert None not in found.values()


def test_a_made_call_has_the_shapes_of_the_programs() -> None:
    import botec

    program = botec.read("mlp:8-6-4", train=False, B=3)
    for call in program.stream().calls:
        if facts.multiplications(call):
            out = runner(call, program.asked)()
            assert tuple(out.shape) == tuple(
                size if isinstance(size, int) else size.at(B=3) for size in call.outputs[0].shape
            )


def test_what_cannot_run_alone_is_left_out() -> None:
    call = Call("aten.nothing_like_it", "default", {"self": Tensor((2,))}, (Tensor((2,)),))
    assert list(seconds_of([call], {}).values()) == [None]


def test_new_memory_is_what_a_large_fill_takes_longer_than_a_small_one() -> None:
    """4e-10 s a byte against 1e-10: 3e-10 s for each byte of a result that is new every time."""
    extra = (
        Sample("fill", "float32", 0.0, 1e6, 3e-4, 0.01),
        Sample("fill", "float32", 0.0, 1e7, 1e-3, 0.01),
        Sample(NEW_MEMORY, "float32", 0.0, 4e7, 1.6e-2, 0.01),
    )
    speeds = speeds_from(replace(FOUND, samples=(*samples(), *extra)), train=False)
    assert speeds.fresh == pytest.approx(3e-10)
    assert speeds_from(FOUND, train=False).fresh == 0.0
