"""Network study: what a scenario without learning comes to, out of its plan alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sim.capacity.limits import limited_by, limiting_stations
from sim.capacity.operations import (
    Carried,
    capacity_table,
    clients_of,
    ends_of,
    if_known,
    operations,
    total_of,
)
from sim.capacity.payloads import (
    Queue,
    payload_figures,
    payloads_table,
    queues_of,
    waiting_spans,
)
from sim.errors import InputError, located
from sim.facts.plan import Operations
from sim.formatting import counted
from sim.plan.contact_table import contacts_table, feeder_table, isl_table
from sim.plan.plan import Plan
from sim.trace.tables import Tables
from sim.world.world import World
from statements import Code, Lower, Raise

OF_ALL = (
    *("passes_a_day", "served_a_day", "down_gb_a_day", "up_gb_a_day", "busy_hours_a_day"),
    "blocked_share",
)
"""Figures of all stations, clusters or gateways together."""
OF_EACH = ("down_gb_a_day", "up_gb_a_day", "busy_hours_a_day")
"""Figures of each of them, named like ``down_gb_a_day:Matera``."""
GAP = "longest_gap_hours"
MOST_ENDS = 20
"""Stations, clusters or gateways up to which each has figures of its own."""


@dataclass(frozen=True, eq=False)
class NetworkStudy:
    """A network's plan, what its links carry (``rows``), and how its payloads got through."""

    world: World
    plan: Plan
    rows: Sequence[Operations]
    queues: Sequence[Queue] = ()

    @property
    def figures(self) -> dict[str, Any]:
        """The figures of a study; None where there is none, as of a direction that is neglected."""
        total, ends = total_of(self.rows), ends_of(self.rows)
        found: dict[str, Any] = {name: getattr(total, name) for name in OF_ALL}
        found[GAP] = max(row.longest_gap_hours for row in clients_of(self.rows) or ends)
        for row in ends if len(ends) <= MOST_ENDS else ():
            found |= {f"{name}:{row.name}": getattr(row, name) for name in OF_EACH}
        found["limited_by"] = limited_by(self.rows)
        found["limiting_stations"] = limiting_stations(self.rows)
        found |= payload_figures(self.queues, self.world.traffic, self.plan.stop_s)
        return {name: if_known(value) for name, value in found.items()}

    @property
    def tables(self) -> Tables:
        """The tables of a study: contacts and windows as of any run, capacity and payloads."""
        plan, tables = self.plan, Tables()
        tables["contacts"] = contacts_table(plan, plan.stop_s)
        if plan.isls is not None:
            tables["isl_windows"] = isl_table(plan.isls, plan.stop_s)
        if plan.feeder is not None:
            tables["feeder_windows"] = feeder_table(plan.feeder, plan.stop_s)
        tables["capacity"] = capacity_table(self.rows)
        if self.queues:
            tables["payloads"] = payloads_table(self.queues, self.world.traffic)
        return tables


def study_of(world: World, plan: Plan) -> NetworkStudy:
    """Return what a network carries by its plan.

    Raises InputError where nobody sees anybody, and for traffic that is not known there.
    """
    with located(world):
        check_seen(world, plan)
    rows, queues = rows_and_queues(world, plan)
    return NetworkStudy(world, plan, rows, queues)


def rows_and_queues(
    world: World, plan: Plan, carried: Carried | None = None
) -> tuple[list[Operations], list[Queue]]:
    """Return what a network carries, row by row, and the queues of its payloads.

    Raises InputError for traffic whose queues are not known.
    """
    with located(world):
        queues = queues_of(world, plan)
    waiting = waiting_spans(queues, plan.stop_s) if world.traffic else None
    return operations(plan, carried, waiting), queues


def check_seen(world: World, plan: Plan) -> None:
    """Raise InputError for a network in which nobody sees anybody."""
    if len(plan.contacts):
        return
    text = f"nobody of {{clients}} is in view of anybody in {counted(plan.stop_s / 86_400, 'day')}"
    helps = [Raise("stop.days")]
    masks = {station.min_elevation_deg for station in world.ground.stations or ()}
    if world.orbit.mask_deg and None in (masks or {None}):
        helps.insert(0, Lower("orbit.min_elevation_deg"))
    values = {"clients": len(plan.clusters), "days": plan.stop_s / 86_400.0}
    raise InputError.of(Code.NEVER_SEEN, world.topology.clients_key, text, *helps, **values)
