"""Transfers that a pass cuts off: who goes on, begins anew or gives up, and where the bytes are."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from learning.requests import Download, Payload, Receipt, Train, Upload
from tests.kit import handmade as kit
from tests.kit.handmade import COST, band, contact, passes, seen, talk, upload

OTHER_SIZES = np.array([15.0, 15.0, 12.0])
DELAY_S = 3e-3
ROW = ["device", "start_s", "end_s", "delivered_bytes"]
TWICE = passes([8.0], 0, 100)
GROWING = [contact(0, 0, 10, [8.0]), contact(1, 100, 110, [8.0]), contact(2, 200, 220, [8.0])]
HANDED_OVER = [contact(n, 10.0 * n, 10.0 * n + 10, [8.0], session=0) for n in (0, 1)]
SHARED = [contact(n, 10 * n, 10 * n + 9, [8.0] * 2, 0, band(1, "equal_share")) for n in (0, 1)]
APART = [seen(made, [[16, 17], [14, 15]], [[8, 8], [8, 8]]) for made in SHARED]
LONG = contact(1, 100, 200, [8.0] * 3)
LONG_ROWS = [f"{k} in 1: 100-107 7 delivered" for k in range(3)]
LOST = ["0 in 0: 0-10 10 dropped", "1 in 0: 0-7.5 15 delivered",
        "0 in 1: 100-110 10 dropped", "1 in 1: 100-107.5 15 delivered"]  # fmt: skip
GIVEN_UP = (passes([8.0, 16.0], 0, 100), LOST, (60, 30, 0, 30, 50, 0, 20),
            [[15, 0]] * 2, ["10 0 a given up", "110 0 a given up"])  # fmt: skip

# Contacts, protocol, and how; rows, books (in the order of `BOOKS`), what is left of the last step
# of each chain, and who drops what when.
CASES = {
    "resume": (
        passes([8.0], 0, 100, 200), [upload(15.0)] * 3, {},
        ["0 in 0: 0-10 10 carried", "0 in 1: 100-105 5 delivered", "0 in 2: 200-210 10 carried"],
        (30, 15, 15, 0, 25, 10, 0), [[5], [0], [5]], [],
    ),
    "restart": (
        GROWING, [upload(15.0)] * 3, {"policy": "restart"},
        ["0 in 0: 0-10 10 dropped", "0 in 1: 100-110 10 dropped", "0 in 2: 200-215 15 delivered"],
        (15, 15, 0, 0, 35, 0, 20), [[15], [15], [0]], ["10 0 a begins anew", "110 0 a begins anew"],
    ),
    **{
        f"{policy}, carry {carry}": (
            GIVEN_UP[0], [upload(15.0, carry=carry)] * 2, {"policy": policy}, *GIVEN_UP[1:]
        )
        for policy, carry in (("drop", 1), ("drop", 0), ("resume", 0), ("restart", 0))
    },
    "a newer version of one device, another size of one": (
        passes([8.0] * 3, 0, 100), [upload(15.0), upload(OTHER_SIZES, np.array([1, 2, 1]))], {},
        [*(f"{k} in 0: 0-10 10 carried" for k in range(3)), "0 in 1: 100-105 5 delivered",
         "1 in 1: 100-110 10 carried", "2 in 1: 100-110 10 carried"],
        (72, 15, 27, 30, 55, 20, 20), [[5, 5, 5], [0, 5, 2]],
        ["100 1 a stale part forgotten", "100 2 a stale part forgotten"],
    ),
    # 4 s up, 6 of 12 bytes down; then 4 s up again, the other 6 down and no time for b: b was
    # asked for when a was down.
    "both directions": (
        [contact(n, t, t + 10, [8.0], down=band(9)) for n, t in enumerate((0.0, 100.0))],
        [[*upload(4.0), Download(Payload("a", 12.0)), Upload(Payload("b", 2.0))]] * 2, {},
        ["0 in 0: 0-4 4 delivered", "0 in 0: 4-10 6 carried",
         "0 in 1: 100-104 4 delivered", "0 in 1: 104-110 6 delivered"],
        (10, 8, 2, 0, 8, 0, 0), [[2], [2]], [],
    ),
    # A hand-over is no end of a pass; what begins anew loses all parts of the session.
    "hand-over": (
        HANDED_OVER, [upload(15.0)], {"policy": "restart"},
        ["0 in 0: 0-10 10 carried", "0 in 1: 10-15 5 delivered"],
        (15, 15, 0, 0, 15, 0, 0), [[0]], [],
    ),
    "anew after a hand-over": (
        [*HANDED_OVER, contact(2, 100, 130, [8.0])], [upload(25.0)] * 2, {"policy": "restart"},
        ["0 in 0: 0-10 10 carried", "0 in 1: 10-20 10 dropped", "0 in 2: 100-125 25 delivered"],
        (25, 25, 0, 0, 45, 0, 20), [[25], [0]], ["20 0 a begins anew"],
    ),
    "one sees one satellite": (
        [contact(0, 0, 10, [8.0] * 2, 0),
         seen(contact(1, 10, 30, [8.0] * 2, 0), [[10, 30], [14, 14]], [[8, 8], [0, 0]])],
        [upload(15.0)], {},
        ["0 in 0: 0-10 10 carried", "1 in 0: 0-10 10 carried", "0 in 1: 10-15 5 delivered"],
        (30, 15, 15, 0, 25, 10, 0), [[0, 5]], [],
    ),
    # The end of a run is no end of a pass.
    **{
        f"the end of a run, {policy}": (
            passes([8.0, 80.0], 0), [upload(15.0)], {"policy": policy, "until_s": 4.0},
            ["0 in 0: 0-4 4 carried", "1 in 0: 0-1.5 15 delivered"],
            (30, 15, 15, 0, 19, 4, 0), None, [],
        )
        for policy in kit.POLICIES
    },
    # One round of 10 s is longer than the pass: nothing has begun that could be cut off.
    **{
        f"never begun, {policy}": (
            passes([8.0], 0, lasts_s=8.0), [[Train(COST), *upload(15.0)]], {"policy": policy},
            [], (15, 0, 15, 0, 0, 0, 0), [[15]], [],
        )
        for policy in kit.POLICIES
    },
    # Only device 1 has begun what is cut off: the last in the queue has had no turn, and one trains
    # longer than the pass lasts. They go on with the payload that they have.
    "no turn": (
        [contact(0, 0, 10, [8.0] * 3, radio=band(1)), LONG], [upload(7.0)] * 2, {"policy": "drop"},
        ["0 in 0: 0-7 7 delivered", "1 in 0: 7-10 3 dropped", *LONG_ROWS],
        (35, 28, 0, 7, 31, 0, 3), [[0, 7, 7], [0, 0, 0]], ["10 1 a given up"],
    ),
}  # fmt: skip
BOOKS = ("offered", "delivered", "carried", "dropped", "sent", "unfinished", "vain")


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_payload(name):
    contacts, protocol, how, rows, books, left, drops = CASES[name]
    told = talk(contacts, protocol, **how)
    assert told.lines() == rows
    expected = {f"{key}_bytes": b for key, b in zip(BOOKS, books, strict=True)}
    assert told.books["uplink"] == expected | {"on_air_bytes": expected["sent_bytes"]}
    receipts = [reply[-1] for reply in told.replies]
    assert left is None or [receipt.left_bytes.tolist() for receipt in receipts] == left
    assert [f"{t:g} {device} {detail}" for t, device, detail in told.told("drop")] == drops
    given_up = {device for _, device, detail in told.told("drop") if detail.endswith("up")}
    assert {k for receipt in receipts for k in np.flatnonzero(receipt.given_up)} == given_up


def test_bytes_on_their_way_at_the_end_of_a_run_are_sent_but_not_delivered():
    """A distance of 0.01 light seconds: the last bit is sent at 5 s and there at 5.01 s."""
    far = contact(0, 0, 10, [8.0], delays_s=[0.01])
    for policy in kit.POLICIES:
        told = talk([far], [upload(5.0)], policy, until_s=5.005)
        assert told.rows("delivered_bytes", "outcome") == [(5.0, "carried")]
        assert told.books["uplink"]["delivered_bytes"] == 0.0
    told = talk([far], [upload(5.0)])
    assert told.rows("outcome") == [("delivered",)]
    assert told.ends() == pytest.approx([5.01], abs=1e-12)


def test_without_a_session_nothing_moves_and_carry_says_what_becomes_of_it():
    lost = [Upload(Payload("b", 5.0), carry=False)]
    fresh = [None, None]
    told = talk(TWICE, [upload(15.0), lost], at_s=50.0, fresh=fresh)
    receipts = [reply[0] for reply in told.replies]
    assert told.over_s == [50.0, 50.0]
    assert [receipt.reason for receipt in receipts] == ["no contact"] * 2
    assert [receipt.given_up.tolist() for receipt in receipts] == [[False], [True]]
    assert told.books["uplink"]["carried_bytes"] == 15.0
    assert told.books["uplink"]["dropped_bytes"] == 5.0


def steps_of(draw, rng, k, sizes):
    """Up to four different steps of some devices; a size belongs to a name and a version."""
    names = st.sampled_from(["up a", "up b", "down a", "train"])
    for name in draw(st.lists(names, max_size=4, unique=True)):
        who = None if rng.random() < 0.5 else rng.random(k) < 0.7
        version = rng.integers(0, 2, k)
        carry = bool(rng.random() < 0.8)
        if name == "train":
            yield Train(COST, who=who)
        else:
            payload = Payload(name[-1], sizes[name[-1]] * (1 + version), version)
            yield (Upload if name.startswith("up") else Download)(payload, who, carry=carry)


@st.composite
def conversations(draw):
    """Sessions of one to three contacts with jittered devices, shared beams and any payloads."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    k = draw(st.integers(1, 4))
    sessions = draw(st.integers(1, 4))
    sharing = draw(st.sampled_from(["fixed_subchannel", "equal_share"]))
    up = draw(st.sampled_from([None, band(1, sharing), band(2, sharing)]))
    delivery = draw(st.sampled_from(["broadcast", "fixed_subchannel"]))
    down = draw(st.sampled_from([None, band(1, delivery)]))
    contacts = []
    at_s = 0.0
    for session in range(sessions):
        at_s += 300.0
        for _ in range(rng.integers(1, 4)):
            end_s = at_s + rng.uniform(3.0, 50.0)
            rates = rng.uniform(4.0, 40.0, k)
            # Each device sees a part of the contact, some of them nothing.
            part = np.sort(rng.uniform(at_s, end_s, (k, 2)), axis=1)
            time_s = np.where(rng.random((k, 1)) < 0.4, [at_s, end_s], part)
            rate_bps = np.where(rng.random(k) < 0.15, 0.0, rates)[:, None] * np.ones(2)
            here = contact(
                len(contacts), at_s, end_s, rates, session, up, down, delays_s=[DELAY_S] * k
            )
            contacts.append(seen(here, time_s, rate_bps))
            at_s = end_s + rng.choice([0.0, rng.uniform(0.0, 20.0)])
    sizes = {name: draw(st.floats(0.5, 400.0)) for name in ("a", "b")}
    return contacts, [list(steps_of(draw, rng, k, sizes)) for _ in range(sessions)]


@settings(max_examples=60)  # 10 ms each; a rare mix of steps, sharing and cuts finds mistakes
@example((APART, [upload(1.0)]), "resume", math.inf)
@given(conversations(), st.sampled_from(kit.POLICIES), st.sampled_from([math.inf, 320.0, 650.0]))
def test_the_books_balance_whatever_happens(drawn, policy, until_s):
    """``talk`` raises unless they do. And the rows agree with the contacts and the receipts."""
    contacts, protocol = drawn
    told = talk(contacts, protocol, policy, until_s)
    for row in told.moved():
        there = contacts[row["contact_id"]]
        assert there.start_s <= row["start_s"] <= row["end_s"] <= there.end_s + 0.01
        assert 0 < row["delivered_bytes"] <= row["payload_bytes"] * (1 + 1e-9)
    table = told.tables["transfers"].to_pandas()
    for (receiver, number), rows in table.groupby(["toward", "contact_id"]):
        beam = getattr(contacts[number].links, f"to_{receiver}")
        radio = None if beam is None else beam.radio
        if beam is not None and radio is None:  # alone a device sends at its own rate
            device, start_s, end_s, size = rows[rows.outcome == "delivered"][ROW].to_numpy().T
            sent_bits = beam.curve.rate_bps.max(axis=1)[device.astype(int)]
            sent_bits *= end_s - start_s - DELAY_S
            assert size * 8 == pytest.approx(sent_bits, rel=1e-6, abs=1e-6)
        if radio is not None and radio.alone:
            edges = [(start_s + 1e-6, 1) for start_s in rows.start_s]
            edges += [(end_s - DELAY_S - 1e-6, -1) for end_s in rows.end_s]
            assert max(np.cumsum([step for _, step in sorted(edges)])) <= radio.channels
    stale = sum("stale" in event["detail"] for event in told.events("drop"))
    assert len(told.events("drop")) == told.rows("outcome").count(("dropped",)) + stale
    # What a device has and what is left make the payload; done is nothing left.
    for steps, replies in zip(protocol if policy == "resume" else [], told.replies, strict=False):
        for step, reply in zip(steps, replies, strict=True):
            if isinstance(reply, Receipt):
                whole = np.broadcast_to(step.payload.bytes, reply.done.shape)
                assert reply.delivered_bytes + reply.left_bytes == pytest.approx(whole)
                assert (reply.left_bytes[reply.done] == 0).all()
                assert np.isfinite(reply.end_s).tolist() == reply.done.tolist()
                assert not (reply.given_up & (reply.done | step.carry)).any()
