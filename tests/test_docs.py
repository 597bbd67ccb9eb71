"""What the documentation says is run, and what it prints is compared.

Which blocks of a page are run, and how, is said in ``docs/make_readme.py``, which also writes
today's outputs into a page. ``README.md``, ``docs/`` and the rooms' own pages are held to it.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("botec/**/*.md")])
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.glob("botec/**/*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


def script(path: str):
    """A script of the project as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


examples = script("docs/make_readme.py")


def check_page(page: str) -> int:
    """Run every marked block of ``page`` in order; how many there were."""
    ran = 0
    for block, printed, _ in examples.outputs(page):
        if printed is None:
            ran += 1
        elif not examples.holds(block.text, printed):
            message = f"line {block.line} prints\n{printed}\nand not\n{block.text}"
            raise AssertionError(f"{message}\nif that is right: python docs/make_readme.py")
    return ran


def broken_links(page: Path) -> list[str]:
    """Links of ``page`` to files that are not there."""
    inside = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", inside)]
    near = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    return [target for target in near if not (page.parent / target).exists()]


def tables(page: str) -> list[list[dict[str, str]]]:
    """The tables of a page in Markdown: rows, as their cells under the columns' titles."""
    found: list[list[dict[str, str]]] = []
    for match in re.finditer(r"(?:^\|.*\n){3,}", page, flags=re.MULTILINE):
        lines = [line.strip().strip("|").split("|") for line in match.group().splitlines()]
        titles, _, *rows = ([cell.strip() for cell in line] for line in lines)
        found.append([dict(zip(titles, row, strict=True)) for row in rows])
    return found


def untrue_cells(part: list[dict[str, str]], whole: list[dict[str, str]]) -> list[str]:
    """Cells of ``part`` that the same row and column of ``whole`` does not have."""
    known = {row["case"]: row for row in whole}
    return [
        f"{row['case']}, {title}: {cell}"
        for row in part
        for title, cell in row.items()
        if known.get(row["case"], {}).get(title) != cell
    ]


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


def test_the_readme_shows_what_is_run():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    runs = re.findall(r"<!-- run -->\n```(\w+)", text)
    assert runs.count("bash") >= 2
    assert runs.count("python") >= 1
    assert text.count("<!-- prints -->") >= 3


def test_the_command_reference_is_fresh():
    made = subprocess.run(
        [sys.executable, "docs/make_cli.py", "--print"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == made.stdout, "docs/cli.md is not what the command says: run make docs"


def test_the_counters_in_the_readme_are_those_measured():
    (measured,) = tables((ROOT / "docs" / "counters.md").read_text(encoding="utf-8"))
    shown = [
        table
        for table in tables((ROOT / "README.md").read_text(encoding="utf-8"))
        if "case" in table[0]
    ]
    assert shown
    assert [untrue_cells(table, measured) for table in shown] == [[] for _ in shown]


def test_botecs_own_column_among_the_counters_is_fresh():
    counters = script("benchmarks/counters.py")
    (measured,) = tables((ROOT / "docs" / "counters.md").read_text(encoding="utf-8"))
    (own,) = [tool for tool in counters.TOOLS if tool.title == "botec"]
    written = {row["case"]: row["botec"] for row in measured}
    assert written == {case.name: counters.cell(own, case) for case in counters.CASES}


def fenced(language: str, text: str, *prints: str) -> str:
    promised = "".join(f"\n<!-- prints -->\n```text\n{one}\n```\n" for one in prints)
    return f"<!-- run -->\n```{language}\n{text}\n```\n{promised}"


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


def test_every_output_of_a_block_is_compared():
    assert check_page(fenced("python", "print('a\\nb')", "a\n...", "a\nb")) == 1
    with pytest.raises(AssertionError, match="and not"):
        check_page(fenced("python", "print('a\\nb')", "a\n...", "a\nc"))


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
    found = list(examples.commands("botec estimate \\\n  mlp:2-1 # why\nls\n"))
    assert found == [["estimate", "mlp:2-1"]]


def test_a_stale_page_is_written_anew_and_then_holds(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        fenced("python", "print('a\\nb\\nc')", "x\ny\n...", "a\nb\n...", "old"), encoding="utf-8"
    )
    assert examples.write(page)
    text = page.read_text(encoding="utf-8")
    assert text == fenced("python", "print('a\\nb\\nc')", "a\nb\n...", "a\nb\n...", "a\nb\nc")
    assert check_page(text) == 1
    assert not examples.write(page)


def test_a_broken_link_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[a](page.md#top) [b](https://example.org) [c](no/such.md)\n```\n[d](x)\n```\n")
    assert broken_links(page) == ["no/such.md"]


def test_a_cell_that_was_not_measured_is_seen():
    (whole,) = tables("| case | a | b |\n|---|---|---|\n| x | 1 | 0.8 |\n| y | 2 | 3 |\n")
    (part,) = tables("| case | b |\n|---|---|\n| x | 1 |\n| z | 3 |\n")
    assert untrue_cells(part, whole) == ["x, b: 1", "z, case: z", "z, b: 3"]
