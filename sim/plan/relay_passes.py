"""Passes of satellites before another satellite, which serves them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

import orbit
from scenarios import Scenario
from sim.devices.satellites import flying_of
from sim.plan.isl_windows import find_isls
from sim.plan.passes import Passes


@dataclass(frozen=True, eq=False)
class RelayPasses:
    """When satellites see the one that serves them, which has the place of a site."""

    scenario: Scenario

    def passes(self) -> Passes:
        """Return them; links that are acquired open so much later. Errors are as of `find_isls`."""
        isl = self.scenario.link.isl
        days = self.scenario.stop.days
        assert isl is not None  # the schema asks for both
        assert days is not None
        *satellites, server = flying = flying_of(self.scenario)
        server_index = len(satellites)
        start = self.scenario.start or max(satellite.epoch for satellite in flying)
        span_s = days * 86400.0
        pairs = np.array([(client, server_index) for client in range(server_index)])
        seen = find_isls(self.scenario, isl, start, span_s, pairs)
        rise_s = seen.start_s + np.where(seen.clipped_start, 0.0, isl.acquisition_s)
        acquired = np.flatnonzero(rise_s < seen.end_s)
        acquired = acquired[np.lexsort((seen.a[acquired], rise_s[acquired]))]
        rise_s = rise_s[acquired]
        seen = seen.where(acquired)
        windows = orbit.bare_windows(
            satellite=seen.a,
            site=np.zeros(len(acquired), np.int64),
            rise_s=rise_s,
            culminate_s=(rise_s + seen.end_s) / 2,
            set_s=seen.end_s,
            min_slant_range_km=seen.min_range_km,
            clipped_start=seen.clipped_start,
            clipped_end=seen.clipped_end,
        )
        return Passes(
            servers=[satellite.name for satellite in satellites],
            norad_ids=[satellite.norad_id or None for satellite in satellites],
            clients=[server.name],
            start=start,
            span_s=span_s,
            passes=windows,
            satellites=tuple(satellites),
            doubts=tuple(orbit.doubts(flying, start, start + timedelta(days=days))),
        )
