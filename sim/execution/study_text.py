"""A network study as text: what it carries, and how long its payloads take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sim.capacity.capacity_text import Capacity, Overload, Table
from sim.capacity.limits import limits_of
from sim.capacity.operations import DAY_S, operations_in
from sim.capacity.payloads import OVERLOADED, QUANTILES
from sim.execution.result import Result
from sim.execution.run_cache import WindowCache
from sim.formatting import duration, percent, table
from sim.world.world import World

MB_PER_GB = 1_000.0


def capacity_of(run: Result) -> Capacity:
    """Return what a study's links carry, and what limits them.

    The study is planned anew, with one more dish at each station.
    """
    rows = operations_in(run.tables["capacity"])
    world = World(run.scenario)
    limits = limits_of(world, rows, WindowCache(None).find)
    return Capacity(rows, limits, overloads=[*_overloads(run)], has_traffic=bool(world.traffic))


def _overloads(run: Result) -> Iterator[Overload]:
    """Yield the kinds of payloads whose queues grow."""
    figures, count = run.manifest["network"], _payloads_by_name(run)
    days = run.manifest["simulated_s"] / DAY_S
    for kind in run.manifest["scenario"]["traffic"] if count else ():
        name = kind["name"]
        if (figures[f"{name}.backlog_growth"] or 0.0) > OVERLOADED:
            asked_gb = count[name] * kind["payload_mb"] / MB_PER_GB / days
            yield Overload(name, asked_gb, asked_gb * figures[f"{name}.delivered_share"])


def _payloads_by_name(run: Result) -> Counter[str]:
    asked = run.tables.get("payloads")
    return Counter() if asked is None else Counter(asked["name"].to_pylist())


def study_text(run: Result) -> str:
    """Return what a network carries, and how long its payloads take."""
    payloads = payload_table(run)
    parts = [capacity_of(run).text, *([] if payloads is None else [table(*payloads[1:])])]
    return "\n\n".join(parts)


def payload_table(run: Result) -> Table | None:
    """Return how long each kind of payloads took; None where none were asked for."""
    count = _payloads_by_name(run)
    if not count:
        return None
    manifest, figures = run.manifest, run.manifest["network"]
    per_device = "" if run.tables["payloads"]["device"].null_count else " per device"
    cells = []
    for kind in manifest["scenario"]["traffic"]:
        name = kind["name"]
        every = "once" if kind["every_hours"] is None else f"every {kind['every_hours']:g} h"
        hours = [figures[f"{name}.{quantile}"] for quantile in QUANTILES]
        cells.append(
            [
                name,
                f"{kind['payload_mb']:,g} MB {kind['direction']}{per_device}, {every}",
                *("not reached" if one is None else duration(3600 * one) for one in hours),
                percent(figures[f"{name}.one_service_share"], 0),
                f"{figures[f'{name}.undelivered']:,.0f} of {count[name]:,}",
            ]
        )
    heads = ["payloads", "", "median", "90 %", "in one pass", "not through"]
    return ("How long payloads take to get through", heads, cells) if cells else None
