"""Messages through the satellites: when they are there, what they use, and when they are lost."""

import numpy as np
import pytest

from learning.requests import (
    All,
    Chain,
    Cost,
    Download,
    NextContact,
    Node,
    Payload,
    Reach,
    Train,
    Upload,
)
from tests.kit.scripted import A0, A1, B0, B1, B2, SCRIPTED, at, play, replies, sent
from tests.kit.small import merged, slots

DOWN = {
    "rate": "fixed", "fixed_rate_mbps": 2, "path_gain_db": -150,
    "delivery": "unicast", "bandwidth_mhz": 1, "total_bandwidth_mhz": 10,
}  # fmt: skip
BROADCAST = DOWN | {"delivery": "broadcast", "total_bandwidth_mhz": None}


def relayed(relay="store", **changes):
    """Slots of 600 s: A in 0 to 600, B in 600 to 1200, nobody to 1800; 5 Mbit/s up, 2 down."""
    return slots(
        **merged({"learning": SCRIPTED, "link": {"relay": relay, "downlink": DOWN}}, changes)
    )


def test_messages_go_up_in_the_slot_of_the_source_and_down_in_that_of_the_target():
    """1 MB takes 1.6 s up and 4 s down; the last slots begin at 3600 s (A) and 4200 s (B)."""
    asked = (100.0, A0, B2, 1e6), (150.0, A0, A1, 1e6), (2450.0, B0, A0, 8), (4250.0, B0, A0, 8)
    tasks = [at(time_s, sent(*message)) for time_s, *message in asked]
    (across, within, late, too_late), result = replies(relayed(), *tasks, by="A")
    arrivals_s = [one.time_s for one in (across, within, late)]
    assert arrivals_s == pytest.approx([604.0, 150 + 1.6 + 4.0, 3600.0], abs=1e-3)
    assert (too_late.time_s, too_late.reason) == (4250.0, "no contact left")
    shown = ["direction", "cluster", "device", "payload", "contact_id", "start_s", "end_s"]
    rows = result.transfers[result.transfers.payload_bytes == 1e6][shown].to_numpy().tolist()
    assert rows[0] == ["uplink", "A", 0, "relay", 0, 100.0, pytest.approx(101.6)]
    assert ["downlink", "B", 2, "relay", 1, 600.0, pytest.approx(604.0)] in rows


@pytest.mark.parametrize(
    ("cut", "time_s", "reason"),
    [
        ("resume", 2400.0, ""),
        ("drop", 600.0, "cut off by the end of a contact"),
        ("restart", 4200.0, "no contact left"),
    ],
)
def test_what_a_pass_cuts_off_is_finished_or_lost(cut, time_s, reason):
    """600 s at 5 Mbit/s are 375 MB; the rest of 400 MB takes 40 s of the next slot."""
    scenario = relayed(link={"downlink": "neglected", "cut_transfers": cut})
    [arrival], result = replies(scenario, at(0.0, sent(A0, B0, 400e6)), by="A")
    assert (arrival.delivered, arrival.reason, arrival.time_s) == (not reason, reason, time_s)
    up = result.transfers[result.transfers.direction == "uplink"]
    if reason:
        lost = result.events[result.events.kind == "drop"].detail.tolist()
        assert f"feature to B/0: {reason}" in lost
    else:
        assert up.outcome.tolist() == ["carried", "delivered"]
        assert up.delivered_bytes.tolist() == pytest.approx([375e6, 25e6])
        assert up.end_s.iloc[1] == pytest.approx(1840.0)


def test_who_reaches_whom():
    """Slots of two clusters never meet; A's last one is over at 4200 s."""

    def asked():
        return [at(time_s, Reach()) for time_s in (10.0, 700.0, 4199.0, 4300.0)]

    stored, _ = replies(relayed(), *asked(), by="A")
    found, _ = replies(relayed("contact"), *asked(), at(700.0, sent(A0, A1, 8)), by="A")
    alone = np.eye(2, 5, dtype=bool)
    own = np.array([[True, True, False, False, False]] * 2)
    assert np.array_equal(stored, [np.ones((2, 5), bool)] * 3 + [alone])
    assert np.array_equal(found[:4], [own, alone, own, alone])
    assert found[4].reason == "not in contact"


@pytest.mark.parametrize("channels", [1, 2])
def test_no_device_sends_two_things_at_a_time_nor_more_than_there_are_sub_channels(channels):
    """All devices upload 20 MB again and again, while each sends its relayed messages."""
    model = Payload("model", 3e6)
    update = Payload("update", 2e7)

    def learn():
        while (yield NextContact()):
            yield Chain((Download(model), Train(Cost(1e9)), Upload(update)))

    def talk(source):
        for number in range(12):
            other = Node("B" if source.cluster == "A" else "A", number % 2)
            arrival = yield from at(number * 130.0, sent(source, other, 1e6))
            assert arrival.delivered, arrival

    def script(me):
        yield All((learn(), *(talk(Node(me.name, k)) for k in range(me.devices))))

    up = {"bandwidth_mhz": 5, "total_bandwidth_mhz": 5 * channels}
    down = DOWN | {"fixed_rate_mbps": 20, "total_bandwidth_mhz": channels}
    scenario = relayed(link={"uplink": up, "downlink": down}, stop={"cycles": 30})
    rows = play(scenario, script).transfers
    assert set(rows.payload) == {"model", "update", "relay"}
    way = ["cluster", "direction"]
    for key, most in (([*way, "device"], 1), (way, channels)):
        for _, mine in rows.groupby(key):
            edges = [(t, 1) for t in mine.start_s] + [(t - 1e-9, -1) for t in mine.end_s]
            assert np.cumsum([step for _, step in sorted(edges)]).max() <= most


def test_a_satellite_that_broadcasts_serves_single_devices_one_after_the_other():
    """2 and 3 MB at 2 Mbit/s to two devices: 8 s and then 12 s, not both at once.

    1 MB for three devices takes 4 s: once for all of them, or for each where it is personal.
    """
    scenario = relayed(link={"downlink": BROADCAST})
    tasks = at(0.0, sent(A0, B0, 2e6)), at(5.0, sent(A1, B1, 3e6))
    found, _ = replies(scenario, *tasks, by="A")
    assert [a.time_s for a in found] == pytest.approx([608.0, 620.0])

    def download(personal):
        yield NextContact()
        return (yield Download(Payload("state", 1e6), personal=personal))

    busy = "sub-channel busy: state: 2 devices, up to 8.000 s"
    for personal, ends_s, waits in ((0, [604.0] * 3, []), (1, [604.0, 608.0, 612.0], [busy])):
        [receipt], result = replies(scenario, download(bool(personal)))
        assert receipt.end_s == pytest.approx(ends_s)
        assert result.events[result.events.kind == "wait"].detail.tolist() == waits
