"""Sharing a beam against event simulations, small steps and closed forms written here."""

import heapq
import math
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channel import LinkCurve
from tests.kit.network import Stretch, queued, seconds, shared

pytestmark = pytest.mark.filterwarnings("error")  # no invalid operation goes unseen

BAND_HZ = 20e6


# -- what devices ask for, drawn at random


@st.composite
def requests(draw, fewest=1):
    """A batch of curves on grids of their own, with gaps and jumps; arrivals, sizes and senders."""
    k, points = draw(st.integers(fewest, 7)), draw(st.integers(2, 6))
    start_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    steps_s = rng.uniform(0.5, 40.0, (k, points)) * (rng.random((k, points)) > 0.2)
    time_s = start_s + np.cumsum(steps_s, axis=1)
    rate_bps = rng.uniform(1e3, 5e6, (k, points)) * (rng.random((k, points)) > 0.3)
    arrival_s = start_s + rng.uniform(-20.0, 120.0, k)
    arrival_s[rng.random(k) < 0.1] = math.inf
    bits = rng.choice([0.0, 1e3, 1e6, 2e7, 2e8], k) * rng.uniform(0.5, 1.5, k)
    return LinkCurve(time_s, rate_bps), arrival_s, bits, rng.random(k) < 0.9


@st.composite
def flows(draw):
    """Rates of devices alone on common nodes, as in `requests`."""
    k, points = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    start_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    nodes_s = start_s + np.cumsum(rng.uniform(1.0, 30.0, points))
    edges_bps = rng.uniform(1e4, 5e6, (points - 1, 2, k)) * (rng.random((points - 1, 2, k)) > 0.2)
    arrival_s = start_s + rng.uniform(-20.0, 120.0, k)
    arrival_s[rng.random(k) < 0.1] = math.inf
    bits = rng.choice([0.0, 1e3, 1e6, 2e7, 2e8], k) * rng.uniform(0.5, 1.5, k)
    return nodes_s, edges_bps, arrival_s, bits, rng.random(k) < 0.9


def narrower(rate_bps, devices):
    """Any law by which more devices get less each, though more together."""
    return rate_bps / devices**0.7


def by_turns(channels):
    return lambda rate_bps, devices: rate_bps * min(1.0, channels / devices)


def in_cells(nodes_s, edges_bps):
    """Rates that are linear between nodes, with a jump at each: a curve."""
    times_s = np.repeat(nodes_s, 2)[1:-1]
    return LinkCurve(times_s, edges_bps.transpose(2, 0, 1).reshape(edges_bps.shape[2], -1))


def shared_by(law, nodes_s, edges_bps, *asked):
    """So many devices follow a law; who has a rate if alone has a link."""

    def stretch_of(devices, now_s, who):
        return Stretch(in_cells(nodes_s, law(edges_bps, devices)))

    return shared(stretch_of, in_cells(nodes_s, edges_bps), *asked)


def steadily(rate_bps, nodes_s, *asked, law=narrower):
    """Rates (K,) of the devices alone that never change."""
    edges_bps = np.tile(np.asarray(rate_bps, float), (len(nodes_s) - 1, 2, 1))
    return shared_by(law, np.asarray(nodes_s, float), edges_bps, *asked)


def agrees_with_its_curve(shares, bits):
    """The three parts of what a device was given say the same."""
    begin_s, end_s, curve = shares.begin_s, shares.end_s, shares.curve
    if isinstance(curve, LinkCurve):
        again_s = curve.completion_time_s(bits, begin_s)
        assert again_s == pytest.approx(end_s, rel=1e-9, abs=1e-9)
    tick_s = np.spacing(np.abs(end_s[np.isfinite(end_s)]).max(initial=1.0))
    most = bits * (1 + 1e-12) + 4 * tick_s * 5e6
    through = np.isfinite(end_s)
    sent = curve.delivered_bits(end_s) - curve.delivered_bits(begin_s)
    assert (np.abs(sent - bits) <= most - bits)[through].all()
    assert (sent <= most)[np.isfinite(begin_s)].all()
    assert (begin_s <= end_s).all()


def rate_of(curve, time_s):
    """Mean rate (K,) of a hundredth of a second around a time."""
    return (curve.delivered_bits(time_s + 5e-3) - curve.delivered_bits(time_s - 5e-3)) / 1e-2


# -- sub-channels


def in_a_queue(curve, arrival_s, bits, who, channels):
    """Events from a heap: who comes joins the queue, who leaves lets the next one in."""
    k = len(bits)
    begin_s, end_s = np.full((2, k), math.inf)
    events, queue, free = [], [], channels
    for device in range(k):
        row = curve.device(device)
        carried = row.delivered_bits(row.time_s)
        comes_s = max(arrival_s[device], row.time_s[0])
        if bits[device] == 0:
            comes_s = comes_s if who[device] else math.inf
            begin_s[device] = end_s[device] = comes_s
        elif who[device] and carried[-1] > 0:
            opens_s = row.time_s[carried == 0][-1]
            heapq.heappush(events, (max(comes_s, opens_s), 1, device))
    while events:
        now_s, kind, device = heapq.heappop(events)
        if kind == 0:
            free += 1
        else:
            queue.append(device)
        if events and events[0][:2] < (now_s, 2):
            continue  # everything of this instant first
        while free and queue:
            device = queue.pop(0)
            row = curve.device(device)
            left = float(row.capacity_bits - row.delivered_bits(now_s))
            closes_s = float(row.completion_time_s(row.capacity_bits))
            if left > 0 and now_s < closes_s:
                free -= 1
                begin_s[device] = now_s
                end_s[device] = row.completion_time_s(bits[device], now_s)
                heapq.heappush(events, (min(end_s[device], closes_s), 0, device))
    return begin_s, end_s


@given(requests(), st.integers(1, 4))
def test_a_queue_is_what_its_simulation_gives(asked, channels):
    begin_s, end_s = in_a_queue(*asked, channels)
    shares = queued(*asked, channels)
    assert shares.end_s == pytest.approx(end_s, rel=1e-9, abs=1e-6)
    assert shares.begin_s == pytest.approx(begin_s, rel=1e-9, abs=1e-6)


@given(requests(), st.integers(1, 4))
def test_a_queue_conserves_bits(asked, channels):
    curve, _, bits, _ = asked
    shares = queued(*asked, channels)
    if shares.curve is curve:
        assert shares.end_s.tolist() == curve.completion_time_s(bits, shares.begin_s).tolist()
    else:
        agrees_with_its_curve(shares, bits)
        cut = np.isinf(shares.end_s) & np.isfinite(shares.begin_s)
        rest = curve.capacity_bits - curve.delivered_bits(shares.begin_s)
        assert shares.curve.capacity_bits[cut] == pytest.approx(rest[cut], rel=1e-9, abs=1e-2)


@given(requests(fewest=3), st.integers(1, 3))
def test_there_are_never_more_senders_than_sub_channels(asked, channels):
    curve, _, bits, _ = asked
    shares = queued(*asked, channels)
    until_s = np.minimum(shares.end_s, curve.completion_time_s(curve.capacity_bits))
    sends = np.isfinite(shares.begin_s) & (bits > 0)
    for now_s in shares.begin_s[sends]:
        assert np.count_nonzero(sends & (shares.begin_s <= now_s) & (now_s < until_s)) <= channels
    if shares.curve is not curve:
        inside = np.concatenate([curve.time_s.ravel(), shares.begin_s[sends]]) + 1e-3
        for now_s in inside:
            given_bps, whole_bps = shares.curve.rate_at_bps(now_s), curve.rate_at_bps(now_s)
            assert np.count_nonzero(given_bps) <= channels
            assert (given_bps <= whole_bps * (1 + 1e-9)).all()


@given(requests(), st.integers(1, 4))
def test_another_sub_channel_is_later_for_nobody(asked, channels):
    fewer, more = queued(*asked, channels), queued(*asked, channels + 1)
    assert (more.end_s <= fewer.end_s + 1e-6).all()
    assert (more.begin_s <= fewer.begin_s + 1e-6).all()


@given(requests(), st.integers(1, 4), st.permutations(range(7)))
def test_only_ties_depend_on_the_number_of_a_device(asked, channels, order):
    curve, arrival_s, bits, who = asked
    comes_s = np.maximum(arrival_s, curve.time_s[:, 0])
    one = np.sort(np.unique(comes_s, return_index=True)[1])  # of each tie
    other = one[[i for i in order if i < len(one)]]

    def end_s(some):
        rows = LinkCurve(curve.time_s[some], curve.rate_bps[some])
        return queued(rows, arrival_s[some], bits[some], who[some], channels).end_s

    ends_s = dict(zip(one.tolist(), end_s(one).tolist(), strict=True))
    assert end_s(other).tolist() == [ends_s[i] for i in other.tolist()]


def test_of_those_who_come_together_the_first_number_goes_first():
    curve = LinkCurve(np.tile([0.0, 100.0], (4, 1)), np.full((4, 2), 10.0))
    bits, arrival_s = np.array([50.0, 30.0, 20.0, 10.0]), np.array([1.0, 1.0, 1.0, 0.0])
    shares = queued(curve, arrival_s, bits, np.ones(4, bool), 1)
    assert shares.begin_s.tolist() == [1.0, 6.0, 9.0, 0.0]
    assert shares.end_s.tolist() == [6.0, 9.0, 11.0, 1.0]


def test_without_a_queue_the_curve_is_given_as_it_is():
    time_s = np.linspace(0.0, 600.0, 150) + np.linspace(0.0, 30.0, 40)[:, None]
    curve = LinkCurve(time_s, 5e6 * np.sin(np.linspace(0.1, 3.0, 150)) + np.zeros((40, 1)))
    arrival_s = np.linspace(-50.0, 300.0, 40)
    shares = queued(curve, arrival_s, np.full(40, 1e8), np.ones(40, bool), 40)
    assert shares.curve is curve
    assert (shares.begin_s == np.maximum(arrival_s, time_s[:, 0])).all()
    assert (shares.end_s == curve.completion_time_s(1e8, arrival_s)).all()


def test_a_device_that_sets_lets_the_next_one_in():
    time_s = np.array([[0.0, 10.0], [0.0, 30.0], [0.0, 8.0]])
    curve = LinkCurve(time_s, np.full((3, 2), 10.0))
    shares = queued(curve, np.array([0.0, 1.0, 0.5]), np.full(3, 150.0), np.ones(3, bool), 1)
    assert shares.begin_s.tolist() == [0.0, 10.0, math.inf]  # the last one sets in the queue
    assert shares.end_s.tolist() == [math.inf, 25.0, math.inf]
    assert shares.curve.capacity_bits.tolist() == [100.0, 150.0, 0.0]


def test_a_link_that_falls_silent_for_good_holds_no_sub_channel():
    time_s = np.tile([0.0, 10.0, 10.0, 50.0], (2, 1))
    curve = LinkCurve(time_s, [[10.0, 10.0, 0.0, 0.0], [10.0, 10.0, 10.0, 10.0]])
    shares = queued(curve, np.array([0.0, 1.0]), np.full(2, 200.0), np.ones(2, bool), 1)
    assert shares.begin_s.tolist() == [0.0, 10.0]
    assert shares.end_s.tolist() == [math.inf, 30.0]


def test_who_does_not_see_the_satellite_yet_is_not_in_the_queue():
    time_s = np.array([[20.0, 60.0], [0.0, 60.0]])
    curve = LinkCurve(time_s, np.full((2, 2), 10.0))
    shares = queued(curve, np.array([-5.0, 3.0]), np.full(2, 200.0), np.ones(2, bool), 1)
    assert shares.begin_s.tolist() == [23.0, 3.0]
    assert shares.end_s.tolist() == [43.0, 23.0]


@pytest.mark.parametrize("channels", [0, -1])
def test_a_band_without_sub_channels_is_refused(channels):
    curve = LinkCurve([[0.0, 1.0]], [[1.0, 1.0]])
    with pytest.raises(ValueError, match=f"channels is {channels}; allowed is at least 1"):
        queued(curve, np.zeros(1), np.ones(1), np.ones(1, bool), channels)


def test_a_ramp_that_falls_to_nothing_carries_its_last_bit_at_its_end():
    rng = np.random.default_rng(6)
    rates_bps, steps_s = rng.uniform(1.0, 5e6, 2000), rng.uniform(0.1, 60.0, 2000)
    for rate_bps, step_s in zip(rates_bps, steps_s, strict=True):
        whole = rate_bps / 2.0 * step_s
        last_bits = np.array([whole, np.nextafter(whole, np.inf)])
        none_bps = np.zeros(2)
        # The square root of a rounding error is 1e-8.
        taken_s = seconds(last_bits, rate_bps, none_bps, step_s)
        assert (taken_s <= step_s).all() and taken_s == pytest.approx(step_s, rel=1e-7)


def test_a_rate_times_a_duration_gets_through_the_queue_at_any_date():
    for start_s in np.random.default_rng(4).uniform(0.0, 3e9, 200):
        times_s = [start_s, start_s + 300.1, start_s + 600.1]
        curve = LinkCurve(np.tile(times_s, (2, 1)), np.full((2, 3), 5e6))
        bits = np.array([5e6 * 200.03, 5e6 * 400.07])
        shares = queued(curve, np.full(2, -math.inf), bits, np.ones(2, bool), 1)
        assert shares.end_s[1] == pytest.approx(times_s[-1], abs=1e-5)
        agrees_with_its_curve(shares, bits)


# -- a common band


def in_small_steps(nodes_s, edges_bps, arrival_s, bits, who, law, steps=4000):
    """Bits sent (K,) by each node when every small step is shared at its middle."""
    left, sent = bits.copy(), [np.zeros(len(bits))]
    for cell, (start_s, end_s) in enumerate(pairwise(nodes_s)):
        step_s = (end_s - start_s) / steps
        for i in range(steps):
            share = (i + 0.5) / steps
            rate = edges_bps[cell, 0] * (1 - share) + edges_bps[cell, 1] * share
            here = who & (arrival_s <= start_s + share * (end_s - start_s)) & (left > 0)
            here &= edges_bps[cell].max(axis=0) > 0
            each = law(rate, max(np.count_nonzero(here), 1)) * step_s
            left = np.where(here, np.maximum(left - each, 0.0), left)
        sent.append(bits - left)
    return np.array(sent)


@pytest.mark.parametrize("law", [narrower, by_turns(2)], ids=["band", "turns"])
@pytest.mark.parametrize("seed", range(8))
def test_a_fluid_is_what_small_steps_give(law, seed):
    rng = np.random.default_rng(seed)
    nodes_s = np.cumsum(rng.uniform(5.0, 20.0, 4))
    edges_bps = rng.uniform(1e5, 5e6, (3, 2, 5)) * (rng.random((3, 2, 5)) > 0.2)
    arrival_s, bits = rng.uniform(-10.0, 50.0, 5), rng.uniform(0.0, 4e7, 5)
    who = rng.random(5) < 0.9
    shares = shared_by(law, nodes_s, edges_bps, arrival_s, bits, who)
    stepped = in_small_steps(nodes_s, edges_bps, arrival_s, bits, who, law)
    exact = np.array([shares.curve.delivered_bits(node_s) for node_s in nodes_s])
    # A step of at most 5 ms is wrong by one step of every event, at 5 Mbit/s.
    assert exact == pytest.approx(stepped, abs=20 * 5e-3 * 5e6)
    assert stepped.max() > 1e7


@given(flows(), st.sampled_from([narrower, by_turns(1), by_turns(3)]))
@example(
    (np.array([0.0, 1.0]), np.zeros((1, 2, 1)), np.zeros(1), np.ones(1), np.ones(1, bool)), narrower
)
def test_a_fluid_conserves_bits(flow, law):
    nodes_s, edges_bps, *asked = flow
    shares = shared_by(law, nodes_s, edges_bps, *asked)
    agrees_with_its_curve(shares, asked[1])
    assert (shares.curve.delivered_bits(nodes_s[0]) == 0).all()
    assert (shares.curve.delivered_bits(nodes_s[-1]) == shares.curve.delivered_bits(np.inf)).all()


@given(flows())
def test_those_who_send_divide_the_whole_band_and_no_more(flow):
    nodes_s, edges_bps, *asked = flow
    shares = shared_by(narrower, nodes_s, edges_bps, *asked)
    alone = in_cells(nodes_s, edges_bps)
    events_s = [
        shares.begin_s[np.isfinite(shares.begin_s)],
        shares.end_s[np.isfinite(shares.end_s)],
    ]
    points_s = np.unique(np.concatenate([*events_s, nodes_s]))
    for start_s, end_s in pairwise(points_s):
        middle_s = (start_s + end_s) / 2
        if end_s - start_s > 1e-6 and nodes_s[0] <= start_s and end_s <= nodes_s[-1]:
            sent = shares.curve.delivered_bits(end_s) - shares.curve.delivered_bits(start_s)
            whole = alone.delivered_bits(end_s) - alone.delivered_bits(start_s)
            ready = (shares.begin_s <= start_s) & (asked[1] > 0) & (middle_s < shares.end_s)
            sends = ready & (whole > 0)
            expected = whole / max(np.count_nonzero(sends), 1) ** 0.7 * sends
            assert sent == pytest.approx(expected, rel=1e-6, abs=1e-1)


@given(flows())
def test_a_wider_band_is_later_for_nobody(flow):
    nodes_s, edges_bps, *asked = flow
    one = shared_by(by_turns(1), nodes_s, edges_bps, *asked)
    two = shared_by(by_turns(2), nodes_s, edges_bps, *asked)
    assert (two.end_s <= one.end_s + 1e-6).all()


@given(flows(), st.floats(-1e5, 1e5))
def test_only_the_difference_of_times_counts(flow, shift_s):
    nodes_s, edges_bps, arrival_s, bits, who = flow
    later_s = nodes_s + shift_s
    one = shared_by(narrower, nodes_s, edges_bps, arrival_s, bits, who)
    other = shared_by(narrower, later_s, edges_bps, arrival_s + shift_s, bits, who)
    # Nodes and arrivals round when they are shifted; a slow rate takes long for what that costs.
    both = other.curve.delivered_bits(np.inf), one.curve.delivered_bits(np.inf)
    assert both[0] == pytest.approx(both[1], rel=1e-9, abs=1.0)
    both = np.isfinite(one.end_s) & np.isfinite(other.end_s)
    assert other.end_s[both] - shift_s == pytest.approx(one.end_s[both], abs=1e-3)


@given(flows(), st.permutations(range(6)))
def test_the_numbers_of_the_devices_do_not_matter(flow, order):
    nodes_s, edges_bps, *asked = flow
    order = [i for i in order if i < len(asked[0])]
    one = shared_by(narrower, nodes_s, edges_bps, *asked)
    turned = (each[order] for each in asked)
    other = shared_by(narrower, nodes_s, edges_bps[:, :, order], *turned)
    assert (other.end_s == one.end_s[order]).all()
    assert (other.begin_s == one.begin_s[order]).all()


@pytest.mark.parametrize(("devices", "gain"), [(2, 1.585), (10, 3.459)])
def test_equal_devices_at_a_constant_signal_get_more_than_rate_over_n(devices, gain):
    alone_bps = BAND_HZ * math.log2(1 + 1.0)  # 0 dB over the whole band

    def law(rate_bps, sharing):
        band_hz = BAND_HZ / sharing
        return np.full_like(rate_bps, band_hz * math.log2(1 + BAND_HZ / band_hz))

    asked = np.zeros(devices), np.full(devices, 1e9), np.ones(devices, bool)
    shares = steadily(np.ones(devices), [0.0, 900.0], *asked, law=law)
    each_bps = BAND_HZ / devices * math.log2(1 + devices)
    assert shares.end_s == pytest.approx(1e9 / each_bps, rel=1e-12)
    assert each_bps / (alone_bps / devices) == pytest.approx(gain, abs=1e-3)


def test_turns_of_equal_devices_take_as_long_as_one_after_the_other():
    asked = np.zeros(5), np.full(5, 1e7), np.ones(5, bool)
    shares = steadily(np.full(5, 1e6), [0.0, 100.0], *asked, law=by_turns(2))
    assert shares.end_s == pytest.approx(25.0, rel=1e-12)
    assert shares.curve.delivered_bits(np.inf) == pytest.approx(1e7, rel=1e-12)


def test_a_device_that_arrives_slows_the_one_that_sends():
    asked = np.array([0.0, 5.0, math.inf]), np.array([100.0, 80.0, 7.0]), np.ones(3, bool)
    shares = steadily([10.0, 10.0, 10.0], [0.0, 100.0], *asked, law=by_turns(1))
    # 50 bits alone; then 5 bit/s each until the first is through at 15 s; then 30 bits alone.
    assert shares.begin_s.tolist() == [0.0, 5.0, math.inf]
    assert shares.end_s == pytest.approx([15.0, 18.0, math.inf], rel=1e-12)
    assert rate_of(shares.curve, 4.0) == pytest.approx([10.0, 0.0, 0.0], abs=1e-9)
    assert rate_of(shares.curve, 6.0) == pytest.approx([5.0, 5.0, 0.0], abs=1e-9)
    assert rate_of(shares.curve, 16.0) == pytest.approx([0.0, 10.0, 0.0], abs=1e-9)


def test_who_has_lost_the_satellite_does_not_count_any_more():
    nodes_s = np.array([0.0, 10.0, 40.0])
    edges_bps = np.array([[[10.0, 10.0], [10.0, 10.0]], [[0.0, 10.0], [0.0, 10.0]]])
    shares = shared_by(
        by_turns(1),
        nodes_s,
        edges_bps,
        np.zeros(2),
        np.array([100.0, 150.0]),
        np.ones(2, bool),
    )
    assert shares.end_s == pytest.approx([math.inf, 20.0], rel=1e-12)
    assert shares.curve.delivered_bits(np.inf) == pytest.approx([50.0, 150.0], rel=1e-12)


def test_nothing_moves_in_a_gap():
    nodes_s = np.array([0.0, 10.0, 30.0, 60.0])
    rates = np.array([[8.0, 8.0], [0.0, 0.0], [4.0, 4.0]])
    edges_bps = np.repeat(rates[:, None], 2, axis=1)
    shares = shared_by(
        by_turns(2),
        nodes_s,
        edges_bps,
        np.array([0.0, 20.0]),
        np.array([100.0, 40.0]),
        np.ones(2, bool),
    )
    assert shares.begin_s.tolist() == [0.0, 30.0]
    assert shares.end_s == pytest.approx([35.0, 40.0], rel=1e-12)
    assert shares.curve.delivered_bits(np.full(2, 29.0)).tolist() == [80.0, 0.0]
    assert rate_of(shares.curve, 20.0).tolist() == [0.0, 0.0]


def test_nothing_to_send_and_nobody_to_send_it():
    nodes_s = np.array([10.0, 20.0])
    arrival_s, bits = np.array([3.0, 15.0, 12.0, math.inf]), np.array([0.0, 0.0, 5.0, 0.0])
    who = np.array([True, True, False, True])
    shares = steadily(np.ones(4), nodes_s, arrival_s, bits, who)
    assert shares.end_s.tolist() == [10.0, 15.0, math.inf, math.inf]
    assert shares.begin_s.tolist() == shares.end_s.tolist()
    assert (shares.curve.delivered_bits(np.inf) == 0).all()
    curve = LinkCurve(np.tile(nodes_s, (4, 1)), np.ones((4, 2)))
    assert queued(curve, arrival_s, bits, who, 1).end_s.tolist() == shares.end_s.tolist()


def test_what_takes_less_than_a_tick_of_the_clock_is_through_a_tick_later():
    nodes_s, bits = np.array([3.2e7, 3.2e7 + 9.0]), np.array([1e-9, 1e6, 1e6])
    shares = steadily(np.full(3, 5e6), nodes_s, np.zeros(3), bits, np.ones(3, bool))
    assert nodes_s[0] < shares.end_s[0] <= nodes_s[0] + np.spacing(nodes_s[0])
    assert shares.end_s[1] == shares.end_s[2]
    assert shares.curve.delivered_bits(shares.end_s) == pytest.approx(bits)


def test_a_rate_times_a_duration_gets_through_the_band_at_any_date():
    for start_s in np.random.default_rng(4).uniform(0.0, 3e9, 200):
        nodes_s = np.array([start_s, start_s + 300.1, start_s + 600.1])
        bits = np.array([5e6 * 600.1 / 2, 5e6 * 600.1 / 2])
        asked = np.zeros(2), bits, np.ones(2, bool)
        shares = steadily(np.full(2, 5e6), nodes_s, *asked, law=by_turns(1))
        assert shares.end_s == pytest.approx(nodes_s[-1], abs=1e-5)
        agrees_with_its_curve(shares, bits)


def test_a_thousand_devices_take_no_noticeable_time():
    rng = np.random.default_rng(1)
    nodes_s, k = np.linspace(0.0, 600.0, 150), 1000
    scale, arrival_s = rng.uniform(0.5, 1.0, k), rng.uniform(0.0, 100.0, k)
    bits, who = rng.uniform(1e7, 1e8, k), np.ones(k, bool)

    def alone_bps(when_s):
        return (5e6 * np.sin(np.pi * when_s / 600.0) ** 2 + 1e4) * scale

    curve = LinkCurve(nodes_s, np.array([alone_bps(node_s) for node_s in nodes_s]).T)

    def stretch_of(devices, now_s, who):
        return Stretch(curve, min(1.0, 83 / devices))

    cases = [
        (0.02, lambda: queued(curve, arrival_s, bits, who, k)),
        (0.2, lambda: queued(curve, arrival_s, bits, who, 83)),
        (6.0, lambda: shared(stretch_of, curve, arrival_s, bits, who)),
    ]
    for limit_s, case in cases:
        begun_s = time.process_time()
        shares = case()
        assert time.process_time() - begun_s < limit_s
        assert np.isfinite(shares.end_s).sum() > 300
