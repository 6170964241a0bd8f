"""Where the links of a plan's contacts come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np

import orbit
from channel import (
    CLEAR_PATH,
    SPEED_OF_LIGHT_M_S,
    LinkCurve,
    Path,
    doppler_hz,
    draw_paths,
)
from learning import stream
from learning.requests.cluster import Cluster
from orbit import RangeFrom, Site
from orbit.windows import groups
from sim.links.beam import Beam, Radios
from sim.links.constant_links import (
    Steps,
    bare_links,
    fixed_rate_bps,
    is_steady,
    piecewise_links,
)
from sim.links.device_links import DeviceLinks, FigureColumns, PassFigures
from sim.links.pass_geometry import GroundPlace, Pass
from sim.links.plan_links import PlanLinks
from sim.plan.contacts import ContactLinks
from sim.plan.isl import budget_of, fixed_isl_rate_bps, rate_curve
from sim.plan.service import ServedPasses
from sim.world.sites import distances_km
from sim.world.world import World
from statements.arrays import Floats, Ints


class LinkSource(Protocol):
    """Gives the links of contacts by their numbers in a plan."""

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact, made when their curves are first asked for."""
        ...

    def figures(self, numbers: Ints) -> FigureColumns | None:
        """Return the figures of many contacts where links need not be made for that, else None."""
        ...


def link_source(
    world: World,
    served: ServedPasses,
    clusters: Sequence[Cluster],
    radios: Sequence[Radios],
    devices: Sequence[Sequence[Site]],
) -> LinkSource:
    """Return the source of the links of a scenario.

    ``radios`` and ``devices`` are those at each of the places, or of each cluster where there is no
    geometry.
    """
    if served.topology.relay:
        return RelayLinks(world, served)
    if served.pieces is not None:
        neglected = world.link.downlink == "neglected"
        return GivenRateLinks(served, clusters, radios, served.pieces, neglects_back=neglected)
    if not served.places:
        return BareLinks(served, clusters, radios)
    if served.topology.in_orbit and all(map(is_steady, radios)):
        return FixedRateLinks(served, clusters, radios)
    return PassLinks(world, served, clusters, radios, devices)


@dataclass(frozen=True, eq=False)
class BareLinks:
    """Links of a fixed rate or a fixed path gain, from the rise to the set of each window.

    ``radios`` are those of each place: of each cluster, or of each station.
    """

    served: ServedPasses
    clusters: Sequence[Cluster]
    radios: Sequence[Radios]

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact."""
        rise_s, set_s = self.served.window_s(number)
        start_s, end_s = self.served.service_s(number)
        radios = self.radios[self.served.window_places[number]]
        devices = self.clusters[self.served.windows.site[number]].devices
        return ContactLinks(partial(bare_links, radios, devices, rise_s, set_s), start_s, end_s)

    def figures(self, numbers: Ints) -> None:
        """Return None: they follow from the links."""


@dataclass(frozen=True, eq=False)
class GivenRateLinks:
    """Links at the rates, and with the light time, that a contact plan gives for each pass.

    ``radios`` are those of each place, which say how devices share. The way back takes no time
    where the scenario ``neglects_back``.
    """

    served: ServedPasses
    clusters: Sequence[Cluster]
    radios: Sequence[Radios]
    pieces: Sequence[orbit.Pieces]
    neglects_back: bool

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact."""
        start_s, end_s = self.served.service_s(number)
        return ContactLinks(partial(self._devices, number), start_s, end_s)

    def figures(self, numbers: Ints) -> None:
        """Return None: they follow from the links."""

    def _devices(self, number: int) -> DeviceLinks:
        served = self.served
        pieces = self.pieces[int(served.pass_numbers[number])]
        steps, kept = Steps(np.array(pieces.edge_s)).within(*served.window_s(number))
        up, down, delay_s = (np.array(column)[kept] for column in pieces[1:])
        of_side = {"uplink": up, "downlink": down}
        to_server, to_client = (of_side[side] for side in served.topology.directions)
        return piecewise_links(
            self.radios[served.window_places[number]],
            self.clusters[served.windows.site[number]].devices,
            steps,
            (to_server, None if self.neglects_back else to_client),
            lambda time_s: steps.at(delay_s, time_s) * SPEED_OF_LIGHT_M_S,
        )


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
        start_s, end_s = self.served.service_s(number)
        return ContactLinks(
            make=partial(self._devices, number),
            start_s=start_s,
            end_s=end_s,
            figures=partial(self._figures_of, number),
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

    def _figures_of(self, number: int) -> PassFigures:
        """Return the figures of a contact."""
        one = self.figures(np.array([number]))
        return PassFigures(
            float(one.least_bytes[0]),
            float(one.least_in_service_bytes[0]),
            (float(one.doppler_hz[0]), 0.0),
        )

    def _devices(self, number: int) -> DeviceLinks:
        rise_s, set_s = self.served.window_s(number)
        radios = self.radios[self.served.window_places[number]]
        devices = self.clusters[self.served.windows.site[number]].devices

        satellite = self.served.satellites[self.served.window_satellites[number]]
        of = self._ranges[self.served.window_places[number]]

        def range_m(time_s: Floats) -> Floats:
            return np.array([of.km(satellite, t) * 1e3 for t in time_s.tolist()])

        return bare_links(radios, devices, rise_s, set_s, range_m)

    @cached_property
    def _ranges(self) -> list[RangeFrom]:
        """What measures ranges from each of the places."""
        return [RangeFrom(place, self.served.start) for place in self.served.places]


class PassLinks:
    """Links by the budget of each device over its passes, with what is drawn for its environment.

    ``radios`` and ``devices`` are those of each place. Links are made together with those that are
    asked for soon after, when their service begins: of one server all contacts, of a constellation
    the served ones, as nobody asks for the links of the others.
    """

    def __init__(
        self,
        world: World,
        served: ServedPasses,
        clusters: Sequence[Cluster],
        radios: Sequence[Radios],
        devices: Sequence[Sequence[Site]],
    ) -> None:
        self._seed = world.seed
        self._served = served
        self._clusters = clusters
        self._places = [
            GroundPlace(centre, sites, served.min_elevation_deg, both)
            for centre, sites, both in zip(served.places, devices, radios, strict=True)
        ]
        self._spreads_km = [
            float(distances_km(place.centre, place.devices).max(initial=0.0))
            for place in self._places
        ]
        self._turns = _turns(served)
        soon = np.flatnonzero(served.service.served | (not served.constellation))
        begin_s = np.fmax(served.service.start_s, served.windows.rise_s)[soon]
        in_turn = soon[np.argsort(begin_s, kind="stable")]
        self._links = PlanLinks(served.start, self._pass, served.service_s, in_turn)

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
        windows = self._served.whole
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
        client = satellite.name if served.topology.in_orbit else cluster.name
        server = served.servers[served.windows.satellite[number]]
        turn = int(self._turns[served.pass_numbers[number]])
        return draw_paths(cluster.devices, stream(self._seed, "path", client, server, turn))


def _turns(served: ServedPasses) -> Ints:
    """Number the passes of each satellite over each place, from 0."""
    turns = np.empty(len(served.uncut), np.int64)
    for passes in groups(served.pass_satellites * len(served.places) + served.pass_places):
        turns[passes] = np.arange(len(passes))
    return turns


class RelayLinks:
    """The same link in both directions, by ``link.isl``: at a fixed rate, or by its budget."""

    def __init__(self, world: World, served: ServedPasses) -> None:
        isl = world.link.isl
        assert isl is not None  # the schema asks for it where a satellite serves others
        self._fixed_bps = fixed_isl_rate_bps(isl)
        self._budget = budget_of(isl)
        self._server = world.fleet.server
        self._served = served

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact."""
        start_s, end_s = self._served.service_s(number)
        return ContactLinks(partial(self._device_links, number), start_s, end_s)

    def figures(self, numbers: Ints) -> None:
        """Return None: they follow from the links."""

    def _device_links(self, number: int) -> DeviceLinks:
        rise_s, set_s = self._served.window_s(number)
        client = self._served.satellites[self._served.window_satellites[number]]
        start = self._served.start

        def range_km(time_s: Floats) -> Floats:
            return orbit.pair_range_km(client, self._server, start, time_s)  # type: ignore[return-value]

        if self._budget is None:
            curve = LinkCurve.constant(np.array([self._fixed_bps]), rise_s, set_s)
        else:
            budget = self._budget
            one = rate_curve(lambda time_s: budget.rate_bps(range_km(time_s)), rise_s, set_s)
            curve = LinkCurve(one.time_s[None], one.rate_bps[None])
        return DeviceLinks(Beam(curve), Beam(curve), range_m=lambda time_s: range_km(time_s) * 1e3)
