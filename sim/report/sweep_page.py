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
from sim.formatting import as_yaml, data_size
from sim.plots.sweep import heat_map, lines
from sim.report import comparison_page
from sim.report.figures import figure
from sim.report.page import Block, Facts, Page, Section, Table, Text
from sim.sweep import Sweep, read_sweep
from sim.sweep.rows import targets_of
from sim.sweep.text import sha256_text

MOST_RUNS = 60
"""Complete points up to which their runs are compared as such."""
SPARSEST = 4
"""Fields for each point up to which a heat map is drawn."""
COMPARED = ("groups", "ratios", "accuracy", "time")
"""Sections of a comparison of runs that say something of a sweep too."""


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
    rows = sweep.rows
    done = rows.filter(pc.equal(rows["status"], COMPLETE))
    notices = []
    if len(done) < len(rows):
        notices.append(f"{len(rows) - len(done)} of {len(rows)} points are not complete.")
    return Page(
        title=f"Sweep {folder.resolve().name}",
        subtitle=f"{len(rows)} points over {', '.join(sweep.keys) or 'replications only'}",
        sections=list(_sections(sweep, done)),
        notices=notices,
    )


def _sections(sweep: Sweep, done: pa.Table) -> Iterator[Section]:
    keys, rows, folders = list(sweep.keys), sweep.rows, finished(sweep)
    target = best_target(done)
    words = sentences(rows, done, keys, target)
    yield Section("summary", "Summary", [Text(text) for text in words])
    if len(done):
        values = _values(done, target)
        yield from _drawings(done, _by_variety(done, keys), values)
    if 1 < len(folders) <= MOST_RUNS:
        groups = group_runs([load(folder) for folder in folders])
        compared = comparison_page.sections(groups)
        yield from (section for section in compared if section.name in COMPARED)
    if len(done) < len(rows):
        yield Section("failed", "Points that are not complete", [failed(rows, keys)])
    yield Section("points", "All points", points(rows, keys, target))
    yield Section("scenario", "What is swept", [asked(sweep)])


def best_target(done: pa.Table) -> str | None:
    """Return the highest accuracy that all points have reached, else the highest of any."""
    reached = {target: len(done) - done[hours_to(target)].null_count for target in targets_of(done)}
    common = [target for target, count in reached.items() if count == len(done) > 0]
    some = [target for target, count in reached.items() if count]
    return max(common or some, default=None)


def _values(done: pa.Table, target: str | None) -> dict[str, str]:
    """Columns that are drawn, and what they are called: those that have any values."""
    named = {"accuracy_final": "Final accuracy", "loss_final": "Final loss"}
    if target is not None:
        named[hours_to(target)] = f"Hours to {target} accuracy"
    if done["accuracy_final"].null_count == len(done):
        named["cycles"] = "Complete cycles"
    named |= {
        "contacts_served": "Contacts served",
        "idle_share": "Idle share of device time",
        "uplink_bytes": "Bytes sent up",
    }
    return {
        column: name
        for column, name in named.items()
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
    down, group = (others[0], others[-1]) if others else (None, None)
    # The second axis is the one with the most values of those that are left. Random points leave
    # nearly all fields of a map empty.
    if down and _fields(done, across, down) <= SPARSEST * len(done):
        drawn = [_heat(done, across, down, *value) for value in values.items()]
        yield Section("heat", "Heat maps", [*_medians_over(others[1:]), *drawn])
    shown = [_line(done, across, group, *value) for value in values.items()]
    yield Section("lines", "Lines", [*_medians_over(others[:-1]), *shown])


def _fields(done: pa.Table, across: str, down: str) -> int:
    return len(pc.unique(done[across])) * len(pc.unique(done[down]))


def _medians_over(others: Sequence[str]) -> list[Block]:
    return [Text(f"Medians over the values of {', '.join(others)}.", "note")] if others else []


def _heat(done: pa.Table, across: str, down: str, column: str, name: str) -> Block:
    caption = f"{name} over {across} and {down}, median over replications"
    return figure(
        f"heat-{column}", lambda axes: heat_map(done, across, down, column, axes), caption
    )


def _line(done: pa.Table, across: str, group: str | None, column: str, name: str) -> Block:
    caption = f"{name} over {across}: median and range"
    return figure(f"line-{column}", lambda axes: lines(done, across, column, group, axes), caption)


# The points of a sweep as tables.


MOST_ROWS = 1000
"""Points that the page lists."""


def hours_to(target: str) -> str:
    """Return the column of the hours to an accuracy."""
    return f"hours_to_{target}"


def failed(rows: pa.Table, keys: Sequence[str]) -> Table:
    """Return the points that are not complete, and why."""
    cells = [
        [str(row["point"]), *(as_yaml(row[key]) for key in keys), row["status"], row["error"] or ""]
        for row in rows.to_pylist()
        if row["status"] != COMPLETE
    ]
    return Table("What they ended with", ["point", *keys, "status", "error"], cells, False, True)


def points(rows: pa.Table, keys: Sequence[str], target: str | None) -> list[Block]:
    """Return all points with their figures; columns in which nothing is known are left out."""
    shown = rows.slice(0, MOST_ROWS).to_pylist()
    notes: list[Block] = []
    if len(rows) > MOST_ROWS:
        text = f"The first {MOST_ROWS} of {len(rows)}; sweep.parquet has them all."
        notes.append(Text(text, "note"))
    known = {name for name in rows.column_names if rows[name].null_count < len(rows)}
    forms = {name: head for name, head in _forms(target).items() if name in known}
    heads = ["point", *keys, "seed", "status", *forms.values()]
    cells = [
        [
            *(str(row["point"]), *(as_yaml(row[key]) for key in keys)),
            *(str(row["seed"]), row["status"]),
            *(_figure(name, row[name]) for name in forms),
        ]
        for row in shown
    ]
    return [*notes, Table("One row a point", heads, cells, wide=True)]


def _forms(target: str | None) -> dict[str, str]:
    reached = {} if target is None else {hours_to(target): f"hours to {target}"}
    return {
        "accuracy_final": "final accuracy",
        "loss_final": "final loss",
        **reached,
        "cycles": "cycles",
        "hours": "hours",
        "contacts_served": "contacts served",
        "idle_share": "idle share",
        "uplink_bytes": "uplink",
        "wall_s": "wall s",
    }


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_bytes"):
        return data_size(value)
    if name in ("accuracy_final", "loss_final", "idle_share"):
        return f"{value:.3f}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


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


def _combinations(every: Sequence[Row], keys: Sequence[str]) -> list[list[Row]]:
    """Return the rows of each combination of the keys but the seed, in their order."""
    groups: dict[str, list[Row]] = {}
    for row in every:
        groups.setdefault(as_yaml([row[key] for key in keys if key != "seed"]), []).append(row)
    return list(groups.values())


def _sentence(every: Sequence[Row], keys: Sequence[str], extreme: Extreme) -> str:
    """Say which combination is best in the mean over its seeds, and how far all points lie apart.

    One that has a seed without this figure is left out; of several that are equally good, it says
    how many they are.
    """
    column, form = extreme.column, extreme.form
    values = [row[column] for row in every if row[column] is not None]
    groups = [g for g in _combinations(every, keys) if all(row[column] is not None for row in g)]
    if min(values) == max(values) and len(values) == len(every):
        return f"{extreme.text}: {form(values[0])}, at every point."
    span = f"the points range from {form(min(values))} to {form(max(values))}"
    if not groups:
        return f"{extreme.text}: no combination did with all of its seeds; {span}."
    means = [mean([row[column] for row in group]) for group in groups]
    best = extreme.best(means)
    group = groups[means.index(best)]
    where = [f"{key}={as_yaml(group[0][key])}" for key in keys if key != "seed"]
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


def asked(sweep: Sweep) -> Facts:
    """Return what the sweep was asked for, a row a key, but for the points that this makes."""
    about = sweep.about
    fixed = about.get("set") or {}
    rows = [
        ["scenario", str(about["scenario"])],
        *([f"{key} (varied)", _values_of_key(sweep, key)] for key in sweep.keys),
        *([f"{key} (set)", as_yaml(value)] for key, value in fixed.items()),
        ["sampling", str(about["sampling"])],
        *([["samples", str(about["samples"])]] if about.get("samples") else []),
        ["replications", str(about["replications"])],
        ["sweep sha256", sha256_text(sweep.rows, 64)],
    ]
    return Facts("The sweep", rows)


def _values_of_key(sweep: Sweep, key: str) -> str:
    """Show the values of a key in the order in which they were given; many by both ends."""
    texts = list(dict.fromkeys(as_yaml(point.values[key]) for point in sweep.points))
    if len(texts) > MOST_VALUES:
        return f"{', '.join(texts[:3])} ... {texts[-1]} ({len(texts)} values)"
    return ", ".join(texts)
