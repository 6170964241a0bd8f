"""How methods, contacts and learning meet: Remark 3, determinism, rounds, memory, barriers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learning
import scenarios
import sim
from tests.kit.learning import Cluster, ClusterSide, Meet, NextContact, Note, Receipt, Work
from tests.kit.scripted import SCRIPTED, play
from tests.kit.small import ORBIT, SLOTS, merged, orbit, slots


def aggregations(result: sim.Result, word: str) -> np.ndarray:
    """Aggregations whose detail names ``word``, counted by cycle (the first one is 0)."""
    events = result.events
    rows = events[(events.kind == "aggregate") & events.detail.str.contains(word)]
    ends = result.metrics[result.metrics.scope == "global"].time_s.to_numpy()[1:]
    return np.bincount(np.searchsorted(ends, rows.time_s, side="left"), minlength=len(ends))


def test_remark_3_each_expert_once_and_the_gate_c_times_in_a_cycle() -> None:
    changes = {"stop.cycles": 6, "learning.method": "emsfl"}
    result = sim.run(scenarios.load("paper-slots", changes))
    for expert in range(4):
        # In the first cycle the first cluster has not trained yet when its slot comes.
        assert aggregations(result, f"experts:{expert} ").tolist()[1:] == [1] * 5
    assert aggregations(result, "experts").tolist() == [3, 4, 4, 4, 4, 4]
    assert aggregations(result, "gate").tolist() == [4] * 6


def test_remark_3_the_enhanced_gate_rests_until_its_tuning() -> None:
    changes = {"stop.cycles": 6, "learning.method": "emsfl-enhanced"}
    result = sim.run(scenarios.load("paper-slots", changes))
    assert aggregations(result, "gate").tolist() == [0, 0, 0, 0, 4, 4]
    assert aggregations(result, "experts").tolist() == [3, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced"])
def test_the_same_run_twice_gives_the_same_trace(method: str) -> None:
    first, second = (sim.run(orbit(learning={"method": method})).manifest for _ in range(2))
    assert first["trace_sha256"] == second["trace_sha256"]
    other = sim.run(orbit(learning={"method": method}, seed=4)).manifest
    assert other["trace_sha256"] != first["trace_sha256"]


def test_the_order_of_clusters_in_the_file_does_not_matter() -> None:
    turned = merged(ORBIT, {})
    turned["ground"]["clusters"].reverse()
    first, second = sim.run(orbit()), sim.run(scenarios.from_dict(turned))
    assert first.manifest["trace_sha256"] == second.manifest["trace_sha256"]


@pytest.mark.parametrize("method", ["synchronous", "emsfl"])
def test_a_timing_only_run_has_the_timing_of_the_trained_one(method: str) -> None:
    trained = sim.run(orbit(learning={"method": method}))
    timed = sim.run(orbit(learning={"method": method, "train": False}))
    assert trained.contacts.equals(timed.contacts)
    # Which expert a cluster owns is measured, so that a payload's name may differ.
    drop = ["transfer_id", "payload"]
    assert trained.transfers.drop(columns=drop).equals(timed.transfers.drop(columns=drop))
    kinds = ["time_s", "kind", "cluster", "device", "contact_id", "version", "rounds"]
    assert trained.events[kinds].equals(timed.events[kinds])
    assert timed.metrics.accuracy.isna().all()
    assert timed.manifest["trainings"] == 0


def test_a_timing_only_run_imports_no_torch_and_knows_large_models() -> None:
    code = (
        "import sys, scenarios, sim\n"
        "s = scenarios.load('quickstart', {'learning.train': False, 'stop.days': 3, "
        "'learning.model': {'kind': 'llama-3-8b-x3'}, 'learning.method': 'synchronous'})\n"
        "r = sim.run(s)\n"
        "print('torch' in sys.modules, r.transfers.payload_bytes.max())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    torch_imported, size = done.stdout.split()
    assert torch_imported == "False"
    full_experts = 3 * 3 * 4096 * 14336 * 32 * 2 + 4096 * 3 * 32 * 2
    assert float(size) == full_experts


def test_rounds_per_contact_fill_the_pass_and_still_leave_time_for_the_upload() -> None:
    rounds = {"per_contact": "fill"}
    result = sim.run(orbit(learning={"method": "synchronous", "rounds": rounds, "train": False}))
    trained = result.events[result.events.kind == "train_end"]
    contacts = result.contacts.set_index("contact_id")
    lasts = contacts.duration_s[trained.contact_id].to_numpy()
    # A pass shorter than a round begins one all the same, and its upload waits for the next pass.
    fit = np.maximum(np.floor(lasts / 200), 1)
    assert (trained.rounds.to_numpy() <= fit).all()
    assert (trained.rounds.to_numpy() == fit).mean() > 0.6
    assert trained.rounds.max() > 1
    assert (result.transfers.outcome == "delivered").mean() > 0.95


def test_a_gap_holds_at_most_the_rounds_it_may() -> None:
    result = sim.run(orbit(learning={"rounds": {"per_gap_max": 5}, "train": False}))
    trained = result.events[result.events.kind == "train_end"]
    gaps = trained[trained.contact_id.isna()]
    assert gaps.rounds.max() == 5


def test_a_device_without_the_memory_does_not_train_and_says_so() -> None:
    big = {"kind": "mixtral-8x7b"}
    changed = {
        **merged(ORBIT, {"compute": {"memory_gib": 40}}),
        "learning": {"method": "synchronous", "train": False, "model": big},
        "link": {"preset": "physical", "downlink": "neglected"},
    }
    result = sim.run(scenarios.from_dict(changed))
    faults = result.events[result.events.kind == "fault"]
    assert faults.detail.str.contains("memory").all()
    assert len(faults) > 0
    assert not (result.events.kind == "train_end").any()
    assert not (result.transfers.direction == "uplink").any()


@learning.register("waits-for-nobody")
class WaitsForNobody(learning.Method):
    """Meets a party more than there are clusters."""

    def cluster(self, me):
        yield NextContact()
        yield Meet("never", len(self.world.clusters) + 1, me.name)

    def model(self):
        return self.learner.start()


def test_a_barrier_that_never_fills_fails_the_run() -> None:
    with pytest.raises(sim.SimulationError, match=r"still wait: A, B at 'never' with 2 of 3"):
        sim.run(slots(learning={"method": "waits-for-nobody"}))


def never(me: Cluster) -> Generator[Any, Any, None]:
    """Nobody comes to 'never' besides A and B; A has asked for all contacts before."""
    if me.name == "A":
        while (yield NextContact()):
            pass
    yield Meet("never", 3)


def apart(me: Cluster) -> Generator[Any, Any, None]:
    """A runs out of contacts and comes to another meeting than the one at which B waits for it."""
    if me.name == "A":
        while (yield NextContact()):
            pass
    yield Meet(me.name, 2)


@pytest.mark.parametrize(
    ("script", "line"),
    [(never, r"still wait: A, B at 'never' with 2 of 3"), (apart, r"still wait: A at 'A' with 1")],
)
def test_who_came_to_a_barrier_is_no_excuse_for_it(script: Any, line: str) -> None:
    """A cluster without contacts left is missing only where it has not come."""
    with pytest.raises(sim.SimulationError, match=line + "[^;]*$"):
        play(slots(learning=SCRIPTED), script)


def test_a_cluster_without_contacts_left_is_excused_and_the_run_says_so() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        while me.name == "A" and (yield NextContact()):
            pass
        if me.name == "B":
            yield Meet("both", 2)

    result = play(slots(learning=SCRIPTED), script)
    faults = result.events[result.events.kind == "fault"]
    assert faults.detail.tolist() == ["no contacts left: B at 'both' with 1 of 2"]


@learning.register("meets")
class Meets(learning.Method):
    """Every cluster tells the others its name at its first contact, twice."""

    def cluster(self, me):
        for turn in ("a", "b"):
            yield NextContact()
            names = yield Meet(turn, len(self.world.clusters), me.name.lower())
            yield Note("infer", detail=f"{turn} {names}")

    def model(self):
        return self.learner.start()


def test_a_barrier_hands_everyone_what_everyone_brought() -> None:
    result = sim.run(slots(learning={"method": "meets"}))
    said = result.events[result.events.kind == "infer"]
    assert said.detail.tolist() == [f"{t} {{'A': 'a', 'B': 'b'}}" for t in "aabb"]
    assert said.time_s.tolist() == [600.0, 600.0, 2400.0, 2400.0]


@settings(max_examples=25, deadline=None)
@given(
    altitude=st.integers(400, 1500),
    inclination=st.integers(45, 98),
    latitudes=st.lists(st.integers(-60, 60), min_size=1, max_size=4, unique=True),
    method=st.sampled_from(["synchronous", "emsfl", "emsfl-enhanced"]),
    bandwidth=st.sampled_from([2e-6, 1e-4, 0.36]),
    per_contact=st.sampled_from([1, 3, "fill"]),
    seed=st.integers(0, 100),
)
def test_random_small_runs_keep_every_invariant(
    altitude, inclination, latitudes, method, bandwidth, per_contact, seed
) -> None:
    """The run checks itself at its end; here it has to get there from anywhere."""
    clusters = [
        {
            "name": f"c{i}",
            "latitude_deg": v,
            "longitude_deg": 40 * i,
            "devices": 2,
            "radius_km": 200,
        }
        for i, v in enumerate(latitudes)
    ]
    scenario = scenarios.from_dict(
        {
            **merged(ORBIT, {"link": {"uplink": {"bandwidth_mhz": bandwidth}}}),
            "seed": seed,
            "orbit": {
                "source": "circular",
                "altitude_km": altitude,
                "inclination_deg": inclination,
                "min_elevation_deg": 5,
            },
            "ground": {"clusters": clusters},
            "learning": merged(
                SLOTS["learning"],
                {"method": method, "train": False, "rounds": {"per_contact": per_contact}},
            ),
        }
    )
    try:
        result = sim.run(scenario)
    except sim.InputError as error:
        assert "never rises" in str(error)
        return
    events, transfers = result.events, result.transfers
    assert (np.diff(events.time_s) >= 0).all()
    ups = (events.kind == "upload_start").sum()
    assert ups == (events.kind == "upload_end").sum() == (transfers.direction == "uplink").sum()
    assert (events.kind == "connect").sum() == result.contacts.served.sum()


@pytest.mark.parametrize("kind", ["llama-3-8b-x3", "mixtral-8x7b", "vector-moe"])
@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced"])
def test_every_architecture_can_be_timed_with_every_method(kind: str, method: str) -> None:
    changed = {
        **merged(SLOTS, {}),
        "learning": {"method": method, "train": False, "model": {"kind": kind}},
    }
    result = sim.run(scenarios.from_dict(changed))
    assert (result.events.kind == "aggregate").sum() >= 5
    sums = result.assignments.groupby(["time_s", "cluster"]).relevance.sum()
    assert np.allclose(sums, 2 if kind.startswith("mixtral") else 1)


def test_a_model_that_never_comes_down_leaves_the_devices_training_under_the_mask() -> None:
    """Entering gate tuning needs the whole model; without it there is nothing to route to."""
    changed = merged(ORBIT, {"link": {"downlink": {"rate": "fixed", "fixed_rate_mbps": 1e-5}}})
    changed["learning"]["method"] = "emsfl-enhanced"
    result = sim.run(scenarios.from_dict(changed))
    downs = result.transfers[result.transfers.direction == "downlink"]
    models = downs[downs.payload == "model"]
    assert len(models) > 0
    assert not (models.outcome == "delivered").any()
    assert result.metrics.accuracy.notna().all()


def test_a_large_model_comes_down_over_several_passes_in_the_version_it_was_begun_in() -> None:
    slow = {"downlink": {"rate": "fixed", "fixed_rate_mbps": 4e-5}}
    result = sim.run(orbit(stop={"days": 4}, link=slow, learning={"method": "synchronous"}))
    downs = result.transfers[result.transfers.direction == "downlink"]
    assert (downs.outcome == "carried").any()
    assert (downs.outcome == "delivered").sum() > 4
    for _, rows in downs.groupby(["cluster", "device"]):
        for outcome, following in zip(rows.outcome, rows.version.diff().shift(-1), strict=True):
            assert outcome != "carried" or not following > 0


@pytest.mark.parametrize("late", [False, True])
def test_late_devices_add_what_was_missing_and_nobody_counts_twice(late: bool) -> None:
    """One of two devices arrives a pass later, when the other has offered again."""
    learner = learning.Learner(learning.LearningConfig(1, ("A",), (2,), batch_size=8))
    side = ClusterSide(learner, learning.Cluster("A", 0, 2))
    server = learner.start()
    side.provide(server, [0, 1, 2, 3])
    both, first = np.ones(2, bool), np.array([True, False])

    def work(who):
        rounds = np.where(who, 1, 0)
        return Work(rounds, rounds.astype(float), ~both)

    def receipt(who):
        return Receipt(who, who.astype(float), who.astype(float), who.astype(float))

    side.train(work(both), [0])
    side.offer([0])
    if late:
        server = side.merge(server, side.deliver(receipt(first)))
        side.train(work(first), [0])
        side.offer([0])
    server = side.merge(server, side.deliver(receipt(both)))
    if not late:
        side.train(work(first), [0])
        side.offer([0])
        server = side.merge(server, side.deliver(receipt(first)))
    assert not side.pending.any()
    weights = learner.values.force(server)
    together = _merged_in_one_go(learner, both, first, work, receipt)
    for name, tensor in weights.items():
        assert np.allclose(tensor.numpy(), together[name].numpy(), atol=1e-7), name


def _merged_in_one_go(learner, both, first, work, receipt):
    """The same training, each device's update applied with its share of the samples."""
    side = ClusterSide(learner, learning.Cluster("A", 0, 2))
    server = learner.start()
    side.provide(server, [0, 1, 2, 3])
    for who in (both, first):
        side.train(work(who), [0])
        side.offer([0])
        server = side.merge(server, side.deliver(receipt(who)))
    return learner.values.force(server)


def test_a_gate_is_counted_once_though_nothing_comes_back_down() -> None:
    learner = learning.Learner(learning.LearningConfig(1, ("A",), (1,), batch_size=8))
    side = ClusterSide(learner, learning.Cluster("A", 0, 1))
    start = learner.start()
    side.provide(start, [0, 1, 2, 3])
    one = np.ones(1, bool)
    side.train(Work(np.array([2]), np.zeros(1), ~one), [0], gate=True)
    server = side.merge_gate(start, one)
    again = side.merge_gate(server, one)
    gates = [learner.values.force(handle)["gate.0.weight"] for handle in (start, server, again)]
    assert not np.array_equal(gates[0], gates[1])
    assert np.array_equal(gates[1], gates[2])


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"])
def test_updates_that_are_not_finite_are_refused_and_the_run_goes_on(method) -> None:
    """Every round overflows: nothing of it reaches the server's model, whatever the method."""
    wild = {"step_size": 1e30, "steps_per_round": 5, "gate_step_size_ratio": 1.0}
    result = sim.run(slots(learning={**wild, "method": method}))
    assert result.manifest["status"] == "complete"
    refused = result.events[result.events.kind == "drop"]
    assert refused.detail.str.contains("not finite").any()
    assert result.summary["accuracy_final"] == result.summary["accuracy_start"]
    assert any("not finite" in line for line in result.manifest["warnings"])


def test_days_end_a_run_in_slots_too() -> None:
    result = sim.run(slots(stop={"cycles": 30, "days": 0.1}, learning={"train": False}))
    assert result.contacts.set_s.max() <= 8640
    assert result.summary["cycles"] == 5


def test_energy_is_rounds_times_their_time(tmp_path) -> None:
    result = sim.run(slots(compute={"power_w": 100}, learning={"train": False}))
    rounds = result.summary["device_rounds"]
    assert rounds == result.events[result.events.kind == "train_end"].rounds.sum() > 10
    assert result.summary["training_energy_kwh"] == pytest.approx(rounds * 200 / 3600 * 0.1)


def test_two_beams_at_once_lose_nobodys_update() -> None:
    """Both clusters train on the same version and overlap; the server keeps both changes."""
    near = [
        {"name": "Here", "latitude_deg": 60, "longitude_deg": 20, "devices": 2},
        {"name": "There", "latitude_deg": 58, "longitude_deg": 25, "devices": 2},
    ]
    changed = merged(ORBIT, {"orbit": {"beams": 2}, "ground": {"clusters": near}})
    changed["learning"]["method"] = "synchronous"
    result = sim.run(scenarios.from_dict(changed))
    merges = result.events[result.events.kind == "aggregate"]
    assert merges.detail.str.contains("staleness:1").any()
    assert merges.version.tolist() == list(range(1, len(merges) + 1))
    served = result.contacts[result.contacts.served]
    overlap = served.service_start_s.to_numpy()[1:] < served.service_end_s.to_numpy()[:-1]
    assert overlap.any()


def test_the_last_accuracy_is_that_of_the_saved_model(tmp_path) -> None:
    result = sim.run(orbit(learning={"method": "synchronous"}), tmp_path / "run")
    rows = result.metrics[result.metrics.scope == "global"]
    last = rows.iloc[-1]
    about = json.loads((tmp_path / "run" / "model" / "model.json").read_text())
    assert last.version == about["version"]
    assert last.time_s == result.manifest["simulated_s"] == 1.5 * 86400


def test_only_what_happened_was_served() -> None:
    start = sim.run(slots(stop={"cycles": 1})).summary["accuracy_start"]
    there = sim.run(slots(stop={"cycles": 30, "accuracy": start}))
    assert there.summary["hours"] == there.summary["cycles"] == len(there.transfers) == 0
    rows = sim.run(slots(stop={"cycles": 6})).metrics
    best = rows[rows.scope == "global"].accuracy.max()
    result = sim.run(slots(stop={"cycles": 6, "accuracy": best}))
    assert best > start
    connected = (result.events.kind == "connect").sum()
    assert result.summary["contacts_served"] == result.contacts.served.sum() == connected
    assert result.summary["hours"] == pytest.approx(result.metrics.time_s.max() / 3600)
    assert result.metrics.accuracy[result.metrics.scope == "global"].iloc[-1] >= best


def test_evaluations_in_between_are_on_their_own_grid() -> None:
    plain = sim.run(slots())
    fine = sim.run(slots(learning={"evaluate_every_hours": 600 / 3600}))
    times = fine.metrics[fine.metrics.scope == "global"].time_s
    assert times.tolist() == [600.0 * i for i in range(9)]
    assert fine.transfers.equals(plain.transfers)
    coarse = plain.metrics.merge(fine.metrics, on=["time_s", "cycle", "scope", "cluster"])
    assert len(coarse) == len(plain.metrics)
    assert (coarse.accuracy_x == coarse.accuracy_y).all()


def test_a_method_cannot_take_a_shipped_name_or_be_anything() -> None:
    with pytest.raises(ValueError, match="shipped"):
        learning.register("emsfl")
    with pytest.raises(TypeError, match="subclass"):
        learning.register("number")(int)


@settings(max_examples=8, deadline=None)
@given(
    method=st.sampled_from(["synchronous", "emsfl", "emsfl-enhanced"]),
    uplink=st.sampled_from([2e-6, 1e-5, 1.0]),
    downlink=st.sampled_from([2e-5, 1e-4, 1.0]),
    radius=st.sampled_from([0, 400]),
    mask=st.sampled_from([5, 25]),
)
def test_training_through_any_links_ends_with_a_finite_model(
    method, uplink, downlink, radius, mask
) -> None:
    """Partial uploads and downloads, devices out of reach: the tensors must still fit together."""
    rates = {"uplink": uplink, "downlink": downlink}
    link = {side: {"rate": "fixed", "fixed_rate_mbps": rate} for side, rate in rates.items()}
    changed = merged(ORBIT, {"link": link, "orbit": {"min_elevation_deg": mask}})
    changed["learning"] |= {"method": method, "rounds": {"per_gap_max": 2}}
    for cluster in changed["ground"]["clusters"]:
        cluster["radius_km"] = radius
    result = sim.run(scenarios.from_dict(changed))
    assert np.isfinite(result.metrics.loss).all()


def test_a_round_longer_than_the_gap_leaves_no_time_to_train_in_it() -> None:
    """The chain ends inside the next contact; that contact comes at once, with an empty gap."""
    changed = merged(SLOTS, {"compute": {"seconds_per_round": 1500}})
    result = sim.run(scenarios.from_dict({**changed, "stop": {"cycles": 4}}))
    trained = result.events[result.events.kind.isin(["train_start", "train_end"])]
    for _, rows in trained[trained.contact_id.notna()].groupby(["cluster", "device"]):
        starts = rows[rows.kind == "train_start"].time_s.to_numpy()
        ends = rows[rows.kind == "train_end"].time_s.to_numpy()
        assert (starts[1:] >= ends[:-1]).all()
    assert len(trained) > 8
