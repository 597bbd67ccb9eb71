"""The front doors together: who claims what, the user's inputs, the notation, quiet imports."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings

import pytest

from botec.errors import BadInput, UnknownName
from botec.inputs import Input, parse_input
from botec.read import doors
from botec.read.given import hushed, with_inputs
from botec.read.source import Source

FORMS = (
    "FILE.py:NAME, mlp:784-512-10, onnx:FILE, timm:NAME, torchvision:NAME, "
    "transformers:PATH|TYPE|HUB_ID"
)

CLAIMED = {
    "mlp:784-512-10": "from_notation",
    "mlp:": "from_notation",
    "torchvision:resnet50": "from_torchvision",
    "timm:resnet50.a1_in1k": "from_timm",
    "transformers:llama": "from_transformers",
    "transformers:./net.py:config.json": "from_transformers",
    "net.py:Net": "from_file",
    "net.py": "from_file",
    "../some folder/net.py:make(64, depth=3)": "from_file",
    "/abs/net.py:models.Net": "from_file",
    "resnet50": None,
    "torchvison:resnet50": None,
    "onnx:net.onnx": "from_onnx",
    "net.pyc:Net": None,
    "mlp": None,
    "": None,
}


@pytest.mark.parametrize("text", CLAIMED)
def test_each_form_is_claimed_by_one_door_alone(text):
    claiming = [door.__name__.split(".")[-1] for door in doors.doors() if door.claims(text)]
    assert claiming == ([CLAIMED[text]] if CLAIMED[text] else [])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("resnet50", f"resnet50: not of a known form; MODEL is one of {FORMS}"),
        ("", f"MODEL: not of a known form; MODEL is one of {FORMS}"),
        (
            "torchvison:resnet50",
            "torchvison:resnet50: no such kind of model: 'torchvison'; "
            "did you mean torchvision:resnet50?",
        ),
        ("zip:x", f"zip:x: no such kind of model: 'zip'; MODEL is one of {FORMS}"),
    ],
)
def test_what_no_door_knows(text, error):
    with pytest.raises(UnknownName) as caught:
        doors.open_source(text)
    assert str(caught.value) == error


def test_the_forms_cost_no_framework():
    code = (
        "import sys; from botec.read.doors import FORMS; "
        "heavy = {'torch', 'torchvision', 'timm', 'transformers', 'numpy'} & set(sys.modules); "
        "print(FORMS, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{FORMS} []"


def widths(text):
    import torch

    layers = list(doors.open_source(text).build())
    linear = [one for one in layers if isinstance(one, torch.nn.Linear)]
    others = [one for one in layers if not isinstance(one, torch.nn.Linear)]
    assert all(isinstance(one, torch.nn.ReLU) for one in others)
    assert layers[1::2] == others
    assert len(linear) == len(others) + 1
    return [linear[0].in_features, *(one.out_features for one in linear)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mlp:784-512-512-10", [784, 512, 512, 10]),
        ("mlp:30x3", [30, 30, 30, 30]),
        ("mlp:30x1", [30, 30]),
        ("mlp:1-1", [1, 1]),
    ],
)
def test_a_perceptron_has_the_widths_written(text, expected):
    assert widths(text) == expected
    source = doors.open_source(text)
    assert source.inputs == (Input("B", expected[0], name="x"),)
    assert source.defaults == {"B": 1}


def test_a_perceptron_is_called_by_name_and_is_fresh_each_time():
    import torch

    source = doors.open_source("mlp:4-3-2")
    first, second = source.build(), source.build()
    assert first is not second
    assert first(x=torch.zeros(7, 4)).shape == (7, 2)


HOW = "write the widths as mlp:784-512-10, or mlp:30x3 for three layers of width 30"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("mlp:784", f"mlp:784: one width makes no layer; {HOW}"),
        ("mlp:", f"mlp:: '' is no width; {HOW}"),
        ("mlp:3-0-2", f"mlp:3-0-2: a width is a whole number from 1; {HOW}"),
        ("mlp:0x3", f"mlp:0x3: a width is a whole number from 1; {HOW}"),
        ("mlp:-3-4", f"mlp:-3-4: '' is no width; {HOW}"),
        ("mlp:1.5-2", f"mlp:1.5-2: '1.5' is no width; {HOW}"),
        ("mlp:30x3-4", f"mlp:30x3-4: '30x3' is no width; {HOW}"),
        ("mlp:30x0", "mlp:30x0: 0 layers; ask for 1 to 10000 layers"),
        ("mlp:30x99999", "mlp:30x99999: 99999 layers; ask for 1 to 10000 layers"),
    ],
)
def test_a_broken_notation(text, error):
    with pytest.raises(BadInput) as caught:
        doors.open_source(text)
    assert str(caught.value) == error


TEXT = Source(
    "text",
    lambda: None,
    (
        Input("B", "S", dtype="int64", name="input_ids", below=100),
        Input("B", "S", dtype="int64", name="labels", below=100, only="train"),
    ),
    {"B": 1, "S": 512},
    {"S": 512},
)
PICTURE = Source(
    "picture",
    lambda: None,
    (
        Input("B", 3, 512, 512, name="x"),
        Input("B", 512, 512, dtype="int64", name="labels", only="train"),
    ),
    {"B": 1},
)
PAIR = Source("pair", lambda: None, (Input("B", 3), Input("B", 3)), {"B": 2})


def laid(source, *texts):
    return [str(one) for one in with_inputs(source, [parse_input(text) for text in texts]).inputs]


@pytest.mark.parametrize(
    ("source", "texts", "expected"),
    [
        (TEXT, [], ["input_ids=B,S:int64", "labels=B,S:int64"]),
        (TEXT, ["input_ids=B,128"], ["input_ids=B,128:int64", "labels=B,128:int64"]),
        (TEXT, ["B,128"], ["input_ids=B,128:int64", "labels=B,128:int64"]),
        (TEXT, ["input_ids=N,L"], ["input_ids=N,L:int64", "labels=N,L:int64"]),
        (TEXT, ["input_ids=B,S:int32"], ["input_ids=B,S:int32", "labels=B,S:int64"]),
        (TEXT, ["labels=B,S,2"], ["input_ids=B,S:int64", "labels=B,S,2:int64"]),
        (
            TEXT,
            ["attention_mask=B,S:int64"],
            ["input_ids=B,S:int64", "labels=B,S:int64", "attention_mask=B,S:int64"],
        ),
        (TEXT, ["B,S,8", "B,4"], ["input=B,S,8:float32", "input=B,4:float32"]),
        (PICTURE, ["B,3,64,64"], ["x=B,3,64,64:float32", "labels=B,64,64:int64"]),
        (PICTURE, ["x=B,3,H,W"], ["x=B,3,H,W:float32", "labels=B,512,512:int64"]),
        (PICTURE, ["x=B,3,64,64:uint8"], ["x=B,3,64,64:uint8", "labels=B,64,64:int64"]),
        (PAIR, ["B,5"], ["input=B,5:float32", "input=B,3:float32"]),
        (PAIR, ["B,5", "B,6"], ["input=B,5:float32", "input=B,6:float32"]),
    ],
)
def test_the_users_inputs_are_laid_over_the_sources(source, texts, expected):
    assert laid(source, *texts) == expected


def test_what_replaces_an_input_keeps_its_bound_and_a_renamed_dimension_its_sizes():
    source = with_inputs(TEXT, [parse_input("input_ids=B,L")])
    assert source.inputs[0].below == 100
    assert source.inputs[1].only == "train"
    assert source.defaults == {"B": 1, "L": 512}
    assert source.most == {"L": 512}
    assert source.notes == ("input input_ids is int64, as the model needs it",)
    assert with_inputs(TEXT, [parse_input("input_ids=B,128")]).defaults == {"B": 1}


def test_libraries_are_hushed_and_heard_again(capsys):
    log = logging.getLogger("some.library")
    with hushed():
        warnings.warn("not now", stacklevel=1)
        log.error("nor now")
    assert capsys.readouterr() == ("", "")
    assert log.isEnabledFor(logging.ERROR)
    with pytest.warns(UserWarning, match="now"):
        warnings.warn("now", stacklevel=1)
