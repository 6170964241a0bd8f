"""The combinations of a sweep side by side, as runs are compared: each is a group of seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sim.analysis.comparison import Comparison, Group, WithoutTables, compare_groups
from sim.analysis.labels import labels_of
from sim.analysis.network_comparison import compare_studies
from sim.execution.result import load
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml
from sim.sweep.answers import best_target
from sim.sweep.answers_text import MORE_SEEDS
from sim.sweep.axis import numeric_keys
from sim.sweep.common_target import with_common_target
from sim.sweep.differences import Row
from sim.sweep.folder import Sweep
from sim.sweep.text import combinations_in

MOST_GROUPS = 12
"""Combinations up to which a table shows them side by side."""


def groups_of(sweep: Sweep, rows: Iterable[Row], runs: Mapping[str, Any]) -> list[Group]:
    """Return the combinations of complete points, in the order of ``rows``; ``runs`` by folder."""
    done = [row for row in rows if row["status"] == COMPLETE and row["folder"] in runs]
    label_of = labels_in(sweep)
    return [
        Group(
            label_of(group[0]),
            tuple(runs[folder] for folder in dict.fromkeys(row["folder"] for row in group)),
        )
        for group in combinations_in(done, compared_keys(sweep))
    ]


def labels_in(sweep: Sweep) -> Callable[[Row], str]:
    """Return what gives the label of the combination of a row of a sweep."""
    keys = compared_keys(sweep)
    groups = combinations_in(sweep.rows.to_pylist(), keys)
    settings = [{key: group[0][key] for key in keys} for group in groups]
    labels = labels_of(settings) if keys else ["all seeds"]
    known = {_values(group[0], keys): label for group, label in zip(groups, labels, strict=True)}
    return lambda row: known[_values(row, keys)]


def _values(row: Row, keys: Sequence[str]) -> str:
    return as_yaml([row[key] for key in keys])


def side_by_side(sweep: Sweep, deadline_days: float | None = None) -> Comparison | None:
    """Return what ``compare`` says of the values of the one key that a sweep varies.

    None where it varies more keys than one beside the seed, or has no or too many values of it, or
    where these are numbers on an axis or no two have a complete point. Raises InputError for a
    deadline that not all runs cover.
    """
    rows = sweep.rows.to_pylist()
    keys = compared_keys(sweep)
    if len(keys) != 1 or not 1 < len(combinations_in(rows, keys)) <= MOST_GROUPS:
        return None
    if numeric_keys(rows, keys):
        return None
    done = [row for row in rows if row["status"] == COMPLETE]
    folders = dict.fromkeys(row["folder"] for row in done)
    loaded = ((name, load(sweep.folder / name)) for name in folders)
    runs = {
        name: WithoutTables(run.summary, run.manifest, run.evaluations, run.folder)
        for name, run in loaded
    }
    groups = groups_of(sweep, rows, runs)
    if len(groups) < 2:
        return None
    if sweep.points[0].of_network:
        return compare_studies(groups)
    compared = with_common_target(sweep, runs).to_pylist()
    ended = [row for row in compared if row["status"] == COMPLETE]
    return compare_groups(groups, MORE_SEEDS, deadline_days, best_target(ended))


def compared_keys(sweep: Sweep) -> Sequence[str]:
    """Return the keys whose combinations are compared: all but the seed."""
    return [key for key in sweep.keys if key != "seed"]
