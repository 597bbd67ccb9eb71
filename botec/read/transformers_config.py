"""A transformers configuration, from wherever it is: a model type, a config.json, a hub id.

Only JSON is read. ``?field=value,…`` after any of them changes fields before transformers derives
others from them.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from botec.errors import BadInput, UnknownName, nearest, one_line

SECONDS = 5.0

# Fields that must be whole numbers from here on (None where the configuration derives them).
LEAST = {
    "hidden_size": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": 1,
    "intermediate_size": 1, "head_dim": 1, "max_position_embeddings": 1, "num_hidden_layers": 0,
    "num_local_experts": 1, "num_channels": 1, "patch_size": 1, "image_size": 1,
}  # fmt: skip


def configuration(body: str) -> Any:
    """The configuration ``PATH|TYPE|HUB_ID[?field=value,…]`` means, as transformers' own object."""
    place, _, query = body.partition("?")
    fields = dict(fields_of(place))
    kind = config_class(fields)
    changes = parse_changes(query)
    check_changes(changes, kind)
    for path, value in changes.items():
        change(fields, path, value, kind)
    check_sizes(fields, kind)
    try:
        return kind.from_dict({key: value for key, value in fields.items() if key != "model_type"})
    except Exception as error:
        raise faulty(error, fields) from error


def fields_of(place: str) -> Mapping[str, Any]:
    """The raw fields: of a model type by name, of a file or folder, or of a hub id.

    A model type goes before a folder of the same name (write ``./llama`` for the folder).
    """
    if not place:
        raise BadInput("no model is named", "give a model type, a path, or a hub id as owner/name")
    path = Path(place).expanduser()
    if place in model_types():
        return {"model_type": place}
    if path.exists() or place.endswith(".json") or place.startswith((".", "~", "/")):
        return read_json(path / "config.json" if path.is_dir() else path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        return read_json(from_hub(place))
    do = nearest(place, model_types()) or "give a model type, a path, or a hub id as owner/name"
    raise UnknownName(f"{place!r} is no model type of transformers and no file", do)


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a config.json. Raises :class:`~botec.errors.BadInput`."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"there is no {path}", "check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}", "check the file") from None
    except json.JSONDecodeError as error:
        seen = f"{path.name} is no JSON: {error.msg} at line {error.lineno}"
        raise BadInput(seen, "correct the file") from None
    if not isinstance(fields, dict):
        raise BadInput(f"{path.name} holds no JSON object", "give a model's config.json")
    return fields


def from_hub(name: str) -> Path:
    """The config.json of a hub id: from the cache, else fetched; offline is one quick error."""
    import huggingface_hub as hub

    if isinstance(cached := hub.try_to_load_from_cache(name, "config.json"), str):
        return Path(cached)
    if hub.constants.HF_HUB_OFFLINE or not reachable(hub.constants.ENDPOINT):
        do = "go online, or give the path of its config.json"
        raise BadInput("the model hub cannot be reached and the cache has no config.json of it", do)
    try:
        return Path(hub.hf_hub_download(name, "config.json", etag_timeout=SECONDS))
    except Exception as error:
        first = one_line(str(error)).partition(". ")[0]
        do = "check the id, or give the path of its config.json"
        raise BadInput(f"the model hub has no config.json for it: {first}", do) from None


def reachable(address: str) -> bool:
    """Whether a server answers, whatever it says, within :data:`SECONDS` (proxies respected)."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(address, method="HEAD"), timeout=SECONDS):
            return True
    except HTTPError:
        return True
    except (OSError, ValueError):
        return False


def config_class(fields: Mapping[str, Any]) -> Any:
    """transformers' configuration class for the ``model_type`` in ``fields``."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if "model_type" not in fields:
        raise BadInput(
            "the configuration has no model_type", 'add one, such as "model_type": "llama"'
        )
    name = str(fields["model_type"])
    if name in model_types():
        return CONFIG_MAPPING[name]
    if "auto_map" in fields:
        seen = f"model_type {name!r} needs code of its own, which is not run"
        raise UnknownName(seen, "write a FILE.py:NAME that builds it")
    do = nearest(name, model_types()) or "use a model type of transformers"
    raise UnknownName(f"transformers has no model_type {name!r}", do)


def parse_changes(query: str) -> dict[tuple[str, ...], Any]:
    """``{("hidden_size",): 1024}`` from ``hidden_size=1024,…``; what is no literal is a text."""
    found: dict[tuple[str, ...], Any] = {}
    for part in re.split(r",(?=[\w.]+=)", query) if query else ():
        name, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"\w+(\.\w+)*", name.strip()):
            raise BadInput(
                f"{part!r} changes no field", "write changes as ?hidden_size=1024,num_labels=10"
            )
        found[tuple(name.strip().split("."))] = literal(value)
    return found


def literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "null": None}.get(text.strip(), text.strip())


def check_changes(changes: Mapping[tuple[str, ...], Any], kind: Any) -> None:
    """Raises :class:`~botec.errors.UnknownName` for a field the configuration does not have."""
    if not changes:
        return
    known = kind().to_dict()
    for path in changes:
        place, names = "the configuration", {**known, **kind.attribute_map, "num_labels": 2}
        for part in path:
            if part not in names:
                raise UnknownName(
                    f"{place} has no field {part!r}", nearest(part, names) or fields_do(names)
                )
            place, names = part, names[part] if isinstance(names[part], dict) else {}


def fields_do(names: Mapping[str, Any]) -> str:
    """The first fields that not every configuration has."""
    from transformers import PreTrainedConfig

    common = PreTrainedConfig().to_dict()
    own = [name for name in names if name not in common]
    return f"it has {', '.join(own[:6])}, …" if own else "it has no parts"


def change(fields: dict[str, Any], path: tuple[str, ...], value: Any, kind: Any) -> None:
    """Sets one field, inside a part where the path has a dot; ``architectures`` is a list."""
    *parts, last = path
    for part in parts:
        fields[part] = dict(fields.get(part) or {})
        fields = fields[part]
    fields[last] = [value] if last == "architectures" and isinstance(value, str) else value
    if not parts and (alias := kind.attribute_map.get(last)):
        fields[alias] = fields.pop(last)


def check_sizes(fields: Mapping[str, Any], kind: Any) -> None:
    """Raises :class:`~botec.errors.BadInput` for a size that no network can have.

    transformers builds some of them (minus one layer is none) and stops at others far from the
    field that is wrong.
    """
    own = {kind.attribute_map.get(name, name): least for name, least in LEAST.items()}
    for name, least in {**LEAST, **own}.items():
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value < least:
            raise BadInput(f"{name} is {value}", f"give a whole number from {least}")
    for part in fields.values():
        if isinstance(part, dict) and "model_type" in part:
            check_sizes(part, kind)


@cache
def model_types() -> tuple[str, ...]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return tuple(CONFIG_MAPPING_NAMES)


def faulty(error: Exception, fields: Mapping[str, Any]) -> BadInput:
    """What transformers said of a configuration, with the fields whose values it mentions."""
    said = one_line(str(error)).rstrip(".")
    if inner := re.search(r"(?:TypeError|ValueError): (.*)", said):
        said = inner[1]
    blamed = [f"{key}={value!r}" for key, value in fields.items() if mentioned(key, value, said)]
    told = said if " " in said else f"{type(error).__name__}: {said}"
    where = f"{', '.join(blamed[:3])}: " if blamed else ""
    return BadInput(f"{where}{told}", "correct the configuration")


def mentioned(key: str, value: Any, said: str) -> bool:
    """Whether a message speaks of this field: by name, or by a text or negative number in it."""
    if key == "model_type" or not isinstance(value, (str, int)):
        return False
    telling = value < 0 if isinstance(value, int) else bool(value)
    words = [key, key.replace("_", " "), *([str(value)] if telling else [])]
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) for word in words)
