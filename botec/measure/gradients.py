"""Are a model's gradients right? Directional finite differences, in the model's own precision.

Along v, the loss should change by g·v. A random v is a bad choice in float32: its g·v is √P times
smaller than |g||v|, and rounding drowns it. v = g ⊙ U(½, 1.5), every tensor scaled to move by the
same share of its own size, makes every contribution positive: nothing cancels, every weight is
seen. Tensors whose contributions are of one size are checked together, and a failing group is
halved until the tensors are found. The bound beside a difference is its truncation, from two steps
(the error of a central difference falls with the square of the step), and its rounding. Where
float32 disagrees, float64 is asked, if the model runs in it: kinks and rounding do not survive
there, mistakes do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from botec.measure.kinks import kinks_between
from botec.measure.realise import Step, own_loss, tensors_in

SEED = 0
TOLERANCE = 1e-3  # of g·v; a healthy float32 check lies at 1e-4 and below
STEPS = (0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)  # of a tensor's own size
FINE_STEPS = (1e-6, 1e-9, 1e-11)  # in float64; the bound says which ones rounding spoils
DOUBLE = 1e-12  # float64 has an epsilon below, all others above
SAME_SIZE, MOST_TOGETHER = 30.0, 32
SHARP = 0.01  # of g·v
CLEARLY = 100.0  # a difference so many bounds wide needs no sharper look
SAMPLES = 2  # tries of what rounding does to a loss
ASIDE = 1e-3  # of a tensor's own size
SAFETY = 4.0  # the bound is an estimate, not a proof


@dataclass(frozen=True)
class Verdict:
    """One direction: what the gradient promises, what the loss does, and how far that is sure."""

    names: tuple[str, ...]
    promised: float
    found: float
    bound: float
    step: float
    kinks: int

    @property
    def error(self) -> float:
        """Their difference as a share of what was promised (of what was found, if that is 0)."""
        scale = max(abs(self.promised), abs(self.found))
        return abs(self.promised - self.found) / scale if scale else 0.0

    @property
    def agrees(self) -> bool:
        """Whether they are equal within the tolerance and the bound."""
        return abs(self.promised - self.found) <= self.allowed

    @property
    def sharp(self) -> bool:
        """Whether the bound leaves nothing but small mistakes unseen."""
        return SAFETY * self.bound <= SHARP * max(abs(self.promised), abs(self.found))

    @property
    def allowed(self) -> float:
        """How far they may lie apart."""
        return TOLERANCE * abs(self.promised) + SAFETY * self.bound


@dataclass(frozen=True)
class Checked:
    """All directions of a model; the tensors whose gradients are wrong; how many passes it took."""

    verdicts: tuple[Verdict, ...]
    wrong: tuple[Verdict, ...]
    passes: int
    silent: tuple[str, ...]

    @property
    def kinks(self) -> int:
        """Signs that changed between the two ends of the widest steps taken."""
        return sum(verdict.kinks for verdict in self.verdicts)


@dataclass
class Landscape:
    """A model's loss as a function of its weights, everything else held still."""

    step: Step
    passes: int = 0
    origin: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.origin = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.held = {name: one.detach().clone() for name, one in self.step.model.named_buffers()}

    @cached_property
    def weights(self) -> dict[str, Any]:
        """The trained weights by name, tied ones once."""
        return {n: w for n, w in self.step.model.named_parameters() if w.requires_grad}

    def loss(self) -> Any:
        """The loss where the weights stand: the model's own, or its outputs weighed at random."""
        import torch

        torch.manual_seed(SEED)  # the same dropout every time
        self.passes += 1
        output = self.step.called()
        own = own_loss(output)
        if own is not None:
            return own.double().mean()
        chance = torch.Generator().manual_seed(SEED)
        total: Any = 0.0
        for one in tensors_in(output):
            if one.is_floating_point():
                weigh = torch.randn(one.shape, generator=chance, dtype=torch.float64)
                total = total + (one.double() * weigh).sum() / math.sqrt(max(1, one.numel()))
        return total

    def restore(self) -> None:
        """Buffers as they were: a norm's running averages move with every pass."""
        for name, one in self.step.model.named_buffers():
            one.detach().copy_(self.held[name])

    def gradients(self) -> dict[str, Any]:
        """The model's own gradients by name; zeros where it makes none."""
        import torch

        loss = self.loss()
        if not getattr(loss, "requires_grad", False):
            return {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        found = torch.autograd.grad(loss, list(self.weights.values()), allow_unused=True)
        self.restore()
        return {
            name: torch.zeros_like(weight) if one is None else one.detach()
            for (name, weight), one in zip(self.weights.items(), found, strict=True)
        }

    def step_aside(self) -> None:
        """Stand somewhere near, where every weight is another one, from now on."""
        import torch

        chance = torch.Generator().manual_seed(SEED)
        with torch.no_grad():
            for name, one in self.origin.items():
                way = torch.randn(one.shape, generator=chance).to(one)
                one.add_(way * (ASIDE * size_of(one) / math.sqrt(max(1, one.numel()))))
                self.weights[name].copy_(one)

    def at(self, moves: Mapping[str, Any], far: float) -> float:
        """The loss after moving ``far`` along ``moves``, and back again."""
        import torch

        with torch.no_grad():
            for name, move in moves.items():
                self.weights[name].copy_(self.origin[name] + far * move)
            value = float(self.loss())
            for name in moves:
                self.weights[name].copy_(self.origin[name])
        self.restore()
        return value


@dataclass
class Checker:
    """Checks directions of one landscape."""

    land: Landscape
    steps: Sequence[float] = STEPS

    def __post_init__(self) -> None:
        import torch

        self.slopes = self.land.gradients()
        chance = torch.Generator().manual_seed(SEED)
        self.sizes = {name: size_of(one) for name, one in self.land.origin.items()}
        self.moves = {name: self.move(name, slope, chance) for name, slope in self.slopes.items()}
        self.epsilon = max(
            (torch.finfo(one.dtype).eps for one in self.slopes.values()), default=2.0**-23
        )

    def move(self, name: str, slope: Any, chance: Any) -> Any:
        """The direction of one tensor, as long as the tensor's own size."""
        import torch

        shape, kind = slope.shape, slope.dtype
        drawn = torch.rand(shape, generator=chance).to(kind) + 0.5
        if slope.any():
            way = slope / slope.abs().max() * drawn
        else:
            way = torch.randn(shape, generator=chance).to(kind)
        length = float(way.double().norm())
        return way * (self.sizes[name] / length) if length else way

    def promised(self, names: Sequence[str]) -> float:
        return sum(float((self.slopes[n].double() * self.moves[n].double()).sum()) for n in names)

    def verdict(self, names: Sequence[str]) -> Verdict:
        """The best of a few steps: up to one whose bound says enough.

        In float64, where rounding hides no mistake, one step is enough for those that agree.
        """
        moves, promised = {name: self.moves[name] for name in names}, self.promised(names)
        best, before = None, None
        for step in self.steps:
            found, bound = self.difference(moves, step)
            if before is not None:
                bound += abs(found - before[1]) / ((before[0] / step) ** self.order - 1)
            one = Verdict(tuple(names), promised, found, bound, step, 0)
            if self.order == 1 and one.agrees and one.sharp:
                return one
            if before is not None:
                best = one if best is None or bound < best.bound else best
                enough = TOLERANCE / 8 * abs(promised) if self.order == 2 else 0.0
                if bound < max(enough, abs(found - promised) / CLEARLY):
                    break
            before = (step, found)
        assert best is not None
        return best if best.agrees else replace(best, bound=best.bound + self.noise / best.step)

    @property
    def order(self) -> int:
        """How a central difference's error falls: with the square of the step where the loss is
        smooth; with the step itself where kinks are left, which is what float64's steps meet."""
        return 1 if self.epsilon < DOUBLE else 2

    @cached_property
    def noise(self) -> float:
        """How far the loss moves when every weight is another in its last digit.

        A deep network's rounding is far above the last digit of its loss, and about as large.
        """
        import torch

        found = []
        for seed in range(SAMPLES):
            chance = torch.Generator().manual_seed(seed)
            moves = {
                name: one * torch.rand(one.shape, generator=chance).to(one.dtype)
                for name, one in self.land.origin.items()
            }
            found.append(abs(self.land.at(moves, self.epsilon) - self.here))
        return max(found)

    @cached_property
    def here(self) -> float:
        """The loss where the weights stand."""
        return self.land.at({}, 0.0)

    def difference(self, moves: Mapping[str, Any], step: float) -> tuple[float, float]:
        """The central difference along ``moves``, and what rounding may have done to it."""
        up, down = self.land.at(moves, step), self.land.at(moves, -step)
        return (up - down) / (2 * step), 2 * self.epsilon * (abs(up) + abs(down)) / step

    def with_kinks(self, verdict: Verdict) -> Verdict:
        """The same with the signs counted that change between its ends."""
        moves = {name: self.moves[name] for name in verdict.names}
        ends = [lambda far=far: self.land.at(moves, far) for far in (-verdict.step, verdict.step)]
        return replace(verdict, kinks=kinks_between(*ends))

    def groups(self) -> Iterator[tuple[str, ...]]:
        """Tensors whose contributions are of one size; those without a gradient by themselves."""
        shares = {name: abs(self.promised([name])) for name in self.moves}
        moving = sorted((n for n in shares if shares[n]), key=lambda n: -shares[n])
        group: list[str] = []
        for name in moving:
            if group and (
                shares[group[0]] > SAME_SIZE * shares[name] or len(group) == MOST_TOGETHER
            ):
                yield tuple(group)
                group = []
            group.append(name)
        still = tuple(name for name in shares if not shares[name])
        yield from (one for one in (tuple(group), still) if one)

    def located(self, wrong: Verdict) -> list[Verdict]:
        """The tensors of a failing direction, by halves; all of it where no half fails alone.

        A derivative is linear: what the whole found and one half did not belongs to the other.
        """
        names = wrong.names
        if len(names) == 1:
            return [wrong]
        half = self.verdict(names[: len(names) // 2])
        unsure = half.bound + (abs(half.promised - half.found) if half.agrees else 0.0)
        other = Verdict(
            names[len(names) // 2 :], wrong.promised - half.promised, wrong.found - half.found,
            wrong.bound + unsure, wrong.step, 0,
        )  # fmt: skip
        failing = [part for part in (half, other) if not part.agrees]
        return [one for part in failing for one in self.located(part)] if failing else [wrong]


def size_of(tensor: Any) -> float:
    """How far a tensor may move: its length, or that of small weights where it is near zero."""
    return max(float(tensor.double().norm()), 0.02 * math.sqrt(tensor.numel()))


def check_gradients(step: Step) -> Checked:
    """Hold every trained tensor's gradient against the loss itself.

    ``step`` is a real model with its inputs (:func:`botec.measure.realise.realise`).
    """
    checker = Checker(Landscape(step))
    verdicts = [checker.verdict(group) for group in checker.groups()]
    failing = [one for one in verdicts if not one.agrees]
    verdicts = [checker.with_kinks(one) if not one.agrees else one for one in verdicts]
    wrong: list[Verdict] = []
    passes = checker.land.passes
    if failing:
        finer = in_double(step)
        judge = finer or checker
        again = [judge.verdict(one.names) for one in failing]
        wrong = [found for one in again if not one.agrees for found in judge.located(one)]
        if finer:
            wrong = still_wrong(finer, wrong)
        passes = checker.land.passes + (finer.land.passes if finer else 0)
    silent = tuple(name for name, slope in checker.slopes.items() if not slope.any())
    return Checked(tuple(verdicts), tuple(wrong), passes, silent)


def still_wrong(checker: Checker, wrong: list[Verdict]) -> list[Verdict]:
    """Those that are wrong a little aside as well, in float64.

    Blocks that begin as nothing (a norm's scale of 0) add nothing to zeros under a ReLU: there the
    loss stands on a corner, any slope between two is right, and no difference tells which. A
    mistake is one at every place.
    """
    if not wrong:
        return wrong
    checker.land.step_aside()
    beside = Checker(checker.land, checker.steps)
    again = [beside.verdict(one.names) for one in wrong]
    return [one for one, there in zip(wrong, again, strict=True) if not there.agrees]


def in_double(step: Step) -> Checker | None:
    """The same model in float64; ``None`` where it does not run in it."""
    import torch

    def doubled(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.double() if value.is_floating_point() else value
        return value

    try:
        finer = Step(
            deepcopy(step.model).double(),
            tuple(map(doubled, step.arguments)),
            {name: doubled(value) for name, value in step.keywords.items()},
            train=step.train,
        )
        return Checker(Landscape(finer), FINE_STEPS)
    except Exception:  # whatever a model's own code raises in a type it was not written for
        return None
