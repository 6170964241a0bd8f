"""Where the links of a plan's contacts come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

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
from sim.links.beam import Beam, DeviceLinks, PassFigures, Radios, served_bits
from sim.links.constant_links import (
    Steps,
    bare_links,
    fixed_rate_bps,
    is_steady,
    piecewise_links,
)
from sim.links.link_table import PlanLinks
from sim.links.pass_geometry import GroundPlace, Pass
from sim.plan.contacts import LinkSource
from sim.plan.isl import budget_of, fixed_isl_rate_bps, rate_curve
from sim.plan.service import ServedPasses
from sim.world.sites import distances_km
from sim.world.world import World
from statements.arrays import Floats, Ints


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
        return KnownRates(served, _over_isl(world, served))
    if served.pieces is not None:
        neglected = world.link.downlink == "neglected"
        given = _as_given(served, clusters, radios, served.pieces, neglects_back=neglected)
        return KnownRates(served, given)
    if not served.places:
        return KnownRates(served, _steady(served, clusters, radios))
    if served.topology.in_orbit and all(map(is_steady, radios)):
        figures = partial(_steady_figures, served, radios)
        return KnownRates(served, _steady(served, clusters, radios), figures)
    return _by_passes(world, served, clusters, radios, devices)


@dataclass(frozen=True, eq=False)
class KnownRates:
    """Links whose rates are known between known times, which ``links`` returns for a contact.

    ``without_links`` returns the figures of contacts (N,), where they follow without links.
    """

    served: ServedPasses
    links: Callable[[int], DeviceLinks]
    without_links: Callable[[Ints], PassFigures] | None = None
    _known: dict[int, tuple[float, ...]] = field(default_factory=dict)

    def figures(self, numbers: Ints) -> PassFigures:
        """Return the figures of contacts (N,)."""
        if self.without_links is not None:
            return self.without_links(numbers)
        return PassFigures.of([self._figures(number) for number in numbers.tolist()])

    def _figures(self, number: int) -> tuple[float, ...]:
        """Return the figures of a contact, which tables of a run ask for again and again."""
        if number not in self._known:
            links = self.links(number)
            curve = links.to_server.curve
            bits = curve.capacity_bits, served_bits(curve, *self.served.service_s(number))
            least = (float(each.min()) / 8.0 for each in bits)
            self._known[number] = *least, *links.doppler_hz
        return self._known[number]


def _steady(
    served: ServedPasses, clusters: Sequence[Cluster], radios: Sequence[Radios]
) -> Callable[[int], DeviceLinks]:
    """Return what makes links of a fixed rate or a fixed path gain, from rise to set.

    ``radios`` are those of each place: of each cluster, or of each station.
    """
    ranges = [RangeFrom(place, served.start) for place in served.places]

    def links(number: int) -> DeviceLinks:
        place = served.window_places[number]

        def range_m(time_s: Floats) -> Floats:
            satellite = served.satellites[served.window_satellites[number]]
            return np.array([ranges[place].km(satellite, t) * 1e3 for t in time_s.tolist()])

        return bare_links(
            radios[place],
            clusters[served.windows.site[number]].devices,
            *served.window_s(number),
            range_m if ranges else None,
        )

    return links


def _steady_figures(served: ServedPasses, radios: Sequence[Radios], numbers: Ints) -> PassFigures:
    """Return the figures of contacts at a fixed rate: they follow from how long these last."""
    windows = served.windows
    service = served.service
    places = served.window_places[numbers]
    links = [to_server.link for to_server, _ in radios]
    frequency_hz = np.array([link.frequency_hz for link in links])[places]
    bytes_s = np.array([fixed_rate_bps(link) / 8.0 for link in links])[places]
    fastest_km_s = np.maximum(
        np.abs(windows.rise_range_rate_km_s[numbers]),
        np.abs(windows.set_range_rate_km_s[numbers]),
    )
    service_s = service.end_s[numbers] - service.start_s[numbers]
    return PassFigures(
        least_bytes=bytes_s * (windows.set_s[numbers] - windows.rise_s[numbers]),
        least_in_service_bytes=np.where(np.isnan(service_s), 0.0, bytes_s * service_s),
        doppler_hz=doppler_hz(-fastest_km_s, frequency_hz),
        residual_doppler_hz=np.zeros(len(numbers)),
    )


def _as_given(
    served: ServedPasses,
    clusters: Sequence[Cluster],
    radios: Sequence[Radios],
    pieces: Sequence[orbit.Pieces],
    *,
    neglects_back: bool,
) -> Callable[[int], DeviceLinks]:
    """Return what makes links at the rates, and with the light time, that a contact plan gives.

    ``radios`` are those of each place, which say how devices share. The way back takes no time
    where the scenario ``neglects_back``.
    """

    def links(number: int) -> DeviceLinks:
        given = pieces[int(served.pass_numbers[number])]
        steps, kept = Steps(np.array(given.edge_s)).within(*served.window_s(number))
        up, down, delay_s = (np.array(column)[kept] for column in given[1:])
        of_side = {"uplink": up, "downlink": down}
        to_server, to_client = (of_side[side] for side in served.topology.directions)
        return piecewise_links(
            radios[served.window_places[number]],
            clusters[served.windows.site[number]].devices,
            steps,
            (to_server, None if neglects_back else to_client),
            lambda time_s: steps.at(delay_s, time_s) * SPEED_OF_LIGHT_M_S,
        )

    return links


def _over_isl(world: World, served: ServedPasses) -> Callable[[int], DeviceLinks]:
    """Return what makes the same link in both directions, by ``link.isl``: its rate, or budget."""
    isl = world.link.isl
    assert isl is not None  # the schema asks for it where a satellite serves others
    fixed_bps = fixed_isl_rate_bps(isl)
    budget = budget_of(isl)
    server = world.fleet.server

    def links(number: int) -> DeviceLinks:
        rise_s, set_s = served.window_s(number)
        client = served.satellites[served.window_satellites[number]]

        def range_km(time_s: Floats) -> Floats:
            return orbit.pair_range_km(client, server, served.start, time_s)  # type: ignore[return-value]

        if budget is None:
            curve = LinkCurve.constant(np.array([fixed_bps]), rise_s, set_s)
        else:
            one = rate_curve(lambda time_s: budget.rate_bps(range_km(time_s)), rise_s, set_s)
            curve = LinkCurve(one.time_s[None], one.rate_bps[None])
        return DeviceLinks(Beam(curve), Beam(curve), range_m=lambda time_s: range_km(time_s) * 1e3)

    return links


def _by_passes(
    world: World,
    served: ServedPasses,
    clusters: Sequence[Cluster],
    radios: Sequence[Radios],
    devices: Sequence[Sequence[Site]],
) -> PlanLinks:
    """Return links by the budget of each device over its passes, with what chance draws for it.

    ``radios`` and ``devices`` are those of each place. Links are made together with those that are
    asked for soon after, when their service begins: of one server all contacts, of a constellation
    the served ones, as nobody asks for the links of the others.
    """
    places = [
        GroundPlace(centre, sites, served.min_elevation_deg, both)
        for centre, sites, both in zip(served.places, devices, radios, strict=True)
    ]
    spreads_km = [
        float(distances_km(place.centre, place.devices).max(initial=0.0)) for place in places
    ]
    turns = _turns(served)

    def flown(number: int) -> Pass:
        """Return the window of a contact with what is drawn for its devices."""
        place = served.window_places[number]
        windows = served.whole
        return Pass(
            satellite=served.satellites[served.window_satellites[number]],
            place=places[place],
            rise_s=float(windows.rise_s[number]),
            set_s=float(windows.set_s[number]),
            nearest_km=float(windows.min_slant_range_km[number]) - spreads_km[place],
            path=path(number),
        )

    def path(number: int) -> Path:
        """Draw for the devices from a stream of both ends: other ends change nothing."""
        if places[served.window_places[number]].radios[0].link.environment is None:
            return CLEAR_PATH
        cluster = clusters[served.windows.site[number]]
        satellite = served.satellites[served.window_satellites[number]]
        client = satellite.name if served.topology.in_orbit else cluster.name
        server = served.servers[served.windows.satellite[number]]
        turn = int(turns[served.pass_numbers[number]])
        return draw_paths(cluster.devices, stream(world.seed, "path", client, server, turn))

    soon = np.flatnonzero(served.service.served | (not served.constellation))
    begin_s = np.fmax(served.service.start_s, served.windows.rise_s)[soon]
    in_turn = soon[np.argsort(begin_s, kind="stable")]
    return PlanLinks(served.start, flown, served.service_s, in_turn)


def _turns(served: ServedPasses) -> Ints:
    """Number the passes of each satellite over each place, from 0."""
    turns = np.empty(len(served.uncut), np.int64)
    for passes in groups(served.flyers.which * len(served.places) + served.grounded.which):
        turns[passes] = np.arange(len(passes))
    return turns
