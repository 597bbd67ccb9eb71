"""How a transformers model is called: which tensors, of which shapes.

Every class of transformers names its main input and lists the others in the signature of
``forward``; the configuration has the sizes. Dimensions: ``B`` examples, ``S`` tokens, ``T`` tokens
of a decoder (or of a transcript), ``N`` samples or frames of sound.

What is left out is what a user calling ``model(input_ids, labels=labels)`` leaves out: masks,
positions, pictures for a model that also reads text alone.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, isqrt
from typing import Any

from botec.errors import BadInput
from botec.inputs import Input

TOKENS = 128
LONGEST = 2048
TRANSCRIPT = 16
SAMPLES = 16_000
EDGE = 224

PICTURES_TO_TEXT = "IMAGE_TEXT_TO_TEXT"
TOKEN_LABELS = (
    "CAUSAL_LM",
    "MASKED_LM",
    PICTURES_TO_TEXT,
    "PRETRAINING",
    "TOKEN_CLASSIFICATION",
)
# A picture of any form, cut up beforehand: which patches are there, and how many rows and columns.
PATCHED = ("pixel_attention_mask", "spatial_shapes")
VOCABULARIES = ("vocab_size", "src_vocab_size", "tgt_vocab_size", "text_vocab_size")
DECODER_LABELS = ("SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ")


@dataclass(frozen=True)
class Called:
    """A call: its tensors, default and largest sizes, plain arguments, and what to say of it."""

    inputs: tuple[Input, ...]
    defaults: Mapping[str, int]
    most: Mapping[str, int]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def called(kind: Any, config: Any, task: str, train: bool, given: Sequence[Input] = ()) -> Called:
    """How class ``kind`` with ``config`` is called in training or inference.

    Raises :class:`~botec.errors.BadInput` where it needs a tensor whose shape is nowhere told and
    the user has not given it.
    """
    accepted = inspect.signature(kind.forward).parameters
    names = needed(kind, config, task, accepted, train)
    known = [tensor(name, config, task, kind) for name in names]
    told = {one.name for one in given}
    for name, one in zip(names, known, strict=True):
        if one is None and name not in told:
            do = f'give its shape, such as --input "{name}=B,S"'
            raise BadInput(f"{kind.__name__} needs {name}, whose shape is not told", do)
    inputs = [one for one in known if one is not None]
    found = labels(kind, config, task) if train else ()
    inputs += found
    defaults, most = sizes(inputs, config, kind)
    arguments = {"return_loss": True} if train and "return_loss" in accepted else {}
    said = remarks(names, accepted, config, task, found)
    if train and labels_more(kind):
        said = (*said, "labels go over more than the tokens; the output's mean stands for the loss")
    return Called(tuple(inputs), defaults, most, arguments, said)


def needed(
    kind: Any, config: Any, task: str, accepted: Mapping[str, inspect.Parameter], train: bool
) -> list[str]:
    """The tensors the call cannot do without, the main one first."""
    main = main_input(kind, config, accepted)
    names = [main] if main in accepted else []
    if task == "ZERO_SHOT_IMAGE_CLASSIFICATION":
        names = [name for name in ("input_ids", "pixel_values") if name in accepted]
    if task == PICTURES_TO_TEXT and "input_ids" in accepted and main != "input_ids":
        names = ["input_ids", main]
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for name, one in list(accepted.items())[1:]:
        if one.default is inspect.Parameter.empty and one.kind in plain and name not in names:
            names.append(name)
    if "pixel_values" in names:
        names += [name for name in PATCHED if name in accepted]
    if "bbox" in accepted:
        names.append("bbox")  # documents: where on its page each token stands
    shifts = train and task in (*DECODER_LABELS, PICTURES_TO_TEXT) and shifts_labels(kind)
    if config.is_encoder_decoder and "decoder_input_ids" in accepted and not shifts:
        names.append("decoder_input_ids")
    return list(dict.fromkeys(names))


def shifts_labels(kind: Any) -> bool:
    """Whether class ``kind`` makes its decoder's tokens of the labels itself.

    A few make them of the encoder's, or of nothing; a text that is out of reach is taken to shift.
    """
    text = written(kind.forward)
    return not text or bool(re.search(r"decoder_input_ids = [\w.]+\(\s*labels", text))


def averages_boxes(kind: Any) -> bool:
    """Whether a model takes the mean of its boxes' edges: boxes in parts of the page, not steps."""
    return bool(re.search(r"bbox\b[^\n=]*\.mean\(", written(sys.modules[kind.__module__])))


def written(thing: Any) -> str:
    """The source text of a function or module, ``""`` where it is out of reach."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return ""


def main_input(kind: Any, config: Any, accepted: Mapping[str, inspect.Parameter]) -> str:
    """The name of what class ``kind`` reads: its encoder's, where it only passes that on."""
    from transformers import MODEL_MAPPING

    own = getattr(config, "encoder", None)
    if hasattr(own, "to_dict") and type(own) in MODEL_MAPPING:
        inner = MODEL_MAPPING[type(own)].main_input_name
        if inner in accepted:
            return str(inner)
    return kind.main_input_name if kind.main_input_name in accepted else "input_ids"


def tensor(name: str, config: Any, task: str, kind: Any) -> Input | None:
    """The input called ``name``, where the configuration (or the task: tokens) tells its shape."""
    length = "T" if name.startswith("decoder_") else "S"
    if name in ("input_ids", "decoder_input_ids"):
        return Input("B", length, dtype="int64", name=name, below=vocabulary(config))
    if name in ("attention_mask", "token_type_ids", "decoder_attention_mask"):
        return Input("B", length, dtype="int64", name=name)
    if name == "bbox":
        dtype = "float32" if averages_boxes(kind) else "int64"
        return Input("B", "S", 4, dtype=dtype, name=name)
    if name == "pixel_values" or name in PATCHED:
        patched = set(PATCHED) <= set(inspect.signature(kind.forward).parameters)
        return patches(name, config) if patched else Input(*picture(config), name=name)
    if name == "input_features":
        return sound_features(name, config)
    if name == "input_values":
        return sound_wave(name, config)
    if name == "inputs" and task in TOKEN_LABELS and vocabulary(config) > 2:
        return Input("B", "S", dtype="int64", name=name, below=vocabulary(config))
    return None


def text_part(config: Any) -> Any:
    """The configuration of the part that reads text (the whole one where there is one part)."""
    part = getattr(config, "text_config", None)
    return part if hasattr(part, "to_dict") else config


def vision_part(config: Any) -> Any:
    part = getattr(config, "vision_config", None)
    return part if hasattr(part, "to_dict") else config


def vocabulary(config: Any) -> int:
    """Entries of the vocabulary, of the smallest where its parts have several; 2 without any."""
    size = getattr(text_part(config), "vocab_size", None) or getattr(config, "vocab_size", None)
    if isinstance(size, int) and size > 1:
        return size
    fields = [field for part in parts(config) for field in vars(part).items()]
    own = (size for name, size in fields if name in VOCABULARIES and type(size) is int)
    return min(own, default=2)


def parts(config: Any) -> Iterator[Any]:
    """A configuration and those of its parts, at any depth."""
    yield config
    for part in vars(config).values():
        if hasattr(part, "to_dict") and hasattr(part, "model_type"):
            yield from parts(part)


def picture(config: Any) -> tuple[int | str, ...]:
    """``B, channels, height, width``, or ``B, frames, channels, height, width`` for video."""
    part = vision_part(config)
    size = getattr(part, "image_size", None) or least_edge(part)
    edges = (
        [size] if isinstance(size, int) else list(size.values() if isinstance(size, dict) else size)
    )
    channels = next(
        (
            own
            for key in ("num_channels", "in_channels", "in_chans")
            if (own := getattr(part, key, None))
        ),
        3,
    )
    frames = getattr(part, "num_frames", None)
    middle = (frames, channels) if isinstance(frames, int) and frames > 1 else (channels,)
    return ("B", *middle, edges[0], edges[-1])


def patches(name: str, config: Any) -> Input | None:
    """A square picture that was cut up before the call, its mask, or its rows and columns."""
    part = vision_part(config)
    count, edge = getattr(part, "num_patches", None), getattr(part, "patch_size", None)
    if not (isinstance(count, int) and isinstance(edge, int)):
        return None
    if name == "spatial_shapes":  # what is supposed of a whole number is half its bound
        return Input("B", 2, dtype="int64", name=name, below=2 * isqrt(count) + 1)
    if name == "pixel_attention_mask":
        return Input("B", count, dtype="int64", name=name)
    return Input("B", count, getattr(part, "num_channels", 3) * edge**2, name=name)


def least_edge(part: Any) -> int:
    """The usual edge; where a picture is cut up at several scales, one the smallest of them fits.

    Every patch is ``patch_size`` wide, of the picture times each of ``scaled_images_ratios``.
    """
    ratios, patch = getattr(part, "scaled_images_ratios", None), getattr(part, "patch_size", None)
    return max(EDGE, ceil(patch / min(ratios))) if ratios and isinstance(patch, int) else EDGE


def sound_features(name: str, config: Any) -> Input | None:
    """Spectra: channels first and of one length (whisper), or frames first and of any length."""
    encoder = getattr(config, "encoder_config", None)
    part = encoder if hasattr(encoder, "to_dict") else config
    mels, frames = getattr(part, "num_mel_bins", None), getattr(part, "max_source_positions", None)
    if mels and frames:
        return Input("B", mels, 2 * frames, name=name)
    width = getattr(part, "feature_projection_input_dim", None) or mels
    if not width and (per_channel := getattr(part, "input_feat_per_channel", None)):
        width = per_channel * getattr(part, "input_channels", 1)
    return Input("B", "N", width, name=name) if width else None


def sound_wave(name: str, config: Any) -> Input:
    """Samples of sound, or spectra of one length where the configuration has both their sizes."""
    mels, frames = getattr(config, "num_mel_bins", None), getattr(config, "max_length", None)
    strided = getattr(config, "frequency_stride", None)
    return (
        Input("B", frames, mels, name=name)
        if mels and frames and strided
        else Input("B", "N", name=name)
    )


def labels(kind: Any, config: Any, task: str) -> tuple[Input, ...]:
    """The labels of a training step; none where their shape is the data's own affair."""
    accepted = inspect.signature(kind.forward).parameters
    classes = max(2, getattr(config, "num_labels", 2) or 2)
    if task == "QUESTION_ANSWERING" and "start_positions" in accepted:
        pair = ("start_positions", "end_positions")
        return tuple(Input("B", dtype="int64", name=name, only="train") for name in pair)
    shape: tuple[int | str, ...] | None = None
    below = classes
    if task == PICTURES_TO_TEXT and "decoder_input_ids" in accepted and shifts_labels(kind):
        shape, below = ("B", "T"), vocabulary(config)
    elif task in TOKEN_LABELS and not labels_more(kind):
        shape = ("B", "S")
        below = classes if task == "TOKEN_CLASSIFICATION" else vocabulary(config)
    elif task in DECODER_LABELS:
        shape = ("B", "T" if config.is_encoder_decoder else "S")
        below = vocabulary(config)
    elif task == "SEMANTIC_SEGMENTATION":
        shape = ("B", *picture(config)[-2:])
    elif task.endswith("CLASSIFICATION") and not task.startswith("ZERO_SHOT"):
        shape = ("B",)
    if shape is None or "labels" not in accepted:
        return ()
    return (Input(*shape, dtype="int64", name="labels", below=below, only="train"),)


def labels_more(kind: Any) -> bool:
    """Whether labels go over more than the tokens (pictures' regions behind them), as told."""
    told = inspect.getdoc(kind.forward) or ""
    return bool(re.search(r"labels \(`[\w.]+` of shape `\(batch_size, total_sequence_length", told))


def sizes(inputs: Sequence[Input], config: Any, kind: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Default sizes of the dimensions, and the largest the model has positions for."""
    text = text_part(config)
    limit, target = positions(text, kind), getattr(config, "max_target_positions", None)
    bound = limit if limit and not rotary(text) else None
    ahead = steps_ahead(config)
    longest = {"S": limit, "T": less(target or limit, ahead)}
    most = {"S": bound, "T": less(target or bound, ahead)}
    names = {name for one in inputs for name in one.names}
    defaults = {
        name: min(size or TOKENS, LONGEST) for name, size in longest.items() if name in names
    }
    fixed = {"B": 1, **defaults, "N": SAMPLES}
    if "N" in names and "input_features" in {one.name for one in inputs}:
        fixed["N"] = TOKENS
    return (
        {name: size for name, size in fixed.items() if name in names},
        {name: size for name, size in most.items() if size and name in names},
    )


def positions(text: Any, kind: Any) -> int | None:
    """How many tokens the model has positions for, where the configuration says so.

    Tables that count from the padding entry on (RoBERTa's) have ``pad_token_id + 1`` fewer; a
    network that does so makes its positions in a function of that name, or adds ``padding_idx``.
    """
    size = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)
    if not isinstance(size, int) or size < 1:
        return None
    module = sys.modules[kind.__module__]
    padded = any(
        hasattr(one, "create_position_ids_from_input_ids") for one in vars(module).values()
    )
    padded = padded or ".long() + self.padding_idx" in written(module)
    return size - (getattr(text, "pad_token_id", 0) or 0) - 1 if padded else size


def steps_ahead(config: Any) -> int:
    """How many tokens beyond the next one a decoder predicts at once, each from its position."""
    count = getattr(config, "ngram", 1)
    return max(0, count - 1) if isinstance(count, int) else 0


def less(size: int | None, by: int) -> int | None:
    return size and size - by


def rotary(text: Any) -> bool:
    """Whether positions are angles or distances, which have no table that ends."""
    relative = getattr(text, "position_embedding_type", None) in (
        "rotary",
        "rope",
        "alibi",
        "relative",
    )
    angles = getattr(text, "rope_parameters", None) or getattr(text, "rope_theta", None)
    return bool(relative or angles or getattr(text, "alibi", False))


def remarks(
    names: Sequence[str],
    accepted: Mapping[str, Any],
    config: Any,
    task: str,
    found: Sequence[Input],
) -> tuple[str, ...]:
    """What the reader must know about the call."""
    notes = []
    told = getattr(vision_part(config), "image_size", None) or PATCHED[-1] in names
    if "pixel_values" in names and not told:
        edge = least_edge(vision_part(config))
        notes.append(f"the configuration has no image size; {edge} x {edge} taken")
    if "pixel_values" in accepted and "pixel_values" not in names:
        notes.append("called with text alone: its picture part does not run")
    if task == "CTC":
        notes.append(
            "CTC's own loss depends on the labels' values; the output's mean stands for it"
        )
    return tuple(notes)
