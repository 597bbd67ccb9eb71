"""A network, read once: frozen, plain data, nothing of torch.

A :class:`Program` holds one or more :class:`Stream`: the ops a step runs and the births and deaths
of the memory they use, in order. A stream is valid in its :class:`Regime`: sizes in it are exact
polynomials in the dimensions the regime leaves free, and whole numbers in those it fixes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botec.calls import Call, Size, Tensor
from botec.errors import BadInput, OutsideRegime

ROLES = ("parameter", "buffer", "input", "activation", "temporary", "gradient", "optimizer")
PHASES = ("forward", "backward", "optimizer")
OP, BIRTH, DEATH, PHASE = range(4)


@dataclass(frozen=True)
class Setting:
    """How the step was run: every choice that changes a number.

    ``checkpoint_how``, ``lora`` and ``optimizer`` are in the words they were asked for.
    ``zero_grad`` says when gradients are dropped: ``after`` the optimizer's step, ``before`` the
    forward pass, ``between`` forward and backward, or never (``keep``: set to zero). A step takes
    ``accumulate`` micro-batches. ``freeze`` and ``train_only`` are patterns of weight names.
    """

    train: bool = True
    optimizer: str | None = None
    precision: str = "fp32"
    device: str = "cpu"
    checkpoint: bool = False
    checkpoint_how: str = ""
    zero_grad: str = "after"
    first_step: bool = False
    accumulate: int = 1
    scaler: bool = False
    master: bool = False
    freeze: tuple[str, ...] = ()
    train_only: tuple[str, ...] = ()
    lora: str = ""
    attention: str = ""
    loss: str = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """What is stored of a weight instead: its ``bytes`` (``None``: unknown), by which scheme."""

    bytes: int | None
    scheme: str


@dataclass(frozen=True)
class Parameter:
    """A weight (or buffer) of the model; ``names`` has more than one entry where it is tied.

    ``active`` is the share of it one example uses, as ``(used, of)``: experts chosen, all.
    ``kept`` is what is stored of it where that is not the tensor itself (quantised weights).
    """

    names: tuple[str, ...]
    tensor: Tensor
    trainable: bool
    active: tuple[int, int] = (1, 1)
    kept: Kept | None = None

    @property
    def stored(self) -> Size | None:
        """Bytes it is stored in; ``None`` where nobody knows."""
        return self.kept.bytes if self.kept else self.tensor.bytes


@dataclass(frozen=True)
class Storage:
    """A piece of memory: its ``bytes``, its role, and the module that made it."""

    bytes: Size
    role: str
    scope: int
    name: str = ""


@dataclass(frozen=True)
class Regime:
    """Where a stream holds: dimensions at fixed values, the others from ``least`` upwards.

    ``step`` is the lattice a free dimension was proved on (1 everywhere but where the model itself
    rounds sizes); ``fitted`` and ``proved`` are the traced points, the latter unused by the fit.
    """

    fixed: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    step: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    fitted: tuple[Mapping[str, int], ...] = ()
    proved: tuple[Mapping[str, int], ...] = ()

    def holds(self, point: Mapping[str, int]) -> bool:
        """Whether ``point`` lies inside."""
        return (
            all(point.get(name) == size for name, size in self.fixed.items())
            and all(point[name] >= size for name, size in self.least.items())
            and all(point[name] <= size for name, size in self.most.items())
            and all(point[name] % step == 0 for name, step in self.step.items())
        )

    def __str__(self) -> str:
        parts = [f"{name} = {size}" for name, size in self.fixed.items()]
        for name, least in self.least.items():
            most = f" ≤ {self.most[name]}" if name in self.most else ""
            parts.append(f"{least} ≤ {name}{most}" if most else f"{name} ≥ {least}")
            if self.step.get(name, 1) > 1:
                parts.append(f"{name} a multiple of {self.step[name]}")
        return ", ".join(parts) or "always"


@dataclass(frozen=True, eq=False)
class Kernels:
    """Whose kernels run a stream's calls, where they take memory of their own.

    ``capability`` is a CUDA generation (80 for sm_80). ``strides[i]`` are those of the tensors that
    ``calls[i]`` was given, by the arguments' names, for the calls whose kernels look at them.
    """

    capability: int
    strides: tuple[Mapping[str, tuple[Size, ...]], ...]


@dataclass(frozen=True, eq=False)
class Stream:
    """What a step does, in order, as three parallel rows of whole numbers.

    ``kinds[i]`` is OP, BIRTH, DEATH or PHASE; ``index[i]`` points into ``calls``, ``storages`` or
    :data:`PHASES`; ``scopes[i]`` points into the program's scopes (the module that ran the op).
    An op is followed by the births it caused; what dies because of it comes after them.

    A step of several micro-batches has two of them here; the later one, from the second ``forward``
    on up to the optimizer, stands for ``repeated`` equal ones. ``kernels``, where there are any,
    take more memory inside the ops, which is not in the rows: how much is chosen at a point.
    """

    regime: Regime
    calls: tuple[Call, ...]
    storages: tuple[Storage, ...]
    kinds: array[int]
    index: array[int]
    scopes: array[int]
    repeated: int = 1
    kernels: Kernels | None = None

    def events(self) -> Iterator[tuple[int, int, int]]:
        """``(kind, index, scope)`` one after the other."""
        return zip(self.kinds, self.index, self.scopes, strict=True)

    def columns(self) -> tuple[Any, Any, Any]:
        """The three rows as numpy arrays, copied: what goes over all events goes over these."""
        import numpy as np

        return np.array(self.kinds), np.array(self.index), np.array(self.scopes)

    def occurrences(self, scopes: bool = True) -> dict[tuple[int, str, int], int]:
        """How often each ``(call, phase, scope)`` occurs: what counting needs, order left out.

        Without ``scopes``, whatever module ran it: the scope is 0.
        """
        import numpy as np

        kinds, index, places = self.columns()
        places = places if scopes else places * 0
        ops, marks = kinds == OP, np.flatnonzero(kinds == PHASE).tolist()
        found: dict[tuple[int, str, int], int] = {}
        phase, begun = PHASES[0], 0
        for start, end in zip([-1, *marks], [*marks, len(kinds)], strict=True):
            if start >= 0:
                mark = self.index[start]
                phase = PHASES[mark] if mark < len(PHASES) else "end"
                begun += mark == 0
            weight = self.repeated if begun > 1 and phase in PHASES[:2] else 1
            here = np.flatnonzero(ops[start + 1 : end]) + start + 1
            for call, scope, times in tally(index[here], places[here]):
                key = (call, phase, scope)
                found[key] = found.get(key, 0) + times * weight
        return found


def tally(calls: Any, scopes: Any) -> Iterator[tuple[int, int, int]]:
    """Each pair of a call and a module with how often it occurs, in the order they first do."""
    import numpy as np

    pairs = calls.astype(np.int64) << 32 | scopes
    _, first, times = np.unique(pairs, return_index=True, return_counts=True)
    order = np.argsort(first)
    calls, scopes = calls[first[order]], scopes[first[order]]
    return zip(calls.tolist(), scopes.tolist(), times[order].tolist(), strict=True)


@dataclass(frozen=True, eq=False)
class Program:
    """A network as botec keeps it.

    ``asked`` is the point the user named (every dimension with its value); ``scopes`` are module
    paths as the author wrote them ("" is the model itself) and ``scope_types`` their class names.
    ``why`` says why a dimension has no formula, ``assumed`` lists every answer given to the model
    about values (``.item()`` of shape-only tensors), ``notes`` what else the reader must know.
    """

    name: str
    setting: Setting
    asked: Mapping[str, int]
    parameters: tuple[Parameter, ...]
    buffers: tuple[Parameter, ...]
    scopes: tuple[str, ...]
    scope_types: tuple[str, ...]
    streams: tuple[Stream, ...]
    why: str = ""
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        asked = ", ".join(f"{name}={size}" for name, size in self.asked.items())
        events = max((len(stream.kinds) for stream in self.streams), default=0)
        return f"<Program {self.name} at {asked or 'fixed sizes'}: {events:,} events>"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the free dimensions, in the order the inputs name them."""
        return tuple(self.asked)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The number of every module, by its path."""
        return {path: place for place, path in enumerate(self.scopes)}

    def stream(self, point: Mapping[str, int] | None = None) -> Stream:
        """The stream that holds at ``point`` (by default the asked one).

        Raises :class:`OutsideRegime` where none does, naming what is known.
        """
        values = self.point(point or {})
        for stream in self.streams:
            if stream.regime.holds(values):
                return stream
        known = " or ".join(f"({stream.regime})" for stream in self.streams)
        asked = ", ".join(f"{name}={size}" for name, size in values.items())
        raise OutsideRegime(
            f"formulas are known for {known}", f"read the model again at {asked}", asked
        )

    def point(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values`` over the asked point. Raises :class:`BadInput` for a dimension it has not."""
        for name in values:
            if name not in self.asked:
                known = ", ".join(self.asked) or "none"
                raise BadInput(
                    f"dimensions are {known}", "name one of them", f"{name}={values[name]}"
                )
        return {**self.asked, **values}


def verify(program: Program) -> Program:
    """``program``, once it is found sound; raises ``ValueError`` naming what is not.

    Every storage is born at most once and dies only after; every index points somewhere; roles and
    phases are the known ones.
    """
    for stream in program.streams:
        if not sound(program, stream):
            verify_stream(program, stream)
    return program


def sound(program: Program, stream: Stream) -> bool:
    """Whether a stream makes sense: all events at once, so that none is named."""
    import numpy as np

    kinds, index, scopes = stream.columns()
    held = len(stream.storages)
    lengths = np.array([len(stream.calls), held, held, len(PHASES) + 1])
    if not np.all((kinds >= 0) & (kinds < len(lengths)) & (index >= 0)):
        return False
    if not np.all((index < lengths[kinds]) & (scopes >= 0) & (scopes < len(program.scopes))):
        return False
    births, deaths = np.flatnonzero(kinds == BIRTH), np.flatnonzero(kinds == DEATH)
    born, dead = np.full(held, len(kinds)), index[deaths]
    born[index[births]] = births
    once = all(np.bincount(index[rows], minlength=1).max() <= 1 for rows in (births, deaths))
    known = {stream.storages[number].role for number in index[births].tolist()} <= set(ROLES)
    return bool(once and known and np.all(born[dead] < deaths))


def verify_stream(program: Program, stream: Stream) -> None:
    """Raises ``ValueError`` naming the first event of a stream that makes no sense."""
    lengths = (len(stream.calls), len(stream.storages), len(stream.storages), len(PHASES) + 1)
    alive: set[int] = set()
    seen: set[int] = set()
    for kind, index, scope in stream.events():
        if not (0 <= kind < len(lengths) and 0 <= index < lengths[kind]):
            raise ValueError(f"an event of kind {kind} points to {index}, which is not there")
        if not 0 <= scope < len(program.scopes):
            raise ValueError(f"an event points to scope {scope}, which is not there")
        if kind == BIRTH:
            if index in seen or stream.storages[index].role not in ROLES:
                raise ValueError(f"storage {index} is born twice or has no role")
            alive.add(index)
            seen.add(index)
        elif kind == DEATH:
            if index not in alive:
                raise ValueError(f"storage {index} dies without having been born")
            alive.remove(index)
