"""Questions as a user asks them: the command line, in this process, and what it answered."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botec import cli


@dataclass(frozen=True)
class Said:
    """What one command line did."""

    code: int
    out: str
    err: str


def say(*words: str) -> Said:
    """Run ``botec`` with these words."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(words)
    return Said(code, out.getvalue(), err.getvalue())


def figures(*words: str) -> dict[str, Any]:
    """The figures of ``botec estimate … --json``, which must answer."""
    said = say("estimate", *words, "--json")
    assert (said.code, said.err) == (0, ""), said.err
    return json.loads(said.out)["figures"]


def value(found: Mapping[str, Any], key: str) -> Any:
    """The count of figure ``key``, as it stands in JSON; nothing may be missing in it."""
    counted = found[key]["counted"]
    assert counted["missing"] == {}
    return counted["value"]


def formula(found: Mapping[str, Any], key: str, **point: int) -> Any:
    """What Python makes of the formula's plain text at ``point``."""
    text = found[key]["counted"]["formula"]
    return eval(text, {"__builtins__": {}, "max": max}, dict(point))
