"""Devices of one cluster that differ in speed and memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from tests.kit.learning import Chain, Cluster, Cost, Payload, Train, Upload
from tests.kit.network import Devices, compute_of
from tests.kit.records import Trace
from tests.kit.small import orbit, slots
from tests.kit.talk import COST, compute, converse
from tests.kit.talk import uplink_contact as contact

SECONDS = st.floats(0.01, 1e4)


@settings(max_examples=200, deadline=None)
@given(
    round_s=st.lists(SECONDS, min_size=1, max_size=4),
    gaps=st.lists(st.tuples(SECONDS, SECONDS, st.booleans()), min_size=1, max_size=6),
    limit=st.none() | st.integers(0, 5),
    pace_s=st.none() | SECONDS,
)
def test_devices_together_do_what_each_does_alone(
    round_s: list[float],
    gaps: list[tuple[float, float, bool]],
    limit: int | None,
    pace_s: float | None,
) -> None:
    pace = {"per_gap_max": limit, "pace_s": pace_s}
    together = Devices(
        Cluster("c", 0, len(round_s)), compute(seconds_per_round=np.array(round_s), **pace)
    )
    alone = [Devices(Cluster("c", 0, 1), compute(seconds_per_round=s, **pace)) for s in round_s]
    now = 0.0
    for rests, lasts, others in gaps:
        now += rests
        who = np.array([others or k == 0 for k in range(len(round_s))])
        each = [
            device.gap_rounds(COST, who[k : k + 1], now, now + lasts)
            for k, device in enumerate(alone)
        ]
        every = together.gap_rounds(COST, who, now, now + lasts)
        for column, one in zip(every, zip(*each, strict=True), strict=True):
            assert column.tolist() == np.concatenate(one).tolist()
        now += lasts
    assert together.computed_s.tolist() == [float(device.computed_s[0]) for device in alone]


@settings(max_examples=200, deadline=None)
@given(
    round_s=st.lists(SECONDS, min_size=1, max_size=4),
    gaps=st.lists(SECONDS, min_size=1, max_size=8),
)
def test_devices_compute_all_the_time_that_they_may(
    round_s: list[float], gaps: list[float]
) -> None:
    devices = Devices(Cluster("c", 0, len(round_s)), compute(seconds_per_round=np.array(round_s)))
    for number, lasts in enumerate(gaps):
        begin = 2e4 * number
        devices.gap_rounds(COST, np.ones(len(round_s), bool), begin, begin + lasts)
    # What a whole round lacks by less than a billionth counts as done.
    assert devices.computed_s == pytest.approx(sum(gaps), rel=1e-7)
    assert (devices.rounds * round_s <= devices.computed_s * (1 + 1e-7)).all()


def test_a_chain_ends_when_the_last_device_has_ended_it() -> None:
    cluster, trace = Cluster("c", 0, 2), Trace()
    here = contact(cluster, 0.0, 200.0, np.array([8.0, 8.0]))
    devices = Devices(cluster, compute(seconds_per_round=np.array([10.0, 30.0])))
    steps = [Train(COST), Upload(Payload("a", 5.0))]
    [(work, up)] = converse([here], [steps], devices, trace)
    assert work.end_s.tolist() == [10.0, 30.0]
    assert up.end_s.tolist() == [15.0, 35.0]
    assert devices.computed_s.tolist() == [10.0, 30.0]


def test_fill_gives_every_device_the_rounds_that_fit_it() -> None:
    cluster, trace = Cluster("c", 0, 3), Trace()
    here = contact(cluster, 0.0, 100.0, np.full(3, 8.0))
    paces = np.array([10.0, 30.0, np.nan])
    own = compute(seconds_per_round=paces, flops_per_s=np.array([1.0, 1.0, 5e7]), per_contact=None)
    devices = Devices(cluster, own)
    steps = Chain((Train(COST), Upload(Payload("a", 25.0)))).steps
    [(work, up)] = converse([here], [steps], devices, trace)
    # 75 s are left beside the upload: rounds of 10 s, 30 s, and 1e9 / 5e7 = 20 s.
    assert work.rounds.tolist() == [7, 2, 3]
    assert up.done.all()


def test_a_device_without_the_memory_is_told_of_with_its_figures() -> None:
    cluster, trace = Cluster("c", 0, 3), Trace()
    here = contact(cluster, 0.0, 100.0, np.full(3, 8.0))
    devices = Devices(cluster, compute(memory_bytes=np.array([16e9, np.inf, 24e9])))
    cost = Cost(flops=1.0, memory_bytes=38.6e9)
    [(work, up)] = converse([here], [[Train(cost), Upload(Payload("a", 1.0))]], devices, trace)
    assert work.excluded.tolist() == [True, False, True]
    assert work.rounds.tolist() == [0, 1, 0]
    assert up.done.tolist() == [False, True, False]
    faults = [row for row in trace.tables()["events"].to_pylist() if row["kind"] == "fault"]
    assert [(row["device"], row["detail"]) for row in faults] == [
        (0, "does not train: needs 38.60 GB of memory, has 16.00 GB"),
        (2, "does not train: needs 38.60 GB of memory, has 24.00 GB"),
    ]


KINDS = [
    {"devices": 1, "seconds_per_round": 50, "memory_gib": 1e-9},
    {"devices": 2, "tflops": 1e-6},
]


def test_kinds_become_numbers_of_each_device() -> None:
    clusters = [
        {"name": "A", "kinds": KINDS},
        {"name": "B", "devices": 2, "compute": {"power_w": 7}},
    ]
    first, second = compute_of(
        slots(ground={"clusters": clusters}, compute={"memory_gib": 2, "power_w": 5})
    )
    assert first.round_s(Cost(flops=3e6)).tolist() == [50.0, 3.0, 3.0]
    assert np.asarray(first.memory_bytes).tolist() == [2**30 * 1e-9, 2.0**31, 2.0**31]
    assert np.asarray(first.power_w).tolist() == [5.0] * 3
    assert second.round_s(Cost(flops=3e6)).tolist() == [200.0, 200.0]
    assert np.asarray(second.power_w).tolist() == [7.0] * 2


def test_a_run_tells_who_is_excluded() -> None:
    clusters = [{"name": "A", "kinds": KINDS}, {"name": "B", "devices": 2}]
    result = sim.run(slots(ground={"clusters": clusters}, learning={"train": False}))
    assert result.summary["excluded_devices"] == {"A": 1}
    trained = result.events[result.events.kind == "train_end"]
    assert sorted(set(trained[trained.cluster == "A"].device)) == [1, 2]
    [warning] = [line for line in result.manifest["warnings"] if "does not train" in line]
    assert warning.endswith(", has 1 B")


def test_a_slot_holds_the_same_rounds_for_slow_and_fast() -> None:
    kinds = [{"devices": 1, "seconds_per_round": 1}, {"devices": 1, "seconds_per_round": 500}]
    result = sim.run(
        slots(ground={"clusters": [{"name": "A", "kinds": kinds}]}, learning={"train": False})
    )
    gaps = result.events[(result.events.kind == "train_end") & result.events.contact_id.isna()]
    rounds = gaps.groupby("device").rounds.sum()
    assert rounds[0] == rounds[1] > 0


def test_kinds_cover_the_places_of_a_file(tmp_path: Path) -> None:
    lines = ["latitude_deg,longitude_deg", "60,20", "60.1,20", "60,20.1"]
    (tmp_path / "places.csv").write_text("\n".join(lines))
    here = {"name": "North", "latitude_deg": 60, "longitude_deg": 20}
    here["places_path"] = str(tmp_path / "places.csv")
    whole = orbit(ground={"clusters": [{**here, "kinds": KINDS}]})
    assert compute_of(whole)[0].round_s(COST).shape == (3,)
    wrong = orbit(ground={"clusters": [{**here, "kinds": KINDS[:1]}]})
    with pytest.raises(sim.InputError, match="kinds are 1 devices, but places_path holds 3"):
        compute_of(wrong)
