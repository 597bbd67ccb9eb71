"""Capacity: exact counts beside what really can be learnt, published fits beside their papers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog, minimize_scalar

from botec.analyses.capacity import Data, cover, narrowest, peak_risk, verdict
from botec.analyses.scaling import BESIROGLU, HOFFMANN, LAWS
from botec.errors import BadInput


def separable(points: np.ndarray, labels: np.ndarray) -> bool:
    """Whether one threshold unit gives these labels: a linear programme knows."""
    signed = -(points * labels[:, None])
    found = linprog(np.zeros(points.shape[1]), signed, -np.ones(len(points)), bounds=(None, None))
    return bool(found.status == 0)


@pytest.mark.parametrize("points", [6, 10, 14])
def test_covers_count_is_what_really_can_be_learnt(points: int) -> None:
    """Random points, labels by coin; 600 draws: a standard deviation of at most 2 %."""
    draw = np.random.default_rng(points)
    made = [
        separable(draw.normal(size=(points, 5)), draw.choice([-1.0, 1.0], points))
        for _ in range(600)
    ]
    assert cover(points, 5) == pytest.approx(np.mean(made), abs=0.06)


def test_covers_published_values() -> None:
    """MacKay 2003, chapter 40: half at twice the weights, a step that sharpens."""
    assert cover(100, 50) == 0.5
    assert cover(75, 50) == pytest.approx(0.9983, abs=1e-4)
    assert cover(125, 50) == pytest.approx(0.0122, abs=1e-4)
    assert cover(50, 50) == 1.0
    assert cover(2000, 1000) == pytest.approx(0.5, abs=1e-9)


def test_the_narrowest_width_has_as_many_weights_as_equations() -> None:
    width = narrowest(60_000, 784, 10)
    weights = [784 * h + h + 10 * h + 10 for h in (width - 1, width)]
    assert weights[0] < 600_000 <= weights[1]


def test_least_squares_errs_as_the_formula_says() -> None:
    """400 draws of 60 examples and 30 parameters: 3 % of scatter."""
    draw, found = np.random.default_rng(3), []
    for _ in range(400):
        x = draw.normal(size=(60, 30))
        found.append((np.linalg.lstsq(x, draw.normal(size=60), rcond=None)[0] ** 2).sum())
    assert peak_risk(60, 30) == pytest.approx(np.mean(found), rel=0.1)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("compute", [1e18, 5.88e23, 1e26])
def test_the_best_split_is_the_least_loss(law, compute: float) -> None:
    """Judge: a numeric search along N·D = C/6."""
    n, d = law.optimal(compute)
    assert 6 * n * d == pytest.approx(compute)
    found = minimize_scalar(lambda x: law.loss(np.exp(x), compute / 6 / np.exp(x)), (15, 30))
    assert law.loss(n, d) == pytest.approx(found.fun, rel=1e-9)
    assert law.tokens_for(n) == pytest.approx(d)


def test_published_splits() -> None:
    """Chinchilla's compute: the re-fit's own numbers, and Hoffmann's constants unrounded."""
    n, d = BESIROGLU.optimal(5.88e23)
    assert (n / 1e9, d / 1e12) == (pytest.approx(73, abs=0.5), pytest.approx(1.34, abs=0.01))
    n, d = HOFFMANN.optimal(5.88e23)
    assert d / n == pytest.approx(59, abs=0.5)


@pytest.mark.parametrize(
    ("ratio", "words"), [(0.1, "cannot fit"), (1, "threshold"), (30, "can fit every label")]
)
def test_verdicts(ratio: float, words: str) -> None:
    assert words in verdict(ratio)


@pytest.mark.parametrize("given", [{"classes": 1}, {"examples": 0}, {"tokens": -5}])
def test_bad_data(given: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="give at least"):
        Data(**given)
