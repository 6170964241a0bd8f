"""Figures of a point: the columns of a sweep's rows that come out of its run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from sim.analysis.targets import TARGETS, given, named
from sim.errors import InputError
from sim.execution.folder import read_manifest
from sim.execution.result import Result, load
from sim.execution.status import COMPLETE, FAILED, REFUSED
from sim.files import packaged
from sim.sweep.point import Outcome
from sim.trace.schema import FLOAT, INT, TYPES

_FIGURES: dict[str, dict[str, str]] = yaml.safe_load(packaged("sim.sweep", "columns.yaml"))


def _declared(part: str) -> dict[str, pa.DataType]:
    return {name: TYPES[kind] for name, kind in _FIGURES[part].items()}


DECIDED = _declared("decided")
"""Columns of what the scenario decides, with their types: see ``columns.yaml``."""
FOLLOWING = _declared("following")
"""Columns of what follows from the traces."""
MACHINE_COLUMNS = _declared("machine")
"""Columns of what depends on the machine."""

TO_TARGETS = {"cycles_to_": INT, "hours_to_": FLOAT}
"""How the columns begin that hold what it took to reach a target, and their types."""


def columns_to(targets: Sequence[float]) -> dict[str, pa.DataType]:
    """Return the columns of some targets, with their types."""
    return {
        f"{head}{named(target)}": kind for target in targets for head, kind in TO_TARGETS.items()
    }


def targets_of(rows: pa.Table) -> list[str]:
    """Return the targets that the rows of a sweep have columns of, rising."""
    heads = (name.partition("cycles_to_") for name in rows.column_names)
    return [target for before, found, target in heads if found and not before]


def figures_of(run: Result) -> dict[str, Any]:
    """Return the figures of one run by column; None where there is none."""
    known: dict[str, Any] = {**run.manifest, **run.summary}
    for target, reached in run.summary["targets"].items():
        for what in TO_TARGETS:
            key = what.removesuffix("_to_")
            known[f"{what}{target}"] = None if reached is None else reached[key]
    if rounds := run.summary["rounds"]:
        known |= {f"round_{what}": value for what, value in rounds.items()}
        known |= {"rounds": rounds["count"], "planes_per_round": rounds["planes"]}
    to_targets = columns_to(given(run.manifest) or TARGETS)
    names = (*to_targets, *DECIDED, *FOLLOWING, *MACHINE_COLUMNS)
    return {name: known.get(name) for name in names}


def outcome_in(place: Path, digest: str) -> Outcome | None:
    """Return how the run in a folder ended; None if it has not, or cannot be read."""
    try:
        manifest = read_manifest(place)
        if manifest["status"] == FAILED:
            return Outcome(digest, FAILED, str(manifest.get("error", "")))
        if manifest["status"] != COMPLETE:
            return None
        return Outcome(digest, COMPLETE, figures=figures_of(load(place)))
    except (InputError, OSError, KeyError, TypeError):
        return None


NO_CONTACT = "no contact"
"""Why a point is refused that sees no satellite: the sweep goes on past it."""


def why_none(row: Mapping[str, Any], column: str = "") -> str:
    """Say why a point has no figure in a column: a result of its own, not a gap."""
    if row["status"] == COMPLETE:
        target = column.removeprefix("hours_to_").removeprefix("cycles_to_")
        of_target = target != column
        of_model = of_target or column.startswith(("accuracy", "loss"))
        if of_model and row.get("accuracy_final") is None:
            return "not trained"
        asked = yaml.safe_load(row.get("learning.targets") or "null") if of_target else None
        return "never" if asked is None or target in map(named, asked) else "not asked for"
    unseen = ("no satellite rises", "never rises", "no window has", "never served")
    if row["status"] == REFUSED and any(text in row["error"] for text in unseen):
        return NO_CONTACT
    return str(row["status"])
