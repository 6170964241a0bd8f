"""Rates on an even grid whose cells carry the right bits, against integrals in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from channel import LinkCurve
from tests.kit.channel import LEAST_POINTS, bit_preserving, inside, middle_of_cells, moved

START_S, END_S = -3.0, 5.0


def cell_bits(rate_bps: np.ndarray, step_s: float) -> np.ndarray:
    return (rate_bps[:, 1:] + rate_bps[:, :-1]) / 2 * step_s


def true_bits(law: Polynomial, time_s: np.ndarray) -> np.ndarray:
    return np.diff(law.integ()(time_s))


def on_grid(law, points: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Times, rates (1, T) and spacing of a law on an even grid."""
    time_s = np.linspace(START_S, END_S, points)
    return time_s, law(time_s)[None, :], float(time_s[1] - time_s[0])


@given(
    coefficients=st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=3),
    points=st.integers(LEAST_POINTS, 30),
)
def test_every_cell_of_a_cubic_rate_has_its_true_bits(
    coefficients: list[float], points: int
) -> None:
    """Second differences of a cubic are its second derivative, at the ends as well."""
    law = Polynomial([1e3, *coefficients])
    time_s, rate, step_s = on_grid(law, points)
    assert rate.min() > 0
    changed = bit_preserving(rate)
    assert cell_bits(changed, step_s)[0] == pytest.approx(true_bits(law, time_s), rel=1e-12)


def test_a_parabola_by_hand() -> None:
    """r = 100 + t^2 with h = 1: r'' is 2 everywhere, and every point is lowered by 1/6."""
    rate = 100.0 + np.arange(5.0) ** 2
    changed = bit_preserving(rate[None, :])
    assert changed[0] == pytest.approx(rate - 1 / 6, rel=1e-15)
    assert cell_bits(changed, 1.0)[0] == pytest.approx(
        [100 + 1 / 3 + k * (k + 1) for k in range(4)]
    )


@given(constant=st.floats(0.0, 1e9), slope=st.floats(0.0, 1e6), points=st.integers(2, 12))
def test_a_rate_without_a_bend_is_left_as_it_is(constant: float, slope: float, points: int) -> None:
    rate = (constant + slope * np.arange(points))[None, :]
    assert bit_preserving(rate)[0] == pytest.approx(rate[0], rel=0, abs=1e-13 * rate.max())


def smooth(time_s: np.ndarray) -> np.ndarray:
    return 10.0 + 4.0 * np.sin(1.3 * time_s)


def smooth_bits(time_s: np.ndarray) -> np.ndarray:
    return np.diff(10.0 * time_s - 4.0 / 1.3 * np.cos(1.3 * time_s))


@pytest.mark.parametrize(("moves", "order"), [(False, 3.0), (True, 7.0)])
def test_the_error_of_a_cell_falls_to_the_seventh_order(moves: bool, order: float) -> None:
    worst = []
    for points in (33, 65, 129):
        time_s, rate, step_s = on_grid(smooth, points)
        used = bit_preserving(rate) if moves else rate
        inner = np.abs(cell_bits(used, step_s)[0] - smooth_bits(time_s))[4:-4]
        worst.append(inner.max())
    found = np.log2(np.array(worst[:-1]) / worst[1:])
    assert found == pytest.approx([order, order], abs=0.15)


def test_the_error_at_the_ends_falls_to_the_sixth_order_at_least() -> None:
    """Differences are extrapolated there."""
    worst = []
    for points in (33, 65, 129):
        time_s, rate, step_s = on_grid(smooth, points)
        error = np.abs(cell_bits(bit_preserving(rate), step_s)[0] - smooth_bits(time_s))
        worst.append(max(error[:3].max(), error[-3:].max()))
    assert (np.log2(np.array(worst[:-1]) / worst[1:]) > 5.7).all()


@given(seed=st.integers(0, 10**6), cells=st.integers(1, 14), rows=st.integers(1, 3))
def test_inside_are_points_with_two_smooth_cells_on_either_side(
    seed: int, cells: int, rows: int
) -> None:
    even = np.random.default_rng(seed).random((rows, cells)) < 0.8
    found = inside(even)
    assert found.shape == (rows, cells + 1)
    for k in range(rows):
        for i in range(cells + 1):
            beside = [n for n in range(i - 2, i + 2) if 0 <= n < cells and even[k, n]]
            assert found[k, i] == (len(beside) == 4)


@given(
    seed=st.integers(0, 10**6),
    before=st.integers(2, 9),
    behind=st.integers(2, 9),
    share=st.floats(0.001, 0.999),
)
def test_two_cubics_that_meet_at_a_jump_have_their_true_bits_everywhere(
    seed: int, before: int, behind: int, share: float
) -> None:
    """In every cell: by differences between points inside, by a point in the middle of others."""
    rng = np.random.default_rng(seed)
    laws = [Polynomial([1e6, *rng.uniform(-1.0, 1.0, 3)]) for _ in range(2)]
    time_s = 2.5 * np.arange(before + behind)
    jump_s = time_s[before - 1] + share * 2.5
    rate = np.where(time_s < jump_s, laws[0](time_s), laws[1](time_s))[None, :]
    even = np.ones((1, before + behind - 1), bool)
    even[0, before - 1] = False
    inner = inside(even)
    used = moved(rate, inner)
    for law, some, beside_s in (
        (laws[0], slice(0, before), [*time_s[:before], jump_s]),
        (laws[1], slice(before, None), [jump_s, *time_s[before:]]),
    ):
        own_s, at_jump = np.array(beside_s), (len(time_s[some]) if some.start == 0 else 0)
        true = law(own_s)
        shown = np.insert(used[0, some], at_jump, law(jump_s))
        plain = np.insert(inner[0, some], at_jump, False)
        middle = middle_of_cells(
            (true[:-1], true[1:]), law((own_s[1:] + own_s[:-1]) / 2), (shown[:-1], shown[1:])
        )
        ends = (shown[1:] + shown[:-1]) / 2
        mean = np.where(plain[1:] & plain[:-1], ends, (ends + middle) / 2)
        assert mean * np.diff(own_s) == pytest.approx(true_bits(law, own_s), rel=1e-9)


def test_points_that_are_not_inside_are_left() -> None:
    """Two constants: differences across the jump would bend both."""
    rate = np.array([[5.0] * 6 + [9.0] * 6])
    even = np.ones((1, 11), bool)
    even[0, 5] = False
    assert (moved(rate, inside(even)) == rate).all()
    assert (moved(rate, inside(np.ones((1, 11), bool))) != rate).any()


@pytest.mark.parametrize("points", [1, 2, 3])
def test_rows_too_short_for_a_second_difference_are_left(points: int) -> None:
    rate = np.array([[1.0, 5.0, 2.0][:points]] * 2)
    assert (bit_preserving(rate) == rate).all()
    assert (moved(rate, inside(np.ones((2, points - 1), bool))) == rate).all()


@given(
    rate=st.lists(st.floats(0.0, 1e9), min_size=2, max_size=20),
)
def test_no_rate_is_negative_and_the_input_is_not_touched(rate: list[float]) -> None:
    given_bps = np.array([rate])
    before = given_bps.copy()
    changed = bit_preserving(given_bps)
    assert (changed >= 0).all()
    assert changed.shape == given_bps.shape
    assert (given_bps == before).all()
    LinkCurve(np.arange(float(len(rate))), changed[0])


def test_rows_do_not_know_of_each_other() -> None:
    rng = np.random.default_rng(4)
    rate = rng.uniform(0.0, 5.0, (4, 9))
    together = bit_preserving(rate)
    for k in range(4):
        assert (together[k] == bit_preserving(rate[k : k + 1])[0]).all()
