"""Transfers that a pass cuts off: who goes on, begins anew or gives up, and where the bytes are."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learning
import sim
from tests.kit.learning import ClusterSide, Download, Payload, Receipt, Train, Upload, Work
from tests.kit.network import CutTransfers, Ledger, PlannedContact
from tests.kit.records import check_books
from tests.kit.small import orbit as orbit_scenario
from tests.kit.talk import COST, POLICIES, band, contact, download, passes, seen, talk, upload

# -- by hand: 1 byte a second, passes of 10 s, a payload of 15 bytes

FATE = ("start_s", "end_s", "delivered_bytes", "outcome")


def books(offered, delivered, carried, dropped, sent, unfinished, vain) -> dict[str, float]:
    return {
        "offered_bytes": offered, "delivered_bytes": delivered, "carried_bytes": carried,
        "dropped_bytes": dropped, "sent_bytes": sent, "unfinished_bytes": unfinished,
        "vain_bytes": vain,
    }  # fmt: skip


def test_resume_goes_on_where_it_was() -> None:
    told = talk(passes([8.0], 0, 100, 200), [upload(15.0)] * 3)
    assert told.rows(*FATE) == [
        (0.0, 10.0, 10.0, "carried"),
        (100.0, 105.0, 5.0, "delivered"),
        (200.0, 210.0, 10.0, "carried"),
    ]
    assert [reply[0].left_bytes[0] for reply in told.replies] == [5.0, 0.0, 5.0]
    assert [reply[0].end_s[0] for reply in told.replies] == [math.inf, 105.0, math.inf]
    assert told.books["uplink"] == books(30.0, 15.0, 15.0, 0.0, 25.0, 10.0, 0.0)
    assert not told.events("drop")


def test_restart_begins_anew_and_is_through_in_a_longer_pass() -> None:
    contacts = [contact(0, 0, 10, [8.0]), contact(1, 100, 110, [8.0]), contact(2, 200, 220, [8.0])]
    told = talk(contacts, [upload(15.0)] * 3, "restart")
    assert told.rows(*FATE) == [
        (0.0, 10.0, 10.0, "dropped"),
        (100.0, 110.0, 10.0, "dropped"),
        (200.0, 215.0, 15.0, "delivered"),
    ]
    assert [reply[0].left_bytes[0] for reply in told.replies] == [15.0, 15.0, 0.0]
    assert not any(reply[0].given_up.any() for reply in told.replies)
    assert told.books["uplink"] == books(15.0, 15.0, 0.0, 0.0, 35.0, 0.0, 20.0)
    assert [event["detail"] for event in told.events("drop")] == ["a begins anew"] * 2


@pytest.mark.parametrize(
    ("policy", "carry"), [("drop", True), ("drop", False), ("resume", False), ("restart", False)]
)
def test_drop_gives_up_and_offers_anew(policy: CutTransfers, carry: bool) -> None:
    told = talk(passes([8.0, 16.0], 0, 100), [upload(15.0, carry=carry)] * 2, policy)
    once = [(0, 10.0, "dropped"), (1, 15.0, "delivered")]
    assert told.rows("device", "delivered_bytes", "outcome") == once * 2
    for [receipt] in told.replies:
        assert receipt.given_up.tolist() == [True, False]
        assert receipt.left_bytes.tolist() == [15.0, 0.0]
        assert receipt.reason == "contact ended"
    assert told.books["uplink"] == books(60.0, 30.0, 0.0, 30.0, 50.0, 0.0, 20.0)
    assert told.told("drop") == [(10.0, 0, "a given up"), (110.0, 0, "a given up")]


def test_a_newer_version_drops_what_was_open() -> None:
    told = talk(passes([8.0], 0, 100, 200), [upload(15.0, v) for v in (1, 2, 2)])
    assert told.rows("version", "delivered_bytes", "outcome") == [
        (1, 10.0, "carried"),
        (2, 10.0, "carried"),
        (2, 5.0, "delivered"),
    ]
    assert told.told("drop") == [(100.0, 0, "a stale part forgotten")]
    assert told.books["uplink"] == books(30.0, 15.0, 0.0, 15.0, 25.0, 0.0, 10.0)
    # Another size of the same version is another payload too.
    told = talk(passes([8.0], 0, 100), [upload(15.0), upload(12.0)])
    assert told.books["uplink"]["offered_bytes"] == 27.0


def test_versions_and_parts_are_those_of_each_device() -> None:
    told = talk(passes([8.0, 8.0], 0, 100), [upload(15.0, np.array(v)) for v in ([1, 1], [1, 2])])
    assert told.replies[1][0].left_bytes.tolist() == [0.0, 5.0]
    assert [event["device"] for event in told.events("drop")] == [1]
    # Who is not asked has nothing delivered, and keeps more than the others are asked for.
    asked = upload(np.array([15.0, 4.0]), np.array([1, 0]), who=np.array([True, False]))
    told = talk(passes([8.0, 8.0], 0, 100, 200), [upload(15.0), asked, upload(15.0)])
    assert told.replies[1][0].delivered_bytes.tolist() == [15.0, 0.0]
    assert told.replies[1][0].left_bytes.tolist() == [0.0, 4.0]
    once = [(0, 10.0, "carried"), (1, 10.0, "carried"), (0, 5.0, "delivered")]
    again = [(0, 10.0, "carried"), (1, 5.0, "delivered")]
    assert told.rows("device", "delivered_bytes", "outcome") == [*once, *again]


def test_a_hand_over_is_no_end_of_a_pass_and_what_begins_anew_loses_the_whole_session() -> None:
    contacts = [contact(n, 10.0 * n, 10.0 * n + 10, [8.0], session=0) for n in (0, 1)]
    columns = ("contact_id", "delivered_bytes", "outcome")
    told = talk(contacts, [upload(15.0)], "restart")
    assert told.rows(*columns) == [(0, 10.0, "carried"), (1, 5.0, "delivered")]
    assert told.books["uplink"]["vain_bytes"] == 0.0
    told = talk([*contacts, contact(2, 100, 130, [8.0])], [upload(25.0)] * 2, "restart")
    assert told.rows(*columns) == [
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
    assert told.books["uplink"] == books(30.0, 15.0, 15.0, 0.0, 19.0, 4.0, 0.0)
    # At 0.01 light seconds the last bit is sent at 5 s, and not there when the run ends.
    far = contact(0, 0, 10, [8.0], delays_s=[0.01])
    told = talk([far], [upload(5.0)], policy, until_s=5.005)
    assert told.rows("delivered_bytes", "outcome") == [(5.0, "carried")]
    assert told.books["uplink"]["delivered_bytes"] == 0.0
    told = talk([far], [upload(5.0)], policy)
    assert told.rows("outcome") == [("delivered",)]
    assert told.ends() == pytest.approx([5.01], abs=1e-12)


def test_a_run_that_ends_before_a_device_begins_in_a_later_contact() -> None:
    """Device 1 trains until 30 s, in the second contact; the run ends in the gap at 15 s."""
    times_s = [(0.0, 10.0), (20.0, 40.0), (50.0, 60.0)]
    contacts = [contact(n, *span_s, [8.0, 8.0], session=0) for n, span_s in enumerate(times_s)]
    train = Train(COST, rounds=3, who=np.array([False, True]))
    told = talk(contacts, [[train, *upload(15.0)]], until_s=15.0)
    assert told.rows("device", "contact_id", "delivered_bytes") == [(0, 0, 10.0)]


@pytest.mark.parametrize("policy", POLICIES)
def test_who_never_begins_is_offered_and_writes_no_row(policy: CutTransfers) -> None:
    """One round of 10 s is longer than the pass: the upload behind it has no time."""
    told = talk(passes([8.0], 0, lasts_s=8.0), [[Train(COST), *upload(15.0)]], policy)
    assert not told.rows("device")
    account = told.books["uplink"]
    assert account["offered_bytes"] == account["carried_bytes"] == 15.0  # nothing was cut off
    [[work, up]] = told.replies
    assert (work.rounds.tolist(), up.given_up.tolist()) == ([1], [False])


def test_without_a_session_nothing_moves_and_carry_says_what_becomes_of_it() -> None:
    """A request between two sessions: the reply comes at once."""
    lost = [Upload(Payload("b", 5.0), carry=False)]
    asked = {"at_s": 50.0, "fresh": [None, None]}
    told = talk(passes([8.0], 0, 100), [upload(15.0), lost], **asked)
    receipts = [reply[0] for reply in told.replies]
    assert told.over_s == [50.0, 50.0]
    assert [receipt.reason for receipt in receipts] == ["no contact"] * 2
    assert [receipt.given_up.tolist() for receipt in receipts] == [[False], [True]]
    assert told.books["uplink"]["carried_bytes"] == 15.0
    assert told.books["uplink"]["dropped_bytes"] == 5.0


def test_a_neglected_downlink_takes_no_time_and_is_never_cut() -> None:
    told = talk(passes([8.0], 0), [download(1e9, carry=False)], "drop")
    assert told.replies[0][0].given_up.tolist() == [False]
    assert told.rows(*FATE) == [(0.0, 0.0, 1e9, "delivered")]
    assert told.books["downlink"]["delivered_bytes"] == told.books["downlink"]["sent_bytes"] == 1e9


def test_nothing_to_send_is_through_at_once() -> None:
    told = talk(passes([8.0], 3), [upload(0.0)])
    assert (told.ends(), told.rows("device")) == ([3.0], [])


def test_one_device_out_of_reach_does_not_hold_the_others_to_the_set_time() -> None:
    here = seen(contact(0, 0, 500, [8.0] * 2), [[0, 500], [40, 40]], [[8, 8], [0, 0]])
    told = talk([here], [upload(100.0)])
    assert told.replies[0][0].done.tolist() == [True, False]
    assert [event["time_s"] for event in told.events("upload_end")] == [100.0]
    assert told.over_s == [100.0]


# -- the books always balance


def steps_of(draw: st.DrawFn, rng: np.random.Generator, k: int, sizes: dict[str, float]) -> Any:
    """Up to four different steps of some devices; a size belongs to a name and a version."""
    names = st.sampled_from(["up a", "up b", "down a", "train"])
    for name in draw(st.lists(names, max_size=4, unique=True)):
        who = None if rng.random() < 0.5 else rng.random(k) < 0.7
        if name == "train":
            yield Train(COST, who=who)
            continue
        version = rng.integers(0, 2, k)
        payload = Payload(name[-1], sizes[name[-1]] * (1 + version), version)
        step = Upload if name.startswith("up") else Download
        yield step(payload, who, carry=bool(rng.random() < 0.8))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[PlannedContact], list[list[Any]]]:
    """Sessions of one to three contacts with jittered devices, shared beams and any payloads."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    k, sessions = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    sharing = draw(st.sampled_from(["fixed_subchannel", "rounds", "equal_share"]))
    up = draw(st.sampled_from([None, band(1, sharing), band(2, sharing)]))
    delivery = draw(st.sampled_from(["broadcast", "fixed_subchannel", "rounds"]))
    down = draw(st.sampled_from([None, band(1, delivery)]))
    contacts, at_s = [], 0.0
    for session in range(sessions):
        at_s += 300.0
        for _ in range(rng.integers(1, 4)):
            end_s, rates = at_s + rng.uniform(3.0, 50.0), rng.uniform(4.0, 40.0, k)
            # Each device sees a part of the contact, some of them nothing.
            part = np.sort(rng.uniform(at_s, end_s, (k, 2)), axis=1)
            time_s = np.where(rng.random((k, 1)) < 0.4, [at_s, end_s], part)
            rate_bps = np.where(rng.random(k) < 0.15, 0.0, rates)[:, None] * np.ones(2)
            here = contact(
                len(contacts), at_s, end_s, rates, session, up, down, delays_s=[3e-3] * k
            )
            contacts.append(seen(here, time_s, rate_bps))
            at_s = end_s + rng.choice([0.0, rng.uniform(0.0, 20.0)])
    sizes = {name: draw(st.floats(0.5, 400.0)) for name in ("a", "b")}
    return contacts, [list(steps_of(draw, rng, k, sizes)) for _ in range(sessions)]


@settings(max_examples=60)  # 10 ms each; a rare mix of steps, sharing and cuts finds mistakes
@given(conversations(), st.sampled_from(POLICIES), st.sampled_from([math.inf, 320.0, 650.0]))
def test_the_books_balance_whatever_happens(drawn, policy, until_s) -> None:
    """``talk`` raises unless they do. And the rows agree with the contacts and the receipts."""
    contacts, protocol = drawn
    told = talk(contacts, protocol, policy, until_s)
    for row in told.moved():
        there = contacts[row["contact_id"]]
        assert there.start_s <= row["start_s"] <= row["end_s"] <= there.end_s + 0.01
        assert 0 < row["delivered_bytes"] <= row["payload_bytes"] * (1 + 1e-9)
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


def test_every_figure_of_the_books_and_every_row_counts() -> None:
    contacts = [contact(n, t, t + 10, [8.0, 14.0], down=band(9)) for n, t in enumerate((0.0, 99.0))]
    told = talk(contacts, [[*upload(15.0), *download(7.0)]] * 2)
    table = told.tables["transfers"]
    for direction, account in told.books.items():
        for field in account:
            wrong = {**told.books, direction: {**account, field: account[field] + 0.01}}
            with pytest.raises(sim.InvariantError, match=f"{direction} (offered|sent)"):
                check_books(wrong, table)
    values = np.array(table.column("delivered_bytes"))
    place = table.column_names.index("delivered_bytes")
    assert len(values) == 7
    for row in range(7):
        more = pa.array(values + 0.01 * (np.arange(7) == row))
        for changed in (table.set_column(place, "delivered_bytes", more), table.slice(0, row)):
            with pytest.raises(sim.InvariantError, match="but the rows have"):
                check_books(told.books, changed)


def test_a_run_whose_books_are_cooked_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that is sent and not booked is found at the end of the run."""
    honest = Ledger.settle

    def cooked(self: Ledger, *arguments: Any) -> Any:
        self.accounts["uplink"].sent += 1.0
        return honest(self, *arguments)

    monkeypatch.setattr(Ledger, "settle", cooked)
    with pytest.raises(sim.InvariantError, match="the bytes of the run do not add up"):
        sim.run(orbit_scenario(stop={"days": 0.5}, learning={"train": False}))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_over_passes_too_short_for_its_payloads(policy: str) -> None:
    slow = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}, "cut_transfers": policy}
    result = sim.run(orbit_scenario(stop={"days": 2}, link=slow, learning={"train": False}))
    up, books = result.transfers[result.transfers.direction == "uplink"], result.manifest["books"]
    check_books(books, result.tables["transfers"])
    assert books["uplink"]["sent_bytes"] == pytest.approx(up.delivered_bytes.sum(), rel=1e-12)
    big = up[up.payload != "gate"]
    assert len(big) > 8
    told = result.events[result.events.kind.isin(["drop", "fault"])].detail
    assert told.str.contains("begins anew").any() == (policy == "restart")
    if policy != "resume":
        assert set(big.outcome) == {"dropped"}
        assert big.delivered_bytes.max() < big.payload_bytes.min()
        assert books["uplink"]["vain_bytes"] > 0
        return
    # In several passes: a snapshot is frozen when it is first offered. A gate is not carried.
    assert {"delivered", "carried"} <= set(big.outcome)
    assert told.str.startswith("gate lost").any()
    for _, rows in big.groupby(["cluster", "device", "payload", "version"]):
        if (rows.outcome == "delivered").any():
            assert rows.delivered_bytes.sum() == pytest.approx(rows.payload_bytes.iloc[0])


# -- what is given up: only what has begun, and it reaches nobody

EVERYBODY = [8.0] * 3
UNREADY = Train(COST, rounds=2, who=np.array([False, False, True]))
WHY: dict[str, tuple[PlannedContact, float, list[Any]]] = {
    # 7 of 10 s for device 0, 3 s for device 1, and none for the last in the queue.
    "no turn": (contact(0, 0.0, 10.0, EVERYBODY, radio=band(1)), 7.0, []),
    # Device 1 has half of what it takes, device 2 has no link in the first pass.
    "no link": (contact(0, 0.0, 10.0, [8.0, 4.0, 0.0]), 10.0, []),
    # Device 2 trains longer than the pass lasts.
    "not ready": (contact(0, 0.0, 15.0, [8.0, 4.0, 8.0]), 10.0, [UNREADY]),
}


@pytest.mark.parametrize(
    ("policy", "carry", "too"),
    [("drop", True, False), ("drop", False, True), ("resume", False, True)],
)
@pytest.mark.parametrize("why", WHY)
def test_who_has_not_begun_gives_up_only_without_carry(
    why: str, policy: CutTransfers, carry: bool, too: bool
) -> None:
    """Device 0 is through, device 1 gave up what it had begun and device 2 never began."""
    first, size, steps = WHY[why]
    contacts = [first, contact(1, 100.0, 200.0, EVERYBODY, radio=band(1))]
    sent = upload(size, carry=carry)
    told = talk(contacts, [[*steps, *sent], sent], policy)
    one, two = (reply[-1] for reply in told.replies)
    assert one.done.tolist() == [True, False, False]
    assert one.given_up.tolist() == [False, True, too]
    assert one.left_bytes.tolist() == [0.0, size, size]
    # Device 2 goes on with the payload that it has, unless it has given it up.
    assert two.done.all()
    account = told.books["uplink"]
    assert account["offered_bytes"] == (5 + too) * size
    assert account["delivered_bytes"] == 4 * size
    assert account["dropped_bytes"] == (1 + too) * size
    assert [event["device"] for event in told.events("drop")] == [1]


def test_a_snapshot_that_was_given_up_is_followed_by_a_fresh_one() -> None:
    """The server then gets the second round of device 1, and otherwise its first."""
    learner = learning.Learner(learning.LearningConfig(1, ("A",), (2,), batch_size=8))
    one, start, second = np.ones(2, np.int64), learner.start(), np.array([False, True])
    after = {}
    for name, given_up in (("lost", second), ("kept", ~second & second), ("no word", None)):
        side = ClusterSide(learner, learning.Cluster("A", 0, 2))
        side.provide(start, [0, 1, 2, 3])
        for _ in range(2):
            side.train(Work(one, one.astype(float), np.zeros(2, bool)), [0])
            side.offer([0])
            if not side.version.any():
                receipt = Receipt(~second, *np.zeros((3, 2)), "contact ended", given_up)
                assert side.deliver(receipt).tolist() == [True, False]
                assert side.pending.tolist() == [False, name != "lost"]
                side.version = side.version + 3
        assert side.offered_version.tolist() == [3, 3 if name == "lost" else 0]
        values = learner.values.force(side.merge(start, second))
        after[name] = np.concatenate([tensor.numpy().ravel() for tensor in values.values()])
    assert np.array_equal(after["kept"], after["no word"])
    assert not np.array_equal(after["kept"], after["lost"])


def test_in_a_run_what_was_dropped_is_trained_anew_and_never_reaches_the_server() -> None:
    """Two clusters whose passes are sometimes long enough for a model, and mostly not."""
    slow = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 2.3e-5}, "cut_transfers": "drop"}
    quiet = {"method": "synchronous", "train": False}
    result = sim.run(orbit_scenario(stop={"days": 3}, link=slow, learning=quiet))
    rows, events = result.transfers, result.events
    up = rows[rows.direction == "uplink"]
    down = rows[(rows.direction == "downlink") & (rows.outcome == "delivered")]
    assert set(up.outcome) == {"delivered", "dropped"}
    # Between a drop and the next upload the device gets a model, and that is what it changes.
    behind, newer = 0, 0
    for who, mine in up.groupby(["cluster", "device"]):
        got = down[(down.cluster == who[0]) & (down.device == who[1])]
        for before, after in pairwise(mine.itertuples()):
            held = got[got.start_s < after.start_s].iloc[-1]
            assert after.version == held.version
            if before.outcome == "dropped":
                assert held.start_s > before.end_s
                behind, newer = behind + 1, newer + (after.version > before.version)
    assert behind > 8 and newer > 0
    # As many devices are aggregated in a contact as payloads are delivered in it.
    made = events[events.kind == "aggregate"].set_index("contact_id")
    counted = made.detail.str.extract(r"devices:(\d+)/")[0].astype(int)
    through = up[up.outcome == "delivered"].groupby("contact_id").size()
    assert counted.to_dict() == through.to_dict()
