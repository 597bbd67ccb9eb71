"""Models of torchvision and timm beside the numbers their own projects publish.

The same judging writes ``docs/zoo.md`` (``benchmarks/zoo.py``). A few models of every kind here;
all of them are slow tests.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from corridor.asking import figures, value

from botec.ops import facts

ROOT = Path(__file__).resolve().parents[2]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


zoo: Any = load(ROOT / "benchmarks" / "zoo.py")
ROWS = {row.key: row for name in ("torchvision", "timm") for row in zoo.rows(name)}
TIMM = [key for key in ROWS if key.startswith("timm:")]
TORCHVISION = [key for key in ROWS if key.startswith("torchvision:")]

QUICK = {
    "torchvision:alexnet IMAGENET1K_V1": zoo.EQUAL,
    "torchvision:shufflenet_v2_x0_5 IMAGENET1K_V1": zoo.EQUAL,
    "torchvision:mobilenet_v3_small IMAGENET1K_V1": zoo.EQUAL,
    "torchvision:mnasnet0_5 IMAGENET1K_V1": zoo.EQUAL,
    "torchvision:efficientnet_b0 IMAGENET1K_V1": zoo.EQUAL,
    "torchvision:regnet_y_16gf IMAGENET1K_SWAG_E2E_V1": zoo.EQUAL,
    "torchvision:googlenet IMAGENET1K_V1": zoo.EXPLAINED,
    "torchvision:inception_v3 IMAGENET1K_V1": zoo.EQUAL,
    "torchvision:vit_b_16 IMAGENET1K_V1": zoo.EQUAL,
    "torchvision:vit_b_16 IMAGENET1K_SWAG_E2E_V1": zoo.EXPLAINED,
    "torchvision:swin_v2_t IMAGENET1K_V1": zoo.EQUAL,
    "torchvision:fcn_resnet50 COCO_WITH_VOC_LABELS_V1": zoo.EXPLAINED,
    "torchvision:lraspp_mobilenet_v3_large COCO_WITH_VOC_LABELS_V1": zoo.EQUAL,
    "torchvision:r3d_18 KINETICS400_V1": zoo.EQUAL,
    "torchvision:mvit_v2_s KINETICS400_V1": zoo.EQUAL,
    "timm:deit_tiny_patch16_224": zoo.EXPLAINED,
    "timm:convmixer_1024_20_ks9_p14": zoo.EXPLAINED,
    "timm:mobilevit_xs": zoo.EXPLAINED,
    "timm:poolformer_s12": zoo.NEAR,
    "timm:regnetz_b16_evos": zoo.EQUAL,
    "timm:nf_regnet_b1": zoo.EXPLAINED,
}


@pytest.mark.parametrize("key", QUICK)
def test_published_numbers(key: str) -> None:
    """To the printed digits; or by a cause that is counted too, and then to the printed digits."""
    judged = zoo.judge(ROWS[key])
    assert judged.verdict == QUICK[key], judged
    assert bool(judged.cause) == (judged.verdict != zoo.EQUAL)
    assert judged.explained is not None or judged.verdict == zoo.EQUAL
    if judged.verdict == zoo.EQUAL or key.startswith("timm:"):
        assert zoo.same_parameters(ROWS[key], judged)


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key in ROWS if key not in QUICK])
def test_every_published_number(key: str) -> None:
    judged = zoo.judge(ROWS[key])
    assert judged.verdict != zoo.DIFFERS, judged
    same = zoo.same_parameters(ROWS[key], judged) or "M parameters" in judged.cause
    assert same or judged.verdict == zoo.EXPLAINED or published_merged(key)


def published_merged(key: str) -> bool:
    """Whether the published parameters are those left once timm merges branches and norms."""
    library, _, name = key.partition(":")
    if library != "timm":
        return False
    merged = sum(one.numel() for one in zoo.merged_module(name).parameters())
    return round(merged / 1e6, 2) == float(ROWS[key].parameters)


def test_the_command_line_and_the_judge_count_the_same() -> None:
    found = figures("torchvision:mobilenet_v3_small", "--infer", "B=1")
    judged = zoo.judge(ROWS["torchvision:mobilenet_v3_small IMAGENET1K_V1"])
    assert value(found, "multiplications.forward") == judged.counted
    assert value(found, "parameters") == judged.parameters
    assert f"{judged.counted}*B" == found["multiplications.forward"]["counted"]["formula"]


def test_enough_is_published() -> None:
    """Every classification, segmentation and video model; 60 of timm, of 40 families."""
    assert {ROWS[key].kind for key in TORCHVISION} == {"classification", "segmentation", "video"}
    assert len(TORCHVISION) == 131
    assert len(TIMM) >= 60
    assert len({ROWS[key].kind for key in TIMM}) >= 40


def test_a_count_that_is_a_little_off_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail: one part in a hundred too many, in the fact of convolutions."""
    honest = facts.multiplications

    def plus(call: Any) -> Any:
        found = honest(call)
        return found + found // 100 if call.op == "aten.convolution" and found else found

    monkeypatch.setattr(facts, "multiplications", plus)
    assert zoo.judge(ROWS["torchvision:googlenet IMAGENET1K_V1"]).verdict == zoo.DIFFERS
    assert zoo.judge(ROWS["torchvision:r3d_18 KINETICS400_V1"]).verdict == zoo.DIFFERS
    assert zoo.judge(ROWS["timm:regnetz_b16_evos"]).verdict != zoo.EQUAL


def test_the_page(tmp_path: Path) -> None:
    """One line for each row, its columns as many as the head's; kept results are read again."""
    keys = ["torchvision:alexnet IMAGENET1K_V1", "timm:deit_tiny_patch16_224"]
    judged = {key: zoo.judge(ROWS[key]) for key in keys}
    kept = tmp_path / "zoo.jsonl"
    for one in judged.values():
        zoo.keep(kept, one)
    assert zoo.known(kept) == judged
    tables = [line for line in zoo.page(judged).splitlines() if line.startswith("|")]
    assert [line.count("|") for line in tables] == [10] * 3 + [11] * 3
    assert "| `alexnet` | IMAGENET1K_V1 | 3×224×224 | 0.714 | 0.7142 |" in tables[2]
