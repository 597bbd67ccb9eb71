"""With which power of its size an algorithm's time grows on this machine: timed, then fitted.

The runs are numpy's and scipy's own. Along a fit all other sizes stay, or grow with ``n`` where the
count says so; the exponent is the slope of a line through the logarithms, by least squares, with
the interval of 95 % that Student's distribution gives its slope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

Run = Callable[[], Any]
LEAST, MOST, REPETITIONS = 0.02, 0.25, 200  # seconds spent on one size at least and at most
ROUNDS = 3  # over all sizes: what disturbs the machine for a while disturbs no size alone
WIDTH = 64  # of the attention and the recurrence that are run


@dataclass(frozen=True)
class Exponent:
    """A measured exponent: ``value`` with its interval, from ``times`` in seconds at ``sizes``."""

    value: float
    low: float
    high: float
    sizes: tuple[int, ...]
    times: tuple[float, ...]
    how: str
    fixed: Mapping[str, int]


@dataclass(frozen=True)
class Course:
    """What is run: ``ready(n)`` makes the run of one size; ``fixed`` are its other sizes."""

    ready: Callable[[int], Run]
    sizes: tuple[int, ...]
    fixed: Mapping[str, int] = field(default_factory=dict)


def measured(name: str) -> Exponent:
    """Run the algorithm of that name at rising sizes. Raises ``KeyError`` for one it has not."""
    course = COURSES[name]
    rounds = [[seconds(course.ready(size)) for size in course.sizes] for _ in range(ROUNDS)]
    times = tuple(map(min, zip(*rounds, strict=True)))
    value, low, high = line(course.sizes, times)
    return Exponent(value, low, high, course.sizes, times, how(), course.fixed)


def seconds(run: Run) -> float:
    """The shortest of repeated runs: what the machine needs when nothing else takes its turns."""
    run()
    best, begin, repetitions = float("inf"), perf_counter(), 0
    while repetitions < REPETITIONS:
        start = perf_counter()
        run()
        now = perf_counter()
        best, repetitions = min(best, now - start), repetitions + 1
        if now - begin > (LEAST if repetitions > 2 else MOST):
            break
    return best


def line(sizes: tuple[int, ...], times: tuple[float, ...]) -> tuple[float, float, float]:
    """The slope of log(time) over log(size), and its interval of 95 %."""
    import numpy as np
    from scipy import stats

    found = stats.linregress(np.log(np.array(sizes, float)), np.log(np.array(times, float)))
    reach = float(stats.t.ppf(0.975, len(sizes) - 2) * found.stderr)
    slope = float(found.slope)
    return slope, slope - reach, slope + reach


def how() -> str:
    """``"numpy 2.4.6 on this machine's CPU, shortest of repeated runs"``."""
    import numpy as np

    return f"numpy {np.__version__} on this machine's CPU, shortest of repeated runs"


def values(*shape: int) -> Any:
    """The same normal numbers every time."""
    import numpy as np

    return np.random.default_rng(0).standard_normal(shape)


def fourier_matrix(n: int) -> Run:
    import numpy as np

    matrix, signal = np.exp(-2j * np.pi / n * np.outer(np.arange(n), np.arange(n))), values(n) + 0j
    return lambda: matrix @ signal


def fast_fourier(n: int) -> Run:
    import numpy as np

    signal = values(n) + 0j
    return lambda: np.fft.fft(signal)


def direct_convolution(n: int) -> Run:
    import numpy as np

    signal = values(n)
    return lambda: np.convolve(signal, signal)


def fast_convolution(n: int) -> Run:
    from scipy.signal import fftconvolve

    signal = values(n) + 0j
    return lambda: fftconvolve(signal, signal)


def attention(n: int) -> Run:
    """One head over ``n`` places: projections, scores, softmax, weighted sums."""
    import numpy as np

    places, weights = values(n, WIDTH), values(4, WIDTH, WIDTH) / WIDTH**0.5

    def run() -> Any:
        query, key, value = (places @ weight for weight in weights[:3])
        scores = np.exp(query @ key.T / WIDTH**0.5)
        return (scores / scores.sum(1, keepdims=True)) @ value @ weights[3]

    return run


def recurrence(n: int) -> Run:
    """An LSTM over ``n`` places, one after the other."""
    import numpy as np

    places, weights = values(n, WIDTH), values(4 * WIDTH, 2 * WIDTH) / WIDTH**0.5

    def run() -> Any:
        state = memory = np.zeros(WIDTH)
        for place in places:
            take, forget, give, new = (weights @ np.concatenate((place, state))).reshape(4, WIDTH)
            memory = memory / (1 + np.exp(-forget)) + np.tanh(new) / (1 + np.exp(-take))
            state = np.tanh(memory) / (1 + np.exp(-give))
        return state

    return run


def doubling(start: int, count: int) -> tuple[int, ...]:
    return tuple(start << step for step in range(count))


COURSES = {
    "dft": Course(fourier_matrix, doubling(128, 5)),
    "fft": Course(fast_fourier, doubling(2**13, 7)),
    "conv-direct": Course(direct_convolution, doubling(2**10, 5)),
    "conv-fft": Course(fast_convolution, doubling(2**13, 6)),
    "attention": Course(attention, doubling(512, 4), {"d": WIDTH}),
    "recurrence": Course(recurrence, doubling(128, 5), {"d": WIDTH}),
}
