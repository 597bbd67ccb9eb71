"""Tables: rows add up to the last one, and the last one is a figure of the page."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import botec
from botec import Input
from botec.analyses.figures import Answers, figures
from botec.analyses.paths import MOST_MODULES, grouping
from botec.analyses.tables import sections
from botec.report import Figures, Table, Text


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(torch.relu(self.inner(x))) + x


class Net(nn.Module):
    """Blocks, a parameter of its own, work outside of every child."""

    def __init__(self, many: int = 3) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))
        self.blocks = nn.ModuleList(Block() for _ in range(many))
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * self.scale
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (2, 12)).transpose(1, 2).chunk(3, -1)
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


@torch.library.custom_op("botec_tests::odd", mutates_args=())
def odd(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


@odd.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Odd(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return odd(odd(x)) + 1


X = Input("B", 8)
CASES: dict[str, Any] = {
    "train": lambda: botec.read(Net(), X, B=4),
    "no optimizer": lambda: botec.read(Net(), X, B=4, optimizer=None),
    "infer": lambda: botec.read(Net(), X, B=1, train=False),
    "many": lambda: botec.read(Net(30), X, B=4, optimizer="sgd"),
    "attention": lambda: botec.read(Attends(), Input("B", "S", 8), B=2, S=6),
}


@pytest.fixture(scope="module", params=CASES)
def answers(request: Any) -> Answers:
    return Answers(CASES[request.param]())


def tables(answers: Answers) -> dict[str, Table]:
    """All tables, by section and title."""
    return {
        f"{section.title}/{part.title}": part
        for section in sections(answers, figures(answers))
        for part in section.parts
        if isinstance(part, Table)
    }


def test_rows_add_up_to_the_last_one(answers: Answers) -> None:
    found = tables(answers)
    assert len(found) >= 4
    for name, table in found.items():
        for row in (*table.rows, *([table.total] if table.total else [])):
            assert len(row) == len(table.columns), name
        for place, column in enumerate(table.columns):
            if column.unit and table.total:
                assert sum(row[place] for row in table.rows) == table.total[place], (name, column)


def test_the_last_row_is_a_figure(answers: Answers) -> None:
    found, page = tables(answers), figures(answers)
    value = {key: figure.counted.value for key, figure in page.items()}
    step = "step" if answers.program.setting.train else "forward"
    for name in ("By kind of op", "By module"):
        table = found[f"Work by kind and by module/{name}"]
        for column, total in zip(table.columns, table.total, strict=True):
            measure, _, phase = column.title.partition(" ")
            if column.unit == "1":
                assert total == value["parameters"]
            elif measure == "saved":
                assert total == value["memory.saved"]
            elif column.unit:
                assert total == value[f"{measure}.{step if phase == 'step' else phase}"]
    for name in ("By role", "By module"):
        assert found[f"Memory at the peak/{name}"].total[-1] == value["memory.peak"]
    roles = dict(found["Memory at the peak/By role"].rows)
    assert roles == {
        key.removeprefix("memory.peak."): v for key, v in value.items() if "peak." in key
    }


def test_modules_are_the_authors(answers: Answers) -> None:
    program = answers.program
    table = tables(answers)["Work by kind and by module/By module"]
    types = dict(zip(program.scopes, program.scope_types, strict=True))
    assert len(table.rows) <= MOST_MODULES
    for name, kind, *_ in table.rows:
        path = "" if name == "(the model itself)" else name
        assert types[path] == kind


def test_a_table_by_hand() -> None:
    table = tables(Answers(CASES["train"]()))["Work by kind and by module/By module"]
    titles = [column.title for column in table.columns]
    rows = {row[0]: dict(zip(titles, row, strict=True)) for row in table.rows}
    assert rows["(the model itself)"]["parameters"] == 8
    assert rows["blocks.1.inner"]["parameters"] == 72
    assert rows["blocks.1.inner"]["multiplications forward"] == 4 * 64
    assert rows["blocks.1.inner"]["multiplications backward"] == 2 * 4 * 64
    assert rows["head"]["multiplications forward"] == 4 * 24
    assert rows["blocks.1.norm"]["type"] == "BatchNorm1d"


def test_paths_are_cut_to_fill_a_screen() -> None:
    paths = [f"layers.{i}.{part}" for i in range(20) for part in "abc"]
    assert grouping(paths)("layers.3.a") == "layers.3"
    assert grouping(paths[:30])("layers.3.a") == "layers.3.a"
    assert grouping([f"a{i}" for i in range(99)])("a7.b") == "a7"
    assert grouping([])("a.b") == "a"


def test_every_figure_has_its_place(answers: Answers) -> None:
    page = figures(answers)
    shown = [
        key
        for section in sections(answers, page)
        for part in section.parts
        if isinstance(part, Figures)
        for key in part.keys
    ]
    assert sorted(shown) == sorted(page)


def test_where_the_peak_is() -> None:
    texts = [
        part.text
        for section in sections(Answers(CASES["train"]()), ())
        for part in section.parts
        if isinstance(part, Text)
    ]
    assert any(text.startswith("The peak is in the optimizer's step, at aten.") for text in texts)
    infer = Answers(CASES["infer"]())
    moment = sections(infer, ())[3].parts[0].text
    peak = infer.memory.fullest
    where = infer.program.scopes[peak.scope] or "the model itself"
    assert moment == f"The peak is in the forward phase, at {peak.op} of {where}."


def test_causal_attention_has_its_line() -> None:
    last = sections(Answers(CASES["attention"]()), ())[-1]
    triangle = "With causal attention at the half it needs"
    assert any(part.text.startswith(triangle) for part in last.parts)
    assert len(sections(Answers(CASES["train"]()), ())[-1].parts) == 1


def test_ops_nobody_knows_have_a_table() -> None:
    answers = Answers(botec.read(Odd(), X, B=4, train=False))
    table = tables(answers)["Not counted/Ops not counted"]
    assert table.rows == (("botec_tests.odd", 2),)
    assert table.total is None


def test_what_is_unknown_is_not_nought() -> None:
    answers = Answers(botec.read(Odd(), X, B=4, train=False))
    table = tables(answers)["Work by kind and by module/By kind of op"]
    rows = {row[0]: row[1:] for row in table.rows}
    kinds = {line.kind for line in answers.here.lines if line.call.op == "botec_tests.odd"}
    assert all(None in rows[kind] for kind in kinds)
