"""Why two tools disagree: recorded outputs of other counters, their published tables, and noise.

``tests/data/counters.json`` holds what eight counters printed for eleven small cases when they were
run; ``flop_counter_readme_tables.csv`` what one of them publishes. The cases are those of
``benchmarks/counters.py``, which runs the tools again.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import random
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import botec
from botec.analyses.counters import TOOLS, Pieces
from botec.analyses.explain import Seen, explained, luck, seen_from
from botec.analyses.figures import Answers
from botec.errors import BadInput, UnknownName

DATA = Path(__file__).parent.parent / "data"
RECORDED = json.loads((DATA / "counters.json").read_text())
CELLS = [row for row in RECORDED if row["value"] != row["truth"]]


@cache
def counters() -> ModuleType:
    path = DATA.parent.parent / "benchmarks" / "counters.py"
    spec = importlib.util.spec_from_file_location("counters", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["counters"] = module
    spec.loader.exec_module(module)
    return module


@cache
def pieces_of(name: str) -> Pieces:
    case = next(one for one in counters().CASES if one.name == name)
    x = case.inputs()
    given = botec.Input(*x.shape, dtype=str(x.dtype).removeprefix("torch."))
    return Pieces(Answers(botec.read(case.module().eval(), given, train=False)))


def tool_of(title: str) -> str:
    return "torch" if title.startswith("FlopCounterMode") else title.partition(",")[0]


def test_recorded_outputs_are_explained() -> None:
    """Every digit must fit, so no match is luck."""
    assert len(CELLS) >= 30
    left = [
        (row["tool"], row["case"])
        for row in CELLS
        if not explained(
            pieces_of(row["case"]), seen_from(str(int(row["value"]))), tool_of(row["tool"])
        )
    ]
    assert not left


def test_the_cause_is_named() -> None:
    found = explained(pieces_of("attention, fused function"), seen_from("67108864"), "fvcore")
    assert "fused attention are left out (-16,777,216)" in found[0].words
    found = explained(pieces_of("`nn.ConvTranspose2d`, stride 2"), seen_from("4194304"), "thop")
    assert "taken at their output's size" in found[0].words[0]


@pytest.mark.parametrize("case", ["`nn.Linear` on `[B, S, E]`", "attention, fused function"])
def test_a_random_number_is_never_explained(case: str) -> None:
    """A thousand numbers of seven digits within a factor of ten of the count."""
    pieces, draw = pieces_of(case), random.Random(7)
    for _ in range(1000):
        value = float(f"{pieces.total * 10 ** draw.uniform(-1, 1):.7g}")
        assert not explained(pieces, Seen("", value, value * 1e-7))


def test_few_digits_are_said_to_be_luck() -> None:
    pieces = pieces_of("attention, fused function")
    assert luck(pieces, seen_from("0.1G"), "") > 0.05
    assert luck(pieces, seen_from("83886080"), "") < 1e-4


@pytest.mark.slow
def test_published_tables_are_explained() -> None:
    """ptflops' own table at two decimals; the others are at another input size or version."""
    found = wanted = 0
    for row in csv.DictReader((DATA / "flop_counter_readme_tables.csv").open()):
        pieces = Pieces(Answers(botec.read(f"torchvision:{row['model']}", train=False)))
        for column in ("macs_G", "macs_G_aten"):
            if row[column]:
                wanted += 1
                seen = seen_from(row[column].split()[0] + "G")
                found += bool(explained(pieces, seen, "ptflops"))
    assert wanted == 28
    assert found >= 24


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [
        ("4.09G", 4.09e9, 5e6), ("4,089,184,256", 4089184256, 0.5), ("8.2 GFLOPs", 8.2e9, 5e7),
        ("125 MMACs", 125e6, 5e5), ("1.5e9", 1.5e9, 5e7), ("0", 0, 0.5),
    ],
)  # fmt: skip
def test_numbers_as_people_print_them(text: str, value: float, half: float) -> None:
    seen = seen_from(text)
    assert (seen.value, seen.half) == (pytest.approx(value), pytest.approx(half))


def test_wrong_questions() -> None:
    with pytest.raises(BadInput, match="write it as"):
        seen_from("many")
    with pytest.raises(UnknownName, match="nobody has told how 'fvcor' counts"):
        explained(pieces_of("one layer called 100 times"), seen_from("1G"), "fvcor")


@pytest.mark.parametrize("title", sorted({row["tool"] for row in RECORDED}))
def test_a_tool_that_is_installed_still_prints_what_was_recorded(title: str) -> None:
    import contextlib

    import torch

    tool = next(one for one in counters().TOOLS if one.title == title)
    if tool.package != "torch" and not counters().installed(tool.package):
        pytest.skip(f"{tool.package} is not installed")
    counters().mend_torchvision()
    for row in (one for one in RECORDED if one["tool"] == title):
        case = next(one for one in counters().CASES if one.name == row["case"])
        with counters().hushed(), torch.no_grad(), contextlib.suppress(ImportError):
            assert float(tool.count(case.module().eval(), case.inputs())) == row["value"]


def test_every_tool_has_a_source() -> None:
    assert all(one.source for one in TOOLS)
