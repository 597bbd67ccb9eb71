"""Memory that kernels' host code takes and returns inside one op, and the order it is taken in.

It shows in no tensor of the trace: workspaces, sums in higher precision, copies for a layout, the
buffers of a sort. A rule of an op (:mod:`botec.read.kernel_rules`) lists in order what its host
code takes, makes and gives back. Sizes are functions of the op's arguments, exact for numbers and
formulas alike; where the host code chooses by size, the choice is that of the traced point.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from botec.calls import ITEM_BYTES, Call, Tensor
from botec.poly import at
from botec.program import BIRTH, DEATH, OP, PHASE, Storage, Stream

# Any of these asks for a handle of the matrix library, and the handle for its workspace.
PRODUCTS = (
    "aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm", "aten.addmv", "aten.mv", "aten.dot",
    "aten.vdot", "aten.addbmm", "aten._grouped_mm", "aten._scaled_mm", "aten._int_mm",
)  # fmt: skip
# ``:4096:2:16:8``, and 32 MiB on compute capability 9.0 alone (``CublasHandlePool.cpp``). The
# library for fused products (cuBLASLt) shares it.
WORKSPACE, LARGE_WORKSPACE = 8_519_680, 33_554_432
TAKE, GIVE, OUT, HOST = "take", "give", "out", "host"
Step = tuple[str, Any, Any]
Layout = tuple[Any, Any, Any]  # (shape, strides, type)


@dataclass(frozen=True)
class Look:
    """One call as a rule sees it: the formulas, and how its arguments lay in memory when traced."""

    call: Call
    layouts: Mapping[str, Any]
    capability: int
    point: Mapping[str, int]

    def __getitem__(self, name: str) -> Any:
        return self.call.arguments.get(name)

    def packed(self, name: str) -> bool:
        """Whether an argument's entries lie in row order without gaps."""
        layout = self.layouts.get(name)
        return not is_layout(layout) or is_packed(layout[0], layout[1])

    def channels_last(self, name: str) -> bool:
        """Whether an argument's channels lie innermost (``suggest_memory_format``)."""
        layout = self.layouts.get(name)
        return is_layout(layout) and is_channels_last(layout[0], layout[1])

    def copy(self, name: str, key: str = "") -> list[Step]:
        """A packed copy of an argument that is not packed."""
        return [] if self.packed(name) else take(key or name, bytes_of(self[name]))

    def number(self, size: Any) -> int:
        """A size at the traced point: what the host code chooses by."""
        return int(at(size, self.point))


def take(key: str, size: Any) -> list[Step]:
    """Memory for the kernel, under a name to give it back by."""
    return [(TAKE, key, size)]


def give(*keys: str) -> list[Step]:
    """Memory given back; what was not taken is passed over."""
    return [(GIVE, key, None) for key in keys]


def out(*places: int) -> list[Step]:
    """Outputs made, by their place among those the call made; none named means all the others."""
    return [(OUT, place, None) for place in places] or [(OUT, None, None)]


def bytes_of(tensor: Tensor, dtype: str = "") -> Any:
    """Bytes of a packed tensor of these entries."""
    return tensor.elements * ITEM_BYTES.get(dtype or tensor.dtype, 1)


def is_layout(value: Any) -> TypeGuard[Layout]:
    """Whether an argument is a tensor's ``(shape, strides, type)``."""
    return isinstance(value, tuple) and len(value) == 3 and type(value[0]).__name__ == "Size"


def is_packed(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Rows in order, without gaps; axes of one entry may have any stride."""
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size == 0:
            return True
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def is_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """``is_channels_last_strides_2d`` (and ``_3d``) of ``c10/core/MemoryFormat.h``."""
    if len(shape) not in (4, 5) or strides[1] == 0:
        return False
    least = 0
    order = (1, *range(len(shape) - 1, 1, -1), 0)
    for axis in order:
        if shape[axis] == 0 or strides[axis] < least:
            return False
        # an image of one channel and one batch is both: the first reading counts
        if axis == 0 and least == strides[1]:
            return False
        least = strides[axis]
        if shape[axis] > 1:
            least *= shape[axis]
    return True


def with_kernel_memory(
    stream: Stream, capability: int, signatures: Mapping[Call, Any], point: Mapping[str, int]
) -> Stream:
    """A stream with what CUDA's kernels take for themselves, in the order of their host code.

    ``signatures`` tell how the arguments of a call lay in memory (:func:`signatures_of`), ``point``
    the sizes that the host code chooses by. The matrix library's workspaces, one for the forward
    and one for the backward thread, are there from the start of a step that is not the first.
    """
    return Weaving(stream, capability, signatures, point).woven()


class Weaving:
    """The walk over a stream that puts the kernels' own memory in."""

    def __init__(self, stream: Stream, capability: int, signatures: Any, point: Any) -> None:
        self.stream, self.capability, self.point = stream, capability, point
        self.signatures = signatures
        self.events = list(stream.events())
        self.storages = list(stream.storages)
        self.kinds, self.index, self.scopes = array("i"), array("i"), array("i")
        self.scripts: dict[int, list[Step] | None] = {}
        self.host = host_scalars(stream, self.events)
        self.reused = written_in_place(stream, self.events)
        self.overwriting = set(self.reused.values())

    def woven(self) -> Stream:
        """The stream with the kernels' memory."""
        for _ in range(threads(self.stream)):
            self.birth(workspace_bytes(self.capability), 0, "workspace")
        event, count = 0, len(self.events)
        while event < count:
            kind, place, scope = self.events[event]
            self.event(kind, place, scope)
            event += 1
            if kind == OP:
                event = self.op(event)
        for number in self.host:
            self.storages[number] = replace(self.storages[number], role="temporary")
        return replace(
            self.stream, storages=tuple(self.storages), kinds=self.kinds, index=self.index,
            scopes=self.scopes,
        )  # fmt: skip

    def event(self, kind: int, place: int, scope: int) -> None:
        """One event; none for memory of the host, or of a result written over an argument."""
        if kind in (BIRTH, DEATH):
            if place in self.host or (place in self.reused and kind == DEATH):
                return
            if kind == BIRTH and place in self.overwriting:
                return
            place = self.reused.get(place, place)
        self.kinds.append(kind)
        self.index.append(place)
        self.scopes.append(scope)

    def birth(self, size: Any, scope: int, name: str) -> int:
        number = len(self.storages)
        self.storages.append(Storage(size, "temporary", scope, name))
        self.event(BIRTH, number, scope)
        return number

    def op(self, event: int) -> int:
        """The births of one op by its rule; the event after them."""
        _, place, scope = self.events[event - 1]
        script = self.script(place)
        born = []
        while event < len(self.events) and self.events[event][0] == BIRTH:
            born.append(self.events[event])
            event += 1
        if script is None:
            for one in born:
                self.event(*one)
        else:
            self.play(script, born, scope)
        return event

    def script(self, place: int) -> list[Step] | None:
        """What one distinct call does inside, ``None`` where it only makes its outputs."""
        from botec.read.kernel_rules import RULES

        if place not in self.scripts:
            call = self.stream.calls[place]
            signature = self.signatures.get(call)
            rule = RULES.get(call.op)
            layouts = named_layouts(signature) if rule and signature is not None else {}
            look = Look(call, layouts, self.capability, self.point)
            self.scripts[place] = rule(look) if rule else None
        return self.scripts[place]

    def play(self, script: list[Step], born: list[Any], scope: int) -> None:
        """The steps of one op; outputs no step names come last, in their own order."""
        taken: dict[str, int] = {}
        left = dict(enumerate(born))
        for kind, key, size in [*script, (OUT, None, None)]:
            if kind == TAKE:
                taken[key] = self.birth(size, scope, "kernel")
            elif kind == GIVE:
                if key in taken:
                    self.event(DEATH, taken.pop(key), scope)
            elif kind == HOST:
                if key in left:
                    self.host.add(left.pop(key)[1])
            elif key is None:
                for one in left.values():
                    self.event(*one)
                left = {}
            elif key in left:
                self.event(*left.pop(key))
        for number in reversed(taken.values()):
            self.event(DEATH, number, scope)


def signatures_of(stream: Stream, trace: Any) -> dict[Call, Any]:
    """The traced signature of every call of a stream, which has the events of ``trace``."""
    rows = zip(stream.kinds, stream.index, trace.index, strict=True)
    return {stream.calls[place]: trace.signatures[own] for kind, place, own in rows if kind == OP}


def named_layouts(signature: Any) -> dict[str, Any]:
    """Arguments of a traced call by name, tensors as ``(shape, strides, type)``."""
    names = [argument.name for argument in signature.info.func._schema.arguments]
    found = dict(zip(names, signature.key[1], strict=False))
    if signature.key[2]:
        found |= dict(zip(*signature.key[2], strict=True))
    return found


def host_scalars(stream: Stream, events: list[Any]) -> set[int]:
    """Numbers written into a tensor (``x[0] = 7``): on CUDA the number stays on the host.

    ``THPVariable_setitem`` makes it a tensor of the CPU; ``copy_to`` fills with it.
    """
    found, made, op = set(), -1, ""
    for kind, place, _ in events:
        if kind == OP:
            op = stream.calls[place].op
        elif kind == BIRTH:
            made = place if op == "aten.scalar_tensor" else -1
        elif kind == DEATH and place == made and op in ("aten.copy_", "aten.fill_"):
            found.add(place)
    return found


def written_in_place(stream: Stream, events: list[Any]) -> dict[int, int]:
    """Results written over an argument, old -> new: what the framework does while nobody listens.

    ``index_backward`` adds gradients into the zeros made for them, and attention written out adds
    its mask to the products; both out of place only while a dispatch mode is active.
    """
    found: dict[int, int] = {}
    for place, (op, made, freed) in enumerate(zip(events, events[1:], events[2:], strict=False)):
        if [one[0] for one in (op, made, freed)] != [OP, BIRTH, DEATH]:
            continue
        name = stream.calls[op[1]].op
        before, after = events[max(place - 1, 0)], events[min(place + 3, len(events) - 1)]
        zeros = name == "aten.index_put" and before[:2] == (BIRTH, freed[1])
        masked = name == "aten.add" and op_of(stream, after) == "aten._safe_softmax"
        if zeros or masked:
            found[freed[1]] = made[1]
    return found


def op_of(stream: Stream, event: Any) -> str:
    """The op of an event that is one, else nothing."""
    return stream.calls[event[1]].op if event[0] == OP else ""


def threads(stream: Stream) -> int:
    """How many threads run matrix products: the forward one, the backward one."""
    found: set[int] = set()
    phase = 0
    for kind, place, _ in stream.events():
        if kind == PHASE:
            phase = place
        elif kind == OP and stream.calls[place].op in PRODUCTS and phase < 2:
            found.add(phase)
    return len(found)


def workspace_bytes(capability: int) -> int:
    """The matrix library's workspace on a generation (``parseChosenWorkspaceSize``)."""
    return LARGE_WORKSPACE if capability == 90 else WORKSPACE
