"""Whose kernels a step is traced with: the CPU's, or those of a CUDA generation."""

from __future__ import annotations

from botec.devices import device
from botec.errors import BadInput, BotecError, UnknownName

CPU, CUDA = "cpu", "cuda"
USUAL = 80


def capability_of(name: str) -> int | None:
    """The compute capability of a CUDA device (80 for sm_80), ``None`` for the CPU.

    ``cuda`` is sm_80, ``cuda:90`` names another generation; any other name is one of the catalogue.
    Raises :class:`UnknownName`, and :class:`BadInput` for a device whose decisions nobody has told.
    """
    asked = f"--device {name}"
    if name == CPU:
        return None
    kind, _, number = name.partition(":")
    if kind == CUDA and (number.isdigit() or not number):
        return int(number or USUAL)
    try:
        found = device(name)
    except UnknownName as error:
        raise UnknownName(error.seen, error.do or "use cpu, cuda or cuda:90", asked) from None
    except BotecError as error:
        raise error.about(asked) from None
    if found.architecture is None:
        seen = f"the kernels {found.title} chooses are not known to botec"
        raise BadInput(seen, "use cpu, cuda or a device with a cuda.capability", asked)
    return found.architecture
