"""Transfers that are given up: only what has begun, and what was given up reaches nobody."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import learning
import sim
from tests.kit.learning import ClusterSide, Receipt, Train, Work
from tests.kit.network import CutTransfers
from tests.kit.small import orbit as orbit_scenario
from tests.kit.talk import COST, Talk, band, contact, passes, talk, upload

# By cut_transfers and carry: whether a device that has not begun gives up too.
GIVES_UP: list[tuple[CutTransfers, bool, bool]] = [
    ("drop", True, False),
    ("drop", False, True),
    ("resume", False, True),
]


def check_one_of_three(told: Talk, size: float, too: bool) -> None:
    """Device 0 is through, device 1 gave up what it had begun and device 2 never began."""
    [first, second] = [reply[-1] for reply in told.replies]
    assert first.done.tolist() == [True, False, False]
    assert first.given_up.tolist() == [False, True, too]
    assert first.left_bytes.tolist() == [0.0, size, size]
    # Device 2 goes on with the payload that it has, unless it has given it up.
    assert second.done.all()
    assert told.books["uplink"]["offered_bytes"] == (5 + too) * size
    assert told.books["uplink"]["delivered_bytes"] == 4 * size
    assert told.books["uplink"]["dropped_bytes"] == (1 + too) * size
    assert [event["device"] for event in told.events("drop")] == [1]


@pytest.mark.parametrize(("policy", "carry", "too"), GIVES_UP)
def test_who_never_had_a_turn_gives_up_only_without_carry(
    policy: CutTransfers, carry: bool, too: bool
) -> None:
    """7 of 10 s for device 0, 3 s for device 1, and none for the last in the queue."""
    contacts = [
        contact(0, 0.0, 10.0, [8.0] * 3, radio=band(1)),
        contact(1, 100.0, 200.0, [8.0] * 3, radio=band(1)),
    ]
    told = talk(contacts, [upload(7.0, carry=carry)] * 2, policy)
    check_one_of_three(told, 7.0, too)


@pytest.mark.parametrize(("policy", "carry", "too"), GIVES_UP)
def test_who_never_saw_the_satellite_gives_up_only_without_carry(
    policy: CutTransfers, carry: bool, too: bool
) -> None:
    """Device 1 has half of what it takes, device 2 has no link in the first pass."""
    contacts = [contact(0, 0.0, 10.0, [8.0, 4.0, 0.0]), contact(1, 100.0, 120.0, [8.0] * 3)]
    told = talk(contacts, [upload(10.0, carry=carry)] * 2, policy)
    check_one_of_three(told, 10.0, too)


@pytest.mark.parametrize(("policy", "carry", "too"), GIVES_UP)
def test_who_was_not_ready_in_time_gives_up_only_without_carry(
    policy: CutTransfers, carry: bool, too: bool
) -> None:
    """Device 2 trains longer than the pass lasts."""
    train = Train(COST, rounds=2, who=np.array([False, False, True]))
    contacts = [contact(0, 0.0, 15.0, [8.0, 4.0, 8.0]), contact(1, 100.0, 120.0, [8.0] * 3)]
    told = talk(contacts, [[train, *upload(10.0, carry=carry)], upload(10.0)], policy)
    check_one_of_three(told, 10.0, too)


def test_what_is_open_at_the_end_is_carried_and_not_dropped() -> None:
    told = talk(passes([8.0, 0.0], 0), [upload(15.0)], "drop")
    assert told.replies[0][0].given_up.tolist() == [True, False]
    assert told.books["uplink"]["dropped_bytes"] == 15.0
    assert told.books["uplink"]["carried_bytes"] == 15.0
    assert told.books["uplink"]["unfinished_bytes"] == 0.0


# -- what the devices do then


def some_side(learner: learning.Learner) -> ClusterSide:
    """Two devices that have trained a round of expert 0 and offered it."""
    side = ClusterSide(learner, learning.Cluster("A", 0, 2))
    side.provide(learner.start(), [0, 1, 2, 3])
    train(side)
    side.offer([0])
    return side


def train(side: ClusterSide) -> None:
    one = np.ones(2, np.int64)
    side.train(Work(one, one.astype(float), np.zeros(2, bool)), [0])


def receipt(done: list[bool], given_up: list[bool] | None = None) -> Receipt:
    none = np.zeros(2)
    lost = None if given_up is None else np.array(given_up)
    return Receipt(np.array(done), none, none, none, "contact ended", lost)


def weights(learner: learning.Learner, handle: Any) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in learner.values.force(handle).items()}


def test_a_snapshot_that_was_given_up_is_followed_by_a_fresh_one() -> None:
    """The server then gets the second round of device 1 and never hears of its first."""
    learner = learning.Learner(learning.LearningConfig(1, ("A",), (2,), batch_size=8))
    side, start = some_side(learner), learner.start()
    assert side.deliver(receipt([True, False], [False, True])).tolist() == [True, False]
    assert side.pending.tolist() == [False, False]
    train(side)
    side.version = side.version + 3
    side.offer([0])
    assert side.pending.tolist() == [True, True]
    assert side.offered_version.tolist() == [3, 3]
    fresh = weights(learner, side.merge(start, np.array([False, True])))

    kept = some_side(learner)
    assert kept.deliver(receipt([True, False], [False, False])).tolist() == [True, False]
    assert kept.pending.tolist() == [False, True]
    first = weights(learner, kept.merge(start, np.array([False, True])))
    train(kept)
    kept.offer([0])
    still_first = weights(learner, kept.merge(start, np.array([False, True])))
    # What is on its way stays what it was; what was given up is another one's round.
    moved = [name for name in first if not np.array_equal(first[name], still_first[name])]
    assert not moved
    assert any(not np.array_equal(first[name], fresh[name]) for name in first)


def test_nobody_gives_up_without_a_word() -> None:
    side = some_side(learning.Learner(learning.LearningConfig(1, ("A",), (2,), batch_size=8)))
    side.deliver(receipt([False, False]))
    assert side.pending.tolist() == [True, True]


@pytest.fixture(scope="module")
def short_passes() -> sim.Result:
    """Two clusters whose passes are sometimes long enough for a model, and mostly not."""
    return sim.run(
        orbit_scenario(
            stop={"days": 3},
            link={"uplink": {"rate": "fixed", "fixed_rate_mbps": 2.3e-5}, "cut_transfers": "drop"},
            learning={"method": "synchronous", "train": False},
        )
    )


def test_in_a_run_what_follows_a_drop_is_trained_anew(short_passes: sim.Result) -> None:
    """Between a drop and the next upload the device gets a model, and that is what it changes."""
    rows = short_passes.transfers
    up = rows[rows.direction == "uplink"]
    down = rows[(rows.direction == "downlink") & (rows.outcome == "delivered")]
    behind, newer = 0, 0
    for who, mine in up.groupby(["cluster", "device"]):
        got = down[(down.cluster == who[0]) & (down.device == who[1])]
        for before, after in pairwise(mine.itertuples()):
            held = got[got.start_s < after.start_s].iloc[-1]
            assert after.version == held.version
            if before.outcome == "dropped":
                assert held.start_s > before.end_s
                behind, newer = behind + 1, newer + (after.version > before.version)
    assert behind > 8
    assert newer > 0


def test_in_a_run_what_was_dropped_never_reaches_the_server(short_passes: sim.Result) -> None:
    """As many devices are aggregated in a contact as payloads are delivered in it."""
    up = short_passes.transfers[short_passes.transfers.direction == "uplink"]
    assert set(up.outcome) == {"delivered", "dropped"}
    made = short_passes.events[short_passes.events.kind == "aggregate"].set_index("contact_id")
    merged = made.detail.str.extract(r"devices:(\d+)/")[0].astype(int)
    through = up[up.outcome == "delivered"].groupby("contact_id").size()
    assert merged.to_dict() == through.to_dict()
