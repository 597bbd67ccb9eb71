"""The command line: arguments, read, analyses, write. No arithmetic, no formatting.

A question is one function under :func:`question`: it is given what was asked and returns the
report, and it is a command with all shared options. Exit codes: 0 answered, 1 the answer is no,
2 the question was wrong (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, NoReturn

import click

from botec import __version__
from botec.errors import BadInput, BotecError, MissingPackage, ModelFailed, UnknownName, nearest

if TYPE_CHECKING:
    from botec.report import Report

ANSWERED, NO, WRONG, INTERRUPTED = 0, 1, 2, 130
PRECISIONS = ("fp32", "bf16", "fp16", "amp-bf16", "amp-fp16")
EXTRAS = ("torch", "torchvision", "timm", "transformers")
FLAGS = ("train", "infer", "checkpoint")
OPTIONS = (*FLAGS, "optimizer", "precision", "device", "input")
DEBUG = "--debug"
EXAMPLE = "botec estimate torchvision:resnet50 B=32"


@dataclass(frozen=True)
class Asked:
    """A question about a model, as it was typed: ``options`` are those of :func:`botec.read`."""

    model: str
    inputs: tuple[Any, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A report, and why the answer is no, where it is."""

    report: Report
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """Where an answer goes: a page or JSON on stdout, and a file."""

    as_json: bool = False
    file: str | None = None
    plain: bool = False


class Interrupted(Exception):
    """The user has stopped the work. (click prints an empty line for a bare KeyboardInterrupt.)"""


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


class OneOf(click.Choice):
    """A choice that names the nearest one where it is not met."""

    def convert(self, value: Any, parameter: Any, context: Any) -> Any:
        if value in self.choices:
            return value
        do = nearest(value, self.choices) or f"use one of {', '.join(self.choices)}"
        raise UnknownName(f"{value!r} is unknown", do, f"--{parameter.name} {value}")


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


MODEL_HELP = """
    \b
    MODEL is one of
      torchvision:NAME   timm:NAME         a model of these libraries
      transformers:NAME                    a config.json, a folder, a model type, a hub id
      FILE.py:NAME                         a module, a class or a function that makes one
      mlp:784-512-10     mlp:30x3          layers by their widths; 3 layers of width 30

    DIM=VALUE gives a dimension of the inputs its size: B=32 S=2048.
"""

MODEL_OPTIONS = (
    click.argument("model"),
    click.argument("dimensions", nargs=-1, metavar="[DIM=VALUE]..."),
    click.option(
        "--input", "inputs", multiple=True, metavar="SPEC",
        help='What the model is called with: "x=B,3,224,224" or "ids=B,S:int64"; letters are '
        "dimensions. Repeatable; models known by name need none.",
    ),
    click.option("--train/--infer", default=True, help="A training step (default), or inference."),
    click.option(
        "--optimizer", default="adamw", show_default=True, metavar="NAME",
        help="The optimizer of the step; none leaves it out.",
    ),
    click.option(
        "--precision", default="fp32", type=OneOf(PRECISIONS), metavar="TYPE",
        help=f"One of {', '.join(PRECISIONS)}; amp- is autocast over fp32 weights.",
    ),
    click.option("--checkpoint", is_flag=True, help="Recompute activations in the backward."),
    click.option(
        "--device", default="cpu", show_default=True, metavar="NAME",
        help="Whose kernels to count.",
    ),
)  # fmt: skip


def remember_debug(context: click.Context, option: click.Parameter, value: bool) -> None:
    context.meta[DEBUG] = value


OUTPUT_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    click.option(
        "-o", "file", metavar="FILE", help="Write to FILE, its format by its suffix: .json, .txt."
    ),
    click.option("--plain", is_flag=True, help="No lines drawn, no colour."),
    click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=remember_debug,
        help="Show tracebacks and warnings.",
    ),
)


def with_options(function: Any, *groups: Sequence[Any]) -> Any:
    """``function`` under the click decorators of ``groups``, shown in their order."""
    for decorate in reversed([one for group in groups for one in group]):
        function = decorate(function)
    return function


def question(ask: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """Make a function that answers :class:`Asked` a command, with all shared options."""

    def command(model: str, dimensions: Sequence[str], **given: Any) -> int:
        name = f"{ask.__name__} {model}"
        output = Output(given.pop("as_json"), given.pop("file"), given.pop("plain"))
        asked = question_from(model, dimensions, **given)
        return answered(name, lambda: working(name, lambda: ask(asked)), output)

    command = update_wrapper(command, ask)
    command.__doc__ = f"{ask.__doc__}\n{MODEL_HELP}"
    botec.command(ask.__name__)(with_options(command, MODEL_OPTIONS, OUTPUT_OPTIONS))
    return ask


@question
def estimate(asked: Asked) -> Answer:
    """Everything about one step, in one page."""
    from botec.estimate import estimate

    return Answer(estimate(asked.model, *asked.inputs, **asked.options))


@question
def verify(asked: Asked) -> Answer:
    """The estimate beside a real run. Exit code 1 where they differ."""
    from botec.measure.verify import disagreements, verify

    report = verify(asked.model, *asked.inputs, **asked.options)
    return Answer(report, disagreements(report))


def show(saved: str, as_json: bool, file: str | None, plain: bool) -> int:
    """Print a saved report (page.json) again."""
    return answered(f"show {saved}", lambda: Answer(opened(saved)), Output(as_json, file, plain))


botec.command("show")(with_options(show, [click.argument("saved", metavar="FILE")], OUTPUT_OPTIONS))


def opened(path: str) -> Report:
    """The report saved at ``path``. Raises :class:`BadInput` where there is none."""
    from botec.write.to_json import load

    do = "name a file that botec estimate MODEL -o page.json has written"
    try:
        with open(path, encoding="utf-8") as file:
            return load(file.read())
    except OSError as error:
        raise BadInput(f"it cannot be read ({error.strerror or error})", do) from None
    except UnicodeDecodeError:
        raise BadInput("it is not a text file", do) from None


def question_from(
    model: str, dimensions: Sequence[str], inputs: Sequence[str], train: bool, **options: Any
) -> Asked:
    """What was typed, read: shapes, dimensions, and an optimizer where there is one."""
    from botec.inputs import parse_input

    if "=" in model and ":" not in model:
        raise BadInput(f"{model} stands where the model belongs", f"write {EXAMPLE}", model)
    if not train or options["optimizer"].lower() == "none":
        options["optimizer"] = None
    options.update(train=train, **point_from(dimensions))
    return Asked(model, tuple(map(parse_input, inputs)), options)


def point_from(dimensions: Sequence[str]) -> dict[str, int]:
    """``{"B": 32}`` from ``["B=32"]``. Raises :class:`BadInput` where two disagree."""
    from botec.inputs import parse_value

    point: dict[str, int] = {}
    for text in dimensions:
        name, _, value = text.partition("=")
        if name in OPTIONS:
            value = "" if name in FLAGS else f" {value}"
            raise BadInput(f"{name} is an option", f"write --{name}{value}", text)
        name, size = parse_value(text)
        if point.setdefault(name, size) != size:
            raise BadInput(f"{name} is also {point[name]}", "give each dimension once", text)
    return point


def working(name: str, ask: Callable[[], Answer]) -> Answer:
    """The answer, with a sign of life; only the answer reaches stdout, whatever a model prints."""
    from botec.write.progress import busy, quiet

    with quiet(unless=click.get_current_context().meta[DEBUG]), busy(name):
        try:
            return ask()
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in EXTRAS:
                raise
            do = 'run pip install "botec[zoo]"'
            raise MissingPackage(f"the package {package} is not installed", do) from error
        except SystemExit as error:
            do = "take the exit out of what runs when it is imported or built"
            raise ModelFailed("the model ended the program", do) from error


def answered(name: str, ask: Callable[[], Answer], output: Output) -> int:
    """Ask, then write the answer where it belongs; returns the exit code."""
    from botec.write.file import Place

    try:
        place = Place(output.file) if output.file else None
        try:
            answer = ask()
            if place:
                place.keep(answer.report)
                click.echo(f"botec: {name}: written to {output.file}", err=True)
        finally:
            if place:
                place.drop()
    except KeyboardInterrupt:
        raise Interrupted from None
    except BotecError as error:
        raise error.about(name) from error
    if output.as_json or not output.file:
        show_page(answer.report, output)
    for refusal in answer.refusals:
        click.echo(f"botec: {name}: {refusal}", err=True)
    return NO if answer.refusals else ANSWERED


def show_page(report: Report, output: Output) -> None:
    """The answer on stdout: JSON, or a page as wide as the terminal."""
    from shutil import get_terminal_size

    from botec.write import to_json, to_terminal

    if output.as_json:
        text = to_json.write(report)
    else:
        width = get_terminal_size((100, 24)).columns
        text = to_terminal.write(report, width, colourful() and not output.plain, output.plain)
    printed(text)


def printed(text: str) -> None:
    """``text`` on stdout, ``?`` for signs it cannot show. A reader who has left is no failure."""
    reconfigure: Any = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        unheard()
    except OSError as error:
        unheard()
        seen = f"the answer cannot be printed ({error.strerror or error})"
        raise BadInput(seen, "make room, or name a file with -o") from None


def colourful() -> bool:
    """Whether stdout shows colours and nobody has asked for none."""
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not unwanted


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


def unheard() -> int:
    """Nobody reads stdout any more, and has what it wanted: no complaint, now or at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ANSWERED


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
    """The entry point of the ``botec`` script."""
    sys.exit(run(sys.argv[1:]))
