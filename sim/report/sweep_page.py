"""The page of a sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from sim.facts.status import COMPLETE
from sim.formatting import as_yaml, counted
from sim.plots.sweep import heat_map, lines
from sim.report.chart import MOST_PICKED
from sim.report.comparison_page import compared
from sim.report.explorer import explorer_of, without_effect
from sim.report.page import Page
from sim.report.sweep_figures import MOST_ROWS, Cells, drawings, facets, points
from sim.sweep import Sweep, read_sweep
from sim.sweep.answers import answers, best_target, leading, runs_of
from sim.sweep.answers_text import MORE_SEEDS, first_lines, sweep_parts
from sim.sweep.common_target import with_common_target
from sim.sweep.differences import Row
from sim.sweep.rows import MISSING, missing_status
from sim.sweep.side_by_side import groups_of, labels_in
from sim.sweep.text import but_the_seed, sha256_text


def page(folder: Path) -> Page:
    """Return the report of the sweep in ``folder``; raise InputError if it cannot be read."""
    return page_of(read_sweep(folder))


def page_of(sweep: Sweep) -> Page:
    """Return the report of a sweep, with the rows that it has."""
    keys = list(sweep.keys)
    runs = runs_of(sweep)
    rows = with_common_target(sweep, runs)
    every = rows.to_pylist()
    done = [row for row in every if row["status"] == COMPLETE]
    target = best_target(done)
    found = answers(every, keys, runs)
    several = len(runs) > 1
    drawn = drawings(rows, keys, target)
    best = leading(every, found)
    ours = {row["folder"] for row in best}
    # Others stand beside one that leads.
    first = groups_of(sweep, sorted(every, key=lambda row: row["folder"] not in ours), runs)
    groups = compared(first, MORE_SEEDS, picked=MOST_PICKED, target=target) if several else {}
    one_key = len(but_the_seed(keys)) == 1
    beside = groups.get("comparison") if one_key else None
    if beside is not None:
        found = answers(every, keys, runs, beside)
    counts, *words = sweep_parts(found)
    # Of one key of names the table of groups says all.
    names = one_key and pa.types.is_string(rows[drawn["across"] or "seed"].type)
    explored = None if several and names else _explored(sweep, rows, drawn, groups)
    headline, *limits = first_lines(found, beside)
    return Page(
        template="sweep.html",
        kind=f"Sweep {sweep.folder.resolve().name}",
        title=headline or f"{counted(len(done), 'complete point')}, and nothing to compare",
        subtitle=" ".join([str(counts), *limits]),
        context={
            "keys": keys,
            "whole": rows,
            "several": several,
            "MOST_ROWS": MOST_ROWS,
            "heat_map": heat_map,
            "lines": lines,
            "missing_status": missing_status,
            "as_yaml": as_yaml,
            **groups,
            **drawn,
            **_facets(rows, every, drawn, best[0]),
            "words": words,
            # Of one key the groups side by side have the answer.
            "open_words": 0 if one_key and several else MOST_WORDS,
            "one_key": one_key,
            "explored": explored,
            "MOST_SHOWN": MOST_SHOWN,
            "failed": [row for row in every if row["status"] != COMPLETE],
            "points": points(rows, keys, target),
            "asked": asked(sweep),
        },
        notices=notices(every),
    )


def notices(rows: Sequence[Row]) -> list[str]:
    """Return what a reader has to know first: that not all points are complete."""
    ended = [row["status"] for row in rows if row["status"] != MISSING]
    complete = ended.count(COMPLETE)
    if len(ended) < len(rows):
        failed = len(ended) - complete
        more = f", {failed} failed" if failed else ""
        return [
            f"This sweep is not finished: {complete} of {len(rows)} points are complete{more}. "
            "What follows is of these."
        ]
    missing = len(rows) - complete
    return [f"{missing} of {len(rows)} points are not complete."] if missing else []


def _facets(
    rows: pa.Table, every: Sequence[Row], drawn: Mapping[str, Any], best: Row
) -> dict[str, dict[str, list[tuple[str, pa.Table]]]]:
    """Return the rows of each map, and of each picture of lines, by the column that it shows."""
    keys = [key for key in (drawn["across"], *drawn["others"]) if key]
    found: dict[str, dict[str, list[tuple[str, pa.Table]]]] = {"maps": {}, "curves_of": {}}
    for column in drawn["columns"]:
        idle = without_effect(every, keys, column)
        found["maps"][column] = facets(rows, every, drawn["others"][1:], best, idle)
        found["curves_of"][column] = facets(rows, every, drawn["others"][:-1], best, idle)
    return found


def _explored(
    sweep: Sweep, rows: pa.Table, drawn: Mapping[str, Any], groups: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the data of the figure over one or two keys; None where nothing is drawn over one."""
    if not drawn["across"] or not drawn["columns"]:
        return None
    chart = groups.get("curves")
    lines_of = {line.label: number for number, line in enumerate(chart.lines if chart else ())}
    label_of = labels_in(sweep)
    return explorer_of(
        rows,
        drawn["across"],
        drawn["others"],
        drawn["columns"],
        lambda row: lines_of.get(label_of(row)),
        mapped=bool(drawn["mapped"]),
    )


MOST_WORDS = 2
"""Sentences and tables that stand open; the others are folded."""
MOST_SHOWN = 200
"""Combinations that the page lists for readers without scripts."""


MOST_VALUES = 12
"""Values of a key that are listed one by one."""


def asked(sweep: Sweep) -> Cells:
    """Return what the sweep was asked for, a row a key, but for the points that this makes."""
    about = sweep.about
    fixed = about.get("set") or {}
    return [
        ["scenario", str(about["scenario"])],
        *([f"{key} (varied)", _values_of_key(sweep, key)] for key in sweep.keys),
        *([f"{key} (set)", as_yaml(value)] for key, value in fixed.items()),
        ["sampling", str(about["sampling"])],
        *([["samples", str(about["samples"])]] if about.get("samples") else []),
        ["replications", str(about["replications"])],
        ["sweep sha256", sha256_text(sweep.rows, 64)],
    ]


def _values_of_key(sweep: Sweep, key: str) -> str:
    """Show the values of a key in the order in which they were given; many by both ends."""
    texts = list(dict.fromkeys(as_yaml(point.values[key]) for point in sweep.points))
    if len(texts) > MOST_VALUES:
        return f"{', '.join(texts[:3])} ... {texts[-1]} ({len(texts)} values)"
    return ", ".join(texts)
