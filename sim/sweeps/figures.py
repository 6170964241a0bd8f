"""The figures of a run that its row in a sweep shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from sim import folder as run_folder
from sim.errors import InputError
from sim.summary import TARGETS, summarise
from sim.sweeps.engine import COMPLETE, FAILED, Outcome

WHOLE, NUMBER, TEXT = pa.int64(), pa.float64(), pa.string()

_TO_TARGETS = {
    f"{what}_to_{target:.2f}": kind
    for target in TARGETS
    for what, kind in (("cycles", WHOLE), ("hours", NUMBER))
}

FIGURES: dict[str, pa.DataType] = {
    **_TO_TARGETS,
    "accuracy_final": NUMBER,
    "accuracy_best": NUMBER,
    "cycles": WHOLE,
    "hours": NUMBER,
    "contacts": WHOLE,
    "contacts_served": WHOLE,
    "service_hours": NUMBER,
    "median_contact_s": NUMBER,
    "idle_share": NUMBER,
    "uplink_bytes": NUMBER,
    "downlink_bytes": NUMBER,
    "sidelink_bytes": NUMBER,
    "device_rounds": WHOLE,
    "trace_sha256": TEXT,
    "timing_sha256": TEXT,
}
"""Figures that the scenario decides, in order of the columns, with their types."""

MACHINE_FIGURES: dict[str, pa.DataType] = {
    "wall_s": NUMBER,
    "trainings": WHOLE,
    "trainings_reused": WHOLE,
}
"""Figures that depend on the machine and on what it had done before."""


def figures_of(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one run by column; None where there is none."""
    known: dict[str, Any] = {**manifest, **summary}
    for target, reached in summary["targets"].items():
        for what in ("cycles", "hours"):
            known[f"{what}_to_{target}"] = None if reached is None else reached[what]
    return {name: known.get(name) for name in (*FIGURES, *MACHINE_FIGURES)}


def outcome_in(place: Path, digest: str) -> Outcome | None:
    """Return how the run in a folder ended; None if it has not, or cannot be read."""
    try:
        manifest = run_folder.read_manifest(place)
        if manifest["status"] == FAILED:
            return Outcome(digest, FAILED, str(manifest.get("error", "")))
        if manifest["status"] != COMPLETE:
            return None
        summary = summarise(run_folder.read_tables(place), manifest)
    except (InputError, OSError, KeyError, TypeError):
        return None
    return Outcome(digest, COMPLETE, figures=figures_of(summary, manifest))
