"""A network's forward pass as a :class:`botec.graph.Graph`: every op with the values it connects.

Read like a program is: on tensors without data, with the decisions of the CPU's kernels
(:mod:`botec.read.step`), so composite functions come as the ops a real step runs. Gradients are
switched on whatever the mode, so that no kernel for inference alone swallows whole layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from botec.calls import Call, Tensor
from botec.graph import LOOK, PUT, Graph, Layout, Node, Value
from botec.inputs import Input
from botec.program import Setting
from botec.read import as_input, whole
from botec.read.align import AtPoint, dtype_name, merged_call
from botec.read.autocast import autocast
from botec.read.build import build, on_meta
from botec.read.from_torch import asked_point
from botec.read.given import hushed
from botec.read.recorder import Recorder
from botec.read.signatures import Signature
from botec.read.source import Source
from botec.read.step import Subject, named, walk

Geometry = tuple[Any, ...]


def tape(
    model: Any, *inputs: Input, train: bool = False, loss: bool = False, **dimensions: int
) -> Graph:
    """The forward pass of ``model`` at one point, as a graph of values.

    ``model`` and ``inputs`` are what :func:`botec.read` takes; ``train`` is the module's mode,
    ``loss`` adds the loss of a training step. Raises :class:`botec.errors.BotecError` as
    :func:`botec.read` does.
    """
    source = source_of(model, train, inputs)
    point = {name: whole(name, size) for name, size in dimensions.items()}
    return tape_source(source, point, train=train, loss=loss)


def source_of(model: Any, train: bool = False, inputs: tuple[Input, ...] = ()) -> Source:
    """Where ``model`` comes from: a module in hand, or a text one of the doors opens to."""
    from botec.read.doors import open_source
    from botec.read.from_file import source_of_module

    if isinstance(model, Source):
        return model
    if isinstance(model, str):
        return open_source(model, train, inputs)
    return source_of_module(model, tuple(map(as_input, inputs)))


def tape_source(
    source: Source, given: Mapping[str, int], *, train: bool = False, loss: bool = False
) -> Graph:
    """:func:`tape` of a source whose door has been opened."""
    point = asked_point(source, Setting(train=train), given)
    module = build(source)
    with hushed(), on_meta(module):
        return taped(module, source, point, train, loss)


def taped(
    module: Any, source: Source, point: Mapping[str, int], train: bool = False, loss: bool = False
) -> Graph:
    """The graph of a module that lies on the meta device."""
    subject = Taped(module, source, Setting(train=train), loss)
    recorder = Tape(tuple(named(module)))
    subject.record(recorder, point)
    used = [one for one in source.inputs if train or one.only != "train"]
    used = [one for one in used if not one.name] + [one for one in used if one.name]
    ledger = recorder.ledger
    numbers = ledger.inputs()
    values = list(ledger.values)
    for number, one in zip(numbers, used, strict=False):
        values[number] = replace(values[number], name=one.name)
    graph = Graph(
        name=source.name,
        values=tuple(values),
        nodes=tuple(ledger.nodes),
        inputs=numbers,
        outputs=tuple(subject.outputs),
        axes={number: axes_of(one) for number, one in zip(numbers, used, strict=False)},
        scopes={path: type(part).__name__ for path, part in named(module).items()},
        point=dict(point),
        train=train,
        loss=subject.end,
        constants=ledger.known_constants(),
        notes=tuple(dict.fromkeys(recorder.answers)),
    )
    return without_leftovers(graph)


LEFTOVERS = ("aten.empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty")


def without_leftovers(graph: Graph) -> Graph:
    """The graph without empty buffers and views that nobody takes: what autograd keeps for itself.

    Values keep their order and are numbered anew.
    """
    wanted = {*graph.outputs, *((graph.loss,) if graph.loss is not None else ())}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        idle = not node.written and (node.call.view or node.call.op in LEFTOVERS)
        if not idle or any(number in wanted for number in node.results):
            kept.append(node)
            wanted.update(node.inputs)
            wanted.update(node.results)
    kept.reverse()
    numbers = [n for n, v in enumerate(graph.values) if n in wanted or v.kind != "made"]
    new = {number: place for place, number in enumerate(numbers)}
    return renumbered(graph, kept, numbers, new)


def renumbered(graph: Graph, kept: list[Node], numbers: list[int], new: dict[int, int]) -> Graph:
    made = {new[number]: place for place, node in enumerate(kept) for number in node.results}
    values = (replace(graph.values[n], node=made.get(new[n], -1)) for n in numbers)
    nodes = (
        replace(
            node,
            given={name: mapped(one, new) for name, one in node.given.items()},
            outputs=tuple(mapped(one, new) for one in node.outputs),
            written={name: new[number] for name, number in node.written.items()},
        )
        for node in kept
    )
    return replace(
        graph,
        values=tuple(values),
        nodes=tuple(nodes),
        inputs=tuple(new[number] for number in graph.inputs),
        outputs=tuple(new[number] for number in graph.outputs),
        axes={new[number]: axes for number, axes in graph.axes.items()},
        loss=None if graph.loss is None else new[graph.loss],
        constants={new[n]: data for n, data in graph.constants.items() if n in new},
    )


def mapped(given: Any, new: Mapping[int, int]) -> Any:
    if isinstance(given, tuple):
        return tuple(mapped(one, new) for one in given)
    return None if given is None else new[given]


#: The axes behind examples and channels, as PyTorch's convolutions call them, by their number.
SPATIAL = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}


def axes_of(one: Input) -> tuple[str, ...]:
    """``("B", "x1", "H", "W")``: the dimension's letter, else the axis's usual one or its place.

    Axes of fixed sizes behind examples and channels are L, or H and W, or D, H and W, where no
    other axis has that letter.
    """
    usual = ("", "", *SPATIAL.get(len(one.sizes) - 2, ()))
    letters = {size for size in one.sizes if isinstance(size, str)}
    found = []
    for axis, size in enumerate(one.sizes):
        own = usual[axis] if axis < len(usual) else ""
        free = own if own and own not in letters else f"x{axis}"
        found.append(size if isinstance(size, str) else free)
    return tuple(found)


class Taped(Subject):
    """A module whose forward pass alone is run."""

    def __init__(self, module: Any, source: Source, setting: Setting, loss: bool) -> None:
        super().__init__(module, source, setting)
        self.with_loss = loss
        self.outputs: list[int] = []
        self.end: int | None = None

    def train(self, recorder: Recorder, positional: list[Any], named_inputs: Any) -> None:
        """The forward pass, and its loss where that was asked for."""
        assert isinstance(recorder, Tape)
        recorder.phase("forward")
        with autocast(self.setting.precision):
            output = self.module(*positional, **named_inputs)
            self.outputs = [recorder.ledger.number(tensor) for tensor in walk(output)]
            if self.with_loss:
                self.end = recorder.ledger.number(self.loss_of(output))
        recorder.phase("end")


class Memory:
    """A storage while it is followed: its whole value, and what its views are called."""

    __slots__ = ("geometry", "known", "version", "whole")

    def __init__(self, geometry: Geometry, whole: int) -> None:
        self.geometry, self.whole, self.version = geometry, whole, 0
        self.known: dict[Geometry, tuple[int, int]] = {geometry: (whole, 0)}


PENDING = Node(Call("", "", {}, ()), {}, ())


class Tape(Recorder):
    """The recorder, keeping in a :class:`Ledger` which value every op takes and makes."""

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__()
        self.ledger = Ledger(self, scopes)
        self.heard: Signature | None = None

    def enter(self, scope: int) -> None:
        """A module starts: one more of its calls."""
        self.ledger.enter(scope)
        super().enter(scope)

    def leave(self) -> None:
        """The module ends."""
        self.ledger.leave()
        super().leave()

    def note_op(self, signature: Signature) -> None:
        """Keep what the op that runs now was called with."""
        if not signature.info.silent:
            self.heard = signature

    def watch_reuse(self, func: Any, args: Any, out: Any) -> None:
        """Memory that a real run uses again is of no interest here: values are."""

    def adopt(self, tensor: Any, role: str, name: str = "") -> int:
        """A value that is there before the pass, under its role."""
        number = super().adopt(tensor, role, name)
        self.ledger.adopt(tensor, number, role, name)
        return number

    def from_host(self, func: Any, info: Any, args: Any, kwargs: Any) -> Any:
        """An op among real tensors is worked out at once: what meets the trace is constant."""
        before = len(self.ledger.nodes)
        out = super().from_host(func, info, args, kwargs)
        if len(self.ledger.nodes) == before:
            self.heard = None
        return out

    def from_values(self, value: Any) -> Any:
        """Keep the entries of constants."""
        twin = super().from_values(value)
        if isinstance(value, torch.Tensor):
            self.ledger.data[self.place(twin)] = value.detach()
        return twin

    def twin(self, real: Any) -> Any:
        """Keep the entries of a real tensor that meets the trace."""
        out = super().twin(real)
        self.ledger.data.setdefault(self.place(out), real.detach())
        return out

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run the op as the recorder does, and write down what it connects."""
        before, self.heard = len(self.ledger.nodes), None
        out = super().run(func, args, kwargs)
        signature, self.heard = self.heard, None
        if torch.Tag.inplace_view in func.tags:
            return out  # another look at the same values: found by its geometry when it is used
        if signature is not None and len(self.ledger.nodes) == before:
            self.ledger.write_down(func, signature, args, kwargs or {}, out)
        return out


class Ledger:
    """The values and nodes of a pass, as a :class:`Tape` hears of them."""

    def __init__(self, recorder: Recorder, scopes: tuple[str, ...]) -> None:
        self.recorder, self.paths = recorder, scopes
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self.memories: dict[int, Memory] = {}
        self.data: dict[int, Any] = {}
        self.turns: dict[int, int] = {}
        self.modules: list[tuple[int, int]] = [(0, 0)]  # the modules that run: scope, turn
        self.calls: dict[int, tuple[Signature, Call]] = {}
        self.fit = AtPoint({})

    def enter(self, scope: int) -> None:
        """One more call of a module."""
        turn = self.turns[scope] = self.turns.get(scope, -1) + 1
        self.modules.append((scope, turn))

    def leave(self) -> None:
        """Its end."""
        self.modules.pop()

    def adopt(self, tensor: Any, storage: int, role: str, name: str) -> None:
        """A value under its role; the same memory is adopted once."""
        if storage not in self.memories:
            value = self.value(tensor, storage, role, name)
            self.memories[storage] = Memory(geometry(tensor), value)

    # -- values -----------------------------------------------------------------------------

    def value(self, tensor: Any, storage: int, kind: str, name: str = "", node: int = -1) -> int:
        shape = tuple(map(int, tensor.shape))
        self.values.append(Value(shape, dtype_name(tensor.dtype), kind, name, storage, node))
        return len(self.values) - 1

    def number(self, tensor: Any) -> int:
        """The number of the value a tensor has now."""
        storage = self.recorder.track(tensor)
        own = geometry(tensor)
        memory = self.memories.get(storage)
        if memory is None:
            value = self.value(tensor, storage, "constant")
            self.memories[storage] = Memory(own, value)
            return value
        value, version = memory.known.get(own, (-1, -1))
        if version == memory.version:
            return value
        return self.look(tensor, memory, own, storage)

    def look(self, tensor: Any, memory: Memory, own: Geometry, storage: int) -> int:
        """The memory was written through another view: this one shows it anew."""
        whole = self.values[memory.whole]
        made = self.value(tensor, storage, "made", node=len(self.nodes))
        new = self.values[made]
        arguments = {
            "whole": Tensor(whole.shape, whole.dtype),
            "whole_layout": layout(memory.geometry),
            "part_layout": layout(own),
        }
        call = Call(LOOK, "", arguments, (Tensor(new.shape, new.dtype),), view=True)
        self.note(call, {"whole": memory.whole}, (made,))
        memory.known[own] = (made, memory.version)
        return made

    def write(self, tensor: Any, value: int) -> None:
        """``tensor`` has been written: its memory holds ``value`` there from now on."""
        storage, own = self.recorder.track(tensor), geometry(tensor)
        memory = self.memories[storage]
        memory.version += 1
        memory.known[own] = (value, memory.version)
        if own == memory.geometry:
            memory.whole = value
            return
        old, part = self.values[memory.whole], self.values[value]
        self.values.append(Value(old.shape, old.dtype, "made", "", storage, len(self.nodes)))
        arguments = {
            "whole": Tensor(old.shape, old.dtype),
            "part": Tensor(part.shape, part.dtype),
            "whole_layout": layout(memory.geometry),
            "part_layout": layout(own),
        }
        call = Call(PUT, "", arguments, (Tensor(old.shape, old.dtype),))
        made = len(self.values) - 1
        self.note(call, {"whole": memory.whole, "part": value}, (made,))
        memory.whole = made
        memory.known[memory.geometry] = (made, memory.version)

    # -- nodes ------------------------------------------------------------------------------

    def write_down(self, func: Any, signature: Signature, args: Any, kwargs: Any, out: Any) -> None:
        schema = func._schema.arguments
        arguments = {schema[place].name: value for place, value in enumerate(args)}
        arguments.update(kwargs)
        given = {name: self.numbered(one) for name, one in arguments.items() if has_tensor(one)}
        outs = list(out) if isinstance(out, (list, tuple)) else [out]
        outs = [one if isinstance(one, torch.Tensor) else None for one in outs]
        written = {name: arguments[name] for name in signature.info.writes if name in given}
        if not written and not any(one is not None for one in outs):
            return
        self.note(self.call_of(signature), given, *self.made(outs, written))

    def made(self, outs: list[Any], written: Mapping[str, Any]) -> Any:
        """New values for what an op returns and for what it writes, in a node yet to be noted."""
        place = len(self.nodes)
        self.nodes.append(PENDING)  # `note` puts the node here at once
        changed: dict[str, int] = {}
        same: dict[int, int] = {}
        for name, tensors in written.items():
            for tensor in tensors if isinstance(tensors, (list, tuple)) else [tensors]:
                if isinstance(tensor, torch.Tensor):
                    value = self.value(tensor, self.recorder.track(tensor), "made", node=place)
                    changed[name] = same[id(tensor)] = value
                    self.write(tensor, value)
        outputs = []
        for tensor in outs:
            known = None if tensor is None else same.get(id(tensor))
            if tensor is not None and known is None:
                known = self.made_new(tensor, place)
            outputs.append(known)
        return tuple(outputs), changed, place

    def made_new(self, tensor: Any, node: int) -> int:
        storage = self.recorder.track(tensor)
        value = self.value(tensor, storage, "made", node=node)
        memory, own = self.memories.get(storage), geometry(tensor)
        if memory is None:
            self.memories[storage] = Memory(own, value)
        else:
            memory.known[own] = (value, memory.version)
        return value

    def note(
        self,
        call: Call,
        given: Mapping[str, Any],
        outputs: tuple[int | None, ...],
        written: Mapping[str, int] | None = None,
        place: int | None = None,
    ) -> None:
        scope, turn = self.modules[-1]
        node = Node(call, given, outputs, self.paths[scope], turn, written or {})
        if place is None:
            self.nodes.append(node)
        else:
            self.nodes[place] = node

    def numbered(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self.number(value)
        if isinstance(value, (list, tuple)):
            return tuple(self.numbered(part) for part in value)
        return None

    def call_of(self, signature: Signature) -> Call:
        """One :class:`Call` for every distinct signature."""
        known = self.calls.get(id(signature))
        if known is None:
            known = self.calls[id(signature)] = signature, merged_call([signature], self.fit)
        return known[1]

    def inputs(self) -> tuple[int, ...]:
        """The model's inputs, in the order they were adopted."""
        return tuple(n for n, value in enumerate(self.values) if value.kind == "input")

    def known_constants(self) -> dict[int, Any]:
        """The entries of every constant that has them, as arrays."""
        found = {}
        for number, value in enumerate(self.values):
            data = self.data.get(value.storage) if value.kind == "constant" else None
            if data is not None and tuple(data.shape) == value.shape:
                found[number] = as_array(data)
        return found


def has_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(has_tensor, value))
    return isinstance(value, torch.Tensor)


def geometry(tensor: Any) -> Geometry:
    """What distinguishes one view of a memory from another."""
    strides = tensor.stride() if tensor.layout is torch.strided else ()
    return tuple(tensor.shape), tuple(strides), int(tensor.storage_offset()), tensor.dtype


def layout(of: Geometry) -> Layout:
    return of[0], of[1], of[2]


def as_array(tensor: Any) -> Any:
    """A real tensor as a numpy array; float32 where numpy has no such type."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
