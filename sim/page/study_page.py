"""The page of a network study: what it carries, and when which places are served."""

from __future__ import annotations

from datetime import datetime

from sim.analysis.spans import lanes_of
from sim.capacity.budget import budgets_text
from sim.draw.timeline import lanes_by
from sim.execution.result import Result
from sim.execution.study_text import capacity_of, payload_table
from sim.page.page import MOST_PAGE_ROWS, Page, scenario_yaml

DAY_S = 86_400.0
MOST_SAID = 3
"""Sentences below the title; the others stand in the text."""


def page_of_study(run: Result) -> Page:
    """Return the page of a network study."""
    found = capacity_of(run)
    manifest, scenario = run.manifest, run.scenario
    start = datetime.fromisoformat(manifest["start_utc"])
    span_s = manifest["simulated_s"]
    links = budgets_text(scenario) if scenario.orbit.has_geometry else ""
    column, names = lanes_by(run)
    tables = [
        (caption, [" ".join(head.split()) for head in heads], cells)
        for caption, heads, cells in found.tables(MOST_PAGE_ROWS)
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
            "run": run,
            "lanes": lanes_of(names),
            "who": column,
            "scenario": scenario_yaml(manifest["scenario"]),
            "links": links,
        },
    )
