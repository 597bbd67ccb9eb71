"""The scripts that need a GPU: without one they say what they would do, and their parts work."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).parent.parent / "scripts" / "verify_gpu.py"


@pytest.fixture(scope="module")
def verify_gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_gpu", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would run for real")
def test_without_a_gpu_it_says_what_it_would_do(verify_gpu: ModuleType) -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    count = len(verify_gpu.MODES) * len(verify_gpu.NETWORKS)
    assert f"{count} runs would be compared" in done.stdout
    assert len(verify_gpu.MODES) == 6
    assert len(verify_gpu.NETWORKS) >= 15
    assert all(model in done.stdout for model in verify_gpu.NETWORKS)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "amp-bf16", "bf16"])
def test_a_prediction_is_made_before_the_run(
    verify_gpu: ModuleType, train: bool, precision: str
) -> None:
    model = "mlp:1024-4096-4096-10"
    found = verify_gpu.predicted(model, verify_gpu.NETWORKS[model], train, precision, "cuda:90")
    assert 0 < found["allocated"] < found["reserved"] < found["total"]


@pytest.mark.slow
def test_every_network_of_the_list_is_predicted(verify_gpu: ModuleType) -> None:
    for model, point in verify_gpu.NETWORKS.items():
        for train, precision in verify_gpu.MODES:
            assert verify_gpu.predicted(model, point, train, precision, "cuda:90")["allocated"]


def test_the_table_shows_errors_and_failures(verify_gpu: ModuleType) -> None:
    row = {
        "predicted": {"allocated": 110, "reserved": 90, "total": 150},
        "measured": {"allocated": 100, "reserved": 100, "total": 120, "context": 20},
    }
    rows = [("a", True, "fp32", row), ("b", False, "bf16", {"error": "out of memory"})]
    page = verify_gpu.table(rows, "a device")
    assert "| `a` | training fp32 | 100 | +10.00% | 100 | -10.00% | 120 | +25.00% | 20 |" in page
    assert "out of memory" in page
    assert "allocated: median error 10.00%, largest 10.00%, 1 runs" in page


def test_a_row_tells_the_context_from_what_the_allocator_holds(
    verify_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = iter([7, 7 + 150])
    monkeypatch.setattr(verify_gpu, "shown_as_used", lambda: next(shown))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(
        verify_gpu, "measured",
        lambda *asked: {"allocated": 90, "reserved": 100, "total": verify_gpu.shown_as_used()},
    )  # fmt: skip
    verify_gpu.one_row("mlp:1024-4096-4096-10", False, "fp32")
    row = json.loads(capsys.readouterr().out)
    assert row["measured"] == {"allocated": 90, "reserved": 100, "total": 150, "context": 50}


def test_the_driver_is_asked_beside_cuda(
    verify_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = subprocess.CompletedProcess([], 0, stdout="512\n")
    monkeypatch.setattr(verify_gpu.subprocess, "run", lambda *asked, **options: said)
    assert verify_gpu.shown_as_used() == 512 * 2**20
