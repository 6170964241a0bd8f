"""What is counted of rounds and links: shares of those who came, versions that wait, durations."""

import numpy as np
import pytest

import sim
from channel import LinkCurve
from tests.kit.learning import Aggregated, Cluster, Range, Update
from tests.kit.network import build
from tests.kit.records import (
    GROUND_CLIENTS,
    WAITING,
    ModelAggregated,
    Moved,
    MovedRows,
    Versions,
    Way,
)
from tests.kit.small import slots
from tests.kit.talk import contact, talk, upload


@pytest.mark.parametrize("came", [((0, 1), (0,)), ((1,), (2,)), ((0,),)])
def test_the_weights_of_a_round_are_shared_by_those_who_came(came):
    """What each device's update moves the model by, as a share, is 1 altogether."""
    built = build(slots(learning={"method": "fedavg", "train": False}))
    method = built.new_method()
    clusters = built.plan.clusters
    method.shares = {"A": np.array([0.1, 0.25]), "B": np.array([0.2, 0.3, 0.15])}
    for cluster, who in zip(clusters, came, strict=False):
        there = np.isin(np.arange(cluster.devices), who)
        able = np.ones(cluster.devices, bool)
        version = np.zeros(cluster.devices, np.int64)
        method.updates.append(Update(cluster.name, None, there, able, version, version))
        method.arrived[cluster.name] = float(method.shares[cluster.name].sum())
    method.count_who_came()
    everybody = sum(method.arrived.values())
    weights = []
    for update in method.updates:
        own = method.shares[update.cluster]
        # As `merge` weighs them: a device by its share of those that are eligible.
        inside = own[update.who] / own[update.eligible].sum()
        weights += (inside * method.arrived[update.cluster] / everybody).tolist()
    counted = [method.shares[c.name][list(who)] for c, who in zip(clusters, came, strict=False)]
    assert weights == pytest.approx(np.concatenate(counted) / np.concatenate(counted).sum())


def test_a_link_that_gives_no_number_stops_the_run(monkeypatch):
    def nowhere(self, bits, start_s):
        return np.full(np.shape(bits), np.nan)

    monkeypatch.setattr(LinkCurve, "unchecked_completion_time_s", nowhere)
    with pytest.raises(sim.InvariantError, match=r"no zero or non-finite durations"):
        sim.run(slots(learning={"train": False}))
    with pytest.raises(sim.InvariantError, match=r"a to the server has no time at all \(nan\)"):
        talk([contact(0, 0, 100, [8.0, 8.0])], [upload(10.0)])


def test_more_versions_than_are_remembered_are_no_reason_to_stop():
    versions = Versions([Cluster("c", 0, 400)])
    told = Aggregated(401, "buffer", staleness=Range(1, 400))
    said = ModelAggregated(time_s=2.0, cluster="c", version=401, told=told)

    def moved(count, way):
        """Device k moves a payload of version k."""
        who = np.ones(count, bool)
        device = np.arange(count)
        size = np.full(count, 10.0)
        what = ("c", 0, way, "update")
        times = (np.zeros(count), np.ones(count))
        leg = Moved(*what, who, device, size, size, *times, 0, 1.0)
        versions.moved(MovedRows.of([leg], GROUND_CLIENTS), 0)

    assert WAITING < 400
    moved(400, Way.TO_CLIENT)
    moved(400, Way.TO_SERVER)
    versions.aggregated(said)
    # All of these have been aggregated: from here on they are counted again.
    moved(5, Way.TO_SERVER)
    with pytest.raises(sim.InvariantError, match=r"staleness counted"):
        versions.aggregated(said)
