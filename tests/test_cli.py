"""The command line: what it asks, what it prints where, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from botec import __version__, cli
from botec.errors import BotecError, MissingPackage
from botec.inputs import Input
from botec.report import Counted, Figure, Figures, Report, Section

PAGE = Report(
    {"name": "mlp:3x3"},
    {"train": True},
    {"parameters": Figure("parameters", "parameters", "1", Counted(36, "36", "exact"))},
    (Section("Size", (Figures(("parameters",)),)),),
    version=__version__,
)


@dataclass
class Said:
    """What one command line did."""

    code: int
    out: str
    err: str


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Rooms that answer at once, and keep what they were asked."""
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def answer(*positional: Any, **options: Any) -> Report:
        asked.append((positional, options))
        return PAGE

    rooms(monkeypatch, answer)
    return asked


def rooms(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Report], differ: Sequence[str] = ()
) -> None:
    """``answer`` in place of ``estimate`` and ``verify``; ``differ``: what verify disagrees on."""
    estimate, verify = types.ModuleType("botec.estimate"), types.ModuleType("botec.measure.verify")
    estimate.estimate, verify.verify = answer, answer  # type: ignore[attr-defined]
    verify.disagreements = lambda report: tuple(differ)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "botec.estimate", estimate)
    monkeypatch.setitem(sys.modules, "botec.measure.verify", verify)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*arguments: str) -> Said:
        code = cli.run(arguments)
        return Said(code, *capsys.readouterr())

    return run


def one_line(said: Said) -> str:
    """The line of a wrong question: alone, on stderr, with exit code 2."""
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("botec: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    return said.err[len("botec: ") : -1]


def raising(error: BaseException) -> Callable[..., Report]:
    def answer(*positional: Any, **options: Any) -> Report:
        raise error

    return answer


def test_the_defaults(calls: list[Any], say: Any) -> None:
    assert say("estimate", "mlp:3x3").code == 0
    assert calls == [
        (
            ("mlp:3x3",),
            {
                "train": True,
                "optimizer": "adamw",
                "precision": "fp32",
                "checkpoint": False,
                "device": "cpu",
            },
        )
    ]


def test_every_option_in_any_order(calls: list[Any], say: Any) -> None:
    words = (
        "estimate f.py:N --optimizer sgd B=8 --input x=B,3 --precision amp-bf16 S=4 --device h100"
    )
    assert say(*words.split(), "--checkpoint", "--input", "ids=B,S:int64", "B=8").code == 0
    (positional, options) = calls[0]
    assert positional == (
        "f.py:N",
        Input("B", 3, name="x"),
        Input("B", "S", dtype="int64", name="ids"),
    )
    assert options == {
        "train": True, "optimizer": "sgd", "precision": "amp-bf16", "checkpoint": True,
        "device": "h100", "B": 8, "S": 4,
    }  # fmt: skip


def test_inference_has_no_optimizer(calls: list[Any], say: Any) -> None:
    say("estimate", "m", "--infer", "--optimizer", "adamw")
    say("estimate", "m", "--optimizer", "none")
    found = [(options["train"], options["optimizer"]) for _, options in calls]
    assert found == [(False, None), (True, None)]


@pytest.mark.usefixtures("calls")
def test_the_page_goes_to_stdout_and_nothing_else(say: Any) -> None:
    said = say("estimate", "mlp:3x3")
    assert said.out.startswith("mlp:3x3\n")
    assert "\x1b" not in said.out
    assert said.err == ""


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("command", ["estimate", "verify"])
def test_json_is_one_object(say: Any, command: str) -> None:
    page = json.loads(say(command, "m", "--json").out)
    assert page["botec"] == __version__
    assert page["figures"]["parameters"]["counted"]["value"] == 36


@pytest.mark.usefixtures("calls")
def test_a_saved_report_prints_again(say: Any, tmp_path: Path) -> None:
    file = tmp_path / "page.json"
    page, as_json = say("estimate", "m").out, say("estimate", "m", "--json").out
    said = say("estimate", "m", "-o", str(file))
    assert (said.code, said.out) == (0, "")
    assert said.err == f"botec: estimate m: written to {file}\n"
    assert say("show", str(file)).out == page
    assert say("show", str(file), "--json").out == as_json == file.read_text()
    assert say("show", str(file), "-o", str(tmp_path / "page.txt")).code == 0
    assert (tmp_path / "page.txt").read_text() == page
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["page.json", "page.txt"]


def test_a_failed_check_is_a_no(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, lambda *_, **__: PAGE, differ=["memory.peak: counted 1 B, measured 9 B"])
    said = say("verify", "m")
    assert said.code == 1
    assert "36" in said.out
    assert said.err == "botec: verify m: memory.peak: counted 1 B, measured 9 B\n"


B_FORM = "give a whole number from 1, such as B=32"
WRONG = [
    ("estimate", "estimate: MODEL is missing; write botec estimate torchvision:resnet50 B=32"),
    ("show", "show: FILE is missing; see botec show --help"),
    ("estimat m", "estimat: no such command; did you mean estimate?"),
    ("xyzzy", f"xyzzy: no such command; use one of {', '.join(cli.botec.commands)}"),
    ("--nope", "--nope: no such option; see botec --help"),
    ("estimate m --optimzer a", "estimate --optimzer: no such option; did you mean --optimizer?"),
    (
        "verify m --precision fp23",
        "--precision fp23: 'fp23' is unknown; did you mean fp32, fp16?",
    ),
    (
        "estimate m --precision z",
        "--precision z: 'z' is unknown; use one of fp32, bf16, fp16, amp-bf16, amp-fp16",
    ),
    ("estimate m --device", "--device: no value, or one it does not take; see botec --help"),
    ("estimate m B", "B: not of the form NAME=NUMBER; write a dimension as B=32"),
    ("estimate m =3", "=3: not of the form NAME=NUMBER; write a dimension as B=32"),
    ("estimate m B=0", f"B=0: B is '0'; {B_FORM}"),
    ("estimate m B=-1", f"B=-1: B is '-1'; {B_FORM}"),
    ("estimate m B=1e30", f"B=1e30: B is '1e30'; {B_FORM}"),
    ("estimate m B=", f"B=: B is ''; {B_FORM}"),
    ("estimate m B=1 S=2 B=3", "B=3: B is also 1; give each dimension once"),
    ("estimate m device=3", "device=3: device is an option; write --device 3"),
    ("estimate m train=1", "train=1: train is an option; write --train"),
    (
        "estimate B=3",
        "B=3: B=3 stands where the model belongs; write botec estimate torchvision:resnet50 B=32",
    ),
    ("estimate m --input x=,3", '--input x=,3: an empty size; write it as "x=B,3,224,224"'),
    ("estimate m -o page.jsn", "-o page.jsn: no format has the suffix '.jsn'; did you mean .json?"),
    (
        "estimate m -o page",
        "-o page: the name has no suffix; end it in .csv or .html or .json or .md or .parquet "
        "or .png or .svg or .txt",
    ),
    (
        "estimate m -o /no/such/page.json",
        "-o /no/such/page.json: it cannot be written (No such file or directory); name a file in a "
        "folder you may write to",
    ),
    (
        "show /no/page.json",
        "show /no/page.json: it cannot be read (No such file or directory); name a file that botec "
        "estimate MODEL -o page.json has written",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "line"), WRONG, ids=[row[0] for row in WRONG])
def test_a_wrong_question_is_one_line(say: Any, calls: list[Any], words: str, line: str) -> None:
    assert one_line(say(*words.split())) == line
    assert calls == []


def test_broken_reports(say: Any, tmp_path: Path) -> None:
    for name, content in {"a.json": b"{", "b.json": b"\xff\xfe\x00", "c.json": b"{}"}.items():
        (tmp_path / name).write_bytes(content)
        line = one_line(say("show", str(tmp_path / name)))
        assert line.startswith(f"show {tmp_path / name}: ")
        assert "botec estimate MODEL -o page.json" in line


def test_a_folder_is_no_file(say: Any, tmp_path: Path, calls: list[Any]) -> None:
    folder = tmp_path / "page.json"
    folder.mkdir()
    assert "it is a folder; name a file" in one_line(say("estimate", "m", "-o", str(folder)))
    assert calls == []


def test_a_failed_question_loses_no_file(
    say: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms(monkeypatch, raising(BotecError("no such model", "name another")))
    file = tmp_path / "page.json"
    file.write_text("mine")
    assert (
        one_line(say("estimate", "m", "-o", str(file))) == "estimate m: no such model; name another"
    )
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["mine"]


@pytest.mark.usefixtures("calls")
def test_a_new_file_has_the_rights_of_any_new_file(say: Any, tmp_path: Path) -> None:
    old, new, link = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "link.json"
    old.write_text("")
    old.chmod(0o640)
    link.symlink_to(old)
    before = os.umask(0o022)
    try:
        assert say("estimate", "m", "-o", str(new)).code == 0
        assert say("estimate", "m", "-o", str(link)).code == 0
    finally:
        os.umask(before)
    assert (new.stat().st_mode & 0o777, old.stat().st_mode & 0o777) == (0o644, 0o640)
    assert link.is_symlink()
    assert "36" in old.read_text()


@pytest.mark.usefixtures("calls")
def test_a_file_is_replaced_whole(say: Any, tmp_path: Path) -> None:
    """Who still reads the old file reads the old file: nothing is written into it."""
    file, second_name = tmp_path / "page.json", tmp_path / "old"
    file.write_text("old")
    second_name.hardlink_to(file)
    assert say("estimate", "m", "-o", str(file)).code == 0
    assert (second_name.read_text(), json.loads(file.read_text())["notes"]) == ("old", [])


def fault() -> Exception:
    return ZeroDivisionError("a\nfault")


def test_the_unexpected_is_one_line(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, raising(fault()))
    line = one_line(say("estimate", "m"))
    assert line == (
        "estimate m: internal error: ZeroDivisionError: a fault; "
        "run again with --debug and report what it shows"
    )


@pytest.mark.parametrize("error", [fault(), BotecError("seen", "do")])
def test_debug_shows_the_traceback(
    say: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    rooms(monkeypatch, raising(error))
    said = say("estimate", "m", "--debug")
    assert said.code == 2
    assert "Traceback" in said.err
    assert said.err.splitlines()[-1].startswith("botec: estimate m: ")


def test_a_missing_package_names_the_remedy(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, raising(ModuleNotFoundError("No module named 'torch'", name="torch._C")))
    line = one_line(say("estimate", "m"))
    assert line == 'estimate m: the package torch is not installed; run pip install "botec[zoo]"'
    rooms(monkeypatch, raising(MissingPackage("timm is not installed", "install it")))
    assert one_line(say("estimate", "m")) == "estimate m: timm is not installed; install it"


def test_a_model_that_exits(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, raising(SystemExit(0)))
    assert one_line(say("estimate", "m")).startswith("estimate m: the model ended the program; ")


def test_interrupted(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, raising(KeyboardInterrupt()))
    said = say("estimate", "m")
    assert (said.code, said.out, said.err) == (130, "", "botec: interrupted\n")


def test_hostile_texts_stay_on_their_line(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms(monkeypatch, raising(BotecError("seen \x1b[31m\n\r\x07[bold]")))
    assert one_line(say("estimate", "m\nn\x1b[0m")) == "estimate m n�[0m: seen �[31m �[bold]"


@pytest.mark.filterwarnings("ignore:deprecated")
def test_what_a_model_prints_is_not_the_answer(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: Any, **__: Any) -> Report:
        import logging
        import warnings

        print("loading weights")
        warnings.warn("deprecated", stacklevel=1)
        logging.getLogger("model").error("hello")
        return PAGE

    rooms(monkeypatch, answer)
    said = say("estimate", "m", "--json")
    assert json.loads(said.out)
    assert said.err == ""
    assert "loading weights" in say("estimate", "m", "--debug").err


@pytest.mark.parametrize(
    ("tty", "environment", "arguments", "coloured"),
    [
        (True, {}, [], True),
        (False, {}, [], False),
        (True, {"NO_COLOR": "1"}, [], False),
        (True, {"NO_COLOR": ""}, [], True),
        (True, {"TERM": "dumb"}, [], False),
        (True, {}, ["--plain"], False),
        (True, {}, ["--json"], False),
    ],
)
@pytest.mark.usefixtures("calls")
def test_colour_only_where_it_is_wanted(
    say: Any,
    monkeypatch: pytest.MonkeyPatch,
    tty: bool,
    environment: dict[str, str],
    arguments: list[str],
    coloured: bool,
) -> None:
    for name, value in {"TERM": "xterm", "NO_COLOR": "", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: tty)
    assert ("\x1b" in say("estimate", "m", *arguments).out) == coloured


def test_help_needs_only_click() -> None:
    """What makes it quick: nothing heavy is loaded, and no room that answers questions."""
    probe = "import sys; from botec import cli; cli.run(['estimate', '--help']); "
    heavy = "('rich', 'numpy', 'torch', 'scipy', 'botec.analyses', 'botec.measure', 'botec.ops')"
    seen = subprocess.run(
        [sys.executable, "-c", f"{probe} print([m for m in {heavy} if m in sys.modules])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert seen.stdout.splitlines()[-1] == "[]"


def test_help_names_everything(say: Any) -> None:
    text = say("--help").out
    assert say().out == text
    for name, command in cli.botec.commands.items():
        assert f"\n  {name} " in text
        page = say(name, "--help").out
        shown = [o for p in command.params for o in p.opts if isinstance(p, click.Option)]
        assert all(option in page for option in shown), page
        assert max(map(len, page.splitlines())) <= 88
        assert "..." not in text.partition("Commands:")[2]


def test_version(say: Any) -> None:
    assert say("--version").out == f"botec {__version__}\n"


SHOW = [sys.executable, "-c", "from botec.cli import main; main()", "show"]


@pytest.fixture
def saved(tmp_path: Path) -> str:
    from botec.write.to_json import write

    file = tmp_path / "page.json"
    file.write_text(write(PAGE))
    return str(file)


def test_a_reader_who_leaves_is_no_failure(saved: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for arguments in ([saved], [saved, "--json"], ["--help"]):
        ended = subprocess.run([*SHOW, *arguments], stdout=writing, stderr=subprocess.PIPE)
        assert (ended.returncode, ended.stderr) == (0, b"")
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_one_line(saved: str) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*SHOW, saved], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "the answer cannot be printed (No space left on device)" in ended.stderr


def test_a_stream_that_knows_only_ascii(saved: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([*SHOW, saved], capture_output=True, env=environment)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"36" in ended.stdout


WAITING = """
import signal, sys, time, types
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
room = types.ModuleType("botec.estimate")
room.estimate = lambda *a, **k: (sys.stderr.write("ready"), sys.stderr.flush(), time.sleep(30))
sys.modules["botec.estimate"] = room
from botec.cli import main
sys.argv = ["botec", "estimate", "m", "-o", sys.argv[1]]
main()
"""


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITING, str(tmp_path / "page.json")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        assert running.stderr.read(5) == "ready"
        running.send_signal(signal.SIGINT)
        assert running.stderr.read() == "botec: interrupted\n"
        assert running.wait(10) == 130
    assert list(tmp_path.iterdir()) == []
