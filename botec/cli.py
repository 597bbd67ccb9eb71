"""The command line: arguments, read, analyses, write. No arithmetic, no formatting.

Every command is a file of :mod:`botec.commands`. Exit codes: 0 answered, 1 the answer is no, 2 the
question was wrong (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from botec import __version__
from botec.commands import commands
from botec.commands.answering import ANSWERED, DEBUG, INTERRUPTED, WRONG, Interrupted, unheard
from botec.errors import BadInput, BotecError, UnknownName, nearest
from botec.read.put_off import put_off


class Questions(click.Group):
    """The commands, in the order they are declared."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, context: click.Context, arguments: list[str]) -> Any:
        name = arguments[0]
        if name not in self.commands and not name.startswith("-"):
            do = nearest(name, self.commands) or f"use one of {', '.join(self.commands)}"
            raise UnknownName("no such command", do, name)
        return super().resolve_command(context, arguments)


@click.group(
    cls=Questions,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
    epilog="botec COMMAND --help says more about one command.",
)
@click.version_option(__version__, message="botec %(version)s")
@click.pass_context
def botec(context: click.Context) -> None:
    """Back-of-the-envelope calculation for neural networks.

    Before a network is run: how large it is, what a step computes, what memory it takes. Counted
    exactly from the network's own operations, beside rules of thumb and real runs.

    \b
    botec estimate torchvision:resnet50 B=32
    botec estimate transformers:llama S=2048 --optimizer adamw --precision bf16
    botec estimate model.py:Net --input "x=B,3,224,224" B=8 --infer
    botec verify mlp:784-512-512-10 B=64
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for found in commands():
    botec.add_command(found)


def run(arguments: Sequence[str]) -> int:
    """Answer one command line. Returns its exit code; prints every failure as one line."""
    try:
        code = botec.main(list(arguments), prog_name="botec", standalone_mode=False)
        sys.stdout.flush()
        return code or ANSWERED
    except (Interrupted, click.Abort, KeyboardInterrupt):
        return failed("interrupted", arguments, INTERRUPTED)
    except (BrokenPipeError, SystemExit):  # click leaves so where stdout has been closed
        return unheard()
    except click.ClickException as error:
        return failed(usage_text(error), arguments)
    except BotecError as error:
        return failed(str(error), arguments)
    except Exception as error:  # whatever it is, the user gets one line
        seen = BotecError(
            f"internal error: {type(error).__name__}: {str(error)[:200]}",
            f"run again with {DEBUG} and report what it shows",
            " ".join(arguments[:2]),
        )
        return failed(str(seen), arguments)


def failed(text: str, arguments: Sequence[str], code: int = WRONG) -> int:
    """One line on stderr, after the traceback where ``--debug`` asks for it."""
    if DEBUG in arguments:
        import traceback

        traceback.print_exc()
    printable = "".join(char if char.isprintable() else "�" for char in text)
    click.echo(f"botec: {printable}", err=True)
    return code


def usage_text(error: click.ClickException) -> str:
    """A usage error of click's in botec's words: asked, seen, do."""
    context = getattr(error, "ctx", None)
    command = context.command_path.partition(" ")[2] if context else ""
    help_text = f"see botec {command + ' ' if command else ''}--help"
    if isinstance(error, click.NoSuchOption):
        known = [name for each in context.command.params for name in each.opts] if context else []
        near = nearest(error.option_name, known) or help_text
        return str(BadInput("no such option", near, f"{command} {error.option_name}".strip()))
    if isinstance(error, click.MissingParameter) and error.param is not None:
        name = (error.param.metavar or error.param.name or "").upper()
        do = f"write botec {command} torchvision:resnet50 B=32" if name == "MODEL" else help_text
        return str(BadInput(f"{name} is missing", do, command))
    if isinstance(error, click.BadOptionUsage):
        return str(BadInput("no value, or one it does not take", help_text, error.option_name))
    seen = error.format_message().rstrip(".")
    return str(BadInput(seen, help_text, command))


def main() -> NoReturn:
    """The entry point of the ``botec`` script, whose process is botec's own.

    It ends when the answer is out: to take a framework down piece by piece lasts a second. Rubbish
    is looked for seldom: most of what imports make stays.
    """
    gc.set_threshold(50_000, 20, 100)
    put_off()
    code = run(sys.argv[1:])
    threading._shutdown()  # type: ignore[attr-defined]  # pools tell their workers to stop, before
    atexit._run_exitfuncs()  # those are waited for
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
