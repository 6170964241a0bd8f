"""Sessions: what links carry from when to when, hand-overs, what satellites know, forecasts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import LinkCurve
from tests.kit import learning as ask
from tests.kit import network
from tests.kit.learning import Train
from tests.kit.scripted import SCRIPTED, only, play
from tests.kit.small import slots
from tests.kit.talk import (
    COST,
    band,
    columns_of,
    compute,
    contact,
    cut,
    download,
    talk,
    upload,
)


def test_the_delay_is_that_of_the_contact_in_use():
    far = contact(0, 0.0, 10.0, [8.0] * 2, 0, delays_s=[0.010, 0.020])
    near = contact(1, 15.0, 30.0, [8.0] * 2, 0, delays_s=[0.003, 0.004])
    session = network.PlannedSession(0, (far, near))
    delays_s = session.delay_s(np.array([14.9, 15.0]))  # in the gap the last one is in use
    assert delays_s == pytest.approx([0.010, 0.004], rel=1e-12)
    told = talk([far, near], [[*upload(np.array([12.0, 6.0])), *download(1.0)]])
    assert told.ends() == pytest.approx([17.003, 6.020], abs=1e-12)
    # Who is ready when a contact ends is ready then: a neglected downlink takes no time.
    contacts = [contact(0, 0.0, 10.0, [8.0], session=0), contact(1, 15.0, 30.0, [8.0], session=0)]
    for size, end_s in ((10.0, 10.0), (10.5, 15.5)):
        told = talk(contacts, [[*upload(size), *download(1.0)]])
        assert told.ends(0) == told.ends(1) == [end_s]


FITS = {"fixed_subchannel": (7, 5, 5, 2), "equal_share": (7, 6, 5, 2)}
"""Rounds of 10 s that 100 s hold in front of an upload, by sharing, of 2, 3, 4 and 6 devices."""


@pytest.mark.parametrize("devices", [2, 3, 4, 6])
@pytest.mark.parametrize("sharing", FITS)
def test_rounds_leave_time_for_an_upload_in_a_crowd(sharing, devices):
    """An upload takes 25 s on one of two sub-channels, and 25 s K / 2 for K devices.

    Where they queue, the last of an odd number takes a whole turn.
    """
    here = contact(0, 0.0, 100.0, [1e3] * devices, radio=band(2, sharing))
    fill = compute(per_contact=None)
    [[work, up]] = talk([here], [[Train(COST), *upload(25.0 * 125.0)]], computing=fill).replies
    assert work.rounds.tolist() == [FITS[sharing][(2, 3, 4, 6).index(devices)]] * devices
    assert up.done.all()
    assert (up.end_s <= 100.0).all()


# 10 + 2 t and 20 - t bit/s from 0 to 10 s.
RAMP = network.DeviceLinks(
    network.Beam(LinkCurve(np.tile([0.0, 10.0], (2, 1)), np.array([[10.0, 30.0], [20.0, 10.0]])))
)


def test_a_contact_carries_what_falls_into_its_service():
    whole = replace(contact(0, 0.0, 10.0, [8.0, 8.0], session=0), make=lambda: RAMP)
    for (start_s, end_s), bits in (((2.0, 7.0), 77.5), ((math.nan, math.nan), 0.0)):
        served = network.PlannedSession(0, (cut(whole, start_s, end_s),))
        assert served.capacity_bytes * 8 == pytest.approx(bits, rel=1e-12)
    session = network.PlannedSession(0, (cut(whole, 0.0, 5.0), cut(whole, 5.0, 8.0)))
    # 75 + 69 bits and 87.5 + 40.5 bits: a session has the sum of its poorest device.
    assert session.capacity_bytes * 8 == pytest.approx(128.0, rel=1e-12)


def test_a_forecast_is_the_rest_of_a_session_or_the_whole_of_the_next():
    """B is served from 600 to 1200 s and from 2400 s on; 5 Mbit/s up and 2 Mbit/s down."""
    down = {"rate": "fixed", "fixed_rate_mbps": 2, "path_gain_db": -150, "delivery": "unicast"}
    down |= {"bandwidth_mhz": 1, "total_bandwidth_mhz": 10}
    asked = (0.0, False), (750.0, False), (750.0, True), (1200.0, False), (4700.0, True)
    spans_s = (600.0, 1200.0), (750.0, 1200.0), (2400.0, 3000.0), (2400.0, 3000.0)
    found = []
    several = []

    def script(me):
        for time_s, fresh in asked:
            yield ask.Wait(time_s)
            found.append((yield ask.Forecast("B", fresh)))
            several.append((yield ask.Forecast("B", fresh, sessions=2)))

    play(slots(learning=SCRIPTED, link={"downlink": down}), only("B", script))
    both_s = [(600.0, 2400.0), (750.0, 2400.0), (2400.0, 4200.0), (2400.0, 4200.0), ()]
    assert [tuple(one.start_s for one in ones) for ones in several] == both_s
    assert [one.sessions for one in several[0]] == [3, 2]
    assert found.pop() is None
    for told, (start_s, end_s) in zip(found, spans_s, strict=True):
        assert (told.start_s, told.end_s, told.rounds) == (start_s, end_s, 1)
        lasts_s = end_s - start_s
        assert told.uplink_bytes == pytest.approx(np.full(3, 5e6 / 8 * lasts_s), rel=1e-9)
        assert told.downlink_bytes == pytest.approx(np.full(3, 2e6 / 8 * lasts_s), rel=1e-9)
        assert told.round_s(ask.Cost(1e9)).tolist() == [200.0] * 3
        assert np.isinf(told.memory_bytes).all()
    found.clear()
    play(slots(learning=SCRIPTED | {"rounds": {"per_contact": 7}}), only("B", script))
    assert found[0].rounds == 7
    assert np.isinf(found[0].downlink_bytes).all()  # a neglected downlink carries anything


@pytest.mark.parametrize(("begins_s", "ends_s"), [(0.0, 5.0), (4.0, 10.0), (4.0, 6.0)])
def test_a_lone_contact_carries_only_while_it_is_served(begins_s, ends_s):
    """The beam is at another cluster before or after; alone the 9 bytes would take 9 s of 10."""
    for radio in (None, band(4), band(4, "rounds"), band(4, "broadcast")):
        lone = cut(contact(0, 0.0, 10.0, [8.0, 8.0], None, radio), begins_s, ends_s)
        told = talk([lone], [upload(9.0)])
        row = begins_s, ends_s, ends_s - begins_s
        assert told.rows("start_s", "end_s", "delivered_bytes") == [row] * 2
        capacity_bits = network.PlannedSession(0, (lone,)).to_server.curve.capacity_bits
        assert capacity_bits.tolist() == [8.0 * (ends_s - begins_s)] * 2


@st.composite
def days(draw):
    """Contacts of some sessions on whole seconds, and times between the seconds to look at them."""
    contacts = []
    at_s = draw(st.integers(0, 3))
    for session in range(draw(st.integers(1, 5))):
        for _ in range(draw(st.integers(1, 3))):
            end_s = at_s + draw(st.integers(1, 5))
            contacts.append(contact(len(contacts), float(at_s), float(end_s), [8.0], session))
            at_s = end_s + draw(st.integers(0, 3))
        at_s += draw(st.integers(0, 3))
    times_s = draw(st.lists(st.integers(0, at_s + 3), unique=True, max_size=8))
    return contacts, sorted(second + 0.5 for second in times_s)


def watched(contacts, times_s, wants, signal=None):
    """What sessions say at some times, and which of them actors get who want some.

    A ``signal`` is given at these times instead.
    """
    clock = network.Clock()
    cluster = contacts[0].cluster
    plan = network.Plan(columns_of(contacts))
    sessions = network.ClusterSessions(clock, cluster, plan.sessions(cluster))
    states = []
    got = {name: [] for name in wants}

    def look():
        for time_s in times_s:
            yield clock.at(time_s)
            if signal is not None:
                signal.give()
                continue
            states.append(
                (sessions.open, sessions.current_contact_id(), sessions.last, sessions.over)
            )

    def take(name):
        def wanted():
            return wants[name](clock.now)

        while found := (
            yield from sessions.next_contact(
                name, lambda: 0, fresh=True, wanted=wanted, signal=signal
            )
        ):
            got[name].append((found.session, found.contact_id, clock.now))

    for name in wants:
        clock.start(name, take(name))
    clock.start("look", look())
    clock.run(math.inf, lambda number: None)
    return states, got


@given(days(), st.integers(2, 3))
def test_what_is_open_does_not_depend_on_who_waits(drawn, every):
    contacts, times_s = drawn
    begins = {one.session: one for one in reversed(contacts)}
    ends_s = {one.session: one.end_s for one in contacts}
    truth = []
    for time_s in times_s:
        begun = [one for one in contacts if begins[one.session].start_s <= time_s]
        latest = max((one for one in begun if one.start_s <= time_s), default=None, key=_start_s)
        open_now = latest is not None and time_s < ends_s[latest.session]
        near = open_now or (latest is not None and time_s - latest.end_s <= 1.0)
        last = len({one.session for one in begun}) == len(begins)
        number = latest.session if open_now else None
        truth.append((number, latest.contact_id if near else None, last, last and not open_now))
    some = {"all": lambda _: True, "none": lambda _: False, "some": lambda t: t % every == 0.0}
    firsts = [(one.session, one.contact_id, one.start_s) for one in begins.values()][::-1]
    expected = {"all": firsts, "none": [], "some": [one for one in firsts if one[2] % every == 0]}
    for names in ([], ["all"], ["none"], ["some"], ["none", "all"], ["some", "all"]):
        states, got = watched(contacts, times_s, {name: some[name] for name in names})
        assert states == truth, names
        assert got == {name: expected[name] for name in names}


@given(days())
def test_who_wants_no_contact_is_asked_again_at_a_signal(drawn):
    """An actor changes its mind at each of the times, when the signal is given."""
    contacts, times_s = drawn
    asked_s = []

    def wanted(now_s):
        asked_s.append(now_s)
        return sum(time_s <= now_s for time_s in times_s) % 2 == 1

    _, got = watched(contacts, times_s, {"it": wanted}, ask.Signal())
    begins = {one.session: one for one in reversed(contacts)}.values()
    firsts = sorted((one.session, one.contact_id, one.start_s) for one in begins)
    asked_of = [*asked_s]
    assert got["it"] == [one for one in firsts if wanted(one[2])]
    # Once of each session, and at most once between two signals while it wants none.
    assert len(set(asked_of)) == len(asked_of)
    refused = [sum(t < now_s for t in times_s) for now_s in asked_of if not wanted(now_s)]
    assert len(set(refused)) == len(refused)


def _start_s(one):
    return one.start_s
