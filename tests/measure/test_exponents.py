"""Measured exponents: of runs whose time is known, and that the runs are what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from botec.measure import exponents
from botec.measure.exponents import COURSES, Course, line, measured


def test_a_line_through_exact_powers_is_that_power() -> None:
    sizes = (10, 20, 40, 80)
    value, low, high = line(sizes, tuple(3e-9 * size**1.5 for size in sizes))
    assert value == pytest.approx(1.5, abs=1e-9)
    assert (low, high) == (pytest.approx(1.5, abs=1e-6), pytest.approx(1.5, abs=1e-6))


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    """400 noisy lines: 95 % of 400 is 380, four standard deviations (4.4) below it 362."""
    noise = np.random.default_rng(0)
    sizes = (10, 20, 40, 80, 160)
    held = 0
    for _ in range(400):
        times = tuple(float(s**2 * np.exp(noise.normal(0, 0.1))) for s in sizes)
        _, low, high = line(sizes, times)
        held += low <= 2 <= high
    assert 362 <= held < 400


class Clock:
    """A clock that moves only when it is told to: no other work of the machine is in it."""

    def __init__(self) -> None:
        self.now = 0.0

    def run(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def test_time_that_doubles_has_the_exponent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of n milliseconds, every third of them disturbed: the shortest one counts."""
    clock, turns = Clock(), iter(range(10**6))
    course = Course(
        lambda n: lambda: clock.run(n / 1000 * (9 if next(turns) % 3 == 0 else 1)), (4, 8, 16, 32)
    )
    monkeypatch.setattr(exponents, "perf_counter", clock)
    monkeypatch.setitem(COURSES, "sleep", course)
    found = measured("sleep")
    assert found.value == pytest.approx(1, abs=1e-9)
    assert found.low <= found.value <= found.high
    assert found.sizes == (4, 8, 16, 32)
    assert found.times == pytest.approx((0.004, 0.008, 0.016, 0.032))


@pytest.mark.parametrize("name", ["dft", "fft"])
def test_transforms_transform(name: str) -> None:
    n = 64
    found = COURSES[name].ready(n)()
    assert np.allclose(found, np.fft.fft(exponents.values(n)))


@pytest.mark.parametrize("name", ["conv-direct", "conv-fft"])
def test_convolutions_convolve(name: str) -> None:
    found = COURSES[name].ready(33)()
    polynomial = np.polymul(exponents.values(33), exponents.values(33))
    assert np.allclose(found, polynomial)


def test_attention_is_the_frameworks() -> None:
    torch = pytest.importorskip("torch")
    n, d = 20, exponents.WIDTH
    places = torch.from_numpy(exponents.values(n, d))
    weights = torch.from_numpy(exponents.values(4, d, d)) / d**0.5
    query, key, value = (places @ weight for weight in weights[:3])
    attended = torch.nn.functional.scaled_dot_product_attention(
        query[None], key[None], value[None]
    )[0]
    assert np.allclose(COURSES["attention"].ready(n)(), (attended @ weights[3]).numpy())


def test_the_recurrence_is_the_frameworks() -> None:
    torch = pytest.importorskip("torch")
    n, d = 7, exponents.WIDTH
    places = torch.from_numpy(exponents.values(n, d))
    weights = torch.from_numpy(exponents.values(4 * d, 2 * d)) / d**0.5
    take, forget, give, new = weights.reshape(4, d, 2 * d)
    cell = torch.nn.LSTM(d, d, bias=False, dtype=torch.float64)
    rows = torch.cat((take, forget, new, give))
    with torch.no_grad():
        cell.weight_ih_l0.copy_(rows[:, :d])
        cell.weight_hh_l0.copy_(rows[:, d:])
        (_, (state, _)) = cell(places)
    assert np.allclose(COURSES["recurrence"].ready(n)(), state[0].numpy())
