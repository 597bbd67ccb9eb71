"""Records what a step does, in shapes only: one dispatch mode over tensors of the meta device.

Every op passes here below autograd. A cache keyed by the layouts of the arguments stands in front
of the meta kernels, many of which are slow Python: a call seen before is answered by making empty
outputs of the known layouts. Memory is followed by weak references on storages: a death is noted
the moment the last tensor, saved tensors of autograd included, lets go.
"""

from __future__ import annotations

import weakref
from array import array
from bisect import bisect_right
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from botec.errors import DataDependent
from botec.program import BIRTH, DEATH, OP, PHASE, PHASES
from botec.read import supposed
from botec.read.callers import user_line
from botec.read.in_place import reuses
from botec.read.layouts import check_types, layout_of, layouts, real_layouts, tensors
from botec.read.shadow import Shadow, UnknownValueError
from botec.read.shapes import layouts_of
from botec.read.signatures import IN_PLACE, OTHER, PURE, VIEW, OpInfo, Signature

META = torch.device("meta")
WHOLE = (torch.int64, torch.int32, torch.bool, torch.int16, torch.uint8, torch.int8)
MASKS = (torch.bool, torch.uint8)
BY_MASK = {"aten.index", "aten.index_put", "aten.index_put_", "aten._index_put_impl_"}
UNSET = {"aten.empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty"}
empty_strided = torch.empty_strided
current_node = torch._C._current_autograd_node
aten = torch.ops.aten
OPS: dict[Any, OpInfo] = {}


class Life:
    """A storage while it lives: its number, and the weak reference that tells its death."""

    __slots__ = ("node", "number", "seen", "watch")

    def __init__(self, number: int, node: int, seen: bool) -> None:
        self.number, self.node, self.seen = number, node, seen
        self.watch: Any = None


class Recorder(TorchDispatchMode):
    """Rows of events (as in :class:`botec.program.Stream`), the signatures, the storage sizes."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the documented opt-out of a wrapper that costs 3 µs an op

    def __init__(self, cache: dict[Any, Signature] | None = None, hosts: bool = True) -> None:
        """``hosts``: whether real tensors (counters of an optimizer) lie in the counted memory."""
        super().__init__()
        self.hosts = hosts
        self.kinds, self.index, self.scopes = array("i"), array("i"), array("i")
        self.signatures: list[Signature] = []
        self.numbers: dict[int, int] = {}
        self.sizes: list[int] = []
        self.births: list[tuple[int, int]] = []  # (event of the op, which output) of each storage
        self.numbered = array("i")  # the event at which each storage got its number
        self.gradients: dict[str, tuple[int, Any]] = {}
        self.roles: dict[int, tuple[str, str]] = {}
        self.live: dict[int, Life] = {}
        self.cache: dict[Any, Signature] = {} if cache is None else cache
        self.shadow = Shadow()
        self.answers: list[str] = []
        self.failure: BaseException | None = None
        self.recording = True
        self.stack = [0]
        self.scope = 0
        self.marks_at, self.marks_scope = [-1], [0]
        self.backward = self.updating = False
        self.node = -1
        self.pending: tuple[int, Life, int] | None = None
        self.twins: dict[int, tuple[Any, Any]] = {}
        self.grouped: dict[int, tuple[int, int]] = {}

    # -- events -----------------------------------------------------------------------------

    def event(self, kind: int, index: int) -> None:
        self.kinds.append(kind)
        self.index.append(index)
        self.scopes.append(self.scope)

    def phase(self, name: str) -> None:
        """The step enters a phase (``"end"`` closes the last one)."""
        self.scope, self.node = 0, -1
        self.event(PHASE, PHASES.index(name) if name in PHASES else len(PHASES))
        self.backward, self.updating = name == "backward", name == "optimizer"
        self.recording = self.recording and name != "end"

    def enter(self, scope: int) -> None:
        """A module starts: autograd nodes made from here on are its own."""
        self.stack.append(scope)
        self.mark(scope)

    def leave(self) -> None:
        """The module ends: its caller goes on."""
        self.stack.pop()
        self.mark(self.stack[-1])

    def mark(self, scope: int) -> None:
        self.scope = scope
        self.marks_at.append(torch._C._autograd._get_sequence_nr())
        self.marks_scope.append(scope)

    def find_scope(self) -> None:
        """In the backward pass: the module whose forward made the node that runs now."""
        node = current_node()
        if node is None or len(self.stack) > 1:
            self.node = -1
            return
        number = node._sequence_nr()
        if number != self.node:
            self.node = number
            if number < 2**62:
                self.scope = self.marks_scope[bisect_right(self.marks_at, number) - 1]

    # -- storages ---------------------------------------------------------------------------

    def track(self, tensor: Any, op: int = -1, output: int = 0, seen: bool = True) -> int:
        """The number of a tensor's storage; a new one is born (unless it is not to be ``seen``)."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        life = self.live.get(address)
        if life is not None:
            return life.number
        number = len(self.sizes)
        self.sizes.append(storage.nbytes())
        self.births.append((op, output))
        self.numbered.append(len(self.kinds))
        seen = seen and self.recording and (self.hosts or tensor.is_meta)
        life = Life(number, self.node, seen)
        self.live[address] = life
        if life.seen:
            self.event(BIRTH, number)

        def died(_: Any, address: int = address, life: Life = life) -> None:
            self.live.pop(address, None)
            self.death(life)

        life.watch = weakref.ref(storage, died)
        return number

    def death(self, life: Life) -> None:
        if not (life.seen and self.recording):
            return
        pending, self.pending = self.pending, None
        if pending is not None and pending[0] == life.number and pending[2] == len(self.kinds):
            self.undo_birth(pending[1], life.number)
            return
        self.event(DEATH, life.number)

    def undo_birth(self, new: Life, old: int) -> None:
        """The real engine added in place: the new storage was the old one all along."""
        self.kinds.pop(), self.index.pop(), self.scopes.pop()
        new.number = old

    def adopt(self, tensor: Any, role: str, name: str = "") -> int:
        """A storage that is there before the step: a parameter, a buffer, an input, a state."""
        number = self.track(tensor)
        self.roles.setdefault(number, (role, name))
        return number

    def place(self, tensor: Any) -> int:
        """The number of a tensor's storage, -1 where it is not of this trace."""
        life = self.live.get(tensor.untyped_storage()._cdata)
        return -1 if life is None else life.number

    # -- ops --------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return self.run(func, args, kwargs)
        except BaseException as error:
            if self.failure is None:
                self.failure = error
            raise

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An op's outputs, with the op, its births and what it wrote noted."""
        info = OPS.get(func)
        if info is None:
            info = OPS[func] = OpInfo(func, len(OPS))
        if info.factory and kwargs and kwargs.get("device") is not None:
            kwargs["device"] = META
        try:
            named = (tuple(kwargs), layouts(kwargs.values())) if kwargs else None
            key = (info.number, layouts(args), named)
            signature = self.cache.get(key)
        except TypeError:
            key, signature = None, None
        if signature is None:
            return self.first_time(info, key, args, kwargs)
        way = signature.way
        if info.grouped:
            self.note_experts(args)
        if way == PURE and signature.outputs is not None:
            self.note_op(signature)
            out = self.remake(signature)
        elif way == IN_PLACE:
            self.note_op(signature)
            out = args[0]
        else:
            out = func(*args, **kwargs) if kwargs else func(*args)
            self.note_op(signature)
            if way != VIEW:
                self.track_all(out)
        if signature.shadowed:
            self.note_value(info, args, kwargs, out)
        elif info.writes and self.shadow.entries:
            self.forget_written(info, args, kwargs)
        if info.substitute:
            self.watch_reuse(func, args, out)
        return out

    def note_op(self, signature: Signature) -> None:
        if not self.recording or signature.info.silent:
            return
        if self.backward:
            self.find_scope()
        number = self.numbers.get(id(signature))
        if number is None:
            number = self.numbers[id(signature)] = len(self.signatures)
            self.signatures.append(signature)
        self.kinds.append(OP)
        self.index.append(number)
        self.scopes.append(self.scope)

    def remake(self, signature: Signature) -> Any:
        """Empty outputs of the layouts this call gave before."""
        op = len(self.kinds) - 1
        spec = signature.outputs
        if type(spec) is tuple:
            out = empty_strided(spec[0], spec[1], dtype=spec[2], device=META)
            self.track(out, op)
            return out
        made = []
        for place, layout in enumerate(spec):
            one = None
            if layout is not None:
                one = empty_strided(layout[0], layout[1], dtype=layout[2], device=META)
                self.track(one, op, place)
            made.append(one)
        return signature.many(made)

    def first_time(self, info: OpInfo, key: Any, args: Any, kwargs: Any) -> Any:
        func = info.func
        if any(not tensor.is_meta for tensor in tensors(args, kwargs)):
            return self.from_host(func, info, args, kwargs)
        if info.grouped:
            self.note_experts(args)
        answered = self.answer(func, info, args)
        if answered is not None:
            return answered[0]
        check_types(info.name, args)
        way = info.way
        spec = layouts_of(info, args, kwargs) if way == PURE and key is not None else None
        signature = Signature(info, way, key or (info.number, real_layouts(args), None))
        if spec is not None:
            signature.outputs = spec
            signature.results = (spec,) if type(spec) is tuple else tuple(spec)
            self.note_op(signature)
            out = self.remake(signature)
        else:
            out = func(*args, **kwargs) if kwargs else func(*args)
            self.describe(signature, args, kwargs, out)
            self.note_op(signature)
            self.track_all(out)
        self.note_first_value(signature, args, kwargs, out)
        if key is not None:
            self.cache[key] = signature
        if info.substitute:
            self.watch_reuse(func, args, out)
        return out

    def note_experts(self, args: Any) -> None:
        """A grouped product: how many rows meet how many stacked weights."""
        rows, weight = args[0], args[1]
        if weight.dim() == 3 and rows.dim() == 2:
            self.grouped[self.place(weight)] = (rows.shape[0], weight.shape[0])

    def describe(self, signature: Signature, args: Any, kwargs: Any, out: Any) -> None:
        """Keep the outputs' layouts, and whether they can be made without running the op."""
        many = isinstance(out, (list, tuple))
        outs = list(out) if many else [out]
        if not all(one is None or isinstance(one, torch.Tensor) for one in outs):
            outs, signature.way = list(tensors(outs, None)), OTHER
        signature.results = tuple(None if one is None else layout_of(one) for one in outs)
        if signature.way != PURE:
            return
        inside = [tensor.untyped_storage()._cdata for tensor in tensors(args, kwargs)]
        made = [one.untyped_storage()._cdata for one in outs if one is not None]
        if set(inside) & set(made) or len(set(made)) < len(made):
            signature.way = OTHER  # it gave back an input's memory, or one piece twice
        elif many:
            signature.outputs = list(signature.results)
            signature.many = type(out)
        else:
            signature.outputs = signature.results[0]

    def track_all(self, out: Any) -> None:
        op = len(self.kinds) - 1
        if isinstance(out, torch.Tensor):
            self.track(out, op)
        elif isinstance(out, (list, tuple)):
            nested = any(isinstance(one, (list, tuple)) for one in out)
            for place, one in enumerate(tensors(out, None) if nested else out):
                if isinstance(one, torch.Tensor):
                    self.track(one, op, place)

    # -- values -----------------------------------------------------------------------------

    def answer(self, func: Any, info: OpInfo, args: Any) -> tuple[Any] | None:
        """Ops that ask for values: answered from the shadow, refused by name otherwise."""
        if func is aten._local_scalar_dense.default:
            return (self.scalar(args[0], info),)
        if info.name in ("aten.equal", "aten.is_nonzero"):
            values = [self.known_value(tensor, info) for tensor in args]
            return (bool(func(*values)),)
        if info.name in ("aten.nonzero", "aten._unique2"):
            return (self.from_values(func(self.known_value(args[0], info), *args[1:])),)
        if info.name in BY_MASK and any(mask.dtype in MASKS for mask in tensors(args[1:2], None)):
            if len(args) > 2 and args[2].numel() == 1 and args[1][0] is not None:
                return (self.filled(info, args),)
            return (self.run(func, (args[0], self.as_places(args[1], info), *args[2:]), None),)
        return None

    def scalar(self, tensor: Any, info: OpInfo) -> Any:
        """One known value; what an optimizer asks of its own numbers changes no shape."""
        if self.updating and tensor.is_floating_point():
            try:
                return self.shadow.value(self.place(tensor), tensor).item()
            except UnknownValueError:
                self.answers.append("a number of the optimizer's own was taken as 1")
                return 1.0
        value = self.known_value(tensor, info).item()
        if not self.shadow.supposes(self.place(tensor), tensor):
            self.answers.append(f"{tensor.dtype} value {value}")
        return value

    def filled(self, info: OpInfo, args: Any) -> Any:
        """One value put where a mask says: the CPU fills, and asks no places
        (``canDispatchToMaskedFill``)."""
        mask, value = args[1][0], args[2].reshape(())
        mask = mask[(...,) + (None,) * (args[0].dim() - mask.dim())]
        fill = aten.masked_fill_ if info.name.endswith("_") else aten.masked_fill
        return self.run(fill.Tensor, (args[0], mask, value), None)

    def as_places(self, masks: Any, info: OpInfo) -> list[Any]:
        """Masks in an index as the places they choose, which must be known from shapes."""
        places: list[Any] = []
        for mask in masks if isinstance(masks, (list, tuple)) else [masks]:
            if mask is not None and mask.dtype in MASKS:
                chosen = self.known_value(mask, info).nonzero(as_tuple=True)
                places += [self.from_values(one) for one in chosen]
            else:
                places.append(mask)
        return places

    def known_value(self, tensor: Any, info: OpInfo) -> Any:
        """The value an op asks for. Raises :class:`DataDependent` with the author's line."""
        return self.real(tensor, info.name)

    def real(self, tensor: Any, name: str = "tolist") -> Any:
        """A real tensor with the value of a traced one, where it follows from shapes."""
        try:
            value = self.shadow.value(self.place(tensor), tensor)
            if not self.shadow.supposes(self.place(tensor), tensor):
                return value
            if supposed.usable(value):
                self.answers.append(supposed.NOTE)
                return value
            raise UnknownValueError
        except UnknownValueError:
            raise DataDependent(
                f"{name} needs a value that only real data gives{user_line()}",
                "take the data-dependent branch out of forward, or read a part of the model",
            ) from None

    def from_values(self, value: Any) -> Any:
        """Meta twins of real tensors whose values are remembered."""
        if isinstance(value, (tuple, list)):
            return type(value)(self.from_values(part) for part in value)
        twin = empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
        self.shadow.constant(self.track(twin), twin, value)
        return twin

    def from_host(self, func: Any, info: OpInfo, args: Any, kwargs: Any) -> Any:
        """A real tensor meets the trace (a constant, an attribute of the model): use its twin.

        Where all are real (an optimizer's step counter), the op is run for what it is.
        """
        if not any(tensor.is_meta for tensor in tensors(args, kwargs)) and not to_meta(kwargs):
            out = func(*args, **kwargs) if kwargs else func(*args)
            key = ("host", info.number, real_layouts(args))
            signature = self.cache.get(key)
            if signature is None:
                signature = self.cache[key] = Signature(info, OTHER, (*key[1:], None))
                signature.results = tuple(map(layout_of, tensors([out], None)))
            self.note_op(signature)
            self.track_all(out)
            return out
        args = self.replace(args)
        kwargs = {name: self.replace(value) for name, value in kwargs.items()} if kwargs else kwargs
        return self.run(func, args, kwargs)

    def replace(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and not value.is_meta:
            return self.twin(value)
        if isinstance(value, (list, tuple)):
            return type(value)(self.replace(part) for part in value)
        return value

    def twin(self, real: Any) -> Any:
        """The traced tensor that stands for a real one."""
        known = self.twins.get(id(real))
        if known is not None and known[0]() is real:
            return known[1]
        out = empty_strided(real.shape, real.stride(), dtype=real.dtype, device=META)
        number = self.track(out, seen=False)
        if real.dtype in WHOLE or real.dim() == 0:
            self.shadow.constant(number, out, real.detach().clone())
        self.twins[id(real)] = (weakref.ref(real), out)
        return out

    def forget_written(self, info: OpInfo, args: Any, kwargs: Any) -> None:
        """What an op has written is not known any more; what it has only read still is."""
        given = [args[place] for place in info.written if place < len(args)]
        given += [value for name, value in (kwargs or {}).items() if name in info.writes]
        for tensor in tensors(given, None):
            self.shadow.entries.pop(self.place(tensor), None)

    def note_first_value(self, signature: Signature, args: Any, kwargs: Any, out: Any) -> None:
        """Whether results of this call can have values known from shapes."""
        if not isinstance(out, torch.Tensor) or signature.info.name in UNSET:
            if signature.info.writes:
                self.forget_written(signature.info, args, kwargs)
            return
        if signature.info.seeded:
            if signature.info.writes:
                self.shadow.forget(self.place(out), out, True)
                signature.shadowed = True
            if signature.info.name == "aten.rand" and out.numel() == 1:
                self.answers.append("a random number between 0 and 1 was taken as 0.5")
                self.shadow.constant(self.place(out), out, torch.full(out.shape, 0.5))
                signature.way = OTHER
            return
        self.note_value(signature.info, args, kwargs, out)
        signature.shadowed = (
            out.dtype in WHOLE or signature.way == VIEW or self.shadow.knows(self.place(out), out)
        )

    def note_value(self, info: OpInfo, args: Any, kwargs: Any, out: Any) -> None:
        """Keep how ``out`` was made, where its first argument (if any) is known itself."""
        if info.seeded:
            self.shadow.forget(self.place(out), out, True)
            return
        if out.dtype == torch.bool and (says := supposed.finite(info.name, args)) is not None:
            value = supposed.supposed_entries(out.shape, says)
            self.shadow.constant(self.place(out), out, value, supposed=True)
            return
        first = args[0] if args else None
        if not isinstance(first, torch.Tensor):
            first = next(iter(tensors(args, kwargs)), None)
        blank = first is not None and info.fresh
        if first is None or blank or self.place(first) in self.shadow.entries:
            self.shadow.note(self.place(out), out, info.func, args, kwargs, self.place)

    # -- what a dispatch mode changes, and is undone -----------------------------------------

    def watch_reuse(self, func: Any, args: Any, out: Any) -> None:
        """An op the real run may have done in place: it has, if ``args[0]`` dies at once."""
        if not self.recording or self.kinds[-1] != BIRTH:
            return
        old = self.live.get(args[0].untyped_storage()._cdata)
        new = self.live.get(out.untyped_storage()._cdata)
        if old is None or new is None or self.sizes[old.number] != self.sizes[new.number]:
            return
        if reuses(self, func, args, old, new):
            self.pending = (old.number, new, len(self.kinds))


def to_meta(kwargs: Any) -> bool:
    """Whether the op was asked to put its result on the traced device."""
    return bool(kwargs) and kwargs.get("device") is META
