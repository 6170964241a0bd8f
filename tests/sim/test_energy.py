"""Energy of computing and of sending, in hand-made contacts and in whole runs."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import learning
import sim
from tests.kit.learning import (
    Cluster,
    Cost,
    Method,
    NextContact,
    Payload,
    Protocol,
    Train,
    TrainUntilContact,
    Upload,
    World,
)
from tests.kit.network import Plan, Simulation, Transmitter, energy_of, learner_of
from tests.kit.records import Journal
from tests.kit.results import compare, comparison_text, summary_text
from tests.kit.small import orbit, slots
from tests.kit.talk import compute
from tests.kit.talk import uplink_contact as contact

START = datetime(2026, 8, 22, tzinfo=UTC)
COST = Cost(flops=1e9, memory_bytes=1e6)


class TrainAndSend(Method):
    """Trains two rounds in a contact and uploads 20 bytes, then trains on."""

    def cluster(self, me: Cluster) -> Protocol:
        yield NextContact()
        yield Train(COST, rounds=2)
        yield Upload(Payload("a", 20.0))
        yield TrainUntilContact(COST)

    def model(self) -> learning.Handle:
        return self.learner.start()


def energy_until(stop_s: float, contacts: list[tuple[float, float]]) -> dict[str, Any]:
    """Energy of two devices with rounds of 10 and 20 s and 8 bit/s."""
    cluster = Cluster("c", 0, 2)
    passes = [contact(cluster, a, b, np.full(2, 8.0)) for a, b in contacts]
    if len(passes) > 1:  # one session of several contacts
        passes = [dataclasses.replace(one, session=0) for one in passes]
    plan = Plan(START, stop_s, (cluster,), tuple(passes))
    learner = learner_of(slots(learning={"train": False}))
    method = TrainAndSend(World((cluster,), 1, 1, learner, 0))
    own = compute(seconds_per_round=np.array([10.0, 20.0]), power_w=np.array([3.0, 5.0]))
    run = Simulation(plan, method, (own,), Journal(), transmitter=Transmitter(0.5, duty=0.8))
    run.run(lambda number: None)
    [row] = run.energy()
    return row


@pytest.mark.parametrize(
    ("stop_s", "computed_s", "air_s", "rounds"),
    [
        (4.0, (4.0, 4.0), 0.0, 0),  # in the first round of both
        (25.0, (20.0, 25.0), 0.0, 2),  # the fast one waits, the slow one is in its second round
        (50.0, (20.0, 40.0), 20.0, 4),  # half of the upload, which both begin at 40 s
        (100.0, (20.0, 40.0), 40.0, 4),  # all is through at 60 s
        (125.0, (45.0, 65.0), 40.0, 7),  # disconnected from 100 s: the third and fourth are open
    ],
)
def test_energy_is_power_times_time_up_to_any_end(
    stop_s: float, computed_s: tuple[float, float], air_s: float, rounds: int
) -> None:
    row = energy_until(stop_s, [(0.0, 100.0)])
    assert row["computed_s"] == pytest.approx(sum(computed_s), rel=1e-12)
    assert row["training_j"] == pytest.approx(3 * computed_s[0] + 5 * computed_s[1], rel=1e-12)
    assert row["air_s"] == pytest.approx(0.8 * air_s, rel=1e-12)
    assert row["transmit_j"] == pytest.approx(0.5 * 0.8 * air_s, rel=1e-12)
    assert (row["devices"], row["device_rounds"]) == (2, rounds)


def test_nobody_sends_between_the_contacts_of_a_session() -> None:
    # The upload begins at 40 s; 10 s are left of the first contact, 10 s fall into the second.
    row = energy_until(900.0, [(0.0, 50.0), (200.0, 300.0)])
    assert row["air_s"] == pytest.approx(0.8 * 2 * 20.0, rel=1e-12)


def test_an_unknown_power_is_no_energy() -> None:
    cluster = Cluster("c", 0, 2)
    use = sim.energy.Use(np.array([1, 1]), np.array([10.0, 10.0]), np.array([1.0, 1.0]))
    for power_w in (None, np.array([3.0, np.nan])):
        row = energy_of(cluster, use, power_w, Transmitter())
        assert (row["training_j"], row["transmit_j"]) == (None, None)
    assert energy_of(cluster, use, 3.0, Transmitter())["training_j"] == 60.0


KINDS = [{"devices": 1, "seconds_per_round": 50, "power_w": 4}, {"devices": 2, "power_w": 9}]


def test_the_energy_of_a_run_is_what_its_rows_say() -> None:
    clusters = [{"name": "A", "kinds": KINDS}, {"name": "B", "devices": 2}]
    result = sim.run(
        slots(
            ground={"clusters": clusters},
            compute={"power_w": 2},
            learning={"train": False},
            link={"uplink": {"tx_power_dbm": 30.0, "tx_gain_dbi": 3.0}},
        )
    )
    trained = result.events[result.events.kind == "train_end"]
    first = trained[trained.cluster == "A"].groupby("device").rounds.sum()
    second = trained[trained.cluster == "B"].rounds.sum()
    a_j = first[0] * 50 * 4 + (first[1] + first[2]) * 200 * 9
    assert [row["training_j"] for row in result.manifest["energy"]] == pytest.approx(
        [a_j, second * 200 * 2], rel=1e-12
    )
    up = result.transfers[result.transfers.direction == "uplink"]
    on_air_s = (up.end_s - up.start_s).sum()
    summary = result.summary
    assert summary["transmit_energy_j"] == pytest.approx(on_air_s * 1.0, rel=1e-9)
    both = summary["training_energy_j"] + summary["transmit_energy_j"]
    assert summary["energy_j"] == both
    assert summary["training_energy_kwh"] == pytest.approx(summary["training_energy_j"] / 3.6e6)
    assert summary["gradient_steps"] == summary["device_rounds"] * 1
    assert summary["device_rounds"] == result.manifest["spent"]["device_rounds"][-1]


def test_what_is_not_known_is_said() -> None:
    quiet = {"train": False}
    plain = sim.run(slots(learning=quiet)).summary
    assert plain["training_energy_j"] is None
    assert plain["energy_j"] is None
    assert plain["transmit_energy_j"] > 0
    text = summary_text(plain)
    assert "training not known (compute.power_w), transmitting " in text
    sent = {"eirp_dbw": 0.0}
    known = sim.run(slots(learning=quiet, compute={"power_w": 2}, link={"uplink": sent})).summary
    assert known["transmit_energy_j"] is None
    assert "transmitting not known (link.uplink.tx_power_dbm)" in summary_text(known)


@pytest.mark.parametrize("method", ["synchronous", "emsfl-enhanced"])
def test_a_target_costs_what_a_run_that_stops_there_costs(method: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "compute": {"power_w": 10},
        "stop": {"days": 4},
        "learning": {"method": method, "step_size": 0.3, "steps_per_round": 4, "batch_size": 32},
    }
    whole = sim.run(orbit(**changes), tmp_path / "whole").summary
    name, reached = next(
        (name, found) for name, found in reversed(whole["targets"].items()) if found is not None
    )
    assert reached["cycles"] > 0
    changes["stop"] = {"days": 4, "accuracy": float(name)}
    there = sim.run(orbit(**changes)).summary
    assert reached["hours"] == there["hours"] < whole["hours"]
    assert reached["device_rounds"] == there["device_rounds"] > 0
    assert reached["gradient_steps"] == there["gradient_steps"] == 4 * there["device_rounds"]
    assert reached["energy_j"] == pytest.approx(there["energy_j"], rel=1e-9)
    compared = compare([tmp_path / "whole"])
    [group] = compared["groups"]
    assert group["gradient_steps_to"][name]["median"] == reached["gradient_steps"]
    text = comparison_text(compared)
    assert f"gradient steps to {name}" in text
    assert f"{reached['energy_j'] / 1e3:,.1f} kJ" in text


def test_the_spending_of_a_run_only_grows() -> None:
    result = sim.run(orbit(learning={"train": False}, compute={"power_w": 1}))
    spent = json.loads(json.dumps(result.manifest["spent"]))
    times = sorted(set(result.metrics.time_s))
    assert spent["time_s"] == times
    for key in ("device_rounds", "training_j", "transmit_j"):
        assert len(spent[key]) == len(times)
        assert spent[key][0] == 0
        assert (np.diff(spent[key]) >= 0).all()
        assert spent[key][-1] > 0
