"""torchvision's models by name: ``torchvision:resnet50``.

The input is the one torchvision's own published operation counts (``_ops`` of its weights) were
taken on: a random 512 x 512 picture put through the transforms of the DEFAULT weights, that is
their crop where they crop, their resize where they do not; 16 frames for video. Weights are never
fetched. ``?field=value,…`` after the name are keyword arguments of the builder
(``torchvision:resnext50_32x4d?width_per_group=8``).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from botec.errors import BadInput, MissingPackage, UnknownName, nearest
from botec.inputs import Input
from botec.read.given import hushed, with_inputs
from botec.read.source import Source
from botec.read.transformers_config import parse_changes

FORM = "torchvision:NAME"
SCHEME = "torchvision:"
RAW = (512, 512)
FRAMES = 16

# The operators whose schema torchvision's own Python needs when it is imported.
SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def claims(text: str) -> bool:
    """Whether ``text`` is ``torchvision:…``."""
    return text.startswith(SCHEME)


def source(text: str, train: bool, inputs: tuple[Input, ...] = ()) -> Source:
    """The model ``torchvision:NAME``, built without weights.

    Raises :class:`~botec.errors.UnknownName` (with the nearest names), or
    :class:`~botec.errors.BadInput` for detection models, which take no tensor of a fixed shape.
    """
    name, changes = arguments_in(text.removeprefix(SCHEME), text)
    models = torchvision_models(text)
    if name not in models.list_models():
        do = nearest(name, models.list_models()) or "use a name of torchvision.models.list_models()"
        raise UnknownName("torchvision has no such model", do, text)
    own, notes = own_inputs(models, name, text)
    found = Source(text, lambda: build(models, name, **changes), own, {"B": 1}, notes=notes)
    return with_inputs(found, inputs)


def arguments_in(body: str, asked: str) -> tuple[str, dict[str, Any]]:
    """A name, and the keyword arguments after its question mark.

    Raises :class:`~botec.errors.BadInput` for what is none.
    """
    name, _, query = body.partition("?")
    try:
        changes = parse_changes(query)
    except BadInput as error:
        raise error.about(asked) from None
    for path in changes:
        if len(path) > 1:
            seen = f"{'.'.join(path)} is no keyword argument"
            raise BadInput(seen, "write a name without dots", asked)
    return name, {path[0]: value for path, value in changes.items()}


def build(models: Any, name: str, **changes: Any) -> Any:
    """A fresh model, its builder called with ``changes``; no weights are fetched, nor a backbone's.

    A model made for one size of picture is built for the documented one, as its weights would.
    """
    builder = models.get_model_builder(name)
    wanted = inspect.signature(builder).parameters
    fetched = ("weights", "weights_backbone")
    settings: dict[str, Any] = {key: None for key in fetched if key in wanted}
    made = class_of(builder)
    if made is not None and "image_size" in inspect.signature(made).parameters:
        settings["image_size"] = picture(models, name)[0]
    with hushed():
        return models.get_model(name, **{**settings, **changes})


def own_inputs(models: Any, name: str, text: str) -> tuple[tuple[Input, ...], tuple[str, ...]]:
    """How the model is called, and what to say about it; which kind it is, its module says."""
    builder = models.get_model_builder(name)
    kind, names = builder.__module__.split(".")[2], argument_names(builder)
    if kind == "detection":
        seen = "a detection model takes a list of pictures, and its boxes depend on what they show"
        raise BadInput(seen, "ask for its backbone instead, such as torchvision:resnet50", text)
    high, wide = picture(models, name)
    if kind == "optical_flow":
        pair = tuple(Input("B", 3, high, wide, name=key) for key in names[:2])
        return pair, (f"pictures of {high} x {wide}, as in torchvision's own count",)
    if kind == "video":
        return (Input("B", 3, FRAMES, high, wide, name=names[0]),), (f"{FRAMES} frames",)
    return (Input("B", 3, high, wide, name=names[0]),), ()


def argument_names(builder: Any) -> tuple[str, ...]:
    """What the class a ``builder`` says it returns calls the arguments of ``forward``.

    ``("x",)`` where the builder does not say.
    """
    forward = getattr(class_of(builder), "forward", None)
    return tuple(list(inspect.signature(forward).parameters)[1:]) if forward else ("x",)


def class_of(builder: Any) -> Any | None:
    """The class a ``builder`` says it returns, ``None`` where it does not say."""
    kind = inspect.signature(builder).return_annotation
    return inspect.unwrap(builder).__globals__.get(kind) if isinstance(kind, str) else kind


def picture(models: Any, name: str) -> tuple[int, int]:
    """Height and width of the picture the DEFAULT weights were documented on."""
    with hushed():
        transforms = models.get_model_weights(name).DEFAULT.transforms
    return picture_after(getattr(transforms, "keywords", {}))


def picture_after(settings: Mapping[str, Any]) -> tuple[int, int]:
    """What a transform of these ``settings`` makes of a 512 x 512 picture.

    A crop decides; else a resize does, which takes one edge or both; else nothing changes.
    """
    size = settings.get("crop_size") or settings.get("resize_size") or RAW
    edges = [size] if isinstance(size, int) else list(size)
    return edges[0], edges[-1]


@cache
def torchvision_models(asked: str = "") -> Any:
    """``torchvision.models``, imported even where torchvision's compiled operators cannot load.

    Raises :class:`~botec.errors.MissingPackage`.
    """
    make_importable()
    try:
        import torchvision.models as models
    except ImportError:
        do = 'install it with pip install "botec[zoo]"'
        raise MissingPackage("torchvision is not installed", do, asked) from None
    return models


@cache
def make_importable() -> None:
    """Makes ``import torchvision`` work, here and inside timm and transformers, where it is there.

    Its compiled operators load only beside the torch they were built for; without them its Python
    stops at the first operator it registers a shape rule for. Then, and only then, the missing
    schemas are declared: networks of torch's own operators work, box operators stay refused.
    """
    with hushed():
        try:
            import torchvision  # noqa: F401
        except ImportError:
            pass
        except RuntimeError:
            forget("torchvision")
            declare_schemas()


def forget(package: str) -> None:
    """Drops a half-imported package, so that it can be imported again."""
    for name in [key for key in sys.modules if key.split(".")[0] == package]:
        del sys.modules[name]


def declare_schemas() -> None:
    """Declares the operators of :data:`SCHEMAS` that nobody has declared, without kernels."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + schema)
    declared.append(library)


declared: list[Any] = []  # a library's operators live as long as the library does
