"""Puts what the examples print today into the pages: ``python docs/make_readme.py [PAGE…]``.

A fenced block after ``<!-- run -->`` is run: the ``python`` blocks of a page share their names, and
the lines of a ``bash`` block that begin with ``botec`` are given to the command. Every ``text``
block after ``<!-- prints -->`` is what the run block before it must print; ``...`` stands for
anything. The tests run the same blocks and compare; this script writes what they would want.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?:<!-- (run|prints) -->\s*\n)?^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
WIDTH = "100"


@dataclass(frozen=True)
class Block:
    """A fenced block: its line on the page, its language, its text."""

    line: int
    language: str
    text: str


def outputs(page: str) -> Iterator[tuple[Block, str | None, tuple[int, int]]]:
    """Runs the marked blocks of ``page``: ``(block, what it printed, where it stands)``.

    A promised output comes as a block of its own, with what was printed by the one it belongs to;
    a block that is run, with ``None``.
    """
    names: dict[str, object] = {}
    printed = None
    with tempfile.TemporaryDirectory() as folder:
        for match in BLOCK.finditer(page):
            mark, language, text = match.groups()
            block = Block(page.count("\n", 0, match.start(3)), language, text)
            if mark == "run":
                printed = tidy(run(block, names, folder))
                yield block, None, match.span(3)
            elif mark == "prints" and printed is not None:
                yield block, printed, match.span(3)


def run(block: Block, names: dict[str, object], folder: str) -> str:
    """What ``block`` prints. ``names`` are the page's Python names, ``folder`` its files' place."""
    if block.language == "python":
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.chdir(folder):
            exec(compile(block.text, f"line {block.line}", "exec"), names)
        return out.getvalue()
    assert block.language == "bash", f"line {block.line}: a {block.language} block cannot be run"
    return "".join(map(ask, commands(block.text)))


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every line of a ``bash`` block that begins with ``botec``."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["botec"]:
            yield words[1:]


def ask(arguments: list[str]) -> str:
    """What the command prints; a failure is one of the page."""
    code = f"import sys; sys.argv = ['botec', *{arguments!r}]; from botec.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"botec {shlex.join(arguments)}: {done.stderr}"
    return done.stdout


def holds(promised: str, printed: str) -> bool:
    """Whether ``printed`` is what was promised, ``...`` standing for anything."""
    return doctest.OutputChecker().check_output(tidy(promised), printed, doctest.ELLIPSIS)


def fresh(page: str) -> str:
    """``page`` with every promised output that no longer holds as it is printed now."""
    wrong = [
        (place, renewed(block.text, printed))
        for block, printed, place in outputs(page)
        if printed is not None and not holds(block.text, printed)
    ]
    for (start, end), text in reversed(wrong):
        page = page[:start] + text + page[end:]
    return page


def renewed(promised: str, printed: str) -> str:
    """What is printed now, cut where the promise is cut: as many lines, then ``...``."""
    lines = promised.rstrip("\n").split("\n")
    if lines[-1] != "...":
        return printed
    return "".join(f"{line}\n" for line in [*printed.split("\n")[: len(lines) - 1], "..."])


def tidy(text: str) -> str:
    """``text`` without blank ends of lines and empty lines around it."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


def write(path: Path, renew: Callable[[str], str] = fresh) -> bool:
    """Renew the page at ``path``; whether it had to be."""
    old = path.read_text(encoding="utf-8")
    new = renew(old)
    if new != old:
        path.write_text(new, encoding="utf-8")
    return new != old


if __name__ == "__main__":
    for named in sys.argv[1:] or [str(ROOT / "README.md")]:
        print(f"{named}: {'written anew' if write(Path(named)) else 'holds as it is'}")
