"""The catalogue of devices: one data sheet, one file of this folder, a source beside each number.

    >>> device("RTX 4090").name, device("h100").capability
    ('rtx-4090', (9, 0))

The folder is the registry: see README.md for how to add a device.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from botec.devices.sheet import CAPABILITY, DTYPES, SPECS, Datum, Device, Spec, read
from botec.errors import BadInput, UnknownName, nearest

__all__ = [
    "CAPABILITY",
    "DTYPES",
    "SPECS",
    "Datum",
    "Device",
    "Spec",
    "device",
    "devices",
    "opened",
]

FOLDER = Path(__file__).parent
SUFFIX = ".toml"


@cache
def devices() -> tuple[Device, ...]:
    """Every device of the catalogue, by name."""
    paths = sorted(FOLDER.glob(f"*{SUFFIX}"))
    return tuple(read(path, path.read_text(encoding="utf-8")) for path in paths)


def device(name: str) -> Device:
    """The device called ``name``: its name, its title or an alias, however it is spelt.

    Case, spaces and signs do not count: ``rtx4090``, ``RTX 4090`` and ``rtx-4090`` are one. So is
    the vendor in front: what ``torch.cuda.get_device_name()`` says is a name. One that ends in
    ``.toml`` is a file of the user's own.

    Raises :class:`~botec.errors.UnknownName` with the nearest names, and what :func:`opened` does.
    """
    if name.endswith(SUFFIX):
        return opened(name)
    path = FOLDER / f"{name}{SUFFIX}"
    if re.fullmatch(r"[a-z0-9-]+", name) and path.exists():
        return read(path, path.read_text(encoding="utf-8"))
    found = named().get(squeezed(name))
    if found is None:
        do = suggestion(name) or f"botec devices lists them; name your own as a file, my{SUFFIX}"
        raise UnknownName("no such device in the catalogue", do, name)
    return found


def suggestion(name: str) -> str:
    """Names near it, as they are written in the catalogue."""
    spelt = {squeezed(text): text for one in devices() for text in (*one.aliases, one.name)}
    near = nearest(squeezed(name), spelt)
    return re.sub(r"\w+(?=[,?])", lambda found: spelt.get(found[0], found[0]), near)


@cache
def named() -> dict[str, Device]:
    """Every device by every name it has, with its vendor and without, squeezed."""
    return {
        squeezed(vendor + text): one
        for one in devices()
        for text in (*one.aliases, one.title.removeprefix(one.vendor), one.name)
        for vendor in ("", one.vendor)
    }


def squeezed(name: str) -> str:
    """``"rtx4090"`` for ``"RTX 4090"``: letters and digits, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def opened(path: str) -> Device:
    """The device described in a file of the user's own (README.md says how).

    Raises :class:`~botec.errors.BadInput` where it cannot be read or says what it may not.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        do = "name a TOML file with lines such as memory.GiB = 24"
        raise BadInput(f"it cannot be read ({error.strerror or error})", do, path) from None
    except UnicodeDecodeError:
        raise BadInput("it is not a text file", "name a TOML file", path) from None
    return read(Path(path), text)
