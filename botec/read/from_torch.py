"""A torch module becomes a Program: traced in shapes only at a few points, in exact formulas.

The asked point is always traced. Formulas are fitted on two other points and proved on one the fit
has not seen, regime by regime: sizes of 1 behave differently (copies become views), so a batch of
one is a regime of its own. Where traces part, the reader gets the asked numbers and the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botec.calls import Tensor
from botec.errors import BadInput, BotecError, ModelFailed, nearest
from botec.poly import Floor, Poly, symbol
from botec.program import Parameter, Program, Regime, Setting, Stream, verify
from botec.read.align import PartedError, align, dtype_name, proves
from botec.read.build import build, on_meta
from botec.read.given import hushed
from botec.read.source import Source
from botec.read.step import Subject, blocks, named

Point = dict[str, int]
FAR = 16381  # a prime far beyond the usual lengths: whatever changes on the way there shows
LATTICE = 32  # the rounding most image networks work in


def read_source(source: Source, setting: Setting, given: Mapping[str, int]) -> Program:
    """The program of ``source`` at the ``given`` dimensions.

    Raises :class:`BadInput` for a dimension the inputs do not have, :class:`ModelFailed` where the
    model itself fails, :class:`DataDependent` where it asks for values of data.
    """
    asked = asked_point(source, setting, given)
    module = build(source)
    with hushed(), on_meta(module, setting.precision):
        subject = Subject(module, source, setting)
        if setting.checkpoint and next(blocks(module), None) is None:
            raise BadInput(
                "the model has no repeated blocks", "leave --checkpoint out", source.name
            )
        search = begun(subject, asked, given, source.most)
        asked, streams = search.asked, search.streams()
        return verify(
            Program(
                name=source.name,
                setting=replace(setting, loss=subject.loss, inputs=texts(source, setting)),
                asked=asked,
                parameters=weights(module.named_parameters(remove_duplicate=False), search.experts),
                buffers=weights(module.named_buffers(remove_duplicate=False), {}),
                scopes=tuple(named(module)),
                scope_types=tuple(type(part).__name__ for part in named(module).values()),
                streams=streams,
                why="; ".join(dict.fromkeys(search.reasons)),
                assumed=tuple(dict.fromkeys(search.asked_trace.answers)),
                notes=source.notes,
            )
        )


def begun(
    subject: Subject, asked: Point, given: Mapping[str, int], most: Mapping[str, int]
) -> Search:
    """The search from the asked point; from a batch of two where nobody asked for the one that
    fails (a norm over one value, say)."""
    first = next(iter(asked), "")
    try:
        return Search(subject, asked, most)
    except ModelFailed as error:
        if first in given or asked.get(first) != 1:
            raise
        search = Search(subject, {**asked, first: 2}, most)
        search.reasons.append(f"{first}=2 was taken: {first}=1 is not to be had: {error.seen}")
        return search


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
        self.reasons: list[str] = []
        self.traces: dict[tuple[int, ...], Any] = {}
        self.asked_trace = self.trace(asked)
        self.experts = experts_of(self.asked_trace)

    def trace(self, point: Point) -> Any:
        """The trace at a point, made once."""
        key = tuple(point.values())
        if key not in self.traces:
            self.traces[key] = self.subject.run(point)
        return self.traces[key]

    def streams(self) -> tuple[Stream, ...]:
        """The regimes in the order they are asked: all free, one example, the asked point alone."""
        names = tuple(self.asked)
        found = [self.stream(names, {})] if names else []
        if names:
            one = {names[0]: 1}
            found.append(self.stream(names[1:], one) or self.single(one))
        ones = {name: 1 for name in names if self.asked[name] == 1}
        if ones and set(ones) != {names[0]}:
            found.append(self.stream(tuple(n for n in names if n not in ones), ones))
        kept = [stream for stream in found if stream is not None]
        if not any(stream.regime.holds(self.asked) for stream in kept):
            held = {name: self.asked[name] for name in names[1:]}
            own = self.stream(names[:1], held) if self.asked[names[0]] > 1 and held else None
            kept.append(own or self.alone(self.asked))
        return tuple(kept)

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
            self.reasons.append(f"{name}={size} is not to be had: {error.seen}")
            return None

    def stream(self, free: tuple[str, ...], fixed: Point) -> Stream | None:
        """A proved stream with as many of ``free`` as will go; ``None`` where not even one does."""
        for names in dict.fromkeys((free, free[:1])):
            held = {**{n: self.asked[n] for n in self.asked if n not in names}, **fixed}
            if not names or any(held.get(n) == 1 and n not in fixed for n in free):
                continue
            found = self.attempt(names, held)
            if found is not None:
                return found
        return None

    def attempt(self, names: tuple[str, ...], held: Point) -> Stream | None:
        """The first way of sampling that gives a stream that holds up."""
        parted, refused = "", ""
        for step, points, proof, regime in self.plans(names, held):
            try:
                return self.fitted(step, names, points, proof, regime)
            except PartedError as error:
                parted = parted or str(error)
            except BotecError as error:
                refused = refused or error.seen
        others = [name for name in names if name != next(iter(self.asked))] or names
        reason = f"no formula in {', '.join(others)}: {parted or refused}"
        if reason.split(",")[0] not in {known.split(",")[0] for known in self.reasons}:
            self.reasons.append(reason)
        return None

    def fitted(
        self,
        step: int,
        names: tuple[str, ...],
        points: Sequence[Point],
        proof: Point,
        regime: Regime,
    ) -> Stream:
        """Fit on ``points`` and prove on ``proof``. Raises :class:`PartedError`."""
        symbols = [lattice_symbol(n, step) if n in regime.step else symbol(n) for n in names]
        first = self.trace(points[0])
        self.same_length(first, proof)
        traces = [first, *(self.trace(point) for point in points[1:])]
        stream = align(traces, symbols, points)
        difference = proves(stream, self.trace(proof), proof)
        if difference:
            # two points can agree with more than one formula: fit on three, prove on a fourth
            points, proof = [*points, proof], next_point(proof, points, names, step)
            stream = align([self.trace(point) for point in points], symbols, points)
            difference = proves(stream, self.trace(proof), proof)
        if difference:
            raise PartedError(difference)
        return replace(stream, regime=replace(regime, fitted=tuple(points), proved=(proof,)))

    def same_length(self, trace: Any, proof: Point) -> None:
        """Unrolled loops show early: the number of events follows a dimension."""
        other = self.trace(proof)
        if len(trace.kinds) != len(other.kinds):
            raise PartedError(f"the number of ops changes with it, {count_text(trace, other)}")

    def plans(
        self, names: tuple[str, ...], held: Point
    ) -> Iterator[tuple[int, list[Point], Point, Regime]]:
        """Ways to sample, widest first: ``(step, fit points, proof, regime)``."""
        proof = {**held, **{n: self.asked[n] if self.asked[n] > 1 else 4 for n in names}}
        proof = {name: proof[name] for name in self.asked}
        least = dict.fromkeys(names, 2)
        bound = {n: self.most[n] for n in names if n in self.most}
        regime = Regime(fixed=held, least=least, most=bound)
        wide = [self.sample(names, proof, pick) for pick in (self.low, self.high)]
        yield 1, wide, proof, regime
        edge = {n: self.most[n] - 1 for n in names if proof[n] == self.most.get(n)}
        if edge:
            # all positions the model has may be a case of its own: prove just below
            within = [{**point, **edge_of(point, edge)} for point in wide]
            yield 1, within, {**proof, **edge}, replace(regime, most={**bound, **edge})
        if len(names) > 1 or names[0] != next(iter(self.asked)):
            late = [n for n in names if n != next(iter(self.asked))]
            below = [self.sample(names, proof, pick) for pick in (self.low, self.middle)]
            yield 1, below, proof, replace(regime, most={**bound, **{n: proof[n] for n in late}})
            for step in (1, LATTICE):
                if all(proof[n] % step == 0 and proof[n] > 2 * step + 1 for n in late):
                    near = [self.near(names, proof, late, step, times) for times in (1, 2)]
                    lowest = {n: near[1][n] for n in late}
                    highest = {n: proof[n] for n in late}
                    steps = dict.fromkeys(late, step) if step > 1 else {}
                    limits = replace(
                        regime, least={**least, **lowest}, most={**bound, **highest}, step=steps
                    )
                    if step > 1:
                        limits = replace(limits, most=bound)
                    yield step, near, proof, limits

    def sample(self, names: tuple[str, ...], proof: Point, pick: Any) -> Point:
        """A point with every free dimension elsewhere, each by its own distance."""
        return {**proof, **{name: pick(name, proof, place) for place, name in enumerate(names)}}

    def is_batch(self, name: str) -> bool:
        return name == next(iter(self.asked))

    def low(self, name: str, proof: Point, place: int) -> int:
        """A small size, another for every dimension."""
        return different(3 if self.is_batch(name) else 5 + place, proof[name])

    def high(self, name: str, proof: Point, place: int) -> int:
        """A size far beyond the asked one, or the largest the model has."""
        if self.is_batch(name):
            return different(5, proof[name])
        limit = self.most.get(name)
        far = (FAR if proof[name] < FAR else 2 * proof[name] + 1) + 2 * place
        return different(min(far, limit - place) if limit else far, proof[name], limit)

    def middle(self, name: str, proof: Point, place: int) -> int:
        """A size somewhat below the asked one."""
        if self.is_batch(name):
            return different(5, proof[name])
        return max(3, proof[name] * 3 // 4 - place)

    def near(
        self, names: tuple[str, ...], proof: Point, late: list[str], step: int, times: int
    ) -> Point:
        batch = {n: different((3, 5)[times - 1], proof[n]) for n in names if n not in late}
        spread = {n: proof[n] - step * (times + place) for place, n in enumerate(late)}
        return {**proof, **batch, **spread}


def different(size: int, taken: int, limit: int | None = None) -> int:
    """``size``, or a neighbour where the proof already stands there."""
    if size != taken:
        return size
    return size + 4 if limit is None or size + 4 <= limit else max(2, size * 3 // 4)


def next_point(proof: Point, points: Sequence[Point], names: Sequence[str], step: int) -> Point:
    """A point not used yet, inside the sampled range."""
    used = {tuple(point.values()) for point in points}
    for shift in range(1, 50):
        point = dict(proof)
        for place, name in enumerate(names):
            down, up = proof[name] - step * (shift + place), proof[name] + shift
            point[name] = down if down > 1 else up
        if tuple(point.values()) not in used:
            return point
    raise PartedError("no further point to prove the formula on")


def edge_of(point: Point, edge: Point) -> Point:
    """Sizes that lie at or beyond an edge, well inside of it."""
    return {name: size * 2 // 3 for name, size in edge.items() if point[name] >= size}


def lattice_symbol(name: str, step: int) -> Poly:
    return symbol(Floor(name, 0, step))


def count_text(one: Any, other: Any) -> str:
    return f"{len(one.kinds):,} events against {len(other.kinds):,}"


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
