"""Runs of equal blocks in a network: what is built the same, behaves the same, and is read once.

Blocks are equal where class, parameters, buffers, attributes and children are, down to the leaves.
A whole number that counts along the list (``layer_idx``) is the one thing that may differ. Blocks
that alternate (windowed and full attention, say) repeat with a longer period.
"""

from __future__ import annotations

import functools
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any

import torch
from torch import nn

LONGEST = 8  # blocks in a period
DEEP = 3  # how far attributes that are objects are opened
SMALL = 4096  # numbers of a tensor that are compared one by one
PLAIN = (int, float, str, bool, type(None), complex, bytes, torch.dtype, torch.device, torch.Size)
HELD = {"_parameters", "_buffers", "_modules"}
CONTAINERS = {dict, OrderedDict, list, tuple, set}  # most attributes of a module are empty ones


@dataclass(frozen=True)
class Run:
    """``count`` units of ``period`` equal blocks each, in ``container`` from place ``start`` on.

    ``first`` is the scope of the first unit, ``scopes`` how many modules one unit has.
    """

    container: nn.Module
    start: int
    period: int
    count: int
    first: int
    scopes: int

    def blocks(self, unit: int) -> list[nn.Module]:
        """The blocks of one unit."""
        children = list(self.container._modules.values())
        place = self.start + unit * self.period
        return [one for one in children[place : place + self.period] if one is not None]


def runs_of(module: nn.Module, scopes: Mapping[int, int], least: int) -> list[Run]:
    """Runs of at least ``least`` units, none inside another; ``scopes`` numbers all modules."""
    taken: set[int] = set()
    found = []
    parts = list(module.modules())
    owners = Counter(id(p) for part in parts for p in part._parameters.values())
    for part in parts:
        if id(part) in taken or not isinstance(part, (nn.ModuleList, nn.Sequential)):
            continue
        run = longest_run(part, scopes, least)
        if run is None or not apart(run, owners):
            continue
        found.append(run)
        for unit in range(run.count):
            for block in run.blocks(unit):
                taken |= {id(one) for one in block.modules()}
    return found


def longest_run(container: nn.Module, scopes: Mapping[int, int], least: int) -> Run | None:
    """The run of a container that saves most, ``None`` where nothing repeats often enough."""
    children = list(container._modules.values())
    distinct = {id(child) for child in children if child is not None}
    if len(children) < least or len(distinct) < len(children):
        return None
    start, period, count = best_stretch(kinds_of(children), least)
    if not count:
        return None
    stretch = children[start : start + period * count]
    size = sum(len(list(one.modules())) for one in stretch[:period])
    first = scopes.get(id(stretch[0]), -1)
    if not in_order(stretch, first, size * count, scopes):
        return None
    return Run(container, start, period, count, first, size)


def best_stretch(words: list[int], least: int) -> tuple[int, int, int]:
    """Start, period and count of the stretch of equal units that leaves most out."""
    best = (0, 1, 0)
    for period in range(1, min(LONGEST, len(words) // least) + 1):
        start = 0
        while start + period * least <= len(words):
            end = start + period
            while end < len(words) and words[end] == words[end - period]:
                end += 1
            count = (end - start) // period
            if count >= least and period * (count - least + 1) > best[1] * (best[2] - least + 1):
                best = (start, period, count)
            start = max(end - period + 1, start + 1)
    return best


def in_order(blocks: list[Any], first: int, size: int, scopes: Mapping[int, int]) -> bool:
    """Whether modules of the blocks are numbered one block after the other, nothing shared."""
    places = [scopes.get(id(one), -1) for block in blocks for one in block.modules()]
    return first >= 0 and places == list(range(first, first + size))


def apart(run: Run, owners: Counter[int]) -> bool:
    """Whether no parameter of the run is anybody else's too."""
    blocks = (one for unit in range(run.count) for one in run.blocks(unit))
    held = (p for block in blocks for part in block.modules() for p in part._parameters.values())
    return all(owners[id(parameter)] == 1 for parameter in held if parameter is not None)


@contextmanager
def shortened(runs: Sequence[Run], units: int) -> Iterator[None]:
    """The network with only the first ``units`` units of its runs."""
    kept = [(run.container, run.container._modules) for run in runs]
    try:
        for run in runs:
            children = list(run.container._modules.items())
            cut, after = run.start + units * run.period, run.start + run.count * run.period
            left = children[:cut] + children[after:]
            if all(name == str(place) for place, (name, _) in enumerate(children)):
                left = [(str(place), child) for place, (_, child) in enumerate(left)]
            run.container._modules = type(run.container._modules)(left)
        yield
    finally:
        for container, children in kept:
            container._modules = children


def kinds_of(children: Sequence[Any]) -> list[int]:
    """For each child a number that is equal where the children are."""
    latest: list[int] = []  # where the latest child of each kind is
    found: list[int] = []
    for place, child in enumerate(children):
        near = sorted(range(len(latest)), key=lambda kind: -latest[kind])
        like = (k for k in near if equal(children[latest[k]], child, place - latest[k]))
        kind = next(like, len(latest))
        latest[kind : kind + 1] = [place]
        found.append(kind)
    return found


def equal(one: Any, other: Any, apart: int) -> bool:
    """Whether two modules are made the same; whole numbers of theirs may count the distance."""
    if type(one) is not type(other) or one._modules.keys() != other._modules.keys():
        return False
    return (
        all(
            equal_tensors(getattr(one, held), getattr(other, held))
            for held in ("_parameters", "_buffers")
        )
        and one.__dict__.keys() == other.__dict__.keys()
        and all(
            value is (its := other.__dict__[name])
            or (type(value) in CONTAINERS and type(its) is type(value) and not value and not its)
            or name in HELD
            or same(attribute(one, name), attribute(other, name), 0)
            or counts(value, its, apart)
            for name, value in one.__dict__.items()
        )
        and all(
            equal(child, other._modules[name], apart)
            if child is not None
            else other._modules[name] is None
            for name, child in one._modules.items()
        )
    )


def attribute(module: Any, name: str) -> Any:
    """An attribute to compare; hooks by their order, as their keys number those of all modules."""
    value = module.__dict__[name]
    if not (value and name.startswith("_") and "_hooks" in name and isinstance(value, dict)):
        return value
    hooks = module.__dict__[name.partition("_hooks")[0] + "_hooks"]
    order = {key: place for place, key in enumerate(hooks)}
    return {order.get(key, key): one for key, one in value.items()}


def counts(one: Any, other: Any, apart: int) -> bool:
    """Whether two whole numbers are as far apart as the modules that hold them."""
    return type(one) is type(other) is int and other - one == apart


def equal_tensors(ones: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    return ones.keys() == others.keys() and all(
        one is others[name] or layout(one) == layout(others[name]) for name, one in ones.items()
    )


def layout(tensor: Any) -> Any:
    """A tensor's type and layout, and whether it is trained."""
    if tensor is None:
        return None
    kind = (type(tensor), tensor.dtype, tensor.device.type, tensor.requires_grad)
    return kind, tensor.shape, tensor.stride()


def same(one: Any, other: Any, depth: int) -> bool:
    """Whether two attributes are alike: plain ones by value, containers and objects opened."""
    if one is other:
        return True
    if type(one) is not type(other) or depth > DEEP:
        return False
    if isinstance(one, PLAIN):
        return bool(one == other)
    if isinstance(one, torch.Tensor):
        known = not one.is_meta and one.numel() <= SMALL
        return known and layout(one) == layout(other) and bool(torch.equal(one, other))
    if isinstance(one, FunctionType):
        around = surroundings(one), surroundings(other)
        return one.__code__ is other.__code__ and same(*around, depth)
    if isinstance(one, (dict, nn.Module)) or (type(one).__dictoffset__ and not callable(one)):
        ones, others = parts_of(one), parts_of(other)
        return ones.keys() == others.keys() and all(
            same(value, others[key], depth + 1) for key, value in ones.items()
        )
    if isinstance(one, functools.partial):
        one, other = ((p.func, p.args, p.keywords) for p in (one, other))
    if isinstance(one, (list, tuple)):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same(a, b, depth + 1) for a, b in pairs)
    return isinstance(one, (set, frozenset)) and one == other


def surroundings(function: Any) -> tuple[Any, ...]:
    """What a function may use beside its code and arguments: defaults, and what it was made in."""
    cells = function.__closure__ or ()
    inside = [None if cell == CellType() else cell.cell_contents for cell in cells]
    return function.__defaults__, function.__kwdefaults__, vars(function), *inside


def parts_of(value: Any) -> Any:
    return value if isinstance(value, dict) else vars(value)
