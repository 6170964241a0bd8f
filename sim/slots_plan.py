"""The contact plan of the EMS-FL paper's idealised cycle: a slot a cluster, then idle ones."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import orbit
from channel import Link
from sim.errors import InputError
from sim.ground import clusters_of, scenario_links
from sim.links import slot_curve
from sim.plan import ContactLinks, Curves, Plan, PlannedContact

if TYPE_CHECKING:
    from scenarios import Scenario

SLOTS_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of a scenario in slots that names none: there is no orbit that could give one."""


@dataclass(frozen=True, eq=False)
class Cycle:
    """The slots of all cycles of a scenario."""

    start: datetime
    span_s: float
    slot_s: float
    windows: orbit.ContactWindows


def cycle_of(scenario: Scenario) -> Cycle:
    """Return when each slot of a scenario with source ``slots`` is."""
    source, cycles = scenario.orbit, scenario.stop.cycles
    assert source.source == "slots"  # callers have turned to orbit_plan for the others
    assert cycles is not None  # the schema asks for it in slots
    slots, count = source.slots, len(scenario.ground.clusters)
    windows = orbit.slot_windows(count, slots.seconds, slots.idle, cycles)
    span_s = cycles * (count + slots.idle) * slots.seconds
    if scenario.stop.days is not None:
        span_s = min(span_s, scenario.stop.days * 86400.0)
        windows = _until(windows, span_s)
    return Cycle(scenario.start or SLOTS_EPOCH, span_s, slots.seconds, windows)


def _until(windows: orbit.ContactWindows, end_s: float) -> orbit.ContactWindows:
    """Keep the slots that are over by ``end_s``."""
    keep = windows.set_s <= end_s
    if not keep.any():
        raise InputError(f"stop.days: {end_s / 86400:g} days do not hold a single slot")
    kept = {field.name: getattr(windows, field.name)[keep] for field in fields(windows)}
    return orbit.ContactWindows(**kept)


def slots_plan(scenario: Scenario) -> Plan:
    """Return the plan of the slots: every cluster is served once a cycle."""
    clusters, cycle = clusters_of(scenario), cycle_of(scenario)
    windows = cycle.windows
    both = scenario_links(scenario)
    contacts = []
    for number in range(len(windows)):
        cluster = clusters[windows.site[number]]
        span = float(windows.rise_s[number]), float(windows.set_s[number])
        contacts.append(
            PlannedContact(
                contact_id=number,
                session=number // len(clusters),
                satellite="slots",
                norad_id=None,
                cluster=cluster,
                rise_s=span[0],
                culminate_s=float(windows.culminate_s[number]),
                set_s=span[1],
                max_elevation_deg=float(windows.max_elevation_deg[number]),
                min_slant_range_km=float(windows.min_slant_range_km[number]),
                served=True,
                start_s=span[0],
                end_s=span[1],
                links=ContactLinks(partial(_curves, both, cluster.devices, span)),
            )
        )
    return Plan(cycle.start, cycle.span_s, clusters, tuple(contacts))


def _curves(both: tuple[Link, Link | None], devices: int, span: tuple[float, float]) -> Curves:
    uplink, downlink = both
    down = None if downlink is None else slot_curve(downlink, devices, *span)
    return slot_curve(uplink, devices, *span), down
