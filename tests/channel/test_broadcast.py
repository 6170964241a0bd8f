"""The curve of one transmission to many devices, against the minimum over all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import LinkCurve
from tests.kit.channel import weakest


@st.composite
def batches(draw: st.DrawFn) -> tuple[LinkCurve, np.ndarray]:
    """Smooth curves of K devices on even grids of their own, some without a link; who listens."""
    k = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    origin_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    start_s = origin_s + rng.uniform(0.0, 30.0, k)
    end_s = start_s + rng.uniform(60.0, 200.0, k)
    time_s = np.linspace(start_s, end_s, draw(st.integers(20, 60)), axis=1)
    low, high, turn = rng.uniform(1e3, 1e6, (3, k, 1))
    phase = (time_s - origin_s) / 40.0 + 6.0 * turn / 1e6
    rate_bps = low + high * np.sin(phase) ** 2
    rate_bps[rng.random(k) < 0.2] = 0.0
    return LinkCurve(time_s, rate_bps), rng.random(k) < 0.8


def members_of(curve: LinkCurve, who: np.ndarray) -> list[LinkCurve]:
    rows = [curve.device(k) for k in np.flatnonzero(who)]
    return [row for row in rows if row.capacity_bits > 0]


@given(batches())
def test_it_is_the_minimum_of_all_who_have_a_link(drawn: tuple[LinkCurve, np.ndarray]) -> None:
    curve, who = drawn
    members = members_of(curve, who)
    lowest = weakest(curve, who)
    assert lowest.time_s.shape[0] == len(who)
    if not members:
        assert (lowest.capacity_bits == 0).all()
        return
    start_s = max(row.time_s[0] for row in members)
    end_s = min(row.time_s[-1] for row in members)
    if end_s <= start_s:
        assert (lowest.capacity_bits == 0).all()
        return
    capacity = np.atleast_1d(curve.capacity_bits)
    listens = who & (capacity > 0)
    for when_s in lowest.time_s[0]:
        each = [float(np.interp(when_s, row.time_s, row.rate_bps)) for row in members]
        assert lowest.rate_at_bps(when_s)[listens] == pytest.approx(min(each), rel=1e-6, abs=1e-6)
    assert (lowest.capacity_bits[~listens] == 0).all()
    assert (lowest.time_s[:, 0] == start_s).all()
    assert (lowest.time_s[:, -1] == end_s).all()


@given(batches())
def test_its_bits_are_those_of_the_minimum(drawn: tuple[LinkCurve, np.ndarray]) -> None:
    """Points, crossings and jumps of all rows: against a fine sum."""
    curve, who = drawn
    members, lowest = members_of(curve, who), weakest(curve, who)
    if not members or not lowest.capacity_bits.any():
        return
    start_s, end_s = lowest.time_s[0, 0], lowest.time_s[0, -1]
    edges_s = np.linspace(start_s, end_s, 20_001)
    middle_s = (edges_s[1:] + edges_s[:-1]) / 2
    each = [row.rate_at_bps(middle_s) for row in members]
    true_bits = float(np.min(each, axis=0).sum() * (end_s - start_s) / 20_000)
    assert lowest.capacity_bits.max() == pytest.approx(true_bits, rel=1e-6, abs=1.0)


@given(st.integers(0, 10**6), st.integers(2, 30), st.booleans())
def test_steps_of_many_devices_give_the_least_step(seed: int, k: int, common: bool) -> None:
    """Rates that climb like codings, each at times of its own, on common times or not."""
    rng = np.random.default_rng(seed)
    even = np.linspace(0.0, 100.0, 12)
    shift = np.zeros(k) if common else rng.uniform(-3.0, 0.0, k)
    steps_s = np.sort(rng.uniform(1.0, 99.0, (k, 6)), axis=1)
    time_s = np.sort(np.concatenate([even + shift[:, None], steps_s, steps_s + 1e-7], axis=1))
    levels = rng.uniform(1.0, 9.0, (k, 7))
    passed = np.array(
        [np.searchsorted(own, t, "left") for own, t in zip(steps_s, time_s, strict=True)]
    )
    curve = LinkCurve(time_s, np.take_along_axis(levels, passed, axis=1))
    lowest = weakest(curve, np.ones(k, bool))
    ends_s = lowest.time_s[0, [0, -1]]
    edges_s = np.unique(np.concatenate([ends_s, steps_s.ravel()]))
    edges_s = edges_s[(edges_s >= ends_s[0]) & (edges_s <= ends_s[1])]
    middle_s = (edges_s[1:] + edges_s[:-1]) / 2
    each = [levels[n, np.searchsorted(steps_s[n], middle_s)] for n in range(k)]
    bits = float((np.min(each, axis=0) * np.diff(edges_s)).sum())
    assert lowest.capacity_bits == pytest.approx(bits, abs=1e-5 * k)


def test_where_two_lines_cross_the_least_one_has_a_point() -> None:
    time = np.tile([0.0, 10.0], (3, 1))
    curve = LinkCurve(time, np.array([[0.0, 10.0], [10.0, 0.0], [4.0, 4.0]]))
    lowest = weakest(curve, np.ones(3, bool))
    # Two triangles to 4 s and 6 s, and 4 in between.
    assert lowest.capacity_bits == pytest.approx([24.0] * 3, rel=1e-12)
    assert set(lowest.time_s[0].round(9)) >= {0.0, 4.0, 6.0, 10.0}


def test_a_repeated_time_is_a_jump() -> None:
    curve = LinkCurve([[0.0, 5.0, 5.0, 10.0], [0.0, 3.0, 6.0, 10.0]], [[1.0, 1, 9, 9], [4.0] * 4])
    lowest = weakest(curve, np.ones(2, bool))
    assert lowest.capacity_bits == pytest.approx([25.0, 25.0], rel=1e-9)


def test_a_device_in_view_only_outside_the_served_part_is_left_out() -> None:
    """A satellite is up from 7209 s to 8114 s, and serves from 8054 s on."""
    time = np.array([[7209.0, 8114.0], [7419.0, 7905.0]])
    curve = LinkCurve(time, np.full((2, 2), 8.0))
    served = weakest(curve, np.ones(2, bool), (8054.0, 8114.0))
    assert served.capacity_bits == pytest.approx([8.0 * 60.0, 0.0], rel=1e-12)
    assert weakest(curve, np.ones(2, bool)).capacity_bits == pytest.approx([8.0 * 486] * 2)


@given(batches(), st.floats(0.0, 150.0), st.floats(0.0, 150.0))
def test_a_span_is_a_part_of_the_minimum_of_those_with_a_link_in_it(
    drawn: tuple[LinkCurve, np.ndarray], one_s: float, other_s: float
) -> None:
    curve, who = drawn
    first_s = float(curve.time_s.min())
    span_s = first_s + min(one_s, other_s), first_s + max(one_s, other_s)
    inside = curve.delivered_bits(span_s[1]) - curve.delivered_bits(span_s[0])
    whole = weakest(curve, who & (inside > 0))
    expected = whole.delivered_bits(span_s[1]) - whole.delivered_bits(span_s[0])
    found = weakest(curve, who, span_s)
    assert found.capacity_bits == pytest.approx(expected, rel=1e-9, abs=1e-3)


@given(batches())
def test_nobody_gets_more_than_alone_and_all_the_same(
    drawn: tuple[LinkCurve, np.ndarray],
) -> None:
    curve, who = drawn
    lowest = weakest(curve, who)
    bits = np.atleast_1d(lowest.capacity_bits)
    got = bits[bits > 0]
    assert len(set(got.tolist())) <= 1
    for k in np.flatnonzero(bits > 0):
        alone = float(curve.capacity_bits[k])
        assert bits[k] <= alone * (1 + 1e-9)


def test_devices_without_any_link_are_left_out() -> None:
    time = np.array([[0.0, 10.0], [0.0, 10.0], [4.0, 4.0]])
    curve = LinkCurve(time, np.array([[8.0, 8.0], [0.0, 0.0], [5.0, 5.0]]))
    lowest = weakest(curve, np.ones(3, bool))
    assert lowest.capacity_bits.tolist() == [80.0, 0.0, 0.0]


def test_those_who_do_not_listen_do_not_slow_it_down() -> None:
    time = np.tile([0.0, 10.0], (3, 1))
    curve = LinkCurve(time, np.array([[8.0, 8.0], [1.0, 1.0], [4.0, 4.0]]))
    assert weakest(curve, np.array([True, False, True])).capacity_bits.tolist() == [40.0, 0.0, 40.0]


def test_it_lasts_while_all_have_a_link() -> None:
    time = np.array([[0.0, 10.0], [4.0, 30.0]])
    curve = LinkCurve(time, np.array([[8.0, 8.0], [2.0, 2.0]]))
    lowest = weakest(curve, np.ones(2, bool))
    assert lowest.capacity_bits == pytest.approx([12.0, 12.0], rel=1e-12)
    assert lowest.completion_time_s(2.0).tolist() == [5.0, 5.0]


@pytest.mark.parametrize("second", [[10.0, 20.0], [12.0, 20.0]])
def test_without_time_in_common_it_carries_nothing(second: list[float]) -> None:
    curve = LinkCurve(np.array([[0.0, 10.0], second]), np.full((2, 2), 8.0))
    lowest = weakest(curve, np.ones(2, bool))
    assert lowest.capacity_bits.tolist() == [0.0, 0.0]
    assert np.isinf(lowest.completion_time_s(1.0)).all()
    assert lowest.completion_time_s(0.0).tolist() == lowest.time_s[:, 0].tolist()


def test_nobody_listens() -> None:
    curve = LinkCurve(np.tile([0.0, 10.0], (2, 1)), np.full((2, 2), 8.0))
    assert weakest(curve, np.zeros(2, bool)).capacity_bits.tolist() == [0.0, 0.0]


def test_a_jump_of_one_device_is_one_of_all() -> None:
    """Its two sides are points of the grid, so that nothing is smeared over a cell."""
    step_s, jump_s = 1e-7, 13.3
    first = [0.0, 10.0, jump_s, jump_s + step_s, 20.0, 30.0]
    second = [0.0, 7.0, 14.0, 21.0, 28.0, 30.0]
    rate = [[1.0, 1.0, 1.0, 9.0, 9.0, 9.0], [3.0] * 6]
    curve = LinkCurve(np.array([first, second]), np.array(rate))
    lowest = weakest(curve, np.ones(2, bool))
    assert lowest.capacity_bits == pytest.approx([jump_s + 3 * (30 - jump_s)] * 2, abs=1e-5)
    assert lowest.rate_at_bps(jump_s - 1e-3).tolist() == [1.0, 1.0]
    assert lowest.rate_at_bps(jump_s + 1e-3).tolist() == [3.0, 3.0]


def test_a_jump_outside_the_time_in_common_is_no_matter() -> None:
    time = np.array([[0.0, 2.0, 2.0 + 1e-7, 20.0], [5.0, 10.0, 15.0, 20.0]])
    curve = LinkCurve(time, np.array([[1.0, 1.0, 6.0, 6.0], [7.0] * 4]))
    lowest = weakest(curve, np.ones(2, bool))
    assert lowest.time_s[0, 0] == 5.0
    assert lowest.capacity_bits == pytest.approx([90.0, 90.0], rel=1e-12)
