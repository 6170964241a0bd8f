"""The summary of a run: what it reached when, and what it cost. Times in hours of simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning import assignment

TARGETS = (0.75, 0.80, 0.85, 0.88, 0.90)
"""Global accuracies whose first crossing is reported."""


def summarise(tables: dict[str, pa.Table], manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of one run as a flat JSON-ready dictionary, nested one level at most."""
    learning = _learning(tables["metrics"])
    hours = manifest.get("computed_device_s", 0.0) / 3600
    power_w = manifest["scenario"]["compute"]["power_w"]
    return {
        **{key: manifest.get(key) for key in ("name", "method", "seed", "status", "wall_s")},
        **learning,
        "hours": manifest.get("simulated_s", 0.0) / 3600,
        **_contacts(tables),
        "device_hours_trained": hours,
        "training_energy_kwh": None if power_w is None else hours * power_w / 1000,
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
    ended = pc.equal(events.column("kind"), "train_end")
    return {
        "contacts": len(contacts),
        "contacts_served": int(served.sum()),
        "service_hours": _service_s(contacts) / 3600,
        "waits": int(_sum(pc.equal(events.column("kind"), "wait"))),
        "median_contact_s": float(np.median(duration)) if len(duration) else None,
        "device_rounds": int(_sum(events.column("rounds").filter(ended))),
    }


def _service_s(contacts: pa.Table) -> float:
    """Time that clusters were served for, all together."""
    lasted = pc.subtract(contacts.column("service_end_s"), contacts.column("service_start_s"))
    return _sum(lasted)


def _traffic(transfers: pa.Table) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for direction in ("uplink", "downlink"):
        there = pc.equal(transfers.column("direction"), direction)
        figures[f"{direction}_bytes"] = _sum(transfers.column("delivered_bytes").filter(there))
    figures["transfers"] = len(transfers)
    cut = pc.not_equal(transfers.column("outcome"), "delivered")
    figures["transfers_cut"] = int(_sum(cut))
    return figures


def _sum(values: pa.ChunkedArray) -> float:
    return float(pc.sum(values).as_py() or 0.0)


def own_mass(assignments: pa.Table) -> dict[str, float] | None:
    """Mean over clusters of the gate's mass on the cluster's own experts, first and last."""
    if not len(assignments):
        return None
    rows = assignments.to_pylist()
    clusters = sorted({row["cluster"] for row in rows})
    first, last = rows[0]["time_s"], rows[-1]["time_s"]
    return {
        "start": _mass_at([row for row in rows if row["time_s"] == first], clusters),
        "end": _mass_at([row for row in rows if row["time_s"] == last], clusters),
    }


def _mass_at(rows: list[dict[str, Any]], clusters: list[str]) -> float:
    experts = 1 + max(row["expert"] for row in rows)
    relevance = np.zeros((len(clusters), experts))
    owner = np.zeros(experts, np.int64)
    for row in rows:
        place = clusters.index(row["cluster"])
        relevance[place, row["expert"]] = row["relevance"]
        if row["assigned"]:
            owner[row["expert"]] = place
    return float(assignment.own_mass(relevance, owner))
