"""Faults of links: lost packets, late and corrupted uploads, spells of devices and satellites."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import orbit as orbits
import scenarios
import sim
from tests.kit.handmade import (
    COST,
    MODEL,
    POLICIES,
    band,
    compute,
    contact,
    download,
    seen,
    talk,
    upload,
)
from tests.kit.inner import sim as inner
from tests.kit.inner.learning import WAITS_FOR_ALL, Cluster, Payload, Quorum, Train, Upload, stream
from tests.kit.inner.scenarios import Packets, Uploads
from tests.kit.inner.sim import NO_INTERVALS, Intervals, Presence, drawn_intervals


def away(*edges_s):
    return Intervals(np.array(edges_s[::2], float), np.array(edges_s[1::2], float))


def drawn(kind, begins_s, way="server", number=0):
    """The draws of a leg of payload a, by the second at which its session begins."""
    return stream(1, kind, "c", "a", way, begins_s, number)


def resent(begins_s, packets, loss, way="server"):
    """How many packets a leg sends again: its draws, where the summed probabilities reach them."""
    found = []
    draws = drawn("packets", begins_s, way).random(len(packets))
    for n, luck in zip(packets, draws, strict=True):
        again = 0
        likely = (1.0 - loss) ** n
        below = likely
        while below < luck:
            again += 1
            likely *= loss * (n + again - 1) / again
            below += likely
        found.append(again)
    return np.array(found)


def test_packets_sent_again_take_their_share_of_time_and_carry_no_byte_of_their_own():
    lossy = Packets(loss=0.2, bytes=10)
    told = talk([contact(0, 0, 10, [8000.0] * 5)], [upload(1000.0)], packets=lossy)
    again = resent(0, [100] * 5, 0.2)
    assert len(set(again.tolist())) > 1
    assert told.rows("delivered_bytes", "outcome") == [(1000.0, "delivered")] * 5
    assert told.ends() == pytest.approx(1.0 + again / 100)
    assert told.books["uplink"]["sent_bytes"] == told.books["uplink"]["delivered_bytes"] == 5000.0
    said = f"injected: {again.sum()} of 500 packets of a sent again"
    assert told.told("fault") == [(pytest.approx(max(told.ends())), None, said)]
    # A downlink that is neglected loses nothing; one with a band does.
    for down, end_s in ((None, 0.0), (band(1), 0.08 + 0.08 * resent(0, [1], 0.2, "client")[0])):
        told = talk([contact(0, 0, 60, [8.0 * 125], down=down)], [download(10.0)], packets=lossy)
        assert told.ends() == pytest.approx([end_s])
    # Half of ten bytes at one a second are lost: 20 s of 100, so that 8 rounds of 10 s fit.
    fill = compute(per_contact=None)
    lossy = Packets(loss=0.5, bytes=1)
    steps = [Train(COST), *upload(10.0)]
    told = talk([contact(0, 0, 100, [8.0])], [steps], computing=fill, packets=lossy)
    assert told.replies[0][0].rounds.tolist() == [8]


def test_packets_are_sent_as_often_as_chance_says():
    draws = stream(2, "test")
    loss = 0.3
    packets = np.array([7, 7, 7, 7])
    alone = np.array([inner.sent_again(draws, packets, loss) for _ in range(2000)]).ravel()
    together = np.array([inner.sent_to_all(draws, packets, loss)[0] for _ in range(8000)])
    thrown = draws.geometric(1 - loss, size=(8000, 7, 4))
    apart = thrown.sum(axis=1).ravel() - 7
    whole = thrown.max(axis=2).sum(axis=1) - 7
    for drawn, counted in ((alone, apart), (together, whole)):
        shares = [np.bincount(found, minlength=60)[:60] / len(found) for found in (drawn, counted)]
        assert shares[0] == pytest.approx(shares[1], abs=5 * np.sqrt(0.25 / 8000))
        assert drawn.mean() == pytest.approx(counted.mean(), rel=0.05)
    for sent in (inner.sent_again, inner.sent_to_all):
        assert sent(draws, packets, 0.0).tolist() == [0] * 4


def test_what_is_sent_before_the_pass_ends_is_a_share_of_what_is_on_the_air():
    contacts = [contact(0, 0, 10, [8.0]), contact(1, 100, 200, [8.0])]
    told = talk(contacts, [upload(15.0)] * 2, packets=Packets(loss=0.5, bytes=1))
    through = 10.0 * 15 / (15 + resent(0, [15], 0.5)[0])
    left = math.ceil(15 - through)
    end_s = 100.0 + (15 - through) * (left + resent(100, [left], 0.5)[0]) / left
    assert told.rows("start_s", "end_s", "delivered_bytes", "outcome") == [
        (0.0, 10.0, pytest.approx(through), "carried"),
        (100.0, pytest.approx(end_s), pytest.approx(15 - through), "delivered"),
    ]


def test_what_is_corrupted_goes_over_the_link_and_is_refused_there():
    passes = [contact(number, at_s, at_s + 50, [8.0] * 6) for number, at_s in ((0, 0), (1, 100))]
    told = talk(passes, [upload(10.0)] * 2, uploads=Uploads(corrupted=0.5))
    bad = [drawn("uploads", begins_s).random((6, 3))[:, 0] < 0.5 for begins_s in (0, 100)]
    assert 0 < bad[0].sum() < 6
    for mine, [receipt] in zip(bad, told.replies, strict=True):
        assert receipt.done.tolist() == (~mine).tolist()
        assert receipt.given_up.tolist() == mine.tolist()
        assert receipt.reason == "corrupted in transit"
        assert receipt.left_bytes.tolist() == np.where(mine, 10.0, 0.0).tolist()
    assert told.rows("end_s", "delivered_bytes", "outcome") == [
        (end_s, 10.0, "dropped" if refused else "delivered")
        for end_s, mine in zip((10.0, 110.0), bad, strict=True)
        for refused in mine
    ]
    assert told.books["uplink"]["vain_bytes"] == float(10 * np.sum(bad))
    assert (10.0, int(bad[0].argmax()), "a refused: corrupted in transit") in told.told("drop")


@pytest.mark.parametrize(
    "faults", [{"uploads": Uploads(corrupted=0.5)}, {"packets": Packets(loss=0.3)}]
)
def test_what_is_drawn_of_a_leg_does_not_depend_on_the_legs_before_it(faults):
    """One leg more or less before a contact ends, by the last bit of a time, changes no others."""
    contacts = [contact(0, 0, 50, [8.0] * 9), contact(1, 100, 500, [8.0] * 9)]
    found = []
    for before in (upload(10.0), [*upload(10.0), Upload(Payload("b", 1.0))], [Train(COST)]):
        rows = talk(contacts, [before, upload(10.0)], **faults).rows("start_s", "end_s", "outcome")
        found.append([row for row in rows if row[0] >= 100])
    assert found[0] == found[1] == found[2] and len(set(found[0])) > 1


@pytest.mark.parametrize("before_s", [0.0, 7e-15, 1e-11, 1e-9])
def test_what_the_end_of_a_contact_cuts_ends_with_it_to_the_last_bit(before_s):
    """Else it would be chance whether the contact or the chain in it ends first."""
    here = contact(0, 0, 50, [8.0, 4.0])
    edges_s = [[0.0, 50.0 - before_s], [0.0, 30.0]]
    told = talk([seen(here, edges_s, [[8.0] * 2, [4.0] * 2])], [upload(100.0)])
    assert told.rows("end_s") == [(50.0,), (30.0,)]


ONE_WAY = contact(0, 0, 30, [8.0] * 4)
BOTH_WAYS = contact(0, 0, 500, [8.0] * 2, down=band(2))
LEAVING = {
    # Contacts, protocol, who is away when; rows, and when each chain is over.
    # 15 bytes: device 1 is away at the start, device 2 leaves after 4 s and goes on next time.
    "in a pass": (
        [ONE_WAY, contact(1, 100, 130, [8.0] * 4)], [upload(15.0)] * 2,
        [NO_INTERVALS, away(-5, 2), away(4, 50), away(15, 90)],
        ["0 in 0: 0-15 15 delivered", "2 in 0: 0-4 4 carried", "3 in 0: 0-15 15 delivered",
         "0 in 1: 100-115 15 delivered", "1 in 1: 100-115 15 delivered",
         "2 in 1: 100-111 11 delivered", "3 in 1: 100-115 15 delivered"], [15, 115],
    ),
    # Who is away for a whole pass keeps what it had sent before.
    "for a pass": (
        [contact(n, 100.0 * n, 100.0 * n + 10, [8.0]) for n in range(3)], [upload(15.0)] * 3,
        [away(90, 150)], ["0 in 0: 0-10 10 carried", "0 in 2: 200-205 5 delivered"], [10, 100, 205],
    ),
    # Device 0 leaves while it trains, device 1 while it sends: the chain ends when 1 has left.
    "for good": (
        [BOTH_WAYS], [MODEL], [away(12, 1000), away(25, 1000)],
        ["0 in 0: 0-10 10 delivered", "1 in 0: 0-10 10 delivered", "1 in 0: 20-25 5 carried"], [25],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEAVING)
def test_who_is_away_takes_no_part_and_nobody_waits_for_it(name):
    contacts, protocol, spells, rows, over_s = LEAVING[name]
    told = talk(contacts, protocol, presence=Presence(spells))
    assert (told.lines(), told.over_s) == (rows, over_s)
    for contact_id, reply in enumerate(told.replies):
        up = told.rows("contact_id", "direction", "outcome", "device")
        through = {row[3] for row in up if row[:3] == (contact_id, "uplink", "delivered")}
        assert set(np.flatnonzero(reply[-1].done)) == through
    reasons = [reply[0].reason for reply in told.replies]
    assert name != "for a pass" or reasons == ["contact ended", "devices away", ""]


def test_training_by_itself_pauses_while_a_device_is_away():
    """A round of 10 s that begins at 0: away from 4 to 24, or until 7."""
    presence = Presence([away(4.0, 24.0), away(-1.0, 7.0), NO_INTERVALS])
    told = talk([contact(0, 0, 500, [8.0] * 3)], [[Train(COST, rounds=1)]], presence=presence)
    assert told.ends() == [30.0, 17.0, 10.0]
    assert told.replies[0][0].rounds.tolist() == [1, 1, 1]
    begun = {event["device"]: event["time_s"] for event in told.events("train_start")}
    assert begun == {0: 0.0, 1: 7.0, 2: 0.0}


AWAY = st.lists(st.integers(0, 400), max_size=6, unique=True).map(
    lambda edges: away(*sorted(edges)[: len(edges) // 2 * 2])
)
SOME_AWAY = st.lists(AWAY, min_size=1, max_size=3)
LOSS = st.floats(0.0, 0.8)


def inside(of, time_s):
    held = (of.begin_s[:, None] <= time_s) & (time_s < of.end_s[:, None])
    return np.asarray(held.any(axis=0))


@given(SOME_AWAY, st.integers(0, 100), st.integers(0, 300), st.integers(1, 40))
def test_gaps_hold_the_rounds_that_the_time_of_a_device_holds(spells, from_s, lasts_s, round_s):
    k = len(spells)
    each = compute(seconds_per_round=float(round_s))
    devices = inner.Devices(Cluster("c", 0, k), each, Presence(spells))
    worked = np.zeros(k)
    counted = np.zeros(k, np.int64)
    for begin_s in (from_s, from_s + lasts_s + 50):
        end_s = begin_s + lasts_s
        phase = devices.phase(COST, np.ones(k, bool), float(begin_s))
        gap = devices.end_phase(phase, float(end_s))
        worked += [(~inside(mine, np.arange(begin_s, end_s))).sum() for mine in spells]
        assert gap.rounds.tolist() == (worked // round_s - counted).tolist()
        counted += gap.rounds
        assert (gap.end_s <= end_s).all()
    assert devices.computed_s == pytest.approx(worked)


@given(SOME_AWAY, st.integers(0, 410), st.integers(0, 410), st.integers(1, 90))
@example([away(10, 20, 30, 40)], 10, 20, 10)  # from a begin to an end
@example([away(10, 20, 30, 40)], 20, 30, 10)  # from an end to a begin, with work until then
@example([away(10, 20), away(20, 30)], 20, 20, 1)
@example([away(0, 5)], 0, 5, 1)
def test_who_is_there_agrees_with_a_walk_over_a_fine_grid(spells, one, other, work):
    """All edges are whole seconds, so that a walk in half seconds is exact."""
    presence = Presence(spells)
    k = len(spells)
    from_s = np.full(k, float(min(one, other)))
    to_s = np.full(k, float(max(one, other)))
    grid_s = np.arange(0.0, 1300.0, 0.5)
    there = np.array([~inside(each, grid_s) for each in spells])
    assert np.array_equal(presence.present(from_s), there[:, grid_s == from_s[0]][:, 0])
    between = (grid_s >= from_s[0]) & (grid_s < to_s[0])
    after = grid_s >= from_s[0]
    assert presence.present_s(from_s, to_s) == pytest.approx(there[:, between].sum(axis=1) * 0.5)
    first = [grid_s[after][row[after]][0] for row in there]
    assert presence.returns_s(from_s).tolist() == first
    worked = np.cumsum(there[:, after], axis=1) * 0.5
    done = [grid_s[after][row >= work][0] + 0.5 for row in worked]
    assert presence.after_s(from_s, np.full(k, float(work))).tolist() == done
    for leaves_s, each in zip(presence.leaves_s(from_s), spells, strict=True):
        assert leaves_s == min(each.begin_s[each.begin_s > from_s[0]], default=np.inf)
    never = np.full(k, np.inf)
    assert presence.present(never).all() and not np.isnan(presence.leaves_s(never)).any()


RATES = [40.0, 20.0, 10.0, 5.0, 1.0]
"""100 bytes take 20, 40, 80, 160 and 800 s."""
HERE = contact(0, 0, 1000, RATES)
LATER = contact(0, 50, 1000, RATES)
DOWN_TOO = contact(0, 0, 1000, [80.0, 40.0, 20.0, 10.0, 4.0], down=band(9))
CLOSED = {
    # Contact, steps, closing and how; who is through with the last step, when it is over, and why.
    "one": (HERE, upload(100.0), Quorum(share=0.2), {}, "10000", 20, "quorum: 4"),
    "deadline": (LATER, upload(100.0), Quorum(deadline_s=100.0), {}, "11100", 150, "deadline: 2"),
    # Device k needs 160 / rate + 10 s: 14, 18, 26 and 50 s. One is away, and three of four do.
    "whole chains": (
        DOWN_TOO, MODEL, Quorum(share=0.75),
        {"presence": Presence([away(-1, 5000), *[NO_INTERVALS] * 4])}, "01110", 26, "quorum: 1",
    ),
    # Who is corrupted has not arrived: here the first to end, so that the quorum waits for one.
    "corrupted": (
        HERE, upload(100.0), Quorum(share=0.4), {"uploads": Uploads(corrupted=0.15)},
        "01100", 80, "quorum: 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_a_quorum_or_a_deadline_closes_a_chain(name):
    here, steps, closing, how, done, over_s, why = CLOSED[name]
    told = talk([here], [steps], closing=closing, **how)
    [replies] = told.replies
    assert "".join(str(int(k)) for k in replies[-1].done) == done
    assert told.over_s == [over_s]
    if why:
        word, cut = why.split(":")
        text = f"{word} reached:{cut} devices cut"
        assert told.told("wait") == [(over_s, None, text)]
        assert replies[-1].reason == f"{word} reached"
        assert max(told.rows("end_s")) == (over_s,)
    if name == "whole chains":
        assert replies[1].rounds.tolist() == [0, 1, 1, 1, 0]
        assert replies[0].done.tolist() == [False, True, True, True, True]
        assert 4 not in [event["device"] for event in told.events("train_start")]


@given(st.integers(1, 100), st.integers(1, 400))
@example(28, 25)
@example(7, 100)
def test_a_quorum_is_a_share_in_whole_numbers(percent, of):
    """Against integers: 0.28 of 25 are 7, though 0.28 * 25 is more than 7 in floats."""
    assert Quorum(share=percent / 100).enough(of) == -(-percent * of // 100)


@given(st.data(), SOME_AWAY, st.integers(1, 4), st.sampled_from(POLICIES))
def test_whatever_goes_wrong_the_bytes_are_accounted_for(data, spells, count, policy):
    rates = [data.draw(st.floats(1.0, 50.0)) for _ in spells]
    radio = band(data.draw(st.integers(1, 3)))
    contacts = [contact(n, 100.0 * n, 100.0 * n + 40, rates, None, radio, radio)
                for n in range(count)]  # fmt: skip
    closings = [WAITS_FOR_ALL, Quorum(share=0.5), Quorum(deadline_s=17.0)]
    faults = {
        "presence": Presence(spells), "uploads": Uploads(corrupted=0.3),
        "packets": Packets(loss=data.draw(LOSS), bytes=data.draw(st.integers(1, 20))),
        "closing": data.draw(st.sampled_from(closings)),
    }  # fmt: skip
    for row in talk(contacts, [MODEL] * count, policy, **faults).moved():
        begin_s = 100.0 * row["contact_id"]
        assert begin_s <= row["start_s"] < row["end_s"] <= begin_s + 40.0 + 1e-9
        middle_s = np.array([(row["start_s"] + row["end_s"]) / 2])
        assert not inside(spells[row["device"]], middle_s).any()


def test_spells_alternate_with_the_means_that_were_asked_for_and_as_often_at_the_start():
    drawn = drawn_intervals(stream(1, "test"), 600.0, 200.0, 8e6)
    apart_s = drawn.begin_s[1:] - drawn.end_s[:-1]
    lasting_s = drawn.end_s - drawn.begin_s
    for times, mean_s in ((apart_s, 600.0), (lasting_s[:-1], 200.0)):
        assert times.min() > 0.0
        # Five standard errors of mean and standard deviation of an exponential.
        assert times.mean() == pytest.approx(mean_s, rel=5 / np.sqrt(len(times)))
        assert times.std() == pytest.approx(mean_s, rel=5 * np.sqrt(2 / len(times)))
    longer = drawn_intervals(stream(1, "test"), 600.0, 200.0, 1e7).between(0.0, 8e6)
    assert np.array_equal(longer.begin_s, drawn.begin_s)
    at_once = [
        len(drawn_intervals(stream(k, "s"), 600.0, 200.0, 1e-3).begin_s) for k in range(2000)
    ]
    assert np.mean(at_once) == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / 2000))


@given(st.lists(AWAY, min_size=2, max_size=2), st.integers(0, 10**6), st.integers(1, 6))
def test_pieces_of_windows_are_the_windows_without_the_outages(out, seed, count):
    """As sets of instants; and none of no length, in the promised order."""
    rng = np.random.default_rng(seed)
    rise_s = np.sort(rng.integers(0, 301, count))
    lasts_s = rng.integers(1, 61, count)
    satellite = np.sort(rng.integers(0, 2, count))
    windows = orbits.bare_windows(
        rise_s=rise_s + np.arange(count) / 8, culminate_s=rise_s + lasts_s / 2,
        set_s=rise_s + lasts_s + 1.0, satellite=satellite, site=np.arange(count),
    )  # fmt: skip
    pieces, of = inner.cut(windows, windows.satellite, out)
    grid_s = np.arange(0.0, 400.0, 1 / 16) + 1 / 64
    for number in range(count):
        mine = Intervals(pieces.rise_s[of == number], pieces.set_s[of == number])
        whole = away(windows.rise_s[number], windows.set_s[number])
        wanted = inside(whole, grid_s) & ~inside(out[satellite[number]], grid_s)
        assert np.array_equal(inside(mine, grid_s), wanted)
    assert np.array_equal(pieces.site, of)
    assert np.array_equal(pieces.clipped_start, pieces.rise_s > windows.rise_s[of])
    assert ((pieces.culminate_s >= pieces.rise_s) & (pieces.culminate_s <= pieces.set_s)).all()


def test_last_bits_of_what_is_corrupted_may_be_on_their_way_when_service_ends():
    """Found by random scenarios: a gate is sent whole until a contact ends, and then refused."""
    here = {"latitude_deg": 0, "radius_km": 0}
    kinds = [{"devices": 2, "seconds_per_round": 1.0}, {"devices": 1, "tflops": 0.001}]
    scenario = scenarios.from_dict({
        "seed": 0, "start": "2026-08-22T00:00:00Z", "stop": {"cycles": 1, "days": 0.3},
        "orbit": {
            "source": "circular", "altitude_km": 400, "inclination_deg": 0, "min_elevation_deg": 0,
        },
        "ground": {"clusters": [
            {"name": name, "longitude_deg": longitude_deg, **here, **devices}
            for name, longitude_deg, devices in [
                ("D", 0, {"devices": 1}), ("B", 1, {"devices": 3, "kinds": kinds}),
                ("C", 0, {"devices": 1}), ("A", 0, {"devices": 1}),
            ]
        ]},
        "link": {"preset": "paper", "uplink": {"rate": "fixed", "fixed_rate_mbps": 1.0}},
        "compute": {"seconds_per_round": 1.0},
        "learning": {
            "method": "emsfl-enhanced", "train": False, "rounds": {"per_contact": "fill"},
            "steps_per_round": 1, "batch_size": 4, "gate_tuning_cycles": 1,
            "model": {"experts": 1, "hidden": 16, "expert_hidden": 16}, "lora": {"rank": None},
        },
        "faults": {"outages": {"per_day": 1.0, "mean_hours": 1.0}, "uploads": {"corrupted": 0.5}},
    })  # fmt: skip
    run = sim.run(scenario)
    ends_s = run.contacts.set_index("contact_id").set_s
    late = run.transfers[run.transfers.end_s > run.transfers.contact_id.map(ends_s) + 1e-6]
    assert "dropped" in set(late.outcome)
