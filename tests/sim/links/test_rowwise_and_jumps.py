"""Interpolation row by row, and the times at which a state changes, against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.links.beam import RangeGrid
from sim.links.rate_points import HALVINGS, crossings, find_jumps, turns


@st.composite
def tables(draw):
    """Grids with repeated times, values, and times before, on and behind them."""
    k = draw(st.integers(1, 6))
    points = draw(st.integers(2, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    steps_s = rng.uniform(0.1, 9.0, (k, points)) * (rng.random((k, points)) > 0.2)
    grid_s = rng.uniform(-5.0, 5.0, (k, 1)) + np.cumsum(steps_s, axis=1)
    when_s = rng.uniform(grid_s[:, 0] - 5.0, grid_s[:, -1] + 5.0)
    on_it = rng.random(k) < 0.3
    when_s = np.where(on_it, grid_s[np.arange(k), rng.integers(0, points, k)], when_s)
    return grid_s, rng.normal(0.0, 10.0, (k, points)), when_s


def by_hand(grid_s, values, when_s):
    """One row: the last point at or before the time, and the share of the way to the next."""
    when_s = max(when_s, float(grid_s[0]))
    at = max(i for i in range(len(grid_s)) if grid_s[i] <= when_s)
    if at == len(grid_s) - 1:
        return float(values[-1])
    share = (when_s - grid_s[at]) / (grid_s[at + 1] - grid_s[at])
    return float(values[at] + (values[at + 1] - values[at]) * share)


@given(tables())
def test_ranges_are_linear_on_every_row_of_its_own(drawn):
    grid_s, values, when_s = drawn
    expected = [by_hand(*row) for row in zip(grid_s, values, when_s, strict=True)]
    each = RangeGrid(grid_s, values)(when_s)
    assert each == pytest.approx(expected, rel=1e-9, abs=1e-9)


@st.composite
def passes(draw):
    """Even grids of K devices, and the true times of each one's changes, at most three a cell."""
    k = draw(st.integers(1, 5))
    points = draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    first_s = draw(st.sampled_from([0.0, 86_400.0, 3.2e7])) + rng.uniform(0.0, 50.0, k)
    time_s = np.linspace(first_s, first_s + rng.uniform(8.0, 40.0, k), points, axis=1)
    shares = np.arange(3) / 3 + rng.uniform(0.02, 0.3, (k, points - 1, 3))
    at_s = time_s[:, :-1, None] + shares * np.diff(time_s, axis=1)[:, :, None]
    return time_s, [row[rng.random(row.shape) < 0.2] for row in at_s]


def flat(rows):
    """Row of each value, and the values, row after row."""
    return np.repeat(np.arange(len(rows)), [len(row) for row in rows]), np.concatenate(rows)


@given(passes())
def test_every_change_is_bracketed_and_nothing_else(drawn):
    time_s, changes = drawn

    def of(row, when_s):
        """How many changes lie behind each device at a time."""
        pairs = zip(row.tolist(), when_s.tolist(), strict=True)
        return np.array([np.searchsorted(changes[k], t, "right") for k, t in pairs], np.int64)

    every = flat(time_s)
    who, before_s, behind_s = find_jumps(*every, of(*every), of)
    close_s = np.diff(time_s, axis=1).max() / 2**HALVINGS + 4 * np.spacing(time_s.max())
    for k, own in enumerate(changes):
        before = np.sort(before_s[who == k])
        behind = np.sort(behind_s[who == k])
        assert len(before) == len(own)
        assert (before <= own).all()
        assert (own <= behind).all()
        assert (behind - before <= close_s).all()


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_turns_are_the_tops_and_bottoms(seed, devices):
    """Of parabolas, which have one; and a straight line has none."""
    rng = np.random.default_rng(seed)
    tops_s = rng.uniform(2.0, 28.0, devices)
    sign = rng.choice([-1.0, 0.0, 1.0], devices)

    def value_at(row, when_s):
        return sign[row] * (when_s - tops_s[row]) ** 2 + (sign[row] == 0) * when_s

    every = flat(np.linspace(0.0, 30.0, 16) + np.zeros((devices, 1)))
    row, found_s = turns(*every, value_at(*every), value_at)
    assert row.tolist() == np.flatnonzero(sign).tolist()
    assert found_s == pytest.approx(tops_s[row], abs=2e-3)


@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(12.0, 75.0))
def test_crossings_are_both_sides_of_a_level(seed, devices, level):
    """Of an elevation that rises nearly to the zenith and falls again."""
    rng = np.random.default_rng(seed)
    top_s = rng.uniform(100.0, 200.0, devices)
    sharp = rng.uniform(2.0, 15.0, devices)

    def value_at(row, when_s):
        return np.degrees(np.arctan2(80.0, np.hypot(when_s - top_s[row], sharp[row])))

    time_s = np.linspace(0.0, 300.0, 76) + np.zeros((devices, 1))
    row = flat(time_s)[0]
    values = value_at(*flat(time_s))
    levels = [level, 5.0]  # the lower one is passed by nobody
    who, found_s = crossings(row, time_s.ravel(), values, levels, value_at)
    for k in range(devices):
        edges = []
        if (values[row == k] > level).any():
            half_s = np.sqrt((80.0 / np.tan(np.radians(level))) ** 2 - sharp[k] ** 2)
            edges = [t for t in (top_s[k] - half_s, top_s[k] + half_s) if 0 < t < 300]
        both = np.sort(found_s[who == k]).reshape(-1, 2)
        assert both.mean(axis=1) == pytest.approx(edges, abs=1e-4)
        assert (np.diff(both, axis=1) < 2e-6).all()
