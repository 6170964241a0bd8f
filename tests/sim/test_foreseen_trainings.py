"""Trainings in gaps are computed with those of other clusters, as the plan foresees them."""

from collections import Counter

import pytest

import learning
import sim
from tests.kit.learning import ClusterState, Stacking
from tests.kit.small import slots

CLUSTERS = [{"name": name, "devices": 2} for name in "ABCD"]
SIX = {"ground": {"clusters": CLUSTERS}, "stop": {"cycles": 6}}
AWAY = {"churn": {"mean_present_hours": 1.0, "mean_away_hours": 0.2}}


def trained(monkeypatch, scenario, folder):
    """A run that trains: its manifest, its model, and how many trainings were one how often."""
    widths = Counter()
    compute = Stacking.compute

    def counted(own, handles, **how):
        widths[len(handles)] += 1
        return compute(own, handles, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Stacking, "compute", counted)
        manifest = sim.run(scenario, folder).manifest
    return manifest, [file.read_bytes() for file in sorted(folder.glob("model/*"))], widths


@pytest.mark.parametrize("faults", [{}, AWAY])
@pytest.mark.parametrize(
    "how",
    [
        {"method": "emsfl-enhanced", "model": {"experts": 4, "hidden": 16, "expert_hidden": 16}},
        {"method": "fedavg", "options": {"trains": "gaps"}},
    ],
    ids=lambda how: how["method"],
)
def test_gaps_of_several_clusters_are_trained_together_to_the_same_bits(
    monkeypatch, how, faults, tmp_path
):
    scenario = slots(**SIX, learning=how, faults=faults)
    found, model, together = trained(monkeypatch, scenario, tmp_path / "foreseen")
    monkeypatch.setattr(ClusterState, "foresees", lambda *_, **__: None)
    expected, expected_model, apart = trained(monkeypatch, scenario, tmp_path / "not")
    assert found["trace_sha256"] == expected["trace_sha256"]
    assert model == expected_model and model
    assert found["trainings"] == expected["trainings"]  # none in vain
    assert together.total() < 0.75 * apart.total()


@learning.register("asked")
class Asked(learning.FedAvg):
    """Averages, and counts how often it is asked for a term of the loss."""

    count = 0

    def local_loss(self, me):
        type(self).count += 1
        return super().local_loss(me)


def test_a_term_of_the_loss_is_asked_for_when_devices_have_trained_and_never_before(monkeypatch):
    trained = []
    train = ClusterState.train
    monkeypatch.setattr(
        ClusterState, "train", lambda own, *how, **more: trained.append(train(own, *how, **more))
    )
    sim.run(slots(**SIX, learning={"method": "asked", "options": {"trains": "gaps"}}))
    assert Asked.count == len(trained) > 4
