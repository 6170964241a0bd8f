"""What networked experts are judged by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.learning import local_shares, macro_f1, pattern_row

CLASSES = 10


def specialist(m: int) -> tuple[np.ndarray, np.ndarray]:
    """Knows m classes perfectly, and spreads all others evenly over them."""
    each = 2520  # divisible by 1 to 10
    y = np.repeat(np.arange(CLASSES), each)
    guesses = np.where(y < m, y, np.arange(len(y)) % m)
    return y, guesses


@pytest.mark.parametrize(
    ("m", "percent"), [(1, 1.82), (2, 6.67), (3, 13.85), (5, 33.3), (10, 100.0)]
)
def test_f1_of_who_knows_m_classes(m: int, percent: float) -> None:
    f1 = macro_f1(*specialist(m), CLASSES)
    assert 100 * f1 == pytest.approx(percent, abs=0.05)
    assert f1 == pytest.approx(m / 10 * 2 / (2 + (10 - m) / m), rel=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_f1_by_hand(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    y, guesses = rng.integers(0, classes, (2, 20))
    found = []
    for c in range(classes):
        hits = ((y == c) & (guesses == c)).sum()
        asked = (y == c).sum() + (guesses == c).sum()
        found.append(2 * hits / asked if asked else 0.0)
    assert macro_f1(y, guesses, classes) == pytest.approx(np.mean(found))


def test_three_local_shares() -> None:
    weights = np.array([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])
    shares = local_shares(weights, weights.argmax(1), 1)
    assert shares.ratio == pytest.approx(1 / 3)
    assert shares.count_share == pytest.approx(3 / 6)
    assert shares.weight_share == pytest.approx(1.7 / 3)
    row = pattern_row(weights, weights.argmax(1))
    assert row.top1 == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert row.weights == pytest.approx([0.8 / 3, 1.7 / 3, 0.5 / 3])


def test_a_class_that_nobody_meets_counts_0() -> None:
    y, guesses = np.array([0, 0, 1]), np.array([0, 0, 1])
    assert macro_f1(y, guesses, 4) == pytest.approx(2 / 4)
    assert macro_f1(y + 2, guesses + 2, 4) == pytest.approx(2 / 4)


def test_weights_that_are_not_finite_have_no_shares() -> None:
    """And they do so without a warning, which is an error here."""
    one = np.array([[0.5, 0.5], [np.nan, np.nan]])
    for weights in (one, np.full((2, 2), np.nan)):
        assert np.isnan(local_shares(weights, np.zeros(2, int), 0)).all()
        assert np.isnan(pattern_row(weights, np.zeros(2, int)).weights).all()
