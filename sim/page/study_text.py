"""A network study as text: what it carries, and how long its payloads take."""

from __future__ import annotations

from collections import Counter

from sim.execution.result import Result
from sim.formatting import duration, table
from sim.page.capacity_text import Capacity, Table
from sim.plan.operations import operations_in
from sim.plan.payloads import asked_gb_a_day


def capacity_of(run: Result) -> Capacity:
    """Return what a study's links carry, and what limits them."""
    rows = operations_in(run.tables["capacity"])
    if "payloads" not in run.tables:
        return Capacity(rows, run.limits)
    clients = len(run.tables["payloads"]["client"].unique())
    asked = asked_gb_a_day(run.scenario.traffic, clients, run.manifest["simulated_s"])
    return Capacity(rows, run.limits, asked_gb_a_day=asked)


def study_text(run: Result) -> str:
    """Return what a network carries, and how long its payloads take."""
    payloads = payload_table(run)
    parts = [capacity_of(run).text, *([] if payloads is None else [table(*payloads[1:])])]
    return "\n\n".join(parts)


def payload_table(run: Result) -> Table | None:
    """Return how long each kind of payloads took; None where none were asked for."""
    if "payloads" not in run.tables:
        return None
    manifest, figures = run.manifest, run.manifest["network"]
    count = Counter(run.tables["payloads"]["name"].to_pylist())
    cells = []
    for kind in manifest["scenario"]["traffic"]:
        name = kind["name"]
        every = "once" if kind["every_hours"] is None else f"every {kind['every_hours']:g} h"
        hours = [figures[f"{name}.hours_{of}"] for of in ("median", "worst")]
        cells.append(
            [
                name,
                f"{kind['payload_mb']:,g} MB {kind['direction']}, {every}",
                *("-" if one is None else duration(3600 * one) for one in hours),
                f"{100 * figures[f'{name}.one_service_share']:.0f} %",
                f"{figures[f'{name}.undelivered']:,.0f} of {count[name]:,}",
            ]
        )
    heads = ["payloads", "", "median", "worst", "in one pass", "not through"]
    return ("How long payloads take to get through", heads, cells) if cells else None
