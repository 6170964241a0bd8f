"""NMoE where something is missing or not finite, and data of few classes."""

import numpy as np
import pytest

import sim
from tests.kit.small_nmoe import events, nmoe, options

GATES = ("fedgate", "rollgate", "rangate", "random", "local")
SCARCE = {"compute": {"memory_gib": 1e-6}}
BROKEN = {"learning": {"step_size": 1e30, "steps_per_round": 5}}


def kinds(memory_gib):
    """Five clients, of whom B/0 has little memory."""
    own = [{"devices": 1, "memory_gib": memory_gib}, {"devices": 2}]
    return {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3, "kinds": own}]}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.quick(2)
def test_who_lacks_the_memory_holds_no_expert(gate):
    """Nobody asks it; its row of the gate and its correlations count for nobody."""
    said = options(gate=gate, extractor="fedsc", inference_samples=20)
    result = sim.run(nmoe(ground=kinds(1e-6), learning={"step_size": 0.1, **said}))
    [fault] = events(result, "fault").itertuples()
    assert (fault.cluster, fault.device) == ("B", 0)
    up = result.transfers[result.transfers.direction == "uplink"]
    assert not ((up.cluster == "B") & (up.device == 0) & (up.payload != "relay")).any()
    assert (up.payload == "correlation").sum() == 2 * 4
    rows = result.assignments
    assert rows.groupby("expert").assigned.sum().tolist() == [1, 1, 0, 1, 1]
    assert gate == "local" or rows[rows.expert == 2].relevance.sum() == 0.0
    asked = result.inferences
    assert asked.samples.sum() == 5 * 20
    assert not asked[(asked.device != 0) | (asked.cluster != "B")].experts.str.contains("B/0").any()


@pytest.mark.parametrize(
    ("gate", "lack", "told"),
    [*((gate, SCARCE, 5) for gate in GATES), ("fedgate", BROKEN, 5), ("central", BROKEN, 1)],
)
def test_without_any_expert_nobody_answers(gate, lack, told):
    """Where no client has the memory, or all experts are not finite and so nobody's."""
    extractor = "fedsc" if lack is SCARCE else "none"
    said = options(gate=gate, extractor=extractor, inference_samples=4)
    result = sim.run(nmoe(**{**lack, "learning": {**lack.get("learning", {}), **said}}))
    assert result.metrics.accuracy.isna().all()
    assert len(result.assignments) == len(result.inferences) == 0
    faults = events(result, "fault").detail
    assert faults.str.contains("nobody can answer").sum() == 1
    assert len(faults) - 1 + len(events(result, "drop")) == told


@pytest.mark.parametrize(("cycles", "stage"), [(1, 1), (2, 3)])
def test_out_of_contacts_what_there_is_is_kept(cycles, stage, tmp_path):
    result = sim.run(nmoe(stop={"cycles": cycles}), tmp_path / "run")
    assert events(result, "fault").detail.str.contains(f"no contact left in stage {stage}").any()
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
    assert result.metrics.accuracy.notna().any() == (stage == 3)


# -- data


@pytest.mark.parametrize(
    ("kind", "classes", "extractor"),
    [
        ("vector-nmoe", 3, "fedsc"),
        ("image-nmoe", 2, "fedce"),
    ],
)
@pytest.mark.quick(1)
def test_data_may_have_any_number_of_classes(kind, classes, extractor, tmp_path):
    draws = np.random.default_rng(classes)
    y = draws.integers(0, classes, 300)
    x = draws.random(size=(300, 8, 8, 1) if kind == "image-nmoe" else (300, 6)) / 2
    x[np.arange(300), y] += 0.5  # a row of an image, or an entry of a vector
    np.savez(tmp_path / "data.npz", x=x.astype(np.float32), y=y)
    made = nmoe(
        learning={
            "model": {"kind": kind},
            "data": {"kind": "npz", "path": str(tmp_path / "data.npz")},
            "step_size": 0.1,
            "steps_per_round": 4,
            **options(extractor=extractor, expert_rounds=40, gate_rounds=4),
        }
    )
    assert sim.run(made).summary["accuracy_final"] > 1.4 / classes
