"""``botec time MODEL --device NAME``: how long a step takes, and what a whole run costs."""

import click

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question

ORDER = 17


@question(
    click.option(
        "--run", default="", metavar="TEXT",
        help='A whole run: "1.28M examples x 90 epochs", "300B tokens", "50k steps".',
    ),
    click.option("--gpus", default=1, show_default=True, help="On how many devices the run is."),
    click.option("--price", default="", metavar="PRICE", help="Dollars an hour of one: 2.5/h."),
    click.option(
        "--pue", default=1.1, show_default=True,
        help="The data centre's power over that of its machines.",
    ),
    click.option(
        "--exact", is_flag=True, help="Time every distinct op of the model on this machine."
    ),
)  # fmt: skip
def time(asked: Asked, run: str, gpus: int, price: str, pue: float, exact: bool) -> Answer:
    """How long a step takes, what bounds it, what a run costs.

    \b
    botec time torchvision:resnet50 B=64 --device a100 --precision amp-bf16 --train
    botec time torchvision:resnet50 B=64 --device a100 --run "1.28M examples x 90 epochs"
    botec time mlp:784-512-10 B=64
    """
    from botec import duration

    where = asked.options.pop("device", "cpu")
    about = duration.Asked(where, run, gpus, price, pue, exact)
    if (click.get_current_context().params["file"] or "").lower().endswith(".html"):
        from botec.duration.controls import for_page
        from botec.write.progress import tell

        page = for_page(asked.model, *asked.inputs, asked=about, told=tell, **asked.options)
        return Answer(page)
    return Answer(duration.duration(asked.model, *asked.inputs, asked=about, **asked.options))
