"""Transfers that a pass cuts off: who goes on, begins anew or gives up, and where the bytes are."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from channel import LinkCurve
from sim.invariants import check
from tests.kit.learning import Cluster, Download, Payload, Receipt, Train, Upload
from tests.kit.network import (
    Antenna,
    Beam,
    Clock,
    ContactLinks,
    CutTransfers,
    DeviceLinks,
    Devices,
    Ledger,
    Link,
    Plan,
    PlannedContact,
    Rows,
    Synchronisation,
)
from tests.kit.records import Trace, books_of, check_books
from tests.kit.small import orbit as orbit_scenario
from tests.kit.talk import COST, POLICIES, START, Talk, band, compute, contact, passes, talk, upload

# -- by hand: 1 byte a second, passes of 10 s, a payload of 15 bytes


def test_resume_goes_on_where_it_was() -> None:
    told = talk(passes([8.0], 0, 100, 200), [upload(15.0)] * 3)
    assert told.rows("start_s", "end_s", "delivered_bytes", "outcome") == [
        (0.0, 10.0, 10.0, "carried"),
        (100.0, 105.0, 5.0, "delivered"),
        (200.0, 210.0, 10.0, "carried"),
    ]
    assert [reply[0].left_bytes[0] for reply in told.replies] == [5.0, 0.0, 5.0]
    assert [reply[0].end_s[0] for reply in told.replies] == [math.inf, 105.0, math.inf]
    assert told.books["uplink"] == {
        "offered_bytes": 30.0, "delivered_bytes": 15.0, "carried_bytes": 15.0,
        "dropped_bytes": 0.0, "sent_bytes": 25.0, "unfinished_bytes": 10.0, "vain_bytes": 0.0,
    }  # fmt: skip
    assert not told.events("drop")


def test_restart_begins_anew_and_is_through_in_a_longer_pass() -> None:
    contacts = [contact(0, 0, 10, [8.0]), contact(1, 100, 110, [8.0]), contact(2, 200, 220, [8.0])]
    told = talk(contacts, [upload(15.0)] * 3, "restart")
    assert told.rows("start_s", "end_s", "delivered_bytes", "outcome") == [
        (0.0, 10.0, 10.0, "dropped"),
        (100.0, 110.0, 10.0, "dropped"),
        (200.0, 215.0, 15.0, "delivered"),
    ]
    assert [reply[0].left_bytes[0] for reply in told.replies] == [15.0, 15.0, 0.0]
    assert not any(reply[0].given_up.any() for reply in told.replies)
    assert told.books["uplink"] == {
        "offered_bytes": 15.0, "delivered_bytes": 15.0, "carried_bytes": 0.0,
        "dropped_bytes": 0.0, "sent_bytes": 35.0, "unfinished_bytes": 0.0, "vain_bytes": 20.0,
    }  # fmt: skip
    assert [event["detail"] for event in told.events("drop")] == ["a begins anew"] * 2


@pytest.mark.parametrize(
    ("policy", "carry"), [("drop", True), ("drop", False), ("resume", False), ("restart", False)]
)
def test_drop_gives_up_and_offers_anew(policy: CutTransfers, carry: bool) -> None:
    told = talk(passes([8.0, 16.0], 0, 100), [upload(15.0, carry=carry)] * 2, policy)
    assert told.rows("device", "delivered_bytes", "outcome") == [
        (0, 10.0, "dropped"),
        (1, 15.0, "delivered"),
        (0, 10.0, "dropped"),
        (1, 15.0, "delivered"),
    ]
    for [receipt] in told.replies:
        assert receipt.given_up.tolist() == [True, False]
        assert receipt.left_bytes.tolist() == [15.0, 0.0]
        assert receipt.reason == "contact ended"
    assert told.books["uplink"] == {
        "offered_bytes": 60.0, "delivered_bytes": 30.0, "carried_bytes": 0.0,
        "dropped_bytes": 30.0, "sent_bytes": 50.0, "unfinished_bytes": 0.0, "vain_bytes": 20.0,
    }  # fmt: skip
    told_of = [(e["time_s"], e["device"], e["detail"]) for e in told.events("drop")]
    assert told_of == [(10.0, 0, "a given up"), (110.0, 0, "a given up")]


def test_a_newer_version_drops_what_was_open() -> None:
    told = talk(passes([8.0], 0, 100, 200), [upload(15.0, v) for v in (1, 2, 2)])
    assert told.rows("version", "delivered_bytes", "outcome") == [
        (1, 10.0, "carried"),
        (2, 10.0, "carried"),
        (2, 5.0, "delivered"),
    ]
    [event] = told.events("drop")
    assert (event["time_s"], event["detail"]) == (100.0, "a stale part forgotten")
    assert told.books["uplink"] == {
        "offered_bytes": 30.0, "delivered_bytes": 15.0, "carried_bytes": 0.0,
        "dropped_bytes": 15.0, "sent_bytes": 25.0, "unfinished_bytes": 0.0, "vain_bytes": 10.0,
    }  # fmt: skip


def test_a_newer_version_of_some_devices_leaves_the_others_parts() -> None:
    versions = [np.array([1, 1]), np.array([1, 2])]
    told = talk(passes([8.0, 8.0], 0, 100), [[Upload(Payload("a", 15.0, v))] for v in versions])
    assert told.replies[1][0].left_bytes.tolist() == [0.0, 5.0]
    assert [event["device"] for event in told.events("drop")] == [1]


def test_two_payloads_and_two_directions_do_not_know_of_each_other() -> None:
    steps = [Upload(Payload("a", 4.0)), Download(Payload("a", 12.0)), Upload(Payload("b", 2.0))]
    contacts = [contact(n, t, t + 10, [8.0], down=band(9)) for n, t in enumerate((0.0, 100.0))]
    told = talk(contacts, [steps, steps])
    # 4 s up, 6 of 12 bytes down; then 4 s up again, the other 6 down and no time for b.
    assert told.rows("direction", "payload", "delivered_bytes", "outcome") == [
        ("uplink", "a", 4.0, "delivered"),
        ("downlink", "a", 6.0, "carried"),
        ("uplink", "a", 4.0, "delivered"),
        ("downlink", "a", 6.0, "delivered"),
    ]
    assert told.books["downlink"]["delivered_bytes"] == 12.0
    assert told.books["uplink"]["offered_bytes"] == 10.0  # b was asked for when a was down
    assert told.books["uplink"]["carried_bytes"] == 2.0


def test_a_hand_over_within_a_session_is_no_end_of_a_pass() -> None:
    contacts = [contact(n, 10.0 * n, 10.0 * n + 10, [8.0], session=0) for n in (0, 1)]
    told = talk(contacts, [upload(15.0)], "restart")
    assert told.rows("contact_id", "delivered_bytes", "outcome") == [
        (0, 10.0, "carried"),
        (1, 5.0, "delivered"),
    ]
    assert told.books["uplink"]["vain_bytes"] == 0.0


def test_what_begins_anew_loses_all_parts_of_a_session() -> None:
    contacts = [contact(n, 10.0 * n, 10.0 * n + 10, [8.0], session=0) for n in (0, 1)]
    told = talk([*contacts, contact(2, 100, 130, [8.0])], [upload(25.0)] * 2, "restart")
    assert told.rows("contact_id", "delivered_bytes", "outcome") == [
        (0, 10.0, "carried"),
        (1, 10.0, "dropped"),
        (2, 25.0, "delivered"),
    ]
    assert told.books["uplink"]["vain_bytes"] == 20.0
    assert len(told.events("drop")) == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_the_end_of_a_run_is_no_end_of_a_pass(policy: CutTransfers) -> None:
    told = talk(passes([8.0, 80.0], 0), [upload(15.0)], policy, until_s=4.0)
    rows = told.rows("device", "end_s", "delivered_bytes", "outcome")
    assert rows == [(0, 4.0, 4.0, "carried"), (1, 1.5, 15.0, "delivered")]
    assert told.books["uplink"] == {
        "offered_bytes": 30.0, "delivered_bytes": 15.0, "carried_bytes": 15.0,
        "dropped_bytes": 0.0, "sent_bytes": 19.0, "unfinished_bytes": 4.0, "vain_bytes": 0.0,
    }  # fmt: skip


def test_a_run_that_ends_before_a_device_begins_in_a_later_contact() -> None:
    """Device 1 trains until 30 s, in the second contact; the run ends in the gap at 15 s."""
    times_s = [(0.0, 10.0), (20.0, 40.0), (50.0, 60.0)]
    contacts = [contact(n, *span_s, [8.0, 8.0], session=0) for n, span_s in enumerate(times_s)]
    train = Train(COST, rounds=3, who=np.array([False, True]))
    told = talk(contacts, [[train, *upload(15.0)]], until_s=15.0)
    assert told.rows("device", "contact_id", "delivered_bytes") == [(0, 0, 10.0)]


def test_who_is_not_asked_keeps_its_part_of_another_version() -> None:
    """Of which more is through than the whole of what the others are asked for."""
    asked = Upload(Payload("a", np.array([15.0, 4.0]), np.array([1, 0])), np.array([True, False]))
    told = talk(passes([8.0, 8.0], 0, 100, 200), [upload(15.0), [asked], upload(15.0)])
    assert told.rows("device", "delivered_bytes", "outcome") == [
        (0, 10.0, "carried"),
        (1, 10.0, "carried"),
        (0, 5.0, "delivered"),
        (0, 10.0, "carried"),
        (1, 5.0, "delivered"),
    ]


@pytest.mark.parametrize("policy", POLICIES)
def test_who_never_begins_is_offered_and_writes_no_row(policy: CutTransfers) -> None:
    """One round of 10 s is longer than the pass: the upload behind it has no time."""
    told = talk(passes([8.0], 0, lasts_s=8.0), [[Train(COST), *upload(15.0)]], policy)
    assert not told.rows("device")
    books = told.books["uplink"]
    assert books["offered_bytes"] == books["carried_bytes"] == 15.0  # nothing has been cut off
    assert told.replies[0][1].given_up.tolist() == [False]


def test_without_a_session_nothing_moves_and_carry_says_what_becomes_of_it() -> None:
    """A request between two sessions: the reply comes at once."""
    contacts, cluster = passes([8.0], 0, 100), Cluster("c", 0, 1)
    clock, trace, ledger, got = Clock(), Trace(), Ledger(1), []
    plan = Plan(START, 1e6, (cluster,), tuple(contacts))
    antenna = Antenna(clock, cluster, plan.sessions(cluster))
    devices = Devices(cluster, compute())
    link = Link(clock, antenna, devices, Rows(trace), Synchronisation(0.0), ledger)

    def actor():
        yield clock.at(50.0)
        got.append((yield from link.chain(upload(15.0))))
        got.append((yield from link.chain([Upload(Payload("b", 5.0), carry=False)])))
        assert clock.now == 50.0

    clock.start("antenna", antenna.run(trace, lambda: None))
    clock.start("actor", actor())
    clock.run(math.inf, lambda number: None)
    kept, lost = got[0][0], got[1][0]
    assert kept.reason == lost.reason == "no contact"
    assert (kept.given_up.tolist(), lost.given_up.tolist()) == ([False], [True])
    books = books_of([ledger])["uplink"]
    assert (books["carried_bytes"], books["dropped_bytes"]) == (15.0, 5.0)


def test_a_neglected_downlink_is_never_cut() -> None:
    told = talk(passes([8.0], 0), [[Download(Payload("m", 1e9), carry=False)]], "drop")
    assert told.replies[0][0].given_up.tolist() == [False]
    assert told.books["downlink"]["delivered_bytes"] == told.books["downlink"]["sent_bytes"] == 1e9


def test_nothing_to_send_is_through_at_once() -> None:
    told = talk(passes([8.0], 3), [upload(0.0)])
    assert told.replies[0][0].done.tolist() == [True]
    assert told.replies[0][0].end_s.tolist() == [3.0]
    assert not told.rows("device")


@pytest.mark.parametrize("policy", POLICIES)
def test_bytes_on_their_way_when_the_run_ends_are_sent_but_not_delivered(
    policy: CutTransfers,
) -> None:
    """A distance of 0.01 light seconds: the last bit is sent at 5 s and there at 5.01 s."""
    here = contact(0, 0, 10, [8.0])
    links = here.links.devices
    far = replace(
        links, time_s=links.uplink.curve.time_s, slant_range_m=np.full((1, 2), 2997924.58)
    )
    here = replace(here, links=ContactLinks(lambda: far))
    told = talk([here], [upload(5.0)], policy, until_s=5.005)
    assert told.rows("delivered_bytes", "outcome") == [(5.0, "carried")]
    assert told.books["uplink"]["delivered_bytes"] == 0.0
    whole = talk([here], [upload(5.0)], policy)
    assert whole.rows("outcome") == [("delivered",)]
    assert whole.replies[0][0].end_s == pytest.approx([5.01], abs=1e-12)


def test_another_size_of_the_same_version_is_another_payload() -> None:
    told = talk(passes([8.0], 0, 100), [upload(15.0), upload(12.0)])
    assert told.books["uplink"]["offered_bytes"] == 27.0


# -- at random: the books always balance


SIZES = st.floats(0.5, 400.0)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[PlannedContact], list[list[Any]]]:
    """Sessions of one to three contacts with jittered devices, shared beams and any payloads."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    k = draw(st.integers(1, 4))
    sharing = draw(st.sampled_from(["fixed_subchannel", "rounds", "equal_share"]))
    up = draw(st.sampled_from([None, band(1, sharing), band(2, sharing)]))
    delivery = draw(st.sampled_from(["broadcast", "fixed_subchannel", "rounds"]))
    down = draw(st.sampled_from([None, band(1, delivery)]))
    contacts, at_s = [], 0.0
    sessions = draw(st.integers(1, 4))
    for session in range(sessions):
        at_s += 300.0
        for _ in range(rng.integers(1, 4)):
            lasts_s = rng.uniform(3.0, 50.0)
            here = contact(
                len(contacts), at_s, at_s + lasts_s, rng.uniform(4.0, 40.0, k), session, up, down
            )
            contacts.append(seen_in_part(here, rng))
            at_s += lasts_s + rng.choice([0.0, rng.uniform(0.0, 20.0)])
    sizes = {name: draw(SIZES) for name in ("a", "b")}
    return contacts, [chain_of(draw, rng, k, sizes) for _ in range(sessions)]


def seen_in_part(whole: PlannedContact, rng: np.random.Generator) -> PlannedContact:
    """Each device sees a part of the contact, some of them nothing."""
    links, k = whole.links.devices, whole.cluster.devices
    first, last = np.sort(rng.uniform(whole.start_s, whole.end_s, (2, k)), axis=0)
    all_of_it = rng.random(k) < 0.4
    first = np.where(all_of_it, whole.start_s, first)
    last = np.where(all_of_it, whole.end_s, last)
    time_s = np.column_stack([first, last])
    blind = (rng.random(k) < 0.15)[:, None]

    def cut(beam: Beam) -> Beam:
        return replace(beam, curve=LinkCurve(time_s, np.where(blind, 0.0, beam.curve.rate_bps)))

    down = None if links.downlink is None else cut(links.downlink)
    narrow = DeviceLinks(cut(links.uplink), down, time_s, np.full(time_s.shape, 1e6))
    return replace(whole, links=ContactLinks(lambda: narrow))


def chain_of(
    draw: st.DrawFn, rng: np.random.Generator, k: int, sizes: dict[str, float]
) -> list[Any]:
    """A size belongs to a name and a version."""
    steps: list[Any] = []
    names = draw(st.lists(st.sampled_from(["up a", "up b", "down a", "train"]), max_size=4))
    for name in dict.fromkeys(names):
        who = None if rng.random() < 0.5 else rng.random(k) < 0.7
        if name == "train":
            steps.append(Train(COST, who=who))
            continue
        version = rng.integers(0, 2, k)
        payload = Payload(name[-1], sizes[name[-1]] * (1 + version), version)
        step = Upload if name.startswith("up") else Download
        steps.append(step(payload, who, carry=bool(rng.random() < 0.8)))
    return steps


@settings(max_examples=250, deadline=None)
@given(
    drawn=conversations(),
    policy=st.sampled_from(POLICIES),
    until_s=st.sampled_from([math.inf, 320.0, 650.0]),
)
def test_the_books_balance_whatever_happens(
    drawn: tuple[list[PlannedContact], list[list[Any]]], policy: CutTransfers, until_s: float
) -> None:
    """``talk`` raises unless they do. And the rows agree with the contacts and the receipts."""
    contacts, protocol = drawn
    told = talk(contacts, protocol, policy, until_s)
    for row in told.tables["transfers"].to_pylist():
        there = contacts[row["contact_id"]]
        assert there.start_s <= row["start_s"] <= row["end_s"] <= there.end_s + 0.01
        assert 0 < row["delivered_bytes"] <= row["payload_bytes"] * (1 + 1e-9)
    for direction in ("uplink", "downlink"):
        through = sum(
            row["payload_bytes"]
            for row in told.tables["transfers"].to_pylist()
            if row["direction"] == direction and row["outcome"] == "delivered"
        )
        assert told.books[direction]["delivered_bytes"] == pytest.approx(through, rel=1e-9)
    dropped = sum(row["outcome"] == "dropped" for row in told.tables["transfers"].to_pylist())
    stale = sum("stale" in event["detail"] for event in told.events("drop"))
    assert len(told.events("drop")) == dropped + stale
    if policy == "resume":
        check_receipts(protocol, told)


def check_receipts(protocol: list[list[Any]], told: Talk) -> None:
    """What a device has and what is left make the payload; done is nothing left."""
    for steps, replies in zip(protocol, told.replies, strict=False):
        for step, reply in zip(steps, replies, strict=True):
            if isinstance(reply, Receipt):
                whole = np.broadcast_to(step.payload.bytes, reply.done.shape)
                assert reply.delivered_bytes + reply.left_bytes == pytest.approx(whole)
                assert (reply.left_bytes[reply.done] == 0).all()
                assert np.isfinite(reply.end_s).tolist() == reply.done.tolist()
                assert reply.given_up is not None
                assert not (reply.given_up & (reply.done | step.carry)).any()


# -- the books themselves


FIELDS = ("offered_bytes", "delivered_bytes", "carried_bytes", "dropped_bytes", "sent_bytes")


@pytest.fixture(scope="module")
def some_talk() -> Talk:
    steps = [Upload(Payload("a", 15.0)), Download(Payload("m", 7.0))]
    contacts = [contact(n, t, t + 10, [8.0, 14.0], down=band(9)) for n, t in enumerate((0.0, 99.0))]
    return talk(contacts, [steps, steps])


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
@pytest.mark.parametrize("field", [*FIELDS, "unfinished_bytes", "vain_bytes"])
def test_every_figure_of_the_books_counts(some_talk: Talk, direction: str, field: str) -> None:
    wrong = {way: dict(account) for way, account in some_talk.books.items()}
    wrong[direction][field] += 0.01
    with pytest.raises(sim.InvariantError, match=f"{direction} (offered|sent)"):
        check_books(wrong, some_talk.tables["transfers"])


@pytest.mark.parametrize("row", range(7))
def test_every_row_counts(some_talk: Talk, row: int) -> None:
    table = some_talk.tables["transfers"]
    values = table.column("delivered_bytes").to_pylist()
    assert len(values) == 7
    values[row] += 0.01
    place = table.column_names.index("delivered_bytes")
    changed = table.set_column(place, "delivered_bytes", pa.array(values))
    with pytest.raises(sim.InvariantError, match="but the rows have"):
        check_books(some_talk.books, changed)
    with pytest.raises(sim.InvariantError, match="but the rows have"):
        check_books(some_talk.books, table.slice(0, row))


# -- whole runs


SLOW = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}


@pytest.mark.parametrize("method", ["emsfl", "synchronous"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_over_passes_too_short_for_its_payloads(policy: str, method: str) -> None:
    result = sim.run(
        orbit_scenario(
            stop={"days": 2},
            link={**SLOW, "cut_transfers": policy},
            learning={"method": method, "train": False},
        )
    )
    check(result.tables)
    books = result.manifest["books"]
    check_books(books, result.tables["transfers"])
    up = result.transfers[result.transfers.direction == "uplink"]
    big = up[up.payload != "gate"]
    assert len(big) > 8
    assert ("delivered" in set(big.outcome)) == (policy == "resume")
    assert ("carried" in set(big.outcome)) == (policy == "resume")
    assert books["uplink"]["sent_bytes"] == pytest.approx(up.delivered_bytes.sum(), rel=1e-12)
    drops = result.events[result.events.kind == "drop"]
    assert drops.detail.str.contains("begins anew").any() == (policy == "restart")
    if policy != "resume":
        assert big.delivered_bytes.max() < big.payload_bytes.min()
        assert books["uplink"]["vain_bytes"] > 0


def test_a_run_whose_books_are_cooked_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that is sent and not booked is found at the end of the run."""
    honest = Ledger.settle

    def cooked(self: Ledger, *arguments: Any) -> Any:
        given_up = honest(self, *arguments)
        self.accounts["uplink"].sent += 1.0
        return given_up

    monkeypatch.setattr(Ledger, "settle", cooked)
    with pytest.raises(sim.InvariantError, match="the bytes of the run do not add up"):
        sim.run(orbit_scenario(stop={"days": 0.5}, learning={"train": False}))
