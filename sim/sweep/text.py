"""Rows of a sweep as text."""

from collections.abc import Sequence

import pyarrow as pa

from sim.facts.status import COMPLETE
from sim.sweep.points import labelled
from sim.sweep.rows import sweep_sha256
from statements import Code

MOST_LINES = 20
"""Points up to which each that failed has a line of its own."""


def failures_text(rows: pa.Table, keys: Sequence[str]) -> list[str]:
    """Return a line for each point that has failed."""
    bad = [row for row in rows.to_pylist() if row["status"] not in (COMPLETE, "missing")]
    lines = [
        f"point {row['point']} ({labelled(row, keys)}, seed {row['seed']}): "
        f"{row['status']}: {row['error']}"
        for row in (bad if len(bad) == MOST_LINES + 1 else bad[:MOST_LINES])
    ]
    more = len(bad) - len(lines)
    return [*lines, f"and {more} more, see status and error of the rows"] if more else lines


def no_room(rows: pa.Table) -> bool:
    """Return whether a point has failed because a file of it had no room."""
    return Code.NO_ROOM in rows["code"].to_pylist()


def reuse_text(rows: pa.Table) -> str:
    """Say how much training was taken from the store; nothing where there was none."""
    seen = {row["digest"]: row for row in rows.to_pylist()}
    done = sum(row.get("trainings") or 0 for row in seen.values())
    reused = sum(row.get("trainings_reused") or 0 for row in seen.values())
    return f"{done} computed, {reused} reused" if done or reused else ""


def sha256_text(rows: pa.Table, digits: int = 16) -> str:
    """Return the first digits of the sweep's digest, which is still to change if it says so."""
    incomplete = any(status != COMPLETE for status in rows["status"].to_pylist())
    return sweep_sha256(rows)[:digits] + (" (incomplete)" if incomplete else "")
