"""Figures of the points of a sweep, as pictures and as a table."""

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis.figures import Figure
from sim.analysis.judged import Judged, judged_together
from sim.formatting import as_yaml
from sim.plots.sweep import figure_of
from sim.sweep.differences import Row
from sim.sweep.points import labelled
from sim.sweep.text import but_the_seed

SPARSEST = 4
"""Fields for each point up to which a heat map is drawn."""
DRAWN = (
    "accuracy_final",
    "loss_final",
    "cycles",
    "round_mean_s",
    "contacts_served",
    "idle_share",
    "uplink_bytes",
    "downlink_bytes",
    "isl_bytes",
)
"""Figures of which there are pictures; the table has the hours and the wall time too."""


def figures(rows: pa.Table, target: str | None) -> dict[str, Figure]:
    """Return the figures of which some row has a value, by their columns."""
    judging = {"judged_by", *(f"{judged}_final" for judged in Judged)} & {*rows.column_names}
    every_row = rows.select(sorted(judging)).to_pylist()
    judged = judged_together(every_row)
    tokens = any(row.get("accuracy_final") is not None for row in every_row)
    learnt = f"{judged}_final"
    every = dict.fromkeys((learnt, *DRAWN, f"hours_to_{target}", "hours", "wall_s"))
    known = {name for name in rows.column_names if rows[name].null_count < len(rows)}
    return {name: figure_of(name, judged, tokens=tokens) for name in every if name in known}


def drawings(rows: pa.Table, keys: Sequence[str], target: str | None) -> dict[str, Any]:
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
    rows: pa.Table, every: Sequence[Row], over: Sequence[str], best: Row, idle: Collection[str]
) -> list[tuple[str, pa.Table]]:
    """Return the rows of each combination of the keys ``over``, with what is the same in them.

    A picture of each pools over nothing but seeds, and ``idle`` keys, which change nothing about
    what it shows: pictures of each of their values would be equal. Of many, that of the leading
    combination.
    """
    over = [key for key in over if key not in idle]
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
            str(row["point"]),
            *(as_yaml(row[key]) for key in keys),
            str(row["seed"]),
            row["status"],
            *(
                "-" if row[name] is None else one.form(row[name] / one.unit)
                for name, one in known.items()
            ),
        ]
        for row in rows.slice(0, MOST_ROWS).to_pylist()
    ]
    return heads, cells
