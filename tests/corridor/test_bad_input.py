"""Wrong questions: one line that says what was asked, what was seen and what to do; exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from corridor.asking import Said, say
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

NETS = '''
import torch
from torch import nn


class Branch(nn.Module):
    """Takes one way or the other by what its data say."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        x = self.layer(x)
        return x * 2 if x.sum() > 0 else x


class Value(Branch):
    def forward(self, x):
        return self.layer(x) * x.mean().item()


class Chosen(Branch):
    def forward(self, x):
        return self.layer(x)[x > 0]


class Loop(Branch):
    def forward(self, x):
        while x.abs().max() > 1:
            x = self.layer(x)
        return x


class Plain(Branch):
    def forward(self, x):
        return self.layer(x)


class Lookup(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, x):
        return self.table(x)


class Broken(Branch):
    def forward(self, x):
        raise RuntimeError("first line\\nsecond \\x1b[31mline")


class Deep(Branch):
    def forward(self, x):
        return self.forward(x)


class Leaves(Branch):
    def forward(self, x):
        raise SystemExit(0)


class Frozen(Branch):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


class Waiting(Branch):
    def __init__(self):
        super().__init__()
        self.layer = nn.LazyLinear(4)

    def forward(self, x):
        return self.layer(x)


def width(size):
    return nn.Linear(size, size)


number = 3
'''
FILES = {
    "nets.py": NETS,
    "missing.py": "import nothing_of_this_name\n",
    "syntax.py": "def (\n",
    "ends.py": "raise SystemExit(0)\n",
    "fails.py": "1 / 0\n",
    "wide.json": '{"model_type": "bert", "hidden_size": "wide"}',
    "negative.json": '{"model_type": "bert", "hidden_size": -3}',
    "heads.json": '{"model_type": "bert", "num_attention_heads": 7}',
    "empty.json": '{"model_type": "llama", "vocab_size": 0}',
    "typo.json": '{"model_type": "bertt"}',
    "untyped.json": '{"hidden_size": 4}',
    "broken.json": '{"botec": 1',
    "list.json": "[]",
    "odd.json": '{"botec": "0", "model": 3, "figures": {}}',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with networks, configurations and reports, most of them broken."""
    place = tmp_path_factory.mktemp("bad")
    for name, text in FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    (place / "binary.json").write_bytes(b"\xff\xfe\x00")
    return place


def line_of(said: Said) -> str:
    """The one line of a wrong question; nothing on stdout, and nothing went wrong inside."""
    assert (said.code, said.out) == (2, ""), said
    assert said.err.startswith("botec: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    line = said.err[len("botec: ") : -1]
    assert line.isprintable()
    assert len(line) <= 600, line
    for never in ("internal error", "Traceback"):
        assert never not in line, line
    assert "; " in line, "it does not say what to do"
    return line


NO_TORCHVISION = ("torchvision has no such model", "did you mean resnet50")
DIGITS = "9" * 5000
X4 = ("--input", "x=B,4")

# What was typed (files lie in the working folder), and what the line must say of it.
WRONG: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown torchvision model": (("torchvision:resnet51",), ("resnet51", *NO_TORCHVISION)),
    "unknown timm model": (("timm:resnet51",), ("timm has no such model", "did you mean")),
    "unknown tag": (("timm:resnet50.nope",), ("no weights tagged 'nope'",)),
    "unknown model type": (("transformers:lama",), ("lama", "did you mean llama")),
    "unknown hub id": (("transformers:no/such",), ("cannot be reached", "config.json")),
    "unknown file": (("nofile.py:Net",), ("there is no such file",)),
    "unknown name in a file": (("nets.py:Plane", *X4), ("has no Plane", "did you mean Plain")),
    "no name after a file": (("nets.py",), ("no NAME after the file", "nets.py:Net")),
    "unknown width": (("mlp:a-b",), ("'a' is no width", "mlp:784-512-10")),
    "one width": (("mlp:3",), ("one width makes no layer",)),
    "no layers": (("mlp:3x0",), ("0 layers", "ask for 1 to")),
    "unknown scheme": (("torchvison:resnet50",), ("no such kind of model", "torchvision")),
    "no scheme": (("resnet50",), ("not of a known form", "torchvision:NAME")),
    "nothing": (("",), ("MODEL", "not of a known form")),
    "boxes": (("torchvision:fasterrcnn_resnet50_fpn",), ("detection", "backbone")),
    "B=0": (("mlp:3x3", "B=0"), ("B=0", "B is '0'", "whole number from 1")),
    "B=-1": (("mlp:3x3", "B=-1"), ("B=-1", "whole number from 1")),
    "B=1e30": (("mlp:3x3", "B=1e30"), ("B=1e30", "whole number from 1")),
    "B=nan": (("mlp:3x3", "B=nan"), ("B=nan", "whole number from 1")),
    "B=inf": (("mlp:3x3", "B=inf"), ("B=inf", "whole number from 1")),
    "B=1.5": (("mlp:3x3", "B=1.5"), ("B=1.5", "whole number from 1")),
    "B of 20 digits": (("mlp:3x3", f"B={'9' * 20}"), ("B is '9999", "below 2**62")),
    "B of 5000 digits": (("mlp:3x3", f"B={DIGITS}"), ("B is '9999", "below 2**62")),
    "B beyond any memory": (("mlp:3x3", f"B={2 * 10**18}"), ("B=2000000000000000000",)),
    "a width of 5000 digits": ((f"mlp:3-{DIGITS}",), ("width",)),
    "a size of 5000 digits": (("mlp:3x3", "--input", f"x=B,{DIGITS}"), ("size",)),
    "a dimension that is not there": (("mlp:3x3", "S=3"), ("S=3", "no dimension S", "have B")),
    "a dimension named as an argument": (("mlp:3x3", "model=3"), ("no dimension model",)),
    "a dimension beyond its positions": (("transformers:bert", "S=513"), ("S=513", "S=512")),
    "wrong shape": (("torchvision:resnet50", "--input", "x=B,1,224,224"), ("resnet50", "--input")),
    "wrong width": (("mlp:3x3", "--input", "x=B,5"), ("[1, 5]", "shapes and types")),
    "wrong picture": (("torchvision:vit_b_16", "--input", "x=B,3,225,225"), ("225", "--input")),
    "wrong dtype for a convolution": (
        ("torchvision:resnet50", "--input", "x=B,3,224,224:int64"), ("one type", "--input"),
    ),
    "wrong dtype for a lookup": (("nets.py:Lookup", "--input", "x=B,4:float32"), ("float",)),
    "wrong dtype for a product": (("nets.py:Plain", "--input", "x=B,4:int64"), ("one type",)),
    "wrong precision for a product": (("nets.py:Plain", "--input", "x=B,4:float64"), ("one type",)),
    "unknown dtype": (("mlp:3x3", "--input", "x=B,3:float33"), ("'float33'", "float32")),
    "no sizes": (("mlp:3x3", "--input", "x="), ("--input x=", "empty size")),
    "a size of 0": (("mlp:3x3", "--input", "x=B,0"), ("size 0", "whole numbers from 1")),
    "a size that is none": (("mlp:3x3", "--input", "x=B,3.5"), ("'3.5'",)),
    "a name it is not called with": (("mlp:3x3", "--input", "y=B,3"), ("'y'", "--input")),
    "no inputs": (("nets.py:Plain",), ("nothing says how it is called", "--input")),
    "a file that does not import": (("missing.py:Net", *X4), ("nothing_of_this_name", "line 1")),
    "a file that is no Python": (("syntax.py:Net", *X4), ("SyntaxError at line 1",)),
    "a file that ends the program": (("ends.py:Net", *X4), ("SystemExit at line 1",)),
    "a file that fails": (("fails.py:Net", *X4), ("ZeroDivisionError at line 1",)),
    "a name that is no network": (("nets.py:number", *X4), ("number is of type int",)),
    "an argument that is missing": (("nets.py:width", *X4), ("width", "'size'")),
    "an argument that is no literal": (("nets.py:width(1+1)", *X4), ("with literals",)),
    "an argument without a meaning": (("nets.py:width(-1)", *X4), ("negative dimension",)),
    "a forward that raises": (("nets.py:Broken", *X4), ("first line",)),
    "a forward without an end": (("nets.py:Deep", *X4), ("RecursionError",)),
    "a forward that ends the program": (("nets.py:Leaves", *X4), ("ended the program",)),
    "weights that are not there yet": (("nets.py:Waiting", *X4), ("Waiting",)),
    "nothing to train": (("nets.py:Frozen", *X4), ("requires a gradient", "--infer")),
    "a branch on data": (("nets.py:Branch", *X4), ("real data", "nets.py line", "take the")),
    "a value of data": (("nets.py:Value", *X4), ("real data", "nets.py line")),
    "a loop on data": (("nets.py:Loop", *X4), ("real data", "nets.py line")),
    "a choice by data": (("nets.py:Chosen", *X4), ("real data", "nets.py line")),
    "a text for a number": (("transformers:./wide.json",), ("hidden_size='wide'", "expected int")),
    "a negative width": (("transformers:./negative.json",), ("hidden_size is -3",)),
    "heads that do not divide": (("transformers:./heads.json",), ("attention heads (7)",)),
    "no vocabulary": (("transformers:./empty.json",), ("vocab_size is 0",)),
    "a misspelt model type": (("transformers:./typo.json",), ("'bertt'", "did you mean bert")),
    "no model type": (("transformers:./untyped.json",), ("no model_type", "add one")),
    "no JSON": (("transformers:./broken.json",), ("no JSON", "correct the file")),
    "a field of no configuration": (("transformers:bert?nope=3",), ("no field 'nope'",)),
    "a field without a number": (("transformers:bert?hidden_size=abc",), ("expected int",)),
    "a field of 5000 digits": ((f"transformers:bert?hidden_size={DIGITS}",), ("hidden_size",)),
    "unknown optimizer": (("mlp:3x3", "--optimizer", "adam2"), ("'adam2'", "did you mean adam")),
    "an optimizer that wants more": (("mlp:3x3", "--optimizer", "lbfgs"), ("optimizer",)),
    "unknown precision": (("mlp:3x3", "--precision", "fp23"), ("'fp23'", "did you mean fp32")),
    "unknown device": (("mlp:3x3", "--device", "nope"), ("nope", "no such device")),
    "nothing to recompute": (("mlp:3x3", "--checkpoint"), ("no repeated blocks",)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_one_line(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words, parts = WRONG[name]
    line = line_of(say("estimate", *words, "--json"))
    for part in parts:
        assert part in line, (part, line)


REPORTS = {
    "broken.json": "not JSON",
    "list.json": "the file holds a list",
    "odd.json": "odd.json",
    "binary.json": "not a text file",
    "absent.json": "No such file",
    ".": "Is a directory",
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_broken_report(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    line = line_of(say("show", name))
    assert line.startswith(f"show {name}: ")
    assert REPORTS[name] in line
    assert "botec estimate MODEL -o page.json" in line


def test_verify_says_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for words in (("torchvision:resnet51",), ("mlp:3x3", "B=0"), ("nets.py:Branch", *X4)):
        asked, verified = (line_of(say(command, *words)) for command in ("estimate", "verify"))
        assert verified.replace("verify", "estimate") == asked


@pytest.mark.parametrize("words", [("mlp:3x3", "B=1e30"), ("nets.py:Branch", *X4)])
def test_a_real_process_fails_so_too(words: tuple[str, ...], folder: Path) -> None:
    command = [sys.executable, "-c", "from botec.cli import main; main()", "estimate"]
    ended = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True)
    line_of(Said(ended.returncode, ended.stdout, ended.stderr))


def test_debug_shows_where(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    said = say("estimate", "nets.py:Broken", *X4, "--debug")
    assert said.code == 2
    assert "Traceback" in said.err
    assert said.err.splitlines()[-1].startswith("botec: ")


def answered_or_one_line(*words: str) -> None:
    """Whatever is typed: an answer, or the one line."""
    assume("--debug" not in words)
    said = say(*words)
    assert said.code in (0, 2), said
    if said.code == 2:
        line_of(said)


FUZZED = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
WORD = st.text(max_size=20)
SIGNS = st.text("mlp:x-0123459=B,S.+_ ", max_size=12)


@FUZZED
@given(text=st.one_of(WORD, SIGNS))
def test_any_text_as_a_model(text: str) -> None:
    answered_or_one_line("estimate", f"mlp:{text}", "--json")


@FUZZED
@given(text=st.one_of(WORD, SIGNS, st.integers().map(lambda size: f"B={size}")))
def test_any_text_as_a_dimension(text: str) -> None:
    answered_or_one_line("estimate", "mlp:2-2", text, "--infer", "--json")


@FUZZED
@given(text=st.one_of(WORD, SIGNS.map(lambda sizes: f"x={sizes}")))
def test_any_text_as_an_input(text: str) -> None:
    answered_or_one_line("estimate", "mlp:2-2", f"--input={text}", "--infer", "--json")


@FUZZED
@given(text=st.one_of(WORD, st.text('{}[]":,0123 aenrtuslfb', max_size=30)))
def test_any_text_as_a_report(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("page") / "page.json"
    file.write_text(text, encoding="utf-8")
    answered_or_one_line("show", str(file))
