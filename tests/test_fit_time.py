"""The fit of shipped efficiencies: its slopes, its formula, its folds; on a few models only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, ROOT)

from benchmarks import fit_time, sharded  # noqa: E402
from botec.analyses.duration.speeds import fitted, speeds_of  # noqa: E402
from botec.analyses.duration.times import Work, parts_of  # noqa: E402
from botec.devices import device  # noqa: E402


@pytest.fixture(scope="module")
def few() -> fit_time.Set:
    """The table of one device."""
    return fit_time.tables()[0]


def shipped(one: fit_time.Set) -> fit_time.Fitted:
    """The shipped file, as the fit has it."""
    found = fitted()
    classes = one.classes
    return fit_time.Fitted(
        classes,
        np.log([found["operations"].get(name, 1.0) for name in classes]),
        np.log([found["bytes"][name] for name in classes]),
        {kind: float(np.log(value)) for kind, value in found["overhead"].items()},
        float(np.log(found["sharpness"] - 1)),
        {name: entry["scalar"] for name, entry in found["devices"].items()},
    )


@pytest.mark.parametrize("name", ["rtx-3090", "rtx-4090"])
def test_the_fit_and_the_package_give_one_time(name: str) -> None:
    """Two programs of one formula: arrays here, op by op there."""
    one = next(two for two in fit_time.tables() if two.runs.name == f"{name} infer")
    predicted = shipped(one).predicted(one)
    speeds = speeds_of(device(name))
    for place in one.timed[:: len(one.timed) // 20]:
        total = 0.0
        for kind, operations, moved, times in one.models.rows[one.model == place][:, 1:]:
            cls, dtype = one.models.kinds[int(kind)]
            work = Work(cls, dtype, "forward", 0, 1, operations, moved)
            total += parts_of(work, operations, moved, speeds).seconds * times
        assert total == pytest.approx(predicted[place], rel=1e-9)


def test_slopes_are_those_of_finite_differences(few: fit_time.Set) -> None:
    fitted_now = shipped(few)
    times, *slopes = fit_time.seconds_of(few, slice(None), fitted_now)
    step = 1e-6
    for number, name in enumerate(("operations", "bytes", "overhead", "sharpness")):
        moved: Any = shipped(few)
        if name == "overhead":
            moved.overhead["infer"] += step
        else:
            setattr(moved, name, getattr(moved, name) + step)
        other, *_ = fit_time.seconds_of(few, slice(None), moved)
        assert slopes[number].sum() == pytest.approx((other - times).sum() / step, rel=1e-3)


def test_no_family_is_in_two_folds_and_all_are_dealt() -> None:
    dealt = fit_time.folds(["a"] * 5 + ["b"] * 3 + ["c"] * 3 + ["d"] + ["e"] + ["f"])
    assert sorted(dealt) == list("abcdef")
    assert set(dealt.values()) == set(range(fit_time.FOLDS))
    assert dealt["a"] == 0


def test_a_band_of_eighty_per_cent_holds_so_many() -> None:
    generator = np.random.default_rng(0)
    ratios = np.exp(generator.normal(0, 0.2, 4000))
    held = fit_time.Held([], [], np.ones(4000), ratios, generator.integers(0, 5, 4000))
    assert fit_time.coverage(held) == pytest.approx(0.8, abs=0.03)
    low, high = fit_time.band(ratios)
    assert (low, high) == pytest.approx((np.exp(-0.2 * 1.2816), np.exp(0.2 * 1.2816)), rel=0.03)


def test_a_step_of_sharded_training_by_hand() -> None:
    """Work 1 s and 0.5 s of attention, two micro-batches, scalars 2 and 3: 2·(1 + 1.5) = 5 s each.
    1e9 weights over 8 A100: 3·2e9·7/8 = 5.25e9 bytes at 240 GB/s, 21.9 ms, a share of which shows;
    the update moves 28 bytes for each of an eighth of the weights at 0.6 of 2.039 TB/s."""
    row = sharded.Row("a100", "1b", 2048, 1, 8, 2, 10**9, 10.0, attention=0.5, other=1.0)
    shows = sharded.SHARE * 5.25e9 / 240e9
    update = 1e9 / 8 * 28 / (0.6 * device("a100").bandwidth)
    assert row.predicted(2.0, 3.0) == pytest.approx(2 * (5 + shows) + update)


def test_every_published_row_has_its_work() -> None:
    assert len(sharded.rows()) == 131
    assert all(row.measured > 0 and row.attention > 0 for row in sharded.rows())


def test_the_shipped_file_says_where_it_comes_from() -> None:
    found = fitted()
    assert found["date"]
    text = fit_time.OUTPUT.read_text(encoding="utf-8")
    assert "families the fit had not seen" in text
    for band in found["bands"].values():
        assert 0 < band["low"] < 1 < band["high"]
