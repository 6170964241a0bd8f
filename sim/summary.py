"""The summary of a run: what it reached when, and what it cost. Times in hours of simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TARGETS = (0.75, 0.80, 0.85, 0.88, 0.90)
"""Global accuracies whose first crossing is reported."""


def summarise(tables: dict[str, pa.Table], manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of one run as a flat JSON-ready dictionary, nested one level at most."""
    learning, contacts = _learning(tables["metrics"]), _contacts(tables)
    power_w = manifest["scenario"]["compute"]["power_w"] or 0.0
    return {
        **{key: manifest.get(key) for key in ("name", "method", "seed", "status", "wall_s")},
        **learning,
        **contacts,
        "training_energy_kwh": contacts["device_hours_trained"] * power_w / 1000,
        **_traffic(tables["transfers"]),
        "own_mass": own_mass(tables["assignments"]) if learning["accuracy_final"] else None,
        "warnings": manifest.get("warnings", []),
        "trace_sha256": manifest.get("trace_sha256"),
    }


def _learning(metrics: pa.Table) -> dict[str, Any]:
    rows = metrics.filter(pc.equal(metrics.column("scope"), "global")).to_pylist()
    known = [row for row in rows if row["accuracy"] is not None]
    last = rows[-1] if rows else {"cycle": 0, "time_s": 0.0}
    return {
        "cycles": last["cycle"],
        "hours": last["time_s"] / 3600,
        "accuracy_start": known[0]["accuracy"] if known else None,
        "accuracy_final": known[-1]["accuracy"] if known else None,
        "accuracy_best": max((row["accuracy"] for row in known), default=None),
        "targets": {f"{target:.2f}": _reached(known, target) for target in TARGETS},
    }


def _reached(rows: list[dict[str, Any]], target: float) -> dict[str, float] | None:
    for row in rows:
        if row["accuracy"] >= target:
            return {"cycles": row["cycle"], "hours": row["time_s"] / 3600}
    return None


def _contacts(tables: dict[str, pa.Table]) -> dict[str, Any]:
    contacts, events = tables["contacts"], tables["events"]
    served = contacts.column("served").to_numpy(zero_copy_only=False).astype(bool)
    duration = contacts.column("duration_s").to_numpy(zero_copy_only=False)
    began = events.filter(pc.equal(events.column("kind"), "train_start"))
    ended = events.filter(pc.equal(events.column("kind"), "train_end"))
    rounds = pc.sum(ended.column("rounds")).as_py() or 0
    trained_s = _total(ended, "time_s") - _total(began, "time_s")
    return {
        "contacts": len(contacts),
        "contacts_served": int(served.sum()),
        "median_contact_s": float(np.median(duration)) if len(duration) else None,
        "device_rounds": int(rounds),
        "device_hours_trained": trained_s / 3600,
    }


def _total(table: pa.Table, column: str) -> float:
    return float(pc.sum(table.column(column)).as_py() or 0.0)


def _traffic(transfers: pa.Table) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for direction in ("uplink", "downlink"):
        rows = transfers.filter(pc.equal(transfers.column("direction"), direction))
        figures[f"{direction}_bytes"] = _total(rows, "delivered_bytes")
    outcomes = transfers.column("outcome").to_pylist()
    figures["transfers"] = len(outcomes)
    figures["transfers_cut"] = sum(outcome != "delivered" for outcome in outcomes)
    return figures


def own_mass(assignments: pa.Table) -> dict[str, float] | None:
    """Mean over clusters of the gate's mass on the cluster's own experts, first and last."""
    if not len(assignments):
        return None
    time = assignments.column("time_s").to_numpy()
    mine = assignments.column("assigned").to_numpy(zero_copy_only=False).astype(bool)
    relevance = assignments.column("relevance").to_numpy()
    cluster = np.array(assignments.column("cluster").to_pylist())
    masses = []
    for at in (time.min(), time.max()):
        now = time == at
        shares = [
            relevance[now & mine & (cluster == name)].sum()
            / relevance[now & (cluster == name)].sum()
            for name in np.unique(cluster)
        ]
        masses.append(float(np.mean(shares)))
    return {"start": masses[0], "end": masses[1]}
