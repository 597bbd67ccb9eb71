"""The judge: numbers that count what is done to them, and derivatives by the chain rule on them.

Knows nothing of the book. ``multiply_add`` is the step of a sum of products; every other arithmetic
result is elementwise. ``backward`` walks the recorded products and counts those of the gradients.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter

TALLY: Counter[str] = Counter()


class Number:
    """A float that counts. ``made_of`` holds (parent, derivative) pairs where gradients flow."""

    def __init__(self, value, wanted=False, made_of=()):
        self.value, self.made_of = float(value), made_of
        self.wanted = wanted or any(parent.wanted for parent, _ in made_of)
        self.grad = None

    def __add__(self, other):
        return counted(self.value + number(other).value)

    def __sub__(self, other):
        return counted(self.value - number(other).value)

    def __mul__(self, other):
        return counted(self.value * number(other).value)

    def __truediv__(self, other):
        return counted(self.value / number(other).value)

    def __rsub__(self, other):
        return number(other) - self


def number(value):
    return value if isinstance(value, Number) else Number(value)


def counted(value):
    TALLY["elementwise"] += 1
    return Number(value)


def function(name, *operands):
    """exp, sqrt, tanh, ... of numbers: one result."""
    return counted(getattr(math, name)(*(operand.value for operand in operands)))


def sigmoid(x):
    return counted(1 / (1 + math.exp(-x.value)))


def greater(a, b):
    return counted(max(a.value, b.value))


def multiply_add(total, a, b):
    TALLY["products"] += 1
    parents = ((total, None), (a, b), (b, a))
    return Number(total.value + a.value * b.value, made_of=parents)


def dot(left, right, start=0.0):
    total = number(start)
    for a, b in zip(left, right, strict=True):
        total = multiply_add(total, a, b)
    return total


def total_of(numbers):
    first, *rest = numbers
    for each in rest:
        first = first + each
    return first


def greatest_of(numbers):
    first, *rest = numbers
    for each in rest:
        first = greater(first, each)
    return first


def ordered(results):
    """Every number the results are made of, makers first."""
    seen, order, stack = set(), [], [(result, False) for result in results]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen and node.wanted:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.made_of)
    return order


def backward(results, gradients):
    """Gradients into every wanted number; each product of a gradient counts."""
    for result, gradient in zip(results, gradients, strict=True):
        result.grad = float(gradient)
    for node in reversed(ordered(results)):
        for parent, factor in node.made_of if node.grad is not None else ():
            if parent.wanted:
                give(parent, node.grad, factor)


def give(parent, gradient, factor):
    if factor is not None:
        TALLY["gradients"] += 1
        gradient = gradient * factor.value
    parent.grad = gradient if parent.grad is None else parent.grad + gradient


class Table:
    """Numbers by their place, as many axes as wanted; zero outside."""

    def __init__(self, shape, values=None, wanted=False):
        places = list(itertools.product(*map(range, shape)))
        values = [0.0] * len(places) if values is None else values
        self.shape = tuple(shape)
        self.at = {
            place: number(value) if isinstance(value, Number) else Number(value, wanted)
            for place, value in zip(places, values, strict=True)
        }

    @classmethod
    def of(cls, tensor, wanted=False):
        return cls(tensor.shape, tensor.double().flatten().tolist(), wanted)

    def __getitem__(self, place):
        return self.at.get(place, ZERO)

    def __setitem__(self, place, value):
        self.at[place] = value

    def row(self, *place):
        return [self.at[(*place, last)] for last in range(self.shape[-1])]

    def values(self):
        return [self.at[place].value for place in self.places()]

    def places(self):
        return itertools.product(*map(range, self.shape))


ZERO = Number(0.0)


def tally(work, *arguments):
    """What ``work`` does, and its result."""
    TALLY.clear()
    result = work(*arguments)
    return Counter(TALLY), result
