"""How methods, contacts and learning meet: time, rounds, memory, evaluations, a run's end."""

import json

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.small import ORBIT, SLOTS, merged, orbit, slots

TIMING = {"train": False}


def timed(method, **more):
    return {"method": method, "train": False, **more}


def moved(result, direction):
    return result.transfers[result.transfers.direction == direction]


def trained(result):
    return result.events[result.events.kind == "train_end"]


@pytest.mark.parametrize("base", ["orbit", "slots-synchronous"])
def test_a_timing_only_run_has_the_timing_of_the_trained_one(base, runs):
    whole = runs.result(base)
    if base == "orbit":
        timing = runs.result("orbit-timing")
    else:
        timing = sim.run(slots(learning=timed("synchronous")))
    assert whole.contacts.equals(timing.contacts)
    # Which expert a cluster owns is measured, so that a payload's name may differ.
    drop = ["transfer_id", "payload"]
    assert whole.transfers.drop(columns=drop).equals(timing.transfers.drop(columns=drop))
    kinds = ["time_s", "kind", "cluster", "device", "contact_id", "version", "rounds"]
    assert whole.events[kinds].equals(timing.events[kinds])
    assert timing.metrics.accuracy.isna().all()
    assert timing.manifest["trainings"] == 0 < whole.manifest["trainings"]


def large(base, method, kind, **changes):
    learning = {"method": method, "train": False, "model": {"kind": kind}}
    return sim.run(scenarios.from_dict(merged(base, changes) | {"learning": learning}))


@pytest.mark.parametrize("kind", ["llama-3-8b-x3", "mixtral-8x7b", "vector-moe"])
@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced"])
def test_every_architecture_can_be_timed_with_every_method(kind, method):
    result = large(SLOTS, method, kind)
    assert (result.events.kind == "aggregate").sum() >= 5
    sums = result.assignments.groupby(["time_s", "cluster"]).relevance.sum()
    assert np.allclose(sums, 2 if kind.startswith("mixtral") else 1)


def test_rounds_per_contact_fill_the_pass_and_still_leave_time_for_the_upload():
    result = sim.run(orbit(learning=timed("synchronous", rounds={"per_contact": "fill"})))
    contacts, rows = result.contacts.set_index("contact_id"), trained(result)
    lasts = contacts.duration_s[rows.contact_id].to_numpy()
    # A pass shorter than a round begins one all the same, and its upload waits for the next pass.
    fit = np.maximum(np.floor(lasts / 200), 1)
    assert (rows.rounds.to_numpy() <= fit).all()
    assert (rows.rounds.to_numpy() == fit).mean() > 0.6
    assert rows.rounds.max() > 1
    assert (result.transfers.outcome == "delivered").mean() > 0.95


def test_a_round_longer_than_the_gap_leaves_no_time_to_train_in_it():
    """The chain ends inside the next contact; that contact comes at once, with an empty gap."""
    slow = {"compute": {"seconds_per_round": 1500}, "stop": {"cycles": 4}}
    events = sim.run(slots(**slow, learning=TIMING)).events
    rows = events[events.kind.isin(["train_start", "train_end"]) & events.contact_id.notna()]
    for _, mine in rows.groupby(["cluster", "device"]):
        starts = mine[mine.kind == "train_start"].time_s.to_numpy()
        ends = mine[mine.kind == "train_end"].time_s.to_numpy()
        assert (starts[1:] >= ends[:-1]).all()
    assert len(rows) > 8


def test_a_device_without_the_memory_does_not_train_and_says_so():
    changes = {"compute": {"memory_gib": 40}, "link": {"downlink": "neglected"}}
    result = large(ORBIT, "synchronous", "mixtral-8x7b", **changes)
    faults = result.events[result.events.kind == "fault"]
    assert len(faults) > 0
    assert faults.detail.str.contains("memory").all()
    assert not len(trained(result))
    assert not len(moved(result, "uplink"))


def test_a_model_that_never_comes_down_leaves_the_devices_training_under_the_mask():
    """Entering gate tuning needs the whole model; without it there is nothing to route to."""
    slow = {"downlink": {"rate": "fixed", "fixed_rate_mbps": 1e-5}}
    result = sim.run(slots(link=slow, learning={"method": "emsfl-enhanced"}, stop={"cycles": 4}))
    downs = moved(result, "downlink")
    models = downs[downs.payload == "model"]
    assert len(models) > 0
    assert not (models.outcome == "delivered").any()
    assert len(trained(result)) > 20
    assert result.metrics.accuracy.notna().all()


def test_a_large_model_comes_down_over_several_passes_in_the_version_it_was_begun_in():
    slow = {"downlink": {"rate": "fixed", "fixed_rate_mbps": 4e-5}}
    result = sim.run(orbit(stop={"days": 4}, link=slow, learning=timed("synchronous")))
    downs = moved(result, "downlink")
    assert (downs.outcome == "carried").any()
    assert (downs.outcome == "delivered").sum() > 4
    for _, rows in downs.groupby(["cluster", "device"]):
        for outcome, following in zip(rows.outcome, rows.version.diff().shift(-1), strict=True):
            assert outcome != "carried" or not following > 0


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced"])
def test_training_through_narrow_links_ends_with_a_finite_model(method):
    """Partial uploads and downloads, devices out of reach: the tensors must still fit together."""
    rates = {"uplink": 2e-5, "downlink": 1e-4}
    link = {side: {"rate": "fixed", "fixed_rate_mbps": rate} for side, rate in rates.items()}
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 3}
    said = {"method": method, "rounds": {"per_gap_max": 2}}
    ground = {"clusters": [{**north, "radius_km": 400}]}
    result = sim.run(orbit(stop={"days": 1}, link=link, ground=ground, learning=said))
    assert {"carried", "delivered"} <= set(result.transfers.outcome)
    assert np.isfinite(result.metrics.loss).all()


@pytest.mark.parametrize("method", ["synchronous", "emsfl"])
def test_two_beams_at_once_lose_nobodys_update(method):
    """Clusters train on the same version and overlap; each change is one more in the server's."""
    near = [
        {"name": "Here", "latitude_deg": 60, "longitude_deg": 20, "devices": 2},
        {"name": "There", "latitude_deg": 58, "longitude_deg": 25, "devices": 2},
    ]
    scenario = orbit(orbit={"beams": 2}, ground={"clusters": near}, learning=timed(method))
    result = sim.run(scenario)
    merges = result.events[result.events.kind == "aggregate"]
    assert merges.version.tolist() == list(range(1, len(merges) + 1))
    # What is merged within a contact is as old as what was merged meanwhile in the other one.
    within = merges[merges.detail.str.startswith("gate")] if method == "emsfl" else merges
    assert within.detail.str.contains("staleness:[1-9]").any()
    served = result.contacts[result.contacts.served]
    overlap = served.service_start_s.to_numpy()[1:] < served.service_end_s.to_numpy()[:-1]
    assert overlap.any()


def test_days_end_a_run_in_slots_too():
    result = sim.run(slots(stop={"cycles": 30, "days": 0.1}, learning=TIMING))
    assert result.contacts.set_s.max() <= 8640
    assert result.summary["cycles"] == 5


def test_the_last_accuracy_is_that_of_the_saved_model(runs):
    result = runs.result("orbit")
    last = result.metrics[result.metrics.scope == "global"].iloc[-1]
    about = json.loads((runs["orbit"] / "model" / "model.json").read_text())
    assert last.version == about["version"]
    assert last.time_s == result.manifest["simulated_s"] == 1.5 * 86400


def test_evaluations_in_between_are_on_their_own_grid(runs):
    plain = runs.result("slots")
    fine = sim.run(slots(learning={"evaluate_every_hours": 600 / 3600}))
    times = fine.metrics[fine.metrics.scope == "global"].time_s
    assert times.tolist() == [600.0 * i for i in range(9)]
    assert fine.transfers.equals(plain.transfers)
    coarse = plain.metrics.merge(fine.metrics, on=["time_s", "cycle", "scope", "cluster"])
    assert len(coarse) == len(plain.metrics)
    assert (coarse.accuracy_x == coarse.accuracy_y).all()


def test_another_seed_is_another_run(runs):
    other = sim.run(slots(seed=4)).manifest
    assert other["trace_sha256"] != runs.result("slots").manifest["trace_sha256"]
