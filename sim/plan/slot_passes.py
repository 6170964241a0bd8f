"""Passes of the EMS-FL paper's idealised cycle: one slot for each cluster, then idle ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import orbit
from scenarios import Scenario
from sim.errors import InputError
from sim.plan.passes import Passes

SLOTS_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of a scenario in slots that names none: there is no orbit that could give one."""
SATELLITE = "slots"
"""Name of the one satellite."""


@dataclass(frozen=True, eq=False)
class SlotPasses:
    """The slots of a scenario whose ``orbit.source`` is slots."""

    scenario: Scenario

    def passes(self) -> Passes:
        """Return when each slot is; raise InputError where the days do not hold one."""
        source = self.scenario.orbit
        cycles = self.scenario.stop.cycles
        days = self.scenario.stop.days
        assert source.source == "slots"  # callers have turned to others for the rest
        assert cycles is not None  # the schema asks for it in slots
        slots = source.slots
        clusters = self.scenario.ground.clusters
        windows = orbit.slot_windows(len(clusters), slots.seconds, slots.idle, cycles)
        span_s = cycles * (len(clusters) + slots.idle) * slots.seconds
        if days is not None:
            span_s = min(span_s, days * 86400.0)
            windows = windows.where(windows.set_s <= span_s)
            if not len(windows):
                raise InputError(f"stop.days: {span_s / 86400:g} days do not hold a single slot")
        return Passes(
            servers=[SATELLITE],
            norad_ids=[None],
            clients=[cluster.name for cluster in clusters],
            start=self.scenario.start or SLOTS_EPOCH,
            span_s=span_s,
            passes=windows,
        )
