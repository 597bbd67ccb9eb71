"""A whole run: its words, steps, hours, dollars and joules, by hand and from published runs."""

from __future__ import annotations

import pytest

from botec.analyses.duration.run import (
    best_splits,
    costs,
    exchange,
    link_of,
    parsed,
    price_from,
)  # fmt: skip
from botec.devices import device
from botec.errors import BadInput


@pytest.mark.parametrize(
    ("text", "amount", "unit", "epochs"),
    [
        ("1.28M examples x 90 epochs", 1.28e6, "examples", 90),
        ("1,281,167 images × 90 epochs", 1_281_167, "examples", 90),
        ("300B tokens", 3e11, "tokens", 1),
        ("2T tokens", 2e12, "tokens", 1),
        ("300 tokens", 300, "tokens", 1),
        ("50k steps", 5e4, "steps", 1),
        ("60k sequences * 1 epoch", 6e4, "examples", 1),
        ("1e6 steps", 1e6, "steps", 1),
    ],
)
def test_words(text: str, amount: float, unit: str, epochs: float) -> None:
    run = parsed(text)
    assert (run.amount, run.unit, run.epochs) == (pytest.approx(amount), unit, epochs)


@pytest.mark.parametrize(
    "text", ["", "90 epochs", "12 bananas", "many tokens", "1.2.3M", "-5 steps"]
)
def test_what_is_no_run(text: str) -> None:
    with pytest.raises(BadInput, match=r'not a run; write it as "1\.28M examples x 90 epochs"'):
        parsed(text)


def test_a_run_of_nothing() -> None:
    with pytest.raises(BadInput, match="a run of nothing"):
        parsed("0 tokens")


def test_steps_are_rounded_up() -> None:
    """1.28M examples, 256 a step, 90 times: 450,000 steps; one example more is one step more."""
    assert parsed("1.28M examples x 90 epochs").steps(256, None) == 450_000
    assert parsed("1025 examples").steps(256, None) == 5
    assert parsed("300B tokens").steps(8, 8 * 2048) == 18_310_547
    assert parsed("50k steps").steps(8, None) == 50_000


def test_tokens_of_a_network_that_reads_none() -> None:
    with pytest.raises(BadInput, match="the network reads no tokens; count examples or steps"):
        parsed("300B tokens").steps(8, None)


def test_costs_by_hand() -> None:
    """3,600 steps of 2 s on 8 devices at 2.5 $/h: 2 h, 40 $; 400 W each at PUE 1.1: 25.344 MJ."""
    found = costs(3600, 2.0, 8, 2.5, 400, 1.1)
    assert (found.seconds, found.dollars) == (7200, 40.0)
    assert found.joules == pytest.approx(7200 * 8 * 400 * 1.1)
    assert costs(1, 1.0, 1, None, None, 1.1).dollars is None


@pytest.mark.parametrize("text", ["2.5/h", "$2.5/hour", "2.5", "2.5 $/h"])
def test_prices(text: str) -> None:
    assert price_from(text) == 2.5


def test_no_price() -> None:
    with pytest.raises(BadInput, match=r"not a price; write dollars an hour as 2.5/h"):
        price_from("cheap")


def test_sharded_training_moves_three_times_its_weights() -> None:
    """7e9 weights of 2 bytes over 8 devices: 3 x 14 GB x 7/8 = 36.75 GB; at 0.8 of 300 GB/s
    153 ms. Work of 1 s covers it all but the share of a tenth; work of 0.1 s covers 70 ms."""
    wide = exchange(7 * 10**9, 2, 8, 1.0, 300e9, 0.1)
    assert wide.bytes == pytest.approx(36.75e9)
    assert wide.seconds == pytest.approx(0.153125)
    assert wide.exposed == pytest.approx(0.0153125)
    narrow = exchange(7 * 10**9, 2, 8, 0.1, 300e9, 0.1)
    assert narrow.exposed == pytest.approx(0.153125 - 0.07 + 0.0153125)


def test_beyond_a_node_a_ring_has_all_its_cards() -> None:
    """Eight cards of 25 GB/s are 200 GB/s, less than an A100's link; of 50, 400 of an H100's."""
    a100, h100 = device("a100"), device("h100")
    assert link_of(a100, 8) == 300e9
    assert link_of(a100, 64) == 200e9
    assert link_of(h100, 64) == min(450e9, 400e9)


def test_the_best_split_of_compute_is_the_published_one() -> None:
    """Hoffmann et al. 2022, table 3: 67e9 parameters take 5.76e23 operations and 1.5e12 tokens.

    Ten per cent: the table is their fit, the first row the rule of twenty tokens a parameter.
    """
    splits = best_splits(5.76e23)
    parameters, tokens = splits["20 tokens a parameter"]
    assert parameters == pytest.approx(67e9, rel=0.1)
    assert tokens == pytest.approx(1.5e12, rel=0.1)
    assert len(splits) == 3
    for own, many in splits.values():
        assert 6 * own * many == pytest.approx(5.76e23)
