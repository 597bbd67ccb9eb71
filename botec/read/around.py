"""What stands around the spliced part of a step: what is there before it, and the update after it.

An optimizer's update knows no batch: one is enough for all points. Those of ``torch.optim`` go from
weight to weight, so their update of few equal blocks is spliced as the step is
(:mod:`botec.read.splice`), every event counted to the module whose weight is worked on; an update
with a unit more proves it. Where it does not repeat (one op over the list of all tensors, as on
GPUs), and for an optimizer of the user's own, it is run once over all weights.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import torch

from botec.calls import Call
from botec.program import DEATH, OP, PHASE, Storage, Stream
from botec.read.align import Fit, align
from botec.read.kernels import Strides, strides_of
from botec.read.layouts import tensors
from botec.read.listening import listening, same_draws
from botec.read.recorder import META, Recorder
from botec.read.repeats import shortened
from botec.read.signatures import Signature
from botec.read.splice import Few, NotPeriodicError, Rows
from botec.read.step import Subject, inputs_at, named

UPDATE = Few(2)  # what one weight leaves is let go while the next one is worked on
Layouts = Mapping[str, Any]  # of every gradient, by its weight: shape, strides, type


@dataclass(frozen=True)
class Around:
    """The stream of a step without forward and backward: what is there before (``events`` events
    and ``numbers`` storages), the gradients, the update; ``signatures`` are those of its calls."""

    stream: Stream
    events: int
    numbers: int
    signatures: Sequence[Signature]
    answers: Sequence[str]
    strides: Mapping[Call, Strides]

    @property
    def before(self) -> Stream:
        """What is there before the step."""
        own = self.stream
        return replace(
            own,
            storages=own.storages[: self.numbers],
            kinds=own.kinds[: self.events],
            index=own.index[: self.events],
            scopes=own.scopes[: self.events],
        )

    def update(
        self,
        places: Sequence[int],
        storages: list[Storage],
        calls: list[Any],
        known: Mapping[int, int],
    ) -> list[Any] | None:
        """The update's events, its storages and calls numbered as those of the whole step, which
        get them; ``places`` are the gradients there. ``None`` where nothing is updated."""
        import numpy as np

        if PHASE not in self.stream.kinds:
            return None
        start, given = self.stream.kinds.index(PHASE), self.numbers + len(places)
        own = self.stream.storages[given:]
        where = [*range(self.numbers), *places]
        where += range(len(storages), len(storages) + len(own))
        storages += own
        kinds, index = np.array(self.stream.kinds[start:]), np.array(self.stream.index[start:])
        ops, held = kinds == OP, (kinds != OP) & (kinds != PHASE)
        call_at = np.zeros(len(self.stream.calls), int)
        for call in dict.fromkeys(index[ops].tolist()):
            call_at[call] = known.get(id(self.signatures[call]), len(calls))
            if call_at[call] == len(calls):
                calls.append(self.stream.calls[call])
        index[ops] = call_at[index[ops]]
        index[held] = np.array(where)[index[held]]
        return [self.stream.kinds[start:], as_array(index), self.stream.scopes[start:]]


class Marked(Recorder):
    """A recorder whose events bear the module whose weight they work on; ``modules`` numbers them
    by their paths, ``owners`` has that number for every storage."""

    def __init__(self, cache: Any, hosts: bool, modules: Mapping[str, int]) -> None:
        super().__init__(cache, hosts)
        self.modules = modules
        self.owners: list[int] = []
        self.weight_of: dict[int, str] = {}  # of every gradient
        self.before = (0, 0)

    def about(self, name: str) -> None:
        """From here on it is about a weight, or what is kept for it."""
        self.scope = self.modules.get(name.partition(":")[0].rpartition(".")[0], 0)

    def adopt(self, tensor: Any, role: str, name: str = "") -> int:
        """As the recorder does; a storage belongs to the module its name tells."""
        self.about(name)
        return super().adopt(tensor, role, name)

    def adopt_gradient(self, tensor: Any, name: str) -> None:
        """The gradient of a weight, which has no name of its own."""
        self.about(name)
        self.weight_of[super().adopt(tensor, "gradient")] = name

    def track(self, tensor: Any, op: int = -1, output: int = 0, seen: bool = True) -> int:
        """As the recorder does; a new storage belongs to the module that is worked on."""
        number = super().track(tensor, op, output, seen)
        if number == len(self.owners):
            self.owners.append(self.scope)
        return number

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = tensors(args[:1] or (), kwargs)
        number = self.place(given[0]) if given else -1
        if 0 <= number < len(self.owners):
            self.scope = self.owners[number]
        return super().__torch_dispatch__(func, types, args, kwargs)


def around(short: Any, layouts: Layouts) -> Around:
    """What stands around the step of ``short``'s whole network, given its gradients' layouts."""
    updates = bool(short.full.setting.train and short.full.setting.optimizer)
    foreign = False
    with few_units(short, UPDATE.longer) as longer:
        if updates:
            longer.make_optimizer()
            foreign = not type(longer.optimizer).__module__.startswith("torch.optim")
            if not foreign:
                primed_by_kind(short, longer, layouts)
    if foreign:
        return of_all(short, layouts, None)  # nobody knows where it keeps what
    try:
        return of_few(short, longer, layouts)
    except NotPeriodicError:
        return of_all(short, layouts, longer)


@contextmanager
def few_units(short: Any, units: int) -> Iterator[Subject]:
    """The subject with as many units of every run."""
    with shortened(short.runs, units):
        subject = copy(short.full)
        subject.weights = list(subject.module.named_parameters())
        subject.parameters = [parameter for _, parameter in subject.weights]
        subject.trained = [p for p in subject.parameters if p.requires_grad]
        yield subject


def of_few(short: Any, longer: Subject, layouts: Layouts) -> Around:
    """Spliced from few units. Raises :class:`NotPeriodicError` where that is not what is done."""
    traces = []
    for units in (UPDATE.units, UPDATE.longer):
        with few_units(short, units) as subject:
            if longer.optimizer is not None:
                subject.make_optimizer()
                states = longer.optimizer.state
                kept = {one: states[one] for one in subject.trained if one in states}
                subject.optimizer.state.update(kept)
            traces.append(recorded(short, subject, layouts))
    trace, other = traces
    paths = list(short.full.paths)
    proof, _ = short.spliced(rows_of_all(trace), UPDATE.longer, few=UPDATE)
    check(proof, trace, rows_of_all(other), other, paths)
    rows, _ = short.spliced(rows_of_all(trace), few=UPDATE)
    start = len(rows.kinds) if PHASE not in trace.kinds else (rows.kinds == PHASE).argmax()
    gradients = gradient_names(rows, trace, paths)
    if gradients != (list(layouts) if PHASE in trace.kinds else []):
        raise NotPeriodicError("the gradients are in another order")
    stream, strides = aligned(short, trace)
    events = start - len(gradients)
    stream = replace(
        stream,
        storages=tuple(storages_of(rows, trace, paths)),
        kinds=as_array(rows.kinds),
        index=as_array(rows.index),
        scopes=as_array(rows.scopes * 0),
    )
    numbers = int((rows.born < start).sum()) - len(gradients)
    return Around(stream, int(events), numbers, trace.signatures, trace.answers, strides)


def of_all(short: Any, layouts: Layouts, primed_for: Subject | None) -> Around:
    """One update run over all weights; states of equal blocks' weights are alike."""
    full = short.full
    if full.setting.train and full.setting.optimizer and full.optimizer is None:
        full.make_optimizer()
        if primed_for is None:
            primed(short, full, layouts)
        else:
            share_states(short, full, primed_for)
    trace = recorded(short, full, layouts)
    stream, strides = aligned(short, trace)
    storages = tuple(replace(one, scope=0) for one in stream.storages)
    stream = replace(stream, storages=storages, scopes=as_array([0] * len(trace.kinds)))
    return Around(stream, *trace.before, trace.signatures, trace.answers, strides)


def aligned(short: Any, trace: Marked) -> tuple[Stream, Mapping[Call, Strides]]:
    """A trace as a stream of numbers, and how its calls' arguments lie in memory."""
    stream = align([trace], (), (short.point,))
    if short.capability is None:
        return stream, {}
    return stream, strides_of(stream, [trace], Fit((), (short.point,)))


def recorded(short: Any, subject: Subject, layouts: Layouts) -> Marked:
    """What is there before a step, and the update where there is an optimizer."""
    trace = marked(short, subject)
    positional, keywords = inputs_at(short.source, short.setting, short.point)
    given = [*positional, *keywords.values()]
    subject.adopt(trace, [one for one in given if isinstance(one, torch.Tensor)])
    trace.before = len(trace.kinds), len(trace.sizes)
    if subject.optimizer is not None:
        updated(short, subject, trace, layouts)
    trace.recording = False  # the inputs are let go
    return trace


def marked(short: Any, subject: Subject) -> Marked:
    """A recorder that knows the modules of a subject by the numbers of all."""
    scopes = short.full.scopes
    modules = {path: scopes[id(part)] for path, part in named(subject.module).items()}
    return Marked(short.cache, short.capability is None, modules)


def primed(short: Any, subject: Subject, layouts: Layouts) -> None:
    """Let one unrecorded update give a subject's optimizer its states."""
    primer = marked(short, subject)
    primer.recording = False
    updated(short, subject, primer, layouts)


def primed_by_kind(short: Any, subject: Subject, layouts: Layouts) -> None:
    """Let one unrecorded update of one weight of each kind give all of that kind their states:
    those of PyTorch's optimizers follow from how a weight and its gradient are laid out."""
    kinds: dict[Any, list[Any]] = {}
    for parameter in subject.trained:
        gradient = layouts.get(short.names[id(parameter)])
        kinds.setdefault((layout_and_type(parameter), gradient), []).append(parameter)
    first = {id(alike[0]) for alike in kinds.values()}
    few = copy(subject)
    few.weights = [(name, one) for name, one in subject.weights if id(one) in first]
    few.trained = [one for _, one in few.weights]
    few.make_optimizer()
    primed(short, few, layouts)
    for alike in kinds.values():
        state = few.optimizer.state.get(alike[0], {})
        for parameter in alike if state else ():
            subject.optimizer.state[parameter] = again(state)


def updated(short: Any, subject: Subject, recorder: Marked, layouts: Layouts) -> None:
    """One update of a subject's optimizer, from gradients of these layouts."""
    try:
        for name, parameter in subject.weights:
            layout = layouts.get(short.names[id(parameter)])
            if layout is not None:
                shape, strides, dtype = layout
                parameter.grad = torch.empty_strided(shape, strides, dtype=dtype, device=META)
                recorder.adopt_gradient(parameter.grad, name)
        counters = same_counters(subject.optimizer if recorder.recording else None)
        about = (same_draws(), torch.enable_grad(), counters)
        with about[0], about[1], about[2], listening(recorder, short.capability):
            subject.update(recorder)
            recorder.phase("end")
    finally:
        for parameter in subject.parameters:
            parameter.grad = None


def share_states(short: Any, full: Subject, few: Subject) -> None:
    """Give every weight the states of the one that is traced for it."""
    weights = dict(full.weights)
    for parameter in full.trained:
        state = few.optimizer.state.get(weights[short.places[short.names[id(parameter)]][0]])
        if state is not None:
            full.optimizer.state[parameter] = again(state)


@contextmanager
def same_counters(optimizer: Any) -> Iterator[None]:
    """Steps are counted on the host; every trace is of the same step."""
    states = optimizer.state.values() if optimizer else ()
    held = [value for state in states for value in state.values()]
    counters = [one for one in held if isinstance(one, torch.Tensor) and not one.is_meta]
    before = [one.clone() for one in counters]
    yield
    for one, value in zip(counters, before, strict=True):
        one.copy_(value)


def layout_and_type(tensor: Any) -> tuple[Any, Any, Any]:
    """Shape, strides, type."""
    return tuple(tensor.shape), tensor.stride(), tensor.dtype


def again(value: Any) -> Any:
    """Another one like it: an optimizer's state for another weight."""
    if isinstance(value, dict):
        return {name: again(one) for name, one in value.items()}
    if isinstance(value, torch.Tensor) and value.is_meta:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
    return value.clone() if isinstance(value, torch.Tensor) else copy(value)


# -- rows ------------------------------------------------------------------------------------


def rows_of_all(trace: Marked) -> Rows:
    """Every event of a trace; storages belong to the modules of their weights, deaths to nobody:
    gradients are dropped in a row of their own."""
    import numpy as np

    columns = (trace.kinds, trace.index, trace.scopes, trace.numbered)
    kinds, index, scopes, born = map(np.array, columns)
    scopes[kinds == DEATH] = 0
    owners = np.array(trace.owners, dtype=int)
    return Rows(kinds, index, scopes, born, np.arange(len(owners)), owners)


def check(mine: Rows, trace: Marked, theirs: Rows, other: Marked, paths: Sequence[str]) -> None:
    """Raises :class:`NotPeriodicError` where a splice is not the longer trace."""
    import numpy as np

    ops = theirs.kinds == OP
    same = all(
        np.array_equal(getattr(mine, name), getattr(theirs, name))
        for name in ("kinds", "scopes", "born", "scope_of")
    )
    same = (
        same
        and np.array_equal(mine.index[~ops], theirs.index[~ops])
        and all(
            trace.signatures[one] is other.signatures[two]
            for one, two in zip(mine.index[ops].tolist(), theirs.index[ops].tolist(), strict=True)
        )
        and gradient_names(mine, trace, paths) == gradient_names(theirs, other, paths)
        and storages_of(mine, trace, paths) == storages_of(theirs, other, paths)
    )
    if not same:
        raise NotPeriodicError("the update does not repeat")


def gradient_names(rows: Rows, trace: Marked, paths: Sequence[str]) -> list[str]:
    """The weights the gradients belong to, in their order."""
    pairs = zip(rows.source.tolist(), rows.scope_of.tolist(), strict=True)
    known = trace.weight_of
    return [moved(known[number], paths[scope]) for number, scope in pairs if number in known]


def storages_of(rows: Rows, trace: Marked, paths: Sequence[str]) -> list[Storage]:
    """The storages of spliced rows, each a traced one of another module's weight."""
    unnamed: dict[int, Storage] = {}
    found = []
    for number, scope in zip(rows.source.tolist(), rows.scope_of.tolist(), strict=True):
        one = unnamed.get(number)
        if one is None:
            role, name = trace.roles.get(number, ("temporary", ""))
            one = Storage(trace.sizes[number], role, 0, name and moved(name, paths[scope]))
            if not name:
                unnamed[number] = one
        found.append(one)
    return found


def moved(name: str, path: str) -> str:
    """The name of a weight, or of what is kept for it, in the module at ``path``."""
    weight, colon, kept = name.partition(":")
    leaf = weight.rpartition(".")[2]
    return (f"{path}.{leaf}" if path else leaf) + colon + kept


def as_array(values: Any) -> Any:
    """A column of a stream."""
    import numpy as np

    return array("i", np.asarray(values, "int32").tobytes())
