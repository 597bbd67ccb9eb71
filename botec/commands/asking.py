"""How a question is asked: the options commands share, and the decorators that make commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import click

from botec.commands.answering import DEBUG, Answer, Output, answered, working
from botec.errors import BadInput, UnknownName, nearest
from botec.program import Setting
from botec.read.settings import CHOICES, PRECISIONS, ZERO_GRAD

FLAGS = ("train", "infer", "checkpoint", "first_step", "scaler", "master")
OPTIONS = ("infer", "input", *CHOICES)
EXAMPLE = "botec estimate torchvision:resnet50 B=32"
MODEL_KEYS = ("model", "dimensions", "inputs", *CHOICES)
#: The choices of a step that say nothing where they are left as they are.
FURTHER = {
    one.name: one.default
    for one in fields(Setting)
    if one.name in CHOICES[1 + CHOICES.index("checkpoint") :]
}


@dataclass(frozen=True)
class Asked:
    """A question about a model, as it was typed: ``options`` are those of :func:`botec.read`."""

    model: str
    inputs: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def point(self) -> dict[str, int]:
        """The sizes given to dimensions: ``{"B": 32}``."""
        return {name: size for name, size in self.options.items() if name not in MODEL_KEYS}


class OneOf(click.Choice):
    """A choice that names the nearest one where it is not met."""

    def convert(self, value: Any, parameter: Any, context: Any) -> Any:
        if value in self.choices:
            return value
        do = nearest(value, self.choices) or f"use one of {', '.join(self.choices)}"
        option = (parameter.name or "").replace("_", "-")
        raise UnknownName(f"{value!r} is unknown", do, f"--{option} {value}")


MODEL_HELP = """
    \b
    MODEL is one of
      torchvision:NAME   timm:NAME         a model of these libraries
      transformers:NAME                    a config.json, a folder, a model type, a hub id
      FILE.py:NAME                         a module, a class or a function that makes one
      mlp:784-512-10     mlp:30x3          layers by their widths; 3 layers of width 30
      onnx:FILE                            an exported graph; read, never executed

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
        help='The optimizer of the step, with its arguments: "sgd(momentum=0.9)", '
        "FILE.py:Class; none leaves it out.",
    ),
    click.option(
        "--precision", default="fp32", type=OneOf(PRECISIONS), metavar="TYPE",
        help=f"One of {', '.join(PRECISIONS)}; amp- is autocast over fp32 weights.",
    ),
    click.option("--checkpoint", is_flag=True, help="Recompute activations in the backward."),
    click.option(
        "--checkpoint-how", default="", metavar="HOW",
        help="Recompute them so: reentrant; every=2 for every second block; save=matmuls or "
        "save=attention to keep these results. Joined by commas.",
    ),
    click.option(
        "--accumulate", default=1, type=int, metavar="N",
        help="A step takes N micro-batches; the batch in the dimensions is one of them.",
    ),
    click.option(
        "--zero-grad", default="after", type=OneOf(ZERO_GRAD), metavar="WHEN",
        help="When gradients go: after the step, before forward, between forward and backward, "
        "or keep (set to zero).",
    ),
    click.option("--first-step", is_flag=True, help="The step in which optimizer states are born."),
    click.option("--master", is_flag=True, help="Copies in fp32 of 16-bit weights."),
    click.option("--scaler", is_flag=True, help="A gradient scaler, for fp16."),
    click.option(
        "--freeze", multiple=True, metavar="GLOB",
        help='No gradients for these weights: "encoder.*", or a module. Repeatable.',
    ),
    click.option(
        "--train-only", multiple=True, metavar="GLOB", help="Gradients for these alone. Repeatable."
    ),
    click.option(
        "--lora", default="", metavar="SPEC",
        help="Low-rank adapters by peft: r=8,targets=q_proj,v_proj,alpha=16,dropout=0.05.",
    ),
    click.option(
        "--attention", default="", metavar="KIND",
        help="Of a model of transformers: sdpa (fused), or eager (written out in products).",
    ),
    click.option(
        "--device", default="cpu", show_default=True, metavar="NAME",
        help="Whose kernels to count: of botec devices, or a file of your own (my.toml).",
    ),
)  # fmt: skip


def remember_debug(context: click.Context, option: click.Parameter, value: bool) -> None:
    context.meta[DEBUG] = value


OUTPUT_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    click.option(
        "-o",
        "file",
        metavar="FILE",
        help="Write to FILE, by its suffix: .html, .json, .md, .txt, .csv, .parquet, .svg, .png.",
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


def command(*parameters: Any, points: bool = False) -> Callable[..., click.Command]:
    """Make a function that returns an :class:`Answer` a command.

    ``parameters`` are its click arguments and options, which it is given by name; the options of
    output are added. The command has the function's name (``_`` as ``-``) and its docstring. One
    that writes ``points`` itself is given the FILE of ``-o`` as ``points`` where it is one for them
    (``.csv``, ``.parquet``), else ``None``.
    """

    def declare(ask: Callable[..., Answer]) -> click.Command:
        def run(as_json: bool, file: str | None, plain: bool, **given: Any) -> int:
            about = question_in_words(click.get_current_context())
            if points:
                from botec.write.points import takes

                given["points"] = file if takes(file) else None
                file = None if takes(file) else file
            answer = partial(working, about, partial(ask, **given))
            return answered(about, answer, Output(as_json, file, plain))

        run.__doc__ = ask.__doc__
        decorated = with_options(run, parameters, OUTPUT_OPTIONS)
        return click.command(ask.__name__.replace("_", "-"))(decorated)

    return declare


def question(*parameters: Any) -> Callable[[Callable[..., Answer]], click.Command]:
    """Make a function that answers :class:`Asked` a command about a MODEL.

    It has the options every model has; ``parameters`` are more, given to it by name.
    """

    def declare(ask: Callable[..., Answer]) -> click.Command:
        def asked_first(**given: Any) -> Answer:
            of_model = {key: given.pop(key) for key in MODEL_KEYS}
            return ask(question_from(**of_model), **given)

        asked_first.__name__ = ask.__name__
        asked_first.__doc__ = f"{ask.__doc__}\n{MODEL_HELP}"
        return command(*MODEL_OPTIONS, *parameters)(asked_first)

    return declare


def question_in_words(context: click.Context) -> str:
    """``"estimate mlp:3x3"``: the command and its first argument."""
    arguments = [one for one in context.command.params if isinstance(one, click.Argument)]
    first = [context.params.get(one.name or "") for one in arguments[:1]]
    return " ".join([context.info_name or "", *(text for text in first if isinstance(text, str))])


def with_options(function: Any, *groups: Sequence[Any]) -> Any:
    """``function`` under the click decorators of ``groups``, shown in their order."""
    for decorate in reversed([one for group in groups for one in group]):
        function = decorate(function)
    return function


def question_from(
    model: str, dimensions: Sequence[str], inputs: Sequence[str], train: bool, **options: Any
) -> Asked:
    """What was typed, read: shapes, dimensions, and an optimizer where there is one."""
    from botec.inputs import parse_input

    if "=" in model and ":" not in model:
        raise BadInput(f"{model} stands where the model belongs", f"write {EXAMPLE}", model)
    if not train or options["optimizer"].lower() == "none":
        options["optimizer"] = None
    for name, default in FURTHER.items():
        if options.get(name, default) == default:
            options.pop(name, None)
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
            option = name.replace("_", "-")
            raise BadInput(f"{name} is an option", f"write --{option}{value}", text)
        name, size = parse_value(text)
        if name in ("model", "inputs", "self"):
            raise BadInput(f"no dimension {name}", "call it otherwise", text)
        if point.setdefault(name, size) != size:
            raise BadInput(f"{name} is also {point[name]}", "give each dimension once", text)
    return point
