"""Messages through the satellites: when they are there, what they use, and when they are lost."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.learning import (
    All,
    Chain,
    Cluster,
    Cost,
    Download,
    NextContact,
    Node,
    Payload,
    Reach,
    Train,
    Upload,
    Wait,
)
from tests.kit.scripted import B0, B1, B2, SCRIPTED, play, sent
from tests.kit.small import ORBIT, merged, slots

A0, A1 = Node("A", 0), Node("A", 1)


def relayed(relay: str = "store", **changes: Any) -> scenarios.Scenario:
    """Slots of 600 s: A in 0 to 600, B in 600 to 1200, nobody to 1800; 5 Mbit/s up, 2 down."""
    down = {
        "rate": "fixed",
        "fixed_rate_mbps": 2,
        "path_gain_db": -150,
        "delivery": "unicast",
        "bandwidth_mhz": 1,
        "total_bandwidth_mhz": 10,
    }
    link = {"relay": relay, "downlink": down}
    return slots(**merged({"learning": SCRIPTED, "link": link}, changes))


def at(time_s: float, request: Any) -> Generator[Any, Any, Any]:
    yield Wait(time_s)
    return (yield request)


def arrivals(scenario: scenarios.Scenario, *tasks: Any) -> tuple[list[Any], sim.Result]:
    """Run tasks side by side as cluster A and return what they reply."""
    found: list[Any] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        if me.name == "A":
            found.extend((yield All(tasks)))

    return found, play(scenario, script)


def test_up_in_the_one_clusters_slot_and_down_in_the_others() -> None:
    """1 MB at 5 Mbit/s from 100 s to 101.6 s, and at 2 Mbit/s from 600 s to 604 s."""
    found, result = arrivals(relayed(), at(100.0, sent(A0, B2, 1e6)))
    assert found[0].delivered
    assert found[0].time_s == pytest.approx(604.0, rel=1e-12)
    rows = result.transfers
    shown = ["direction", "cluster", "device", "payload", "payload_bytes", "start_s", "end_s"]
    assert rows[shown].to_numpy().tolist() == [
        ["uplink", "A", 0, "relay", 1e6, 100.0, pytest.approx(101.6)],
        ["downlink", "B", 2, "relay", 1e6, 600.0, pytest.approx(604.0)],
    ]
    assert rows.contact_id.tolist() == [0, 1]


def test_back_again_over_the_next_cycle() -> None:
    """The answer goes up at once in B's slot, and down when A is served again."""
    found, _ = arrivals(relayed(), at(0.0, sent(A0, B0, 1e6)))
    assert found[0].time_s == pytest.approx(604.0)

    def both(_: Cluster) -> Generator[Any, Any, None]:
        if _.name == "A":
            there = yield sent(A0, B0, 1e6)
            back = yield sent(B0, A0, 500_000)
            assert there.time_s == pytest.approx(604.0)
            assert back.time_s == pytest.approx(1802.0)

    play(relayed(), both)


def test_within_a_cluster_it_goes_up_and_down_in_one_slot() -> None:
    found, _ = arrivals(relayed(), at(50.0, sent(A0, A1, 1e6)))
    assert found[0].time_s == pytest.approx(50 + 1.6 + 4.0)


def test_what_waits_together_is_sent_together() -> None:
    """Three messages of one device wait for its slot: one payload up, one for each target down."""
    tasks = [
        at(1000.0, sent(A0, target, size)) for target, size in ((B0, 2e5), (B1, 3e5), (B0, 5e5))
    ]
    found, result = arrivals(relayed(), *tasks)
    rows = result.transfers
    up, down = rows[rows.direction == "uplink"], rows[rows.direction == "downlink"]
    assert up.payload_bytes.tolist() == [1e6]
    assert (up.start_s.iloc[0], up.end_s.iloc[0]) == (1800.0, pytest.approx(1801.6))
    assert dict(zip(down.device, down.payload_bytes, strict=True)) == {0: 7e5, 1: 3e5}
    assert [a.time_s for a in found] == pytest.approx([2402.8, 2401.2, 2402.8])


def test_a_message_that_does_not_fit_is_finished_in_the_next_contact() -> None:
    """600 s at 5 Mbit/s are 375 MB; the rest of 400 MB takes 40 s of the next slot."""
    found, result = arrivals(relayed(link={"downlink": "neglected"}), sent_at(400e6))
    assert found[0].delivered
    rows = result.transfers
    up = rows[rows.direction == "uplink"]
    assert up.outcome.tolist() == ["carried", "delivered"]
    assert up.delivered_bytes.tolist() == pytest.approx([375e6, 25e6])
    assert up.end_s.iloc[1] == pytest.approx(1840.0)
    assert found[0].time_s == 2400.0  # the paper's downlink takes no time


def sent_at(size: float, time_s: float = 0.0) -> Generator[Any, Any, Any]:
    return at(time_s, sent(A0, B0, size))


@pytest.mark.parametrize(
    ("cut", "reason"),
    [("drop", "cut off by the end of a contact"), ("restart", "no contact left")],
)
def test_what_a_pass_cuts_off_may_be_lost(cut: str, reason: str) -> None:
    scenario = relayed(link={"downlink": "neglected", "cut_transfers": cut})
    found, result = arrivals(scenario, sent_at(400e6))
    assert (found[0].delivered, found[0].reason) == (False, reason)
    assert found[0].time_s == (600.0 if cut == "drop" else 4200.0)
    lost = result.events[result.events.kind == "drop"].detail.tolist()
    assert f"feature to B/0: {reason}" in lost


def test_lost_when_the_targets_last_contact_is_over() -> None:
    """A's last slot begins at 3600 s and B's at 4200 s: what comes up then is too late for A."""
    found, _ = arrivals(
        relayed(),
        at(4250.0, sent(B0, A0, 8)),
        at(2450.0, sent(B0, A0, 8)),
    )
    assert (found[0].delivered, found[0].time_s) == (False, 4250.0)
    assert found[0].reason == "no contact left"
    assert found[1].delivered


def test_in_contact_only_while_both_are() -> None:
    """Slots of two clusters never meet: each reaches its own devices, in its slot."""
    seen: list[Any] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        if me.name == "A":
            for time_s in (10.0, 700.0):
                yield Wait(time_s)
                seen.append((yield Reach()))
            arrival = yield sent(A0, A1, 8)
            seen.append(arrival.reason)

    play(relayed("contact"), script)
    own = [[True, True, False, False, False]] * 2
    assert np.array_equal(seen[0], own)
    assert np.array_equal(seen[1], np.eye(2, 5, dtype=bool))
    assert seen[2] == "not in contact"


def test_store_reaches_all_who_have_contacts_to_come() -> None:
    seen: list[Any] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        if me.name == "A":
            for time_s in (10.0, 4199.0, 4200.0, 4300.0):
                yield Wait(time_s)
                seen.append((yield Reach()))

    play(relayed(), script)
    assert seen[0].all() and seen[1].all()
    # A's last slot is over at 4200 s.
    assert np.array_equal(seen[3], np.eye(2, 5, dtype=bool))


def test_the_books_have_each_message_once_a_hop() -> None:
    """Bytes over the links = bytes of the messages x hops: one over a sidelink, two by relay."""
    draw = np.random.default_rng(7)
    nodes = [A0, A1, B0, B1, B2]
    pairs = [(nodes[i], nodes[j]) for i, j in draw.integers(0, 5, (60, 2))]
    sizes = draw.integers(0, 300_000, 60)
    tasks = [
        at(float(time_s), sent(*pair, float(size)))
        for time_s, pair, size in zip(draw.uniform(0, 2000, 60), pairs, sizes, strict=True)
    ]
    link = {"relay": "store", "sidelink": {"rate_mbps": 1, "distance_km": 0.1}}
    found, result = arrivals(relayed(link=link), *tasks)
    assert all(arrival.delivered for arrival in found)
    near = sum(
        s for (a, b), s in zip(pairs, sizes, strict=True) if a.cluster == b.cluster != "" and a != b
    )
    far = sum(s for (a, b), s in zip(pairs, sizes, strict=True) if a.cluster != b.cluster)
    books = result.manifest["books"]
    assert books["sidelink"]["sent_bytes"] == near
    for direction in ("uplink", "downlink"):
        assert books[direction]["sent_bytes"] == pytest.approx(far, rel=1e-12)


def test_a_device_that_sees_no_satellite_sends_nothing_and_delays_nobody() -> None:
    """Its mask hides every pass from it: its message waits for all of them, and is then lost."""
    places = [
        {"latitude_deg": 60, "longitude_deg": 20},
        {"latitude_deg": 60, "longitude_deg": 20.1, "min_elevation_deg": 89.9},
    ]
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "places": places}
    south = {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "devices": 2}
    keys = {"learning": SCRIPTED, "link": {"relay": "store"}}
    scenario = scenarios.from_dict(
        merged(ORBIT, keys | {"ground": {"clusters": [north, south]}, "stop": {"days": 2}})
    )
    found: list[Any] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        if me.name == "North":
            pairs = [(Node("North", k), Node("South", k)) for k in (0, 1)]
            found.extend((yield All(tuple(at(0.0, sent(*pair, 1e4)) for pair in pairs))))

    result = play(scenario, script)
    last = result.contacts[result.contacts.cluster == "North"].iloc[-1]
    assert found[0].delivered and found[0].time_s < last.rise_s / 2
    assert (found[1].delivered, found[1].reason) == (False, "no contact left")
    assert last.rise_s < found[1].time_s <= last.set_s


def test_in_contact_with_each_other_under_one_satellite() -> None:
    """Two clusters 100 km apart: reachable while both are served, as the contacts table says."""
    near = {"name": "Near", "latitude_deg": 60.9, "longitude_deg": 20, "devices": 1}
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 1}
    keys = {
        "learning": SCRIPTED,
        "link": {"relay": "contact"},
        "ground": {"clusters": [near, north]},
        "stop": {"days": 0.5},
        "orbit": {"beams": 2},
    }
    seen: list[tuple[float, bool]] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        for number in range(1, 1400 if me.name == "North" else 1):
            yield Wait(number * 30.0)
            seen.append((number * 30.0, bool((yield Reach())[0, 0])))

    result = play(scenarios.from_dict(merged(ORBIT, keys)), script)
    spans = {
        name: [(row.service_start_s, row.service_end_s) for row in mine.itertuples()]
        for name, mine in result.contacts.groupby("cluster")
    }
    assert 10 < sum(reached for _, reached in seen) < 1000
    for time_s, reached in seen:
        both = all(any(a <= time_s < b for a, b in mine) for mine in spans.values())
        assert reached == both


# -- beside what a method sends itself


def overlapping(rows: Any) -> bool:
    """Whether two rows of the same cluster, device and direction lie over each other."""
    for _, mine in rows.groupby(["cluster", "device", "direction"]):
        mine = mine.sort_values("start_s")
        if (mine.start_s.to_numpy()[1:] < mine.end_s.to_numpy()[:-1] - 1e-9).any():
            return True
    return False


def at_once(rows: Any) -> int:
    """The most rows of one direction that lie over each other at any time."""
    edges = [(t, 1) for t in rows.start_s] + [(t - 1e-9, -1) for t in rows.end_s]
    return int(np.cumsum([step for _, step in sorted(edges)]).max())


def side_by_side(scenario: scenarios.Scenario) -> sim.Result:
    """A's and B's devices upload 20 MB each, while every device sends its relayed messages."""

    def model(me: Cluster) -> Generator[Any, Any, None]:
        while (yield NextContact()):
            yield Chain(
                (Download(Payload("model", 3e6)), Train(Cost(1e9)), Upload(Payload("update", 2e7)))
            )

    def talk(source: Node) -> Generator[Any, Any, None]:
        for number in range(12):
            yield Wait(number * 130.0)
            other = Node("B" if source.cluster == "A" else "A", number % 2)
            arrival = yield sent(source, other, 1e6)
            assert arrival.delivered, arrival

    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield All((model(me), *(talk(Node(me.name, k)) for k in range(me.devices))))

    return play(scenario, script)


def test_no_device_sends_two_things_at_a_time() -> None:
    result = side_by_side(relayed(stop={"cycles": 30}))
    rows = result.transfers
    assert set(rows.payload) == {"model", "update", "relay"}
    assert not overlapping(rows)


@pytest.mark.parametrize("channels", [1, 2])
def test_no_more_devices_send_than_there_are_sub_channels(channels: int) -> None:
    up = {"uplink": {"bandwidth_mhz": 5, "total_bandwidth_mhz": 5 * channels}}
    down = {
        "rate": "fixed",
        "fixed_rate_mbps": 20,
        "path_gain_db": -150,
        "delivery": "unicast",
        "bandwidth_mhz": 1,
        "total_bandwidth_mhz": channels,
    }
    scenario = relayed(link={**up, "downlink": down}, stop={"cycles": 30})
    rows = side_by_side(scenario).transfers
    assert not overlapping(rows)
    for _, mine in rows.groupby(["cluster", "direction"]):
        assert at_once(mine) <= channels


def test_a_satellite_that_broadcasts_serves_relayed_messages_one_after_the_other() -> None:
    """2 and 3 MB at 2 Mbit/s to two devices: 8 s and then 12 s, not both at once."""
    down = {"rate": "fixed", "fixed_rate_mbps": 2, "path_gain_db": -150, "delivery": "broadcast"}
    down |= {"bandwidth_mhz": 1, "total_bandwidth_mhz": None}
    found, _ = arrivals(
        relayed(link={"downlink": down}),
        at(0.0, sent(A0, B0, 2e6)),
        at(5.0, sent(A1, B1, 3e6)),
    )
    assert [a.time_s for a in found] == pytest.approx([608.0, 620.0])


@pytest.mark.parametrize("personal", [False, True])
def test_a_personal_download_is_not_broadcast(personal: bool) -> None:
    """1 MB at 2 Mbit/s take 4 s: once for all three devices, or once for each of them."""
    down = {"rate": "fixed", "fixed_rate_mbps": 2, "path_gain_db": -150, "delivery": "broadcast"}
    down |= {"bandwidth_mhz": 1, "total_bandwidth_mhz": None}
    ends: list[float] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        if me.name == "B":
            yield NextContact()
            receipt = yield Download(Payload("state", 1e6), personal=personal)
            ends.extend(receipt.end_s)

    result = play(relayed(link={"downlink": down}), script)
    expected = [604.0, 608.0, 612.0] if personal else [604.0] * 3
    assert ends == pytest.approx(expected)
    waits = result.events[result.events.kind == "wait"].detail.tolist()
    assert waits == (["sub-channel busy: state: 2 devices, up to 8.000 s"] if personal else [])


# -- over an orbit, and interrupted


def city_talk(me: Cluster) -> Generator[Any, Any, None]:
    """Each device asks a device of the next city and waits for the answer, again and again."""

    def asks(device: int) -> Generator[Any, Any, int]:
        answered = 0
        names = ["Munich", "Nairobi", "Osaka", "Sao Paulo"]
        other = Node(names[(me.index + 1) % 4], device)
        mine = Node(me.name, device)
        for _ in range(3):
            there = yield sent(mine, other, 2e5)
            if not there.delivered:
                return answered
            back = yield sent(other, mine, 1e3, "result")
            answered += back.delivered
        return answered

    counts = yield All(tuple(asks(k) for k in range(me.devices)))
    assert counts == [3] * me.devices


def over_quickstart(**more: Any) -> scenarios.Scenario:
    keys = {"learning": {"method": "scripted", "train": False}, "link": {"relay": "store"}}
    return scenarios.load("quickstart", keys | more)


def test_over_an_orbit_every_byte_goes_up_once_and_down_once() -> None:
    result = play(over_quickstart(), city_talk)
    whole = 20 * 3 * (2e5 + 1e3)
    for direction in ("uplink", "downlink"):
        assert result.manifest["books"][direction]["sent_bytes"] == pytest.approx(whole, rel=1e-9)
    assert not overlapping(result.transfers)


def test_another_satellite_has_a_message_only_after_the_synchronisation() -> None:
    """Each satellite is an access point of one server, some time behind the others."""
    orbit = {"source": "walker", "altitude_km": 600, "inclination_deg": 70, "satellites": 12}
    serving = {"planes": 3, "phasing": 1, "serving": "any", "sync_delay_s": 900.0}
    keys = {"learning": SCRIPTED, "link": {"relay": "store"}, "stop": {"days": 1}}
    mapping = merged({**ORBIT, "orbit": orbit | serving}, keys)
    delays: list[float] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        if me.name == "North":
            for device in (0, 1) * 10:
                yield sent(Node("North", device), Node("South", device), 1e4)

    result = play(scenarios.from_dict(mapping), script)
    satellite = result.contacts.set_index("contact_id").satellite
    done = result.transfers[result.transfers.outcome == "delivered"]
    ups, downs = (done[done.direction == way] for way in ("uplink", "downlink"))
    assert len(ups) == len(downs) == 20
    for (_, up), (_, down) in zip(ups.iterrows(), downs.iterrows(), strict=True):
        behind = 900.0 if satellite[up.contact_id] != satellite[down.contact_id] else 0.0
        delays.append(down.start_s - up.end_s - behind)
    assert min(delays) >= -1e-6
    assert len(set(satellite[ups.contact_id])) > 2


def test_killed_while_messages_wait_and_resumed(tmp_path: Path) -> None:
    link = {"relay": "store", "sidelink": {"rate_mbps": 1, "distance_km": 0.1}}
    scenario = relayed(link=link, learning={"method": "scripted"})

    def script(me: Cluster) -> Generator[Any, Any, None]:
        other = "B" if me.name == "A" else "A"

        def one(number: int) -> Generator[Any, Any, None]:
            yield Wait(number * 170.0)
            yield sent(Node(me.name, number % 2), Node(other, number % 2), 3e6)
            yield sent(Node(me.name, 0), Node(me.name, 1), 3e5)

        yield All(tuple(one(number) for number in range(10)), deadline_s=1500.0)

    def stop(event: int) -> Any:
        def each_event(number: int) -> None:
            if number == event:
                raise sim.Interrupted("asked for")

        return each_event

    whole = play(scenario, script)
    assert {"relay", "feature"} <= set(whole.transfers.payload)
    for event in range(5, whole.manifest["events"], 23):
        place = tmp_path / str(event)
        with pytest.raises(sim.Interrupted):
            play(scenario, script, place, each_event=stop(event))
        again = play(scenario, script, place, resume=True)
        assert again.manifest["trace_sha256"] == whole.manifest["trace_sha256"]
