"""Algorithms beside networks: their operations against programs that count every one they do."""

from __future__ import annotations

import cmath
from typing import Any

import pytest

from botec.analyses import algorithms
from botec.analyses.algorithms import ALGORITHMS, PAIRS, crossing, pair_of, point_of, report
from botec.errors import UnknownName


class Real:
    """A real number that counts the additions and multiplications it takes part in."""

    done = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __add__(self, other: Real) -> Real:
        Real.done += 1
        return Real(self.value + other.value)

    def __sub__(self, other: Real) -> Real:
        Real.done += 1
        return Real(self.value - other.value)

    def __mul__(self, other: Real) -> Real:
        Real.done += 1
        return Real(self.value * other.value)


class Complex:
    """A complex number of two counted ones: 6 operations a product, 2 a sum."""

    def __init__(self, real: Real, imaginary: Real) -> None:
        self.real, self.imaginary = real, imaginary

    def __add__(self, other: Complex) -> Complex:
        return Complex(self.real + other.real, self.imaginary + other.imaginary)

    def __sub__(self, other: Complex) -> Complex:
        return Complex(self.real - other.real, self.imaginary - other.imaginary)

    def __mul__(self, other: Complex) -> Complex:
        return Complex(
            self.real * other.real - self.imaginary * other.imaginary,
            self.real * other.imaginary + self.imaginary * other.real,
        )


def complex_of(value: complex) -> Complex:
    return Complex(Real(value.real), Real(value.imag))


def root(n: int, power: int) -> Complex:
    return complex_of(cmath.exp(-2j * cmath.pi * power / n))


def total(values: list[Any]) -> Any:
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result


def slow_transform(signal: list[Complex]) -> list[Complex]:
    n = len(signal)
    return [total([root(n, row * place) * x for place, x in enumerate(signal)]) for row in range(n)]


def fast_transform(signal: list[Complex]) -> list[Complex]:
    n = len(signal)
    if n == 1:
        return signal
    even, odd = fast_transform(signal[::2]), fast_transform(signal[1::2])
    turned = [root(n, place) * value for place, value in enumerate(odd)]
    pairs = list(zip(even, turned, strict=True))
    return [a + b for a, b in pairs] + [a - b for a, b in pairs]


def convolve(signal: list[Real], kernel: list[Real]) -> list[Real]:
    products: list[list[Real]] = [[] for _ in range(len(signal) + len(kernel) - 1)]
    for i, x in enumerate(signal):
        for j, y in enumerate(kernel):
            products[i + j].append(x * y)
    return [total(each) for each in products]


def counting(run: Any, *arguments: Any) -> tuple[Any, int]:
    Real.done = 0
    return run(*arguments), Real.done


@pytest.mark.parametrize("n", [1, 2, 8, 32])
def test_transforms_do_what_is_counted(n: int) -> None:
    values = [complex(3 * k % 7, k % 5) for k in range(n)]
    expected = [
        sum(v * cmath.exp(-2j * cmath.pi * r * k / n) for k, v in enumerate(values))
        for r in range(n)
    ]
    for name, run in (("dft", slow_transform), ("fft", fast_transform)):
        found, done = counting(run, [complex_of(value) for value in values])
        assert done == ALGORITHMS[name].flops.at(n=n), name
        numbers = [complex(one.real.value, one.imaginary.value) for one in found]
        assert numbers == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 3), (3, 5), (20, 7)])
def test_a_convolution_does_what_is_counted(n: int, k: int) -> None:
    _, done = counting(convolve, [Real(i) for i in range(n)], [Real(i) for i in range(k)])
    assert done == ALGORITHMS["conv-direct"].flops.at(n=n, k=k)


def test_a_fast_convolution_is_three_transforms() -> None:
    """At m = 16, a power of two: the counted transforms, 6 a product, 2 a scaling of each."""
    m = 16
    _, transform = counting(fast_transform, [complex_of(1)] * m)
    assert ALGORITHMS["conv-fft"].flops.at(n=10, k=7) == 3 * transform + 6 * m + 2 * m


def test_attention_and_recurrence_are_the_frameworks_products() -> None:
    """The framework's own counter, on its own layers run by hand as products."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    n, d = 12, 8
    places, weights = torch.randn(n, d), torch.randn(8, d, d)
    with FlopCounterMode(display=False) as counter:
        query, key, value = (places @ weight for weight in weights[:3])
        ((query @ key.T).softmax(-1) @ value) @ weights[3]
    assert counter.get_total_flops() == ALGORITHMS["attention"].flops.at(n=n, d=d)
    with FlopCounterMode(display=False) as counter:
        for place in places:
            for weight in weights:  # four gates, each of the input and of the state
                weight @ place[:, None]
    assert counter.get_total_flops() == ALGORITHMS["recurrence"].flops.at(n=n, d=d)


def test_a_million_points() -> None:
    """n² = 10¹² against n·log₂ n = 2·10⁷."""
    pair = pair_of("fft")
    assert pair is not None
    page = report(pair, {"n": 10**6}, {}, "0")
    values = {key: figure.counted.value for key, figure in page.figures.items() if figure.counted}
    assert values["growth.dft"] == 10**12
    assert values["growth.fft"] == pytest.approx(1.993e7, rel=1e-3)
    assert "19.93 M with log₂, as halving gives, 13.82 M with ln" in str(page.sections[0])


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("kind", ["growth", "flops"])
def test_crossovers_are_where_a_walk_finds_them(
    pair: tuple[str, str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(algorithms, "LARGEST", 3999)
    point = {"n": 700, "k": 30, "d": 40}
    formulas = {name: getattr(ALGORITHMS[name], kind) for name in pair}
    names = set().union(*(formula.names for formula in formulas.values()))
    for name in sorted(names):
        less, text = crossing(formulas, name, point)
        if less == "both the same":
            continue
        (more,) = set(pair) - {less}
        sizes = range(1, 4000)
        at = {who: [f.at(**{**point, name: s}) for s in sizes] for who, f in formulas.items()}
        behind = [s for s in sizes if at[more][s - 1] < at[less][s - 1]]
        assert text == f"{name} = {(behind[-1] + 1 if behind else 1):,}"


def test_names_and_dimensions() -> None:
    assert pair_of("resnet50") is None
    pair = pair_of("conv-fft")
    assert pair is not None
    assert point_of(pair, {"k": 9}) == {"n": 10**6, "k": 9}
    with pytest.raises(UnknownName, match="B=2: dimensions are n, k; use n, k"):
        point_of(pair, {"B": 2})
