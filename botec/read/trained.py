"""Which weights are trained: some frozen, or low-rank adapters beside all of them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from botec.errors import BadInput, BotecError, MissingPackage, UnknownName, nearest
from botec.program import Setting
from botec.read.from_torchvision import make_importable
from botec.read.settings import Adapters, parse_adapters

ALL = ("all-linear",)
LONGEST = 160  # letters of another library's error


def choose_trained(module: nn.Module, setting: Setting) -> None:
    """Give ``module`` adapters, on its own device, and take gradients away, as the setting says.

    Raises :class:`UnknownName` for a pattern or target that meets nothing.
    """
    asked = parse_adapters(setting.lora)
    if asked is not None:
        adapt(module, asked, f"--lora {setting.lora}")
    weights = dict(module.named_parameters(remove_duplicate=False))
    for pattern in setting.freeze:
        for name in matching(pattern, weights, f"--freeze {pattern}"):
            weights[name].requires_grad_(False)
    if setting.train_only:
        kept = {
            name
            for pattern in setting.train_only
            for name in matching(pattern, weights, f"--train-only {pattern}")
        }
        tied = {id(weights[name]) for name in kept}
        for weight in weights.values():
            if id(weight) not in tied:
                weight.requires_grad_(False)


def matching(pattern: str, names: Iterable[str], asked: str) -> list[str]:
    """The weights whose name, or a module above them, ``pattern`` is (``*`` for anything)."""
    known = list(names)
    found = [name for name in known if any(fnmatchcase(one, pattern) for one in within(name))]
    if not found:
        paths = dict.fromkeys(one for name in known for one in within(name))
        do = nearest(pattern, paths) or f"the first is {known[0] if known else 'not there'}"
        raise UnknownName(f"no weight is called {pattern!r}", do, asked)
    return found


def within(name: str) -> list[str]:
    """``a.b.weight``, ``a.b`` and ``a``."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]


def adapt(module: nn.Module, asked: Adapters, option: str) -> None:
    """Put ``peft``'s low-rank adapters into ``module``; all its own weights are frozen.

    Raises :class:`MissingPackage` without ``peft``, :class:`UnknownName` for a target that is no
    part of the module, :class:`BadInput` with ``peft``'s own words.
    """
    if find_spec("peft") is None:
        raise MissingPackage("peft is not installed", 'pip install "peft"', option)
    make_importable()
    from peft import LoraConfig, get_peft_model

    check_targets(module, asked, option)
    targets: Any = list(asked.targets) or None
    if asked.targets == ALL:
        targets = ALL[0] if hasattr(module, "get_output_embeddings") else linear_layers(module)
    own: dict[str, Any] = {} if asked.alpha is None else {"lora_alpha": asked.alpha}
    config = LoraConfig(r=asked.r, lora_dropout=asked.dropout, target_modules=targets, **own)
    try:
        with torch.device(next(module.parameters()).device):
            get_peft_model(module, config)  # the wrapper is let go: adapters lie in the module
    except BotecError:
        raise
    except Exception as error:
        do = "name other targets, such as targets=q_proj,v_proj"
        raise BadInput(f"peft refuses: {first_words(error)}", do, option) from error


def first_words(error: Exception) -> str:
    """What an error says, in a readable length: some print a whole module."""
    text = " ".join(str(error).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def linear_layers(module: nn.Module) -> list[str]:
    """The paths of all linear layers; ``peft`` itself knows those of ``transformers``' models."""
    return [path for path, part in module.named_modules() if isinstance(part, nn.Linear)]


def check_targets(module: nn.Module, asked: Adapters, option: str) -> None:
    """Raises :class:`UnknownName` for a target that ends no module's path."""
    if asked.targets == ALL:
        return
    paths = [path for path, _ in module.named_modules() if path]
    for target in asked.targets:
        if not any(path == target or path.endswith(f".{target}") for path in paths):
            products = (nn.Linear, nn.Conv2d, nn.Embedding)
            ends = dict.fromkeys(
                path.rpartition(".")[2]
                for path, part in module.named_modules()
                if isinstance(part, products) or type(part).__name__ == "Conv1D"
            )
            do = nearest(target, ends) or f"it has {', '.join(list(ends)[:8]) or 'none'}"
            raise UnknownName(f"no module is called {target!r}", do, option)
