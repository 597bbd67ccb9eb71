"""A program in a file: nothing is lost, broken files are one line, and torch is not needed."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from programs_to_ask import programs

import botec
from botec.archive import load, packed, save
from botec.calls import Call
from botec.errors import BadInput
from botec.estimate import report
from botec.program import Program


def call_as_data(call: Call) -> tuple[Any, ...]:
    return (call.op, call.overload, dict(call.arguments), call.outputs, call.view, call.writes)


def as_data(program: Program) -> dict[str, Any]:
    """Everything a program holds, as plain comparable data, types of the rows included."""
    fields = {name: getattr(program, name) for name in program.__dataclass_fields__}
    fields["streams"] = [
        (s.regime, [call_as_data(call) for call in s.calls], s.storages,
         *((row.typecode, list(row)) for row in (s.kinds, s.index, s.scopes)))
        for s in program.streams
    ]  # fmt: skip
    return fields


def through_a_file(program: Program) -> Program:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.botec"
        save(program, path)
        return load(path)


@settings(max_examples=60)
@given(programs())
def test_nothing_is_lost(program: Program) -> None:
    again = through_a_file(program)
    assert as_data(again) == as_data(program)
    assert json.dumps(packed(again)) == json.dumps(packed(program))


@pytest.fixture(scope="module")
def real() -> Program:
    return botec.read("mlp:7-5-3", B=4)


def test_a_real_program_gives_the_same_page(real: Program) -> None:
    again = through_a_file(real)
    assert as_data(again) == as_data(real)
    assert asdict(report(again).whole()) == asdict(report(real).whole())
    assert botec.memory(again).peak(B=99) == botec.memory(real).peak(B=99)


def test_the_same_program_is_the_same_file(real: Program, tmp_path: Path) -> None:
    for name in "ab":
        save(real, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


DO = "save it again with botec.save(program, path)"


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load(path)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "no.botec"
    assert refused(path) == f"{path}: no such file; save one with botec.save(program, path)"


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"", ""),
        (b"hello", "Not a gzipped file"),
        (gzip.compress(b"{", mtime=0), "Expecting property name"),
        (gzip.compress(b"[]", mtime=0), "'list' object has no attribute 'get'"),
        (gzip.compress(b"\x80", mtime=0), "codec can't decode"),
        (gzip.compress(b'{"format": 99}', mtime=0), "format 99, this botec reads 1"),
        (gzip.compress(b'{"format": 1}', mtime=0), "'setting'"),
    ],
)
def test_a_file_of_something_else(tmp_path: Path, content: bytes, seen: str) -> None:
    path = tmp_path / "net.botec"
    path.write_bytes(content)
    text = refused(path)
    assert text.startswith(f"{path}: not a saved program")
    assert seen in text
    assert text.endswith(DO)


def test_a_file_cut_short_or_changed(real: Program, tmp_path: Path) -> None:
    path = tmp_path / "net.botec"
    save(real, path)
    whole = path.read_bytes()
    for end in (1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert refused(path).endswith(DO)
    path.write_bytes(whole[:-8] + bytes(8))
    assert refused(path).endswith(DO)


def test_a_file_with_a_damaged_byte(real: Program, tmp_path: Path) -> None:
    path = tmp_path / "net.botec"
    save(real, path)
    whole = path.read_bytes()
    for place in range(12, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        refused(path)


def damaged(data: dict[str, Any], *steps: Any, value: Any) -> dict[str, Any]:
    *way, last = steps
    part: Any = data
    for step in way:
        part = part[step]
    part[last] = value
    return data


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: damaged(d, "streams", 0, "index", value=[]),
        lambda d: damaged(d, "streams", 0, "index", 5, value=10**6),
        lambda d: damaged(d, "streams", 0, "kinds", value="abc"),
        lambda d: damaged(d, "streams", value=None),
        lambda d: damaged(d, "setting", "colour", value="red"),
        lambda d: damaged(d, "parameters", value=[[]]),
        lambda d: damaged(d, "streams", 0, "storages", 0, 1, value="scratch"),
    ],
)
def test_a_program_that_is_not_sound(real: Program, tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "net.botec"
    path.write_bytes(gzip.compress(json.dumps(damage(packed(real))).encode(), mtime=0))
    assert refused(path).endswith(DO)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "not a saved program" in refused(tmp_path)


WITHOUT_TORCH = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm", "transformers"):
            raise ImportError(name + " is not here")
sys.meta_path.insert(0, Blocked())
import botec
program = botec.read(sys.argv[1], B=9)
report = botec.estimate(program)
print(report.figures["memory.peak"].counted.value,
      report.figures["multiplications.step"].counted.value,
      botec.memory(botec.load(sys.argv[1])).peak(B=64))
assert "torch" not in sys.modules
"""


def test_it_is_asked_without_torch(real: Program, tmp_path: Path) -> None:
    path = tmp_path / "net.botec"
    save(real, path)
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(path)], capture_output=True, text=True
    )
    assert ended.stderr == ""
    fresh = botec.estimate("mlp:7-5-3", B=9).figures
    keys = ("memory.peak", "multiplications.step")
    values = [fresh[key].counted.value for key in keys]
    assert ended.stdout.split() == [str(v) for v in (*values, botec.memory(real).peak(B=64))]


def test_another_setting_is_refused(real: Program, tmp_path: Path) -> None:
    path = tmp_path / "net.botec"
    save(real, path)
    assert botec.read(str(path)).asked == {"B": 4}
    with pytest.raises(BadInput) as caught:
        botec.read(str(path), optimizer="sgd")
    assert str(caught.value) == (
        f"{path}: it was read with optimizer=adamw; ask it so, or read the model again with "
        "optimizer=sgd"
    )
