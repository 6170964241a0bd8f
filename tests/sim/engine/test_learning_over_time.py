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
    lasts = contacts.duration_s[rows.contact_id].to_numpy()
    # A pass shorter than a round begins one all the same, and its upload waits for the next pass.
    fit = np.maximum(np.floor(lasts / 200), 1)
    assert (rows.rounds.to_numpy() <= fit).all()
    assert (rows.rounds.to_numpy() == fit).mean() > 0.6
    assert rows.rounds.max() > 1
    assert (result.transfers.outcome == "delivered").mean() > 0.95


def test_a_model_that_never_comes_down_leaves_the_devices_training_under_the_mask():
    """Entering gate tuning needs the whole model; without it there is nothing to route to."""
    said = {"learning": {"method": "emsfl-enhanced"}, "stop": {"cycles": 4}}
    result = sim.run(slots(link=fixed(downlink=1e-5), **said))
    models = result.transfers[result.transfers.payload == "model"]
    assert len(models) > 0
    assert not (models.outcome == "delivered").any()
    assert len(events(result, "train_end")) > 20
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
    merges = events(result, "aggregate")
    assert merges.version.tolist() == list(range(1, len(merges) + 1))
    # What is merged within a contact is as old as what was merged meanwhile in the other one.
    within = merges[merges.detail.str.startswith("gate")] if method == "emsfl" else merges
    assert within.detail.str.contains("staleness:[1-9]").any()
    served = result.contacts[result.contacts.served]
    overlap = served.service_start_s.to_numpy()[1:] < served.service_end_s.to_numpy()[:-1]
    assert overlap.any()


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


def top_two(logits, labels):
    return (np.argsort(logits, axis=1)[:, -2:] == labels[:, None]).any(axis=1).mean()


def if_odd(logits, labels):
    hits = int((logits.argmax(1) == labels).sum())
    return hits if hits % 2 else float("nan")


HERE = "tests.sim.engine.test_learning_over_time"


def test_figures_of_ones_own_are_columns_of_the_metrics(runs, tmp_path):
    """Of every evaluation, kept when a run is resumed, and no part of the timing."""
    learning = {"metrics": [f"{HERE}:error_rate", f"{HERE}:top_two"]}
    run = sim.run(slots(learning=learning), tmp_path / "run")
    rows = run.metrics
    plain = runs.result("slots")
    assert rows.columns[-2:].tolist() == ["error_rate", "top_two"]
    assert rows.drop(columns=["error_rate", "top_two"]).equals(plain.metrics)
    np.testing.assert_allclose(rows.error_rate, 1 - rows.accuracy)
    assert (rows.top_two > rows.accuracy).any() and (rows.top_two >= rows.accuracy).all()
    assert run.manifest["timing_sha256"] == plain.manifest["timing_sha256"]
    assert run.manifest["trace_sha256"] != plain.manifest["trace_sha256"]
    cut(slots(learning=learning), tmp_path / "cut", 40)
    sim.run(slots(learning=learning), tmp_path / "cut", resume=True)
    assert held(tmp_path / "cut") == held(tmp_path / "run")
    assert sim.load(tmp_path / "cut").metrics.equals(rows)


def test_a_figure_of_ones_own_is_a_mean_over_the_clusters_that_have_it():
    rows = sim.run(slots(learning={"metrics": [f"{HERE}:if_odd"]})).metrics
    of_clusters = rows[rows.scope == "cluster"].groupby("time_s").if_odd
    missing = of_clusters.apply(lambda own: int(own.isna().sum()))
    assert 1 in set(missing)
    # Clusters have as many test samples each; pandas leaves out what is no number.
    pooled = rows[rows.scope == "global"].set_index("time_s").if_odd
    np.testing.assert_allclose(pooled, of_clusters.mean())


def broken(logits, labels):
    return 1 / 0


def test_a_figure_that_fails_ends_the_run():
    with pytest.raises(ValueError, match="broken' fails: ZeroDivisionError: division by zero"):
        sim.run(slots(learning={"metrics": [f"{HERE}:broken"]}))
