"""All figures of a run, and the numbers on its screen, from tables that are counted by hand."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest

import sim
from tests.kit.folders import without_checksums
from tests.kit.handmade import tables_of

END_S = 36_000.0
EVALUATED = {  # time, cycle, accuracy, loss
    0.0: (0, 0.2, 2.0),
    7_200.0: (1, 0.55, 1.5),
    18_000.0: (2, 0.75, 1.0),
    28_800.0: (3, 0.65, 1.125),
}
ENERGY = [
    {"cluster": "A", "devices": 2, "computed_s": 3_000.0, "air_s": 600.0, "device_rounds": 7},
    {"cluster": "B", "devices": 3, "computed_s": 6_000.0, "air_s": 1_200.0, "device_rounds": 5},
]
JOULES = [{"training_j": 7.2e6, "transmit_j": 30.0}, {"training_j": 3.6e6, "transmit_j": 20.0}]
SPENT = {
    "time_s": [*EVALUATED],
    "device_rounds": [0, 4, 9, 12],
    "server_rounds": [0, 0, 1, 1],
    "training_j": [0.0, 4e6, 8e6, 10.8e6],
    "transmit_j": [0.0, 10.0, 30.0, 50.0],
}
LOADS = [
    {"memory_bytes": 4e9, "expert_bytes": 2e9, "least_memory_bytes": 3e9, "round_flops": 1e12},
    {"memory_bytes": 2e9, "expert_bytes": 1e9, "least_memory_bytes": 1e9, "round_flops": 5e12},
]
LEARNING = {"train": True, "steps_per_round": 5, "targets": [0.5, 0.7, 0.9], "data": {}}
MANIFEST = {
    **{"name": "by hand", "method": "fedavg", "seed": 3, "status": "complete", "wall_s": 12.5},
    **{"simulated_s": END_S, "computed_device_s": 9_000.0, "trace_sha256": "0123456789abcdef"},
    "scenario": {"learning": LEARNING},
    "tests": {"choices": 4, "samples": [100, 400, 300, 200], "constant": 400},
    "energy": [row | joules for row, joules in zip(ENERGY, JOULES, strict=True)],
    "loads": [row | {"cluster": "A", "least_expert_bytes": 0.5e9} for row in LOADS],
    "spent": SPENT,
    "model_expert_bytes": 3e9,
    "charges": [
        {"cluster": "A", "lowest": 0.25, "last": 0.8},
        {"cluster": "B", "lowest": 0.4, "last": 0.6},
    ],
}


def contact(number, rise_s, set_s, *service):
    row = {"contact_id": number, "cluster": "AB"[number % 2], "satellite": "s", "rise_s": rise_s}
    row |= {"set_s": set_s, "duration_s": set_s - rise_s, "served": bool(service)}
    return row | dict(zip(("service_start_s", "service_end_s"), service, strict=False))


def sent(direction, payload, size, delivered, on_air, outcome="delivered", **more):
    toward = "server" if direction == "uplink" else "client"
    row = {"cluster": "A", "device": 0, "direction": direction, "payload": payload}
    row |= {"toward": toward, "start_s": 1.0, "end_s": 2.0, "payload_bytes": float(size)}
    row |= {"delivered_bytes": float(delivered), "on_air_bytes": float(on_air)}
    return row | {"outcome": outcome} | more


def by_hand():
    """The tables of a run of ten hours, whose plan has contacts beyond it."""
    pooled = [
        {"time_s": t, "cycle": n, "scope": "global", "accuracy": a, "loss": loss, "samples": 1_000}
        for t, (n, a, loss) in EVALUATED.items()
    ]
    of_clients = [
        {"time_s": t, "scope": "client", "cluster": c, "device": 0, "accuracy": a, "loss": loss}
        for t, c, a, loss in (
            *((18_000.0, "A", 0.1, 9.0), (28_800.0, "A", 0.6, 1.25)),
            *((18_000.0, "B", 0.8, 0.5), (28_800.0, "B", 0.7, 1.0)),
        )
    ]
    about = {"cluster": "A", "device": 0}
    events = [
        *[about | {"time_s": 10.0, "kind": "wait", "cause": "beam"}] * 2,
        *(about | {"time_s": t, "kind": "train_end", "rounds": n} for t, n in ((20, 7), (30, 5))),
        *({"time_s": t, "kind": "aggregate", "clusters": 2} for t in (7_200.0, 18_000.0, 28_800.0)),
        about | {"time_s": 40.0, "kind": "fault", "cause": "memory", "detail": "too little"},
        *[{"time_s": 50.0, "kind": "fault", "cause": "satellite outage", "detail": "x"}] * 3,
        about | {"time_s": 60.0, "kind": "fault", "cause": "slow device", "detail": "y"},
    ]
    transfers = [
        sent("uplink", "update", 1_000, 1_000, 1_100),
        sent("uplink", "update", 1_000, 400, 450, "cut"),
        sent("uplink", "gate", 50, 50, 50),
        sent("downlink", "model", 3_000, 3_000, 3_000),
        sent("downlink", "model", 3_000, 3_000, 0),  # heard the same broadcast
        sent("downlink", "model", 2_000, 100, 100, "dropped"),
        sent("isl", "update", 1_000, 1_000, 700),
    ]
    contacts = [
        contact(0, 1_000, 1_600, 1_100, 1_500),
        contact(1, 8_000, 9_200, 8_000, 9_000),
        contact(2, 20_000, 20_300),
        contact(3, 35_500, 37_000, 35_600, 36_000),
        contact(4, 36_500, 37_000),
    ]
    updates = [about | {"time_s": 1.0, "round": 1, "staleness": s} for s in (0, 0, 1, 5)]
    return tables_of(
        metrics=[*pooled, *of_clients],
        events=events,
        transfers=transfers,
        contacts=contacts,
        updates=updates,
    )


WANTED = {
    **{"name": "by hand", "method": "fedavg", "seed": 3, "cycles": 3, "hours": 10.0},
    # What was learnt.
    **{"accuracy_start": 0.2, "accuracy_final": 0.65, "accuracy_best": 0.75},
    "accuracy_mean": (2 * 0.2 + 3 * 0.55 + 3 * 0.75 + 2 * 0.65) / 10,
    **{"loss_start": 2.0, "loss_final": 1.125, "loss_best": 1.0},
    **{"accuracy_worst_client": 0.6, "loss_worst_client": 1.25},
    "guess": {"choices": 4, "share": 0.4, "loss_nats": np.log(4)},
    # Contacts and time: the fifth contact begins behind the end, the fourth ends there.
    **{"contacts": 4, "contacts_served": 3, "service_hours": 0.5},
    **{"in_view_hours": 2_600 / 3_600, "median_contact_s": 900.0, "waits": 2},
    **{"device_rounds": 12, "gradient_steps": (12 + 1) * 5, "device_hours_trained": 2.5},
    "idle_share": 1 - (3_000 + 6_000 + 600 + 1_200) / (5 * END_S),
    # Energy and memory.
    **{"training_energy_j": 10.8e6, "training_energy_kwh": 3.0, "transmit_energy_j": 50.0},
    **{"energy_j": 10.8e6 + 50, "device_memory_bytes": 4e9, "expert_memory_bytes": 2e9},
    **{"least_device_memory_bytes": 3e9, "least_expert_memory_bytes": 0.5e9, "round_flops": 5e12},
    # Bytes.
    **{"uplink_bytes": 1_600.0, "downlink_bytes": 3_100.0, "isl_bytes": 700.0},
    **{"sidelink_bytes": 0.0, "downlink_received_bytes": 6_100.0},
    **{"transfers": 7, "transfers_cut": 2, "messages": 0},
    "payloads": [
        {"direction": "uplink", "payload": "gate", "bytes": 50.0},
        {"direction": "uplink", "payload": "update", "bytes": 1_000.0},
        {"direction": "downlink", "payload": "model", "bytes": 3_000.0},
        {"direction": "isl", "payload": "update", "bytes": 1_000.0},
    ],
    # Updates and faults.
    **{"updates_used": 4, "staleness_mean": 1.5, "staleness_max": 5},
    **{"excluded_devices": {"A": 1}, "faults": {"satellite outages": 3, "slow devices": 1}},
}


def test_each_figure_of_the_summary_is_that_of_the_tables():
    summary = sim.Result(by_hand(), MANIFEST).summary
    for key, value in WANTED.items():
        wanted = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
        assert summary[key] == wanted, key
    assert summary["rounds"] == pytest.approx(
        {"count": 3, "mean_s": 9_600.0, "median_s": 10_800.0, "p95_s": 10_800.0}
        | dict.fromkeys(("planes", "planes_even", "passes_to"))
        | dict.fromkeys(f"passes_{key}_s" for key in ("mean", "median", "p95"))
    )


def test_a_target_is_reached_by_the_first_evaluation_at_it_with_what_was_spent_by_then():
    reached = sim.Result(by_hand(), MANIFEST).summary["reached"]
    assert reached == {
        "0.50": {"cycles": 1, "hours": 2.0, "device_rounds": 4}
        | {"gradient_steps": 20, "energy_j": 4e6 + 10},
        "0.70": {"cycles": 2, "hours": 5.0, "device_rounds": 9}
        | {"gradient_steps": 50, "energy_j": 8e6 + 30},
    }


def test_of_evaluations_that_are_equally_good_on_validation_samples_the_first_one_counts():
    """Its test figures are those of the best model; the lowest loss, where that judges."""
    rows = [
        {"time_s": 3600.0 * n, "cycle": n, "scope": "global", "accuracy": own, "loss": 1 / (n + 1)}
        | {"validation_accuracy": seen, "validation_loss": 1 - seen, "samples": 100}
        for n, (own, seen) in enumerate(((0.1, 0.2), (0.5, 0.8), (0.9, 0.8), (0.7, 0.3)))
    ]
    for learning in (LEARNING, {**LEARNING, "loss": "mse", "targets": []}):
        manifest = {**MANIFEST, "scenario": {"learning": learning}, "spent": None}
        summary = sim.Result(by_hand() | {"metrics": tables_of(metrics=rows)["metrics"]}, manifest)
        summary = summary.summary
        assert (summary["accuracy_best"], summary["accuracy_final"]) == (0.5, 0.7)
        assert (summary["loss_best"], summary["loss_final"]) == (0.5, 0.25)
        assert (summary["validation_best"], summary["validation_final"]) == (0.8, 0.3)


def numbers_in(text):
    """The numbers of a text, without separators of thousands."""
    return [
        float(n) for n in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)", text.replace(",", ""))
    ]


ROWS = {
    "simulated": [0.42, 3],
    "contacts": [3, 4, 0.5, 2],
    "accuracy": [0.2, 0.65],
    "time-averaged": [0.56, 0.42],
    "loss": [2.0, 1.125],
    "worst client": [0.6],
    "reached 0.50": [1, 0.08],
    "reached 0.70": [2, 0.21],
    "device rounds": [12, 2.5, 3.0],
    "energy": [10.8, 50.0],
    "battery": [25, 60],
    "updates used": [4, 1.5, 5],
    "rounds": [3, 2.67, 3, 95, 3],
    "memory": [4.0, 2.0, 3.0, 1.0],
    "least memory": [3.0, 500, 3.0, 2.5],
    "excluded": [1],
    "faults": [3, 1],
    "uplink": [1.6],
    "downlink": [3.1, 6.1],
    "ISL": [700],
    "transfers": [7, 2],
}
"""Rows of `show --all`, and the numbers in them: MJ, J, GB, kB, hours, days and percent."""


@pytest.fixture
def folder(runs, tmp_path):
    """A run folder with these tables."""
    place = runs.copy("slots-timing", tmp_path)
    stored = json.loads((place / "manifest.json").read_text())
    stored["scenario"]["learning"] |= {key: LEARNING[key] for key in ("train", "targets")}
    stored["scenario"]["learning"]["steps_per_round"] = 5
    changed = {**stored, **MANIFEST, "scenario": stored["scenario"], "stand_in": None}
    (place / "manifest.json").write_text(json.dumps(changed))
    for name, table in by_hand().items():
        if (place / f"{name}.parquet").exists():
            pq.write_table(table, place / f"{name}.parquet")
    return without_checksums(place)


def test_show_has_each_figure_in_the_unit_that_it_names(folder, leomix):
    done = leomix("show", folder, "--all")
    assert done.status == 0, done.err
    rows = {line[:14].strip(): line[15:] for line in done.out.splitlines() if line[14:15] == " "}
    assert {name: numbers_in(rows[name]) for name in ROWS} == ROWS


def test_the_screen_of_a_run_has_the_same_figures(folder, leomix):
    lines = leomix("show", folder).out.splitlines()
    rows = {line[:10].strip(): numbers_in(line[11:]) for line in lines if line[10:11] == " "}
    assert rows["reached"] == [0.5, 2.0, 0.7, 5.0]
    assert rows["contacts"] == [3, 4, 30]  # half an hour
    assert rows["rounds"] == [3, 2.7, 95, 3.0]
    assert rows["sent"] == [1.6, 3.1, 700, 7, 2]
    assert rows["trained"] == [3, 12, 4]
    assert numbers_in(lines[0]) == [0.65, 10.0, 0.2]
    [time] = [line[11:] for line in lines if line.startswith("time ")]
    assert all(re.match(r"(< )?\d+\.\d % [a-z]", part) for part in time.split(", ") if part)
    # Forty columns of a quarter of an hour, each with what was measured by its end.
    [curve] = [line[11:] for line in lines if "█" in line]
    assert curve == "▁" * 7 + "▅" * 12 + "█" * 12 + "▇" * 9
