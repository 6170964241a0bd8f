"""The view of the EMS-FL paper's idealised cycle: a slot a cluster, then idle ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orbit
from sim.errors import InputError
from sim.faults import Before, outages_of
from sim.faults.outages import cut
from sim.view import View

if TYPE_CHECKING:
    from scenarios import Scenario

SLOTS_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of a scenario in slots that names none: there is no orbit that could give one."""


SATELLITE = "slots"
"""What the one satellite is called."""


def view_of(scenario: Scenario, before: Before | None = None) -> View:
    """Return when each slot is; every cluster is served once a cycle, a session each time.

    What an outage leaves of a slot, in pieces or whole, is one session.
    """
    source, cycles = scenario.orbit, scenario.stop.cycles
    assert source.source == "slots"  # callers have turned to others for the rest
    assert cycles is not None  # the schema asks for it in slots
    slots, clusters = source.slots, scenario.ground.clusters
    passes = orbit.slot_windows(len(clusters), slots.seconds, slots.idle, cycles)
    span_s = cycles * (len(clusters) + slots.idle) * slots.seconds
    if scenario.stop.days is not None:
        span_s = min(span_s, scenario.stop.days * 86400.0)
        passes = passes.where(passes.set_s <= span_s)
        if not len(passes):
            raise InputError(f"stop.days: {span_s / 86400:g} days do not hold a single slot")
    windows, of = cut(passes, outages_of(scenario, [SATELLITE], span_s, before))
    return View(
        satellite_names=[SATELLITE],
        norad_ids=[None],
        sites=[cluster.name for cluster in clusters],
        start=scenario.start or SLOTS_EPOCH,
        span_s=span_s,
        windows=windows,
        service=orbit.serve(windows),
        sessions=of // len(clusters),
        passes=passes,
        of=of,
    )
