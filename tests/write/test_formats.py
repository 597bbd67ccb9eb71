"""The folder is the registry: a new format is one new file."""

from __future__ import annotations

import re

import pytest

import botec.write
from botec.errors import UnknownName
from botec.write import format_of, formats


def test_every_format_has_a_suffix_and_a_writer() -> None:
    assert {".json", ".txt"} <= set(formats())
    for suffix, module in formats().items():
        assert re.fullmatch(r"\.[a-z]+", suffix)
        assert callable(module.write)


def test_a_new_file_is_a_new_format(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "to_song.py").write_text("SUFFIX = '.song'\ndef write(report): return 'la'\n")
    monkeypatch.setattr(botec.write, "__path__", [*botec.write.__path__, str(tmp_path)])
    assert format_of("a.song").write(None) == "la"


@pytest.mark.parametrize("path", ["PAGE.JSON", "a/b.c/page.json"])
def test_the_suffix_decides(path: str) -> None:
    assert format_of(path).SUFFIX == ".json"


def test_an_unknown_suffix_names_the_known() -> None:
    with pytest.raises(UnknownName, match=r"-o a\.qqq: .*'\.qqq'; end it in .*\.json or "):
        format_of("a.qqq")
