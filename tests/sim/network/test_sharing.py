"""Devices that share a beam, against event simulations, small steps and sums done by hand."""

import heapq
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channel import LinkCurve
from learning.requests import Payload, Train, Upload
from sim.links.beam import RateSegment
from sim.links.sharing import queued, shared
from tests.kit.handmade import COST, band, contact, cut, download, seen, talk, upload

pytestmark = pytest.mark.filterwarnings("error")  # no invalid operation goes unseen

MANY = settings(max_examples=60)  # a property of milliseconds, whose mistakes are rare


def asked_by(rng, k, start_s):
    """When each device is ready, what it sends, and who takes part."""
    arrival_s = start_s + rng.uniform(-20.0, 120.0, k)
    arrival_s[rng.random(k) < 0.1] = math.inf
    bits = rng.choice([0.0, 1e3, 1e6, 2e7, 2e8], k) * rng.uniform(0.5, 1.5, k)
    return arrival_s, bits, rng.random(k) < 0.9


@st.composite
def requests(draw):
    """A batch of curves on grids of their own, with gaps and jumps; and what is asked."""
    k = draw(st.integers(1, 7))
    points = draw(st.integers(2, 6))
    start_s = draw(st.sampled_from([0.0, 5400.1, 3.2e7]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    steps_s = rng.uniform(0.5, 40.0, (k, points)) * (rng.random((k, points)) > 0.2)
    rate_bps = rng.uniform(1e3, 5e6, (k, points)) * (rng.random((k, points)) > 0.3)
    return LinkCurve(start_s + np.cumsum(steps_s, axis=1), rate_bps), *asked_by(rng, k, start_s)


@st.composite
def flows(draw):
    """Rates of devices alone on common nodes, and what is asked."""
    k = draw(st.integers(1, 6))
    points = draw(st.integers(2, 5))
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
    if edges_bps.ndim < 3:  # (K,) that never change
        edges_bps = np.broadcast_to(edges_bps, (len(nodes_s) - 1, 2, len(bits)))

    def segment_of(devices, now_s, who):
        return RateSegment(in_cells(nodes_s, law(edges_bps, devices)))

    who = np.ones(len(bits), bool) if who is None else who
    return shared(segment_of, in_cells(nodes_s, edges_bps), arrival_s, bits, who)


def agrees_with_its_curve(shares, bits):
    """The three parts of what a device was given say the same."""
    begin_s = shares.begin_s
    end_s = shares.end_s
    curve = shares.curve
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


def in_a_queue(curve, arrival_s, bits, who, channels):
    """Events from a heap: who comes joins the queue, who leaves lets the next one in."""
    k = len(bits)
    begin_s, end_s = np.full((2, k), math.inf)
    events = []
    queue = []
    free = channels
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
    for now_s in curve.time_s.ravel() + 1e-3:
        assert np.count_nonzero(shares.curve.rate_at_bps(now_s)) <= channels


@MANY
@given(flows(), st.permutations(range(6)))
def test_those_who_send_divide_the_whole_band_and_no_more(flow, order):
    """From event to event: who is ready, not through and has a link sends by the law."""
    nodes_s, edges_bps, arrival_s, bits, who = flow
    comes_s = np.maximum(arrival_s, nodes_s[:-1, None])
    in_link = (edges_bps.max(axis=1) > 0) & (comes_s < nodes_s[1:, None])
    begin_s = np.where(in_link, comes_s, np.inf).min(axis=0)
    begin_s = np.where(who, np.where(bits == 0, comes_s[0], begin_s), np.inf)
    alone = in_cells(nodes_s, edges_bps)
    shares = {}
    for law in (narrower, by_turns(1), by_turns(2)):
        shares[law] = found = shared_by(law, *flow)
        agrees_with_its_curve(found, bits)
        assert found.begin_s == pytest.approx(begin_s, abs=1e-6)
        sent_by = found.curve.delivered_bits
        assert (sent_by(nodes_s[0]) == 0).all() and (sent_by(nodes_s[-1]) == sent_by(np.inf)).all()
        events_s = np.concatenate([begin_s, found.end_s, nodes_s])
        for start_s, end_s in pairwise(np.unique(events_s[np.isfinite(events_s)])):
            if end_s - start_s > 1e-6 and nodes_s[0] <= start_s and end_s <= nodes_s[-1]:
                whole = alone.delivered_bits(end_s) - alone.delivered_bits(start_s)
                sends = (begin_s <= start_s) & ((start_s + end_s) / 2 < found.end_s)
                sends &= (bits > 0) & (whole > 0)
                expected = law(whole, max(np.count_nonzero(sends), 1)) * sends
                sent = sent_by(end_s) - sent_by(start_s)
                assert sent == pytest.approx(expected, rel=1e-6, abs=1e-1)
    order = [i for i in order if i < len(bits)]
    turned = shared_by(narrower, nodes_s, edges_bps[:, :, order], *(e[order] for e in flow[2:]))
    first, one, two = shares.values()
    assert (turned.end_s == first.end_s[order]).all()
    assert (turned.begin_s == first.begin_s[order]).all()
    assert (two.end_s <= one.end_s + 1e-6).all()


def here(rates, up=None, down=None):
    return contact(0, 0, 100, rates, radio=up, down=down)


def who(*takes_part):
    return np.array(takes_part, bool)


TWO = [*upload(4.0), Upload(Payload("b", 6.0))]
BROADCAST = here([8, 2, 0, 32], down=band(1, "broadcast"))
LOST_LINK = [[0, 50, 100], [0, 50, 50]], [[8, 8, 8], [8, 0, 0]]
CHAINS = {
    # Contact, steps, and ends of each.
    "some": (here([8] * 3, band(1)), upload(10.0, who=who(1, 0, 1)), [[10, math.inf, 20]]),
    "who is ready first": (here([8, 8], band(1)), [Train(COST, who=who(1, 0)), *upload(15.0)],
                           [None, [30, 15]]),
    # On a crowded beam the steps of a chain in one direction follow each other.
    "queue": (here([8] * 3, band(1)), TWO, [[4, 8, 12], [18, 24, 30]]),
    # The radio itself is asked for a narrower band: a half of its 1 kbit/s each.
    "fewer shares": (here([1e3] * 2, band(1, "equal_share")), upload(np.array([500.0, 1500])),
                     [[8, 16]]),
    # A broadcast has the rate of the worst of those in view that are to hear it.
    "broadcast": (BROADCAST, download(10.0), [[40, 40, math.inf, 40]]),
    # Another cluster has the beam until 60 s, when device 1 has lost the satellite.
    "lost before": (cut(seen(here([8, 8], None, band(1, "broadcast")), *LOST_LINK), 60.0, 100.0),
                    download(10.0), [[70, math.inf]]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_on_a_beam_by_hand(name):
    made, steps, ends = CHAINS[name]
    told = talk([made], [steps])
    for number, expected in enumerate(ends):
        assert expected is None or told.ends(number) == pytest.approx(expected)


def test_who_waits_for_a_sub_channel_is_told_for_how_long():
    told = talk([here([8, 8, 4], band(2))], [upload(10.0)])
    assert told.ends() == pytest.approx([10, 10, 30])
    said = [(e["time_s"], e["contact_id"], e["detail"]) for e in told.events("wait")]
    assert said == [(0.0, 0, "sub-channel busy: a: 1 devices, up to 10.000 s")]


def test_a_later_step_that_waited_for_its_turn_is_cut_by_what_it_has_sent():
    """Its bytes count from when it began, and not from when it was ready."""
    made = [contact(0, 0, 20, [8, 8], radio=band(1)), contact(1, 100, 200, [8, 8], radio=band(1))]
    later = Upload(Payload("b", 30.0, 1), who(1, 0))
    rows = talk(made, [[*upload(7.0), later], [later]]).rows(
        "payload", "start_s", "end_s", "delivered_bytes"
    )
    assert rows[2:] == [("b", 14.0, 20.0, 6.0), ("b", 100.0, 124.0, 24.0)]


@MANY
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=7))
def test_the_span_of_a_curve_is_that_of_its_cells_that_carry(points):
    """Cells may have no length; a cell carries where it has one, and a rate at either end."""
    time_s = np.cumsum([step_s for step_s, _ in points], dtype=float)
    rate_bps = np.array([float(carries) for _, carries in points])
    begin_s, end_s = LinkCurve(time_s[None], rate_bps[None]).span_s
    cells = zip(pairwise(time_s), pairwise(rate_bps), strict=True)
    carrying = [(a, b) for (a, b), rates in cells if b > a and max(rates) > 0]
    if carrying:
        assert (begin_s[0], end_s[0]) == (carrying[0][0], carrying[-1][1])
    else:
        assert end_s[0] == -np.inf
