"""The benchmark that holds closed forms against fresh traces: that it judges, and what it says."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")
import torch
from torch import nn

from botec import Input
from botec.errors import BadInput, BotecError
from botec.read.from_torch import read_source
from botec.read.source import Source

ROOT = Path(__file__).resolve().parents[2]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"botec_{path.stem}", path)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs(package: str) -> None:
    """Skip without a package. (Importing it here would miss what botec's door does before.)"""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


page: Any = load(ROOT / "benchmarks" / "coverage.py")
MLP = page.Case("timm", "mlp", "mlp:12-20-3")


def test_an_exact_formula_is_seen_as_one() -> None:
    row = page.judge(MLP)
    assert (row.verdict, len(row.points), row.reason) == (page.EXACT, 3, "")
    assert row.regime == "B ≥ 2"
    seen = [point for stream in page.read("mlp:12-20-3", False)[1].streams
            for point in (*stream.regime.fitted, *stream.regime.proved)]  # fmt: skip
    assert not any(point in seen for point in row.points)


def test_points_stay_inside_a_narrow_regime() -> None:
    """Three sizes and no more: the batch still makes three points of them."""
    source, program = page.read("mlp:12-20-3", False)
    (wide, *others) = program.streams
    regime = replace(wide.regime, least={"B": 2, "N": 15}, most={"N": 16}, step={"N": 1})
    narrow = replace(wide, regime=regime)
    asked = replace(program, asked={"B": 1, "N": 16}, streams=(narrow, *others))
    points = list(page.unseen(asked, narrow, ["B", "N"]))
    assert len(points) >= page.POINTS
    assert all(regime.holds(point) for point in points)
    assert source.name == "mlp:12-20-3"


@pytest.mark.parametrize("what", ["bytes", "order", "storage"])
def test_a_formula_that_is_off_is_seen(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail: an op that moves a byte too many, an event changed, a storage larger."""
    source, program = page.read("mlp:12-20-3", False)
    stream = program.streams[0]
    if what == "bytes":
        first = next(one for one in stream.calls if not one.view)
        other = replace(first, arguments={**first.arguments, "self": first.results[0]})
        calls = tuple(other if one is first else one for one in stream.calls)
        wrong = replace(stream, calls=calls)
    elif what == "order":
        index = stream.index[:]
        births = [place for place, kind in enumerate(stream.kinds) if kind == 1]
        index[births[0]], index[births[1]] = index[births[1]], index[births[0]]
        wrong = replace(stream, index=index)
    else:
        last = stream.storages[-1]
        storages = (*stream.storages[:-1], replace(last, bytes=last.bytes + 4))
        wrong = replace(stream, storages=storages)
    row = page.Row("k", "timm", "f", page.REFUSED)
    assert page.held(row, source, program).verdict == page.EXACT
    found = page.held(row, source, replace(program, streams=(wrong, *program.streams[1:])))
    assert found.verdict == page.DIFFERS
    assert found.reason.startswith("at {'B': ")


def test_what_is_refused_says_why() -> None:
    row = page.judge(page.Case("timm", "none", "mlp:12"))
    assert (row.verdict, row.reason) == (page.REFUSED, "one width makes no layer")


def test_fields_that_count_layers_are_told_by_their_names() -> None:
    fields = {
        "num_hidden_layers": 12, "hidden_size": 768, "encoder_layers": 6, "n_layer": 2,
        "text_config": {"num_layers": 24, "num_attention_heads": 12}, "depth": True,
        "layer_norm_eps": 5, "vision_feature_layer": -2, "out_layers": [5, 6],
    }  # fmt: skip
    assert page.fields_above(fields) == [
        "num_hidden_layers", "encoder_layers", "text_config.num_layers",
    ]  # fmt: skip


def test_a_type_its_library_does_not_build_gives_its_place_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "transformers_types", lambda: ["a", "b", "c", "d"])
    wanted = [page.transformers_case(name) for name in ("a", "c", "d")]
    verdicts = {"a": page.EXACT, "c": page.EXACT, "d": page.UNBUILT}
    judged = {
        case.key: page.Row(case.key, "transformers", case.family, verdicts[case.family])
        for case in wanted
    }
    assert [case.family for case in page.instead(wanted, judged)] == ["b"]
    judged[wanted[2].key] = replace(judged[wanted[2].key], verdict=page.UNRUN)
    assert [case.family for case in page.instead(wanted, judged)] == ["b"]


class FourTokens(nn.Module):
    """Takes four of what it is given and nothing else, as a table of positions does."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(4, 3))

    def forward(self, x: Any) -> Any:
        return x + self.places


class Counted(nn.Module):
    """A loop over what it is given: numbers, though the model takes any size."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        for place in range(x.shape[1]):
            x = x + self.layer(x[:, place : place + 1])
        return x


@pytest.mark.parametrize(("network", "size", "verdict"), [
    (FourTokens, 4, page.EXACT), (Counted, 40, page.SOME),
])  # fmt: skip
def test_a_size_the_model_alone_takes_is_no_dimension(
    network: Any, size: int, verdict: str
) -> None:
    source = Source("net", network, (Input("B", "S", 3),), defaults={"B": 1, "S": size})
    program = read_source(source, page.SETTING, {})
    row = page.held(page.Row("net", "timm", "net", page.REFUSED), source, program)
    assert row.verdict == verdict
    assert row.regime == f"S = {size}, B ≥ 2"
    assert (row.reason == f"the model itself takes S={size} alone") == (verdict == page.EXACT)
    pictures = page.Row("net H×W", "timm", "net", page.REFUSED)
    assert page.held(pictures, source, program).verdict == page.SOME


def refusal(text: str) -> BotecError:
    with pytest.raises(BotecError) as caught:
        page.read(page.shrunken(text), False)
    return caught.value


def test_a_type_that_fails_with_real_tensors_at_the_same_line() -> None:
    """The rotary sections of glm4v's default are for other heads; jetmoe runs, and asks of data."""
    needs("transformers")
    small = "text_config.hidden_size=64,text_config.intermediate_size=8"
    text = f"transformers:glm4v?{small},vision_config.hidden_size=16,vision_config.num_heads=2"
    assert page.unrun(text, refusal(text))
    assert not page.unrun(text, ValueError("from elsewhere"))
    text = "transformers:jetmoe?hidden_size=32,intermediate_size=8,kv_channels=8"
    assert not page.unrun(text, refusal(text))


def test_rows_are_kept_and_forgotten(tmp_path: Path) -> None:
    kept = tmp_path / "rows.jsonl"
    row = page.Row("a", "timm", "f", page.EXACT, points=({"B": 4},))
    for one in (row, replace(row, key="b"), replace(row, verdict=page.SOME)):
        page.keep(kept, one)
    assert page.known(kept)["a"].verdict == page.SOME
    assert page.known(kept)["b"].points == ({"B": 4},)
    page.forget(kept, ["a"])
    assert list(page.known(kept)) == ["b"]


def test_the_page_counts_and_explains() -> None:
    row = page.Row("timm:a", "timm", "f", page.EXACT, "timm:a", "", "B ≥ 2", ({"B": 4},), 9, 1.0)
    refused = replace(row, key="timm:b", verdict=page.REFUSED, reason="it is | odd")
    heights = ({"B": 4, "H": 175}, {"B": 8, "H": 235})
    sized = replace(row, key="timm:a H×W", regime="B ≥ 2, H ≥ 2, W ≥ 2", points=heights)
    lattice = replace(sized, key="timm:c H×W", regime="B ≥ 2, H ≥ 64, H a multiple of 32")
    narrow = replace(sized, key="timm:d H×W", points=({"B": 4, "H": 223}, {"B": 8, "H": 224}))
    text = page.page([row, refused, sized, lattice, narrow])
    assert "| timm | 2 | 1 | 1 | 0 | 0 | 1 | 0 | 50.0% | 1.0, 1.0 |" in text
    assert "| `timm:b` | refused | B ≥ 2 | it is \\| odd |" in text
    assert "1 of 3 are exact at every H and W" in text
    assert "for a range of sizes" not in text
    assert "gave their place" not in text
    some = replace(row, key="timm:e", regime="B ≥ 2, 3 ≤ S ≤ 9", reason="a loop")
    gone = replace(row, key="transformers:f", verdict=page.UNRUN, reason="it fails")
    text = page.page([row, some], 0, [gone])
    assert "1 of the exact ones have their formula for a range" in text
    assert "| `timm:a` | exact | B ≥ 2, 3 ≤ S ≤ 9 | a loop |" in text
    assert "| `transformers:f` | not run by its library |" in text
    text = page.page([row, refused, sized, lattice, narrow])
    assert "timm: 2 names" in text
    assert "have not been judged" not in text
    assert "7 models of the full list have not been judged yet" in page.page([row], 7)


def test_a_page_of_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is judged; what is missing is counted, and a type that is not built has a heir."""
    kept = tmp_path / "rows.jsonl"
    cases = [MLP, *(page.transformers_case(name) for name in "ac")]
    page.keep(kept, page.Row(MLP.key, "timm", "mlp", page.EXACT, points=({"B": 4},)))
    page.keep(kept, page.Row("transformers:a", "transformers", "a", page.UNBUILT))
    monkeypatch.setattr(page, "cases", lambda: iter(cases))
    monkeypatch.setattr(page, "transformers_types", lambda: ["a", "b", "c"])
    monkeypatch.setattr(page, "judge", None)
    file = tmp_path / "page.md"
    told = ["coverage.py", "--so-far", "--kept", str(kept), "-o", str(file)]
    monkeypatch.setattr(sys, "argv", told)
    assert page.main() == 0
    text = file.read_text(encoding="utf-8")
    assert "2 models of the full list have not been judged yet" in text
    assert "| timm | 1 | 1 | 1 | 0 | 0 | 0 | 0 | 100.0% |" in text


def test_rows_judged_again_are_held_against_the_first() -> None:
    row = page.Row("timm:a", "timm", "f", page.EXACT, regime="B ≥ 2", when="2026-01-02")
    other = replace(row, key="timm:b")
    assert "judged a second time" not in page.page([row, other])
    text = page.page([row, other], 0, (), [row, replace(other, regime="B = 1")])
    assert "2 rows, drawn at random, were judged a second time with botec as it was last" in text
    assert (
        "(2026-01-02): 1\ncame out with the same verdict for the same sizes; not `timm:b`." in text
    )


def test_a_sample_is_judged_beside_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, file = tmp_path / "rows.jsonl", tmp_path / "page.md"
    page.keep(kept, page.Row(MLP.key, "timm", "mlp", page.REFUSED, points=({"B": 4},)))
    monkeypatch.setattr(page, "cases", lambda: iter([MLP]))
    told = ["coverage.py", "--sample", "1", "--kept", str(kept), "-o", str(file)]
    monkeypatch.setattr(sys, "argv", told)
    assert page.main() == 0
    assert page.known(kept)[MLP.key].verdict == page.REFUSED
    assert page.known(tmp_path / "rows.again.jsonl")[MLP.key].verdict == page.EXACT
    assert (
        f"0\ncame out with the same verdict for the same sizes; not `{MLP.key}`"
        in file.read_text(encoding="utf-8")
    )


def test_the_cases_are_enough() -> None:
    """All of torchvision's three kinds; 200 of timm's names, of 80 families; 100 model types."""
    needs("timm")
    found = list(page.cases())
    plain = [case for case in found if not case.sizes]
    names = {name: [case for case in plain if case.library == name] for name in
             ("torchvision", "timm", "transformers")}  # fmt: skip
    assert (len(names["timm"]), len(names["transformers"])) == (200, 100)
    assert len({case.family for case in names["timm"]}) >= 80
    assert len({case.family for case in names["transformers"]}) == 100
    assert len(names["torchvision"]) == 95
    assert len({case.key for case in found}) == len(found)


FLEXIBLE = (
    *("alexnet", "mobilenet_v2", "resnet18", "squeezenet1_1", "vgg11", "mnasnet0_5"),
    *("regnet_y_400mf", "shufflenet_v2_x0_5", "r3d_18", "fcn_resnet50"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLEXIBLE)
def test_pictures_of_odd_sizes(name: str) -> None:
    """Exact through floors, at points with odd heights and widths."""
    needs("torchvision")
    row = page.judge(page.Case("torchvision", name, f"torchvision:{name}", sizes=True))
    assert row.verdict == page.EXACT, row
    assert any(point["H"] % 2 and point["W"] % 2 for point in row.points)
    assert "multiple" not in row.regime


def test_an_error_of_the_judge_itself_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: Any) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(page, "opened", broken)
    row = page.judge(MLP)
    assert (row.verdict, row.reason) == (page.DIFFERS, "ZeroDivisionError: by nothing")

    def wrong(case: Any) -> None:
        raise BadInput("it is wrong")

    monkeypatch.setattr(page, "opened", wrong)
    assert page.judge(MLP).verdict == page.REFUSED
