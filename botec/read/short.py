"""A network with runs of equal blocks is traced with a few of them; the rest is spliced in.

What makes this sound: the blocks are built the same (:mod:`botec.read.repeats`); the events of the
inner ones repeat, storage by storage (:mod:`botec.read.splice`); a step with one unit more is what
the splice says, event by event; and the forward pass of the whole network, traced at the asked
point with every block in it, is the spliced one: whatever a block or its caller makes of a block's
place in the list shows there. Where any of it fails, everything is traced.

What stands around forward and backward is :mod:`botec.read.around`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from botec.calls import Call
from botec.program import OP, PHASE, PHASES, Setting, Storage, Stream
from botec.read.align import proves
from botec.read.around import Around, Layouts, around, layout_and_type
from botec.read.kernels import Strides
from botec.read.recorder import Recorder
from botec.read.repeats import Run, runs_of, shortened
from botec.read.signatures import Signature
from botec.read.splice import (
    Few,
    Layers,
    NotPeriodicError,
    Rows,
    Splice,
    lengthened,
)
from botec.read.step import Subject

# The shorter way does where the outputs of blocks are kept for the backward pass, as most are: what
# is let go while the last block runs must not belong to one that stands for many.
WAYS = (Few(1), Few(2))
WORTH = WAYS[-1].longer  # units from which on less is traced
Point = Mapping[str, int]


class ForwardDone(BaseException):
    """The forward pass has been traced; the rest of the step is not wanted."""


class ForwardOnly(Recorder):
    """A recorder that ends the step where the backward pass would start."""

    def phase(self, name: str) -> None:
        """The step enters a phase; at the second one it ends."""
        super().phase(name)
        if name == "backward":
            self.recording = False
            raise ForwardDone


class Step(NamedTuple):
    """The events of a step as a trace has them, without what was there before."""

    kinds: Any
    index: Any
    scopes: Any
    sizes: Sequence[int]
    signatures: Sequence[Signature]


class Counted(Recorder):
    """A recorder that knows how many units of every run it has heard."""

    units = 0


class Gradients:
    """Stands where an optimizer would: the gradients are there, none is used."""

    state: Mapping[Any, Any] = {}


class Short(Subject):
    """A subject whose runs are a few units long."""

    def __init__(self, full: Subject, runs: Sequence[Run], few: Few) -> None:
        self.__dict__.update(full.__dict__)
        self.full, self.runs, self.few = full, runs, few
        self.names = {id(one): name for name, one in full.weights}
        if full.setting.optimizer:
            self.optimizer = Gradients()
        self.weights_of: dict[int, Any] = {}  # by the units that are there
        self.arounds: dict[Any, Around] = {}
        self.point: Point = {}

    def run(self, point: Point, units: int = 0) -> Counted:
        """The step at ``point`` with as many units of every run, few where nothing is said."""
        units = units or self.few.units
        with shortened(self.runs, units):
            if units not in self.weights_of:
                own = [(self.names[id(one)], one) for one in self.module.parameters()]
                self.weights_of[units] = own
            self.weights = self.weights_of[units]
            recorder = Counted(self.cache, self.capability is None)
            recorder.units = units
            self.record(recorder, point)
        self.full.loss = self.loss
        return recorder

    def in_way(self, few: Few) -> Short:
        """The same subject, of so few units."""
        other = copy(self)
        other.few = few
        return other

    def update(self, recorder: Recorder) -> None:
        """Keep what the backward pass left, and use none of it."""
        recorder.phase("optimizer")
        for parameter in self.parameters:
            if parameter.grad is not None:
                kept = (recorder.place(parameter.grad), layout_and_type(parameter.grad))
                recorder.gradients[self.names[id(parameter)]] = kept
                parameter.grad = None

    # -- proofs -----------------------------------------------------------------------------

    def prove_forward(self, longer: Counted, point: Point) -> None:
        """Raises :class:`NotPeriodicError` where the splice of a longer trace is not the whole
        forward pass."""
        import numpy as np

        mine, _ = self.spliced(rows_of(longer), units=longer.units)
        forward = ForwardOnly(self.cache, self.capability is None)
        with suppress(ForwardDone):
            self.full.record(forward, point)
        theirs = rows_of(forward)
        length = len(theirs.kinds)
        ops = theirs.kinds == OP
        same = (
            np.array_equal(mine.kinds[:length], theirs.kinds)
            and np.array_equal(mine.scopes[:length], theirs.scopes)
            and np.array_equal(mine.index[:length][~ops], theirs.index[~ops])
            and np.array_equal(
                signatures_at(longer, mine.index[:length][ops]),
                signatures_at(forward, theirs.index[ops]),
            )
            and np.array_equal(
                sizes_at(longer, mine.source[: len(theirs.born)]), sizes_at(forward, theirs.source)
            )
        )
        if not same:
            raise NotPeriodicError("the splice is not the step")

    def differs(self, stream: Stream, trace: Counted, longer: Counted, point: Point) -> str:
        """What in a stream of few units (whose events are the ``trace``'s), written out for those
        of a longer trace, is not that; ``""`` where they are the same event for event."""
        mine, _ = self.spliced(rows_of(trace, stream), longer.units)
        theirs = rows_of(longer)
        storages = tuple(stream.storages[number] for number in mine.source.tolist())
        kinds, index, scopes = columns(mine)
        one = Stream(stream.regime, stream.calls, storages, kinds, index, scopes)
        kinds, index, scopes = columns(theirs)
        sizes = sizes_at(longer, theirs.source).tolist()
        return proves(one, Step(kinds, index, scopes, sizes, longer.signatures), point)

    def events(self, trace: Counted, units: int) -> int:
        """How many events the step of so many units has, by a trace of as many or fewer."""
        rows = rows_of(trace)
        return len((rows if trace.units == units else self.spliced(rows, units)[0]).kinds)

    # -- streams ----------------------------------------------------------------------------

    def spliced(
        self, rows: Rows, wanted: int = 0, units: int = 0, few: Few | None = None
    ) -> tuple[Rows, list[Splice]]:
        """Rows of ``units``, few where nothing is said, with all units of every run, or as many as
        are ``wanted``."""
        few = few or self.few
        splices = []
        for run in self.runs:
            layers = Layers(run.first, run.scopes, wanted or run.count, few.edge)
            splice = lengthened(rows, layers, units or few.units)
            rows = splice.expanded()
            splices.append(splice)
        return rows, splices

    def whole(self, stream: Stream, traces: Sequence[Recorder]) -> Stream:
        """The stream with every block in it. Raises :class:`NotPeriodicError`."""
        first = traces[0]
        if any(trace.gradients != first.gradients for trace in traces):
            raise NotPeriodicError("gradients are laid out otherwise at another point")
        rows, splices = self.spliced(rows_of(first, stream))
        gradients = self.weight_gradients(first, splices)
        about = self.around({name: layout for name, (_, layout) in gradients.items()})
        before, adopted = about.before, about.numbers
        storages = [*with_inputs(before.storages, stream.storages), *copies(rows, stream)]
        held = (rows.kinds != OP) & (rows.kinds != PHASE)
        rows.index[held] += adopted
        joined = joined_rows(before, rows)
        calls = list(stream.calls)
        places = [number + adopted for number, _ in gradients.values()]
        tail = about.update(places, storages, calls, fixed(stream, traces))
        if tail is not None:
            joined = [one + other for one, other in zip(joined, tail, strict=True)]
        return Stream(stream.regime, tuple(calls), tuple(storages), *joined)

    def weight_gradients(
        self, first: Recorder, splices: Sequence[Splice]
    ) -> dict[str, tuple[int, Any]]:
        """Every gradient of the whole network: its storage, its layout."""
        adopted = first_phase(first)[1]
        found: dict[str, tuple[int, Any]] = {}
        for name, places in self.places.items():
            kept = first.gradients.get(places[0])
            if kept is None:
                continue
            number = kept[0] - adopted
            for splice, (unit, place) in zip(splices, places[1], strict=True):
                number = splice.storage(number, unit, place)
            found[name] = (number, kept[1])
        if len({number for number, _ in found.values()}) < len(found):
            raise NotPeriodicError("gradients share memory")
        return found

    @cached_property
    def places(self) -> dict[str, tuple[str, tuple[tuple[int, int], ...]]]:
        """For every parameter: the one that is traced for it; its short unit and its own unit in
        every run (-1 where it is in none)."""
        paths = list(self.full.paths)
        number = {path: place for place, path in enumerate(paths)}
        found = {}
        for name, _ in self.full.weights:
            path, _, leaf = name.rpartition(".")
            scope, units = number[path], []
            for run in self.runs:
                own = (scope - run.first) // run.scopes
                if not 0 <= own < run.count:
                    units.append((-1, -1))
                    continue
                short = short_unit(own, run.count, self.few)
                scope -= (own - short) * run.scopes
                units.append((short, own))
            found[name] = (".".join(filter(None, (paths[scope], leaf))), tuple(units))
        return found

    def around(self, layouts: Layouts) -> Around:
        """What stands around the step of the whole network, once for all streams alike."""
        key = tuple(layouts.items())
        if key not in self.arounds:
            self.arounds[key] = around(self, layouts)
        return self.arounds[key]

    @property
    def answers(self) -> list[str]:
        """What was answered in updates."""
        return [answer for one in self.arounds.values() for answer in one.answers]

    @property
    def strides(self) -> dict[Call, Strides]:
        """How the arguments of the updates' calls lie in memory."""
        return {call: one for about in self.arounds.values() for call, one in about.strides.items()}

    def for_all(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of traced parameters, for every parameter they stand for."""
        return {name: found[traced] for name, (traced, _) in self.places.items() if traced in found}


def shorter(subject: Subject, asked: Point, ways: Iterator[Few]) -> tuple[Short, Counted] | None:
    """The subject with its runs of equal blocks a few units long, in the first of the ways that
    will do, and its longer trace at the asked point; ``None`` where none will."""
    if not plain_step(subject.setting):
        return None
    subject.module.train(subject.setting.train)  # all blocks: in a trace it would be the few
    runs = runs_of(subject.module, subject.scopes, WORTH)
    if not runs:
        return None
    longest = Short(subject, runs, WAYS[-1])
    longest.point = asked
    with suppress(Exception):  # a network that cannot do with fewer blocks is traced with all
        longer = longest.run(asked, longest.few.longer)
        for few in ways:
            short = longest.in_way(few)
            with suppress(NotPeriodicError):
                short.prove_forward(longer, asked)
                return short, longer
    return None


def plain_step(setting: Setting) -> bool:
    """Whether gradients are made once and used by the optimizer alone."""
    usual = setting.zero_grad == "after" and setting.accumulate == 1
    return usual and not (setting.first_step or setting.scaler or setting.master)


def short_unit(own: int, count: int, few: Few) -> int:
    """The traced unit that stands for one of ``count``."""
    if own < few.edge:
        return own
    return few.units - (count - own) if own >= count - few.edge else few.edge


def first_phase(trace: Recorder) -> tuple[int, int]:
    """The event at which the step starts, and how many storages were there before."""
    start = trace.kinds.index(PHASE)
    return start, bisect_right(trace.numbered, start)


def rows_of(trace: Recorder, stream: Stream | None = None) -> Rows:
    """The step's events up to an update (of a stream made from the trace); storages are counted
    from the step's start."""
    import numpy as np

    start, adopted = first_phase(trace)
    end = update_at(trace)
    kinds = np.array(trace.kinds[start:end])
    index = np.array((trace if stream is None else stream).index[start:end])
    held = (kinds != OP) & (kinds != PHASE)
    index[held] -= adopted
    if np.any(index < 0):
        raise NotPeriodicError("something from before the step dies in it")
    last = bisect_left(trace.numbered, end)
    source = np.arange(adopted, last)
    made = [0] * len(source) if stream is None else [s.scope for s in stream.storages[adopted:last]]
    born = np.array(trace.numbered[adopted:last]) - start
    scopes = np.array(trace.scopes[start:end])
    return Rows(kinds, index, scopes, born, source, np.array(made, dtype=int))


def signatures_at(trace: Recorder, index: Any) -> Any:
    """Which call each op is, comparable between traces of one cache."""
    import numpy as np

    return np.array([id(signature) for signature in trace.signatures])[index]


def sizes_at(trace: Recorder, numbers: Any) -> Any:
    import numpy as np

    return np.array(trace.sizes)[numbers]


def update_at(trace: Recorder) -> int:
    """The event at which the optimizer starts; the number of events where none does."""
    wanted = PHASES.index("optimizer")
    marks = (event for event, kind in enumerate(trace.kinds) if kind == PHASE)
    return next((event for event in marks if trace.index[event] == wanted), len(trace.kinds))


def with_inputs(storages: Sequence[Storage], traced: Sequence[Storage]) -> Iterator[Storage]:
    """Storages from before a step, the inputs' sizes as formulas."""
    inputs = iter([one for one in traced if one.role == "input"])
    for one in storages:
        yield one if one.role != "input" else replace(one, bytes=next(inputs).bytes)


def copies(rows: Rows, stream: Stream) -> Iterator[Storage]:
    """The storages of spliced rows, each a traced one in another module."""
    import numpy as np

    pairs = rows.source.astype(np.int64) << 32 | rows.scope_of
    distinct, places = np.unique(pairs, return_inverse=True)
    known = []
    for pair in distinct.tolist():
        one = stream.storages[pair >> 32]
        known.append(Storage(one.bytes, one.role, pair & 0xFFFFFFFF, one.name))
    return (known[place] for place in places.tolist())


def joined_rows(before: Stream, rows: Rows) -> list[Any]:
    """The events before a step and those of it."""
    pairs = zip((before.kinds, before.index, before.scopes), columns(rows), strict=True)
    return [one + other for one, other in pairs]


def columns(rows: Rows) -> list[array[int]]:
    """Kinds, indices and modules of rows, as a stream has them."""
    held = (rows.kinds, rows.index, rows.scopes)
    return [array("i", row.astype("int32").tobytes()) for row in held]


def fixed(stream: Stream, traces: Sequence[Recorder]) -> dict[int, int]:
    """Calls that are one and the same at every point, by that signature."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    for event, kind in enumerate(stream.kinds):
        call = stream.index[event]
        if kind == OP and call not in seen:
            seen.add(call)
            signatures = {id(trace.signatures[trace.index[event]]) for trace in traces}
            if len(signatures) == 1:
                found[signatures.pop()] = call
    return found
