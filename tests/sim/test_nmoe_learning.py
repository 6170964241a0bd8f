"""What networked experts learn: the bands of the notes, and laws that hold for any gate."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.results import gating_pattern
from tests.kit.small_nmoe import TEN, nmoe, options

IID = {"partition": "even"}


@cache
def run_ten(gate: str, rounds: int, partition: str) -> sim.Result:
    learning = {"data": {"partition": partition}, **options(gate=gate, gate_rounds=rounds)}
    return sim.run(nmoe(TEN, learning=learning))


def last(result: sim.Result) -> Any:
    return result.metrics[result.metrics.scope == "global"].iloc[-1]


@pytest.mark.parametrize(
    ("gate", "rounds", "least", "most"),
    [
        ("fedgate", 20, 0.75, 1.0),
        ("rollgate", 20, 0.75, 1.0),
        ("local", 0, 0.0, 0.12),
        ("rangate", 20, 0.0, 0.15),
        ("rollgate", 1, 0.0, 0.25),
        ("random", 0, 0.15, 0.30),
    ],
)
def test_two_classes_a_client(gate: str, rounds: int, least: float, most: float) -> None:
    """Random features, one expert of two classes each: only a federated gate finds them all."""
    assert least <= last(run_ten(gate, rounds, "classes")).f1 <= most


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "random", "local"])
def test_of_iid_clients_every_way_does_well(gate: str) -> None:
    assert last(run_ten(gate, 20, "even")).f1 >= 0.80


@pytest.mark.parametrize("partition", ["classes", "even"])
def test_one_mixture_in_one_place_is_the_upper_end(partition: str) -> None:
    learning = {"step_size": 0.03, "data": {"partition": partition}, **options(gate="central")}
    result = sim.run(nmoe(TEN, learning=learning))
    assert last(result).f1 >= 0.90
    sent = result.transfers[result.transfers.direction == "uplink"]
    assert set(sent.payload) == {"samples"}
    # All of the 1400 images but the trial ones: 64 numbers of four bytes, and a byte for the label.
    assert sent.delivered_bytes.sum() == pytest.approx((1400 - 30) * (64 * 4 + 1))


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate"])
@pytest.mark.parametrize("partition", ["classes", "even"])
def test_a_shared_gate_answers_locally_one_time_in_n(gate: str, partition: str) -> None:
    """On a common test set all clients route alike: exactly 1/N, whatever the gate has learnt."""
    row = last(run_ten(gate, 20, partition))
    assert row.local_ratio == pytest.approx(0.1, abs=1e-12)
    assert row.local_count_share == pytest.approx(0.1, abs=1e-12)
    assert row.local_weight_share == pytest.approx(0.1, abs=1e-12)


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "central"])
def test_clients_of_all_clusters_end_with_the_same_gate(gate: str) -> None:
    result = sim.run(nmoe(learning={"step_size": 0.1, **options(gate=gate)}))
    assert last(result).local_ratio == pytest.approx(0.2, abs=1e-12)
    rows = result.assignments
    patterns = rows.pivot_table(index=["cluster", "device"], columns="expert", values="relevance")
    assert (patterns == patterns.iloc[0]).all(axis=None)


@pytest.mark.parametrize("gate", ["fedgate", "local", "random"])
def test_the_pattern_is_in_the_assignments(gate: str) -> None:
    result = run_ten(gate, 0 if gate != "fedgate" else 20, "classes")
    found = gating_pattern(result.tables["assignments"])
    assert found is not None
    clients, pattern = found
    assert clients == [f"A/{device}" for device in range(10)]
    assert pattern.sum(axis=1) == pytest.approx(np.ones(10))
    assert np.trace(pattern) / 10 == pytest.approx(last(result).local_ratio)
    assert result.assignments.groupby("device").assigned.sum().tolist() == [1] * 10


@pytest.mark.parametrize("shared", ["weight", "bias"])
def test_a_gate_in_part_of_ones_own_is_more_local(shared: str) -> None:
    """What is not averaged pulls every client to its own expert; the weights more than the bias."""
    row = last(sim.run(nmoe(TEN, learning=options(gate_sync=shared))))
    assert row.local_ratio > {"weight": 0.12, "bias": 0.3}[shared]


def test_before_there_are_experts_nothing_is_measured() -> None:
    """Then clients answer alone, and together once there are gates."""
    result = sim.run(nmoe(learning=options(extractor_rounds=3)))
    rows = result.metrics[result.metrics.scope == "global"]
    measured = rows.accuracy.notna().to_numpy()
    ends = result.events[(result.events.kind == "train_end") & (result.events.rounds == 2)]
    assert len(ends) == 5  # of the experts: all else is trained for a round at a time
    assert measured.tolist() == (rows.time_s >= ends.time_s.max()).tolist()
    ratio = rows.local_ratio[measured].to_numpy()
    assert ratio[-1] == pytest.approx(0.2)


@pytest.mark.slow
def test_the_shipped_scenario_does_what_it_claims() -> None:
    fedgate = last(sim.run(scenarios.load("nmoe-digits")))
    assert fedgate.f1 >= 0.85
    assert fedgate.local_ratio == pytest.approx(0.1, abs=1e-12)
    alone = {"learning.options.gate": "local"}
    assert last(sim.run(scenarios.load("nmoe-digits", alone))).f1 < 0.12
