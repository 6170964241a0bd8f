"""The page of a network study: what it carries, and when which places are served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from orbit.windows import merged
from sim.analysis import comparison_text as text
from sim.analysis.comparison import Comparison
from sim.capacity.budget import budgets_text
from sim.draw.ground_map import draw_map
from sim.draw.network import HOUR_S, Lane, day, lanes_shown
from sim.draw.views import map_at
from sim.execution.result import Result
from sim.page.page import MOST_ROWS, Page, scenario_yaml
from sim.page.study_text import capacity_of, payload_table
from sim.page.sweep_pictures import drawings_of_groups, reading_of_groups
from sim.trace.arrow import as_numpy
from sim.world.scenery import scenery_of

DAY_S = 86_400.0
MOST_SAID = 3
"""Sentences below the title; the others stand in the text."""


def page(run: Result) -> Page:
    """Return the page of a network study."""
    found = capacity_of(run)
    manifest, scenario = run.manifest, run.scenario
    start = datetime.fromisoformat(manifest["start_utc"])
    span_s = manifest["simulated_s"]
    view, links = None, ""
    if scenario.orbit.has_geometry:
        links = budgets_text(scenario)
        mask_deg: float = getattr(scenario.orbit, "min_elevation_deg", 0.0)
        view = map_at(scenery_of(scenario), start, mask_deg)
    from_s = DAY_S * (_first_outage_s(manifest["scenario"], start) // DAY_S)
    every = list(lanes_in(run.tables))
    tables = [
        (caption, [" ".join(head.split()) for head in heads], cells)
        for caption, heads, cells in found.tables(MOST_ROWS)
    ]
    payloads = payload_table(run)
    advice = [f"{line.rstrip('.')}." for line in found.advice]
    return Page(
        template="capacity.html",
        kind=f"Network study {manifest['name']}, {span_s / DAY_S:.2f} days from "
        f"{start:%Y-%m-%d %H:%M:%S} UTC",
        title=found.finding.rstrip("."),
        subtitle=" ".join(advice[:MOST_SAID]),
        context={
            "advice": found.advice[MOST_SAID:],
            "open": [tables[0], *([] if payloads is None else [payloads])],
            "folded": tables[1:],
            "hours": (from_s / HOUR_S, min(span_s, from_s + DAY_S) / HOUR_S),
            "lanes": lanes_shown(every),
            "many": len(every),
            "day": day,
            "map": view,
            "draw_map": draw_map,
            "scenario": scenario_yaml(manifest["scenario"]),
            "links": links,
        },
    )


def lanes_in(tables: Mapping[str, pa.Table]) -> Iterator[Lane]:
    """Yield the lane of each station, gateway or cluster by name: of gateways when they serve."""
    if "feeder_windows" in tables:
        windows = tables["feeder_windows"]
        begin_s, end_s = (as_numpy(windows[name]) for name in ("start_s", "end_s"))
        names = np.array(windows["station"].to_pylist(), object)
        for name in sorted({*names}):
            spans_s = np.stack(merged(begin_s[names == name], end_s[names == name]), axis=1)
            yield Lane(name, spans_s, spans_s)
        return
    contacts = tables["contacts"]
    place = "cluster" if contacts["station"].null_count else "station"
    names = np.array(contacts[place].to_pylist(), object)
    columns = ("rise_s", "set_s", "service_start_s", "service_end_s")
    rise_s, set_s, start_s, end_s = (as_numpy(contacts[name], np.nan) for name in columns)
    for name in sorted({*names}):
        mine = names == name
        served = mine & ~np.isnan(start_s)
        seen = np.stack(merged(rise_s[mine], set_s[mine]), axis=1)
        yield Lane(name, seen, np.stack(merged(start_s[served], end_s[served]), axis=1))


def _first_outage_s(scenario: Mapping[str, Any], start: datetime) -> float:
    """Return when the first planned outage begins, in seconds since the start; 0 without any."""
    begins = []
    for planned in scenario["faults"]["planned"]:
        hours = planned.get("from_hours")
        if hours is not None:
            begins.append(hours * HOUR_S)
        else:
            begin = datetime.fromisoformat(planned["from_utc"])
            begins.append((begin - start).total_seconds())
    return max(0.0, min(begins, default=0.0))


def page_of_several(found: Comparison, count: int) -> Page:
    """Return the page of so many network studies beside each other."""
    return Page(
        template="studies.html",
        kind=f"{count} network studies",
        title=found.headline,
        subtitle=" ".join(text.qualified(found)),
        context={
            "comparison": found,
            "figures": text.shown_figures(found),
            "several_seeds": bool((found.rows["seeds"] > 1).any()),
            "rows_of": text.rows_of,
            "others_of": text.others_of,
            "drawings": drawings_of_groups(found),
            "reading": reading_of_groups(found),
        },
    )
