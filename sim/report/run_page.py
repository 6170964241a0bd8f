"""The page of one run."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from matplotlib.axes import Axes

from learning.policies.alignment import variation
from sim.analysis.critical_path import CriticalPath, Spent
from sim.analysis.experts import Alignment, alignments, by_cluster, inference_figures
from sim.analysis.rounds import client_word
from sim.analysis.spans import of_stations
from sim.analysis.summary import staleness
from sim.analysis.text import alignment_lines, summary_rows
from sim.execution.result import Result, load
from sim.execution.status import COMPLETE, INTERRUPTED
from sim.formatting import data_size, seconds
from sim.plots.accuracy import OVER
from sim.plots.canvas import behind, colour
from sim.plots.contact import longest_service
from sim.plots.ground_map import check_map
from sim.plots.timeline import CRITICAL, MOST_LINES, PARTS
from sim.report.page import Page
from sim.report.timeline import MOST_DEVICE_LANES, timeline

MOST_EXPERTS = 32
"""Experts up to which the last assignment is shown as a table."""
MOST_ROWS = 500
"""Clusters up to which each has a row of its own in a table."""
MOST_COLUMNS = 60
"""Clusters up to which each has a column of its own."""
MOST_BARS = 400
"""Bars of the staleness at most."""


def page(folder: Path, map_minute: float = 0.0) -> Page:
    """Return the report of the run in ``folder``; raise InputError if there is none, or no such
    minute for its map."""
    run = load(folder)
    manifest = run.manifest
    if map_minute:
        check_map(manifest, map_minute)
    called = (
        *(summary_rows, alignment_lines, longest_service, staleness, names_of),
        *(last_split, draw_staleness, answers, assigned_rounds),
        *(client_word, draw_rounds, scenario_yaml, time_rows, of_all),
    )
    return Page(
        template="run.html",
        title=f"{manifest.get('name') or folder.name}: {manifest['method']}",
        subtitle=f"seed {manifest['seed']}, {manifest['status']}, begins "
        f"{datetime.fromisoformat(manifest['start_utc']):%Y-%m-%d %H:%M:%S} UTC",
        context={
            **{"run": run, "manifest": manifest, "summary": run.summary, "path": run.critical_path},
            **{"shares": run.critical_path.spent.shares, "OVER": OVER, "PARTS": PARTS},
            "trains": manifest["scenario"]["learning"].get("train", True),
            **{"MOST_DEVICE_LANES": MOST_DEVICE_LANES, "MOST_LINES": MOST_LINES},
            **{"minute": map_minute, "lanes_of": timeline},
            "turned": of_stations(run.tables["contacts"]),
            **{function.__name__: function for function in called},
        },
        notices=notices(run),
    )


# What the template calls.


def notices(run: Result) -> list[str]:
    """Return what a reader has to know first: that the run did not end as it should."""
    status, error = run.manifest["status"], run.manifest.get("error")
    if status == COMPLETE:
        return []
    why = f": {error}" if error else ""
    hours = run.manifest["simulated_s"] / 3600
    resumed = f"; leomix run SCENARIO --resume -o {run.folder} goes on with it"
    more = resumed if status == INTERRUPTED else ""
    return [
        f"This run is {status}{why}. What follows is what it had by {hours:.2f} h of "
        f"simulation{more}."
    ]


def names_of(run: Result, what: str) -> list[str]:
    """Return the names in a column of the contacts: each satellite, or each station."""
    return pc.unique(run.tables["contacts"][what]).drop_null().to_pylist()


def scenario_yaml(scenario: Mapping[str, Any]) -> str:
    """Return the scenario as YAML, without the keys that have no value."""
    told = _without_empty(scenario)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100)


def _without_empty(value: object) -> object:
    if not isinstance(value, dict):
        return value
    inner = ((key, _without_empty(part)) for key, part in value.items())
    return {key: part for key, part in inner if part not in (None, {}, [])}


# What was learnt by whom: assignment of experts, staleness, inference, load and fitness.


def time_rows(path: CriticalPath, client: str) -> list[tuple[str, Spent]]:
    """Return the table of where the time went: clusters, those behind the first ones together."""
    rows = list(path.clusters.items())
    if others := [spent for _, spent in rows[MOST_ROWS:]]:
        together = Spent(*map(sum, zip(*others, strict=True)))
        rows[MOST_ROWS:] = [(f"{len(others)} other {client}s together", together)]
    return [*rows, (CRITICAL, path.spent)] if path.cycles else rows


def of_all(shown: int, every: int, what: str) -> str:
    """Return what stands behind a caption where only the first rows or columns are shown."""
    return f"; the first {shown} of {every} {what}s" if shown < every else ""


def last_split(assignments: pa.Table) -> tuple[list[str], list[list[str]], int]:
    """Return the experts, the relevance of each to a cluster, and how many clusters there are.

    A row a cluster, of many only the first ones; nothing of too many experts.
    """
    rows = by_cluster(assignments)
    if not len(rows):
        return [], [], 0
    last = rows.filter(pc.equal(rows["time_s"], pc.max(rows["time_s"]))).to_pandas()
    share = last.pivot_table(index="cluster", columns="expert", values="relevance", dropna=False)
    own = last.pivot_table(index="cluster", columns="expert", values="assigned", aggfunc="max")
    if share.shape[1] > MOST_EXPERTS:
        return [], [], 0
    cells = [
        [name, *(_relevance(*pair) for pair in zip(share.loc[name], own.loc[name], strict=True))]
        for name in share.index[:MOST_ROWS]
    ]
    return [f"expert {n}" for n in share.columns], cells, len(share)


def _relevance(value: float, assigned: bool) -> str:
    return ("-" if np.isnan(value) else f"{value:.3f}") + (" *" if assigned else "")


def draw_staleness(axes: Axes, counts: Mapping[int, int]) -> None:
    """Draw how many versions lay between a device's download and its update.

    Where they reach far, a bar stands for several neighbours.
    """
    behind(axes, staleness_versions=list(counts), updates=list(counts.values()))
    values, updates = np.maximum(list(counts), 0), list(counts.values())
    width = -(-(int(values.max()) + 1) // MOST_BARS)
    of_a_bar = np.bincount(values // width, updates)
    axes.bar((np.arange(len(of_a_bar)) + 0.5) * width - 0.5, of_a_bar, 0.8 * width, color=colour(0))
    axes.locator_params(axis="x", integer=True)
    axes.set_xlim(-1, max(counts) + 1)
    axes.set_xlabel("staleness (versions)")
    axes.set_ylabel("updates")


def answers(inferences: pa.Table) -> tuple[list[str], list[list[str]], int]:
    """Return the clusters, and how fast networked experts answer, all together and by cluster.

    Of many clusters only the first ones; the last number is how many there are.
    """
    every = sorted(pc.unique(inferences["cluster"]).to_pylist())
    clusters = every[:MOST_COLUMNS]
    each = [inferences.filter(pc.equal(inferences["cluster"], name)) for name in clusters]
    found = [_answers(part) for part in (inferences, *each)]
    outcomes = sorted(set(pc.unique(inferences["outcome"]).to_pylist()))
    names = ["samples", "mean latency", "95 % within", "sent", *outcomes]
    rows = [[name, *(answer.get(name, "0") for answer in found)] for name in names]
    return clusters, rows, len(every)


def _answers(rows: pa.Table) -> dict[str, str]:
    found = inference_figures(rows)
    assert found is not None  # there are rows
    times_s = {"mean latency": found["latency_mean_s"], "95 % within": found["latency_p95_s"]}
    return {
        **{name: "-" if time_s is None else seconds(time_s) for name, time_s in times_s.items()},
        **{"samples": str(found["samples"]), "sent": data_size(found["sent_bytes"])},
        **{name: str(count) for name, count in found["outcomes"].items()},
    }


def assigned_rounds(assignments: pa.Table) -> list[Alignment]:
    """Return the rounds in which devices were given experts."""
    return [one for one in alignments(assignments) if one.assigned.any()]


def draw_rounds(axes: Axes, rounds: Sequence[Alignment]) -> None:
    """Draw how evenly experts are used and how fit their trainers are, round by round."""
    days = [one.time_s / 86400 for one in rounds]
    fitness = [float(one.fitness[one.assigned].mean()) for one in rounds]
    load = [variation(one.samples.sum(axis=0)) if one.samples.any() else np.nan for one in rounds]
    behind(axes, days=days, mean_fitness=fitness, variation_of_load=load)
    axes.plot(days, fitness, marker="o", markersize=3, color="#0072b2", label="mean fitness")
    said = "variation of load (samples)"
    axes.plot(days, load, marker="s", markersize=3, color="#d55e00", label=said)
    axes.set_xlabel("simulated time (days)")
    axes.set_ylabel("fitness, variation")
    axes.set_ylim(bottom=0)
    axes.legend()
