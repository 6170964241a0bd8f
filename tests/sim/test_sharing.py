"""Devices that share a beam, against event simulations, small steps and sums done by hand."""

from __future__ import annotations

import heapq
import math
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sim
from channel import LinkCurve
from tests.kit.learning import Download, Payload, Train, Upload
from tests.kit.network import Beam, SessionBeam, Stretch, queued, seconds, shared
from tests.kit.small import merged
from tests.kit.small import slots as slot_scenario
from tests.kit.talk import COST, band, contact, cut, download, seen, talk, upload

pytestmark = pytest.mark.filterwarnings("error")  # no invalid operation goes unseen

SHARINGS = ("fixed_subchannel", "equal_share", "rounds")
ROUNDING_S = 1e-6
MANY = settings(max_examples=60)  # a property of milliseconds, whose mistakes are rare


# -- what devices ask for, drawn at random


def asked_by(rng, k, start_s):
    """When each device is ready, what it sends, and who takes part."""
    arrival_s = start_s + rng.uniform(-20.0, 120.0, k)
    arrival_s[rng.random(k) < 0.1] = math.inf
    bits = rng.choice([0.0, 1e3, 1e6, 2e7, 2e8], k) * rng.uniform(0.5, 1.5, k)
    return arrival_s, bits, rng.random(k) < 0.9


@st.composite
def requests(draw):
    """A batch of curves on grids of their own, with gaps and jumps; and what is asked."""
    k, points = draw(st.integers(1, 7)), draw(st.integers(2, 6))
    start_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    steps_s = rng.uniform(0.5, 40.0, (k, points)) * (rng.random((k, points)) > 0.2)
    rate_bps = rng.uniform(1e3, 5e6, (k, points)) * (rng.random((k, points)) > 0.3)
    return LinkCurve(start_s + np.cumsum(steps_s, axis=1), rate_bps), *asked_by(rng, k, start_s)


@st.composite
def flows(draw):
    """Rates of devices alone on common nodes, and what is asked."""
    k, points = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    start_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    nodes_s = start_s + np.cumsum(rng.uniform(1.0, 30.0, points))
    edges_bps = rng.uniform(1e4, 5e6, (points - 1, 2, k)) * (rng.random((points - 1, 2, k)) > 0.2)
    return nodes_s, edges_bps, *asked_by(rng, k, start_s)


def narrower(rate_bps, devices):
    """Any law by which more devices get less each, though more together."""
    return rate_bps / devices**0.7


def by_turns(channels):
    return lambda rate_bps, devices: rate_bps * min(1.0, channels / devices)


def in_cells(nodes_s, edges_bps):
    """Rates that are linear between nodes, with a jump at each: a curve."""
    times_s = np.repeat(nodes_s, 2)[1:-1]
    return LinkCurve(times_s, edges_bps.transpose(2, 0, 1).reshape(edges_bps.shape[2], -1))


def shared_by(law, nodes_s, edges_bps, arrival_s, bits, who=None):
    """So many devices follow a law; who has a rate if alone has a link."""
    edges_bps = np.asarray(edges_bps, float)
    if edges_bps.ndim < 3:  # (K,) that never change, or (cells, K)
        edges_bps = np.broadcast_to(edges_bps, (len(nodes_s) - 1, edges_bps.shape[-1]))
        edges_bps = np.repeat(edges_bps[:, None], 2, axis=1)

    def stretch_of(devices, now_s, who):
        return Stretch(in_cells(nodes_s, law(edges_bps, devices)))

    who = np.ones(len(bits), bool) if who is None else who
    reach = in_cells(np.asarray(nodes_s, float), edges_bps)
    return shared(stretch_of, reach, np.asarray(arrival_s, float), np.asarray(bits, float), who)


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


@MANY
@given(requests(), st.integers(1, 4))
def test_a_queue_is_what_its_simulation_gives(asked, channels):
    """And its curve says so: no more senders than sub-channels, and nobody sends too much."""
    curve, _, bits, _ = asked
    begin_s, end_s = in_a_queue(*asked, channels)
    shares = queued(*asked, channels)
    assert shares.end_s == pytest.approx(end_s, rel=1e-9, abs=1e-6)
    assert shares.begin_s == pytest.approx(begin_s, rel=1e-9, abs=1e-6)
    if shares.curve is curve:
        assert shares.end_s.tolist() == curve.completion_time_s(bits, shares.begin_s).tolist()
        return
    agrees_with_its_curve(shares, bits)
    off = np.isinf(shares.end_s) & np.isfinite(shares.begin_s)
    rest = curve.capacity_bits - curve.delivered_bits(shares.begin_s)
    assert shares.curve.capacity_bits[off] == pytest.approx(rest[off], rel=1e-9, abs=1e-2)
    begun_s = shares.begin_s[np.isfinite(shares.begin_s) & (bits > 0)]
    for now_s in np.concatenate([curve.time_s.ravel(), begun_s]) + 1e-3:
        given_bps, whole_bps = shares.curve.rate_at_bps(now_s), curve.rate_at_bps(now_s)
        assert np.count_nonzero(given_bps) <= channels
        assert (given_bps <= whole_bps * (1 + 1e-9)).all()


NEVER = math.inf


def test_a_queue_for_one_sub_channel_by_hand():
    """10 bit/s for all who see the satellite."""
    sees_s = [(0, 10), (0, 99), (0, 99), (0, 8), (20, 60), (0, 99), (0, 10), (0, 60)]
    arrival_s = np.array([0, 1, 1, 0.5, -5, 3, 5, 16])
    bits = np.array([150, 30, 20, 150, 100, 0, 10, 200], float)
    curve = LinkCurve(np.array(sees_s, float), np.full((8, 2), 10.0))
    asked = curve, arrival_s, bits, np.ones(8, bool)
    shares = queued(*asked, 1)
    # 0 sets at 10 s, when 3 and 6 have set in the queue; 1 and 2 came together; 5 sends nothing;
    # 4 sees the satellite when 7 has the sub-channel.
    assert shares.begin_s.tolist() == [0, 10, 13, NEVER, 36, 3, NEVER, 16]
    assert shares.end_s.tolist() == [NEVER, 13, 15, NEVER, 46, 3, NEVER, 36]
    assert queued(*asked, 8).curve is curve  # without a queue it is given as it is
    with pytest.raises(ValueError, match="channels is 0; allowed is at least 1"):
        queued(*asked, 0)


def test_a_ramp_that_falls_to_nothing_carries_its_last_bit_at_its_end():
    rng = np.random.default_rng(6)
    rates_bps, steps_s = rng.uniform(1.0, 5e6, 2000), rng.uniform(0.1, 60.0, 2000)
    for rate_bps, step_s in zip(rates_bps, steps_s, strict=True):
        whole = rate_bps / 2.0 * step_s
        last_bits = np.array([whole, np.nextafter(whole, np.inf)])
        # The square root of a rounding error is 1e-8.
        taken_s = seconds(last_bits, rate_bps, np.zeros(2), step_s)
        assert (taken_s <= step_s).all() and taken_s == pytest.approx(step_s, rel=1e-7)


# -- a common band


FLUIDS = {
    # 50 bits alone; then 5 bit/s each until the first is through at 15 s; then 30 bits alone.
    "a device that arrives slows the one that sends": (
        1, [0, 100], [10] * 3, [0, 5, NEVER], [100, 80, 7], [0, 5, NEVER], [15, 18, NEVER],
        {4: [40, 0, 0], 6: [55, 5, 0], 16: [100, 60, 0]},
    ),
    "who has lost the satellite does not count any more": (
        1, [0, 10, 40], [[10, 10], [0, 10]], [0, 0], [100, 150], [0, 0], [NEVER, 20],
        {math.inf: [50, 150]},
    ),
    "nothing moves in a gap": (
        2, [0, 10, 30, 60], [[8, 8], [0, 0], [4, 4]], [0, 20], [100, 40], [0, 30], [35, 40],
        {10: [80, 0], 29: [80, 0]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLUIDS)
def test_a_fluid_by_hand(name):
    channels, nodes_s, rates, arrival_s, bits, begin_s, end_s, sent = FLUIDS[name]
    shares = shared_by(by_turns(channels), nodes_s, rates, arrival_s, bits)
    assert shares.begin_s.tolist() == begin_s
    assert shares.end_s == pytest.approx(end_s, rel=1e-12)
    for time_s, each in sent.items():
        assert shares.curve.delivered_bits(float(time_s)) == pytest.approx(each, rel=1e-12)


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
@pytest.mark.parametrize("seed", range(4))
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


@MANY
@given(flows(), st.permutations(range(6)), st.floats(-1e5, 1e5))
@example(
    (np.array([0.0, 1.0]), np.zeros((1, 2, 1)), np.zeros(1), np.ones(1), np.ones(1, bool)),
    range(6),
    0.0,
)
def test_those_who_send_divide_the_whole_band_and_no_more(flow, order, shift_s):
    """At every time between two events, whatever the devices are numbered and the date is."""
    nodes_s, edges_bps, arrival_s, bits, who = flow
    shares = shared_by(narrower, *flow)
    agrees_with_its_curve(shares, bits)
    alone, sent_by = in_cells(nodes_s, edges_bps), shares.curve.delivered_bits
    assert (sent_by(nodes_s[0]) == 0).all() and (sent_by(nodes_s[-1]) == sent_by(np.inf)).all()
    events_s = np.concatenate([shares.begin_s, shares.end_s, nodes_s])
    for start_s, end_s in pairwise(np.unique(events_s[np.isfinite(events_s)])):
        if end_s - start_s > 1e-6 and nodes_s[0] <= start_s and end_s <= nodes_s[-1]:
            sent = sent_by(end_s) - sent_by(start_s)
            whole = alone.delivered_bits(end_s) - alone.delivered_bits(start_s)
            ready = (shares.begin_s <= start_s) & (bits > 0)
            sends = ready & ((start_s + end_s) / 2 < shares.end_s) & (whole > 0)
            expected = whole / max(np.count_nonzero(sends), 1) ** 0.7 * sends
            assert sent == pytest.approx(expected, rel=1e-6, abs=1e-1)

    order = [i for i in order if i < len(bits)]
    turned = shared_by(narrower, nodes_s, edges_bps[:, :, order], *(e[order] for e in flow[2:]))
    assert (turned.end_s == shares.end_s[order]).all()
    assert (turned.begin_s == shares.begin_s[order]).all()
    later = shared_by(narrower, nodes_s + shift_s, edges_bps, arrival_s + shift_s, bits, who)
    # Nodes and arrivals round when they are shifted; a slow rate takes long for what that costs.
    assert later.curve.delivered_bits(np.inf) == pytest.approx(sent_by(np.inf), rel=1e-9, abs=1.0)
    both = np.isfinite(shares.end_s) & np.isfinite(later.end_s)
    assert later.end_s[both] - shift_s == pytest.approx(shares.end_s[both], abs=1e-3)
    one, two = (shared_by(by_turns(channels), *flow) for channels in (1, 2))
    for each in (one, two):
        agrees_with_its_curve(each, bits)
    assert (two.end_s <= one.end_s + 1e-6).all()


def test_nothing_to_send_and_nobody_to_send_it():
    nodes_s, who = np.array([10.0, 20.0]), np.array([True, True, False, True])
    arrival_s, bits = np.array([3.0, 15.0, 12.0, math.inf]), np.array([0.0, 0.0, 5.0, 0.0])
    shares = shared_by(narrower, nodes_s, np.ones(4), arrival_s, bits, who)
    assert shares.end_s.tolist() == [10.0, 15.0, math.inf, math.inf]
    assert shares.begin_s.tolist() == shares.end_s.tolist()
    assert (shares.curve.delivered_bits(np.inf) == 0).all()
    curve = LinkCurve(np.tile(nodes_s, (4, 1)), np.ones((4, 2)))
    assert queued(curve, arrival_s, bits, who, 1).end_s.tolist() == shares.end_s.tolist()


def test_what_takes_less_than_a_tick_of_the_clock_is_through_a_tick_later():
    nodes_s, bits = np.array([3.2e7, 3.2e7 + 9.0]), np.array([1e-9, 1e6, 1e6])
    shares = shared_by(narrower, nodes_s, np.full(3, 5e6), np.zeros(3), bits)
    assert nodes_s[0] < shares.end_s[0] <= nodes_s[0] + np.spacing(nodes_s[0])
    assert shares.end_s[1] == shares.end_s[2]
    assert shares.curve.delivered_bits(shares.end_s) == pytest.approx(bits)


def test_a_rate_times_a_duration_gets_through_at_any_date():
    for start_s in np.random.default_rng(4).uniform(0.0, 3e9, 100):
        times_s = np.array([start_s, start_s + 300.1, start_s + 600.1])
        curve = LinkCurve(np.tile(times_s, (2, 1)), np.full((2, 3), 5e6))
        bits = np.array([5e6 * 200.03, 5e6 * 400.07])
        shares = queued(curve, np.full(2, -math.inf), bits, np.ones(2, bool), 1)
        assert shares.end_s[1] == pytest.approx(times_s[-1], abs=1e-5)
        agrees_with_its_curve(shares, bits)
        bits = np.full(2, 5e6 * 600.1 / 2)
        shares = shared_by(by_turns(1), times_s, [5e6] * 2, np.zeros(2), bits)
        assert shares.end_s == pytest.approx(times_s[-1], abs=1e-5)
        agrees_with_its_curve(shares, bits)


# -- chains over hand-made contacts: 1 byte a second


def most_at_once(rows: list[dict[str, Any]]) -> int:
    """Largest number of rows that overlap by more than rounding."""
    edges = [(row["start_s"] + ROUNDING_S, 1) for row in rows]
    edges += [(row["end_s"] - ROUNDING_S, -1) for row in rows]
    return max(np.cumsum([step for _, step in sorted(edges)]))


SOME = np.array([True, False, True])


@pytest.mark.parametrize(
    ("rates", "channels", "lasts_s", "step", "rows", "said"),
    [
        ([8, 8, 4], 2, 100, upload(10.0), [(0, 0, 10), (1, 0, 10), (2, 10, 30)], (1, 10)),
        ([8, 8, 8], 1, 15, upload(10.0), [(0, 0, 10), (1, 10, 15)], (2, 15)),  # and still waits
        ([8, 8, 8], 1, 100, upload(10.0, who=SOME), [(0, 0, 10), (2, 10, 20)], (1, 10)),
        ([8, 2, 4], 1, 100, download(5.0), [(0, 0, 5), (1, 5, 25), (2, 25, 35)], (2, 25)),
        ([8, 8, 8], 3, 100, upload(10.0), [(k, 0, 10) for k in range(3)], None),
    ],
)
def test_who_finds_no_sub_channel_waits_and_it_is_told(
    rates, channels, lasts_s, step, rows, said
) -> None:
    radio = band(channels)
    told = talk([contact(0, 0, lasts_s, rates, radio=radio, down=radio)], [step])
    assert told.rows("device", "start_s", "end_s") == rows
    name = step[0].payload.name
    waits = [(e["time_s"], e["contact_id"], e["detail"]) for e in told.events("wait")]
    text = "sub-channel busy: {}: {} devices, up to {:.3f} s"
    assert waits == ([] if said is None else [(0.0, 0, text.format(name, *said))])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_session_has_the_sub_channels_of_its_beam(channels: int) -> None:
    curve, spans_s = LinkCurve(np.array([[0.0, 9.0]]), np.array([[1.0, 1.0]])), [(0.0, 9.0)]
    assert SessionBeam([Beam(curve, band(channels))], spans_s, True).channels == channels
    assert SessionBeam([Beam(curve)], spans_s, True).channels == sys.maxsize
    narrowed = band(4).narrowed(channels)  # 4 kHz in all, and 1 kbit/s in each
    assert narrowed.bandwidth_hz == pytest.approx(4e3 / channels)
    assert narrowed.fixed_rate_bps == pytest.approx(4e3 / channels)


def test_who_is_ready_first_goes_first() -> None:
    """Device 1 trains nothing and overtakes device 0, which trains for 10 s."""
    here = contact(0, 0, 100, [8.0, 8.0], radio=band(1))
    told = talk([here], [[Train(COST, who=np.array([True, False])), *upload(15.0)]])
    assert told.rows("device", "start_s", "end_s") == [(1, 0, 15), (0, 15, 30)]


@pytest.mark.parametrize(
    ("sharing", "first", "second"),
    [
        ("fixed_subchannel", [4, 8, 12], [18, 24, 30]),
        ("rounds", [12, 12, 12], [30, 30, 30]),
        # The radio itself is asked: a third of its 1 kbit/s each.
        ("equal_share", [0.096] * 3, [0.24] * 3),
    ],
)
def test_the_steps_of_a_chain_follow_each_other_on_a_crowded_beam(sharing, first, second) -> None:
    here = contact(0, 0, 100, [8.0, 8.0, 8.0], radio=band(1, sharing))
    told = talk([here], [[*upload(4.0), Upload(Payload("b", 6.0))]])
    assert told.ends() == pytest.approx(first)
    assert told.ends(1) == pytest.approx(second)
    later_s = [row["start_s"] for row in told.moved() if row["payload"] == "b"]
    assert min(later_s) >= max(told.ends())


def test_without_a_crowd_each_device_and_direction_goes_on_by_itself() -> None:
    here = contact(0, 0, 100, [8.0, 4.0], radio=band(2))
    told = talk([here], [[*upload(4.0), Upload(Payload("b", 6.0))]])
    assert (told.ends(), told.ends(1)) == ([4.0, 8.0], [10.0, 20.0])
    here = contact(0, 0, 100, [8.0, 8.0], radio=band(1), down=band(1))
    told = talk([here], [[*download(5.0), *upload(10.0)]])
    assert (told.ends(), told.ends(1)) == ([5.0, 10.0], [15.0, 25.0])


def test_who_has_no_link_yet_does_not_wait_for_a_sub_channel() -> None:
    here = contact(0, 0, 100, [8.0, 8.0], radio=band(1))
    here = seen(here, [[0, 20, 20, 100], [0, 50, 50, 100]], [[0, 0, 8, 8], [0, 0, 8, 8]])
    told = talk([here], [upload(30.0)])
    assert (told.ends(), told.events("wait")) == ([50.0, 80.0], [])


def test_turns_and_equal_shares_until_one_is_through() -> None:
    """Two sub-channels by turns of three devices, then half of a fixed rate of 1 kbit/s."""
    here = contact(0, 0, 100, [8.0, 8.0, 8.0], radio=band(2, "rounds"))
    told = talk([here], [upload(np.array([6.0, 10.0, 12.0]))])
    # 6 bytes each by 9 s; the two that are left have a sub-channel of their own.
    assert told.ends() == pytest.approx([9.0, 13.0, 15.0])
    here = contact(0, 0, 100, [1e3, 1e3], radio=band(1, "equal_share"))
    told = talk([here], [upload(np.array([500.0, 1500.0]))])
    assert told.ends() == pytest.approx([8.0, 16.0])


def test_a_broadcast_has_the_rate_of_the_worst_of_those_in_view() -> None:
    here = contact(0, 0, 100, [8.0, 2.0, 0.0, 32.0], down=band(1, "broadcast"))
    told = talk([here], [download(10.0)])
    assert told.ends() == [40.0, 40.0, np.inf, 40.0]
    assert told.replies[0][0].left_bytes.tolist() == [0.0, 0.0, 10.0, 0.0]
    assert not told.events("wait")
    told = talk([here], [download(10.0, who=np.array([True, False, False, True]))])
    assert told.rows("device", "end_s") == [(0, 10.0), (3, 10.0)]


def test_a_broadcast_leaves_out_who_sees_the_satellite_only_before_it_serves() -> None:
    """Another cluster has the beam until 60 s, when device 1 has lost the satellite."""
    here = contact(0, 0, 100, [8.0, 8.0], down=band(1, "broadcast"))
    here = seen(here, [[0, 50, 100], [0, 50, 50]], [[8, 8, 8], [8, 0, 0]])
    assert talk([cut(here, 60.0, 100.0)], [download(10.0)]).ends() == [70.0, np.inf]


def test_two_broadcasts_of_a_chain_follow_each_other() -> None:
    """Device 1 is ready 10 s later: while it hears the first, nobody hears the second."""
    here = contact(0, 0, 100, [8.0, 8.0], down=band(1, "broadcast"))
    steps = [Train(COST, who=np.array([False, True])), *download(15.0), Download(Payload("n", 5.0))]
    rows = talk([here], [steps]).rows("payload", "start_s", "end_s")
    first_s = min(start_s for name, start_s, _ in rows if name == "n")
    assert first_s >= max(end_s for name, _, end_s in rows if name == "m")


@example(seed=4725, devices=6, channels=2, steps=3)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 3), st.integers(1, 3))
def test_senders_never_outnumber_the_sub_channels(
    seed: int, devices: int, channels: int, steps: int
) -> None:
    """Nor where some devices take part in some steps only."""
    rng = np.random.default_rng(seed)
    here = contact(0, 0, 200, rng.uniform(1.0, 20.0, devices), radio=band(channels))
    chain = [
        Upload(Payload(f"p{n}", rng.uniform(1.0, 40.0, devices)), rng.random(devices) < 0.8)
        for n in range(steps)
    ]
    told = talk([here], [[Train(COST, who=rng.random(devices) < 0.5), *chain]])
    assert most_at_once(told.moved() or [{"start_s": 0.0, "end_s": 1.0}]) <= channels


@pytest.mark.parametrize("sharing", SHARINGS)
def test_all_finish_in_a_run_however_they_share(sharing: str) -> None:
    """Six devices on two sub-channels of 1 kbit/s: the beam is full as long as anybody sends."""
    slow = {"fixed_rate_mbps": 1e-3, "total_bandwidth_mhz": 10.0, "sharing": sharing}
    scenario = slot_scenario(
        ground={"clusters": [{"name": "A", "devices": 6}]},
        stop={"cycles": 2},
        link=merged({"preset": "paper"}, {"uplink": slow}),
        learning={"train": False},
    )
    result = sim.run(scenario)
    up = result.transfers[result.transfers.direction == "uplink"]
    assert set(up.outcome) == {"delivered"}
    assert up.device.value_counts().to_dict() == {k: len(up) // 6 for k in range(6)}
    waits = result.events[result.events.kind == "wait"].detail
    for _, rows in up.groupby(["contact_id", "payload", "version"]):
        lasted_s = rows.end_s.max() - rows.start_s.min()
        assert lasted_s == pytest.approx(rows.payload_bytes.sum() * 8 / 2e3, rel=1e-9)
        waves = 3 if sharing == "fixed_subchannel" else 1
        assert len(set(rows.end_s.round(6))) == waves
        assert most_at_once(rows.to_dict("records")) == 6 // waves
    assert waits.str.contains("4 devices, up to").any() == (sharing == "fixed_subchannel")
