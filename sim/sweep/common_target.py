"""The target at which the points of a sweep are compared, where none of the rows' own serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from sim.analysis.judged import Judged, judged_together
from sim.analysis.targets import first_reached, given, levels, named
from sim.facts.status import COMPLETE
from sim.sweep.folder import Sweep
from sim.sweep.rows import TO_TARGETS, targets_of

MOST_RUNS = 60
"""Complete points up to which their runs are read."""


def with_common_target(sweep: Sweep, runs: Mapping[str, Any]) -> pa.Table:
    """Return the rows of a sweep, if need be with columns of a target that all points have reached.

    That is the highest of the levels by which runs are compared; ``runs`` are those of complete
    points, by the folders in their rows. The rows stay as they are where scenarios name targets,
    where all have reached one of the rows' own, where none is reached by all, or where some run is
    not among ``runs``, or these are more than ``MOST_RUNS``.
    """
    rows = sweep.rows
    every = rows.to_pylist()
    done = [row for row in every if row["status"] == COMPLETE]
    known = [runs[row["folder"]] for row in done if row["folder"] in runs]
    if not 0 < len(known) == len(done) <= MOST_RUNS or any(given(run.manifest) for run in known):
        return rows
    own = [f"hours_to_{target}" for target in targets_of(rows)]
    if any(all(row[name] is not None and row[name] > 0.0 for row in done) for name in own):
        return rows
    if judged_together(run.summary for run in known) != Judged.ACCURACY:
        return rows
    common = [
        level
        for level in levels([run.evaluations for run in known])
        if all(first_reached(run.evaluations, level) for run in known)
    ]
    if not common:
        return rows
    reached = {
        folder: first_reached(run.evaluations, common[-1]) or {} for folder, run in runs.items()
    }
    for head, kind in TO_TARGETS.items():
        spent = head.removesuffix("_to_")
        values = [reached.get(row["folder"], {}).get(spent) for row in every]
        rows = rows.append_column(f"{head}{named(common[-1])}", pa.array(values, kind))
    return rows
