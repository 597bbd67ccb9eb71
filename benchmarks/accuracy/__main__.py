"""Predictions beside public measurements, one page.

    python -m benchmarks.accuracy [-o docs/accuracy.md] [--only NAME] [--resume FILE]

Every module of this folder that has a ``TITLE``, an ``ORDER`` and a function ``section()`` is a
section of the page; its name is the module's. The page is written anew after each section, and a
section that is not asked for (or fails) keeps the text it had, so a run can be cut and taken up.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import sys
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from benchmarks.accuracy import rows

PACKAGES = ("torch", "torchvision", "transformers", "timm")
HEAD = """# Predictions beside public measurements

Numbers that nobody of this project made, beside what botec says of the same run without running it.
Every row there is stands here, good or bad; nothing in botec is fitted to them. Where an error is
large, its cause is named. Sources and licences: `benchmarks/data/SOURCES.md`.
Made by `make accuracy` on {date} with {packages}, Python {python}.
"""
MARK = "<!-- section {} -->"


def sections() -> dict[str, ModuleType]:
    """The modules that are sections of the page, by name, in their order."""
    folder = str(Path(__file__).parent)
    names = [one.name for one in iter_modules([folder]) if not one.name.startswith("_")]
    found = {name: import_module(f"benchmarks.accuracy.{name}") for name in names}
    whole = {name: one for name, one in found.items() if hasattr(one, "ORDER")}
    return dict(sorted(whole.items(), key=lambda pair: pair[1].ORDER))


def written(page: str) -> dict[str, str]:
    """The sections of a page made before, by name."""
    parts = re.split(r"^<!-- section (\w+) -->\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def page(texts: dict[str, str], order: Iterator[str] | dict[str, ModuleType]) -> str:
    """The page in Markdown: its head, and the sections there are."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    head = HEAD.format(
        date=datetime.date.today().isoformat(), packages=packages, python=platform.python_version()
    )
    parts = [f"{MARK.format(name)}\n{texts[name]}\n" for name in order if name in texts]
    return "\n".join([head, *parts])


def made(name: str, module: ModuleType) -> str | None:
    """A section's text with its title; ``None``, and the traceback, where it fails."""
    start = time.perf_counter()
    print(f"accuracy: {name}", file=sys.stderr)
    try:
        text = module.section()
    except Exception:
        traceback.print_exc()
        return None
    print(f"accuracy: {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return f"## {module.TITLE}\n\n{text.strip()}"


def main() -> int:
    """Make the page, or one section of it; 1 where a section failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="the page; printed where none is named")
    parser.add_argument("--only", action="append", metavar="NAME", help="this section (repeatable)")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="rows worked out before")
    given = parser.parse_args()
    rows.STORE = given.resume
    every = sections()
    unknown = set(given.only or ()) - set(every)
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(every)}")
    old = given.output.read_text("utf-8") if given.output and given.output.exists() else ""
    texts, failed = written(old), False
    for name in given.only or every:
        text = made(name, every[name])
        failed |= text is None
        if text:
            texts[name] = text
        if given.output:
            given.output.write_text(page(texts, every), encoding="utf-8")
    if not given.output:
        print(page(texts, every))
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
