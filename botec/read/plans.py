"""Where to trace: points to fit on, points to prove on, and the regime they would prove.

Plans go from the widest claim to the narrowest. Every free dimension gets sizes of its own, so that
no formula can take one for another; the points a plan proves on are never among those it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from botec.program import Regime

Point = dict[str, int]
Scales = tuple[tuple[int, int], ...]
FAR = 16381  # a prime far beyond the usual lengths: whatever changes on the way there shows
APART = 4099  # between far sizes of two dimensions, so that no floors of theirs agree
SCALES = ((5, 8), (2, 1), (11, 8))
UPWARDS = ((9, 8), (2, 1), (11, 8))
LATTICE = 32  # the rounding most image networks work in
BLOCKS = (128, 256)  # the rounding of tokens that are attended block by block
SPANS = (254, 126, 62, 30, 14, 6)  # a little less than the usual lengths of blocks


@dataclass(frozen=True)
class Plan:
    """Fit on ``points``, prove on ``proofs``; ``step`` is the lattice of the later dimensions."""

    points: tuple[Point, ...]
    proofs: tuple[Point, ...]
    regime: Regime
    step: int = 1


@dataclass(frozen=True)
class Question:
    """The ``free`` dimensions, those ``held``, the ``asked`` point, and the model's own limits."""

    free: tuple[str, ...]
    held: Mapping[str, int]
    asked: Mapping[str, int]
    most: Mapping[str, int]

    @property
    def batch(self) -> str:
        """The first dimension of the inputs, which any size is fit for."""
        return next(iter(self.asked))

    @property
    def late(self) -> tuple[str, ...]:
        """The free dimensions after the batch: lengths, heights, widths."""
        return tuple(name for name in self.free if name != self.batch)

    @property
    def proof(self) -> Point:
        """The asked point, where it lies inside; sizes of 1 are a regime of their own."""
        inner = {n: self.asked[n] if self.asked[n] > 1 else 4 for n in self.free}
        return {name: {**self.held, **inner}[name] for name in self.asked}

    @property
    def regime(self) -> Regime:
        """Free from 2 upwards, as far as the model goes."""
        bound = {name: self.most[name] for name in self.free if name in self.most}
        return Regime(fixed=dict(self.held), least=dict.fromkeys(self.free, 2), most=bound)

    def point(self, sizes: Mapping[str, int], batch: int) -> Point:
        """The proof's point with other sizes of the free dimensions."""
        moved = {**self.proof, **{name: sizes[name] for name in self.late}}
        if self.batch in self.free:
            moved[self.batch] = other(batch, self.proof[self.batch])
        return moved


def plans(question: Question) -> Iterator[Plan]:
    """All plans for a question, the widest claim first."""
    yield wide(question)
    if any(question.proof[name] == question.most.get(name) for name in question.late):
        yield inside_limit(question)
    if question.late:
        yield below(question)
        yield uneven(question)
        if all(2 * size < question.most.get(name, FAR) for name, size in late_sizes(question)):
            yield uneven(question, UPWARDS)
        yield from near(question)
        yield from blocks(question)


def wide(question: Question) -> Plan:
    """From almost nothing to far beyond the asked sizes."""
    proof = question.proof
    low = {name: other(5 + 9 * i, proof[name]) for i, name in enumerate(question.late)}
    high = {name: far(question, name, i) for i, name in enumerate(question.late)}
    points = (question.point(low, 3), question.point(high, 5))
    return Plan(points, (proof, *crossed(question)), question.regime)


def crossed(question: Question) -> tuple[Point, ...]:
    """A second proof where sizes could stand for each other: all apart, no two remainders alike.

    A square picture proves nothing about which of its edges a formula means.
    """
    if len(question.late) < 2:
        return ()
    found = {}
    for place, (name, size) in enumerate(late_sizes(question)):
        apart = size * (4 + 3 * place) // 5 + 7 + 4 * place
        found[name] = max(2, min(apart, question.most.get(name, apart)))
    return (question.point(found, 6),)


def far(question: Question, name: str, place: int) -> int:
    """A size far beyond the asked one, or near the largest the model has."""
    asked, limit = question.proof[name], question.most.get(name)
    size = (FAR if asked < FAR else 2 * asked + 1) - APART * place
    return other(min(size, limit - place) if limit else size, asked, limit)


def inside_limit(question: Question) -> Plan:
    """All positions the model has may be a case of its own: prove just below."""
    plan = wide(question)
    edge = {n: question.most[n] - 1 for n in question.late if n in question.most}
    within = {name: size * 2 // 3 for name, size in edge.items()}
    points = tuple({**p, **{n: within[n] for n in edge if p[n] > edge[n]}} for p in plan.points)
    proof = {**question.proof, **{n: min(question.proof[n], edge[n]) for n in edge}}
    return Plan(points, (proof,), replace(plan.regime, most={**plan.regime.most, **edge}))


def uneven(question: Question, scales: Scales = SCALES) -> Plan:
    """Sizes of mixed remainders, for floors; proved at the asked ones and at odd ones.

    Upwards of the asked sizes alone where a model takes nothing much smaller.
    """
    points = tuple(question.point(scaled(question, row, scales), 3 + 2 * row) for row in range(3))
    up, down = (7, 8) if scales is SCALES else (5, 4)
    odd = {name: size * up // down + 11 + 2 * i for i, (name, size) in
           enumerate(late_sizes(question))}  # fmt: skip
    around = (*points, question.proof)
    least = {name: min(point[name] for point in around) for name in question.late}
    most = {name: max(point[name] for point in around) for name in question.late}
    regime = question.regime
    regime = replace(regime, least={**regime.least, **least}, most={**regime.most, **most})
    return Plan(points, (question.proof, question.point(odd, 6)), regime)


def scaled(question: Question, row: int, scales: Scales) -> Point:
    """Sizes from the least to the most of ``scales``, each dimension on its own course."""
    found = {}
    for place, (name, size) in enumerate(late_sizes(question)):
        up, down = scales[(row + place) % len(scales)]
        limit = question.most.get(name, FAR * FAR)
        found[name] = max(2, min(size * up // down + up + 3 + 2 * place, limit - place - row))
    return found


def late_sizes(question: Question) -> list[tuple[str, int]]:
    return [(name, question.proof[name]) for name in question.late]


def below(question: Question) -> Plan:
    """No further than the asked sizes."""
    proof = question.proof
    low = {name: other(5 + 9 * i, proof[name]) for i, name in enumerate(question.late)}
    middle = {name: max(3, proof[name] * (5 - i % 3) // 6) for i, name in enumerate(question.late)}
    regime = question.regime
    most = {**regime.most, **{name: proof[name] for name in question.late}}
    points = (question.point(low, 3), question.point(middle, 5))
    inner = {
        name: max(2, size * (3 - i % 2) // 4) for i, (name, size) in enumerate(late_sizes(question))
    }
    apart = (question.point(inner, 6),) if len(question.late) > 1 else ()
    return Plan(points, (proof, *apart), replace(regime, most=most))


def near(question: Question) -> Iterator[Plan]:
    """Close below the asked sizes; then on a lattice of steps the model itself may round to."""
    proof, regime = question.proof, question.regime
    for step in (1, LATTICE):
        if not all(on_lattice(proof[name], step) for name in question.late):
            continue
        rows = [
            {name: proof[name] - step * (times + i) for i, name in enumerate(question.late)}
            for times in (1, 2)
        ]
        if any(size < 2 for row in rows for size in row.values()):
            continue
        points = tuple(question.point(row, batch) for row, batch in zip(rows, (3, 5), strict=True))
        least = {**regime.least, **rows[1]}
        if step == 1:
            most = {**regime.most, **{name: proof[name] for name in question.late}}
            yield Plan(points, (proof,), replace(regime, least=least, most=most))
        else:
            steps = dict.fromkeys(question.late, step)
            yield Plan(points, (proof,), replace(regime, least=least, step=steps), step)


def blocks(question: Question) -> Iterator[Plan]:
    """From the asked length upwards, by whole blocks of tokens: what is no whole one is padded."""
    ((name, size),) = late_sizes(question) if len(question.late) == 1 else (("", 1),)
    for step in BLOCKS:
        far = min(FAR, question.most.get(name, FAR)) // step * step
        if size % step or size < 2 * step or far < size + 2 * step:
            continue
        pairs = ((size + step, 3), (far, 5))
        points = tuple(question.point({name: one}, batch) for one, batch in pairs)
        regime = replace(question.regime, least={**question.regime.least, name: size})
        yield Plan(points, (question.proof,), replace(regime, step={name: step}), step)


def beside(question: Question, events: Callable[[Point], int]) -> Iterator[Plan]:
    """Sizes by the asked ones that take as many ``events``, where no wider claim holds.

    A loop over blocks of tokens takes as many turns for all sizes up to the next whole block; that
    one itself, unpadded, may be a case of its own: then the claim ends below it.
    """
    if not question.late or any(question.proof[name] <= SPANS[-1] for name in question.late):
        return
    less = {name: question.asked[name] - (name in question.late) for name in question.asked}
    for own in (question, replace(question, asked=less)):
        top = events(own.proof)
        if top != events(lowered(own, 1, 3)):
            continue
        yield below(own)
        inside = (span for span in SPANS if span < min(own.proof[name] for name in own.late))
        span = next((one for one in inside if events(lowered(own, one, 3)) == top), 0)
        if span:
            points = (lowered(own, span, 3), lowered(own, span // 3, 5))
            least = {name: points[0][name] for name in own.late}
            most = {name: own.proof[name] for name in own.late}
            regime = own.regime
            regime = replace(regime, least={**regime.least, **least}, most={**regime.most, **most})
            yield Plan(points, (own.proof,), regime)


def lowered(question: Question, by: int, batch: int) -> Point:
    """The proof's point with every size after the batch less by about as much."""
    return question.point({name: size - by - i for i, (name, size) in
                           enumerate(late_sizes(question))}, batch)  # fmt: skip


def on_lattice(size: int, step: int) -> bool:
    return size % step == 0 and size > 2 * step + 1


def other(size: int, taken: int, limit: int | None = None) -> int:
    """``size``, or a neighbour where the proof already stands there."""
    if size != taken:
        return size
    return size + 4 if limit is None or size + 4 <= limit else max(2, size * 3 // 4)


def unused(proof: Point, points: Sequence[Point], names: Sequence[str], step: int) -> Point | None:
    """A point beside the proof that is not among ``points``."""
    used = {tuple(point.values()) for point in points}
    for shift in range(1, 50):
        point = dict(proof)
        for place, name in enumerate(names):
            down, up = proof[name] - step * (shift + place), proof[name] + shift
            point[name] = down if down > 1 else up
        if tuple(point.values()) not in used:
            return point
    return None
