"""Links of passes over places, by where each device sees its satellite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from channel import CLEAR_PATH, Path, draw_paths
from learning import stream
from learning.requests.cluster import Cluster, Ints
from orbit import Site
from orbit.windows import groups
from scenarios import Scenario
from sim.devices.sites import distance_km
from sim.links.beam import Radios
from sim.links.pass_geometry import GroundPlace, Pass
from sim.links.plan_links import PlanLinks
from sim.plan.contacts import ContactLinks
from sim.plan.service import ServedPasses


class PassLinks:
    """Links by the budget of each device over its passes, with what is drawn for its environment.

    ``radios`` and ``devices`` are those of each place. Links are made together with those that are
    asked for soon after: of one server all contacts, of a constellation the served ones, as nobody
    asks for the links of the others.
    """

    def __init__(
        self,
        scenario: Scenario,
        served: ServedPasses,
        clusters: Sequence[Cluster],
        radios: Sequence[Radios],
        devices: Sequence[Sequence[Site]],
    ) -> None:
        self._seed = scenario.seed
        self._served = served
        self._clusters = clusters
        self._places = [
            GroundPlace(centre, sites, served.min_elevation_deg, both)
            for centre, sites, both in zip(served.places, devices, radios, strict=True)
        ]
        self._spreads_km = [
            max((distance_km(place.centre, device) for device in place.devices), default=0.0)
            for place in self._places
        ]
        self._turns = _turns(served)
        soon = np.flatnonzero(served.service.served | (not served.constellation))
        self._links = PlanLinks(served.start, self._pass, served.service_s, soon)

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact."""
        start_s, end_s = self._served.service_s(number)
        return ContactLinks(
            make=partial(self._links.links, number),
            start_s=start_s,
            end_s=end_s,
            figures=partial(self._links.figures, number),
        )

    def figures(self, numbers: Ints) -> None:
        """Return None: they follow from the links."""

    def _pass(self, number: int) -> Pass:
        """Return the window of a contact with what is drawn for its devices."""
        place = self._served.window_places[number]
        windows = self._served.windows
        return Pass(
            satellite=self._served.satellites[self._served.window_satellites[number]],
            place=self._places[place],
            rise_s=float(windows.rise_s[number]),
            set_s=float(windows.set_s[number]),
            nearest_km=float(windows.min_slant_range_km[number]) - self._spreads_km[place],
            path=self._path(number),
        )

    def _path(self, number: int) -> Path:
        """Draw for the devices from a stream of both ends: other ends change nothing."""
        served = self._served
        place = self._places[served.window_places[number]]
        if place.radios[0].link.environment is None:
            return CLEAR_PATH
        cluster = self._clusters[served.windows.site[number]]
        satellite = served.satellites[served.window_satellites[number]]
        client = satellite.name if served.turned else cluster.name
        server = served.servers[served.windows.satellite[number]]
        turn = int(self._turns[served.pass_numbers[number]])
        return draw_paths(cluster.devices, stream(self._seed, "path", client, server, turn))


def _turns(served: ServedPasses) -> Ints:
    """Number the passes of each satellite over each place, from 0."""
    turns = np.empty(len(served.passes), np.int64)
    for passes in groups(served.pass_satellites * len(served.places) + served.pass_places):
        turns[passes] = np.arange(len(passes))
    return turns
