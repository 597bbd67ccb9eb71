"""``botec sweep``: from words to points and back, and what is wrong in one line."""

from __future__ import annotations

import csv
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
from botec.analyses.count import count
from botec.analyses.duration.speeds import speeds_of
from botec.analyses.duration.times import Durations
from botec.analyses.fit import CONTEXT, Fit, Room
from botec.analyses.memory import memory
from botec.analyses.on_device import on_device
from botec.analyses.quantities import quantities
from botec.analyses.sweep import Wanted, known_keys
from botec.commands import many
from botec.devices import device
from botec.read import read

MODEL = "mlp:12-20-3"


def test_all_kept_points_reach_the_file(say: Any, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    said = say("sweep", MODEL, "B=1:40:1", "--where", "B >= 11", "-o", str(path))
    assert (said.code, said.err) == (0, "")
    rows = list(csv.DictReader(path.open()))
    assert [int(row["B"]) for row in rows] == list(range(11, 41))
    assert "40 points asked; 30 kept." in said.out
    assert "B=1:40" in said.out.splitlines()[0]


def test_best_is_first(say: Any) -> None:
    text = say("sweep", MODEL, "B=1:64:x2", "--best", "-B").out
    first = text.partition("──\n")[2].splitlines()[0].split()
    assert first[0] == "64"
    assert "the least first" in text


def test_nothing_kept_is_a_no(say: Any) -> None:
    said = say("sweep", MODEL, "B=1:4", "--where", "memory.peak < 1")
    assert said.code == 1
    assert said.err.endswith("none of 4 points meets memory.peak < 1\n")
    assert "0 of 0" not in said.out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["B=1:4", "--where", "memory.peek < 1"], "memory.peek is no figure of this; did you mean"),
        (["B=1:4", "--where", "B B"], "B B: it is no expression; write it like"),
        (["B=1:4", "--best", "B < 2"], "it is a condition where a number belongs"),
        (["B=4:1"], "B=4:1: from 4 to 1; sizes are whole numbers that rise from 1"),
        (["B=1:4", "B=3"], "B=…: B is given twice; give each dimension once"),
        ([], "no dimension to sweep; write B=1:4096"),
        (["Q=1:4"], "Q"),
        (["B=1:4", "--figure", "flop.step"], "did you mean flops.step"),
        (["B=1:4", "--points", "0"], "0 is not in the range"),
        (["B=1:4", "-o", "a.xls"], "no format has the suffix '.xls'"),
        (["B=1:4", "-o", "/no/such/a.csv"], "it cannot be written (No such file or directory)"),
        (
            ["B=1:4", "--where", "memory.device < 1"],
            "memory.device is no figure of this; name a de",
        ),
        (["B=1:4", "--best", "time.step"], "time.step is no figure of this; name a device"),
        (["B=1:4", "--figure", "memory.reserved"], "name a device of the catalogue with --device"),
        (["B=1:4", "--where", "__import__('os').system('x') < 1"], "is not understood"),
        (["B=1:4", "--vary", "K"], "--vary K: 'K' names no field and its sizes"),
        (["B=1:4", "K=1,2", "--vary", "K=3,4"], "K is varied twice"),
        (["B=1:4", "--backend", "spark"], "--backend spark: 'spark' is unknown; use one of loky,"),
        (["B=1:4", "--backend", "loki"], "did you mean loky?"),
        (["B=1:4", "--jobs", "-1"], "-1 is not in the range"),
        (["B=1:9000000:1", "--points", "9000000", "--backend", "loky"], "9,000,000 points of each"),
    ],
)
def test_wrong_questions(say: Any, words: list[str], line: str) -> None:
    assert line in say("sweep", MODEL, *words).wrong


def test_expressions_are_checked_before_anything_is_read(
    say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that takes minutes to read must not be read for a slip of the pen."""

    def never(*given: Any, **named: Any) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(import_module("botec.read"), "read", never)
    for words in (["--where", "memory.peek < 1"], ["--best", "flop.step"], ["--figure", "peak"]):
        assert "is no figure of this" in say("sweep", MODEL, "B=1:4", *words).wrong


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("optimizer", ["adamw", None])
def test_the_figures_known_beforehand_are_those_of_the_program(
    train: bool, optimizer: str | None
) -> None:
    for name in ("cpu", "cuda", "a100"):
        program = read(MODEL, train=train, optimizer=optimizer, device=name)
        found = {**quantities(program), **on_device(program)}
        assert known_keys(train, bool(optimizer), name) == tuple(found)


# --- on a device ----------------------------------------------------------------------------------


def test_memory_of_a_device_is_what_fit_says(say: Any, tmp_path: Path) -> None:
    """The sweep's points beside the answers of ``botec fit``, each asked alone."""
    path = tmp_path / "points.csv"
    words = ("--where", "memory.device < 24GiB", "--device", "rtx4090", "-o", str(path))
    assert say("sweep", "mlp:900-900-9", "B=64:40000:x8", *words).code == 0
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 4
    program = read("mlp:900-900-9", device="rtx4090", B=32768)
    for row in rows:
        alone = Fit(program, Room(24 * 2**30, CONTEXT), {"B": int(row["B"])})
        assert int(row["memory.device"]) == alone.device
        assert int(row["memory.device"]) >= int(row["memory.peak"])


def test_what_cannot_fit_is_not_simulated(
    say: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points whose tensors alone are too many are kept out beforehand; what is kept is the same."""
    path, asked = tmp_path / "points.csv", []
    module = sys.modules["botec.analyses.on_device"]
    held = module.held

    def noted(program: Any, point: Any) -> int:
        asked.append(dict(point)["B"])
        return held(program, point)

    monkeypatch.setattr(module, "held", noted)
    words = ("--where", "memory.device < 1GiB and B > 64", "--device", "a100", "-o", str(path))
    say("sweep", "mlp:900-900-9", "B=64:400000:x8", *words)
    rows = list(csv.DictReader(path.open()))
    program = read("mlp:900-900-9", device="a100", B=64)
    for size in (64 * 8**step for step in range(5)):
        fits = Fit(program, Room(80 * 2**30, CONTEXT), {"B": size}).device < 2**30
        assert (str(size) in [row["B"] for row in rows]) == (fits and size > 64)
    assert asked == [512, 4096, 32768]


def test_seconds_of_a_device_are_those_of_its_ops(say: Any, tmp_path: Path) -> None:
    """Every point beside the sum over all ops, each asked alone."""
    path = tmp_path / "points.csv"
    words = ("--device", "a100", "--figure", "time.step", "--best", "time.step/B", "-o", str(path))
    text = say("sweep", MODEL, "B=2:512:x16", *words).out
    assert text.partition("──\n")[2].split()[0] == "512"  # a large batch shares the calls' costs
    program = read(MODEL, device="a100", B=512)
    timed = Durations(program, program.stream(), speeds_of(device("a100"), True))
    for row in csv.DictReader(path.open()):
        assert float(row["time.step"]) == pytest.approx(timed.total(B=int(row["B"])), rel=1e-12)
        assert 0 < float(row["time.step"]) < 1


def test_too_many_points_to_simulate_say_so(say: Any) -> None:
    words = ("B=1:20000:1", "--device", "cuda", "--figure", "memory.reserved")
    line = say("sweep", MODEL, *words, "--points", "20000").wrong
    assert "memory.reserved is simulated point by point, and there are 20,000 points" in line


# --- many networks --------------------------------------------------------------------------------


def test_many_networks_one_of_them_bad(say: Any, tmp_path: Path) -> None:
    """Each network's points are those of its own sweep; the bad one is a row with its reason."""
    path = tmp_path / "points.csv"
    words = ("B=2:32:x4", "--vary", "K=6,12", "--backend", "threading", "-o", str(path))
    said = say("sweep", "mlp:KxK", "mlp:3-4", "mlp:K-5", *words)
    assert said.code == 0
    assert "2 without an answer" in said.out
    rows = list(csv.DictReader(path.open()))
    bad = [row for row in rows if row["reason"]]
    told = [(row["model"], row["K"], row["B"]) for row in bad]
    assert told == [("mlp:3-4", "6", ""), ("mlp:3-4", "12", "")]
    assert "it has no letter K" in bad[0]["reason"]
    for model in ("mlp:KxK", "mlp:K-5"):
        for size in (6, 12):
            own = [r for r in rows if (r["model"], r["K"]) == (model, str(size))]
            program = read(model.replace("K", str(size)))
            assert [int(row["B"]) for row in own] == [2, 8, 32]
            for row in own:
                there = {"B": int(row["B"])}
                assert int(row["memory.peak"]) == memory(program, **there).fullest.bytes
                flops = count(program, **there).total("flops").at(**there)
                assert int(row["flops.step"]) == flops


def test_fields_may_stand_in_expressions(say: Any) -> None:
    words = ("--vary", "K=6,12", "--backend", "threading", "--where", "K*B > 40", "--best=-K*B")
    out = say("sweep", "mlp:KxK", "B=1:4:1", *words).out
    first = out.partition("──\n")[2].splitlines()[0].split()
    assert first[:3] == ["mlp:KxK", "12", "4"]
    assert "8 points asked; 1 kept." in out


def test_a_sweep_goes_on_where_it_stopped(
    say: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file cut in the middle of a line: whole lines are not read again, the rest is."""
    kept, out = tmp_path / "done.jsonl", tmp_path / "points.csv"
    words = ["B=1:8:x2", "--vary", "K=6,12,18", "--backend", "threading", "--resume", str(kept)]
    whole = say("sweep", "mlp:KxK", *words, "-o", str(out))
    text, points = kept.read_text(), out.read_text()
    lines = text.splitlines(keepends=True)
    assert len(lines) == 4
    kept.write_text("".join(lines[:2]) + lines[2][:40])
    done: list[Any] = []
    honest = many.outcome

    def watched(network: Any, question: Any) -> Any:
        done.append(network.fields["K"])
        return honest(network, question)

    monkeypatch.setattr(many, "outcome", watched)
    again = say("sweep", "mlp:KxK", *words, "-o", str(out))
    assert sorted(done) == [12, 18]
    assert (again.out, out.read_text()) == (whole.out, points)
    other = say("sweep", "mlp:KxK", "B=1:16:x2", *words[1:])
    assert "it holds another sweep; name a file of its own" in other.wrong


@pytest.mark.slow
def test_processes_give_what_threads_give(say: Any) -> None:
    words = ("B=1:8:x2", "--vary", "K=6,12")
    pages = [
        say("sweep", "mlp:KxK", *words, "--backend", name).out for name in ("loky", "threading")
    ]
    assert pages[0] == pages[1]
    assert "8 of 8 points" in pages[0]


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_an_engine_that_is_not_there_is_one_line(
    say: Any, name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    line = say("sweep", "mlp:KxK", "B=1:8", "--vary", "K=6,12", "--backend", name).wrong
    assert line == (
        f"--backend {name}: the package {package} is not installed; run pip install {package}, or "
        "leave --backend out"
    )


def test_a_network_that_breaks_botec_itself_does_not_lose_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(network: Any, question: Any) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(many, "swept", broken)
    found = many.outcome(many.Network("mlp:3-3"), many.Question((), {}, {}, Wanted()))
    assert (found.reason, found.points) == ("ZeroDivisionError: by nothing", 0)


@pytest.mark.slow
def test_the_script_ends_when_its_workers_have_nothing_left_to_do() -> None:
    """Workers wait five minutes for more work unless they are told to stop."""
    words = [sys.executable, "-m", "botec", "sweep", "mlp:4-2", "mlp:2-2", "B=1:2", "--json"]
    done = subprocess.run(words, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0
