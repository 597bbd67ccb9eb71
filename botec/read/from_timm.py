"""timm's models by name: ``timm:vit_small_patch16_224``, with or without a pretrained tag.

The input is ``input_size`` of the model's pretrained configuration. Weights are never fetched.
``?field=value,…`` after the name are keyword arguments of the builder
(``timm:vit_tiny_patch16_224?embed_dim=96,num_heads=3``).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from botec.errors import MissingPackage, UnknownName, nearest
from botec.inputs import Input
from botec.read.from_torchvision import arguments_in, make_importable
from botec.read.given import hushed, with_inputs
from botec.read.source import Source

FORM = "timm:NAME"
SCHEME = "timm:"


def claims(text: str) -> bool:
    """Whether ``text`` is ``timm:…``."""
    return text.startswith(SCHEME)


def source(text: str, train: bool, inputs: tuple[Input, ...] = ()) -> Source:
    """The model ``timm:NAME``, built without weights; input ``B, channels, height, width``.

    Raises :class:`~botec.errors.UnknownName` (with the nearest names).
    """
    timm, (name, changes) = library(text), arguments_in(text.removeprefix(SCHEME), text)
    channels, high, wide = picture(timm, name, text)
    edges = changes.get("img_size", (high, wide))
    high, wide = (edges, edges) if isinstance(edges, int) else edges
    own = (Input("B", changes.get("in_chans", channels), high, wide, name="x"),)
    return with_inputs(Source(text, lambda: build(timm, name, **changes), own, {"B": 1}), inputs)


def picture(timm: Any, name: str, text: str) -> tuple[int, int, int]:
    """Channels, height and width of the picture a model was made for.

    A name that has been replaced by another has no record of its own: the model itself has it.
    """
    import torch

    record = configuration(timm, name, text)
    if record is not None:
        return record.input_size
    with torch.device("meta"):
        return build(timm, name).pretrained_cfg["input_size"]


def build(timm: Any, name: str, **changes: Any) -> Any:
    """A fresh model, its builder called with ``changes``."""
    with hushed():
        return timm.create_model(name, pretrained=False, **changes)


def configuration(timm: Any, name: str, text: str) -> Any:
    """timm's record of the model (and tag). Raises :class:`~botec.errors.UnknownName`."""
    bare, _, tag = name.partition(".")
    if not timm.is_model(bare):
        do = nearest(bare, timm.list_models()) or "use a name of timm.list_models()"
        raise UnknownName("timm has no such model", do, text)
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError:
        tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{bare}.*")]
        do = nearest(tag, tags) or f"leave the tag out: timm:{bare}"
        raise UnknownName(f"{bare} has no weights tagged {tag!r}", do, text) from None


@cache
def library(asked: str) -> Any:
    """``timm``. Raises :class:`~botec.errors.MissingPackage`."""
    make_importable()
    try:
        with hushed():
            import timm
    except ImportError:
        do = 'install it with pip install "botec[zoo]"'
        raise MissingPackage("timm is not installed", do, asked) from None
    return timm
