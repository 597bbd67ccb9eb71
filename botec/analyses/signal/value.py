"""What is known of one tensor: particles, a profile over its entries, and what its axes mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from botec.analyses.signal.particles import EXAMPLE, POSITION, SELF, UNIT, second_moments

#: What an axis runs over, with the replica that differs along it. "1": the entries are the same.
ROLES = {"p": POSITION, "b": EXAMPLE, "u": UNIT}
Axis = tuple[tuple[str, int], ...]  # (role, size) of the factors of an axis, slowest first


@dataclass(frozen=True, eq=False)
class Part:
    """A run of equally distributed units.

    ``z`` [4, samples] are its particles, ``profile`` (broadcast to the tensor's shape, mean 1)
    the second moment of each entry over the mean one; ``size`` is its extent along the tensor's
    ``axis`` of parts. ``k`` are exact correlations (with another position, example, unit, and with
    another position of another example) where the particles' own are not to be trusted: sums over
    many entries amplify their noise. Gradients have them.

    ``shared`` is the profile of E[x_p x_p'] over all other positions p' where it is not simply
    √profile, as behind a padded convolution, with the profile it belongs to. ``alone``: drawn anew,
    independent of every value there is. ``level``: a gradient whose product with its own value sums
    to 0 over each unit's examples and positions, because a norm behind makes that unit's size not
    matter; ``centred``: one that itself sums to 0 over them. ``within`` are the means of the units
    that the particles are of, where these are known, with the particles they belong to. ``slope``
    are particles of a factor: the gradient is that times one drawn anew, whose correlations follow.
    """

    size: int
    z: Any
    profile: Any
    k: tuple[float, ...] | None = None
    shared: Any = None
    alone: bool = False
    level: bool = False
    centred: bool = False
    within: Any = None
    slope: Any = None

    @property
    def common(self) -> Any:
        """The profile of what an entry has in common with the others of its tensor."""
        if self.shared is not None and self.shared[0] is self.profile:
            return self.shared[1]
        return self.profile**0.5

    @property
    def q(self) -> float:
        """The second moment."""
        return float((self.z[SELF] ** 2).mean())

    @property
    def mean(self) -> float:
        """E x."""
        return float(self.z[SELF].mean())

    @property
    def about(self) -> Any:
        """The particles about their units' means, as far as these are known."""
        known = self.within is not None and self.within[0] is self.z
        return self.z - self.within[1] if known else self.z

    def moments(self) -> Any:
        """E[x_r x_s] of the replicas, 4×4."""
        import numpy

        if self.k is None:
            return second_moments(self.z)
        from botec.analyses.signal.particles import correlations

        return numpy.asarray(correlations(*self.k)) * self.q

    def correlation(self, replica: int) -> float:
        """E[x x_r] over the second moment."""
        if self.k is not None:
            return self.k[replica - 1]
        q = self.q
        return float((self.z[SELF] * self.z[replica]).mean()) / q if q > 0 else 0.0

    def told(self) -> list[float]:
        """Its four correlations, in the order of ``k``."""
        if self.k is not None:
            return list(self.k)
        moments, q = self.moments(), self.q
        pairs = ((0, POSITION), (0, EXAMPLE), (0, UNIT), (POSITION, EXAMPLE))
        return [float(moments[pair]) / q if q > 0 else 0.0 for pair in pairs]

    def scaled(self, factor: float, profile: Any = None) -> Part:
        """The same with its second moment times ``factor``."""
        profile = self.profile if profile is None else profile
        return replace(self, z=self.z * math.sqrt(max(factor, 0.0)), profile=profile)


@dataclass(frozen=True, eq=False)
class Value:
    """A random tensor: its shape, the roles of its axes, its parts along ``axis``.

    ``spread`` is the variance of ln q over networks drawn anew (finite width). ``attention`` is
    what a softmax knows of its rows, ``keep`` the share a dropout mask keeps, ``index`` true for
    random whole numbers. ``sampled`` names the ops on the way that were sampled without a rule.
    ``borders`` is how many entries deep the effects of padding reach into a map: as many as padded
    convolutions lie on the way since a norm last centred it.
    """

    shape: tuple[int, ...]
    roles: tuple[Axis, ...]
    parts: tuple[Part, ...]
    axis: int = 0
    spread: float = 0.0
    attention: Any = None
    keep: float | None = None
    index: bool = False
    sampled: tuple[str, ...] = ()
    borders: float = 0.0

    @property
    def q(self) -> float:
        """The second moment, over all entries."""
        total = sum(part.size for part in self.parts)
        return sum(part.q * part.size for part in self.parts) / total if total else 0.0

    @property
    def one(self) -> Part:
        """All parts as one: a mixture."""
        return self.parts[0] if len(self.parts) == 1 else mixture(self.parts, self.axis)

    def whole(self) -> Value:
        """This value with one part."""
        return replace(self, parts=(self.one,)) if len(self.parts) > 1 else self

    def along(self, axis: int) -> Value:
        """This value with its parts along ``axis``: those it has there, else one."""
        if self.axis == axis and sum(part.size for part in self.parts) == self.shape[axis]:
            return self
        return replace(self, parts=(replace(self.one, size=self.shape[axis]),), axis=axis)

    def count(self, axes: Sequence[int]) -> dict[str, int]:
        """How many entries the ``axes`` run over, by role."""
        found = {"b": 1, "p": 1, "u": 1}
        for axis in axes:
            for role, size in self.roles[axis]:
                if role in found:
                    found[role] *= size
        return found


@dataclass(frozen=True, eq=False)
class Data:
    """A tensor whose entries are known: weights, constants, what follows from them.

    ``name`` is the parameter it shows entry for entry, whatever its shape.
    """

    array: Any
    name: str = ""


@dataclass(frozen=True)
class Missing:
    """A tensor of which nothing is known, and why."""

    why: str


@dataclass(eq=False)
class Gradient:
    """The gradient of a value: parts as the value's, and the variance of ln q over draws."""

    parts: tuple[Part, ...]
    spread: float = 0.0
    why: str = field(default="")

    @property
    def q(self) -> float:
        """The second moment, over all entries."""
        total = sum(part.size for part in self.parts)
        return sum(part.q * part.size for part in self.parts) / total if total else 0.0


def role_of(axis: Axis) -> str:
    """The role of the largest factor of an axis, ``"1"`` for one of size 1."""
    known = [(size, role) for role, size in axis if size > 1 and role in ROLES]
    return max(known)[1] if known else "1"


def unit_axes(value: Value) -> tuple[int, ...]:
    """The axes along which units differ."""
    return tuple(place for place, axis in enumerate(value.roles) if role_of(axis) == "u")


def flat(dimensions: int) -> Any:
    """The profile of a tensor whose entries are alike."""
    import numpy

    return numpy.ones((1,) * dimensions)


def normalised(profile: Any) -> tuple[Any, float]:
    """``profile`` with mean 1, and the mean it had."""
    mean = float(profile.mean())
    if abs(mean - 1) < 1e-12:
        return profile, 1.0
    return (profile / mean if mean > 0 else profile * 0 + 1), mean


def narrowed(profile: Any) -> Any:
    """``profile`` with every axis along which nothing varies shrunk to 1."""
    for axis, size in enumerate(profile.shape):
        if size > 1:
            first, last = profile.take([0], axis), profile.take([-1], axis)
            if close(last, first) and close(profile, first):
                profile = first
    return profile


def close(profile: Any, first: Any) -> bool:
    """Whether the entries are those of ``first`` but for rounding."""
    return bool((abs(profile - first) <= 1e-6 * abs(first)).all())


def fitted(profile: Any, shape: tuple[int, ...]) -> Any:
    """``profile`` averaged so that it can be broadcast to ``shape``."""
    if profile.ndim < len(shape):
        profile = profile.reshape((1,) * (len(shape) - profile.ndim) + profile.shape)
    while profile.ndim > len(shape):
        profile = profile.mean(0)
    for axis, size in enumerate(shape):
        if profile.shape[axis] not in (1, size):
            profile = profile.mean(axis, keepdims=True)
    return profile


def mixture(parts: Sequence[Part], axis: int) -> Part:
    """Parts along ``axis`` as one: particles of each in its share, profiles side by side."""
    import numpy

    total = sum(part.size for part in parts)
    samples = parts[0].z.shape[1]
    ends = numpy.cumsum([0, *(round(samples * part.size / total) for part in parts)])
    ends = (ends * samples / max(int(ends[-1]), 1)).round().astype(int)
    order = numpy.random.default_rng(len(parts)).permutation(samples)
    z = numpy.empty_like(parts[0].z)
    for part, start, end in zip(parts, ends[:-1], ends[1:], strict=True):
        places = order[start:end]
        z[:, places] = part.z[:, places]
    q = sum(part.q * part.size for part in parts) / total
    now = float((z[SELF] ** 2).mean())
    z = z * math.sqrt(q / now) if now > 0 else z
    k = None
    if all(part.k is not None for part in parts) and q > 0:
        shares = [part.q * part.size / (q * total) for part in parts]
        k = tuple(
            sum(share * part.k[r] for share, part in zip(shares, parts, strict=True) if part.k)
            for r in range(4)
        )
    return Part(total, z, beside(parts, axis, q), k)


def beside(parts: Sequence[Part], axis: int, q: float) -> Any:
    """The profiles of parts along ``axis`` as one profile of mean 1."""
    import numpy

    if q <= 0:
        return flat(parts[0].profile.ndim)
    shape = [max(part.profile.shape[a] for part in parts) for a in range(parts[0].profile.ndim)]
    rows = []
    for part in parts:
        shape[axis] = part.size
        rows.append(numpy.broadcast_to(part.profile * (part.q / q), tuple(shape)))
    return normalised(narrowed(numpy.concatenate(rows, axis)))[0]


def split(profile: Any, sizes: Sequence[int], axis: int) -> list[Any]:
    """A profile cut along ``axis`` into pieces of ``sizes``."""
    import numpy

    if len(sizes) == 1 or profile.shape[axis] == 1:
        return [profile] * len(sizes)
    return list(numpy.split(profile, numpy.cumsum(sizes)[:-1], axis))


Known = Mapping[int, Any]


def replace_parts(value: Value, particles: Sequence[Any]) -> Value:
    """``value`` with other particles in its parts."""
    parts = tuple(replace(p, z=z) for p, z in zip(value.parts, particles, strict=True))
    return replace(value, parts=parts)
