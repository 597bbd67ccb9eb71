"""What the documentation says is run, and what it prints is compared.

In ``README.md``, ``docs/`` and the rooms' own pages, a fenced block after ``<!-- run -->`` is run:
``python`` blocks of one page share their names, lines of a ``bash`` block that begin with
``botec`` are given to the command. A ``text`` block after ``<!-- prints -->`` is what the block
before it must print; ``...`` stands for anything.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?:<!-- (run|prints) -->\s*\n)?^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("botec/**/*.md")])
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.glob("botec/**/*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its line, language and text, and what it is said to print."""

    line: int
    language: str
    text: str
    prints: str | None = None


def blocks_to_run(page: str) -> list[Block]:
    """The blocks of ``page`` marked to be run, each with the output that is promised after it."""
    found: list[Block] = []
    for match in BLOCK.finditer(page):
        mark, language, text = match.groups()
        if mark == "run":
            line = page.count("\n", 0, match.start(3))
            found.append(Block(line, language, text))
        elif mark == "prints" and found:
            found[-1] = Block(found[-1].line, found[-1].language, found[-1].text, text)
    return found


def run(block: Block, names: dict[str, object]) -> str:
    """What ``block`` prints. ``names`` are the page's Python names."""
    if block.language == "python":
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block.text, f"line {block.line}", "exec"), names)
        return out.getvalue()
    assert block.language == "bash", f"line {block.line}: a {block.language} block cannot be run"
    return "".join(map(ask, commands(block.text)))


def commands(text: str) -> Iterator[list[str]]:
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
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"botec {shlex.join(arguments)}: {done.stderr}"
    return done.stdout


def check_page(page: str) -> int:
    """Run every marked block of ``page`` in order; how many there were."""
    names: dict[str, object] = {}
    blocks = blocks_to_run(page)
    for block in blocks:
        printed = tidy(run(block, names))
        if block.prints is not None:
            same = doctest.OutputChecker().check_output(
                tidy(block.prints), printed, doctest.ELLIPSIS
            )
            assert same, f"line {block.line} prints\n{printed}\nand not\n{block.prints}"
    return len(blocks)


def broken_links(page: Path) -> list[str]:
    """Links of ``page`` to files that are not there."""
    inside = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", inside)]
    near = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    return [target for target in near if not (page.parent / target).exists()]


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_hold(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_on_a_page_hold(page):
    check_page(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page):
    assert broken_links(page) == []


def test_the_command_reference_is_fresh():
    made = subprocess.run(
        [sys.executable, "docs/make_cli.py", "--print"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == made.stdout, "docs/cli.md is not what the command says: run make docs"


def fenced(language: str, text: str, prints: str | None = None) -> str:
    page = f"<!-- run -->\n```{language}\n{text}\n```\n"
    return page if prints is None else f"{page}\n<!-- prints -->\n```text\n{prints}\n```\n"


def test_marked_blocks_are_run_in_order_with_their_names():
    page = fenced("python", "x = 6") + "words\n\n" + fenced("python", "print(7 * x)", "42")
    assert check_page(page) == 2


def test_an_unmarked_block_is_not_run():
    assert check_page("```python\n1 / 0\n```\n") == 0


def test_dots_stand_for_anything():
    assert check_page(fenced("python", "print('a 1.23 s z')", "a ... z")) == 1


def test_a_block_that_fails_is_seen():
    with pytest.raises(ZeroDivisionError):
        check_page(fenced("python", "1 / 0"))


def test_a_wrong_output_is_seen():
    with pytest.raises(AssertionError, match="and not"):
        check_page(fenced("python", "print(41)", "42"))


def test_a_wrong_command_is_seen():
    with pytest.raises(AssertionError, match="botec no-such-command"):
        check_page(fenced("bash", "botec no-such-command"))


def test_a_wrong_output_of_a_command_is_seen():
    with pytest.raises(AssertionError, match="and not"):
        check_page(fenced("bash", "$ ignored\nbotec --version", "botec 0.0.0"))


def test_a_language_nobody_runs_is_seen():
    with pytest.raises(AssertionError, match="cannot be run"):
        check_page(fenced("toml", "a = 1"))


def test_long_commands_are_joined():
    assert list(commands("botec estimate \\\n  mlp:2-1 # why\nls\n")) == [["estimate", "mlp:2-1"]]


def test_a_broken_link_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[a](page.md#top) [b](https://example.org) [c](no/such.md)\n```\n[d](x)\n```\n")
    assert broken_links(page) == ["no/such.md"]
