"""Rates on an even grid whose cells carry the right bits, against integrals in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from channel import LinkCurve
from channel.even_grid import LEAST_POINTS, at_jumps, bit_preserving, second_differences

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
    moved = bit_preserving(rate)
    assert cell_bits(moved, step_s)[0] == pytest.approx(true_bits(law, time_s), rel=1e-12)


def test_a_parabola_by_hand() -> None:
    """r = 100 + t^2 with h = 1: r'' is 2 everywhere, and every point is lowered by 1/6."""
    rate = 100.0 + np.arange(5.0) ** 2
    moved = bit_preserving(rate[None, :])
    assert moved[0] == pytest.approx(rate - 1 / 6, rel=1e-15)
    assert cell_bits(moved, 1.0)[0] == pytest.approx([100 + 1 / 3 + k * (k + 1) for k in range(4)])


@given(constant=st.floats(0.0, 1e9), slope=st.floats(0.0, 1e6), points=st.integers(2, 12))
def test_a_rate_without_a_bend_is_left_as_it_is(constant: float, slope: float, points: int) -> None:
    rate = (constant + slope * np.arange(points))[None, :]
    assert bit_preserving(rate)[0] == pytest.approx(rate[0], rel=0, abs=1e-14 * rate.max())


def smooth(time_s: np.ndarray) -> np.ndarray:
    return 10.0 + 4.0 * np.sin(1.3 * time_s)


def smooth_bits(time_s: np.ndarray) -> np.ndarray:
    return np.diff(10.0 * time_s - 4.0 / 1.3 * np.cos(1.3 * time_s))


@pytest.mark.parametrize(("moves", "order"), [(False, 3.0), (True, 5.0)])
def test_the_error_of_a_cell_falls_to_the_fifth_order(moves: bool, order: float) -> None:
    worst = []
    for points in (129, 257, 513):
        time_s, rate, step_s = on_grid(smooth, points)
        used = bit_preserving(rate) if moves else rate
        inner = np.abs(cell_bits(used, step_s)[0] - smooth_bits(time_s))[2:-2]
        worst.append(inner.max())
    found = np.log2(np.array(worst[:-1]) / worst[1:])
    assert found == pytest.approx([order, order], abs=0.1)


def test_the_error_at_the_ends_falls_to_the_fifth_order_too() -> None:
    """r'' is extrapolated at the first and last point: two orders less the bend's own, h^5."""
    worst = []
    for points in (129, 257, 513):
        time_s, rate, step_s = on_grid(smooth, points)
        error = np.abs(cell_bits(bit_preserving(rate), step_s)[0] - smooth_bits(time_s))
        worst.append(max(error[0], error[-1]))
    assert (np.log2(np.array(worst[:-1]) / worst[1:]) > 4.5).all()


@given(
    seed=st.integers(0, 10**6),
    points=st.integers(LEAST_POINTS, 16),
    rows=st.integers(1, 3),
    rises=st.booleans(),
)
def test_next_to_a_jump_the_bend_is_that_of_the_nearest_point_inside_its_state(
    seed: int, points: int, rows: int, rises: bool
) -> None:
    """Against the rule by loops; a state of one or two points in a row has no bend."""
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 3, (rows, points))
    state = np.sort(state, axis=1) if rises else state
    rate = rng.uniform(1e3, 2e3, (rows, points))
    found, moved = second_differences(rate, state), bit_preserving(rate, state)
    for k in range(rows):
        inside = {
            i: rate[k, i - 1] - 2 * rate[k, i] + rate[k, i + 1]
            for i in range(1, points - 1)
            if state[k, i - 1] == state[k, i] == state[k, i + 1]
        }
        for i in range(points):
            beside = [n for n in (i - 1, i + 1) if n in inside and state[k, n] == state[k, i]]
            expected = inside.get(i, inside[beside[0]] if beside else 0.0)
            assert found[k, i] == pytest.approx(expected, abs=1e-9)
            assert moved[k, i] == pytest.approx(rate[k, i] - expected / 12, rel=1e-12)


@given(
    seed=st.integers(0, 10**6),
    before=st.integers(3, 8),
    behind=st.integers(3, 8),
    share=st.floats(0.001, 0.999),
)
def test_two_parabolas_that_meet_at_a_jump_have_their_true_bits_everywhere(
    seed: int, before: int, behind: int, share: float
) -> None:
    """In every whole cell, and in both parts of the one with the jump."""
    rng = np.random.default_rng(seed)
    laws = [Polynomial([1e4, *rng.uniform(-1.0, 1.0, 2)]) for _ in range(2)]
    step_s = 2.5
    time_s = step_s * np.arange(before + behind)
    jump_s = time_s[before - 1] + share * step_s
    state = np.repeat([4, 9], [before, behind])[None, :]
    rate = np.where(time_s < jump_s, laws[0](time_s), laws[1](time_s))[None, :]
    bend = second_differences(rate, state)
    sides = np.array([[laws[0](jump_s), laws[1](jump_s)]])
    beside = at_jumps(sides, bend[:, [before - 1, before]], np.array([[share, 1.0 - share]]))
    moved = bit_preserving(rate, state)
    for law, own_s, own_bps in (
        (laws[0], [*time_s[:before], jump_s], [*moved[0, :before], beside[0, 0]]),
        (laws[1], [jump_s, *time_s[before:]], [beside[0, 1], *moved[0, before:]]),
    ):
        carried = np.diff(own_s) * (np.array(own_bps[1:]) + own_bps[:-1]) / 2
        assert carried == pytest.approx(true_bits(law, np.array(own_s)), rel=1e-9)


def test_a_step_with_a_jump_keeps_both_heights() -> None:
    """Two constants: second differences across the jump would bend both."""
    rate = np.array([[5.0] * 6 + [9.0] * 6])
    state = np.array([[0] * 6 + [1] * 6])
    assert (bit_preserving(rate, state) == rate).all()
    assert (bit_preserving(rate) != rate).any()


@pytest.mark.parametrize("points", [1, 2, 3])
def test_rows_too_short_for_a_second_difference_are_left(points: int) -> None:
    rate = np.array([[1.0, 5.0, 2.0][:points]] * 2)
    assert (bit_preserving(rate) == rate).all()
    assert (bit_preserving(rate, np.zeros((2, points), np.int64)) == rate).all()


@given(
    rate=st.lists(st.floats(0.0, 1e9), min_size=2, max_size=20),
)
def test_no_rate_is_negative_and_the_input_is_not_touched(rate: list[float]) -> None:
    given_bps = np.array([rate])
    before = given_bps.copy()
    moved = bit_preserving(given_bps)
    assert (moved >= 0).all()
    assert moved.shape == given_bps.shape
    assert (given_bps == before).all()
    LinkCurve(np.arange(float(len(rate))), moved[0])


def test_rows_do_not_know_of_each_other() -> None:
    rng = np.random.default_rng(4)
    rate = rng.uniform(0.0, 5.0, (4, 9))
    together = bit_preserving(rate)
    for k in range(4):
        assert (together[k] == bit_preserving(rate[k : k + 1])[0]).all()
