"""Links of satellites that learn, under fixed rates: the geometry gives the delay alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

import orbit
from channel import doppler_hz
from learning.requests.cluster import Cluster, Floats, Ints
from sim.links.beam import Radios
from sim.links.constant_links import bare_links, fixed_rate_bps
from sim.links.device_links import FigureColumns, PassFigures
from sim.plan.contacts import ContactLinks
from sim.plan.service import ServedPasses


@dataclass(frozen=True, eq=False)
class FixedRateLinks:
    """Links of one device each whose rate is fixed from rise to set.

    ``radios`` are those of each station. What a contact carries follows from how long it lasts, so
    that figures of thousands of contacts need no link.
    """

    served: ServedPasses
    clusters: Sequence[Cluster]
    radios: Sequence[Radios]

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact."""
        served = self.served
        rise_s, set_s = served.window_s(number)
        start_s, end_s = served.service_s(number)
        radios = self.radios[served.window_places[number]]
        devices = self.clusters[served.windows.site[number]].devices
        range_m = partial(self._range_m, number)
        return ContactLinks(
            make=partial(bare_links, radios, devices, rise_s, set_s, range_m),
            start_s=start_s,
            end_s=end_s,
            figures=partial(self._figures, number),
        )

    def figures(self, numbers: Ints) -> FigureColumns:
        """Return the figures of contacts."""
        windows = self.served.windows
        service = self.served.service
        places = self.served.window_places[numbers]
        links = [to_server.link for to_server, _ in self.radios]
        frequency_hz = np.array([link.frequency_hz for link in links])[places]
        bytes_s = np.array([fixed_rate_bps(link) / 8.0 for link in links])[places]
        fastest_km_s = np.maximum(
            np.abs(windows.rise_range_rate_km_s[numbers]),
            np.abs(windows.set_range_rate_km_s[numbers]),
        )
        window_s = windows.set_s[numbers] - windows.rise_s[numbers]
        service_s = service.end_s[numbers] - service.start_s[numbers]
        return FigureColumns(
            least_bytes=bytes_s * window_s,
            least_in_service_bytes=np.where(np.isnan(service_s), 0.0, bytes_s * service_s),
            doppler_hz=doppler_hz(-fastest_km_s, frequency_hz),
            residual_doppler_hz=np.zeros(len(numbers)),
        )

    def _figures(self, number: int) -> PassFigures:
        one = self.figures(np.array([number]))
        return PassFigures(
            float(one.least_bytes[0]),
            float(one.least_in_service_bytes[0]),
            (float(one.doppler_hz[0]), 0.0),
        )

    def _range_m(self, number: int, time_s: Floats) -> Floats:
        """Return the slant range at each of the times."""
        served = self.served
        satellite = served.satellites[served.window_satellites[number]]
        place = served.places[served.window_places[number]]
        ranges_km = [
            orbit.slant_range_km(satellite, place, served.start, t) for t in time_s.tolist()
        ]
        return np.array(ranges_km) * 1e3
