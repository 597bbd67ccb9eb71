"""transformers' models: ``transformers:llama``, a config.json, a folder with one, or a hub id.

Only ``config.json`` is ever read: no weights, no pickles, no code from elsewhere. A model type
means its default configuration; ``?field=value,…`` after any of them changes fields, before
anything is derived from them (``transformers:llama?hidden_size=1024,num_attention_heads=8``; a dot
reaches into a part: ``text_config.hidden_size``).

Which class: the first of the configuration's ``architectures`` that transformers has; else the
class of the first task in :data:`TASKS` that knows the model type. ``?architectures=NAME`` chooses
another. The model is built in float32 whatever the configuration's ``dtype`` says: the precision is
the setting's, not the file's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botec.errors import BadInput, BotecError, MissingPackage, UnknownName, nearest
from botec.inputs import Input
from botec.program import Program
from botec.read.from_torchvision import make_importable
from botec.read.given import hushed, with_inputs
from botec.read.quantised import quantised
from botec.read.source import Source
from botec.read.transformers_calls import called, parts, text_part
from botec.read.transformers_config import configuration, faulty
from botec.read.unwarned import unwarned, unwarned_note

FORM = "transformers:PATH|TYPE|HUB_ID"
SCHEME = "transformers:"

# The tasks a user trains a model for, the most telling first: an encoder-decoder for speech is in
# the causal task too, one for text in the masked task, a masked encoder in the causal one.
TASKS = (
    "SPEECH_SEQ_2_SEQ",
    "SEQ_TO_SEQ_CAUSAL_LM",
    "CTC",
    "IMAGE_TEXT_TO_TEXT",
    "MASKED_LM",
    "CAUSAL_LM",
    "ZERO_SHOT_IMAGE_CLASSIFICATION",
    "IMAGE_CLASSIFICATION",
    "VIDEO_CLASSIFICATION",
    "AUDIO_CLASSIFICATION",
    "SEMANTIC_SEGMENTATION",
    "DEPTH_ESTIMATION",
    "SEQUENCE_CLASSIFICATION",
    "TOKEN_CLASSIFICATION",
    "QUESTION_ANSWERING",
    "OBJECT_DETECTION",
    "PRETRAINING",
)

# Fields of a configuration that make a training step's shape a matter of chance: by the end of
# their names (each part of a model has its own), with their "off".
DICE = {"layerdrop": 0.0, "apply_spec_augment": False}


def claims(text: str) -> bool:
    """Whether ``text`` is ``transformers:…``."""
    return text.startswith(SCHEME)


def source(text: str, train: bool, inputs: tuple[Input, ...] = ()) -> Source:
    """The network of a configuration, called as a user would call it (labels in training).

    Raises :class:`~botec.errors.UnknownName` for a model type, class or field that is not there,
    :class:`~botec.errors.BadInput` for a configuration that is broken or out of reach.
    """
    transformers = library(text)
    try:
        with hushed():
            config = configuration(text.removeprefix(SCHEME))
            name, task = class_of(config, transformers)
            said = (*start_decoder(config), *(without_dice(config) if train else ()))
            kind = getattr(transformers, name)
            call = called(kind, config, task, train, inputs)
            said = (*said, *unwarned_note(kind, config))
    except BotecError as error:
        raise error.about(text) from error
    told = (*precision_note(config, train), *(() if train else window_note(config)))
    notes = (f"{name}, which ?architectures=… changes", *told, *said, *call.notes)
    found = Source(
        text,
        builder(kind, config, text),
        call.inputs,
        call.defaults,
        call.most,
        call.arguments,
        notes,
        None if train else packer(config),
    )
    return with_inputs(found, inputs)


def packer(config: Any) -> Callable[[Program], Program] | None:
    """What turns the traced weights into those a quantised checkpoint stores, where it is one."""
    fields = getattr(config, "quantization_config", None)
    if not fields:
        return None
    told = fields if isinstance(fields, Mapping) else fields.to_dict()
    return lambda program: quantised(program, told)


def precision_note(config: Any, train: bool) -> tuple[str, ...]:
    """What the configuration says of number formats, and is not followed."""
    notes = []
    dtype = str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")
    if dtype != "float32":
        notes.append(f"the configuration says {dtype}; --precision decides")
    if train and getattr(config, "quantization_config", None):
        notes.append("quantization_config is followed in inference only: packed weights are frozen")
    return tuple(notes)


def window_note(config: Any) -> tuple[str, ...]:
    """How many layers see a window only, and what their cache holds of it when."""
    text = text_part(config)
    window = getattr(text, "sliding_window", None)
    types = getattr(text, "layer_types", None)
    layers = getattr(text, "num_hidden_layers", 0)
    many = layers if types is None else sum(one == "sliding_attention" for one in types)
    if not window or not many:
        return ()
    return (
        f"{many} layers look at a window of {window:,} tokens: their cache holds all that the "
        f"first pass reads until the next token comes, {window - 1:,} tokens from then on",
    )


def start_decoder(config: Any) -> tuple[str, ...]:
    """Gives an encoder-decoder the tokens it shifts labels with, where its configuration has none.

    A real config.json has them; the default configurations of T5 and others do not.
    """
    if not config.is_encoder_decoder:
        return ()
    padding = getattr(config, "pad_token_id", None) or 0
    absent = [
        name
        for name in ("pad_token_id", "decoder_start_token_id")
        if getattr(config, name, None) is None
    ]
    for name in absent:
        setattr(config, name, padding)
    return tuple(f"{name} is not in the configuration; {padding} taken" for name in absent)


def without_dice(config: Any) -> tuple[str, ...]:
    """Switches off what throws dice about the shape of a training step, and says so.

    LayerDrop skips a layer, SpecAugment masks stretches of sound: how many differs in each step.
    """
    said = []
    for part in parts(config):
        for name, value in list(vars(part).items()):
            off = next((off for end, off in DICE.items() if name.endswith(end)), None)
            if value and off is not None:
                setattr(part, name, off)
                said.append(f"{name} is set to {off}: it is drawn at random")
    return tuple(dict.fromkeys(said))


def builder(kind: Any, config: Any, text: str) -> Callable[[], Any]:
    """Makes a fresh model of class ``kind`` each time; transformers' faults become one line."""

    def build() -> Any:
        import torch

        from botec.read.cache import followed

        try:
            with hushed():
                made = kind._from_config(copy.deepcopy(config), dtype=torch.float32)
                return followed(listened(unwarned(made)))
        except Exception as error:
            if torch.get_default_device().type == "meta":
                raise  # it may want a tensor's values: whoever builds tries again with memory
            raise faulty(error, config.to_dict()).about(text) from error

    return build


def listened(made: Any) -> Any:
    """``made`` with the hooks in place that note what each layer puts out, in every layer.

    transformers puts them in at the first call that asks for hidden states, once for all: where
    that call runs with few layers, the others would have none ever after.
    """
    try:
        from transformers.utils.output_capturing import maybe_install_capturing_hooks
    except ImportError:
        return made  # another release: its models gather what their layers put out themselves
    maybe_install_capturing_hooks(made)
    return made


def class_of(config: Any, transformers: Any) -> tuple[str, str]:
    """The class for a configuration, and its task (see the top of this file)."""
    from transformers.models.auto import modeling_auto

    tables = {task: getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {}) for task in TASKS}
    tables["MODEL"] = modeling_auto.MODEL_MAPPING_NAMES
    told = [name for name in config.architectures or () if hasattr(transformers, name)]
    if told:
        return told[0], task_of(told[0], tables)
    if config.architectures and not hasattr(config, "auto_map"):
        known = {
            one for table in tables.values() for names in table.values() for one in listed(names)
        }
        do = nearest(config.architectures[0], sorted(known)) or "name a class of transformers"
        raise UnknownName(f"transformers has no class {config.architectures[0]}", do)
    for task, table in tables.items():
        if config.model_type in table:
            return listed(table[config.model_type])[0], task
    raise BadInput(
        f"transformers has a configuration but no network for {config.model_type!r}",
        "name a part of it that is a network, such as its text model",
    )


def task_of(name: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """The first task that has the class, ``"MODEL"`` where none has."""
    for task, table in tables.items():
        if any(name in listed(names) for names in table.values()):
            return task
    return "MODEL"


def listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


@cache
def library(asked: str) -> Any:
    """``transformers``. Raises :class:`~botec.errors.MissingPackage`."""
    make_importable()
    try:
        with hushed():
            import transformers
            import transformers.models.auto.configuration_auto
    except ImportError:
        do = 'install it with pip install "botec[zoo]"'
        raise MissingPackage("transformers is not installed", do, asked) from None
    return transformers
