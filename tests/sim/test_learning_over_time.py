"""How methods, contacts and learning meet: time, rounds, memory, evaluations, a run's end."""

import json

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.small import SLOTS, merged, orbit, slots

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
