"""Curves of several contacts, one after the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import LinkCurve, joined


def _curve(rng, devices, start_s):
    """A batch of curves of random grids that begin at or after `start_s`."""
    time = start_s + np.sort(rng.uniform(0, 100, (devices, rng.integers(2, 7))), axis=1)
    return LinkCurve(time, rng.uniform(0, 1e6, time.shape))


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_what_is_carried_by_any_time_is_the_sum_over_the_spans(seed, devices, parts):
    rng = np.random.default_rng(seed)
    curves = [_curve(rng, devices, 60.0 * n) for n in range(parts)]
    edges = np.sort(rng.uniform(0, 60.0 * parts + 60, 2 * parts))
    spans = list(zip(edges[::2], edges[1::2], strict=True))
    whole = joined(curves, spans)
    for now in rng.uniform(-10, 60.0 * parts + 100, 8):
        expected = sum(
            curve.delivered_bits(np.clip(now, a, b)) - curve.delivered_bits(a)
            for curve, (a, b) in zip(curves, spans, strict=True)
        )
        np.testing.assert_allclose(whole.delivered_bits(now), expected, rtol=1e-9, atol=1e-3)


def test_a_payload_goes_on_in_the_next_contact():
    time = np.array([[0.0, 10.0]])
    first, second = LinkCurve(time, np.full((1, 2), 8.0)), LinkCurve(time + 5, np.full((1, 2), 4.0))
    whole = joined([first, second], [(0.0, 7.0), (9.0, 15.0)])
    assert whole.capacity_bits.tolist() == [7 * 8 + 6 * 4]
    assert whole.completion_time_s(60.0).tolist() == [10.0]
    assert whole.rate_at_bps(6.5).tolist() == [8.0]
    assert whole.rate_at_bps(8.0).tolist() == [0.0]
    assert whole.rate_at_bps(9.5).tolist() == [4.0]


@given(st.integers(0, 10_000), st.floats(-20, 130))
def test_the_rate_is_linear_between_grid_points(seed, now):
    curve = _curve(np.random.default_rng(seed), 1, 0.0)
    expected = np.interp(now, curve.time_s[0], curve.rate_bps[0], left=0.0, right=0.0)
    assert curve.rate_at_bps(now)[0] == pytest.approx(expected, abs=1e-6)
    assert curve.device(0).rate_at_bps(now) == pytest.approx(expected, abs=1e-6)


def test_what_cannot_be_joined_is_refused():
    rng = np.random.default_rng(1)
    two, three = _curve(rng, 2, 0.0), _curve(rng, 3, 100.0)
    for curves, spans, words in (
        ([], [], "0 curves"),
        ([two], [(0, 1), (2, 3)], "1 curves and 2 spans"),
        ([two, three], [(0, 1), (2, 3)], "batches of the same devices"),
        ([two.device(0)], [(0, 1)], "batches of the same devices"),
        ([two, two], [(0, 3), (2, 4)], "overlap"),
    ):
        with pytest.raises(ValueError, match=words):
            joined(curves, spans)
