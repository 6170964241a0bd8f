"""The page of a sweep."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis.comparison import Figure, group_runs
from sim.execution.status import COMPLETE
from sim.formatting import as_yaml
from sim.plots.sweep import figure_of, heat_map, in_words, lines
from sim.report.comparison_page import compared
from sim.report.page import Page
from sim.sweep import Sweep, read_sweep
from sim.sweep.answers import answers, best_target, leading, questions, runs_of
from sim.sweep.differences import Row
from sim.sweep.figures import why_none
from sim.sweep.points import labelled
from sim.sweep.text import but_the_seed, sha256_text

SPARSEST = 4
"""Fields for each point up to which a heat map is drawn."""


def finished(sweep: Sweep) -> list[Path]:
    """Return the run folders of the complete points, each once, in the order of the points."""
    status = sweep.rows["status"].to_pylist()
    found = [one for one, how in zip(sweep.folders, status, strict=True) if how == COMPLETE]
    return list(dict.fromkeys(found))


def page(folder: Path) -> Page:
    """Return the report of the sweep in ``folder``; raise InputError if it cannot be read."""
    sweep = read_sweep(folder)
    keys, rows = list(sweep.keys), sweep.rows
    every = rows.to_pylist()
    done = [row for row in every if row["status"] == COMPLETE]
    target, runs = best_target(done), runs_of(sweep, done)
    several = len(runs) > 1
    drawn = _drawings(rows, keys, target)
    best = leading(every, keys, questions(done, target)[0])
    ours = {row["folder"] for row in best}
    first = [runs[folder] for folder in sorted(runs, key=lambda folder: folder not in ours)]
    missing = f"{len(rows) - len(done)} of {len(rows)} points are not complete."
    return Page(
        template="sweep.html",
        title=f"Sweep {folder.resolve().name}",
        subtitle=f"{len(rows)} points over {', '.join(keys) or 'replications only'}",
        context={
            **{"keys": keys, "whole": rows, "several": several, "MOST_ROWS": MOST_ROWS},
            **{each.__name__: each for each in (heat_map, lines, why_none, in_words, as_yaml)},
            **(compared(group_runs(first)) if several else {}),  # others beside one that leads
            **drawn,
            "maps": facets(rows, every, drawn["others"][1:], best[0]),
            "curves_of": facets(rows, every, drawn["others"][:-1], best[0]),
            "words": answers(every, keys, target, runs),
            "failed": [row for row in every if row["status"] != COMPLETE],
            "points": points(rows, keys, target),
            "asked": asked(sweep),
        },
        notices=[missing] if len(done) < len(rows) else [],
    )


# The figures of a point, as pictures and as a table.

DRAWN = (
    *("accuracy_final", "loss_final", "cycles", "round_mean_s", "contacts_served"),
    *("idle_share", "uplink_bytes", "isl_bytes"),
)
"""Figures of which there are pictures; the table has the hours and the wall time too."""


def figures(rows: pa.Table, target: str | None) -> dict[str, Figure]:
    """Return the figures of which some row has a value, by their columns."""
    every = (*DRAWN, f"hours_to_{target}", "hours", "wall_s")
    known = {name for name in rows.column_names if rows[name].null_count < len(rows)}
    return {name: figure_of(name) for name in every if name in known}


def _drawings(rows: pa.Table, keys: Sequence[str], target: str | None) -> dict[str, Any]:
    """What is drawn over which keys that vary: numbers first, those with the most values first.

    The second axis is the one with the most values of those that are left. Random points leave
    nearly all fields of a map empty.
    """
    values = {key: len(pc.unique(rows[key])) for key in keys}
    texts = {key: not pa.types.is_primitive(rows[key].type) for key in keys}
    varied = [key for key in but_the_seed(keys) if values[key] > 1]
    across, *others = sorted(varied, key=lambda key: (texts[key], -values[key])) or [""]
    mapped = others and values[across] * values[others[0]] <= SPARSEST * len(rows)
    known = figures(rows, target)
    drawn = {
        name: figure.head[0].upper() + figure.head[1:]
        for name, figure in known.items()
        if name in (*DRAWN, f"hours_to_{target}") and len(pc.unique(rows[name])) > 1
    }
    return {"across": across, "others": others, "mapped": mapped, "columns": drawn}


def facets(
    rows: pa.Table, every: Sequence[Row], over: Sequence[str], best: Row
) -> list[tuple[str, pa.Table]]:
    """Return the rows of each combination of the keys ``over``, with what is the same in them.

    A picture of each pools over nothing but seeds. Of many, that of the leading combination.
    """
    if not over:
        return [("", rows)]
    number: dict[str, list[int]] = {}
    for place, row in enumerate(every):
        number.setdefault(labelled(row, over), []).append(place)
    if len(number) > MOST_FACETS:
        label = labelled(best, over)
        return [(f"{label}, where the leading combination lies", rows.take(number[label]))]
    return [(label, rows.take(places)) for label, places in number.items()]


MOST_FACETS = 6
"""Pictures of one figure that the page draws."""
MOST_ROWS = 1000
"""Points that the page lists."""

Cells = list[list[str]]


def points(rows: pa.Table, keys: Sequence[str], target: str | None) -> tuple[list[str], Cells]:
    """Return heads and rows of the points; columns in which nothing is known are left out."""
    known = figures(rows, target)
    keys = [key for key in keys if key != "seed"]
    heads = ["point", *keys, "seed", "status", *(figure.head for figure in known.values())]
    cells = [
        [
            *(str(row["point"]), *(as_yaml(row[key]) for key in keys)),
            *(str(row["seed"]), row["status"]),
            *(
                "-" if row[name] is None else one.form(row[name] / one.unit)
                for name, one in known.items()
            ),
        ]
        for row in rows.slice(0, MOST_ROWS).to_pylist()
    ]
    return heads, cells


# What was asked for.


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
