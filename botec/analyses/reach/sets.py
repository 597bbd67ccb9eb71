"""Sets of input places, each kept once: a value's entries are numbers into a table of sets.

A set is a whole number whose bits are places. Arrays of set numbers are kept compact: an axis along
which nothing changes has size 1. Unions are worked out once for each pair of numbers.
"""

from __future__ import annotations

from typing import Any

NOTHING = 0  # the number of the empty set


class Sets:
    """The table, for one input axis of ``size`` places."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.masks: list[int] = [0]
        self.numbers: dict[int, int] = {0: NOTHING}
        self.unions: dict[tuple[int, int], int] = {}
        self.everything = self.number((1 << size) - 1)

    def number(self, mask: int) -> int:
        """The number of a set, a new one where it is new."""
        found = self.numbers.get(mask)
        if found is None:
            found = self.numbers[mask] = len(self.masks)
            self.masks.append(mask)
        return found

    def union(self, one: int, two: int) -> int:
        """The number of the union of two sets."""
        if one == two or two == NOTHING:
            return one
        if one == NOTHING:
            return two
        key = (one, two) if one < two else (two, one)
        found = self.unions.get(key)
        if found is None:
            found = self.unions[key] = self.number(self.masks[one] | self.masks[two])
        return found

    def each(self) -> Any:
        """One set for each place of the input axis: the input itself."""
        import numpy

        return numpy.array([self.number(1 << place) for place in range(self.size)])

    def join(self, one: Any, two: Any) -> Any:
        """Entry by entry the union of two arrays of numbers, broadcast."""
        import numpy

        one, two = numpy.broadcast_arrays(one, two)
        keys = one.astype(numpy.int64) * len(self.masks) + two
        pairs, back = numpy.unique(keys, return_inverse=True)
        count = len(self.masks)
        found = [self.union(int(key) // count, int(key) % count) for key in pairs]
        return numpy.array(found, dtype=numpy.int64)[back].reshape(one.shape)

    def over(self, numbers: Any, axis: int) -> Any:
        """The union along an axis, which stays with size 1."""
        import numpy

        found = distinct(numpy.moveaxis(numbers, axis, -1))
        while found.shape[-1] > 1:
            half = found.shape[-1] // 2
            rest = found[..., 2 * half :]
            found = self.join(found[..., :half], found[..., half : 2 * half])
            if rest.shape[-1]:
                found = numpy.concatenate([found, rest], -1)
            found = distinct(found)
        return numpy.moveaxis(found, -1, axis)

    def all_of(self, numbers: Any) -> int:
        """The union of all entries."""
        import numpy

        found = NOTHING
        for one in numpy.unique(numbers):
            found = self.union(found, int(one))
        return found

    def places(self, number: int) -> Any:
        """A set as an array of truth values over the input's places."""
        import numpy

        raw = self.masks[number].to_bytes((self.size + 7) // 8, "little")
        bits = numpy.unpackbits(numpy.frombuffer(raw, numpy.uint8), bitorder="little")
        return bits[: self.size].astype(bool)


def distinct(numbers: Any) -> Any:
    """Without entries of the last axis that say what their neighbour says in every row."""
    import numpy

    if numbers.shape[-1] < 2:
        return numbers
    changes = (numbers[..., 1:] != numbers[..., :-1]).reshape(-1, numbers.shape[-1] - 1).any(0)
    return numbers[..., numpy.concatenate([[True], changes])]


def compact(numbers: Any) -> Any:
    """With size 1 along every axis on which nothing changes."""
    for axis in range(numbers.ndim):
        if numbers.shape[axis] > 1:
            first = numbers.take([0], axis)
            if (numbers == first).all():
                numbers = first
    return numbers
