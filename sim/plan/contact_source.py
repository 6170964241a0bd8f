"""Where the contacts of a scenario come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np

import orbit
from scenarios import Scenario
from sim.devices.satellites import (
    SatelliteOfFile,
    flying_of,
    satellites_of,
    satellites_of_file,
    windows_of,
)
from sim.devices.sites import ground_nodes, ground_sites
from sim.errors import InputError
from sim.plan.isl_planning import find_isls
from sim.plan.passes import Passes
from sim.plan.windows import Find, WindowQuery


class ContactSource(Protocol):
    """Gives the passes of a scenario."""

    def passes(self) -> Passes:
        """Return them, with satellites as servers; raise InputError where the source is wrong."""
        ...


def contact_source(scenario: Scenario, find: Find) -> ContactSource:
    """Return the source that ``orbit.source`` names, or another satellite as ``roles.server``.

    ``find`` looks for the windows of satellites over sites.
    """
    if scenario.roles.relay:
        return RelayPasses(scenario)
    if scenario.orbit.source == "slots":
        return SlotPasses(scenario)
    if scenario.orbit.source == "contacts":
        return FilePasses(scenario)
    return OrbitPasses(scenario, find)


@dataclass(frozen=True, eq=False)
class OrbitPasses:
    """Passes by SGP4 or secular J2; ``find`` looks for their windows."""

    scenario: Scenario
    find: Find

    def passes(self) -> Passes:
        """Return satellites and windows; raise InputError where the elements are wrong."""
        source: Any = self.scenario.orbit
        days = self.scenario.stop.days
        assert days is not None  # the schema asks for it on a real orbit
        satellites = satellites_of(self.scenario)
        sites = ground_sites(self.scenario)
        start = self.scenario.start or max(satellite.epoch for satellite in satellites)
        end = start + timedelta(days=days)
        mask_deg = source.min_elevation_deg
        windows, failures = self.find(WindowQuery(satellites, sites, start, end, mask_deg))
        return Passes(
            servers=[satellite.name for satellite in satellites],
            norad_ids=[satellite.norad_id or None for satellite in satellites],
            clients=[site.name for site in sites],
            start=start,
            span_s=(end - start).total_seconds(),  # datetimes have whole microseconds
            passes=windows,
            satellites=tuple(satellites),
            places=tuple(sites),
            min_elevation_deg=mask_deg,
            doubts=(*orbit.doubts(satellites, start, end), *failures),
        )


@dataclass(frozen=True, eq=False)
class FilePasses:
    """The windows of a file, or of the scenario itself, as far as the scenario names their ends."""

    scenario: Scenario

    def passes(self) -> Passes:
        """Return them; raise InputError (or the error of ``orbit``) for a bad file."""
        file = windows_of(self.scenario)
        names = [node.name for node in ground_nodes(self.scenario)]
        satellites = satellites_of_file(file, self.scenario)
        windows = _renumbered(file, satellites, names)
        days = self.scenario.stop.days
        span_s = float(windows.set_s.max(initial=0.0)) if days is None else days * 86400.0
        windows = windows.where(windows.rise_s < span_s)
        kind = "station" if self.scenario.roles.satellites_learn else "cluster"
        if not len(windows):
            raise InputError(
                f"orbit: no window is left for the {kind}s {', '.join(names)} in the first "
                f"{span_s / 86400:g} days from {file.start:%Y-%m-%dT%H:%M:%SZ}; the sites there "
                f"are {', '.join(file.sites)}"
            )
        windows = replace(
            windows,
            set_s=np.minimum(windows.set_s, span_s),
            culminate_s=np.minimum(windows.culminate_s, span_s),
            clipped_end=windows.clipped_end | (windows.set_s > span_s),
        )
        unused = ", ".join(sorted(set(file.sites) - set(names)))
        doubt = f"windows of {unused} are not used: no {kind} is called so"
        return Passes(
            servers=[satellite.name for satellite in satellites],
            norad_ids=[None] * len(satellites),
            clients=names,
            start=file.start,
            span_s=span_s,
            passes=windows,
            doubts=(doubt,) if unused else (),
        )


def _renumbered(
    file: orbit.WindowFile, satellites: Sequence[SatelliteOfFile], names: list[str]
) -> orbit.ContactWindows:
    """Windows between these satellites and places, with their indices in the two lists."""
    satellite_numbers = np.full(len(file.satellites), -1)
    satellite_numbers[[satellite.index for satellite in satellites]] = np.arange(len(satellites))
    place_of = {name: place for place, name in enumerate(names)}
    site_numbers = np.array([place_of.get(name, -1) for name in file.sites], np.int64)
    satellite = satellite_numbers[file.windows.satellite]
    site = site_numbers[file.windows.site]
    windows = replace(file.windows, satellite=satellite, site=site)
    windows = windows.where((satellite >= 0) & (site >= 0))
    return windows.where(np.lexsort((windows.site, windows.satellite, windows.rise_s)))


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
