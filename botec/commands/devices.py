"""``botec devices [NAME]``: the catalogue, or one device with its sources."""

from __future__ import annotations

import click

from botec.commands.answering import Answer
from botec.commands.asking import command
from botec.errors import BadInput

ORDER = 80


@command(
    click.argument("name", required=False, default=""),
    click.option("--device-file", metavar="FILE", help="Show a device described in a TOML file."),
)
def devices(name: str, device_file: str | None) -> Answer:
    """Devices side by side, or one with the source of each figure.

    \b
    botec devices
    botec devices rtx4090
    botec devices --device-file my.toml
    """
    from botec import devices as known
    from botec.analyses import devices as page

    if name and device_file:
        raise BadInput("a name and a file are given", "give one of the two")
    if device_file:
        return Answer(page.about(known.opened(device_file)))
    if name:
        return Answer(page.about(known.device(name)))
    return Answer(page.catalogue(known.devices()))
