"""The upper envelope: of thousands of polynomials, the few that are ever the largest.

A polynomial is dropped only when it is certain never to be the strict maximum while every dimension
is at least its lowest value: either another one is at least as large in every coefficient (after
shifting the dimensions to start at zero), or a convex combination of others is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import comb
from typing import Any

from botec.poly import Monomial, Poly

MARGIN = 1e-9  # relative; what is closer than this to the envelope is kept
LARGEST = 2**61  # sums and differences of two stay whole numbers of 64 bits
STEPS = 2**20  # in which two rows are mixed
MIXING = 0x9E3779B97F4A7C15  # odd, its bits without a pattern
LONGEST_STEP = 256  # peaks of one layer


def upper_envelope(polys: Sequence[Poly], least: Mapping[str, int]) -> tuple[Poly, ...]:
    """Those of ``polys`` whose maximum is the maximum of all, for dimensions ≥ ``least``."""
    columns, table = table_of(polys)
    return tuple(polys[place] for place in outermost(columns, table, least))


def table_of(polys: Sequence[Poly]) -> tuple[list[Monomial], Any]:
    """The monomials of ``polys``, and a row of coefficients for each."""
    columns = list({monomial: None for poly in polys for monomial in poly.terms})
    return columns, exact([[poly.terms.get(one, 0) for one in columns] for poly in polys])


def exact(rows: Any) -> Any:
    """Rows as an array of 64 bits where sums of two fit, else of Python's whole numbers."""
    import numpy as np

    table = rows if isinstance(rows, np.ndarray) else np.array(rows, dtype=object)
    table = table.reshape(len(rows), 0) if table.ndim < 2 else table
    return table.astype(np.int64 if abs(table).max(initial=0) < LARGEST else object, copy=False)


def outermost(columns: Sequence[Monomial], table: Any, least: Mapping[str, int]) -> list[int]:
    """The places of the rows of ``table`` whose maximum is that of all, dimensions ≥ ``least``."""
    if len(table) <= 1:
        return list(range(len(table)))
    rows = shifted(columns, table, least)
    places = not_between(rows)
    chosen = rows[places].tolist()
    return [places[place] for place in convex(chosen, undominated(chosen))]


def shifted(columns: Sequence[Monomial], table: Any, least: Mapping[str, int]) -> Any:
    """The rows in dimensions counted from their lowest value: monomial by monomial."""
    moved = [shift(Poly({monomial: 1}), least) for monomial in columns]
    names = sorted({monomial for terms in moved for monomial in terms}, key=str)
    matrix = [[terms.get(name, 0) for name in names] for terms in moved]
    most = sum(abs(value) for row in matrix for value in row)
    if abs(table).max(initial=0) * most >= LARGEST:
        table = table.astype(object)
    return exact(table.dot(exact(matrix)))


def not_between(rows: Any) -> list[int]:
    """Places of rows that are not half-way between two others, as far as equal steps show it.

    Equal layers give arithmetic progressions at equal distances: of those only the ends matter. All
    may go at once: a corner of the convex hull lies between no two other rows. One number stands
    for a row (a sum that wraps around, linear as a row is), and the row itself is asked last.
    """
    import numpy as np

    table, count = exact(rows), len(rows)
    if table.dtype == object:
        return list(range(count))
    weights = [pow(MIXING, place + 1, 2**64) for place in range(table.shape[1])]
    mixed = (table.astype(np.uint64) * np.array(weights, dtype=np.uint64)).sum(axis=1)
    between = np.zeros(count, dtype=bool)
    for step in range(1, min(LONGEST_STEP, (count - 1) // 2) + 1):
        rise = mixed[step:] - mixed[:-step]
        even = (rise[step:] == rise[:-step]) & (rise[step:] != 0) & ~between[step : count - step]
        places = np.flatnonzero(even) + step
        alike = table[places + step] - table[places] == table[places] - table[places - step]
        between[places[np.all(alike, axis=1)]] = True
    return np.flatnonzero(~between).tolist()


def shift(poly: Poly, least: Mapping[str, int]) -> dict[Monomial, int]:
    """``poly`` in dimensions counted from their lowest value; atoms count from zero."""
    terms: dict[Monomial, int] = {}
    for monomial, factor in poly.terms.items():
        parts: dict[Monomial, int] = {(): factor}
        for name, exponent in monomial:
            low = least.get(name, 0) if isinstance(name, str) else 0
            opened: dict[Monomial, int] = {}
            for start, weight in parts.items():
                for power in range(exponent + 1):
                    times = comb(exponent, power) * low ** (exponent - power)
                    if times:
                        key = (*start, (name, power)) if power else start
                        opened[key] = opened.get(key, 0) + weight * times
            parts = opened
        for key, weight in parts.items():
            terms[key] = terms.get(key, 0) + weight
    return terms


def undominated(rows: Sequence[Sequence[int]]) -> list[int]:
    """Rows no other row is at least as large as in every column (equal ones: the first)."""
    import numpy as np

    table = np.array(rows, dtype=object)
    with suppress(OverflowError):
        table = table.astype(np.int64)
    order = sorted(range(len(rows)), key=lambda place: (-sum(rows[place]), place))
    kept: list[int] = []
    best = np.empty((0, table.shape[1]), dtype=table.dtype)
    for place in order:
        row = table[place]
        if len(best) and bool(np.any(np.all(best >= row, axis=1))):
            continue
        kept.append(place)
        best = np.vstack([best, row[None]])
    return kept


def convex(rows: Sequence[Sequence[int]], places: list[int]) -> list[int]:
    """Of the places, those that are the strict maximum for some non-negative monomials.

    Clarkson's scheme: a row is tried against the rows already known to matter; where it wins
    somewhere, the row that wins there most is added.
    """
    import numpy as np

    if len(places) <= 2:
        return sorted(places)
    table = np.array([[float(value) for value in rows[place]] for place in places])
    scale = np.abs(table).max(axis=0)
    scale[scale == 0] = 1
    table = table / scale
    whole = exact([rows[place] for place in places])
    known: list[int] = [int(column.argmax()) for column in table.T]
    known = list(dict.fromkeys(known))
    for row in np.argsort(-table.sum(axis=1)):
        while int(row) not in known and not below_two(whole[row], whole[known]):
            weights = winning_weights(table[row], table[known])
            if weights is None:
                break
            winner = int((table @ weights).argmax())
            known.append(int(row) if winner in known else winner)
    return sorted(places[place] for place in known)


def below_two(row: Any, known: Any) -> bool:
    """Whether a mixture of two known rows is at least as large as a row in every column: in whole
    numbers, so that it is certain. (That none is found means nothing.)"""
    import numpy as np

    for first, second, share in mixtures(known.astype(float) - row.astype(float)):
        part = round(STEPS * share)
        one, other = known[first].astype(object), known[second].astype(object)
        if np.all(part * one + (STEPS - part) * other >= STEPS * row.astype(object)):
            return True
    return False


def mixtures(rows: Any) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows with a share of the first (the rest of the second) at which no column of the
    mixture is below 0, in the middle of all such shares."""
    import numpy as np

    first, second = np.triu_indices(len(rows), 1)
    rise = rows[first] - rows[second]
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = -rows[second] / rise
    least = np.where(rise > 0, turn, 0.0).max(axis=1, initial=0.0)
    most = np.where(rise < 0, turn, 1.0).min(axis=1, initial=1.0)
    flat = np.any((rise == 0) & (rows[second] < 0), axis=1)
    for pair in np.flatnonzero((least <= most) & ~flat):
        yield int(first[pair]), int(second[pair]), float(least[pair] + most[pair]) / 2


def winning_weights(row: Any, known: Any) -> Any:
    """Non-negative weights under which ``row`` beats every known row, or ``None``.

    Weights on two columns do almost always; a linear programme asks all of them.
    """
    import numpy as np

    difference = known - row
    if bool(np.any(np.all(difference >= 0, axis=1))):
        return None
    for first, second, share in mixtures(-difference.T):
        weights = np.zeros(len(row))
        weights[[first, second]] = share, 1 - share
        if np.all(difference @ weights < 0):
            return weights
    from scipy.optimize import linprog

    columns = row.shape[0]
    result = linprog(
        np.append(np.zeros(columns), -1.0),
        A_ub=np.hstack([difference, np.ones((len(known), 1))]),
        b_ub=np.zeros(len(known)),
        A_eq=[[1.0] * columns + [0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * columns + [(None, None)],
    )
    if result.x is None:
        return np.ones(columns)
    return result.x[:-1] if result.x[-1] > -MARGIN else None
