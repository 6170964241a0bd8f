"""Passes of ready contact windows: an export of leomix, or of another tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import orbit
from scenarios import Scenario
from sim.devices.satellites import SatelliteOfFile, satellites_of_file, windows_of
from sim.devices.sites import ground_nodes
from sim.errors import InputError
from sim.plan.passes import Passes


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
