"""Faults on one cluster's link by hand: lost packets, late and corrupted uploads, who leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kit.learning import (
    WAITS_FOR_ALL,
    Closing,
    Cluster,
    Download,
    Payload,
    Train,
    stream,
)
from tests.kit.network import (
    NO_SPELLS,
    CutTransfers,
    Devices,
    Presence,
    Spells,
    sent_again,
    sent_to_all,
)
from tests.kit.scenarios import Packets, Uploads
from tests.kit.talk import COST, MODEL, band, compute, contact, talk, upload
from tests.kit.talk import Talk as Told


def away(*edges_s: float) -> Spells:
    return Spells(np.array(edges_s[::2]), np.array(edges_s[1::2]))


def details(told: Told, kind: str) -> list[tuple[float, int | None, str]]:
    return [(e["time_s"], e["device"], e["detail"]) for e in told.events(kind)]


# -- packets


def resent(number: int, packets: list[int], loss: float) -> np.ndarray:
    """How many packets a leg sends again: its draws, where the summed probabilities reach them."""
    found = []
    for n, luck in zip(
        packets, stream(1, "packets", "c", number).random(len(packets)), strict=True
    ):
        again, likely = 0, (1.0 - loss) ** n
        below = likely
        while below < luck:
            again += 1
            likely *= loss * (n + again - 1) / again
            below += likely
        found.append(again)
    return np.array(found)


def test_packets_sent_again_take_their_share_of_time_and_carry_no_byte_of_their_own() -> None:
    """100 packets of 10 bytes at 1 byte a ms: the time grows by what the stream draws."""
    told = talk(
        [contact(0, 0, 10, [8000.0] * 5)], [upload(1000.0)], packets=Packets(loss=0.2, bytes=10)
    )
    again = resent(0, [100] * 5, 0.2)
    assert len(set(again.tolist())) > 1
    assert told.rows("device", "payload_bytes", "delivered_bytes", "outcome") == [
        (k, 1000.0, 1000.0, "delivered") for k in range(5)
    ]
    ends_s = np.array([end for (end,) in told.rows("end_s")])
    assert ends_s == pytest.approx(1.0 + again / 100)
    assert told.books["uplink"]["sent_bytes"] == told.books["uplink"]["delivered_bytes"] == 5000.0
    assert details(told, "fault") == [
        (
            pytest.approx(ends_s.max()),
            None,
            f"injected: {again.sum()} of 500 packets of a sent again",
        )
    ]


@pytest.mark.parametrize("loss", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("packets", [1, 40])
def test_packets_sent_again_have_the_mean_and_the_spread_of_a_negative_binomial(
    packets: int, loss: float
) -> None:
    """Five standard errors of the mean; those of the variance out of the fourth moment."""
    count = 40_000
    again = sent_again(stream(3, "test"), np.full(count, packets), loss)
    mean, variance = packets * loss / (1 - loss), packets * loss / (1 - loss) ** 2
    excess = (6 + (1 - loss) ** 2 / loss) / packets
    assert again.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / count))
    assert again.var() == pytest.approx(variance, rel=5 * np.sqrt((2 + excess) / count))


@settings(max_examples=40)
@given(st.integers(0, 99), st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(0, 60))
def test_what_a_device_sends_again_hangs_on_no_other(
    seed: int, packets: list[int], more: int
) -> None:
    """Neither on one that is added nor on how much the others send."""
    few, many = (
        sent_again(stream(seed, "x"), np.array(each), 0.4).tolist()
        for each in (packets, [*packets, more])
    )
    others = sent_again(stream(seed, "x"), np.array([more, *packets[1:]]), 0.4).tolist()
    assert many[:-1] == few
    assert others[1:] == few[1:]


def test_a_device_more_leaves_the_uploads_of_the_others_as_they_were() -> None:
    said = Uploads(corrupted=0.5, late=0.6, late_minutes=1)
    few, many = (
        talk([contact(0, 0, 200, [8.0] * k)], [upload(10.0)], uploads=said) for k in (9, 10)
    )
    mine = [row for row in many.rows("device", "start_s", "outcome") if row[0] < 9]
    assert mine == few.rows("device", "start_s", "outcome")
    assert len({(start_s > 0, outcome) for _, start_s, outcome in mine}) >= 3
    late = [row for row in details(many, "fault") if row[1] != 9]
    assert late == details(few, "fault")


def test_rounds_that_fill_a_contact_leave_time_for_what_is_sent_again_on_the_average() -> None:
    """Ten bytes at one a second, half of them lost: 20 s of 100, so that 8 rounds of 10 s fit."""
    chain = [Train(COST), *upload(10.0)]
    fill = compute(per_contact=None)
    one = contact(0, 0, 100, [8.0])
    for packets, rounds in ((None, 9), (Packets(loss=0.5, bytes=1), 8)):
        told = talk([one], [chain], computing=fill, packets=packets)
        assert told.replies[0][0].rounds.tolist() == [rounds]


def test_what_is_sent_before_the_pass_ends_is_a_share_of_what_is_on_the_air() -> None:
    """Two passes: in the second one the packets that are left are drawn anew."""
    contacts = [contact(0, 0, 10, [8.0]), contact(1, 100, 200, [8.0])]
    told = talk(contacts, [upload(15.0)] * 2, packets=Packets(loss=0.5, bytes=1))
    first = 15 + resent(0, [15], 0.5)[0]
    through = 10.0 * 15 / first
    left = math.ceil(15 - through)
    second = left + resent(1, [left], 0.5)[0]
    sent = told.rows("start_s", "end_s", "delivered_bytes", "outcome")
    assert sent[0] == (0.0, 10.0, pytest.approx(through), "carried")
    end_s = 100.0 + (15 - through) * second / left
    assert sent[1] == (100.0, pytest.approx(end_s), pytest.approx(15 - through), "delivered")


@pytest.mark.parametrize("sharing", ["equal_share", "rounds", "fixed_subchannel"])
def test_devices_that_share_a_beam_share_it_with_what_is_sent_again(sharing: str) -> None:
    """With one sub-channel for all, the last one ends when all of the air time is used up."""
    contacts = [contact(0, 0, 100, [1e3] * 4, radio=band(1, sharing))]
    told = talk(contacts, [upload(1000.0)], packets=Packets(loss=0.3, bytes=50))
    again = resent(0, [20] * 4, 0.3)
    last_s = max(end for (end,) in told.rows("end_s"))
    assert last_s == pytest.approx(8.0 * (4 + again.sum() / 20))


def test_a_downlink_that_takes_no_time_loses_nothing() -> None:
    steps, lossy = [[Download(Payload("m", 10.0, 1))]], Packets(loss=0.5, bytes=1)
    slow = talk([contact(0, 0, 60, [8.0], down=band(1))], steps, packets=lossy)
    again = resent(0, [10], 0.5)[0]
    assert slow.rows("end_s") == [(pytest.approx(10.0 + again),)]
    told = talk([contact(0, 0, 60, [8.0])], steps, packets=lossy)
    assert told.rows("start_s", "end_s") == [(0.0, 0.0)]
    assert not told.events("fault")


def test_packets_are_sent_as_often_as_chance_says() -> None:
    """Against packets that are thrown one by one, for each device and for all together."""
    draws, loss = stream(2, "test"), 0.3
    packets = np.array([7, 7, 7, 7])
    alone = np.array([sent_again(draws, packets, loss) for _ in range(4000)]).ravel()
    together = np.array([sent_to_all(draws, packets, loss)[0] for _ in range(8000)])
    thrown = draws.geometric(1 - loss, size=(8000, 7, 4))
    apart, whole = thrown.sum(axis=1).ravel() - 7, thrown.max(axis=2).sum(axis=1) - 7
    for drawn, counted in ((alone, apart), (together, whole)):
        shares = [np.bincount(found, minlength=60)[:60] / len(found) for found in (drawn, counted)]
        assert shares[0] == pytest.approx(shares[1], abs=5 * np.sqrt(0.25 / 8000))
        assert drawn.mean() == pytest.approx(counted.mean(), rel=0.05)
    assert (
        sent_again(draws, packets, 0.0).tolist()
        == sent_to_all(draws, packets, 0.0).tolist()
        == [0] * 4
    )


# -- uploads


def test_what_is_corrupted_goes_over_the_link_and_is_refused_there() -> None:
    one, two = contact(0, 0, 50, [8.0] * 6), contact(1, 100, 150, [8.0] * 6)
    told = talk([one, two], [upload(10.0)] * 2, uploads=Uploads(corrupted=0.5))
    bad = [stream(1, "uploads", "c", n).random((6, 3))[:, 0] < 0.5 for n in (0, 1)]
    assert 0 < bad[0].sum() < 6
    for number, [receipt] in enumerate(told.replies):
        assert receipt.done.tolist() == (~bad[number]).tolist()
        assert receipt.given_up.tolist() == bad[number].tolist()
        assert receipt.reason == "corrupted in transit"
        assert receipt.left_bytes.tolist() == np.where(bad[number], 10.0, 0.0).tolist()
    outcomes = [np.where(mine, "dropped", "delivered").tolist() for mine in bad]
    assert [row[0] for row in told.rows("outcome")] == [*outcomes[0], *outcomes[1]]
    assert told.rows("end_s", "delivered_bytes") == [(10.0, 10.0)] * 6 + [(110.0, 10.0)] * 6
    dropped = float(10 * (bad[0].sum() + bad[1].sum()))
    account = told.books["uplink"]
    assert (account["dropped_bytes"], account["vain_bytes"]) == (dropped, dropped)
    assert (account["offered_bytes"], account["sent_bytes"]) == (120.0, 120.0)
    said = [(10.0, k, "a refused: corrupted in transit") for k in np.flatnonzero(bad[0]).tolist()]
    assert details(told, "drop")[: len(said)] == said


def test_what_comes_over_two_passes_is_refused_when_it_is_whole() -> None:
    """Device k is refused in the pass in which it ends, if that one's draw says so."""
    contacts = [contact(0, 0, 10, [8.0] * 8), contact(1, 100, 200, [8.0] * 8)]
    told = talk(contacts, [upload(15.0)] * 2, uploads=Uploads(corrupted=0.5))
    bad = stream(1, "uploads", "c", 1).random((8, 3))[:, 0] < 0.5
    assert not told.replies[0][0].given_up.any()
    assert told.replies[1][0].given_up.tolist() == bad.tolist()
    assert told.books["uplink"]["vain_bytes"] == 15.0 * bad.sum()


def test_late_uploads_begin_later_or_miss_the_contact() -> None:
    told = talk(
        [contact(0, 0, 100, [8.0] * 20)], [upload(10.0)], uploads=Uploads(late=0.6, late_minutes=2)
    )
    draws = stream(1, "uploads", "c", 0)
    _, luck, wait = draws.random((20, 3)).T
    delay_s = np.where(luck < 0.6, -np.log(1.0 - wait) * 120.0, 0.0)
    there = delay_s <= 90.0
    assert 0 < there.sum() < 20
    receipt = told.replies[0][0]
    assert receipt.done.tolist() == there.tolist()
    assert receipt.end_s[there] == pytest.approx(delay_s[there] + 10.0)
    assert not receipt.given_up.any()
    begun = np.flatnonzero(delay_s < 100.0)
    assert sorted(k for (k,) in told.rows("device")) == begun.tolist()
    said = [
        (0.0, k, f"injected: upload of a late by {delay_s[k]:.1f} s")
        for k in np.flatnonzero(luck < 0.6)
    ]
    assert details(told, "fault") == said


# -- who leaves and returns


def test_who_is_away_takes_no_part_and_who_leaves_goes_on_next_time() -> None:
    """1 byte a second, 15 bytes: device 1 is away at the start, device 2 leaves after 4 s."""
    presence = Presence([NO_SPELLS, away(-5.0, 2.0), away(4.0, 50.0), away(15.0, 90.0)])
    contacts = [contact(0, 0, 30, [8.0] * 4), contact(1, 100, 130, [8.0] * 4)]
    told = talk(contacts, [upload(15.0)] * 2, presence=presence)
    assert told.rows("device", "start_s", "end_s", "delivered_bytes", "outcome") == [
        (0, 0.0, 15.0, 15.0, "delivered"),
        (2, 0.0, 4.0, 4.0, "carried"),
        (3, 0.0, 15.0, 15.0, "delivered"),
        (0, 100.0, 115.0, 15.0, "delivered"),
        (1, 100.0, 115.0, 15.0, "delivered"),
        (2, 100.0, 111.0, 11.0, "delivered"),
        (3, 100.0, 115.0, 15.0, "delivered"),
    ]
    assert told.replies[0][0].done.tolist() == [True, False, False, True]


def test_a_chain_does_not_wait_for_a_device_that_has_left() -> None:
    """Device 0 leaves while it trains, device 1 while it sends: the chain ends when 1 has left."""
    presence = Presence([away(12.0, 1000.0), away(25.0, 1000.0)])
    told = talk([contact(0, 0, 500, [8.0] * 2, down=band(2))], [MODEL], presence=presence)
    down, work, up = told.replies[0]
    assert down.done.all()
    assert work.rounds.tolist() == [0, 1]
    assert not up.done.any()
    assert told.rows("device", "direction", "start_s", "end_s") == [
        (0, "downlink", 0.0, 10.0),
        (1, "downlink", 0.0, 10.0),
        (1, "uplink", 20.0, 25.0),
    ]
    assert told.over_s == [25.0]


@pytest.mark.parametrize("away_s", [(-1.0, 5.0), (10.0, 15.0), (20.0, 25.0)])
def test_who_is_away_when_a_step_would_begin_is_out_of_the_later_ones(
    away_s: tuple[float, float],
) -> None:
    """Device 0 is back long before the chain of device 1 ends, and while there is a link."""
    presence = Presence([away(*away_s), NO_SPELLS])
    told = talk([contact(0, 0, 500, [8.0] * 2, down=band(2))], [MODEL], presence=presence)
    down, work, up = told.replies[0]
    assert down.done.tolist() == [away_s[0] > 0.0, True]
    assert work.rounds.tolist() == [int(away_s[0] > 10.0), 1]
    assert up.done.tolist() == [False, True]
    assert [device for device, way in told.rows("device", "direction") if way == "uplink"] == [1]
    assert told.over_s == [30.0]


def test_who_was_away_keeps_what_it_had_sent_before() -> None:
    """A payload over three passes, in the second of which the device is away."""
    presence = Presence([away(90.0, 150.0)])
    contacts = [contact(n, 100.0 * n, 100.0 * n + 10, [8.0]) for n in range(3)]
    told = talk(contacts, [upload(15.0)] * 3, presence=presence)
    assert [reply[0].delivered_bytes[0] for reply in told.replies] == [10.0, 10.0, 15.0]
    assert [reply[0].reason for reply in told.replies] == ["contact ended", "devices away", ""]
    assert told.rows("start_s", "outcome") == [(0.0, "carried"), (200.0, "delivered")]


def test_training_by_itself_pauses_while_a_device_is_away() -> None:
    """A round of 10 s that begins at 0: away from 4 to 24, or until 7."""
    presence = Presence([away(4.0, 24.0), away(-1.0, 7.0), NO_SPELLS])
    told = talk([contact(0, 0, 500, [8.0] * 3)], [[Train(COST, rounds=1)]], presence=presence)
    work = told.replies[0][0]
    assert work.end_s.tolist() == [30.0, 17.0, 10.0]
    assert work.rounds.tolist() == [1, 1, 1]
    assert sorted((e["device"], e["time_s"]) for e in told.events("train_start")) == [
        (0, 0.0), (1, 7.0), (2, 0.0),
    ]  # fmt: skip


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 400), max_size=6, unique=True), min_size=1, max_size=3),
    st.integers(0, 100),
    st.integers(0, 300),
    st.integers(1, 40),
)
def test_gaps_hold_the_rounds_that_the_time_of_a_device_holds(
    edges: list[list[int]], from_s: int, lasts_s: int, round_s: int
) -> None:
    """Two disconnected phases against a walk over seconds; what is open is kept."""
    spells = [away(*map(float, sorted(e)[: len(e) // 2 * 2])) for e in edges]
    k = len(spells)
    devices = Devices(
        Cluster("c", 0, k), compute(seconds_per_round=float(round_s)), Presence(spells)
    )
    worked, counted = np.zeros(k), np.zeros(k, np.int64)
    for begin_s in (from_s, from_s + lasts_s + 50):
        rounds, _, end_s = devices.gap_rounds(
            COST, np.ones(k, bool), float(begin_s), float(begin_s + lasts_s)
        )
        for device, mine in enumerate(spells):
            for second in range(begin_s, begin_s + lasts_s):
                worked[device] += not ((mine.begin_s <= second) & (second < mine.end_s)).any()
            assert rounds[device] == worked[device] // round_s - counted[device]
            counted[device] += rounds[device]
        assert (end_s <= begin_s + lasts_s).all()
    assert devices.computed_s == pytest.approx(worked)


# -- quorum and deadline


RATES = [40.0, 20.0, 10.0, 5.0, 1.0]
"""100 bytes take 20, 40, 80, 160 and 800 s."""


@pytest.mark.parametrize(
    ("quorum", "over_s", "done"), [(0.2, 20, 1), (0.55, 80, 3), (0.6, 80, 3), (0.8, 160, 4)]
)
def test_a_quorum_closes_a_chain_and_the_rest_goes_on_next_time(
    quorum: float, over_s: float, done: int
) -> None:
    contacts = [contact(0, 0, 1000, RATES), contact(1, 2000, 4000, RATES)]
    told = talk(contacts, [upload(100.0)] * 2, Closing(quorum=quorum))
    receipt = told.replies[0][0]
    assert receipt.done.tolist() == [k < done for k in range(5)]
    assert receipt.reason == "quorum reached"
    kept = [100.0] * done + [rate * over_s / 8 for rate in RATES[done:]]
    assert receipt.delivered_bytes.tolist() == pytest.approx(kept)
    assert details(told, "wait")[0] == (over_s, None, f"quorum reached: {5 - done} devices cut")
    sent = told.rows("device", "start_s", "delivered_bytes")
    for device, start_s, size in sent:
        if start_s >= 2000.0 and device >= done and told.replies[1][0].done[device]:
            assert size == pytest.approx(100.0 - kept[device])


@pytest.mark.parametrize("policy", ["restart", "drop"])
def test_what_a_quorum_cuts_meets_the_fate_of_cut_transfers(policy: CutTransfers) -> None:
    told = talk([contact(0, 0, 1000, RATES)], [upload(100.0)], Closing(quorum=0.4), policy)
    receipt = told.replies[0][0]
    assert receipt.given_up.tolist() == [policy == "drop" and k >= 2 for k in range(5)]
    assert told.books["uplink"]["vain_bytes"] == pytest.approx(sum(r * 40 / 8 for r in RATES[2:]))


def test_a_deadline_closes_a_chain_so_long_after_it_began() -> None:
    told = talk([contact(0, 50, 1000, RATES)], [upload(100.0)], Closing(deadline_s=100.0))
    assert told.replies[0][0].done.tolist() == [True, True, True, False, False]
    assert details(told, "wait") == [(150.0, None, "deadline reached: 2 devices cut")]
    assert max(end for (end,) in told.rows("end_s")) == 150.0


def test_a_quorum_counts_whole_chains_of_those_who_take_part() -> None:
    """Device k needs 160 / rate + 10 s: 14, 18, 26 and 50 s. One is away, and three of four do."""
    presence = Presence([away(-1.0, 5000.0), *[NO_SPELLS] * 4])
    one = contact(0, 0, 1000, [80.0, 40.0, 20.0, 10.0, 4.0], down=band(9))
    told = talk([one], [MODEL], Closing(quorum=0.75), presence=presence)
    down, work, up = told.replies[0]
    assert up.done.tolist() == [False, True, True, True, False]
    assert work.rounds.tolist() == [0, 1, 1, 1, 0]
    assert down.done.tolist() == [False, True, True, True, True]
    assert details(told, "wait") == [(26.0, None, "quorum reached: 1 devices cut")]
    assert [e["time_s"] for e in told.events("train_start") if e["device"] == 4] == []
    assert told.over_s == [26.0]


def test_a_quorum_counts_only_those_that_have_the_memory() -> None:
    """Two of five are excluded, so that two of the other three are two thirds."""
    room = np.where(np.isin(np.arange(5), [0, 3]), 1.0, 1e9)
    told = talk(
        [contact(0, 0, 1000, RATES)],
        [[Train(COST), *upload(100.0)]],
        Closing(quorum=0.6),
        computing=compute(memory_bytes=room),
    )
    work, up = told.replies[0]
    assert work.excluded.tolist() == [True, False, False, True, False]
    assert up.done.tolist() == [False, True, True, False, False]
    assert details(told, "wait") == [(90.0, None, "quorum reached: 1 devices cut")]


@given(st.integers(1, 100), st.integers(1, 400))
@example(28, 25)
@example(7, 100)
def test_a_quorum_is_a_share_in_whole_numbers(percent: int, of: int) -> None:
    """Against integers: 0.28 of 25 are 7, though 0.28 * 25 is more than 7 in floats."""
    assert Closing(quorum=percent / 100).enough(of) == -(-percent * of // 100)


def test_refused_uploads_are_no_part_of_a_quorum() -> None:
    """Who is corrupted has not arrived: the quorum waits for others, or in the end for all."""
    bad = stream(1, "uploads", "c", 0).random((5, 3))[:, 0] < 0.02
    assert bad.tolist() == [False, True, False, False, False]  # the second to end
    told = talk(
        [contact(0, 0, 1000, RATES)],
        [upload(100.0)],
        Closing(quorum=0.4),
        uploads=Uploads(corrupted=0.02),
    )
    good = np.flatnonzero(~bad)
    over_s = 800.0 / RATES[good[1]]
    assert told.replies[0][0].done.tolist() == [k in good[:2] for k in range(5)]
    assert details(told, "wait")[-1][0] == over_s


def test_a_chain_without_uploads_waits_for_all() -> None:
    steps = [Download(Payload("m", 100.0, 1)), Train(COST)]
    told = talk([contact(0, 0, 1000, RATES)], [steps], Closing(quorum=0.2))
    assert told.replies[0][0].done.all()
    assert told.replies[0][1].rounds.tolist() == [1] * 5


# -- everything at once


@settings(max_examples=60)
@given(st.data())
def test_whatever_goes_wrong_the_bytes_are_accounted_for(data: st.DataObject) -> None:
    """Random passes, rates and faults of all kinds: nothing is lost, nothing leaves its contact."""
    k, count = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    rates = [data.draw(st.floats(1.0, 50.0)) for _ in range(k)]
    policy = data.draw(st.sampled_from(["resume", "restart", "drop"]))
    radio = band(
        data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["fixed_subchannel", "rounds"]))
    )
    contacts = [
        contact(n, 100.0 * n, 100.0 * n + 40, rates, radio=radio, down=radio) for n in range(count)
    ]
    edges = st.lists(st.integers(0, 4000), max_size=8, unique=True)
    spells = [
        away(*(t / 10 for t in sorted(e)[: len(e) // 2 * 2]))
        for e in (data.draw(edges) for _ in range(k))
    ]
    closing = data.draw(
        st.sampled_from([WAITS_FOR_ALL, Closing(quorum=0.5), Closing(deadline_s=17.0)])
    )
    told = talk(
        contacts, [MODEL] * count, closing, policy,
        presence=Presence(spells),
        packets=Packets(loss=data.draw(st.floats(0.0, 0.8)), bytes=data.draw(st.integers(1, 20))),
        uploads=Uploads(corrupted=0.3, late=0.5, late_minutes=0.1),
    )  # fmt: skip
    moved = told.tables["transfers"].to_pylist()
    for row in moved:
        begin_s = 100.0 * row["contact_id"]
        assert begin_s <= row["start_s"] < row["end_s"] <= begin_s + 40.0 + 1e-9
        mine = spells[row["device"]]
        middle_s = (row["start_s"] + row["end_s"]) / 2
        assert not ((mine.begin_s <= middle_s) & (middle_s < mine.end_s)).any()
