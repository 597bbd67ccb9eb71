"""The door for the user's own files."""

from __future__ import annotations

import pytest
import torch

from botec.errors import BadInput, BotecError
from botec.inputs import Input
from botec.read.doors import open_source
from botec.read.from_file import source_of_module

NET = """
import torch
from torch import nn
import beside

print("printed by the file")

class Net(nn.Module):
    def __init__(self, width, depth=1):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

class Shown(nn.Module):
    def __init__(self):
        super().__init__()
        self.example_input_array = torch.zeros(5, 2)

class Plain: pass

class Faulty(nn.Module):
    def __init__(self):
        raise ValueError("no good")

def make(width=8, *, depth=2):
    import beside
    return Net(width, depth)

def three(): return 3

class namespace:
    inner = Net

model = nn.Linear(3, 4)
number = 5
"""
X = (Input("B", 8, name="x"),)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "boom.py").write_text("\nraise RuntimeError('boom')\n")
    (tmp_path / "needs.py").write_text("import not_there_at_all\n")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "layers", "width"),
    [
        ("Net(8)", 1, 8),
        ("Net(8, 3)", 3, 8),
        ("Net(width=4, depth=2)", 2, 4),
        ("make", 2, 8),
        ("make()", 2, 8),
        ("make(16, depth=5)", 5, 16),
        ("namespace.inner(6)", 1, 6),
    ],
)
def test_a_class_or_factory_with_its_arguments(folder, name, layers, width):
    with torch.device("meta"):
        built = open_source(f"net.py:{name}", True, X).build()
    assert len(built.layers) == layers
    assert built.layers[0].weight.shape == (width, width)
    assert built.layers[0].weight.is_meta


def test_a_module_stands_for_itself_and_prints_go_to_stderr(folder, capsys):
    source = open_source(str(folder / "net.py:model"), True, X)
    assert source.build().weight.shape == (4, 3)
    assert capsys.readouterr() == ("", "printed by the file\n")
    assert source.inputs == X


def test_the_files_examples_tell_the_inputs(folder):
    cases = {
        "torch.zeros(6, 3)": ["input=B,3:float32"],
        "(torch.zeros(6, 3), torch.ones(6, dtype=torch.int64) * 8)": [
            "input=B,3:float32",
            "input=B:int64",
        ],
        "[torch.zeros(6, 3), torch.zeros(5, 3)]": ["input=6,3:float32", "input=5,3:float32"],
        "{'ids': torch.zeros(6, 3, dtype=torch.bool), 'flag': True}": ["ids=B,3:bool"],
        "lambda: torch.zeros(6, 2)": ["input=B,2:float32"],
    }
    for number, (text, expected) in enumerate(cases.items()):
        path = folder / f"case{number}.py"
        path.write_text(f"import torch\nexample_inputs = {text}\nmodel = torch.nn.ReLU()\n")
        source = open_source(f"{path}:model")
        assert [str(one) for one in source.inputs] == expected
        assert source.defaults == ({} if "5" in text else {"B": 6})
    assert open_source(f"{folder}/case1.py:model").inputs[1].below == 9
    assert open_source(f"{folder}/case3.py:model").arguments == {"flag": True}
    note = "B is the first axis of the example inputs, 6 there"
    assert open_source(f"{folder}/case0.py:model").notes == (note,)
    over = open_source(f"{folder}/case0.py:model", True, (Input("B", 9, name="x"),))
    assert [str(one) for one in over.inputs] == ["x=B,9:float32"]


def test_the_modules_own_example_tells_the_inputs(folder):
    source = open_source("net.py:Shown")
    assert [str(one) for one in source.inputs] == ["input=B,2:float32"]
    assert source.defaults == {"B": 5}


MADE = "name a torch.nn.Module, a class of them, or a function making one"
GIVE = 'say how it is called, such as --input "x=B,3,224,224"'
LITERAL = "write a name, or a call with plain values, such as make(64, depth=3)"
SEE = "correct it, or see the whole of it with --debug"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("net.py", "net.py: no NAME after the file; name what it defines: net.py:Net"),
        ("net.py:", "net.py:: no NAME after the file; name what it defines: net.py:Net"),
        ("nett.py:Net", "nett.py:Net: there is no such file; did you mean net.py?"),
        ("no/where.py:Net", "no/where.py:Net: there is no such file; check the path"),
        ("net.py:Nett", "net.py:Nett: the file has no Nett; did you mean Net?"),
        (
            "net.py:namespace.other",
            "net.py:namespace.other: the file has no namespace.other; it defines inner",
        ),
        (
            "net.py:Net",
            "net.py:Net: Net(width, depth=1): missing a required argument: 'width'; "
            "write them as Net(64, depth=3)",
        ),
        (
            "net.py:make(1, 2)",
            "net.py:make(1, 2): make(width=8, *, depth=2): too many positional arguments; "
            "change the arguments",
        ),
        (
            "net.py:Plain",
            "net.py:Plain: class Plain is no torch.nn.Module; derive it from torch.nn.Module",
        ),
        ("net.py:number", f"net.py:number: number is of type int; {MADE}"),
        ("net.py:model(3)", f"net.py:model(3): model is of type Linear, already made; {MADE}"),
        (
            "net.py:make(x)",
            f"net.py:make(x): 'make(x)' is no name or call with literals; {LITERAL}",
        ),
        (
            "net.py:make(2 * 8)",
            f"net.py:make(2 * 8): 'make(2 * 8)' is no name or call with literals; {LITERAL}",
        ),
        (
            'net.py:make(open("f"))',
            f'net.py:make(open("f")): \'make(open("f"))\' is no name or call with literals; '
            f"{LITERAL}",
        ),
        (
            "net.py:three",
            "net.py:three: three returned an object of type int; "
            "name a function that returns a torch.nn.Module",
        ),
        (
            "net.py:Faulty",
            f"net.py:Faulty: Faulty failed: ValueError at line 27: no good; {SEE}",
        ),
        (
            "broken.py:x",
            f"broken.py:x: broken.py does not import: SyntaxError at line 2: invalid syntax; {SEE}",
        ),
        (
            "boom.py:x",
            f"boom.py:x: boom.py does not import: RuntimeError at line 2: boom; {SEE}",
        ),
        (
            "needs.py:x",
            "needs.py:x: needs.py does not import: ModuleNotFoundError at line 1: "
            f"No module named 'not_there_at_all'; {SEE}",
        ),
        (
            "leaves.py:x",
            f"leaves.py:x: leaves.py does not import: SystemExit at line 2: 3; {SEE}",
        ),
    ],
)
def test_what_a_file_can_have_wrong(folder, text, error):
    with pytest.raises(BotecError) as caught:
        open_source(text, True, X).build()
    assert str(caught.value) == error


def test_without_any_input_it_says_how_to_give_one(folder):
    with pytest.raises(BadInput) as caught:
        open_source("net.py:make")
    assert str(caught.value) == f"net.py:make: nothing says how it is called; {GIVE}"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("3", "example_inputs is a int; make it a tensor, or a list or dict of tensors"),
        (
            "(torch.zeros(2), 3)",
            "example_inputs holds a int; pass what is no tensor by name, in a dict",
        ),
    ],
)
def test_examples_that_are_none(folder, text, seen):
    (folder / "odd.py").write_text(f"import torch\nexample_inputs={text}\nm=torch.nn.ReLU()\n")
    with pytest.raises(BadInput) as caught:
        open_source("odd.py:m")
    assert str(caught.value) == f"odd.py:m: {seen}"


def test_a_constructor_that_reads_values_can_be_built_with_memory(folder):
    (folder / "reads.py").write_text(
        "import torch\n"
        "class Reads(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.many = int(torch.ones(3).sum())\n"
        "        self.example_inputs = torch.zeros(4, self.many)\n"
    )
    source = open_source("reads.py:Reads")
    assert [str(one) for one in source.inputs] == ["input=B,3:float32"]
    with torch.device("meta"), pytest.raises(RuntimeError):
        source.build()
    assert source.build().many == 3


def test_the_search_path_is_left_as_it_was(folder):
    import sys

    before = list(sys.path)
    open_source("net.py:make", True, X).build()
    assert sys.path == before


def test_a_module_in_hand_is_handed_on():
    module = torch.nn.Linear(3, 4)
    source = source_of_module(module, (Input("B", 3),))
    assert source.build() is module
    assert (source.name, source.inputs) == ("Linear", (Input("B", 3),))
    with pytest.raises(BadInput) as caught:
        source_of_module(module)
    assert str(caught.value) == f"Linear: nothing says how it is called; {GIVE}"
    with pytest.raises(BadInput) as caught:
        source_of_module(3, (Input("B", 3),))
    assert str(caught.value) == "read: a int is no torch.nn.Module; hand over a module"
