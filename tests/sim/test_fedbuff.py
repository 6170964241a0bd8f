"""FedBuff: updates are buffered, weighted by their staleness, and aggregated together."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from tests.kit.learning import (
    Cluster,
    ClusterSide,
    FedBuff,
    FedBuffOptions,
    Measure,
    Note,
    Receipt,
    Work,
)
from tests.kit.network import build
from tests.kit.small import orbit, slots


def aggregated(result: sim.Result) -> Any:
    return result.events[result.events.kind == "aggregate"]


def options(**given: Any) -> dict[str, Any]:
    return {"method": "fedbuff", "options": given}


def weights(learner: Any, handle: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(tensor) for name, tensor in learner.final_tensors(handle).items()}


def drive(protocol: Any) -> list[Note]:
    """Answer a protocol that takes no time as a training run would."""
    notes, reply = [], None
    while True:
        try:
            request = protocol.send(reply)
        except StopIteration:
            return notes
        reply = request.compute() if isinstance(request, Measure) else None
        notes += [request] if isinstance(request, Note) else []


def trained(method: FedBuff, cluster: Cluster) -> ClusterSide:
    """A cluster that has trained a round from the start model and sent it."""
    side, all_of_them = ClusterSide(method.learner, cluster), np.ones(cluster.devices, bool)
    side.provide(method.learner.start(), method.experts)
    rounds = np.ones(cluster.devices, np.int64)
    side.train(Work(rounds, rounds.astype(float), ~all_of_them), method.experts, gate=True)
    side.offer(method.experts, gate=True)
    return side


@pytest.mark.parametrize("step", [1.0, 0.5])
def test_a_buffer_adds_the_mean_of_its_updates_over_the_root_of_their_age(step: float) -> None:
    """By hand: device 1 of cluster B has trained from a model that is five versions old."""
    method = build(
        slots(learning={**options(buffer_size=2, server_step_size=step), "step_size": 0.3})
    ).new_method()
    assert isinstance(method, FedBuff)
    learner, (one, other) = method.learner, method.world.clusters
    method.version = 5
    sides = [trained(method, cluster) for cluster in (one, other)]
    sides[0].offered_version[:] = 5
    sides[1].offered_version[:] = (5, 0, 5)
    start = learner.start()
    late = np.array([False, True, False])
    first, fresh, stale = (
        weights(learner, side.merge(start, who))
        for side, who in ((sides[0], np.ones(2, bool)), (sides[1], ~late), (sides[1], late))
    )
    for cluster, side in zip((one, other), sides, strict=True):
        done = side.deliver(receipt(cluster.devices))
        notes = drive(method.collect(side, done))
    assert [note.detail for note in notes] == ["experts:0,1 gate devices:5 updates:2 staleness:0-5"]
    assert method.version == 6
    before, after = weights(learner, start), weights(learner, method.server)
    moved = 0.0
    for name, tensor in after.items():
        w = before[name]
        change = (first[name] - w) + (fresh[name] - w) + (stale[name] - w) / np.sqrt(6.0)
        np.testing.assert_allclose(tensor, w + step * change / 2, atol=1e-6)
        moved = max(moved, float(np.abs(tensor - w).max()))
    assert moved > 1e-3


def receipt(devices: int) -> Receipt:
    there = np.ones(devices)
    return Receipt(there > 0, there, there, 0 * there)


@settings(max_examples=15, deadline=None)
@given(
    size=st.integers(1, 5),
    uplink=st.sampled_from([1e-5, 1e-4, 1.0]),
    downlink=st.sampled_from([1e-4, 1.0]),
)
def test_as_many_updates_go_in_as_come_out(size: int, uplink: float, downlink: float) -> None:
    """Updates arrive in uploads; every ``buffer_size`` of them make one version."""
    rates = {"uplink": uplink, "downlink": downlink}
    link = {side: {"rate": "fixed", "fixed_rate_mbps": rate} for side, rate in rates.items()}
    learning = {**options(buffer_size=size), "train": False}
    result = sim.run(orbit(stop={"days": 3}, link=link, learning=learning))
    uploads = result.transfers[result.transfers.direction == "uplink"]
    through = uploads[uploads.outcome == "delivered"]
    updates = through.groupby("contact_id").ngroups
    made = aggregated(result)
    assert len(made) == updates // size
    assert made.version.tolist() == list(range(1, len(made) + 1))
    assert made.detail.str.contains(f"updates:{size} ").all()
    merged = made.detail.str.extract(r"devices:(\d+)")[0].astype(int).sum()
    left = through.groupby("contact_id").size()
    assert len(through) - merged == (left.tail(updates % size).sum() if updates % size else 0)


def test_nobody_trains_in_a_contact_and_all_train_in_the_gaps() -> None:
    result = sim.run(slots(stop={"cycles": 4}, learning=options()))
    rounds = result.events[result.events.kind == "train_end"]
    assert rounds.contact_id.isna().all()
    assert aggregated(result).detail.str.contains("updates:2 ").all()
    assert np.isfinite(result.metrics.loss).all()
    again = sim.run(slots(stop={"cycles": 4}, learning=options()))
    assert again.manifest["trace_sha256"] == result.manifest["trace_sha256"]


def test_staleness_is_that_of_the_model_which_was_trained() -> None:
    """In turn A and B upload, each trained from what came down at its last contact."""
    result = sim.run(slots(stop={"cycles": 5}, learning=options(buffer_size=1)))
    ages = aggregated(result).detail.str.extract(r"staleness:(\d+)")[0].astype(int)
    # Each downloads behind its own upload: by its next one the other has made one version.
    assert ages.tolist() == [0] + [1] * (len(ages) - 1)


@pytest.mark.parametrize(("clusters", "size"), [(1, 2), (2, 2), (4, 2), (5, 3), (9, 5)])
def test_a_buffer_is_half_the_clusters_and_never_one(clusters: int, size: int) -> None:
    places = [{"name": f"c{n}", "devices": 1} for n in range(clusters)]
    built = build(slots(ground={"clusters": places}, learning={**options(), "train": False}))
    method = built.new_method()
    assert isinstance(method, FedBuff)
    assert method.buffer_size == size


@pytest.mark.parametrize(
    "given", [{"buffer_size": -1}, {"server_step_size": 0.0}, {"server_step_size": float("nan")}]
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        FedBuffOptions(**given)
    with pytest.raises(sim.InputError, match=r"learning\.options"):
        sim.run(slots(learning=options(buffer_size=-1)))


def test_rounds_trained_while_an_upload_is_carried_over_are_not_lost() -> None:
    """Uploads of three passes: in each, gate and experts go on from what was downloaded."""
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 2e-5}}
    scenario = orbit(stop={"days": 2}, link=link, learning={**options(), "step_size": 0.05})
    lost: list[str] = []
    offered = 0
    take = ClusterSide._take

    def watched(side: ClusterSide, server: Any, version: int, who: Any, *rest: Any) -> None:
        nonlocal offered
        before = unsent(side)
        take(side, server, version, who, *rest)
        after = unsent(side)
        for name, change in before.items():
            offered += bool(np.abs(change[who]).max(initial=0.0) > 0)
            if not np.allclose(after[name][who], change[who], atol=1e-6):
                lost.append(name)

    def unsent(side: ClusterSide) -> dict[str, np.ndarray]:
        if side.state is None or not side.unsent.any():
            return {}
        delta = side.learner.offer(side.state, [], gate=True)
        return {n: t.numpy() for n, t in side.learner.values.force(delta).items()}

    with patch.object(ClusterSide, "_take", watched):
        result = sim.run(scenario)
    assert (result.transfers.outcome == "carried").sum() > 5
    assert offered > 2
    assert not lost
