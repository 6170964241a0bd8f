"""The page of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sim.comparison import compare, group_runs
from sim.reports import point_tables, several, swept_words
from sim.reports.drawing import figure
from sim.reports.page import Block, Page, Section, Text
from sim.reports.reading import read
from sim.summary import TARGETS
from sim.sweeps import Sweep, read_sweep
from sim.sweeps.engine import COMPLETE
from sim.sweeps.folder import SWEEP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_RUNS = 60
"""Complete points up to which their runs are compared as such."""
SPARSEST = 4
"""Fields for each point up to which a heat map is drawn."""
COMPARED = ("groups", "ratios", "accuracy", "time")
"""Sections of a comparison of runs that say something of a sweep too."""


def is_sweep(folder: Path) -> bool:
    """Whether ``folder`` is that of a sweep."""
    return (folder / SWEEP).is_file()


def finished(folder: Path) -> list[Path]:
    """Return the run folders of the complete points, each once, in the order of the points."""
    sweep = read_sweep(folder)
    status = sweep.rows["status"].to_pylist()
    found = [one for one, how in zip(sweep.folders, status, strict=True) if how == COMPLETE]
    return list(dict.fromkeys(found))


def page(folder: Path) -> Page:
    """Return the report of the sweep in ``folder``; raise InputError if it cannot be read."""
    sweep = read_sweep(folder)
    rows = sweep.rows
    done = rows.filter(pc.equal(rows["status"], COMPLETE))
    notices = []
    if len(done) < len(rows):
        notices.append(f"{len(rows) - len(done)} of {len(rows)} points are not complete.")
    return Page(
        title=f"Sweep {folder.resolve().name}",
        subtitle=f"{len(rows)} points over {', '.join(sweep.keys) or 'replications only'}",
        sections=list(_sections(sweep, done, finished(folder))),
        notices=notices,
    )


def _sections(sweep: Sweep, done: pa.Table, folders: Sequence[Path]) -> Iterator[Section]:
    keys, rows = list(sweep.keys), sweep.rows
    target = best_target(done)
    words = swept_words.sentences(rows, done, keys, target)
    yield Section("summary", "Summary", [Text(text) for text in words])
    if len(done):
        values = _values(done, target)
        yield from _drawings(done, _by_variety(done, keys), values)
    compared = _compared(folders) if 1 < len(folders) <= MOST_RUNS else []
    yield from (section for section in compared if section.name in COMPARED)
    if len(done) < len(rows):
        yield Section("failed", "Points that are not complete", [point_tables.failed(rows, keys)])
    yield Section("points", "All points", point_tables.points(rows, keys, target))
    yield Section("scenario", "What is swept", [swept_words.asked(sweep)])


def _compared(folders: Sequence[Path]) -> Iterator[Section]:
    runs = [read(folder) for folder in folders]
    groups = group_runs([several.as_read(run) for run in runs])
    return several.sections(runs, groups, compare(folders))


def best_target(done: pa.Table) -> float | None:
    """Return the highest accuracy that all points have reached, else the highest of any."""
    reached = {
        target: len(done) - done[point_tables.hours_to(target)].null_count for target in TARGETS
    }
    common = [target for target, count in reached.items() if count == len(done) > 0]
    some = [target for target, count in reached.items() if count]
    return max(common or some, default=None)


def _values(done: pa.Table, target: float | None) -> dict[str, str]:
    """Columns that are drawn, and what they are called: those that have any values."""
    named = {"accuracy_final": "Final accuracy"}
    if target is not None:
        named[point_tables.hours_to(target)] = f"Hours to {target:.2f} accuracy"
    if done["accuracy_final"].null_count == len(done):
        named["cycles"] = "Complete cycles"
    named |= {
        "contacts_served": "Contacts served",
        "idle_share": "Idle share of device time",
        "uplink_bytes": "Bytes sent up",
    }
    return {
        column: said
        for column, said in named.items()
        if column in done.column_names and done[column].null_count < len(done)
    }


def _by_variety(done: pa.Table, keys: Sequence[str]) -> list[str]:
    """Return the keys that vary, numbers first, those with the most values first."""
    counts = {key: len(pc.unique(done[key])) for key in keys}
    numeric = {key: not pa.types.is_string(done[key].type) for key in keys}
    varied = [key for key in keys if counts[key] > 1]
    return sorted(varied, key=lambda key: (not numeric[key], -counts[key]))


def _drawings(done: pa.Table, keys: Sequence[str], values: dict[str, str]) -> Iterator[Section]:
    if not keys:
        return
    across, *others = keys
    # The second axis is the one with the most values of those that are left.
    if others and _fills(done, across, others[0]):
        drawn = [_heat(done, across, others[0], column, said) for column, said in values.items()]
        yield Section("heat", "Heat maps", [*_mean(others[1:]), *drawn])
    group = others[-1] if others else None
    shown = [_line(done, across, group, column, said) for column, said in values.items()]
    yield Section("lines", "Lines", [*_mean(others[:-1]), *shown])


def _fills(done: pa.Table, across: str, down: str) -> bool:
    """Whether points lie on a grid: random ones leave nearly all fields of a map empty."""
    fields = len(pc.unique(done[across])) * len(pc.unique(done[down]))
    return fields <= SPARSEST * len(done)


def _mean(others: Sequence[str]) -> list[Block]:
    if not others:
        return []
    return [Text(f"Medians over the values of {', '.join(others)}.", "note")]


def _heat(done: pa.Table, across: str, down: str, column: str, said: str) -> Block:
    from sim.pictures.sweep import heat_map

    def draw(axes: Axes) -> None:
        heat_map(done, across, down, column, axes)

    return figure(
        f"heat-{column}", draw, f"{said} over {across} and {down}, median over replications"
    )


def _line(done: pa.Table, across: str, group: str | None, column: str, said: str) -> Block:
    from sim.pictures.sweep import lines

    def draw(axes: Axes) -> None:
        lines(done, across, column, group, axes)

    return figure(f"line-{column}", draw, f"{said} over {across}: median and range")
