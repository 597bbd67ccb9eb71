"""Sums and means over axes: of pairs of entries, some of them the same, some not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from botec.analyses.signal.particles import EXAMPLE, POSITION, UNIT
from botec.analyses.signal.value import Part

REPLICA = {"p": POSITION, "b": EXAMPLE, "u": UNIT}


def evenness(profile: Any, *units: int | None) -> float:
    """(E √profile)² over positions: 1 where they are alike, 1/n where one of n has everything.

    Along the axes ``units`` pairs are never formed: they are averaged outside.
    """
    if profile.size == 1:
        return 1.0
    axes = tuple(a for a in range(profile.ndim) if a not in units)
    return float(((profile**0.5).mean(axes) ** 2).mean())


def common_of(moments: Any, along: int, count: int) -> tuple[float, float]:
    """The second moment of ``count`` entries and what two of them share, which is -1/(count - 1) of
    it or more, as their sum has a second moment too: what is drawn may be a little less."""
    q = float(moments[0, 0])
    return q, max(float(moments[0, along]), -q / max(count - 1, 1))


def pair_mean(
    moments: Any, counts: Mapping[str, int], differing: str = "", even: float = 1.0
) -> float:
    """The mean of E[x x'] over all pairs of the entries counted, the same entry among them.

    ``counts`` says over how many positions, examples and units; in a role among ``differing`` the
    two are never the same. ``even`` is the evenness of the profile over positions.
    """
    total = 0.0
    for choice in product((False, True), repeat=3):
        share, replicas = 1.0, []
        for role, differs in zip("pbu", choice, strict=True):
            n = counts.get(role, 1)
            chance = 1.0 if role in differing else (n - 1) / n
            if role == "p" and n > 1 and differs and role not in differing:
                share *= max(even * n - 1, 0.0) / n
                replicas.append(REPLICA[role])
                continue
            share *= chance if differs else 1 - chance
            if differs:
                replicas.append(REPLICA[role])
        if share:
            total += share * moment_of(moments, replicas)
    return total


def moment_of(moments: Any, replicas: list[int]) -> float:
    """E[x x'] where exactly the roles of ``replicas`` differ."""
    if len(replicas) == 0:
        return float(moments[0, 0])
    if len(replicas) == 1:
        return float(moments[0, replicas[0]])
    if len(replicas) == 2:
        return float(moments[replicas[0], replicas[1]])
    return float(min(moments[1, 2], moments[1, 3], moments[2, 3]))


def mean_moments(part: Part, counts: Mapping[str, int], units: int | None = None) -> Any:
    """E[x_r x_s] of the means over what is counted, 4×4."""
    import numpy

    moments, even = settled(part), evenness(part.profile, units)
    found = numpy.full((4, 4), pair_mean(moments, counts, "", even))
    for a, role in enumerate("pbu", 1):
        found[0, a] = found[a, 0] = pair_mean(moments, counts, role, even)
    for a, first in enumerate("pbu", 1):
        for b, second in enumerate("pbu", 1):
            if a != b:
                found[a, b] = pair_mean(moments, counts, first + second, even)
    return found


def settled(part: Part) -> Any:
    """A part's moments; units that no correlation can be proved of share their mean alone.

    A mean over many units would see the noise of the sample instead of their independence.
    """
    moments = part.moments().copy()
    if part.k is not None:
        return moments
    square = part.mean**2
    for replica in (0, POSITION, EXAMPLE):
        products = part.z[replica] * part.z[UNIT]
        error = float(products.std()) / products.size**0.5
        if abs(float(moments[replica, UNIT]) - square) < NOISE * error:
            moments[replica, UNIT] = moments[UNIT, replica] = square
    return moments


NOISE = 4.0  # standard errors that a covariance must have to be one


def summed(part: Part, counts: Mapping[str, int], profile: Any, noise: Any) -> Part:
    """A gradient summed over what is counted: fresh particles, exact correlations."""
    n = math.prod(counts.values())
    if n == 1:
        return replace(part, profile=profile)
    moments = mean_moments(part, counts) * n**2
    q = max(float(moments[0, 0]), 0.0)
    pairs = ((0, POSITION), (0, EXAMPLE), (0, UNIT), (POSITION, EXAMPLE))
    k = tuple(clamp(float(moments[pair]) / q) if q > 0 else 0.0 for pair in pairs)
    return fresh(noise, q, k, profile, part.size)


def clamp(correlation: float) -> float:
    """A correlation within -1 and 1."""
    return max(-1.0, min(1.0, correlation))


def fresh(
    noise: Any, q: float, k: tuple[float, ...], profile: Any, size: int, exact: bool = True
) -> Part:
    """A new Gaussian part of mean 0 with second moment ``q`` and correlations ``k``."""
    from botec.analyses.signal.particles import correlations

    matrix = correlations(*k)
    z = noise.gaussian(matrix * q)
    full = (*map(float, matrix[0, 1:]), float(matrix[POSITION, EXAMPLE]))
    return Part(size, z, profile, full if exact else None, alone=True)
