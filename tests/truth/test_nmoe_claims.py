"""What networked experts and aligned experts learn: the published bands, and the shipped scenarios.

Ten clients behind random features; the bands are those of a second implementation in scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.small_nmoe import TEN, nmoe, options

SLOW = pytest.mark.slow(reason="trains ten clients for tens of rounds")


def ten(partition: str, **said: Any) -> Any:
    """The last measurement of the toy of the notes."""
    learning = {"data": {"partition": partition}, **options(**said)}
    return last(sim.run(nmoe(TEN, learning=learning)))


def last(result: sim.Result) -> Any:
    return result.metrics[result.metrics.scope == "global"].iloc[-1]


def one_in_ten(row: Any) -> None:
    """On a common test set all clients route alike: exactly 1/N, whatever the gate has learnt."""
    found = [row.local_ratio, row.local_count_share, row.local_weight_share]
    assert found == pytest.approx([0.1] * 3, abs=1e-12)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        pytest.param({"gate": "fedgate"}, 0.75, 1.0, id="quick"),
        pytest.param({"gate": "fedgate", "gate_rounds": 100}, 0.85, 1.0, marks=SLOW),
        pytest.param(
            {"gate": "fedgate", "gate_rounds": 100, "extractor": "fedce", "extractor_rounds": 30},
            0.85, 1.0, marks=SLOW,
        ),
        pytest.param({"gate": "rollgate"}, 0.75, 1.0, marks=SLOW),
        pytest.param({"gate": "rollgate", "gate_rounds": 1}, 0.0, 0.25, marks=SLOW),
        pytest.param({"gate": "local"}, 0.0, 0.12),
        pytest.param({"gate": "rangate"}, 0.0, 0.15, marks=SLOW),
        pytest.param({"gate": "random"}, 0.15, 0.30, marks=SLOW),
        pytest.param({"gate": "central"}, 0.90, 1.0, marks=SLOW),
    ],
)  # fmt: skip
def test_two_classes_a_client(said: dict[str, Any], least: float, most: float) -> None:
    """One expert of two classes each: only a federated gate finds them all."""
    row = ten("classes", **said)
    assert least <= row.f1 <= most
    if said["gate"] in ("fedgate", "rollgate", "rangate"):
        one_in_ten(row)


@SLOW
@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "random", "local", "central"])
def test_of_iid_clients_every_way_does_well(gate: str) -> None:
    row = ten("even", gate=gate)
    assert row.f1 >= (0.9 if gate == "central" else 0.8)
    if "gate" in gate:
        one_in_ten(row)


@SLOW
@pytest.mark.parametrize(("shared", "least"), [("weight", 0.12), ("bias", 0.3)])
def test_a_gate_in_part_of_ones_own_is_more_local(shared: str, least: float) -> None:
    """What is not averaged pulls every client to its own expert; the weights more than the bias."""
    assert ten("classes", gate_sync=shared).local_ratio > least


@SLOW
def test_the_shipped_scenarios_do_what_they_claim() -> None:
    fedgate = last(sim.run(scenarios.load("nmoe-digits")))
    assert fedgate.f1 >= 0.85
    one_in_ten(fedgate)
    alone = {"learning.options.gate": "local"}
    assert last(sim.run(scenarios.load("nmoe-digits", alone))).f1 < 0.12
    metrics = sim.run(scenarios.load("aligned-digits")).metrics
    accuracy = metrics[metrics.scope == "global"].accuracy
    assert accuracy.iloc[0] < 0.2
    assert accuracy.iloc[-1] > 0.7
    assert np.isfinite(accuracy).all()
