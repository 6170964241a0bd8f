"""Rows of a sweep as text."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from sim.analysis.comparison_text import MEAN, mean_text, spread
from sim.analysis.figures import OF_NETWORKS, bounds_of
from sim.analysis.judged import Judged, is_measured, judged_together
from sim.analysis.over_seeds import OverSeeds, over_seeds
from sim.analysis.targets import shared_target
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml, data_size, energy, last_parts, seconds, table
from sim.sweep.points import labelled
from sim.sweep.rows import sweep_sha256, targets_of
from statements import Code

Row = Mapping[str, Any]

MOST_LINES = 20
"""Points up to which each that failed has a line of its own."""


SPENT = (
    ("uplink", "uplink_bytes", data_size),
    ("downlink", "downlink_bytes", data_size),
    ("ISL", "isl_bytes", data_size),
    ("energy", "energy_j", energy),
    ("memory", "device_memory_bytes", data_size),
)
"""Columns of what it took: their heads and forms; each stands where any point has it."""

LEARNT = {
    Judged.ACCURACY: {"accuracy": "accuracy_final", "loss": "loss_final"},
    Judged.LOSS: {"loss": "loss_final", "tokens right": "accuracy_final"},
}
"""Columns of what was learnt, with their heads, by what runs are judged by."""

Shown = Callable[[OverSeeds], str]
Columns = dict[str, tuple[str, Shown]]
"""Heads of columns: the figure of each, and how it is shown over complete rows."""


def but_the_seed(keys: Sequence[str]) -> list[str]:
    """Return the keys whose values are compared, over seeds; the seed where it is the only one."""
    return [key for key in keys if key != "seed"] or list(keys)


def table_text(rows: pa.Table, keys: Sequence[str]) -> str:
    """Show one line for every combination of the swept keys; its figures are over seeds."""
    every = rows.to_pylist()
    keys = but_the_seed(keys)
    columns = {
        head: (key, shown)
        for head, (key, shown) in _columns(every, targets_of(rows)).items()
        if any(row.get(key) is not None for row in every)
    }
    heads = [*last_parts(keys, ["runs", *columns]), "runs", *columns]
    lines = []
    for group in combinations_in(every, keys):
        done = [row for row in group if row["status"] == COMPLETE]
        count = f"{len(done)}" if done == group else f"{len(done)} of {len(group)}"
        lines.append([*(_value(group[0][key]) for key in keys), count])
        for key, shown in columns.values():
            values = [math.inf if row[key] is None else row[key] for row in done]
            if values and "_to_" in key and not any(map(is_measured, done)):
                lines[-1].append("not trained")
            else:
                lines[-1].append(shown(over_seeds(values, bounds_of(key))) if values else "-")
    return table(heads, lines)


def cells_text(rows: pa.Table, keys: Sequence[str]) -> str:
    """Say what a cell of the table holds where rows have several runs; nothing where none has."""
    several = any(len(group) > 1 for group in combinations_in(rows.to_pylist(), but_the_seed(keys)))
    return "median [least..greatest] over the runs of a row" if several else ""


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


def _columns(rows: Sequence[Row], targets: Sequence[str]) -> Columns:
    share = _form("{:.3f}".format)
    number = _form("{:g}".format)
    if rows and (known := [n for n, figure in OF_NETWORKS.items() if n in rows[0] and figure.best]):
        return {OF_NETWORKS[key].head: (key, _form(OF_NETWORKS[key].form)) for key in known}
    done = [row for row in rows if row["status"] == COMPLETE]
    judged = judged_together(done)
    (head, key), *others = LEARNT[judged].items()
    columns: Columns = {head: (key, share)}
    if len({row["seed"] for row in rows}) > 1:
        columns[MEAN.replace("accuracy", head)] = key, mean_text
    columns |= {other: (its, share) for other, its in others}
    reached = {t: sum(row[f"cycles_to_{t}"] is not None for row in done) for t in targets}
    if t := shared_target(reached, len(done)):
        columns[f"cycles to {t}"] = f"cycles_to_{t}", _form("{:g}".format, never="never")
        columns[f"days to {t}"] = f"hours_to_{t}", _form("{:.1f}".format, 24.0, never="never")
    columns["cycles"] = "cycles", number
    if not any(map(is_measured, rows)):
        columns["mean round"] = "round_mean_s", _form(seconds)
    columns["served"] = "contacts_served", number
    for head, name, form in SPENT:
        if any(row.get(name) for row in rows):
            columns[head] = name, _form(form)
    return columns | {
        "idle": ("idle_share", _form("{:.1%}".format)),
        "wall s": ("wall_s", _form("{:.1f}".format)),
    }


def _form(form: Callable[[float], str], unit: float = 1.0, never: str = "-") -> Shown:
    return lambda figure: spread(figure, form, unit, never)


def combinations_in(rows: Sequence[Row], keys: Sequence[str]) -> list[list[Row]]:
    """Return the rows of each combination of values of the keys, in the order of points."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(json.dumps([row[key] for key in keys]), []).append(row)
    return list(groups.values())


def _value(value: Any) -> str:
    whole = not isinstance(value, float) or value.is_integer()
    return as_yaml(value) if whole else f"{value:.9g}"
