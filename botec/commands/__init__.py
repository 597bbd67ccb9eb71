"""The commands, one file each: the folder is the registry.

A file that declares ``ORDER`` is a command of its own name, and defines it under that name.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

import click


def commands() -> Iterator[click.Command]:
    """Every command of this folder, by ``ORDER``, then by name."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    files = [module for module in modules if hasattr(module, "ORDER")]
    for module in sorted(files, key=lambda file: (file.ORDER, file.__name__)):
        yield getattr(module, module.__name__.rpartition(".")[2])
