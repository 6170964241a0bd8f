"""How methods, contacts and learning meet: time, rounds, memory, evaluations, a run's end."""

import numpy as np
import pytest

import sim
from tests.kit.folders import cut, held
from tests.kit.small import fixed, orbit, slots
from tests.kit.small_nmoe import events


def timed(method, **more):
    return {"method": method, "train": False, **more}


def test_rounds_per_contact_fill_the_pass_and_still_leave_time_for_the_upload():
    result = sim.run(orbit(learning=timed("synchronous", rounds={"per_contact": "fill"})))
    contacts = result.contacts.set_index("contact_id")
    rows = events(result, "train_end")
    # A pass shorter than a round begins one all the same, and its upload waits for the next pass.
    fit = np.maximum(np.floor(contacts.duration_s[rows.contact_id].to_numpy() / 200), 1)
    assert (rows.rounds.to_numpy() <= fit).all() and rows.rounds.max() > 1
    assert (rows.rounds.to_numpy() == fit).mean() > 0.6
    assert (result.transfers.outcome == "delivered").mean() > 0.95


def test_a_model_that_never_comes_down_leaves_the_devices_training_under_the_mask():
    """Entering gate tuning needs the whole model; without it there is nothing to route to."""
    said = {"learning": {"method": "emsfl-enhanced"}, "stop": {"cycles": 4}}
    result = sim.run(slots(link=fixed(downlink=1e-5), **said))
    outcomes = set(result.transfers[result.transfers.payload == "model"].outcome)
    assert outcomes and "delivered" not in outcomes
    assert len(events(result, "train_end")) > 20


@pytest.mark.parametrize("method", ["synchronous", "emsfl"])
def test_two_beams_at_once_lose_nobodys_update(method):
    """Clusters train on the same version and overlap; each change is one more in the server's."""
    near = [
        {"name": "Here", "latitude_deg": 60, "longitude_deg": 20, "devices": 2},
        {"name": "There", "latitude_deg": 58, "longitude_deg": 25, "devices": 2},
    ]
    scenario = orbit(orbit={"beams": 2}, ground={"clusters": near}, learning=timed(method))
    merges = events(sim.run(scenario), "aggregate")
    assert merges.version.tolist() == list(range(1, len(merges) + 1))
    # What is merged within a contact is as old as what was merged meanwhile in the other one.
    within = merges[merges.detail.str.startswith("gate")] if method == "emsfl" else merges
    assert within.detail.str.contains("staleness:[1-9]").any()


def test_evaluations_in_between_are_on_their_own_grid(runs):
    plain = runs.result("slots")
    fine = sim.run(slots(learning={"evaluate_every_hours": 600 / 3600}))
    times = fine.metrics[fine.metrics.scope == "global"].time_s
    assert times.tolist() == [600.0 * i for i in range(9)]
    assert fine.transfers.equals(plain.transfers)
    coarse = plain.metrics.merge(fine.metrics, on=["time_s", "cycle", "scope", "cluster"])
    assert len(coarse) == len(plain.metrics)
    assert (coarse.accuracy_x == coarse.accuracy_y).all()


def error_rate(logits, labels):
    """A metric of one's own that the accuracy can be compared with."""
    assert logits.shape == (len(labels), 10) and logits.dtype == np.float32
    return (logits.argmax(1) != labels).mean()


def if_odd(logits, labels):
    hits = int((logits.argmax(1) == labels).sum())
    return hits if hits % 2 else float("nan")


HERE = "tests.sim.engine.test_learning_over_time"


def test_figures_of_ones_own_are_columns_of_the_metrics(runs, tmp_path):
    """Of every evaluation, kept when a run is resumed, and no part of the timing."""
    scenario = slots(learning={"metrics": [f"{HERE}:error_rate", f"{HERE}:if_odd"]})
    run = sim.run(scenario, tmp_path / "run")
    rows = run.metrics
    plain = runs.result("slots")
    assert rows.drop(columns=["error_rate", "if_odd"]).equals(plain.metrics)
    np.testing.assert_allclose(rows.error_rate, 1 - rows.accuracy)
    assert run.manifest["timing_sha256"] == plain.manifest["timing_sha256"]
    assert run.manifest["trace_sha256"] != plain.manifest["trace_sha256"]
    # It is a mean over the clusters that have it, which have as many test samples each.
    of_clusters = rows[rows.scope == "cluster"].groupby("time_s").if_odd
    assert 1 in set(of_clusters.apply(lambda own: int(own.isna().sum())))
    pooled = rows[rows.scope == "global"].set_index("time_s").if_odd
    np.testing.assert_allclose(pooled, of_clusters.mean())
    cut(scenario, tmp_path / "cut", run.manifest["events"] // 2)
    sim.run(scenario, tmp_path / "cut", resume=True)
    assert held(tmp_path / "cut") == held(tmp_path / "run")
