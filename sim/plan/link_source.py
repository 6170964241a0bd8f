"""Where the links of a plan's contacts come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
from orbit import RangeFrom, Site
from orbit.windows import groups
from sim.links.beam import (
    Beam,
    DeviceLinks,
    PassFigures,
    Steps,
    bare_links,
    fixed_rate_bps,
    is_steady,
    piecewise_links,
    served_bits,
)
from sim.links.link_table import PlanLinks
from sim.links.pass_geometry import GroundPlace, Pass
from sim.plan.contacts import ContactTable, LinkSource
from sim.plan.isl import budget_of, fixed_isl_rate_bps, rate_curve
from sim.plan.radios import ground_radios
from sim.world.sites import distances_km
from sim.world.world import World
from statements.arrays import Floats, Ints


def with_links(world: World, contacts: ContactTable) -> ContactTable:
    """Return contacts with their clients, radios, and what makes their links."""
    clients = replace(
        contacts,
        clusters=world.sites.clusters,
        radios=ground_radios(world),
        devices=_devices(world, contacts),
    )
    return replace(clients, link_source=_link_source(world, clients))


def _devices(world: World, contacts: ContactTable) -> list[tuple[Site, ...]]:
    """Sites of the devices at each place, a station's own; none where there is no geometry."""
    if not contacts.places:
        return [()] * len(contacts.clients)
    if contacts.topology.grounded == "station":
        return [(station,) for station in contacts.places]
    return [world.sites.devices_of(index) for index in range(len(contacts.places))]


def _link_source(world: World, contacts: ContactTable) -> LinkSource:
    if contacts.topology.grounded == "relay":
        return KnownRates(contacts, _over_isl(world, contacts))
    if contacts.pieces is not None:
        neglected = world.link.downlink == "neglected"
        return KnownRates(contacts, _as_given(contacts, contacts.pieces, neglects_back=neglected))
    if not contacts.places:
        return KnownRates(contacts, _steady(contacts))
    if contacts.topology.grounded == "station" and all(map(is_steady, contacts.radios)):
        return KnownRates(contacts, _steady(contacts), partial(_steady_figures, contacts))
    return _by_passes(world, contacts)


@dataclass(frozen=True, eq=False)
class KnownRates:
    """Links whose rates are known between known times, which ``links`` returns for a contact.

    ``without_links`` returns the figures of contacts (N,), where they follow without links.
    """

    contacts: ContactTable
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
            bits = curve.capacity_bits, served_bits(curve, *self.contacts.service_s(number))
            least = (float(each.min()) / 8.0 for each in bits)
            self._known[number] = *least, *links.doppler_hz
        return self._known[number]


def _window_s(contacts: ContactTable, number: int) -> tuple[float, float]:
    """Rise and set of a window that the end of the span does not cut."""
    return float(contacts.whole.rise_s[number]), float(contacts.whole.set_s[number])


def _steady(contacts: ContactTable) -> Callable[[int], DeviceLinks]:
    """Return what makes links of a fixed rate or a fixed path gain, from rise to set."""
    ranges = [RangeFrom(place, contacts.start) for place in contacts.places]

    def links(number: int) -> DeviceLinks:
        place = contacts.ground[number]

        def range_m(time_s: Floats) -> Floats:
            satellite = contacts.satellites[contacts.flyer[number]]
            return np.array([ranges[place].km(satellite, t) * 1e3 for t in time_s.tolist()])

        return bare_links(
            contacts.radios[place],
            contacts.clusters[contacts.client[number]].devices,
            *_window_s(contacts, number),
            range_m if ranges else None,
        )

    return links


def _steady_figures(contacts: ContactTable, numbers: Ints) -> PassFigures:
    """Return the figures of contacts at a fixed rate: they follow from how long these last."""
    windows = contacts.windows
    places = contacts.ground[numbers]
    links = [to_server.link for to_server, _ in contacts.radios]
    frequency_hz = np.array([link.frequency_hz for link in links])[places]
    bytes_s = np.array([fixed_rate_bps(link) / 8.0 for link in links])[places]
    fastest_km_s = np.maximum(
        np.abs(windows.rise_range_rate_km_s[numbers]),
        np.abs(windows.set_range_rate_km_s[numbers]),
    )
    service_s = contacts.end_s[numbers] - contacts.start_s[numbers]
    return PassFigures(
        least_bytes=bytes_s * (contacts.set_s[numbers] - contacts.rise_s[numbers]),
        least_in_service_bytes=np.where(np.isnan(service_s), 0.0, bytes_s * service_s),
        doppler_hz=doppler_hz(-fastest_km_s, frequency_hz),
        residual_doppler_hz=np.zeros(len(numbers)),
    )


def _as_given(
    contacts: ContactTable, pieces: Sequence[orbit.Pieces], *, neglects_back: bool
) -> Callable[[int], DeviceLinks]:
    """Return what makes links at the rates, and with the light time, that a contact plan gives.

    Radios say how devices share. The way back takes no time where the scenario ``neglects_back``.
    """

    def links(number: int) -> DeviceLinks:
        given = pieces[int(contacts.pass_numbers[number])]
        steps, kept = Steps(np.array(given.edge_s)).within(*_window_s(contacts, number))
        up, down, delay_s = (np.array(column)[kept] for column in given[1:])
        of_side = {"uplink": up, "downlink": down}
        to_server, to_client = (of_side[side] for side in contacts.topology.directions)
        return piecewise_links(
            contacts.radios[contacts.ground[number]],
            contacts.clusters[contacts.client[number]].devices,
            steps,
            (to_server, None if neglects_back else to_client),
            lambda time_s: steps.at(delay_s, time_s) * SPEED_OF_LIGHT_M_S,
        )

    return links


def _over_isl(world: World, contacts: ContactTable) -> Callable[[int], DeviceLinks]:
    """Return what makes the same link in both directions, by ``link.isl``: its rate, or budget."""
    isl = world.link.isl
    assert isl is not None  # the schema asks for it where a satellite serves others
    fixed_bps = fixed_isl_rate_bps(isl)
    budget = budget_of(isl)
    server = world.fleet.server

    def links(number: int) -> DeviceLinks:
        rise_s, set_s = _window_s(contacts, number)
        client = contacts.satellites[contacts.flyer[number]]

        between = orbit.RangesBetween([client, server], contacts.start)

        def range_km(time_s: Floats) -> Floats:
            return between.km(0, 1, time_s)  # type: ignore[return-value]

        if budget is None:
            curve = LinkCurve.constant(np.array([fixed_bps]), rise_s, set_s)
        else:
            one = rate_curve(lambda time_s: budget.rate_bps(range_km(time_s)), rise_s, set_s)
            curve = LinkCurve(one.time_s[None], one.rate_bps[None])
        return DeviceLinks(Beam(curve), Beam(curve), range_m=lambda time_s: range_km(time_s) * 1e3)

    return links


def _by_passes(world: World, contacts: ContactTable) -> PlanLinks:
    """Return links by the budget of each device over its passes, with what chance draws for it.

    They are made together with those that are asked for soon after, when their service begins: of
    one server all contacts, of a constellation the served ones, as nobody asks for the links of the
    others.
    """
    places = [
        GroundPlace(centre, sites, contacts.min_elevation_deg, both)
        for centre, sites, both in zip(
            contacts.places, contacts.devices, contacts.radios, strict=True
        )
    ]
    spreads_km = [
        float(distances_km(place.centre, place.devices).max(initial=0.0)) for place in places
    ]
    turns = _turns(contacts)

    def flown(number: int) -> Pass:
        """Return the window of a contact with what is drawn for its devices."""
        place = contacts.ground[number]
        windows = contacts.whole
        return Pass(
            satellite=contacts.satellites[contacts.flyer[number]],
            place=places[place],
            rise_s=float(windows.rise_s[number]),
            set_s=float(windows.set_s[number]),
            nearest_km=float(windows.min_slant_range_km[number]) - spreads_km[place],
            path=path(number),
        )

    def path(number: int) -> Path:
        """Draw for the devices from a stream of both ends: other ends change nothing."""
        if places[contacts.ground[number]].radios[0].link.environment is None:
            return CLEAR_PATH
        devices = contacts.clusters[contacts.client[number]].devices
        [ends] = contacts.ends(np.array([number]))
        turn = int(turns[contacts.pass_numbers[number]])
        draws = stream(world.seed, "path", *contacts.topology.client_and_server(*ends), turn)
        return draw_paths(devices, draws)

    soon = np.flatnonzero(contacts.served | (not contacts.constellation))
    begin_s = np.fmax(contacts.start_s, contacts.rise_s)[soon]
    in_turn = soon[np.argsort(begin_s, kind="stable")]
    return PlanLinks(contacts.start, flown, contacts.service_s, in_turn)


def _turns(contacts: ContactTable) -> Ints:
    """Number the passes of each satellite over each place, from 0."""
    turns = np.empty(len(contacts.uncut), np.int64)
    for passes in groups(contacts.flyers.which * len(contacts.places) + contacts.grounded.which):
        turns[passes] = np.arange(len(passes))
    return turns
