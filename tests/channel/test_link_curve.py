"""Link curves against numerical integration and root finding, and rates that keep their bits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from channel import LinkCurve, bit_preserving, joined
from channel.link_curve import between_smooth_cells, cell_middle_rates

pytestmark = pytest.mark.filterwarnings("error")  # no invalid operation goes unseen
SEEDS = st.integers(0, 10**6)
STEPS_S = [0.0, 10.0, 10.0, 30.0, 30.0, 40.0]


@st.composite
def curves_and_starts(draw):
    """Curves with stretches of no rate, jumps and a start up to a year after the scenario's."""
    steps = draw(st.lists(st.just(0.0) | st.floats(1e-2, 60.0), min_size=1, max_size=12))
    points = len(steps) + 1
    rates = draw(st.lists(st.just(0.0) | st.floats(1e2, 1e8), min_size=points, max_size=points))
    start_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    time_s = start_s + np.cumsum([0.0, *steps])
    return LinkCurve(time_s, rates), draw(st.floats(time_s[0] - 10.0, time_s[-1] + 10.0))


def resolution_bits(curve):
    """What float64 cannot tell apart: rounding of the sum, and ticks of the clock at peak rate."""
    tick_s = np.spacing(np.abs(curve.time_s).max())
    return 1e-12 * float(curve.capacity_bits) + 2.0 * tick_s * float(curve.rate_bps.max())


def test_constant_rates_ramps_and_silence_by_hand():
    constant = LinkCurve([100.0, 700.0], [5e6, 5e6])
    ends_s = constant.completion_time_s([3e9, 1e6, 1e6, 1e6], [100.0, 200.0, 0.0, 699.9])
    assert ends_s.tolist() == [700.0, 200.2, 100.2, math.inf]
    up = LinkCurve([0.0, 100.0], [0.0, 200.0])  # t^2 bits by t
    assert up.completion_time_s([1.0, 4.0, 10_000.0]) == pytest.approx([1.0, 2.0, 100.0], rel=1e-14)
    silent = LinkCurve(STEPS_S, [8.0, 8.0, 0.0, 0.0, 4.0, 4.0])
    assert silent.completion_time_s([80.0, 84.0, 120.0]).tolist() == [10.0, 31.0, 40.0]
    assert silent.rate_at_bps([-0.1, 9.9, 10.0, 30.0, 40.0, 40.1]).tolist() == [0, 8, 0, 4, 4, 0]
    # Nothing is through at once, and what starts after the contact or never is never through.
    starts_s = [-math.inf, 0.0, 15.0, 40.0, math.inf]
    assert silent.completion_time_s(0.0, starts_s).tolist() == starts_s
    assert constant.completion_time_s(0.0) == 100.0
    assert silent.completion_time_s(1e-9, [40.0, 50.0, math.inf]).tolist() == [math.inf] * 3
    # A payload too small for float64 is not through before it is sent.
    assert 15.0 <= silent.completion_time_s(1e-20, start_s=15.0) <= 30.0


def test_rounding_neither_holds_up_the_rest_nor_carries_anything_past_a_grid_point():
    rng = np.random.default_rng(3)
    for origin_s in [0.0, 1.0, 5e3, 3e7] * 100:
        time_s = origin_s + np.cumsum(rng.uniform(0.01, 9.0, rng.integers(2, 40)))
        rate_bps = rng.uniform(1e5, 5e6, time_s.shape)
        curve = LinkCurve(time_s, rate_bps * (rng.random(time_s.shape) > 0.3))
        by_point = curve.delivered_bits(time_s)
        assert by_point[-1] == curve.capacity_bits
        assert (curve.delivered_bits(np.nextafter(time_s, 0.0)) <= by_point).all()
        carried = np.flatnonzero(np.diff(by_point) > 0) + 1
        goals = by_point[carried]
        assert (curve.completion_time_s(goals) == time_s[carried]).all()
        for fewer in (np.nextafter(goals, 0.0), goals * (1 - 1e-15)):
            assert (curve.completion_time_s(fewer) <= time_s[carried]).all()
        curve = LinkCurve(time_s + rng.uniform(0.0, 3e7), rate_bps)
        start_s = rng.uniform(curve.time_s[0], curve.time_s[-1])
        rest = curve.capacity_bits - curve.delivered_bits(start_s)
        assert curve.completion_time_s(rest, start_s) == curve.time_s[-1]
        assert curve.completion_time_s(curve.capacity_bits + 8.0) == math.inf


@given(curves_and_starts(), st.floats(1e-6, 1.0), st.floats(0.0, 1.1))
def test_what_is_sent_is_delivered_at_its_completion_and_more_not_sooner(drawn, share, other):
    curve, start_s = drawn
    before = curve.delivered_bits(start_s)
    bits = share * (curve.capacity_bits - before)
    end_s = curve.completion_time_s(bits, start_s)
    if np.isfinite(end_s):
        delivered = curve.delivered_bits(end_s) - before
        assert delivered == pytest.approx(bits, rel=1e-9, abs=resolution_bits(curve))
    else:  # only at the very end of the curve, and by less than its resolution
        assert bits <= resolution_bits(curve)
    few, many = sorted([bits, other * curve.capacity_bits])
    first_s, second_s = curve.completion_time_s([few, many], start_s)
    assert start_s <= first_s <= second_s + np.spacing(abs(curve.time_s).max())
    sooner, later = curve.delivered_bits(start_s + np.array([0.0, 20.0 * other]))
    assert 0.0 <= sooner * (1.0 - 1e-15) <= later <= curve.capacity_bits


@pytest.mark.parametrize("shared", ["times", "rates", "neither"])
def test_a_batch_is_its_devices_one_by_one(shared):
    rng = np.random.default_rng(8)
    time_s = np.sort(rng.uniform(0.0, 500.0, (6, 30)).round(0), axis=1)
    rate_bps = rng.uniform(0.0, 5e6, (6, 30)) * (rng.random((6, 30)) > 0.3)
    time_s = time_s[0] if shared == "times" else time_s
    batch = LinkCurve(time_s, rate_bps[0] if shared == "rates" else rate_bps)
    bits = np.append(0.0, rng.uniform(0.0, 1e9, 5))
    start_s = rng.uniform(-10.0, 510.0, 6)
    asked = {"delivered_bits": [start_s], "rate_at_bps": [start_s]}
    asked |= {"completion_time_s": [bits, start_s]}
    for k in range(6):
        alone = batch.device(k)
        assert alone.time_s.shape == (30,) and batch.capacity_bits[k] == alone.capacity_bits
        for name, arguments in asked.items():
            own = getattr(alone, name)(*(values[k] for values in arguments))
            assert getattr(batch, name)(*arguments)[k] == own, name


def test_questions_that_do_not_fit_are_refused():
    batch, two = (LinkCurve([0.0, 1.0], np.ones((devices, 2))) for devices in (3, 2))
    for text, function, arguments in (
        (r"shape \(2,\) does not fit a batch", batch.completion_time_s, ([1.0, 2.0],)),
        ("device is 3; this curve is a batch of 3 devices", batch.device, (3,)),
        ("and rate_bps", LinkCurve, (np.zeros((2, 2)), np.zeros((3, 2)))),
        ("0 curves", joined, ([], [])),
        ("1 curves and 2 spans", joined, ([batch], [(0, 1), (2, 3)])),
        ("batches of the same devices", joined, ([batch, two], [(0, 1), (2, 3)])),
        ("overlap", joined, ([batch, batch], [(0, 3), (2, 4)])),
    ):
        with pytest.raises(ValueError, match=text):
            function(*arguments)


# Several contacts as one


@given(SEEDS, st.integers(1, 4), st.integers(1, 4))
def test_what_is_carried_by_any_time_is_the_sum_over_the_spans(seed, devices, parts):
    rng = np.random.default_rng(seed)
    curves = []
    for part in range(parts):
        time_s = 60.0 * part + np.sort(rng.uniform(0, 100, (devices, rng.integers(2, 7))), axis=1)
        curves.append(LinkCurve(time_s, rng.uniform(0, 1e6, time_s.shape)))
    edges = np.sort(rng.uniform(0, 60.0 * parts + 60, 2 * parts))
    spans = list(zip(edges[::2], edges[1::2], strict=True))
    whole = joined(curves, spans)
    for now in rng.uniform(-10, 60.0 * parts + 100, 8):
        carried = [
            curve.delivered_bits(np.clip(now, a, b)) - curve.delivered_bits(a)
            for curve, (a, b) in zip(curves, spans, strict=True)
        ]
        np.testing.assert_allclose(whole.delivered_bits(now), sum(carried), rtol=1e-9, atol=1e-3)
        one = curves[0].device(0)
        expected = np.interp(now, one.time_s, one.rate_bps, left=0.0, right=0.0)
        assert one.rate_at_bps(now) == pytest.approx(expected, abs=1e-6)


def test_one_sloped_cell_is_cut_to_its_span():
    ramp = LinkCurve([[0.0, 10.0]], [[0.0, 10.0]])
    assert joined([ramp], [(2.0, 4.0)]).capacity_bits == pytest.approx(6.0)  # of t dt


def test_a_curve_carries_from_its_first_bit_to_its_last():
    pulse = LinkCurve([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]], [[0.0, 0.0, 5.0, 0.0, 0.0, 0.0]])
    begin_s, end_s = pulse.span_s
    assert (begin_s.tolist(), end_s.tolist()) == ([1.0], [3.0])


# Rates on an even grid whose cells carry the right bits


def bits(rate_bps, time_s):
    return (rate_bps[..., 1:] + rate_bps[..., :-1]) / 2 * np.diff(time_s)


def preserving(rate_bps, where=None):
    """Of rows (K, T), and of them beside a longer and a shorter one, which changes no bit."""
    rows, points = rate_bps.shape
    counts = np.full(rows, points)
    mask = None if where is None else where.ravel()
    changed = bit_preserving(rate_bps.ravel(), counts, mask)
    around = [np.arange(11.0) ** 2, rate_bps.ravel(), np.ones(3)]
    counts = [11, *counts, 3]
    if where is not None:
        mask = np.concatenate([np.ones(11, bool), mask, np.ones(3, bool)])
    beside = bit_preserving(np.concatenate(around), np.array(counts), mask)
    assert (beside[11:-3] == changed).all()
    return changed.reshape(rows, points)


@pytest.mark.parametrize("points", [4, 5, 7, 8, 9, 30])
def test_every_cell_of_a_cubic_rate_has_its_true_bits(points):
    """At the ends as well; and rows do not know of each other."""
    rng = np.random.default_rng(points)
    time_s = np.linspace(-3.0, 5.0, points)
    laws = [Polynomial([1e3, *rng.uniform(-2.0, 2.0, 3)]) for _ in range(9)]
    rate = np.array([law(time_s) for law in laws])
    before = rate.copy()
    changed = preserving(rate)
    assert (rate == before).all()
    for law, row, own in zip(laws, changed, rate, strict=True):
        assert bits(row, time_s) == pytest.approx(np.diff(law.integ()(time_s)), rel=1e-12)
        assert (row == bit_preserving(own, np.array([points]))).all()


@given(SEEDS, st.integers(8, 20))
def test_near_a_jump_points_are_left_and_the_middle_of_a_cell_makes_up_for_it(seed, points):
    rng = np.random.default_rng(seed)
    time_s = np.linspace(-3.0, 5.0, points)
    law = Polynomial([1e3, *rng.uniform(-2.0, 2.0, 3)])
    rate = law(time_s)[None, :]
    smooth = rng.random(points - 1) < 0.8
    inner = between_smooth_cells(np.append(smooth, False))[None, :]
    beside = np.pad(smooth, 2)  # a point needs two smooth cells on either side
    assert inner.tolist() == [[beside[i : i + 4].all() for i in range(points)]]
    used = preserving(rate, inner)
    assert (used == np.where(inner, preserving(rate), rate)).all()
    wanted = np.diff(law.integ()(time_s))
    lasts_s = np.diff(time_s)
    middle = cell_middle_rates(wanted / lasts_s, (used[0, :-1], used[0, 1:]))
    halves = (used[0, :-1] + 2 * middle + used[0, 1:]) / 4
    assert halves * lasts_s == pytest.approx(wanted, rel=1e-12)
