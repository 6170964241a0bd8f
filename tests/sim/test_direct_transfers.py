"""What one device does alone, over one steady link: it is what the general way makes of it."""

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import scenarios
from tests.kit.learning import Download, Payload, Receipt, Train, Upload, Work
from tests.kit.network import DirectTraining, DirectTransfer, SteadyWay, build
from tests.kit.records import Way
from tests.kit.talk import COST, POLICIES, band, contact, cut, talk

RATE_BPS = st.floats(1e-3, 1e9)
SHARES = st.floats(0.0, 1.0)
ROUNDS = [(None, False), (1, False), (3, False), (0, False), (3, True)]


@st.composite
def conversations(draw):
    """Sessions of mostly one contact, served from its rise on or later, and chains over them."""
    sharing = draw(st.sampled_from(["fixed_subchannel", "fixed_subchannel", "broadcast"]))
    radios = [draw(st.sampled_from([None, band(1, sharing), band(3, sharing)])) for _ in range(2)]
    contacts = []
    end_s = draw(st.floats(0.0, 1e6))
    rate_bps = draw(RATE_BPS)
    for session in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
            start_s = end_s + draw(st.floats(0.0, 100.0))
            end_s = start_s + draw(st.floats(1.0, 1000.0))
            here = contact(
                len(contacts), start_s, end_s, [rate_bps], session, *radios,
                delays_s=[draw(st.floats(0.0, 0.1))],
            )  # fmt: skip
            if draw(st.booleans()):
                here = cut(here, start_s + (end_s - start_s) * draw(st.floats(0.0, 0.9)), end_s)
            contacts.append(here)
    carries = rate_bps * (contacts[0].end_s - contacts[0].start_s) / 8
    protocol, fresh = [], []
    for _ in range(draw(st.integers(1, 5))):
        size = carries * draw(
            st.one_of(st.floats(0.01, 0.2), st.floats(0.01, 0.2), st.floats(0.0, 2.0))
        )
        version = draw(st.integers(0, 1))
        if draw(st.booleans()):  # as methods give them: a number, or an array (K,)
            size, version = np.array([size]), np.array([version])
        payload = Payload(draw(st.sampled_from("ab")), size, version)
        who = draw(st.sampled_from([None, None, None, np.array([True]), np.array([False])]))
        kind = draw(st.sampled_from([Upload, Download, Train]))
        if kind is Train:
            rounds, partial = draw(st.sampled_from(ROUNDS))
            protocol.append([Train(COST, rounds, who, partial=partial)])
        else:
            protocol.append([kind(payload, who, carry=draw(st.booleans()))])
        another = fresh.count(True) <= contacts[-1].session and draw(st.booleans())
        fresh.append(True if another or not fresh else None)
    return contacts, protocol, fresh


def figures(told):
    """All that a talk comes to, to the last bit."""
    replies = [
        {name: (value.dtype, value.tolist()) if isinstance(value, np.ndarray) else value
         for name, value in vars(reply).items()}
        for chain in told.replies for reply in chain if isinstance(reply, Receipt | Work)
    ]  # fmt: skip
    tables = {name: table.to_pylist() for name, table in told.tables.items()}
    own = told.endpoint
    devices = own.devices
    spent = devices.rounds, devices.computed_s, devices.free_s, devices.load.figures()
    listed = own.payloads.listed()
    return repr((replies, tables, told.books, told.over_s, own.sent_s, listed, spent))


@settings(max_examples=60)  # 25 ms each; in two fifths some are direct
@given(conversations(), st.sampled_from(POLICIES), st.one_of(st.just(math.inf), SHARES))
def test_a_direct_step_is_what_the_general_way_makes_of_it(drawn, policy, share):
    """Also where the run ends while it goes on, and where others follow that are cut off."""
    contacts, protocol, fresh = drawn
    first_s, last_s = contacts[0].start_s, contacts[-1].end_s
    until_s = first_s + (last_s - first_s) * share if math.isfinite(share) else math.inf
    settled = mock.Mock(wraps=DirectTransfer.settle)
    trained = mock.Mock(wraps=DirectTraining.settle)
    with (
        mock.patch.object(DirectTransfer, "settle", lambda *given: settled(*given)),
        mock.patch.object(DirectTraining, "settle", lambda *given: trained(*given)),
    ):
        direct = talk(contacts, protocol, policy, until_s, fresh=fresh)
    event(f"{settled.call_count} direct transfers, {trained.call_count} trainings")
    with (
        mock.patch.object(DirectTransfer, "plan", return_value=None),
        mock.patch.object(DirectTraining, "plan", return_value=None),
    ):
        general = talk(contacts, protocol, policy, until_s, fresh=fresh)
    assert figures(direct) == figures(general)


@pytest.mark.parametrize("radio", [None, band(1)])
def test_most_transfers_of_one_device_are_direct(radio):
    settled = mock.Mock(wraps=DirectTransfer.settle)
    contacts = [contact(0, 100.0, 200.0, [800.0], None, radio, band(2))]
    protocol = [[Upload(Payload("a", 1000.0))], [Download(Payload("b", 2000.0))]]
    with mock.patch.object(DirectTransfer, "settle", lambda *given: settled(*given)):
        told = talk(contacts, protocol, fresh=[True, None])
    assert settled.call_count == 2
    assert told.rows("start_s", "end_s") == [(100.0, 110.0), (110.0, 130.0)]


def test_what_is_asked_of_a_link_of_one_rate_is_what_its_curves_say():
    keys = {"stop.days": 0.2, "link.uplink.fixed_rate_mbps": 7}
    contacts = build(scenarios.load("flystack", keys)).plan.contacts
    assert len(contacts) > 20
    for met in list(contacts)[:20]:
        links = met.links
        beams = links.devices.to_server, links.devices.to_client
        assert [links.steady(way) for way in Way] == [SteadyWay.of(beam) for beam in beams]
        middle_s = (met.start_s + met.end_s) / 2
        delay_s = links.devices.delay_s(np.array([middle_s]))[0]
        assert links.delay_of_one_s(middle_s) == links.delay_of_one()(middle_s) == delay_s > 0.0
