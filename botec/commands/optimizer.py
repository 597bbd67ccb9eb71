"""``botec optimizer NAME``: what an optimizer keeps, and where it leads a weight."""

from __future__ import annotations

from typing import Any

import click

from botec.commands.answering import Answer
from botec.commands.asking import command

ORDER = 60

NUMBERS = {
    "lr": "The learning rate η.",
    "momentum": "Of SGD, RMSprop, Muon: the share of the last step that is kept.",
    "dampening": "Of SGD: the share of a gradient that the momentum leaves out.",
    "weight-decay": "The weight decay λ.",
    "beta1": "The share of the gradients' average that is kept.",
    "beta2": "The share of the squares' average that is kept.",
    "alpha": "Of RMSprop: the share of the squares' average that is kept.",
    "rho": "Of Adadelta: the share of both averages that is kept.",
    "eps": "The small number in the denominator.",
    "lr-decay": "Of Adagrad: how the rate declines.",
    "initial-accumulator-value": "Of Adagrad: the sum at the start.",
    "momentum-decay": "Of NAdam.",
    "eta-minus": "Of Rprop: the factor where the sign changes.",
    "eta-plus": "Of Rprop: the factor where it stays.",
    "step-min": "Of Rprop: the smallest step.",
    "step-max": "Of Rprop: the largest step.",
    "lambd": "Of ASGD: its own decay.",
    "power": "Of ASGD: the power with which the rate declines.",
    "t0": "Of ASGD: when averaging begins.",
    "beta2-decay": "Of Adafactor.",
    "eps1": "Of Adafactor: the least root of the averaged square.",
    "eps2": "Of Adafactor: the least size of a weight.",
    "clip": "Of Adafactor: the largest root mean square of an update.",
    "tolerance-grad": "Of LBFGS: a gradient up to this is not followed.",
    "tolerance-change": "Of LBFGS: a way, or a fall of the loss, this small ends a step.",
}
COUNTS = {
    "max-iter": "Of LBFGS: the most iterations of a step.",
    "history-size": "Of LBFGS: the most pairs that are kept.",
}
FLAGS = {
    "nesterov": "Look ahead along the momentum.",
    "centered": "Of RMSprop: divide by the deviation.",
    "amsgrad": "Of Adam: divide by the largest average so far.",
    "decoupled": "Decay the weight itself.",
}


@command(
    click.argument("name"),
    click.option("--gradient", type=float, default=1.0, show_default=True, help="Constant."),
    click.option("--steps", type=int, default=1000, show_default=True),
    click.option("--start", type=float, default=0.0, show_default=True, help="The first weight."),
    *(
        click.option(f"--{name}", type=float, metavar="X", help=text)
        for name, text in NUMBERS.items()
    ),
    *(click.option(f"--{name}", type=int, metavar="N", help=text) for name, text in COUNTS.items()),
    *(
        click.option(f"--{name}/--no-{name}", default=None, help=text)
        for name, text in FLAGS.items()
    ),
    click.option(
        "--eps-place",
        type=click.Choice(["outside", "inside", "uncorrected"]),
        help="Of Adam: where eps stands.",
    ),
    click.option("--verify", is_flag=True, help="Run the real optimizer beside it."),
)
def optimizer(
    name: str, gradient: float, steps: int, start: float, verify: bool, **given: Any
) -> Answer:
    """What an optimizer keeps, and where it leads a weight."""
    from botec.analyses.optimizers.figures import disagreements
    from botec.analyses.optimizers.page import asked, report

    chosen = {option: value for option, value in given.items() if value is not None}
    way = asked(name, gradient, steps, start, **chosen)
    if not verify:
        return Answer(report(way))
    from botec.measure.optimizers import judge

    path, kept, how = judge(way.method.name, vars(way.options), [gradient] * steps, start)
    page = report(way, path, kept, how)
    return Answer(page, disagreements(page.figures, way.updates))
