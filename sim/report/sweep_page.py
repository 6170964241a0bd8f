"""The page of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis.comparison import group_runs
from sim.analysis.statistics import over_seeds
from sim.execution.folder import COMPLETE, SWEEP
from sim.execution.result import load
from sim.formatting import as_yaml, data_size, seconds
from sim.plots.sweep import heat_map, lines
from sim.report.comparison_page import compared
from sim.report.page import Page
from sim.sweep import Sweep, read_sweep
from sim.sweep.rows import targets_of
from sim.sweep.text import combinations_in, sha256_text

MOST_RUNS = 60
"""Complete points up to which their runs are compared as such."""
SPARSEST = 4
"""Fields for each point up to which a heat map is drawn."""


def is_sweep(folder: Path) -> bool:
    """Whether ``folder`` is that of a sweep."""
    return (folder / SWEEP).is_file()


def finished(sweep: Sweep) -> list[Path]:
    """Return the run folders of the complete points, each once, in the order of the points."""
    status = sweep.rows["status"].to_pylist()
    found = [one for one, how in zip(sweep.folders, status, strict=True) if how == COMPLETE]
    return list(dict.fromkeys(found))


def page(folder: Path) -> Page:
    """Return the report of the sweep in ``folder``; raise InputError if it cannot be read."""
    sweep = read_sweep(folder)
    keys, rows, folders = list(sweep.keys), sweep.rows, finished(sweep)
    done = rows.filter(pc.equal(rows["status"], COMPLETE))
    target = best_target(done)
    several = 1 < len(folders) <= MOST_RUNS
    missing = f"{len(rows) - len(done)} of {len(rows)} points are not complete."
    return Page(
        template="sweep.html",
        title=f"Sweep {folder.resolve().name}",
        subtitle=f"{len(rows)} points over {', '.join(keys) or 'replications only'}",
        context={
            **{"keys": keys, "rows": rows, "done": done, "several": several},
            **{"heat_map": heat_map, "lines": lines, "MOST_ROWS": MOST_ROWS},
            **(compared(group_runs([load(folder) for folder in folders])) if several else {}),
            **_drawings(done, keys, target),
            "words": sentences(rows, done, keys, target),
            "failed": failed(rows, keys),
            "points": points(rows, keys, target),
            "asked": asked(sweep),
        },
        notices=[missing] if len(done) < len(rows) else [],
    )


def best_target(done: pa.Table) -> str | None:
    """Return the highest accuracy that all points have reached, else the highest of any."""
    reached = {target: len(done) - done[hours_to(target)].null_count for target in targets_of(done)}
    common = [target for target, count in reached.items() if count == len(done) > 0]
    some = [target for target, count in reached.items() if count]
    return max(common or some, default=None)


def hours_to(target: str) -> str:
    """Return the column of the hours to an accuracy."""
    return f"hours_to_{target}"


# The figures of a point, as pictures and as a table.


def _plain(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Figure:
    """The head of a figure's column, a title if it is drawn too, and how a value is shown."""

    head: str
    title: str = ""
    form: Callable[[Any], str] = _plain


def figures(rows: pa.Table, target: str | None) -> dict[str, Figure]:
    """Return the figures of which some row has a value, by their columns."""
    share = "{:.3f}".format
    every = {
        "accuracy_final": Figure("final accuracy", "Final accuracy", share),
        "loss_final": Figure("final loss", "Final loss", share),
        f"hours_to_{target}": Figure(f"hours to {target}", f"Hours to {target} accuracy"),
        "cycles": Figure("cycles", "Complete cycles"),
        "hours": Figure("hours"),
        "round_mean_s": Figure("mean round", "Mean duration of a round (s)", seconds),
        "contacts_served": Figure("contacts served", "Contacts served"),
        "idle_share": Figure("idle share", "Idle share of device time", share),
        "uplink_bytes": Figure("uplink", "Bytes sent up", data_size),
        "wall_s": Figure("wall s"),
    }
    known = {name for name in rows.column_names if rows[name].null_count < len(rows)}
    return {name: figure for name, figure in every.items() if name in known}


def _drawings(done: pa.Table, keys: Sequence[str], target: str | None) -> dict[str, Any]:
    """What is drawn over which keys that vary: numbers first, those with the most values first.

    The second axis is the one with the most values of those that are left. Random points leave
    nearly all fields of a map empty.
    """
    values = {key: len(pc.unique(done[key])) for key in keys}
    texts = {key: pa.types.is_string(done[key].type) for key in keys}
    varied = [key for key in keys if values[key] > 1]
    across, *others = sorted(varied, key=lambda key: (texts[key], -values[key])) or [""]
    mapped = others and values[across] * values[others[0]] <= SPARSEST * len(done)
    known = figures(done, target)
    drawn = {name: figure.title for name, figure in known.items() if figure.title}
    if "accuracy_final" in known:
        drawn.pop("cycles", None)
    return {"across": across, "others": others, "mapped": mapped, "columns": drawn}


MOST_ROWS = 1000
"""Points that the page lists."""

Cells = list[list[str]]


def failed(rows: pa.Table, keys: Sequence[str]) -> Cells:
    """Return the points that are not complete, and why."""
    return [
        [str(row["point"]), *(as_yaml(row[key]) for key in keys), row["status"], row["error"] or ""]
        for row in rows.to_pylist()
        if row["status"] != COMPLETE
    ]


def points(rows: pa.Table, keys: Sequence[str], target: str | None) -> tuple[list[str], Cells]:
    """Return heads and rows of the points; columns in which nothing is known are left out."""
    known = figures(rows, target)
    heads = ["point", *keys, "seed", "status", *(figure.head for figure in known.values())]
    cells = [
        [
            *(str(row["point"]), *(as_yaml(row[key]) for key in keys)),
            *(str(row["seed"]), row["status"]),
            *("-" if row[name] is None else one.form(row[name]) for name, one in known.items()),
        ]
        for row in rows.slice(0, MOST_ROWS).to_pylist()
    ]
    return heads, cells


# A sweep in a few sentences, and what was asked for.


Row = Mapping[str, Any]

MOST_VALUES = 12
"""Values of a key that are listed one by one."""


@dataclass(frozen=True)
class Extreme:
    """A column, which end of it is the best, how a value of it is shown, and what it is called."""

    column: str
    best: Callable[..., Any]
    form: Callable[[float], str]
    text: str


def sentences(
    rows: pa.Table, done: pa.Table, keys: Sequence[str], target: str | None
) -> Iterator[str]:
    """Say how many points there are over what, which did best, and how far they lie apart.

    ``done`` are the complete rows; ``target`` is an accuracy that some of them have reached.
    """
    counts = [f"{key} ({len(set(rows[key].to_pylist()))} values)" for key in keys]
    over = f", over {' and '.join(counts)}" if counts else ""
    yield f"{len(done)} of {len(rows)} points are complete{over}."
    every = done.to_pylist()
    for extreme in _extremes(every, target):
        yield _sentence(every, keys, extreme)


def _extremes(every: Sequence[Row], target: str | None) -> Iterator[Extreme]:
    if all(row["accuracy_final"] is None for row in every):
        if every:
            yield Extreme("cycles", max, "{:g}".format, "The most complete cycles")
            if all(row.get("round_mean_s") is not None for row in every):
                yield Extreme("round_mean_s", min, seconds, "The shortest rounds in the mean")
            yield Extreme("contacts_served", max, "{:g}".format, "The most contacts served")
        return
    yield Extreme("accuracy_final", max, "{:.3f}".format, "The best final accuracy")
    if target is not None:
        column = hours_to(target)
        count = sum(row[column] is not None for row in every)
        whose = "all points" if count == len(every) else f"{count} of {len(every)} points"
        text = f"The least time to {target} accuracy, which {whose} reached"
        yield Extreme(column, min, "{:.2f} hours".format, text)
    yield Extreme("uplink_bytes", min, data_size, "The least uplink")


def _sentence(every: Sequence[Row], keys: Sequence[str], extreme: Extreme) -> str:
    """Say which combination is best in the mean over its seeds, and how far all points lie apart.

    One that has a seed without this figure is left out; of several that are equally good, it says
    how many they are.
    """
    column, form = extreme.column, extreme.form
    values = [row[column] for row in every if row[column] is not None]
    others = [key for key in keys if key != "seed"]
    groups = combinations_in(every, others)
    groups = [group for group in groups if all(row[column] is not None for row in group)]
    if min(values) == max(values) and len(values) == len(every):
        return f"{extreme.text}: {form(values[0])}, at every point."
    span = f"the points range from {form(min(values))} to {form(max(values))}"
    if not groups:
        return f"{extreme.text}: no combination did with all of its seeds; {span}."
    means = [mean([row[column] for row in group]) for group in groups]
    best = extreme.best(means)
    group = groups[means.index(best)]
    where = [f"{key}={as_yaml(group[0][key])}" for key in others]
    where += [f"seed {group[0]['seed']}" if len(group) == 1 else _mean_of(group, extreme)]
    more = f" and {means.count(best) - 1} more" if means.count(best) > 1 else ""
    text = f"{extreme.text}: {form(best)}, at {', '.join(where)}{more}"
    return f"{text}." if min(values) == max(values) else f"{text}; {span}."


def _mean_of(group: Sequence[Row], extreme: Extreme) -> str:
    """Say that a figure is a mean over seeds, with its 95 % interval."""
    figure = over_seeds([row[extreme.column] for row in group])
    ends = [extreme.form(end) for end in (figure["low"], figure["high"]) if end is not None]
    interval = f" (95 %: {' to '.join(ends)})" if len(set(ends)) > 1 else ""
    return f"mean of {len(group)} seeds{interval}"


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
