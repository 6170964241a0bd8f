"""Devices that share a beam in runs and chains: queues, turns, narrow bands and broadcasts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sim
from channel import LinkCurve
from scenarios import Scenario
from tests.kit.learning import Download, Payload, Train, Upload
from tests.kit.network import ContactLinks, Plan, make_plan
from tests.kit.small import merged
from tests.kit.small import orbit as orbit_scenario
from tests.kit.small import slots as slot_scenario
from tests.kit.talk import COST, Talk, band, contact, talk

SHARINGS = ("fixed_subchannel", "equal_share", "rounds")
ROUNDING_S = 1e-6


def most_at_once(rows: list[dict[str, Any]]) -> int:
    """Largest number of rows that overlap by more than rounding."""
    edges = [(row["start_s"] + ROUNDING_S, 1) for row in rows]
    edges += [(row["end_s"] - ROUNDING_S, -1) for row in rows]
    now = most = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most


def ends(told: Talk, step: int = 0) -> list[float]:
    found: list[float] = told.replies[0][step].end_s.tolist()
    return found


# -- by hand: 1 byte a second


def test_who_finds_no_sub_channel_waits_and_it_is_told() -> None:
    here = contact(0, 0, 100, [8.0, 8.0, 4.0], radio=band(2))
    told = talk([here], [[Upload(Payload("a", 10.0))]])
    assert told.rows("device", "start_s", "end_s") == [(0, 0, 10), (1, 0, 10), (2, 10, 30)]
    [wait] = told.events("wait")
    assert wait["detail"] == "sub-channel busy: a: 1 devices, up to 10.000 s"
    assert (wait["time_s"], wait["contact_id"]) == (0.0, 0)


def test_who_is_still_waiting_at_the_end_is_told_too() -> None:
    here = contact(0, 0, 15, [8.0, 8.0, 8.0], radio=band(1))
    told = talk([here], [[Upload(Payload("a", 10.0))]])
    assert told.rows("device", "start_s", "end_s", "delivered_bytes", "outcome") == [
        (0, 0, 10, 10, "delivered"),
        (1, 10, 15, 5, "carried"),
    ]
    [wait] = told.events("wait")
    assert wait["detail"] == "sub-channel busy: a: 2 devices, up to 15.000 s"


def test_who_is_ready_first_goes_first() -> None:
    """Device 1 trains nothing and overtakes device 0, which trains for 10 s."""
    here = contact(0, 0, 100, [8.0, 8.0], radio=band(1))
    steps = [Train(COST, who=np.array([True, False])), Upload(Payload("a", 15.0))]
    told = talk([here], [steps])
    assert told.rows("device", "start_s", "end_s") == [(1, 0, 15), (0, 15, 30)]


@pytest.mark.parametrize("sharing", SHARINGS)
def test_the_steps_of_a_chain_in_one_direction_follow_each_other_on_a_crowded_beam(
    sharing: Any,
) -> None:
    here = contact(0, 0, 100, [8.0, 8.0, 8.0], radio=band(1, sharing))
    told = talk([here], [[Upload(Payload("a", 4.0)), Upload(Payload("b", 6.0))]])
    first, second = ends(told), ends(told, 1)
    in_turn = sharing == "fixed_subchannel"
    # The rates are 8 bit/s whatever the radio says of its own; equal_share asks the radio.
    if sharing != "equal_share":
        assert first == pytest.approx([4, 8, 12] if in_turn else [12, 12, 12])
        assert second == pytest.approx([18, 24, 30] if in_turn else [30, 30, 30])
    begins = [
        row["start_s"] for row in told.tables["transfers"].to_pylist() if row["payload"] == "b"
    ]
    assert min(begins) >= max(first)


def test_without_a_crowd_each_device_goes_on_by_itself() -> None:
    here = contact(0, 0, 100, [8.0, 4.0], radio=band(2))
    told = talk([here], [[Upload(Payload("a", 4.0)), Upload(Payload("b", 6.0))]])
    assert (ends(told), ends(told, 1)) == ([4.0, 8.0], [10.0, 20.0])


@pytest.mark.parametrize("second", [[True, False, False], [False, False, True]])
def test_steps_for_some_devices_share_the_beam_with_earlier_steps(second: list[bool]) -> None:
    here = contact(0, 0, 100, [8.0, 4.0, 8.0], radio=band(2))
    steps = [
        Upload(Payload("a", 10.0), np.array([True, True, not second[2]])),
        Upload(Payload("b", 10.0), np.array(second)),
    ]
    told = talk([here], [steps])
    assert most_at_once(told.tables["transfers"].to_pylist()) <= 2


def test_both_directions_have_bands_of_their_own() -> None:
    here = contact(0, 0, 100, [8.0, 8.0], radio=band(1), down=band(1))
    steps = [Download(Payload("m", 5.0)), Upload(Payload("a", 10.0))]
    told = talk([here], [steps])
    assert (ends(told), ends(told, 1)) == ([5.0, 10.0], [15.0, 25.0])


def test_turns_are_shares_of_a_sub_channels_rate() -> None:
    """Two sub-channels by turns of three devices: 2/3 of 1 byte a second until one is through."""
    here = contact(0, 0, 100, [8.0, 8.0, 8.0], radio=band(2, "rounds"))
    told = talk([here], [[Upload(Payload("a", np.array([6.0, 10.0, 12.0])))]])
    # 6 bytes each by 9 s; the two that are left have a sub-channel of their own.
    assert ends(told) == pytest.approx([9.0, 13.0, 15.0])


def test_equal_shares_of_a_fixed_rate_are_shares_of_the_band() -> None:
    """Half a sub-channel carries half of the fixed rate of 1 kbit/s."""
    here = contact(0, 0, 100, [1e3, 1e3], radio=band(1, "equal_share"))
    told = talk([here], [[Upload(Payload("a", np.array([500.0, 1500.0])))]])
    assert ends(told) == pytest.approx([8.0, 16.0])


# -- downlink


def test_a_broadcast_has_the_rate_of_the_worst_and_waits_for_nobody_out_of_view() -> None:
    radio = band(1, "broadcast")
    here = contact(0, 0, 100, [8.0, 2.0, 0.0, 32.0], down=radio)
    told = talk([here], [[Download(Payload("m", 10.0))]])
    assert ends(told) == [40.0, 40.0, np.inf, 40.0]
    assert told.replies[0][0].left_bytes.tolist() == [0.0, 0.0, 10.0, 0.0]
    assert not told.events("wait")


def test_a_broadcast_to_some_has_the_rate_of_the_worst_of_them() -> None:
    here = contact(0, 0, 100, [8.0, 2.0, 4.0], down=band(1, "broadcast"))
    who = np.array([True, False, True])
    told = talk([here], [[Download(Payload("m", 10.0), who)]])
    assert told.rows("device", "end_s") == [(0, 20.0), (2, 20.0)]


def test_a_broadcast_leaves_out_who_sees_the_satellite_only_before_it_serves() -> None:
    """Another cluster has the beam until 60 s, when device 1 has lost the satellite."""
    here = contact(0, 0, 100, [8.0, 8.0], down=band(1, "broadcast"))
    links = here.links.devices
    assert links.downlink is not None
    rate = np.array([[8.0, 8.0, 8.0], [8.0, 0.0, 0.0]])
    curve = LinkCurve(np.array([[0.0, 50.0, 100.0], [0.0, 50.0, 50.0]]), rate)
    links = replace(links, downlink=replace(links.downlink, curve=curve))
    late = replace(here, start_s=60.0, links=ContactLinks(lambda: links, 60.0, 100.0))
    told = talk([late], [[Download(Payload("m", 10.0))]])
    assert ends(told) == [70.0, np.inf]


def test_unicast_to_the_same_devices_queues() -> None:
    here = contact(0, 0, 100, [8.0, 2.0, 4.0], down=band(1))
    told = talk([here], [[Download(Payload("m", 5.0))]])
    assert told.rows("device", "start_s", "end_s") == [(0, 0, 5), (1, 5, 25), (2, 25, 35)]


def test_two_broadcasts_of_a_chain_follow_each_other() -> None:
    """Device 1 is ready 10 s later: while it hears the first, nobody hears the second."""
    here = contact(0, 0, 100, [8.0, 8.0], down=band(1, "broadcast"))
    steps = [
        Train(COST, who=np.array([False, True])),
        Download(Payload("m", 15.0)),
        Download(Payload("n", 5.0)),
    ]
    told = talk([here], [steps])
    rows = told.rows("payload", "start_s", "end_s")
    first_s = min(start_s for name, start_s, _ in rows if name == "n")
    assert first_s >= max(end_s for name, _, end_s in rows if name == "m")


# -- at random: a queue never has more senders than sub-channels


@settings(max_examples=100, deadline=None)
@example(seed=4725, devices=6, channels=2, steps=3)
@given(
    seed=st.integers(0, 10**6),
    devices=st.integers(2, 6),
    channels=st.integers(1, 3),
    steps=st.integers(1, 3),
)
def test_senders_never_outnumber_the_sub_channels(
    seed: int, devices: int, channels: int, steps: int
) -> None:
    rng = np.random.default_rng(seed)
    here = contact(0, 0, 200, rng.uniform(1.0, 20.0, devices), radio=band(channels))
    chain = [Upload(Payload(f"p{n}", rng.uniform(1.0, 40.0, devices))) for n in range(steps)]
    told = talk([here], [[Train(COST, who=rng.random(devices) < 0.5), *chain]])
    assert most_at_once(told.tables["transfers"].to_pylist()) <= channels


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    devices=st.integers(2, 5),
    sharing=st.sampled_from(SHARINGS),
    shift_s=st.sampled_from([1.0, 4096.0, 86_400.0 * 365]),
)
def test_a_shift_of_all_times_changes_nothing_but_the_times(
    seed: int, devices: int, sharing: Any, shift_s: float
) -> None:
    def told(from_s: float) -> Talk:
        rng = np.random.default_rng(seed)
        contacts = [
            contact(n, from_s + a, from_s + a + 50.0, rng.uniform(1.0, 20.0, devices),
                    radio=band(2, sharing))
            for n, a in enumerate((0.0, 300.0, 600.0))
        ]  # fmt: skip
        chain = [Train(COST), *(Upload(Payload(p, rng.uniform(1, 400, devices))) for p in "ab")]
        return talk(contacts, [chain] * 3)

    one, other = told(0.0), told(shift_s)
    columns = ("device", "payload", "contact_id", "outcome")
    assert sorted(one.rows(*columns)) == sorted(other.rows(*columns))
    keys = [*columns, "start_s", "end_s", "delivered_bytes"]
    before, after = (pd.DataFrame(t.rows(*keys), columns=keys) for t in (one, other))
    before, after = (t.sort_values(list(columns), ignore_index=True) for t in (before, after))
    for column in ("start_s", "end_s"):
        assert (after[column] - shift_s).to_numpy() == pytest.approx(before[column], abs=1e-5)
    assert after.delivered_bytes.to_numpy() == pytest.approx(before.delivered_bytes, rel=1e-6)


# -- over a real pass: more is never later

PLACE = {"latitude_deg": -40.693186649, "longitude_deg": -130.256454933}


def over(devices: int = 5, **link: Any) -> Scenario:
    clusters = [{"name": "Over", **PLACE, "devices": devices, "radius_km": 50.0}]
    return orbit_scenario(stop={"days": 1.2}, ground={"clusters": clusters}, link=link)


@cache
def first_pass(sharing: str, megahertz: float, dbm: float, direction: str = "uplink") -> Talk:
    side = {"sharing": sharing, "total_bandwidth_mhz": megahertz, "bandwidth_mhz": 0.36}
    power = {"tx_power_dbm": dbm}
    if direction == "downlink":
        side |= {"delivery": "unicast", "eirp_dbw": dbm}
        power = {}
    plan = make_plan(over(**{direction: side | power}))
    payload = Payload("a", 2e6)
    step = Upload(payload) if direction == "uplink" else Download(payload)
    return talk(plan.contacts, [[step]] * len(plan.contacts), plan=plan)


def finish_s(told: Talk) -> np.ndarray:
    """When each device is through for the first time, over all passes."""
    return np.min([reply[0].end_s for reply in told.replies], axis=0)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_more_bandwidth_is_never_later(sharing: str) -> None:
    before = np.full(5, np.inf)
    for channels in (1, 2, 3, 4, 5, 7):
        now = finish_s(first_pass(sharing, 0.36 * channels, 23.0))
        assert (now <= before + ROUNDING_S).all()
        before = now
    assert np.isfinite(now).all()
    assert (now < finish_s(first_pass(sharing, 0.36, 23.0))).any()


@pytest.mark.parametrize("sharing", SHARINGS)
def test_more_power_is_never_later(sharing: str) -> None:
    before = np.full(5, np.inf)
    for dbm in (20.0, 23.0, 24.0, 30.0):
        now = finish_s(first_pass(sharing, 0.72, dbm))
        assert (now < before).all()
        before = now


@pytest.mark.parametrize("sharing", ["fixed_subchannel", "rounds"])
def test_more_power_of_the_satellite_is_never_later(sharing: str) -> None:
    before = np.full(5, np.inf)
    for dbw in (25.0, 28.0, 34.0):
        now = finish_s(first_pass(sharing, 0.72, dbw, "downlink"))
        assert (now < before).all()
        before = now


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
def test_a_queue_over_a_pass_is_never_longer_than_its_sub_channels(direction: str) -> None:
    power = 23.0 if direction == "uplink" else 25.0
    told = first_pass("fixed_subchannel", 0.72, power, direction)
    rows = told.tables["transfers"].to_pylist()
    assert len(rows) >= 5
    # A row lasts until the last bit is there; a sub-channel is free when it is sent.
    for row in rows:
        row["end_s"] -= 0.01
    assert most_at_once(rows) == 2
    assert told.events("wait")


def test_the_times_on_a_beam_are_the_same_one_sidereal_day_later() -> None:
    """A circular orbit over the same Earth: same geometry, same draws, other times."""
    sidereal_s = 86_164.0905308
    told = []
    for days in (0, 1):
        start = orbit_scenario().start + timedelta(seconds=sidereal_s * days)
        link = {"environment": "suburban", "uplink": {"total_bandwidth_mhz": 0.72}}
        plan = make_plan(over(**link).model_copy(update={"start": start}))
        told.append(
            talk(plan.contacts, [[Upload(Payload("a", 1e6))]] * len(plan.contacts), plan=plan)
        )
    one, other = (t.tables["transfers"].to_pandas() for t in told)
    assert len(one) == len(other) > 4
    for column in ("contact_id", "device", "outcome"):
        assert (one[column] == other[column]).all()
    for column in ("start_s", "end_s"):
        assert other[column].to_numpy() == pytest.approx(one[column], abs=0.01)


# -- a mask of 0 degrees


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("environment", [None, "urban"])
def test_a_crowded_beam_down_to_the_horizon(sharing: str, environment: str | None) -> None:
    side = {"sharing": sharing, "total_bandwidth_mhz": 0.72}
    scenario = over(uplink=side, environment=environment)
    flat = scenario.orbit.model_copy(update={"min_elevation_deg": 0.0})
    plan = make_plan(scenario.model_copy(update={"orbit": flat}))
    steps = [Upload(Payload("a", 1e5))]
    told = talk(plan.contacts, [steps] * len(plan.contacts), plan=plan)
    assert np.isfinite(finish_s(told)).any()


def test_a_fixed_rate_is_there_from_the_horizon_on() -> None:
    scenario = over(preset="paper")
    flat = scenario.orbit.model_copy(update={"min_elevation_deg": 0.0})
    for contact_ in make_plan(scenario.model_copy(update={"orbit": flat})).contacts:
        time_s = contact_.uplink.curve.time_s
        bits = contact_.uplink.curve.capacity_bits
        assert bits == pytest.approx(5e6 * (time_s[:, -1] - time_s[:, 0]), rel=1e-9)


# -- whole runs


def sent(scenario: Scenario) -> pd.DataFrame:
    return sim.run(scenario).transfers


def a_slot(devices: int, stop: int = 1, **link: Any) -> Scenario:
    clusters = [{"name": "A", "devices": devices}]
    link = merged({"preset": "paper"}, link)
    return slot_scenario(
        ground={"clusters": clusters}, stop={"cycles": stop}, link=link, learning={"train": False}
    )


def test_more_devices_than_sub_channels_in_a_run() -> None:
    """Seven devices, three sub-channels, payloads of one size: three waves."""
    slow = {"fixed_rate_mbps": 1e-4, "total_bandwidth_mhz": 15.0}
    result = sim.run(a_slot(7, 3, uplink=slow))
    up = result.transfers[result.transfers.direction == "uplink"]
    waves = 0
    for _, rows in up.groupby(["contact_id", "payload", "version"]):
        each_s = (rows.end_s - rows.start_s).to_numpy()
        assert each_s == pytest.approx(rows.payload_bytes.to_numpy() * 8 / 100.0, rel=1e-9)
        assert most_at_once(rows.to_dict("records")) == 3
        waves += len(set(rows.start_s.round(6))) == 3
    assert waves >= 3
    waits = result.events[result.events.kind == "wait"]
    assert waits.detail.str.startswith("sub-channel busy: ").all()
    assert waits.detail.str.contains("4 devices, up to").any()


def test_with_enough_sub_channels_nobody_waits() -> None:
    result = sim.run(a_slot(7, 3, uplink={"fixed_rate_mbps": 1e-4, "total_bandwidth_mhz": 35.0}))
    assert not (result.events.kind == "wait").any()


def test_who_waits_for_a_lock_does_not_wait_for_a_sub_channel() -> None:
    plan = make_plan(over(uplink={"required_snr_db": -1.0}))
    told = talk(plan.contacts, [[Upload(Payload("a", 1e3))]], plan=plan)
    assert told.replies[0][0].done.all()
    assert not told.events("wait")


@pytest.mark.parametrize("sharing", SHARINGS)
def test_all_finish_in_a_run_however_they_share(sharing: str) -> None:
    slow = {"fixed_rate_mbps": 1e-3, "total_bandwidth_mhz": 10.0, "sharing": sharing}
    up = sent(a_slot(6, 2, uplink=slow))
    up = up[up.direction == "uplink"]
    assert set(up.outcome) == {"delivered"}
    assert Counter(up.device) == {k: len(up) // 6 for k in range(6)}
    for _, rows in up.groupby(["contact_id", "payload", "version"]):
        # The beam carries 2 kbit/s as long as anybody sends, whatever the rule.
        lasted_s = rows.end_s.max() - rows.start_s.min()
        assert lasted_s == pytest.approx(rows.payload_bytes.sum() * 8 / 2e3, rel=1e-9)
        together = sharing != "fixed_subchannel"
        assert (len(set(rows.end_s.round(6))) == 1) == together


def test_half_of_the_time_is_half_of_the_rate() -> None:
    def lasts_s(duty: float) -> np.ndarray:
        up = sent(a_slot(3, 2, uplink={"fixed_rate_mbps": 1e-3, "duty": duty}))
        up = up[up.direction == "uplink"]
        return (up.end_s - up.start_s).to_numpy()

    assert lasts_s(0.5) == pytest.approx(2 * lasts_s(1.0), rel=1e-9)
    assert lasts_s(0.25) == pytest.approx(4 * lasts_s(1.0), rel=1e-9)


def test_a_neglected_downlink_is_told_with_its_bytes() -> None:
    neglected = {"link": {"downlink": "neglected"}, "learning": {"train": False}}
    for scenario in (a_slot(3, 2), orbit_scenario(**neglected)):
        result = sim.run(scenario)
        down = result.transfers[result.transfers.direction == "downlink"]
        assert len(down) > 3
        assert (down.start_s == down.end_s).all()
        assert (down.delivered_bytes == down.payload_bytes).all()
        assert (down.outcome == "delivered").all()
        booked = result.manifest["books"]["downlink"]
        assert booked["delivered_bytes"] == down.delivered_bytes.sum()


def downlinks(**link: Any) -> tuple[Plan, pd.DataFrame]:
    """Downloads of a run over a slow downlink, and its plan."""
    slow = {"bandwidth_mhz": 0.005, "eirp_dbw": 5.0, **link}
    scenario = orbit_scenario(link={"downlink": slow}, learning={"train": False})
    rows = sim.run(scenario).transfers
    return make_plan(scenario), rows[rows.direction == "downlink"]


def test_a_broadcast_ends_for_all_devices_of_a_cluster_at_the_same_time() -> None:
    plan, rows = downlinks(delivery="broadcast")
    together = 0
    for (number, _), group in rows.groupby(["contact_id", "payload"]):
        if len(group) < 2 or len(set(group.start_s)) > 1 or set(group.outcome) != {"delivered"}:
            continue
        # The last bit leaves once, and arrives at each device by its own distance.
        links = plan.contacts[number].links.devices
        ends_s, here = group.end_s.to_numpy(), group.device.to_numpy()
        delay_s = links.delay_s(np.full(plan.contacts[number].cluster.devices, ends_s.mean()))
        assert np.ptp(ends_s - delay_s[here]) < 1e-6
        together += 1
    assert together >= 3


def test_a_broadcast_in_a_run_has_the_rate_of_the_worst_device() -> None:
    """What is carried between two times is what the worst device alone could have got."""
    plan, rows = downlinks(delivery="broadcast")
    checked = 0
    for (number, _), group in rows.groupby(["contact_id", "payload"]):
        if len(set(group.start_s)) > 1 or set(group.outcome) != {"delivered"}:
            continue
        beam = plan.contacts[number].downlink
        assert beam is not None
        row = group.iloc[0]
        delay_s = plan.contacts[number].links.devices.delay_s(
            np.full(plan.contacts[number].cluster.devices, row.end_s)
        )
        span = row.start_s, row.end_s - delay_s[row.device]
        each = beam.curve.delivered_bits(span[1]) - beam.curve.delivered_bits(span[0])
        bits = row.delivered_bytes * 8
        assert (bits <= each * (1 + 1e-4)).all()
        # Devices 60 km apart: the worst may change once, not by much.
        assert bits == pytest.approx(each.min(), rel=0.02)
        checked += 1
    assert checked >= 3


def test_unicast_in_a_run_queues_for_one_sub_channel() -> None:
    _, rows = downlinks(delivery="unicast", total_bandwidth_mhz=0.005)
    assert len(rows) > 6
    ordered = sorted(rows.to_dict("records"), key=lambda row: (row["contact_id"], row["start_s"]))
    for _, group in groupby(ordered, key=lambda row: row["contact_id"]):
        alone = [row | {"end_s": row["end_s"] - 0.01} for row in group]
        assert most_at_once(alone) <= 1
