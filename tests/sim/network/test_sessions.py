"""Sessions: what links carry from when to when, hand-overs, what satellites know, forecasts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from learning.requests import Cost, Forecast, NextContact, Signal, Train, TrainUntilContact, Wait
from sim.clock import Clock
from sim.network.sessions import ClusterSessions
from sim.plan.plan import Plan
from tests.kit.handmade import COST, band, columns_of, compute, contact, download, talk, upload
from tests.kit.scripted import SCRIPTED, only, play
from tests.kit.small import slots


def test_the_delay_is_that_of_the_contact_in_use():
    far = contact(0, 0.0, 10.0, [8.0] * 2, 0, delays_s=[0.010, 0.020])
    near = contact(1, 15.0, 30.0, [8.0] * 2, 0, delays_s=[0.003, 0.004])
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


UNICAST = {"rate": "fixed", "fixed_rate_mbps": 2, "path_gain_db": -150, "delivery": "unicast"}
UNICAST |= {"bandwidth_mhz": 1, "total_bandwidth_mhz": 10}


@pytest.mark.parametrize(("downlink", "down_mbps"), [(UNICAST, 2), ("neglected", math.inf)])
def test_a_forecast_is_the_rest_of_a_session_or_the_whole_of_the_next(downlink, down_mbps):
    """B is served from 600 to 1200 s and from 2400 s on; 5 Mbit/s up and 2 Mbit/s down."""
    asked = (0.0, False), (750.0, False), (750.0, True), (1200.0, False), (4700.0, True)
    found = []

    def script(me):
        for time_s, fresh in asked:
            yield Wait(time_s)
            one = yield Forecast("B", fresh)
            found.append((one, (yield Forecast("B", fresh, sessions=2))))

    learning = SCRIPTED | {"rounds": {"per_contact": 7}}
    play(slots(learning=learning, link={"downlink": downlink}), only("B", script))
    both_s = [(600.0, 2400.0), (750.0, 2400.0), (2400.0, 4200.0), (2400.0, 4200.0), ()]
    assert [tuple(one.start_s for one in several) for _, several in found] == both_s
    assert [one.sessions for one in found[0][1]] == [3, 2]
    assert found.pop()[0] is None
    for told, _ in found:
        assert (told.end_s, told.rounds) == (1200.0 if told.start_s < 1200.0 else 3000.0, 7)
        for bytes_, mbps in ((told.uplink_bytes, 5), (told.downlink_bytes, down_mbps)):
            carried = mbps * 1e6 / 8 * (told.end_s - told.start_s)
            assert bytes_ == pytest.approx(np.full(3, carried), rel=1e-9)
        assert told.round_s(Cost(1e9)).tolist() == [200.0] * 3
        assert np.isinf(told.memory_bytes).all()


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
    clock = Clock()
    cluster = contacts[0].cluster
    plan = Plan(columns_of(contacts))
    sessions = ClusterSessions(clock, cluster, plan.sessions(cluster))
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

    _, got = watched(contacts, times_s, {"it": wanted}, Signal())
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


@pytest.mark.parametrize("asked", [3, 5, 7])
def test_what_is_left_of_rounds_is_that_of_each_device(asked):
    """In gaps of 1,000 s a device trains 10 rounds, the other 4: after two gaps both have done 7.

    What the quick one has done already is not taken from the slow one if a contact is declined.
    """
    works = []

    def wanted(work):
        works.append(work.rounds)
        return len(works) == 2

    def script(me):
        yield NextContact()
        yield TrainUntilContact(COST, rounds=asked, wanted=wanted)

    spans = [f"s,A,2026-08-22T00:{17 * n:02}:00Z,2026-08-22T00:{17 * n:02}:20Z" for n in range(3)]
    windows = "\n".join(["satellite,site,rise_utc,set_utc", *spans])
    kinds = [{"devices": 1, "seconds_per_round": each} for each in (100, 250)]
    play(
        scenarios.from_dict(
            {
                "start": "2026-08-22T00:00:00Z",
                "stop": {"days": 0.03},
                "orbit": {"source": "contacts", "windows": windows},
                "ground": {"clusters": [{"name": "A", "kinds": kinds}]},
                "link": {"preset": "paper"},
                "learning": SCRIPTED,
            }
        ),
        only("A", script),
    )
    assert np.sum(works, axis=0).tolist() == [asked, asked]
