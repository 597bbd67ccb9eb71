"""An ONNX graph as a torch module: node by node, each in the scope its name tells.

Values the graph itself fixes (shapes, axes, constants) are numpy arrays and stay so: nodes that
need nothing else are worked out by ONNX's own reference implementation. All else are tensors, let
go after their last use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import nn

from botec.errors import BotecError, DataDependent
from botec.read.onnx.registry import Translation, translations
from botec.read.onnx.weights import SMALL, Weights, array_of, attribute_values

#: What makes an array larger than its inputs, and how large.
GROWING: dict[str, Any] = {
    "ConstantOfShape": lambda shape: prod(shape.ravel().tolist()),
    "Expand": lambda x, shape: x.size * prod(shape.ravel().tolist()),
    "Tile": lambda x, repeats: x.size * prod(repeats.ravel().tolist()),
    "Range": lambda start, limit, delta: abs(int((limit - start) / delta)),
}
Values = dict[str, Any]


class Scope(nn.Module):
    """A module of the author's, by the name its nodes carry: runs what is called in it."""

    def forward(self, run: Any, *values: Any, **attributes: Any) -> Any:
        return run(*values, **attributes)


class Network(nn.Module):
    """The graph of an ONNX model as a module, called with its inputs by name.

    ``renamed`` says which input a keyword stands for (ONNX's names need not be Python's).
    """

    def __init__(self, model: Any, folder: str, renamed: Mapping[str, str]) -> None:
        super().__init__()
        self._graph, self._renamed = Graph(model, folder, self), dict(renamed)

    def forward(self, **inputs: Any) -> Any:
        """The graph's outputs: one tensor, or a tuple of them."""
        results = self._graph.run({self._renamed[name]: one for name, one in inputs.items()})
        return results[0] if len(results) == 1 else tuple(results)


class Graph:
    """The nodes of a model in their order, its weights under ``root``."""

    def __init__(self, model: Any, folder: str, root: nn.Module) -> None:
        self.root = root
        self.opset = next((one.version for one in model.opset_import if not one.domain), 1)
        self.weights = Weights(root, model.graph, folder)
        self.nodes = [Node(node, self) for node in model.graph.node]
        self.outputs = [one.name for one in model.graph.output]
        self.device: Any = None

    def run(self, inputs: Values) -> list[Any]:
        """The outputs for inputs by their ONNX names."""
        self.device = next(iter(inputs.values())).device
        return self.through(self.nodes, dict(inputs), self.outputs)

    def through(self, nodes: Sequence[Node], values: Values, wanted: Sequence[str]) -> list[Any]:
        """Run ``nodes`` in their order, letting values go after their last use."""
        last = {name: place for place, node in enumerate(nodes) for name in node.reads}
        for place, node in enumerate(nodes):
            found = node.run(values)
            values.update(zip(node.outputs, found, strict=False))
            del found
            for name in {*node.reads, *node.outputs}:
                if last.get(name, -1) <= place and name not in wanted and name in values:
                    del values[name]
        return [self.value(values, name) for name in wanted]

    def value(self, values: Values, name: str) -> Any:
        """A value by name: made by a node, or one of the weights; ``None`` without a name."""
        return values[name] if name in values else self.weights.value(name)

    def tensor(self, value: Any) -> Any:
        """A known array as a tensor, where an operator takes nothing else."""
        return torch.tensor(value.tolist(), dtype=dtype_of(value), device=self.device)


def dtype_of(array: Any) -> torch.dtype:
    return torch.from_numpy(array.ravel()[:0].copy()).dtype


def known(value: Any) -> bool:
    """Whether a value is an array that the graph fixes, or an input left out."""
    return not isinstance(value, (torch.Tensor, list))


class Node:
    """One node, with its translation, its attributes and its scope."""

    def __init__(self, node: Any, graph: Graph) -> None:
        self.node, self.graph = node, graph
        self.kind: str = node.op_type
        self.inputs, self.outputs = tuple(node.input), tuple(node.output)
        self.scope = graph.weights.scope(node)
        self.call = Scope.forward if self.scope is graph.root else Scope.__call__
        self.attributes = attribute_values(node)
        self.branches = branches(node, graph) if self.kind == "If" else {}
        inner = (name for nodes, _ in self.branches.values() for one in nodes for name in one.reads)
        self.reads: tuple[str, ...] = tuple(dict.fromkeys((*filter(None, self.inputs), *inner)))

    @cached_property
    def translation(self) -> Translation:
        """How it is run."""
        return translations()[self.kind]

    def run(self, values: Values) -> Sequence[Any]:
        """The node's outputs, in order."""
        if self.branches:
            return self.branch(values)
        given = [self.graph.value(values, name) for name in self.inputs]
        special = self.special(given)
        if special is not None:
            return (special,)
        if all(known(one) for one in given) and self.small(given):
            return self.worked_out(given)
        try:
            run: Any = self.translation.run
            found = self.call(self.scope, run, *self.operands(given), **self.options())
        except BotecError as error:
            raise error.about(f"{self.kind} {self.node.name}") from None
        return found if isinstance(found, (tuple, list)) else (found,)

    def special(self, given: Sequence[Any]) -> Any:
        """What is answered without any operator: constants, and sizes of tensors."""
        import numpy as np

        if self.kind == "Constant":
            return array_of(self.attributes)
        tensor = given[0] if given else None
        if not isinstance(tensor, torch.Tensor):
            return None
        if self.kind == "Shape":
            sizes = tensor.shape[slice(self.attributes.get("start"), self.attributes.get("end"))]
            return np.array(tuple(sizes), np.int64)
        if self.kind == "Cast":
            return self.call(self.scope, tensor.to, self.attributes["to"])
        return np.array(tensor.numel(), np.int64) if self.kind == "Size" else None

    def branch(self, values: Values) -> Sequence[Any]:
        """The branch of an ``If`` whose condition the graph fixes."""
        condition = self.graph.value(values, self.inputs[0])
        if not known(condition):
            raise DataDependent("an If that depends on data", "export one branch", self.node.name)
        nodes, wanted = self.branches["then_branch" if condition.item() else "else_branch"]
        return self.graph.through(nodes, dict(values), wanted)

    def small(self, given: Sequence[Any]) -> bool:
        """Whether the result is small enough to be worked out as numbers."""
        size = GROWING.get(self.kind)
        return not self.kind.startswith("Random") and (size is None or size(*given) <= SMALL)

    @cached_property
    def evaluator(self) -> Any:
        """ONNX's reference implementation of this node."""
        from onnx.reference import ReferenceEvaluator

        bare = type(self.node)()
        bare.CopyFrom(self.node)
        return ReferenceEvaluator(bare)

    def worked_out(self, given: Sequence[Any]) -> Sequence[Any]:
        """Outputs of known inputs."""
        feeds = {name: one for name, one in zip(self.inputs, given, strict=True) if name}
        return self.evaluator.run(None, feeds)

    def operands(self, given: Sequence[Any]) -> Iterator[Any]:
        """The inputs as the translation wants them: arrays, tensors, or Python's numbers."""
        rank = max((one.dim() for one in given if isinstance(one, torch.Tensor)), default=0)
        for place, value in enumerate(given):
            if self.translation.wants_known(place):
                yield self.fixed(place, value)
            elif value is None or not known(value):
                yield value
            elif self.translation.numbers and value.size == 1 and value.ndim <= rank:
                yield value.item()
            else:
                yield self.graph.tensor(value)

    def fixed(self, place: int, value: Any) -> Any:
        """An input that must not depend on data. Raises :class:`DataDependent`."""
        if known(value):
            return value
        seen = f"{self.translation.inputs[place]} depends on data"
        raise DataDependent(seen, "export it with a fixed one")

    def options(self) -> dict[str, Any]:
        """The attributes, and what else a translation asks for."""
        told = {
            "opset": self.graph.opset,
            "device": self.graph.device,
            "outputs": len(self.outputs),
            **self.attributes,
        }
        return {name: one for name, one in told.items() if name in self.translation.attributes}


def branches(node: Any, graph: Graph) -> dict[str, tuple[list[Node], list[str]]]:
    """Both branches of an ``If``: nodes, and names of what comes out."""
    return {
        one.name: ([Node(part, graph) for part in one.g.node], [out.name for out in one.g.output])
        for one in node.attribute
        if one.name in ("then_branch", "else_branch")
    }
