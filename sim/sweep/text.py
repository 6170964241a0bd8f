"""Rows and progress of a sweep as text."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sim.analysis.statistics import over_seeds
from sim.analysis.text import MEAN, mean_text, spread
from sim.execution.folder import COMPLETE, INTERRUPTED
from sim.formatting import Bar, as_yaml, data_size, duration, seconds, table
from sim.sweep.engine import Outcome
from sim.sweep.rows import sweep_sha256, targets_of

Row = Mapping[str, Any]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, the user's share of it is, or a file is larger than allowed."""

MOST_LINES = 20
"""Points up to which each that failed has a line of its own."""


@dataclass(frozen=True)
class Column:
    """One figure of a combination: over its complete rows, each shown by ``form``.

    It is shown as a median with its range or, if ``mean``, as a mean with its 95 % interval.
    """

    head: str
    key: str
    form: Callable[[float], str] = "{:g}".format
    never: str = "-"
    mean: bool = False


def table_text(rows: pa.Table, keys: Sequence[str]) -> str:
    """Show one line for every combination of the swept keys; its figures are over replications."""
    every = rows.to_pylist()
    columns = [
        c
        for c in _columns(every, targets_of(rows))
        if any(row.get(c.key) is not None for row in every)
    ]
    figures = ["runs", *(column.head for column in columns)]
    heads = [*_short(keys, figures), *figures]
    lines = []
    for label, group in _groups(every, keys):
        done = [row for row in group if row["status"] == COMPLETE]
        count = f"{len(done)}" if done == group else f"{len(done)} of {len(group)}"
        lines.append([*label, count, *(_shown(column, done) for column in columns)])
    return table(heads, lines)


def failures_text(rows: pa.Table, keys: Sequence[str]) -> list[str]:
    """Return a line for each point that has failed."""
    bad = [row for row in rows.to_pylist() if row["status"] not in (COMPLETE, "missing")]
    lines = [
        f"point {row['point']} ({_named(row, keys)}): {row['status']}: {row['error']}"
        for row in bad[:MOST_LINES]
    ]
    more = len(bad) - len(lines)
    return [*lines, f"and {more} more, see status and error of the rows"] if more else lines


def no_room(rows: pa.Table) -> bool:
    """Return whether a point has failed because a file of it had no room."""
    full = [os.strerror(number) for number in FULL]
    return any(text in error for error in rows["error"].to_pylist() for text in full)


def reuse_text(rows: pa.Table) -> str:
    """Say how much training was taken from the store; nothing where there was none."""
    seen = {row["digest"]: row for row in rows.to_pylist()}
    done = sum(row["trainings"] or 0 for row in seen.values())
    reused = sum(row["trainings_reused"] or 0 for row in seen.values())
    return f"{done} computed, {reused} reused" if done or reused else ""


def sha256_text(rows: pa.Table, digits: int = 16) -> str:
    """Return the first digits of the sweep's digest, which is still to change if it says so."""
    incomplete = any(status != COMPLETE for status in rows["status"].to_pylist())
    return sweep_sha256(rows)[:digits] + (" (incomplete)" if incomplete else "")


def _columns(rows: Sequence[Row], targets: Sequence[str]) -> list[Column]:
    reached = [t for t in targets if any(row[f"cycles_to_{t}"] is not None for row in rows)]
    to_target = []
    for target in reached[-1:]:
        to_target.append(Column(f"cycles to {target}", f"cycles_to_{target}", never="never"))
        to_target.append(Column(f"days to {target}", f"hours_to_{target}", _days, never="never"))
    several = any(row["replication"] for row in rows)
    timed = all(row["accuracy_final"] is None for row in rows)
    return [
        Column("accuracy", "accuracy_final", "{:.3f}".format),
        *([Column(MEAN, "accuracy_final", "{:.3f}".format, mean=True)] if several else []),
        Column("loss", "loss_final", "{:.3f}".format),
        *to_target,
        Column("cycles", "cycles"),
        *([Column("mean round", "round_mean_s", seconds)] if timed else []),
        Column("served", "contacts_served"),
        Column("uplink", "uplink_bytes", data_size),
        Column("idle", "idle_share", "{:.1%}".format),
        Column("wall s", "wall_s", "{:.1f}".format),
    ]


def _days(hours: float) -> str:
    return f"{hours / 24:.1f}"


def _short(keys: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return the last parts of dotted keys, or the keys where these are taken."""
    last = [key.rsplit(".", 1)[-1] for key in keys]
    return [
        name if [*last, *taken].count(name) == 1 else key
        for name, key in zip(last, keys, strict=True)
    ]


def _groups(rows: Sequence[Row], keys: Sequence[str]) -> list[tuple[list[str], list[Row]]]:
    """Return the rows of each combination with its values as text, in the order of points."""
    groups: dict[str, tuple[list[str], list[Row]]] = {}
    for row in rows:
        values = [row[key] for key in keys]
        label = [_value(value) for value in values]
        groups.setdefault(json.dumps(values), (label, []))[1].append(row)
    return list(groups.values())


def _value(value: Any) -> str:
    whole = not isinstance(value, float) or value.is_integer()
    return as_yaml(value) if whole else f"{value:.9g}"


def _shown(column: Column, rows: Sequence[Row]) -> str:
    """Show a figure over rows; a target that is not reached is never."""
    if not rows:
        return "-"
    values = [math.inf if row[column.key] is None else row[column.key] for row in rows]
    figure = over_seeds(values)
    return mean_text(figure) if column.mean else spread(figure, column.form, never=column.never)


def _named(row: Row, keys: Sequence[str]) -> str:
    return ", ".join(f"{key}={_value(row[key])}" for key in keys) + f", seed {row['seed']}"


LINE_EVERY_S = 5.0


class SweepProgress(Bar):
    """Shows every point that ends; if quiet, only the folders that had to be moved."""

    def __init__(self, points: int, quiet: bool) -> None:
        super().__init__(quiet)
        self._points = points
        self._quiet = quiet
        self._done = self._failed = 0
        self._began = time.monotonic()
        self._last_line = -math.inf
        self.start(self._text(), points)

    def __call__(self, outcome: Outcome) -> None:
        """Show that a point has ended."""
        self._done += outcome.status == COMPLETE
        self._failed += outcome.status not in (COMPLETE, INTERRUPTED)
        if outcome.note:
            print(f"note: {outcome.note}", file=sys.stderr)
        if self.shown:
            self.update(self._text(), self._done + self._failed)
        elif not self._quiet and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            print(self._text(), file=sys.stderr)

    def _text(self) -> str:
        ended = self._done + self._failed
        left = self._points - ended
        parts = [f"{self._done} of {self._points} points done"]
        parts += [f"{self._failed} failed"] if self._failed else []
        if ended and left:
            rest_s = (time.monotonic() - self._began) / ended * left
            parts.append(f"{left} left, about {duration(rest_s)}")
        return ", ".join(parts)
