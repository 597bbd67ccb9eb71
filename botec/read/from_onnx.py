"""Networks in ONNX files: ``onnx:model.onnx``.

The file is read, never executed: every operator is one botec has a translation for, and a file
with another one is refused by that operator's name. Weights kept beside the file are not opened
where only shapes are asked. Sizes the file leaves free are dimensions by the names it gives them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from botec.calls import ITEM_BYTES
from botec.errors import BadInput, MissingPackage, nearest
from botec.inputs import Input
from botec.read.given import with_inputs
from botec.read.source import Source

FORM = "onnx:FILE"
SCHEME = "onnx:"
PICTURE, SEQUENCE = 224, 128  # what a free size is where nobody says: of four axes, of others
NOTE = (
    "an ONNX file holds what was exported, usually for inference: norms stand on their stored "
    "averages, and dropout is gone"
)


def claims(text: str) -> bool:
    """Whether ``text`` is ``onnx:…``."""
    return text.startswith(SCHEME)


def source(text: str, train: bool, inputs: tuple[Input, ...] = ()) -> Source:
    """The network in the file, with the inputs its graph has.

    Raises :class:`~botec.errors.BadInput` for a file that is not there, is none of ONNX's, or uses
    operators without a translation.
    """
    path = Path(text.removeprefix(SCHEME))
    model = load(path, text)
    refuse_unknown(model, text)
    fed = [one for one in model.graph.input if one.name not in stored(model.graph)]
    own = tuple(inputs_of(fed, text))
    renamed = {one.name: value.name for one, value in zip(own, fed, strict=True)}
    notes = (NOTE,) if train else ()
    make = network_of(model, str(path.parent), renamed)
    return with_inputs(Source(text, make, own, defaults_of(own), notes=notes), inputs)


def load(path: Path, asked: str) -> Any:
    """The file's model, functions of its own laid open. Weights beside the file stay there."""
    onnx = library(asked)
    if not path.is_file():
        near = nearest(path.name, [one.name for one in path.parent.glob("*.onnx")], most=1)
        raise BadInput("there is no such file", near or "check the path", asked)
    try:
        model = onnx.load(str(path), load_external_data=False)
        if model.functions:
            import onnx.inliner

            model = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # protobuf's own errors share no base with anybody's
        seen = f"not an ONNX file ({type(error).__name__})"
        raise BadInput(seen, "export it with torch.onnx.export, say", asked) from error
    if not model.graph.node:
        raise BadInput("not an ONNX file, or one without a graph", "export it again", asked)
    return model


def library(asked: str) -> Any:
    """``onnx``. Raises :class:`~botec.errors.MissingPackage`."""
    try:
        import onnx
    except ImportError:
        do = 'install it with pip install "botec[onnx]"'
        raise MissingPackage("onnx is not installed", do, asked) from None
    return onnx


def network_of(model: Any, folder: str, renamed: dict[str, str]) -> Callable[[], Any]:
    """What builds the module, anew each time."""

    def build() -> Any:
        from botec.read.onnx.graph import Network

        return Network(model, folder, renamed)

    return build


def refuse_unknown(model: Any, asked: str) -> None:
    """Raises :class:`~botec.errors.BadInput` with the operators that have no translation."""
    from botec.read.onnx.registry import translations
    from botec.read.onnx.weights import ANSWERED, every_node

    known = ANSWERED | translations().keys()
    kinds = {f"{node.domain}.{node.op_type}".lstrip(".") for node in every_node(model.graph)}
    strange = sorted(kind for kind in kinds if kind.removeprefix("ai.onnx.") not in known)
    if strange:
        do = "name the network it was exported from (FILE.py:NAME), or export it without them"
        raise BadInput(f"no translation for the operator {', '.join(strange)}", do, asked)


def stored(graph: Any) -> set[str]:
    """Names of what the file stores (before version 4 of the format these were inputs too)."""
    return {one.name for one in graph.initializer}


def inputs_of(values: Iterable[Any], asked: str) -> Iterator[Input]:
    """The graph's inputs; names Python cannot write are changed."""
    from botec.read.onnx.weights import TYPES

    for value in values:
        kind = value.type.tensor_type
        dtype = str(TYPES.get(kind.elem_type, "")).removeprefix("torch.")
        if dtype not in ITEM_BYTES:
            raise BadInput(f"input {value.name} is no tensor of a known type", "", asked)
        sizes = [size_of(one, place) for place, one in enumerate(kind.shape.dim)]
        yield Input(*sizes, dtype=dtype, name=word(value.name))


def size_of(dimension: Any, place: int) -> int | str:
    """A fixed size, or the dimension's name: the file's, else ``B`` first and ``D1``, … after."""
    if dimension.HasField("dim_value") and dimension.dim_value > 0:
        return int(dimension.dim_value)
    return (
        word(dimension.dim_param) if dimension.dim_param else ("B" if place == 0 else f"D{place}")
    )


def word(name: str) -> str:
    """A name as Python could write it."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "x"
    return plain if plain.isidentifier() else f"_{plain}"


def defaults_of(inputs: Iterable[Input]) -> dict[str, int]:
    """What free sizes are where nobody says: one example, pictures and sequences as usual."""
    found: dict[str, int] = {}
    for one in inputs:
        for place, size in enumerate(one.sizes):
            if isinstance(size, str):
                usual = PICTURE if len(one.sizes) == 4 else SEQUENCE
                found.setdefault(size, 1 if place == 0 else usual)
    return found
