"""``import botec`` is light, and everything but reading a model works without any framework."""

from __future__ import annotations

import subprocess
import sys

import pytest

import botec

HEAVY = ("torch", "torchvision", "timm", "transformers", "numpy", "scipy", "rich", "click", "sympy")

LOADED = f"import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm", "transformers", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter running ``code``."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def botec_without_frameworks(*arguments: str) -> subprocess.CompletedProcess[str]:
    ask = f"sys.argv = ['botec', *{arguments!r}]\nfrom botec.cli import main\nmain()"
    return run(BLOCKED + ask)


def test_importing_botec_loads_nothing_heavy():
    answer = run(f"import botec; {LOADED}")
    assert (answer.returncode, answer.stdout.strip()) == (0, ""), answer.stderr


@pytest.mark.parametrize("name", ["numpy", "click"])
def test_the_look_at_what_is_loaded_can_fail(name):
    assert run(f"import {name}; {LOADED}").stdout.split() == [name]


def test_the_public_names_exist_without_a_framework():
    code = (
        "import botec; [getattr(botec, name) for name in botec.__all__]; print(len(botec.__all__))"
    )
    answer = run(BLOCKED + code)
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) > 0


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("estimate", "--help")])
def test_the_command_speaks_without_a_framework(arguments):
    answer = botec_without_frameworks(*arguments)
    assert answer.returncode == 0, answer.stderr
    assert "botec" in answer.stdout


def test_a_model_without_its_framework_is_one_line():
    answer = botec_without_frameworks("estimate", "torchvision:resnet50", "B=1")
    assert answer.returncode == 2
    (line,) = answer.stderr.strip().splitlines()
    assert "PyTorch is not installed" in line
    assert "install" in line


def test_the_block_is_felt():
    answer = run(BLOCKED + "import torch")
    assert answer.returncode == 1
    assert "No module named 'torch'" in answer.stderr


def test_the_package_is_a_command():
    """``python -m botec`` is the ``botec`` script."""
    words = [sys.executable, "-m", "botec", "--version"]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert answer.stdout == f"botec {botec.__version__}\n"
