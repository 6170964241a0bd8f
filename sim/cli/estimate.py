"""``leomix validate --estimate``: what a run will take in memory, time and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learning.hardware import free_bytes
from sim.engine.memory import counts_of, needs_of
from sim.engine.setup import Build
from sim.execution.folder import COMPLETE
from sim.formatting import data_size, duration
from sim.sweep.engine import Point
from sim.sweep.trial import Trial, tried

TRIAL_S = 5.0
"""Seconds behind its first event that a run is tried for."""


def estimate_text(built: Build, scenario: str, overrides: Mapping[str, Any]) -> str:
    """Return a table of what a run takes; the run is tried for some seconds on this machine.

    ``scenario`` and ``overrides`` are what it was loaded from. One that does not fit into memory is
    not tried.
    """
    needs, free = needs_of(built, counts_of(built)), free_bytes("cpu")
    total = sum(need.bytes for need in needs)
    known = "free memory is not known here" if free is None else f"of {data_size(free)} free"
    rows = [("memory", f"about {data_size(total)}", known)]
    rows += [(f"  {need.what}", data_size(need.bytes), need.figures) for need in needs]
    if free is not None and total > free:
        rows.append(("time", "-", "not tried: the run does not fit into memory"))
    else:
        seed = built.scenario.seed
        rows += _tried(tried(Point(0, "", scenario, dict(overrides), {}, 0, seed), TRIAL_S))
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return "\n".join(f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c}" for a, b, c in rows)


def _tried(found: Trial) -> list[tuple[str, str, str]]:
    if found.status != COMPLETE:
        return [("time", "-", f"none, the run fails: {found.error}")]
    if not found.share:
        return [("time", "-", f"no cycle was complete after {duration(found.behind_s)} of a trial")]
    source = f"tried: {found.share:.1%} of it took {duration(found.behind_s)}"
    beside = f"{source}, and {duration(found.before_s)} before it begins"
    return [
        ("time", f"about {duration(found.wall_s)}", beside),
        ("disk", data_size(found.all_bytes), "by what the trial wrote"),
        ("tried in", data_size(found.peak_bytes), "of memory"),
    ]
