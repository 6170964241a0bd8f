"""Link curves against numerical integration and root finding, and their own laws."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from channel import LinkCurve

pytestmark = pytest.mark.filterwarnings("error")  # no invalid operation goes unseen

RATES_BPS = st.one_of(st.just(0.0), st.floats(1e2, 1e8))
STEPS_S = st.one_of(st.just(0.0), st.floats(1e-2, 60.0))


@st.composite
def curves(draw):
    """Curves with stretches of no rate, jumps and a start up to a year after the scenario's."""
    steps = draw(st.lists(STEPS_S, min_size=1, max_size=12))
    rates = draw(st.lists(RATES_BPS, min_size=len(steps) + 1, max_size=len(steps) + 1))
    start_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    return LinkCurve(start_s + np.cumsum([0.0, *steps]), rates)


@st.composite
def curves_and_starts(draw):
    curve = draw(curves())
    first_s, last_s = float(curve.time_s[0]), float(curve.time_s[-1])
    return curve, draw(st.floats(first_s - 10.0, last_s + 10.0))


def resolution_bits(curve: LinkCurve) -> float:
    """What float64 cannot tell apart: rounding of the sum, and ticks of the clock at peak rate."""
    tick_s = np.spacing(np.abs(curve.time_s).max())
    return 1e-12 * float(curve.capacity_bits) + 2.0 * tick_s * float(curve.rate_bps.max())


def bits_by_quadrature(time_s, rate_bps, until_s: float) -> float:
    """Sum of scipy's integrals of the interpolated rate over the segments."""
    total = 0.0
    for a, b in pairwise(time_s):
        if a < until_s and a < b:
            end = min(b, until_s)
            total += quad(lambda t: np.interp(t, time_s, rate_bps), a, end, epsrel=1e-12)[0]
    return total


def a_pass() -> LinkCurve:
    time_s = np.linspace(5400.0, 5900.0, 64)
    return LinkCurve(time_s, 5e6 * np.sin(np.pi * (time_s - 5400.0) / 500.0) ** 2)


def test_delivered_bits_are_the_integral_of_the_rate():
    curve = a_pass()
    for until_s in [5400.0, 5400.5, 5483.1, 5650.0, 5899.9, 5900.0]:
        expected = bits_by_quadrature(curve.time_s, curve.rate_bps, until_s)
        assert curve.delivered_bits(until_s) == pytest.approx(expected, rel=1e-10)


def test_completion_is_the_root_of_the_integral():
    curve = a_pass()
    for start_s in [5300.0, 5400.0, 5512.3, 5801.0]:
        before = bits_by_quadrature(curve.time_s, curve.rate_bps, start_s)
        left = float(curve.capacity_bits) - before
        for share in [1e-3, 0.2, 0.5, 0.999]:
            bits = share * left
            expected_s = brentq(
                lambda t, goal=before + bits: (
                    bits_by_quadrature(curve.time_s, curve.rate_bps, t) - goal
                ),
                max(start_s, 5400.0),
                5900.0,
                xtol=1e-9,
            )
            assert curve.completion_time_s(bits, start_s) == pytest.approx(expected_s, abs=1e-6)


def test_a_constant_rate_takes_size_over_rate():
    curve = LinkCurve([100.0, 700.0], [5e6, 5e6])
    assert curve.capacity_bits == 3e9
    assert curve.completion_time_s(3e9) == 700.0
    assert curve.completion_time_s(1e6, 200.0) == 200.2
    assert curve.completion_time_s(1e6, 0.0) == 100.2
    assert curve.completion_time_s(1e6, 699.9) == math.inf


def test_a_ramp_from_nothing_takes_the_square_root():
    up = LinkCurve([0.0, 100.0], [0.0, 200.0])  # t^2 bits by t
    assert up.completion_time_s([1.0, 4.0, 10_000.0]) == pytest.approx([1.0, 2.0, 100.0], rel=1e-14)
    down = LinkCurve([0.0, 100.0], [200.0, 0.0])  # 10000 - (100 - t)^2 bits by t
    assert down.completion_time_s([7500.0, 9999.0, 10_000.0]) == pytest.approx([50.0, 99.0, 100.0])


def test_a_silent_stretch_is_waited_through():
    curve = LinkCurve([0.0, 10.0, 10.0, 30.0, 30.0, 40.0], [8.0, 8.0, 0.0, 0.0, 4.0, 4.0])
    assert curve.capacity_bits == 120.0
    assert curve.completion_time_s([80.0, 84.0, 120.0]).tolist() == [10.0, 31.0, 40.0]
    assert curve.completion_time_s(4.0, start_s=15.0) == 31.0
    assert curve.delivered_bits([5.0, 10.0, 20.0, 30.0, 35.0]).tolist() == [40, 80, 80, 80, 100]


def test_the_earliest_time_counts_when_the_rate_ends_before_the_grid():
    curve = LinkCurve([0.0, 10.0, 20.0, 90.0], [5.0, 5.0, 0.0, 0.0])
    assert curve.completion_time_s(75.0) == 20.0
    assert curve.completion_time_s(1.0, start_s=30.0) == math.inf


def test_the_whole_rest_is_through_when_the_satellite_sets():
    rng = np.random.default_rng(2)
    for _ in range(200):
        time_s = rng.uniform(0.0, 3e7) + np.cumsum(rng.uniform(0.1, 9.0, 40))
        curve = LinkCurve(time_s, rng.uniform(1e5, 5e6, 40))
        assert curve.completion_time_s(curve.capacity_bits) == time_s[-1]
        start_s = rng.uniform(time_s[0], time_s[-1])
        rest = curve.capacity_bits - curve.delivered_bits(start_s)
        assert curve.completion_time_s(rest, start_s) == time_s[-1]
        parts = rng.uniform(0.0, 1.0, 9)
        summed = sum((parts / parts.sum() * curve.capacity_bits).tolist())
        assert curve.completion_time_s(summed) == pytest.approx(time_s[-1], abs=1e-6)
        assert curve.completion_time_s(curve.capacity_bits + 8.0) == math.inf


def test_rounding_carries_nothing_past_a_grid_point():
    rng = np.random.default_rng(3)
    for _ in range(1000):
        points = rng.integers(2, 20)
        time_s = rng.choice([0.0, 1.0, 5e3]) + np.cumsum(rng.uniform(0.01, 9.0, points))
        curve = LinkCurve(time_s, rng.uniform(0.0, 5e6, points) * (rng.random(points) > 0.3))
        by_point = curve.delivered_bits(time_s)
        assert by_point[-1] == curve.capacity_bits
        assert (curve.delivered_bits(np.nextafter(time_s, 0.0)) <= by_point).all()
        carried = np.flatnonzero(np.diff(by_point) > 0) + 1
        goals = by_point[carried]
        assert (curve.completion_time_s(goals) == time_s[carried]).all()
        for fewer in (np.nextafter(goals, 0.0), goals * (1 - 3e-16), goals * (1 - 1e-15)):
            assert (curve.completion_time_s(fewer) <= time_s[carried]).all()


def test_a_rate_times_a_duration_gets_through_at_any_date():
    # 600.1 s added to a late date rounds, half of the time to a shorter contact.
    starts_s = [0.0, 5400.1, *np.random.default_rng(4).uniform(0.0, 3e9, 200)]
    assert any(start_s + 600.1 - start_s < 600.1 for start_s in starts_s)
    for start_s in starts_s:
        curve = LinkCurve([start_s, start_s + 600.1], [5e6, 5e6])
        end_s = curve.completion_time_s(5e6 * 600.1)
        assert abs(end_s - (start_s + 600.1)) <= np.spacing(start_s + 600.1)


def test_a_payload_too_small_for_float64_is_not_through_before_it_is_sent():
    curve = LinkCurve([0.0, 10.0, 10.0, 30.0, 30.0, 40.0], [8.0, 8.0, 0.0, 0.0, 4.0, 4.0])
    assert 15.0 <= curve.completion_time_s(1e-20, start_s=15.0) <= 30.0


def test_nothing_is_through_at_once():
    curve = a_pass()
    starts_s = np.array([0.0, 5400.0, 5500.0, 9999.0, np.inf])
    assert (curve.completion_time_s(0.0, starts_s) == starts_s).all()
    assert curve.completion_time_s(0.0) == 5400.0


def test_what_starts_after_the_contact_or_never_is_never_through():
    curve = a_pass()
    assert curve.completion_time_s(1e-9, [5900.0, 6000.0, np.inf]).tolist() == [math.inf] * 3


def test_before_the_contact_nothing_and_after_it_everything_is_delivered():
    curve = a_pass()
    assert curve.delivered_bits([-np.inf, 0.0, 5400.0]).tolist() == [0.0, 0.0, 0.0]
    assert (curve.delivered_bits([5900.0, 1e9, np.inf]) == curve.capacity_bits).all()


@given(curves_and_starts(), st.floats(1e-6, 1.0))
def test_what_is_sent_is_delivered_at_its_completion(curve_and_start, share):
    curve, start_s = curve_and_start
    before = curve.delivered_bits(start_s)
    bits = share * (curve.capacity_bits - before)
    end_s = curve.completion_time_s(bits, start_s)
    if np.isfinite(end_s):
        delivered = curve.delivered_bits(end_s) - before
        assert delivered == pytest.approx(bits, rel=1e-9, abs=resolution_bits(curve))
    else:  # only at the very end of the curve, and by less than its resolution
        assert bits <= resolution_bits(curve)


@given(curves_and_starts(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_more_bits_are_never_through_sooner(curve_and_start, share_one, share_two):
    curve, start_s = curve_and_start
    few, many = np.sort([share_one, share_two]) * 1.1 * curve.capacity_bits
    first_s, second_s = curve.completion_time_s([few, many], start_s)
    tick_s = np.spacing(abs(curve.time_s).max())
    assert first_s <= second_s + tick_s
    assert first_s >= start_s


@given(curves(), st.floats(-0.1, 1.1), st.floats(-0.1, 1.1))
def test_delivered_bits_never_decrease(curve, share_one, share_two):
    first_s, last_s = curve.time_s[0], curve.time_s[-1]
    sooner_s, later_s = first_s + np.sort([share_one, share_two]) * (last_s - first_s)
    sooner, later = curve.delivered_bits([sooner_s, later_s])
    assert 0.0 <= sooner <= curve.capacity_bits
    assert later >= sooner * (1.0 - 1e-15)


@given(curves(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_payload_in_two_parts_is_through_when_the_whole_is(curve, share, part):
    bits = share * curve.capacity_bits
    whole_s = curve.completion_time_s(bits)
    first_s = curve.completion_time_s(part * bits)
    second_s = curve.completion_time_s((1.0 - part) * bits, first_s)
    if np.isfinite(second_s):
        rest = curve.delivered_bits(second_s) - curve.delivered_bits(whole_s)
        assert abs(rest) <= 1e-9 * bits + 2 * resolution_bits(curve)
    else:
        assert (1.0 - part) * bits <= resolution_bits(curve)


@given(st.lists(RATES_BPS, min_size=2, max_size=9), st.floats(0.0, 1.0), st.integers(-99, 99))
def test_a_contact_moved_in_time_moves_its_completions(rates, share, shift_s):
    time_s = 4.0 * np.arange(len(rates))  # binary fractions: the move itself does not round
    here, there = LinkCurve(time_s, rates), LinkCurve(time_s + shift_s, rates)
    assert there.capacity_bits == here.capacity_bits
    bits = share * here.capacity_bits
    assert there.completion_time_s(bits) - shift_s == pytest.approx(
        here.completion_time_s(bits), abs=1e-12
    )


@pytest.mark.parametrize("shared", ["times", "rates", "neither"])
def test_a_batch_is_its_devices_one_by_one(shared):
    rng = np.random.default_rng(8)
    time_s = np.sort(rng.uniform(0.0, 500.0, (6, 30)).round(0), axis=1)
    rate_bps = rng.uniform(0.0, 5e6, (6, 30)) * (rng.random((6, 30)) > 0.3)
    batch = LinkCurve(
        time_s[0] if shared == "times" else time_s, rate_bps[0] if shared == "rates" else rate_bps
    )
    bits, start_s = rng.uniform(0.0, 1e9, 6), rng.uniform(-10.0, 510.0, 6)
    bits[0] = 0.0
    for k in range(6):
        alone = batch.device(k)
        assert alone.time_s.shape == (30,)
        assert batch.capacity_bits[k] == alone.capacity_bits
        assert batch.delivered_bits(start_s)[k] == alone.delivered_bits(start_s[k])
        assert batch.delivered_bits(250.0)[k] == alone.delivered_bits(250.0)
        assert batch.completion_time_s(1e8)[k] == alone.completion_time_s(1e8)
        assert batch.completion_time_s(bits, start_s)[k] == alone.completion_time_s(
            bits[k], start_s[k]
        )


def test_a_batch_waits_through_silent_stretches_row_by_row():
    rates = [[8.0, 8.0, 0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 8.0, 8.0, 8.0, 8.0], [0.0] * 6]
    batch = LinkCurve([0.0, 10.0, 10.0, 30.0, 30.0, 40.0], rates)
    assert batch.capacity_bits.tolist() == [120.0, 240.0, 0.0]
    assert batch.completion_time_s(80.0).tolist() == [10.0, 20.0, math.inf]
    assert batch.completion_time_s([84.0, 240.0, 0.0]).tolist() == [31.0, 40.0, 0.0]
    assert batch.delivered_bits([10.0, 10.0, 10.0]).tolist() == [80.0, 0.0, 0.0]


def test_times_and_sizes_of_one_curve_have_any_shape():
    curve = a_pass()
    assert curve.delivered_bits(np.full((2, 3, 4), 5500.0)).shape == (2, 3, 4)
    assert curve.completion_time_s(np.ones((3, 1)), np.full(4, 5500.0)).shape == (3, 4)
    assert np.shape(curve.completion_time_s(1.0)) == () == np.shape(curve.capacity_bits)


def test_a_curve_keeps_its_own_copy_of_the_grid():
    time_s, rate_bps = np.array([0.0, 10.0]), np.array([1.0, 1.0])
    curve = LinkCurve(time_s, rate_bps)
    rate_bps[:] = 99.0
    assert curve.delivered_bits(10.0) == 10.0
    with pytest.raises(ValueError, match="read-only"):
        curve.rate_bps[0] = 7.0


@pytest.mark.parametrize(
    ("time_s", "rate_bps", "name"),
    [
        ([0.0, math.nan], [1.0, 1.0], "time_s is nan"),
        ([0.0, math.inf], [1.0, 1.0], "time_s is inf"),
        ([1.0, 0.0], [1.0, 1.0], "a step of time_s is -1"),
        ([0.0, 1.0], [1.0, -1.0], "rate_bps is -1"),
        ([0.0, 1.0], [1.0, math.inf], "rate_bps is inf"),
        ([0.0], [1.0], r"time_s has shape \(1,\)"),
        ([0.0, 1.0], [1.0, 1.0, 1.0], "and rate_bps"),
        ([0.0, 1.0], [1.0], "and rate_bps"),
        (0.0, [1.0, 1.0], r"time_s has shape \(\)"),
        ([0.0, 1.0], 5e6, r"rate_bps \(\)"),
        ([], [], r"time_s has shape \(0,\)"),
        (np.zeros((2, 2)), np.zeros((3, 2)), "and rate_bps"),
        (np.zeros((1, 2, 2)), np.zeros(2), "and rate_bps"),
        ("soon", [1.0, 1.0], "time_s is 'soon'"),
    ],
)
def test_a_wrong_grid_is_named_in_one_line(time_s, rate_bps, name):
    with pytest.raises(ValueError, match=name) as caught:
        LinkCurve(time_s, rate_bps)
    assert "\n" not in str(caught.value)


def test_wrong_questions_are_refused():
    curve = a_pass()
    batch = LinkCurve([0.0, 1.0], np.ones((3, 2)))
    with pytest.raises(ValueError, match="bits is -1"):
        curve.completion_time_s(-1.0)
    with pytest.raises(ValueError, match="bits is inf"):
        curve.completion_time_s(np.inf)
    with pytest.raises(ValueError, match="start_s is nan"):
        curve.completion_time_s(1.0, np.nan)
    with pytest.raises(ValueError, match="time_s is nan"):
        curve.delivered_bits([0.0, np.nan])
    with pytest.raises(ValueError, match=r"shape \(2,\) does not fit a batch"):
        batch.completion_time_s([1.0, 2.0])
    with pytest.raises(ValueError, match="device is 3; this curve is a batch of 3 devices"):
        batch.device(3)
    with pytest.raises(ValueError, match="device is 0; this curve is a batch of 0 devices"):
        curve.device(0)


def test_a_million_questions_take_seconds_and_agree_with_the_integral():
    rng = np.random.default_rng(1)
    curve = a_pass()
    bits = rng.uniform(0.0, 1.0, 1_000_000) * curve.capacity_bits
    end_s = curve.completion_time_s(bits)
    assert np.abs(curve.delivered_bits(end_s) - bits).max() <= resolution_bits(curve)
