"""What an ONNX file stores: weights as parameters of a tree of modules, constants as arrays.

The tree is told by names. A node ``/layer1/layer1.0/conv1/Conv`` belongs to ``layer1.0.conv1``, as
does a weight ``layer1.0.conv1.weight``; a weight without such a name belongs to its first node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch import nn

from botec.errors import BadInput

#: Inputs that are kept averages, not trained.
AVERAGES = {"BatchNormalization": (3, 4)}
RECURRENT = {"LSTM", "GRU", "RNN"}
SMALL = 4096  # entries of an array that is worth knowing; larger ones are tensors
ANSWERED = {"Constant", "Shape", "Size", "Cast", "If"}  # by the graph itself, without a translation
#: Element types by their number in TensorProto.DataType.
TYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32,
    7: torch.int64, 9: torch.bool, 10: torch.float16, 11: torch.float64, 14: torch.complex64,
    16: torch.bfloat16,
}  # fmt: skip


class Weights:
    """Initializers of a graph, put into the tree of modules under ``root``."""

    def __init__(self, root: nn.Module, graph: Any, folder: str) -> None:
        self.root, self.folder = root, folder
        self.arrays: dict[str, Any] = {}
        self.tensors: dict[str, tuple[nn.Module, str]] = {}
        self.lists: dict[str, nn.ParameterList] = {}
        uses = uses_of(graph)
        by_name = {one.name: one for one in graph.initializer}
        for node in graph.node:
            if node.op_type in RECURRENT:
                self.store_recurrent(node, by_name)
        for initializer in by_name.values():
            self.store(initializer, uses.get(initializer.name, []))

    def store(self, initializer: Any, uses: list[tuple[Any, int]]) -> None:
        """One initializer, as its uses tell: an array, a kept average, or a weight."""
        name = initializer.name
        known = bool(uses) and all(wanted_known(node, place) for node, place in uses)
        size = prod(initializer.dims)
        whole = not TYPES[initializer.data_type].is_floating_point
        if known or size == 1 or (whole and size <= SMALL):
            self.arrays[name] = self.array(initializer)
            return
        average = any(place in AVERAGES.get(node.op_type, ()) for node, place in uses)
        scope, own = self.place(name, uses[0][0] if uses else None)
        tensor = self.tensor(initializer)
        if average or whole:
            scope.register_buffer(own, tensor)
        else:
            scope.register_parameter(own, nn.Parameter(tensor))
        self.tensors[name] = (scope, own)

    def store_recurrent(self, node: Any, stored: dict[str, Any]) -> None:
        """A recurrent node's weights, in torch's own order once and for all."""
        from botec.read.onnx.recurrent import in_order

        names = [name for name in node.input[1:4] if name]
        if not all(name in stored for name in names):
            seen = f"{node.op_type} {node.name} with weights that are no constants"
            raise BadInput(seen, "export it with its weights")
        tensors = [self.tensor(stored.pop(name)) for name in names]
        parts = in_order(node.op_type, *tensors)
        weights = nn.ParameterList(nn.Parameter(one.contiguous()) for one in parts)
        scope = self.scope(node)  # another layer of the same module has such weights too
        scope.add_module(unused(scope, "weights"), weights)
        self.lists[names[0]] = weights
        self.arrays |= dict.fromkeys(names[1:])

    def value(self, name: str) -> Any:
        """The array or tensor of a name; ``None`` of an input left out."""
        if not name:
            return None
        if name in self.arrays:
            return self.arrays[name]
        if name in self.lists:
            return list(self.lists[name])
        scope, own = self.tensors[name]
        return getattr(scope, own)

    def tensor(self, initializer: Any) -> Any:
        """Its numbers where modules are made with memory and the file has them, else its shape."""
        shape, dtype = tuple(initializer.dims), TYPES[initializer.data_type]
        if torch.get_default_device().type == "meta":
            return torch.empty(shape, dtype=dtype)
        array = self.array(initializer)
        if dtype is torch.bfloat16:
            return torch.from_numpy(array.astype("float32")).to(dtype)
        return torch.from_numpy(array.copy())

    def array(self, initializer: Any) -> Any:
        """Its numbers; those kept beside the file are read from there."""
        from onnx import numpy_helper

        return numpy_helper.to_array(initializer, self.folder)

    def place(self, name: str, node: Any) -> tuple[nn.Module, str]:
        """The module that holds a weight, and its name there."""
        parts = name.split(".")
        if len(parts) > 1 and all(re.fullmatch(r"\w+", part) for part in parts):
            scope = self.module(tuple(parts[:-1]))
        else:
            scope = self.scope(node) if node is not None else self.root
        own = re.sub(r"\W+", "_", parts[-1]).strip("_") or "weight"
        return scope, unused(scope, own)

    def scope(self, node: Any) -> nn.Module:
        """The module a node belongs to."""
        path = path_of(node)
        if not path:
            held = (self.tensors[name][0] for name in node.input if name in self.tensors)
            return next(held, self.root)
        return self.module(path)

    def module(self, path: tuple[str, ...]) -> nn.Module:
        """The module at a path, made with those above it where they are not there yet."""
        from botec.read.onnx.graph import Scope

        here = self.root
        for part in path:
            while hasattr(here, part) and part not in here._modules:
                part += "_"  # a word of torch's own
            if part not in here._modules:
                here.add_module(part, Scope())
            here = here.get_submodule(part)
        return here


def every_node(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the branches in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from every_node(attribute.g)


def uses_of(graph: Any) -> dict[str, list[tuple[Any, int]]]:
    """Every value's name with the nodes that take it, and as which input."""
    found: dict[str, list[tuple[Any, int]]] = {}
    for node in every_node(graph):
        for place, name in enumerate(node.input):
            found.setdefault(name, []).append((node, place))
    return found


def unused(scope: nn.Module, name: str) -> str:
    """A name that nothing in a module has yet."""
    while hasattr(scope, name):
        name += "_"
    return name


def wanted_known(node: Any, place: int) -> bool:
    from botec.read.onnx.registry import translations

    translation = translations().get(node.op_type)
    return translation is not None and translation.wants_known(place)


def path_of(node: Any) -> tuple[str, ...]:
    """``("layer1", "0", "conv1")`` from ``/layer1/layer1.0/conv1/Conv``, ``()`` where unknown.

    Names that repeat what stands above them (``layer1.0`` in ``layer1``) lose it.
    """
    path: list[str] = []
    above = ""
    for part in node.name.strip("/").split("/")[:-1]:
        own = part.removeprefix(f"{above}.") if above else part
        path += [re.sub(r"\W+", "_", one) for one in own.split(".") if one]
        above = part
    return tuple(path)


def attribute_values(node: Any) -> dict[str, Any]:
    """A node's attributes as Python's values; arrays as numpy, types as torch's, texts as str."""
    from onnx import AttributeProto, helper, numpy_helper

    found: dict[str, Any] = {}
    for one in node.attribute:
        if one.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            continue
        value = helper.get_attribute_value(one)
        if one.type == AttributeProto.TENSOR:
            value = numpy_helper.to_array(value)
        elif one.type == AttributeProto.STRING:
            value = value.decode("utf-8", "replace")
        elif one.name == "to" and node.op_type == "Cast":
            value = TYPES[value]
        found[one.name] = value
    return found


def array_of(attributes: Mapping[str, Any]) -> Any:
    """The array of a ``Constant`` node, which has one attribute of several names."""
    import numpy as np

    (value,) = attributes.values()
    return np.array(value, np.float32 if isinstance(value, float) else None)
