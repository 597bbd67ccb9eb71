"""Real numbers for a graph: one node's op run on arrays, and the real module's own weights.

An analysis is handed an :class:`Executor` and works with numpy arrays alone; what runs them is
behind this door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from botec.calls import Call, Tensor
from botec.errors import BadInput
from botec.graph import LOOK, PUT, Graph, places
from botec.inputs import Input
from botec.read.draws import built
from botec.read.given import hushed, silenced
from botec.read.tape import as_array, source_of

DTYPES = {str(d).removeprefix("torch."): d for d in vars(torch).values() if type(d) is torch.dtype}
NAMED = {"device": torch.device("cpu"), "layout": torch.strided, "memory_format": None}


class Executor:
    """Runs the op of a call on arrays of any fitting shapes, forward and backward.

    Pointwise ops take "particles" of whatever shape the analysis likes; every other op takes
    arrays of the shapes its own arguments speak of.
    """

    def run(self, call: Call, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """The outputs of ``call`` (``None`` where one is undefined) for arrays by argument name.

        ``given`` has the structure of :attr:`botec.graph.Node.given`, arrays for numbers. What
        the op writes in place is a copy. Raises ``RuntimeError`` as the op's kernel does.
        """
        with torch.no_grad(), silenced():
            tensors = {name: tensor_of(one) for name, one in given.items()}
            return tuple(None if t is None else as_array(t) for t in executed(call, tensors))

    def pull(
        self, call: Call, given: Mapping[str, Any], gradients: Sequence[Any]
    ) -> dict[str, Any]:
        """The gradients of the arguments, given those of the outputs (``None``: no gradient).

        Arguments that are not floating, and those the outputs do not depend on, are ``None``; an
        argument that is a list has a tuple.
        """
        with torch.enable_grad(), silenced():
            tensors = {name: leaf(tensor_of(one)) for name, one in given.items()}
            outputs = executed(call, tensors)
            pairs = [
                (out, torch.as_tensor(gradient, dtype=out.dtype))
                for out, gradient in zip(outputs, gradients, strict=False)
                if out is not None and gradient is not None and out.requires_grad
            ]
            leaves = [one for one in leaves_in(tuple(tensors.values())) if one.requires_grad]
            if not pairs or not leaves:
                return dict.fromkeys(given)
            outs, grads = zip(*pairs, strict=True)
            found = torch.autograd.grad(outs, leaves, grads, allow_unused=True)
            by_leaf = {id(one): g for one, g in zip(leaves, found, strict=True)}
            return {name: gradient_of(one, by_leaf) for name, one in tensors.items()}

    def known(self, graph: Graph, number: int, largest: int = 1 << 24) -> Any | None:
        """The entries of a value that follows from shapes and constants alone, ``None`` otherwise.

        ``largest`` bounds the entries of every array on the way.
        """
        found: dict[int, Any] = {}
        waiting = [number]
        while waiting:
            one = waiting[-1]
            if one in found or one in graph.constants:
                found.setdefault(one, graph.constants.get(one))
                waiting.pop()
                continue
            value = graph.values[one]
            if value.node < 0 or elements(value.shape) > largest:
                return None
            node = graph.nodes[value.node]
            if is_random(node.call):
                return None
            missing = [other for other in node.inputs if other not in found]
            if missing:
                waiting += missing
                continue
            self.fill(node, found)
        return found[number]

    def fill(self, node: Any, found: dict[int, Any]) -> None:
        given = {name: filled(one, found) for name, one in node.given.items()}
        with torch.no_grad(), silenced():
            tensors = {name: tensor_of(one) for name, one in given.items()}
            outputs = executed(node.call, tensors)
            for number, out in zip(node.outputs, outputs, strict=False):
                if number is not None and out is not None:
                    found[number] = as_array(out)
            for name, number in node.written.items():
                found.setdefault(number, as_array(tensors[name]))


@dataclass(frozen=True)
class Real:
    """A real module's weights: ``parameters`` and ``buffers`` by name, as arrays."""

    parameters: Mapping[str, Any]
    buffers: Mapping[str, Any]

    def of(self, graph: Graph) -> dict[int, Any]:
        """The arrays of a graph's parameters and buffers, by value."""
        both = {**graph.named("parameter"), **graph.named("buffer")}
        own = {**self.parameters, **self.buffers}
        return {number: own[name] for name, number in both.items() if name in own}


def real(
    model: Any, *inputs: Input, train: bool = False, seed: int = 0, once: bool = False
) -> Real:
    """The weights of ``model`` built for real on the CPU, drawn by its own initialisation.

    They are those that ``torch.manual_seed(seed)`` gives, or, each drawn ``once`` only, others of
    the same distribution. A module in hand keeps its own weights. Raises :class:`BadInput` for
    weights without data.
    """
    source = source_of(model, train, inputs)
    with hushed(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = built(source.build, seed) if once else source.build()
    parameters = dict(module.named_parameters())
    buffers = dict(module.named_buffers())
    bare = [name for name, tensor in {**parameters, **buffers}.items() if tensor.is_meta]
    if bare:
        raise BadInput(f"{bare[0]} has no data", "hand over a model with weights", source.name)
    return Real(
        {name: as_array(tensor) for name, tensor in parameters.items()},
        {name: as_array(tensor) for name, tensor in buffers.items()},
    )


def executed(call: Call, tensors: dict[str, Any]) -> tuple[Any, ...]:
    """The op on real tensors; what it writes becomes a copy, in ``tensors`` too."""
    if call.op in (LOOK, PUT):
        return (looked(call, tensors),)
    for name in call.writes:
        if name in tensors:
            tensors[name] = copied(tensors[name])
    if call.op in RESHAPES and call.overload != "dtype":
        return (tensors["self"].reshape(call.arguments["size"]),)  # strides may be others here
    op = op_of(call)
    arguments = {}
    for argument in op._schema.arguments:
        value = call.arguments.get(argument.name)
        arguments[argument.name] = (
            tensors[argument.name] if argument.name in tensors else plain(argument, value)
        )
    keywords = {a.name: arguments.pop(a.name) for a in op._schema.arguments if a.kwarg_only}
    out = op(*arguments.values(), **keywords)
    return tuple(out) if isinstance(out, (list, tuple)) else (out,)


def looked(call: Call, tensors: Mapping[str, Any]) -> Any:
    """``botec.look`` and ``botec.put``: entries moved through the memory they lie in."""
    whole, part = places(call.arguments["whole_layout"]), places(call.arguments["part_layout"])
    size = 1 + max(int(whole.max(initial=0)), int(part.max(initial=0)))
    memory = tensors["whole"].new_zeros(size)
    memory = memory.index_put((torch.as_tensor(whole.ravel()),), tensors["whole"].reshape(-1))
    if call.op == LOOK:
        return memory[torch.as_tensor(part)]
    memory = memory.index_put((torch.as_tensor(part.ravel()),), tensors["part"].reshape(-1))
    return memory[torch.as_tensor(whole)]


RESHAPES = {"aten.view", "aten._unsafe_view", "aten._reshape_alias"}


def op_of(call: Call) -> Any:
    namespace, _, name = call.op.partition(".")
    packet = getattr(getattr(torch.ops, namespace), name)
    return getattr(packet, call.overload or "default")


def is_random(call: Call) -> bool:
    if call.op in (LOOK, PUT):
        return False
    return torch.Tag.nondeterministic_seeded in op_of(call).tags or call.op in UNSET


UNSET = {"aten.empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty"}


def plain(argument: Any, value: Any) -> Any:
    """A plain argument of a call as the op takes it: types and places by their own objects."""
    if argument.name in NAMED:
        return NAMED[argument.name] if value is not None else None
    if isinstance(value, str) and value in DTYPES and "ScalarType" in str(argument.real_type):
        return DTYPES[value]
    if isinstance(value, tuple):
        return [None if isinstance(one, Tensor) else one for one in value]
    return value


def tensor_of(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [tensor_of(one) for one in value]
    return None if value is None else torch.as_tensor(value)


def copied(value: Any) -> Any:
    if isinstance(value, list):
        return [copied(one) for one in value]
    return None if value is None else value.clone()


def leaf(value: Any) -> Any:
    if isinstance(value, list):
        return [leaf(one) for one in value]
    if value is None or not (value.is_floating_point() or value.is_complex()):
        return value
    return value.detach().clone().requires_grad_()


def leaves_in(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, list):
            found += leaves_in(value)
        elif value is not None:
            found.append(value)
    return found


def gradient_of(value: Any, found: Mapping[int, Any]) -> Any:
    if isinstance(value, list):
        return tuple(gradient_of(one, found) for one in value)
    gradient = found.get(id(value))
    return None if gradient is None else as_array(gradient)


def filled(given: Any, found: Mapping[int, Any]) -> Any:
    if isinstance(given, tuple):
        return tuple(filled(one, found) for one in given)
    return None if given is None else found[given]


def elements(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
