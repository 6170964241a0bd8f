"""The figure of a sweep's page: each combination of the keys, to be shown by figure and by key."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from sim.analysis.figures import bounds_of
from sim.analysis.over_seeds import geometric, on_logarithms, over_seeds
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml
from sim.plots.sweep import figure_of, in_words
from sim.sweep.differences import Row
from sim.sweep.rows import missing_status
from sim.sweep.text import combinations_in

MOST_COMBINATIONS = 2000
"""Combinations that the page carries; the table of points and the files have all."""


def explorer_of(
    rows: pa.Table,
    across: str,
    others: Sequence[str],
    columns: Mapping[str, str],
    line_of: Callable[[Row], int | None],
    *,
    mapped: bool,
) -> dict[str, Any]:
    """Return the combinations of the keys with their figures, as ``templates/explorer.js`` reads.

    ``points`` has the number of each key's level. ``values`` has by figure, for each point, the
    mean over seeds, the ends of its 95 % interval, its seeds, the mean as text, or why there is
    none, and the interval as text; means of times to targets are geometric. ``lines`` has for each
    point the number of its line in the page's chart, which ``line_of`` returns of a row, None where
    it has none. ``idle`` names by figure the keys that change nothing about it. ``mapped`` says
    whether maps of two keys have few empty fields.
    """
    keys = [across, *others]
    every = rows.to_pylist()
    combinations = combinations_in(every, keys)[:MOST_COMBINATIONS]
    levels = {key: _levels([group[0][key] for group in combinations]) for key in keys}
    return {
        "keys": [
            {
                "key": key,
                "name": in_words(key),
                "levels": list(map(_text, levels[key])),
                "numbers": levels[key] if all(map(_is_number, levels[key])) else None,
            }
            for key in keys
        ],
        "points": [[levels[key].index(group[0][key]) for key in keys] for group in combinations],
        "lines": [line_of(group[0]) for group in combinations],
        "figures": columns,
        "values": {column: [_value(group, column) for group in combinations] for column in columns},
        "idle": {column: without_effect(every, keys, column) for column in columns},
        "mapped": bool(mapped),
    }


def without_effect(rows: Sequence[Row], keys: Sequence[str], column: str) -> list[str]:
    """Return the keys that a figure does not depend on: points that differ in one alone are equal.

    A key with no two such points is not among them.
    """
    found = []
    for key in keys:
        rest = [other for other in keys if other != key]
        settings: dict[str, list[Any]] = {}
        for row in rows:
            if row["status"] == COMPLETE:
                setting = as_yaml([*(row[other] for other in rest), row["seed"]])
                settings.setdefault(setting, []).append(row[column])
        several = [values for values in settings.values() if len(values) > 1]
        if several and all(len(set(values)) == 1 for values in several):
            found.append(key)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _levels(values: Sequence[Any]) -> list[Any]:
    """Return the different values: numbers by size, others as they come."""
    different = list(dict.fromkeys(values))
    return sorted(different) if all(map(_is_number, different)) else different


def _text(level: Any) -> str:
    return "none" if level is None else as_yaml(level)


def _value(group: Sequence[Row], column: str) -> list[Any]:
    """Return mean, ends, seeds and text of the points of one combination."""
    known = [row[column] for row in group if row[column] is not None]
    if len(known) < len(group):
        why = missing_status(next(row for row in group if row[column] is None), column)
        return [None, None, None, len(known), f"{len(known)} of {len(group)}" if known else why, ""]
    figure = figure_of(column)
    values = [float(value) for value in known]
    found = over_seeds(values, bounds_of(column)) | (geometric(values) if figure.ratios else {})
    ends = [on_logarithms(found)[end] for end in ("mean", "low", "high")]
    mean, low, high = (None if end is None else end / figure.unit for end in ends)
    interval = "" if low is None or high is None else f"{figure.form(low)} to {figure.form(high)}"
    return [mean, low, high, len(known), "" if mean is None else figure.form(mean), interval]
