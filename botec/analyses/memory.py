"""What is alive when: the timeline of a step, its peak, and who stands on it.

Lifetimes overlap: births and deaths are added up in the order they happened. At a point the peak is
a maximum of numbers; as a formula it is the maximum of a few polynomials, the upper envelope of
thousands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from botec.analyses.envelope import LARGEST, exact, outermost, table_of
from botec.analyses.evaluate import by_stream
from botec.analyses.kernels.choices import representative
from botec.analyses.kernels.weaving import woven
from botec.poly import Monomial, Poly, as_poly, at, plain, summed
from botec.program import BIRTH, DEATH, OP, PHASE, PHASES, ROLES, Program, Storage, Stream

MOST_KNOWN = 64  # streams whose sizes are kept apart


@dataclass(frozen=True)
class Peak:
    """The fullest moment: its bytes, the event, the op and module running, and what is alive."""

    bytes: int
    event: int
    phase: str
    op: str
    scope: int
    alive: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """The timeline of one stream of a program at a point."""

    program: Program
    stream: Stream
    point: Mapping[str, int]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of every storage at the point."""
        return tuple(self.row.tolist())

    @cached_property
    def row(self) -> Any:
        """:attr:`sizes` as an array, of 64 bits where that is enough for any sum of them."""
        return row_of(self.stream, self.point)

    @cached_property
    def live(self) -> Any:
        """Bytes alive after every event, as an array."""
        return live_of(self.stream, self.row)

    @property
    def most(self) -> int:
        """The most bytes alive at once."""
        return int(self.live.max(initial=0))

    def peak(self, **values: Any) -> Any:
        """Bytes at the peak, at other values of the dimensions too: numbers or numpy arrays.

        Raises :class:`botec.errors.OutsideRegime` for a point that lies in no regime.
        """
        return peak_of(self.program, {**self.point, **values})

    @cached_property
    def fullest(self) -> Peak:
        """The first moment at which most bytes are alive."""
        live = self.live
        best = int(live.argmax()) if len(live) else 0
        most = int(live[best]) if len(live) else 0
        return self.moment(best, most) if most > 0 else self.moment(0, 0)

    def moment(self, at_event: int, total: int) -> Peak:
        """Who is alive right after an event, and what was running."""
        import numpy as np

        kinds, index, scopes = (row[: at_event + 1] for row in self.stream.columns())
        dead = set(index[kinds == DEATH].tolist())
        alive = tuple(number for number in index[kinds == BIRTH].tolist() if number not in dead)
        marks, ops = np.flatnonzero(kinds == PHASE), np.flatnonzero(kinds == OP)
        phase, op, scope = "start", "", 0
        if len(marks):
            phase = [*PHASES, "end"][index[marks[-1]]]
        if len(ops):
            op, scope = self.stream.calls[index[ops[-1]]].op, int(scopes[ops[-1]])
        return Peak(total, at_event, phase, op, scope, alive)

    def by_role(self) -> dict[str, int]:
        """The bytes at the peak by role; they add up to it."""
        found = dict.fromkeys(ROLES, 0)
        for number in self.fullest.alive:
            found[self.stream.storages[number].role] += self.sizes[number]
        return {role: size for role, size in found.items() if size}

    def by_scope(self) -> dict[int, int]:
        """The bytes at the peak by the module that made (or owns) them."""
        found: dict[int, int] = {}
        for number in self.fullest.alive:
            owner = owner_of(self.program, self.stream.storages[number])
            found[owner] = found.get(owner, 0) + self.sizes[number]
        return found

    def formula(self, role: str | None = None) -> tuple[Any, ...]:
        """The peak as polynomials whose maximum it is (of one role: what stands at the peak)."""
        if role is None:
            return peak_envelope(self.stream)
        alive = (self.stream.storages[number] for number in self.fullest.alive)
        return (plain(sum((as_poly(s.bytes) for s in alive if s.role == role), as_poly(0))),)

    def states(self) -> Any:
        """Bytes of weights and buffers, a gradient for each trained weight, and the optimizer's, as
        a formula."""
        trained = (one for one in self.program.parameters if one.trainable)
        gradients = sum(at(one.tensor.bytes, {}) for one in trained)
        kept = Counter(one.bytes for one in self.stream.storages if one.role == "optimizer")
        return weight_bytes(self.program) + gradients + summed(kept)

    def outputs(self) -> Any:
        """Bytes of everything an op of the forward pass gives out for the batch, as a formula."""
        found, forward = Counter[Any](), False
        for kind, index, _ in self.stream.events():
            if kind == PHASE:
                forward = index == PHASES.index("forward")
            elif forward and kind == BIRTH and self.stream.storages[index].name != "workspace":
                found[self.stream.storages[index].bytes] += 1
        return summed(found)

    def saved(self) -> Any:
        """Bytes kept from the forward pass for the backward pass, as a formula."""
        kept = (as_poly(s.bytes) for s in self.stream.storages if s.role == "activation")
        return plain(sum(kept, as_poly(0)))


@lru_cache(maxsize=MOST_KNOWN)
def sized(stream: Stream) -> tuple[list[Any], Any]:
    """The sizes of a stream's storages, equal ones once, and the place of each storage's there."""
    import numpy as np

    known: dict[Any, int] = {}
    places = [known.setdefault(one.bytes, len(known)) for one in stream.storages]
    return list(known), np.array(places, dtype=int)


def row_of(stream: Stream, point: Mapping[str, int]) -> Any:
    """Bytes of every storage at a point, as an array."""
    import numpy as np

    formulas, places = sized(stream)
    known = [at(one, point) for one in formulas]
    small = max(known, default=0) * len(places) < LARGEST
    return np.array(known, dtype=np.int64 if small else object)[places]


def live_of(stream: Stream, row: Any) -> Any:
    """Bytes alive after every event, where storages have those of a row."""
    import numpy as np

    index, signs = changes(stream)
    return np.cumsum(row[index] * signs if len(row) else signs)


@lru_cache(maxsize=MOST_KNOWN)
def changes(stream: Stream) -> tuple[Any, Any]:
    """Of every event the storage it is of, and 1 for a birth, -1 for a death, 0 for others."""
    import numpy as np

    kinds, index, _ = stream.columns()
    signs = (kinds == BIRTH).astype(int) - (kinds == DEATH)
    return np.where(signs == 0, 0, index), signs


def memory(program: Program, **point: int) -> Memory:
    """The timeline at ``point`` (by default the asked one).

    Raises :class:`botec.errors.OutsideRegime` where no stream holds there.
    """
    values = program.point(point)
    return Memory(program, woven(program.stream(values), values), values)


def peak_of(program: Program, values: dict[str, Any]) -> Any:
    """The peak at a point or at many, with what kernels take by the choices they make there.

    Raises :class:`botec.errors.OutsideRegime` for a point that lies in no regime.
    """
    from botec.analyses.kernels.peaks import peak_at

    return by_stream(program, peak_at, values)


def peak_formulas(program: Program, stream: Stream) -> tuple[Any, ...]:
    """The peak of one stream as formulas, by the choices kernels make at the asked point.

    On a CUDA device they hold wherever the kernels choose so, which :func:`peak_of` need not know.
    """
    return peak_envelope(written(program, stream))


def written(program: Program, stream: Stream) -> Stream:
    """A stream with what kernels take at the point its formulas are written at."""
    return woven(stream, representative(program, stream))


def owner_of(program: Program, storage: Storage) -> int:
    """Weights and their states belong to the module in their name, the rest to its maker."""
    if "." not in storage.name:
        return storage.scope
    path = storage.name.rsplit(".", 1)[0]
    return program.places.get(path, storage.scope)


def weight_bytes(program: Program) -> int:
    """Bytes of parameters and buffers as they are stored; those of unknown bytes as traced."""
    held = (*program.parameters, *program.buffers)
    return sum(at(one.tensor.bytes if one.stored is None else one.stored, {}) for one in held)


def stored_unknown(program: Program) -> dict[str, int]:
    """The schemes of weights whose stored bytes nobody knows, with how many there are."""
    found: dict[str, int] = {}
    for one in program.parameters:
        if one.stored is None and one.kept:
            found[one.kept.scheme] = found.get(one.kept.scheme, 0) + 1
    return found


@cache
def peak_envelope(stream: Stream) -> tuple[Any, ...]:
    """The few polynomials whose maximum is the peak wherever the stream holds."""
    columns, rows = local_peaks(stream)
    kept = rows[outermost(columns, rows, stream.regime.least)].tolist()
    return tuple(plain(Poly(dict(zip(columns, row, strict=True)))) for row in kept)


def local_peaks(stream: Stream) -> tuple[list[Monomial], Any]:
    """Live bytes at every local maximum of the timeline: monomials, and their coefficients there.

    A row for each, equal ones once. Of a timeline that never rises, its last moment.
    """
    import numpy as np

    columns, live, rising = live_bytes(stream)
    peaks = np.flatnonzero(rising & ~np.append(rising[1:], False))
    rows = live[peaks if len(peaks) else slice(-1, None)].tolist()
    return columns, exact(list(dict.fromkeys(map(tuple, rows))) or [(0,) * len(columns)])


def live_bytes(stream: Stream) -> tuple[list[Monomial], Any, Any]:
    """Live bytes after every birth and death: monomials, a row of coefficients for each event, and
    whether it is a birth."""
    import numpy as np

    kinds, index, _ = stream.columns()
    held = np.flatnonzero((kinds == BIRTH) | (kinds == DEATH))
    sizes: dict[Any, int] = {}
    of = np.array([sizes.setdefault(one.bytes, len(sizes)) for one in stream.storages], dtype=int)
    columns, table = table_of([as_poly(size) for size in sizes])
    if abs(table).max(initial=0) * len(of) >= LARGEST:
        table = table.astype(object)
    rising = kinds[held] == BIRTH
    steps = table[of[index[held]]] * np.where(rising, 1, -1)[:, None]
    return columns, np.cumsum(steps, axis=0, dtype=table.dtype), rising
