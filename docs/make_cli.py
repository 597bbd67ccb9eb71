"""Writes ``docs/cli.md`` from the command line's own help: ``python docs/make_cli.py [--print]``.

The page is generated, so it says what the commands say; a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

import botec.cli

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# The command line

Written by `make docs` from what `botec --help` and `botec COMMAND --help` say.
"""


def group() -> click.Group:
    """The command ``botec``: the one group of :mod:`botec.cli` that is no other group's."""
    groups = [value for value in vars(botec.cli).values() if isinstance(value, click.Group)]
    inner = [command for outer in groups for command in outer.commands.values()]
    (outermost,) = [value for value in dict.fromkeys(groups) if value not in inner]
    return outermost


def helps(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """``(path, help)`` of ``command`` and of everything under it, in the order it lists them."""
    settings = {"terminal_width": 88, **command.context_settings}
    context = command.context_class(command, info_name=name, parent=parent, **settings)
    yield context.command_path, context.get_help()
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            inner = command.commands[below]
            if not inner.hidden:
                yield from helps(inner, below, context)


def page() -> str:
    """The whole page as Markdown."""
    parts = helps(group(), "botec")
    sections = [f"\n## `{path}`\n\n```text\n{tidy(text)}\n```\n" for path, text in parts]
    return HEAD + "".join(sections)


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
