"""``botec fit MODEL --device NAME``: does it fit, what fills it, the largest that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from botec.commands.answering import Answer
from botec.commands.asking import Asked, question
from botec.errors import BadInput

if TYPE_CHECKING:
    from botec.report import Report

ORDER = 15


@question(
    click.option(
        "--context", default=None, metavar="SIZE", help="The driver's own memory: 450MiB."
    ),
    click.option("--price", default="", metavar="PRICE", help="Dollars an hour of it: 2.5/h."),
    click.option("--expandable", is_flag=True, help="The allocator's segments grow."),
)
def fit(asked: Asked, context: str | None, price: str, expandable: bool) -> Answer:
    """Does it fit on a device, what fills it, the largest that fits."""
    from botec.analyses.duration.run import price_from
    from botec.fit import CONTEXT, everywhere, fit
    from botec.units import parse_bytes

    own = CONTEXT if context is None else parse_bytes(context)
    own_price = price_from(price) if price else None
    if asked.options.get("device", "cpu") == "cpu":
        if price:
            do = "name one with --device, such as a100"
            raise BadInput("a price is one device's", do, f"--price {price}")
        report = everywhere(
            asked.model, *asked.inputs, context=own, expandable=expandable, **asked.options
        )
        return Answer(report, refusals(report))
    more = {"context": own, "expandable": expandable, "price": own_price, **asked.options}
    if (click.get_current_context().params["file"] or "").lower().endswith(".html"):
        from botec.fit.controls import for_page
        from botec.write.progress import tell

        report = for_page(asked.model, *asked.inputs, told=tell, **more)
    else:
        report = fit(asked.model, *asked.inputs, **more)
    return Answer(report, refusals(report))


def refusals(report: Report) -> tuple[str, ...]:
    """Why the answer is no: the sentence the page begins with."""
    from botec.report import Text

    first = report.sections[0].parts[0]
    return (first.text,) if isinstance(first, Text) and first.kind == "no" else ()
