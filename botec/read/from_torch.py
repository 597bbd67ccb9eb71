"""A torch module becomes a Program: traced in shapes only at a few points, in exact formulas.

The asked point is always traced. Formulas are fitted on two other points and proved on one the fit
has not seen, regime by regime: sizes of 1 behave differently (copies become views), so a batch of
one is a regime of its own. Where traces part, the reader gets the asked numbers and the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botec.calls import Tensor
from botec.errors import BadInput, BotecError, ModelFailed, nearest
from botec.poly import Floor, Poly, symbol
from botec.program import Parameter, Program, Regime, Setting, Stream, verify
from botec.read.align import Fit, PartedError, align, dtype_name, proves
from botec.read.around import same_counters
from botec.read.build import build, on_meta
from botec.read.given import hushed
from botec.read.kernels import strides_of, with_kernels
from botec.read.listening import as_on, no_collection, settle
from botec.read.plans import Plan, Point, Question, beside, plans, unused
from botec.read.recurrent_on_cuda import notes
from botec.read.short import WAYS, Short, shorter
from botec.read.source import Source
from botec.read.splice import Few, NotPeriodicError
from botec.read.step import Subject, blocks
from botec.read.supposed import NOTE


@no_collection()
def read_source(
    source: Source, setting: Setting, given: Mapping[str, int], maker: Any = None
) -> Program:
    """The program of ``source`` at the ``given`` dimensions; ``maker`` makes a user's optimizer.

    Raises :class:`BadInput` for a dimension the inputs do not have, :class:`ModelFailed` where the
    model itself fails, :class:`DataDependent` where it asks for values of data.
    """
    asked = asked_point(source, setting, given)
    module = build(source)
    settle()
    with hushed(), on_meta(module, setting.precision):
        subject = Subject(module, source, setting, maker)
        if setting.checkpoint and next(blocks(module), None) is None:
            raise BadInput(
                "the model has no repeated blocks", "leave --checkpoint out", source.name
            )
        with as_on(subject.capability):
            search = begun(subject, asked, given, source.most)
            asked, streams = search.asked, search.streams()
        if subject.capability is not None:
            own = search.strides
            streams = tuple(with_kernels(one, subject.capability, own) for one in streams)
        if setting.accumulate > 1:
            streams = tuple(replace(s, repeated=setting.accumulate - 1) for s in streams)
        answers = tuple(dict.fromkeys(search.asked_trace.answers))
        return verify(
            Program(
                name=source.name,
                setting=replace(setting, loss=subject.loss, inputs=texts(source, setting)),
                asked=asked,
                parameters=weights(module.named_parameters(remove_duplicate=False), search.experts),
                buffers=weights(module.named_buffers(remove_duplicate=False), {}),
                scopes=tuple(subject.paths),
                scope_types=tuple(type(part).__name__ for part in subject.paths.values()),
                streams=streams,
                why="; ".join(dict.fromkeys(search.reasons)),
                assumed=tuple(answer for answer in answers if answer != NOTE),
                notes=(*source.notes, *search.notes(streams), *(n for n in answers if n == NOTE)),
            )
        )


def begun(
    subject: Subject, asked: Point, given: Mapping[str, int], most: Mapping[str, int]
) -> Search:
    """The search from the asked point; where nobody asked for the sizes that fail, from a batch of
    two (a norm over one value, say) or from shorter lengths."""
    try:
        return Search(subject, asked, most)
    except ModelFailed as error:
        for point in instead(asked, given):
            try:
                search = Search(subject, point, most)
            except BotecError:
                continue
            moved = [name for name in asked if point[name] != asked[name]]
            taken, failed = (", ".join(f"{name}={of[name]}" for name in moved)
                             for of in (point, asked))  # fmt: skip
            search.reasons.append(f"{taken} was taken: {failed} is not to be had: {error.seen}")
            return search
        raise


def instead(asked: Point, given: Mapping[str, int]) -> Iterator[Point]:
    """Points to start from instead of one that fails, with the sizes a user gave as they are."""
    first = next(iter(asked), "")
    if first not in given and asked.get(first) == 1:
        yield {**asked, first: 2}
    late = [name for name in asked if name != first and name not in given]
    for part in (2, 4, 8):
        if late and all(asked[name] >= 8 * part for name in late):
            yield {**asked, **{name: asked[name] // part for name in late}}


def texts(source: Source, setting: Setting) -> tuple[str, ...]:
    used = (one for one in source.inputs if setting.train or one.only != "train")
    return tuple(str(one) for one in used)


def asked_point(source: Source, setting: Setting, given: Mapping[str, int]) -> Point:
    """Every dimension of the inputs with its value: the user's, else the source's, else 1."""
    names = dict.fromkeys(name for one in source.inputs for name in one.names)
    for name, size in given.items():
        if name not in names:
            known = f"the inputs have {', '.join(names)}" if names else "the inputs name none"
            do = nearest(name, names) or "name dimensions in --input, such as x=B,3,224,224"
            raise BadInput(f"no dimension {name}; {known}", do, f"{name}={size}")
        if size > source.most.get(name, size):
            raise BadInput(
                f"the model has positions up to {name}={source.most[name]}",
                f"ask for {name}={source.most[name]} or less",
                f"{name}={size}",
            )
    return {name: given.get(name, source.defaults.get(name, 1)) for name in names}


def weights(named_tensors: Any, experts: Mapping[str, tuple[int, int]]) -> tuple[Parameter, ...]:
    """Every parameter once, under all its names."""
    found: dict[int, tuple[list[str], Any]] = {}
    for name, tensor in named_tensors:
        found.setdefault(id(tensor), ([], tensor))[0].append(name)
    return tuple(
        Parameter(
            tuple(names),
            Tensor(tuple(tensor.shape), dtype_name(tensor.dtype)),
            tensor.requires_grad,
            next((experts[name] for name in names if name in experts), (1, 1)),
        )
        for names, tensor in found.values()
    )


class Search:
    """Finds the streams of a subject: which dimensions are free, in which regime, and proves it."""

    def __init__(self, subject: Subject, asked: Point, most: Mapping[str, int]) -> None:
        self.subject, self.asked, self.most = subject, asked, most
        self.strides: dict[Any, Any] = {}
        self.begin(WAYS)

    def begin(self, ways: Iterable[Few]) -> None:
        """Start with few equal blocks, in the first of the ways that will do, or with all."""
        self.ways = iter(ways)  # those left
        self.reasons: list[str] = []
        self.traces: dict[Any, Any] = {}
        self.short: Short | None = None
        self.subject.optimizer = None
        found = shorter(self.subject, self.asked, self.ways)
        if found is not None:
            self.short, self.asked_trace = found
            self.traces[True, *self.asked.values()] = self.asked_trace
        else:
            self.asked_trace = self.trace(self.asked)
        self.experts = experts_of(self.asked_trace)

    def trace(self, point: Point, longer: bool = False) -> Any:
        """The trace at a point, made once; of few equal blocks where they may stand for many, for
        a proof of one more."""
        key = (longer, *point.values())
        if key not in self.traces:
            short = self.short
            units = short.few.longer if short and longer else 0
            self.traces[key] = short.run(point, units) if short else self.full(point)
        return self.traces[key]

    def full(self, point: Point) -> Any:
        """The trace of every block at a point."""
        subject = self.subject
        if subject.setting.train and subject.setting.optimizer and not subject.optimizer:
            subject.prime(point)
        with same_counters(subject.optimizer):
            return subject.run(point)

    def streams(self) -> tuple[Stream, ...]:
        """The streams of every block, of few blocks where they may stand for many."""
        short = self.short
        if short is None:
            return self.found()
        try:
            streams = tuple(self.whole(short, stream) for stream in self.found())
        except (NotPeriodicError, BotecError) as error:
            self.begin(self.ways if isinstance(error, NotPeriodicError) else ())
            return self.streams()
        self.experts = short.for_all(self.experts)
        self.asked_trace.answers.extend(short.answers)
        self.strides |= short.strides
        return streams

    def whole(self, short: Short, stream: Stream) -> Stream:
        """A stream of few equal blocks as that of all. Raises :class:`NotPeriodicError`."""
        fitted = [dict(point) for point in stream.regime.fitted]
        if not stream.regime.proved and self.differs(stream, fitted[0], fitted[0]):
            raise NotPeriodicError("the splice is not the step")
        return short.whole(stream, [self.trace(point) for point in fitted])

    def found(self) -> tuple[Stream, ...]:
        """The streams of what is traced, in the order they are asked: all free, one example, the
        asked point alone."""
        names = tuple(self.asked)
        found = [self.stream(names, {})] if names else []
        if names:
            one = {names[0]: 1}
            found.append(self.stream(names[1:], one) or self.single(one))
        ones = {name: 1 for name in names if self.asked[name] == 1}
        if ones and set(ones) != {names[0]}:
            found.append(self.stream(tuple(n for n in names if n not in ones), ones))
        kept = [stream for stream in found if stream is not None]
        held = {name: self.asked[name] for name in names[1:]}
        many = {**self.asked, **{name: max(2, self.asked[name]) for name in names[:1]}}
        if held and not any(stream.regime.holds(many) for stream in kept):
            own = self.stream(names[:1], held)
            kept += [own] if own else []
        if not any(stream.regime.holds(self.asked) for stream in kept):
            kept.append(self.alone(self.asked))
        for stream in kept if self.subject.capability is not None else ():
            self.strides |= self.strides_in(stream)
        return tuple(kept)

    def notes(self, streams: Sequence[Stream]) -> tuple[str, ...]:
        """What the device's kernels take that is only estimated."""
        if self.subject.capability is None:
            return ()
        here = (stream for stream in streams if stream.regime.holds(self.asked))
        return next((notes(stream, self.asked) for stream in here), ())

    def strides_in(self, stream: Stream) -> dict[Any, Any]:
        """How the arguments of a stream's calls lie in memory, in formulas."""
        regime = stream.regime
        free = [word(name, regime) for name in regime.least]
        fit = Fit(free, regime.fitted)
        return strides_of(stream, [self.trace(dict(point)) for point in regime.fitted], fit)

    def alone(self, fixed: Point) -> Stream:
        """One traced point as a stream of numbers."""
        point = {**self.asked, **fixed}
        stream = align([self.trace(point)], (), (point,))
        return replace(stream, regime=Regime(fixed=point, fitted=(point,)))

    def single(self, one: Point) -> Stream | None:
        """A batch of one as numbers; ``None`` where the model refuses it and nobody asked."""
        if self.asked == {**self.asked, **one}:
            return self.alone(one)
        try:
            return self.alone(one)
        except BotecError as error:
            name, size = next(iter(one.items()))
            reason = f"{name}={size} is not to be had: {error.seen}"
            if not any(reason in known for known in self.reasons):
                self.reasons.append(reason)
            return None

    def stream(self, free: tuple[str, ...], fixed: Point) -> Stream | None:
        """A proved stream with as many of ``free`` as will go; ``None`` where not even one does."""
        for names in dict.fromkeys((free, *((name,) for name in free))):
            held = {**{n: self.asked[n] for n in self.asked if n not in names}, **fixed}
            if not names or any(held.get(n) == 1 and n not in fixed for n in free):
                continue
            found = self.attempt(Question(names, held, self.asked, self.most))
            if found is not None:
                return found
        return None

    def attempt(self, question: Question) -> Stream | None:
        """The first plan whose stream holds up; the reason is kept where none does."""
        parted, refused = "", ""
        for plan in plans(question):
            try:
                return self.fitted(plan, question)
            except LoopError as error:
                parted = str(error)
                break
            except PartedError as error:
                parted = parted or str(error)
            except BotecError as error:
                refused = refused or error.seen
        if self.short is not None and parted:
            self.ways = iter(())
            raise NotPeriodicError("the reason names events, which shall be those of every block")
        found = self.beside(question)
        reason = f"no formula in {', '.join(question.late or question.free)}"
        if not any(known.startswith(reason) for known in self.reasons):
            but = f" but for {found.regime}" if found else ""
            self.reasons.append(f"{reason}{but}: {parted or refused}")
        return found

    def beside(self, question: Question) -> Stream | None:
        """A formula for sizes by the asked ones, where there is none for a wider range."""
        try:
            for plan in beside(question, lambda point: len(self.trace(point).kinds)):
                try:
                    return self.fitted(plan, question)
                except PartedError:
                    continue
        except BotecError:
            pass  # the model refuses sizes by the asked one
        return None

    def fitted(self, plan: Plan, question: Question) -> Stream:
        """Fit a plan's points and prove on its proofs. Raises :class:`PartedError`."""
        points, proofs = plan.points, plan.proofs
        symbols = [word(name, plan.regime) for name in question.free]
        self.same_length(points[0], proofs[0])
        stream = align([self.trace(point) for point in points], symbols, points)
        difference = self.disproved(stream, points, proofs)
        if difference and len(points) == 2:
            # two points can agree with more than one formula: fit on three, prove on a fourth
            points = (*points, proofs[0])
            fresh = unused(proofs[0], points, question.free, plan.step)
            proofs = (*proofs[1:], *([fresh] if fresh else []))
            if not proofs:
                raise PartedError(difference)
            stream = align([self.trace(point) for point in points], symbols, points)
            difference = self.disproved(stream, points, proofs)
        if difference:
            raise PartedError(difference)
        return replace(stream, regime=replace(plan.regime, fitted=points, proved=proofs))

    def disproved(self, stream: Stream, points: Sequence[Point], proofs: Sequence[Point]) -> str:
        """The first difference between a stream and the traces it was not fitted on."""
        one = dict(points[0])
        return next((d for proof in proofs if (d := self.differs(stream, one, proof))), "")

    def differs(self, stream: Stream, point: Point, proof: Point) -> str:
        """What in a stream, fitted on ``point`` and others, is not the trace at ``proof``: that of
        one unit more, which proves the splice too, where few equal blocks are traced."""
        if self.short is None:
            return proves(stream, self.trace(proof), proof)
        longer = self.trace(proof, longer=True)
        return self.short.differs(stream, self.trace(point), longer, proof)

    def same_length(self, point: Point, proof: Point) -> None:
        """Loops show early: the number of events follows a dimension."""
        if self.short is None:
            one, two = len(self.trace(point).kinds), len(self.trace(proof).kinds)
        else:
            longer = self.trace(proof, longer=True)
            one, two = (self.short.events(t, longer.units) for t in (self.trace(point), longer))
        if one == two:
            return
        text = f"the number of ops changes with it ({one:,} events against {two:,})"
        raise LoopError(text) if max(one, two) > 1.3 * min(one, two) else PartedError(text)


class LoopError(PartedError):
    """The model steps through a dimension in Python: the longer it is, the more ops."""


def word(name: str, regime: Regime) -> Poly:
    """What a dimension is counted in: itself, or steps of the lattice it lies on."""
    step = regime.step.get(name, 1)
    return symbol(name) if step == 1 else symbol(Floor(name, 0, step))


def experts_of(trace: Any) -> dict[str, tuple[int, int]]:
    """For every stacked expert weight: how many experts one row uses, of how many there are.

    A grouped product has one row for every expert a token was sent to; the selection before it
    (``topk``) gave that many entries, ``k`` of them to a token.
    """
    selections = {}
    for signature in trace.signatures:
        if signature.info.name == "aten.topk" and signature.results:
            shape = signature.results[0][0]
            if len(shape) > 1:
                selections[shape.numel()] = shape[-1]
    found = {}
    for number, (rows, experts) in trace.grouped.items():
        role, name = trace.roles.get(number, ("", ""))
        if role == "parameter" and rows in selections:
            found[name] = (selections[rows], experts)
    return found
