"""Every example runs from start to end in its own interpreter, and says what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=300, cwd=path.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs(path):
    assert run(path).strip()


def test_a_broken_example_is_seen(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import botec\nbotec.no_such_thing\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="no_such_thing"):
        run(broken)
