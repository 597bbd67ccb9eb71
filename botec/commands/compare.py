"""``botec compare A B …``: models, settings or devices side by side."""

from __future__ import annotations

from itertools import product
from typing import Any

import click

from botec.commands.answering import Answer
from botec.commands.asking import command, question_from
from botec.errors import BadInput

ORDER = 12
#: Options that may name several, parted by commas.
SEVERAL = ("optimizer", "precision", "device")
MOST = 24


@command(
    click.argument("words", nargs=-1, metavar="MODEL... [DIM=VALUE]..."),
    click.option("--input", "inputs", multiple=True, metavar="SPEC", help="As for estimate."),
    click.option("--train/--infer", default=True, help="A training step (default), or inference."),
    *(
        click.option(f"--{name}", metavar="A,B", help=f"One {name}, or several to compare.")
        for name in SEVERAL
    ),
    click.option("--checkpoint", is_flag=True, help="Recompute activations in the backward."),
)
def compare(words: tuple[str, ...], **given: Any) -> Answer:
    """Models, settings or devices side by side, differences first.

    \b
    botec compare torchvision:resnet50 torchvision:convnext_tiny B=32
    botec compare torchvision:resnet50 B=32 --optimizer sgd,adamw --precision fp32,bf16
    botec compare transformers:llama S=2048 --device a100-80gb,rtx4090
    """
    from botec.analyses.compare import compared, labels
    from botec.estimate import estimate

    chosen = choices(words, given)
    reports = {}
    for label, one in zip(labels(chosen), chosen, strict=True):
        settings = {key: value for key, value in one.items() if key != "model"}
        asked = question_from(one["model"], points(words), given["inputs"], given["train"],
                              checkpoint=given["checkpoint"], **settings)  # fmt: skip
        reports[label] = estimate(asked.model, *asked.inputs, **asked.options)
    return Answer(compared(reports))


def points(words: tuple[str, ...]) -> list[str]:
    """The ``DIM=VALUE`` among the words."""
    return [word for word in words if is_point(word)]


def is_point(word: str) -> bool:
    name, sign, _ = word.partition("=")
    return bool(sign) and name.isidentifier() and ":" not in name


def choices(words: tuple[str, ...], given: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of what was named several times.

    Raises :class:`BadInput` for fewer than two, or too many.
    """
    models = [word for word in words if not is_point(word)]
    usual = {"optimizer": "adamw", "precision": "fp32", "device": "cpu"}
    several = {"model": models}
    several |= {name: (given[name] or usual[name]).split(",") for name in SEVERAL}
    chosen = [dict(zip(several, one, strict=True)) for one in product(*several.values())]
    if len(chosen) < 2:
        do = "name two models, or several --optimizer, --precision or --device with commas"
        raise BadInput("there is nothing to compare", do, " ".join(words) or "compare")
    if len(chosen) > MOST:
        raise BadInput(f"{len(chosen)} are too many to stand side by side", f"name up to {MOST}")
    return chosen
