"""The curve of one transmission to many devices, against the minimum over all of them."""

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import LinkCurve, weakest

GROUP = "channel.broadcast._GROUP"
AT_ONCE = st.sampled_from([1, 2, 200])
"""Lines that are compared at once: of more, only parts are."""


@st.composite
def batches(draw):
    """Smooth curves of K devices, some without a link, on even grids; who listens.

    The grids are the devices' own, or one grid but for a point or two.
    """
    k = draw(st.integers(1, 5))
    points = draw(st.integers(20, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    origin_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    start_s = origin_s + rng.uniform(0.0, 30.0, k)
    time_s = np.linspace(start_s, start_s + rng.uniform(60.0, 200.0, k), points, axis=1)
    if draw(st.booleans()):
        time_s = np.tile(time_s[0], (k, 1))
        for own in draw(st.lists(st.integers(0, points - 2), min_size=1, max_size=2)):
            time_s[:, own] += rng.random(k) * (time_s[:, own + 1] - time_s[:, own])
    low, high, turn = rng.uniform(1e3, 1e6, (3, k, 1))
    rate_bps = low + high * np.sin((time_s - origin_s) / 40.0 + 6.0 * turn / 1e6) ** 2
    rate_bps[rng.random(k) < 0.2] = 0.0
    return LinkCurve(time_s, rate_bps), rng.random(k) < 0.8


@given(batches(), AT_ONCE)
def test_it_is_the_minimum_of_all_who_have_a_link(drawn, at_once):
    curve, who = drawn
    listens = who & (curve.capacity_bits > 0)
    rows = [curve.device(k) for k in np.flatnonzero(listens)]
    with mock.patch(GROUP, at_once):
        lowest = weakest(curve, who)
    assert lowest.time_s.shape[0] == len(who)
    assert (lowest.capacity_bits[~listens] == 0).all()
    start_s = max([row.time_s[0] for row in rows], default=0.0)
    end_s = min([row.time_s[-1] for row in rows], default=0.0)
    if end_s <= start_s:
        assert (lowest.capacity_bits == 0).all()
        return
    assert (lowest.time_s[:, 0] == start_s).all() and (lowest.time_s[:, -1] == end_s).all()
    for when_s in lowest.time_s[0]:
        least = min(np.interp(when_s, row.time_s, row.rate_bps) for row in rows)
        assert lowest.rate_at_bps(when_s)[listens] == pytest.approx(least, rel=1e-6, abs=1e-6)
    # With all points, crossings and jumps: against a fine sum.
    edges_s = np.linspace(start_s, end_s, 20_001)
    each = [row.rate_at_bps((edges_s[1:] + edges_s[:-1]) / 2) for row in rows]
    true_bits = float(np.min(each, axis=0).sum() * (end_s - start_s) / 20_000)
    assert lowest.capacity_bits[listens] == pytest.approx(true_bits, rel=1e-6, abs=1.0)
    assert len(set(lowest.capacity_bits[listens].tolist())) == 1


ALL = (-math.inf, math.inf)
TEN = [0, 10]
FIVES = [-20, -10, 0, 10, 20, 30]
JUMP_S = 13.3
# Times, rates, span; bits of each, and rates of all at some times.
BY_HAND = {
    "lines cross at 4 and 6 s":
        ([TEN] * 3, [[0, 10], [10, 0], [4, 4]], ALL, [24] * 3, {0: 0, 4: 4, 5: 4, 6: 4, 8: 2}),
    "points repeat before a jump at the end":
        ([[0, 10, 10, 10, 10], [0, 5, 10, 15, 20]], [[2, 2, 2, 2, 9], [3] * 5], ALL, [20] * 2,
         {9: 2}),
    "a jump of one is one of all":
        ([[0, 10, JUMP_S, JUMP_S + 1e-7, 20, 30], [0, 7, 14, 21, 28, 30]],
         [[1, 1, 1, 9, 9, 9], [3] * 6], ALL, [63.4] * 2, {13.299: 1, 13.301: 3}),
    "a jump at a point of another":
        ([[0, 1, 3, 5], [0, 3, 3, 5]], [[4, 3, 2, 5], [3, 3, 1, 4]], ALL, [13] * 2, {3: 1}),
    "a jump of all between points of their own":
        ([[0, 4, 5, 5, 7, 10], [0, 3, 5, 5, 8, 10]], [[1, 1, 1, 6, 6, 6], [2, 2, 2, 4, 4, 4]],
         ALL, [25] * 2, {4.9: 1, 5.1: 4}),
    "in view only outside of the served part":
        ([[7209, 8114], [7419, 7905]], [[8] * 2] * 2, (8054, 8114), [480, 0], {}),
    "lowest only where two others cross":
        ([FIVES] * 3, [[0, 0, 0, 10, 10, 10], [10, 10, 10, 0, 0, 0], [4, 4, 4, 4, 1, 1]],
         (-20, 30), [24] * 3, {5: 4}),
    "a link only behind the span":
        ([[0, 50, 100], [0, 100, 200]], [[8] * 3, [0, 0, 9]], (0, 100), [800, 0], {}),
    "an instant in common": ([TEN, [10, 20]], [[8, 8]] * 2, ALL, [0, 0], {5: 0}),
}  # fmt: skip


@pytest.mark.parametrize("at_once", [1, 200])
@pytest.mark.parametrize("name", BY_HAND)
def test_lines_by_hand(name, at_once, monkeypatch):
    monkeypatch.setattr(GROUP, at_once)
    time_s, rate_bps, span_s, bits, rates = BY_HAND[name]
    curve = LinkCurve(time_s, rate_bps)
    lowest = weakest(curve, np.ones(len(bits), bool), span_s)
    assert lowest.capacity_bits == pytest.approx(bits, rel=1e-9, abs=1e-5)
    for when_s, rate in rates.items():
        assert lowest.rate_at_bps(when_s) == pytest.approx([rate] * len(bits), rel=1e-9)
    assert np.isinf(lowest.completion_time_s(np.array(bits) + 1.0)).all()
    assert (lowest.completion_time_s(0.0) == lowest.time_s[:, 0]).all()
