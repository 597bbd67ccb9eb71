"""Memory that kernels' host code takes and returns inside one op, put in among a stream's events.

It shows in no tensor of the trace: workspaces, sums in higher precision, copies for a layout, the
buffers of a sort. A rule of an op (:mod:`botec.ops.cuda.rules`) lists in order what its host code
takes, makes and gives back.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

from botec.analyses.kernels.choices import Script, settled
from botec.ops.cuda.look import GIVE, HOST, OUT, TAKE
from botec.program import BIRTH, DEATH, OP, PHASE, Storage, Stream

# Any of these asks for a handle of the matrix library, and the handle for its workspace.
PRODUCTS = (
    "aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm", "aten.addmv", "aten.mv", "aten.dot",
    "aten.vdot", "aten.addbmm", "aten._grouped_mm", "aten._scaled_mm", "aten._int_mm",
)  # fmt: skip
# ``:4096:2:16:8``, and 32 MiB on compute capability 9.0 alone (``CublasHandlePool.cpp``). The
# library for fused products (cuBLASLt) shares it.
WORKSPACE, LARGE_WORKSPACE = 8_519_680, 33_554_432
MOST_KEPT = 64  # woven streams, of one stream


def woven(stream: Stream, point: Mapping[str, int]) -> Stream:
    """A stream with what its kernels take at a point, in the order of their host code.

    It holds wherever every kernel chooses as it does there. The matrix library's workspaces, one
    for the forward and one for the backward thread, are there from the start of a step that is not
    the first. A stream without such kernels is returned as it is.
    """
    if stream.kernels is None:
        return stream
    scripts = settled(stream).at(stream, point)
    known, key = kept(Rows(stream)), key_of(stream, scripts)
    if key not in known:
        known[key] = Weaving(stream, scripts).woven()
        if len(known) > MOST_KEPT:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def chosen(stream: Stream, point: Mapping[str, int]) -> tuple[Any, ...]:
    """What decides a woven stream: equal ones of two capabilities are woven into one."""
    if stream.kernels is None:
        return (stream,)
    return Rows(stream), *key_of(stream, settled(stream).at(stream, point))


def key_of(stream: Stream, scripts: Mapping[int, Script]) -> tuple[Any, ...]:
    """The workspace and the scripts that a stream is woven with."""
    own = stream.kernels.capability if stream.kernels else 0
    return workspace_bytes(own), *scripts.values()


class Rows:
    """A stream as what weaving goes by: all but whose kernels run it. Equal are those whose rows
    are the same objects."""

    def __init__(self, stream: Stream) -> None:
        self.stream, kernels = stream, stream.kernels
        own = (getattr(stream, one.name) for one in fields(stream) if one.name != "kernels")
        self.parts = (*map(id, own), id(kernels.strides if kernels else None))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)


@cache
def kept(rows: Rows) -> OrderedDict[tuple[Any, ...], Stream]:
    """The woven streams of a stream, by the workspace and the scripts they were woven with."""
    return OrderedDict()


@dataclass(frozen=True)
class Occurrence:
    """An op whose script is put in later: the event it is followed by, and what it made."""

    event: int
    place: int
    born: tuple[Any, ...]


@dataclass
class Weaving:
    """The walk over a stream that puts the kernels' own memory in.

    ``scripts`` are those of calls by place; a call in ``later`` has only what its script keeps on
    the host, and its occurrences are noted.
    """

    stream: Stream
    scripts: Mapping[int, Script]
    later: frozenset[int] = frozenset()
    occurrences: list[Occurrence] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events = list(self.stream.events())
        self.storages = list(self.stream.storages)
        self.kinds, self.index, self.scopes = array("i"), array("i"), array("i")
        self.host = host_scalars(self.stream, self.events)
        self.reused = written_in_place(self.stream, self.events)
        self.overwriting = set(self.reused.values())

    def woven(self) -> Stream:
        """The stream with the kernels' memory."""
        kernels = self.stream.kernels
        assert kernels is not None
        for _ in range(threads(self.stream)):
            self.birth(workspace_bytes(kernels.capability), 0, "workspace")
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
            scopes=self.scopes, kernels=None,
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
        """New memory of a kernel; its number."""
        number = len(self.storages)
        self.storages.append(Storage(size, "temporary", scope, name))
        self.event(BIRTH, number, scope)
        return number

    def op(self, event: int) -> int:
        """The births of one op by its rule; the event after them."""
        _, place, scope = self.events[event - 1]
        script = self.scripts.get(place)
        born = []
        while event < len(self.events) and self.events[event][0] == BIRTH:
            born.append(self.events[event])
            event += 1
        if script is None:
            for one in born:
                self.event(*one)
        elif place in self.later:
            self.play([step for step in script if step[0] == HOST], born, scope)
            sizes = tuple(self.born_size(number) for _, number, _ in born)
            self.occurrences.append(Occurrence(len(self.kinds), place, sizes))
        else:
            self.play(script, born, scope)
        return event

    def born_size(self, number: int) -> Any:
        """Bytes that an output really takes: none on the host, none over an argument."""
        absent = number in self.host or number in self.overwriting
        return 0 if absent else self.storages[number].bytes

    def play(self, script: Any, born: list[Any], scope: int) -> None:
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
