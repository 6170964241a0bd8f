"""Which windows are served: passes cut by outages, shared among the clusters of each server.

And whether so many fit into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

import orbit
from learning.hardware import free_bytes
from orbit.windows import Look, cut, cut_at, groups
from scenarios.orbit import WithGeometry, WithService
from sim.devices.outages import Outages, outages_of
from sim.errors import InputError
from sim.formatting import counted, data_size
from sim.plan.contacts import ContactTable
from sim.plan.passes import Find, WorldPasses, feeder_passes_of, find_windows, passes_of
from sim.world.world import World
from statements import Code
from statements.arrays import Floats, Ints

CONTACT_BYTES = 3e3
"""Memory of a planned contact."""
WINDOW_BYTES = 250.0
"""Memory of a window before it is planned."""
DEVICE_BYTES = 1e3
"""Memory of a device's place."""
PASSES_A_DAY = 5
"""Passes of a satellite in a low orbit over a place, about."""


def check_plan(world: World, contact_bytes: float) -> None:
    """Raise InputError for a scenario whose contacts and devices do not fit into free memory.

    ``contact_bytes`` is the memory of each contact. The check precedes the search for contacts.
    """
    free = free_bytes("cpu")
    contacts, figures = _expected_contacts(world)
    devices = sum(cluster.devices or 0 for cluster in world.ground.clusters)
    needed = contact_bytes * contacts + DEVICE_BYTES * devices
    if free is not None and needed > free:
        of_slots = world.slots is not None
        factors = ["cycles", "days"] if of_slots else ["days", "satellites"]
        factors += ["clusters"] if world.ground.clusters else []
        factors += ["devices"] if devices else []
        factors += ["stations"] if world.ground.stations else []
        many = f" and {devices} devices" if devices else ""
        raise InputError.of(
            Code.NO_MEMORY,
            "",
            f"the plan of about {{contacts:.3g}} contacts ({{figures}}){many} needs "
            f"{data_size(needed)} of memory and {data_size(free)} are free: simulate fewer "
            f"{', '.join(factors[:-1])} or {factors[-1]}",
            contacts=contacts,
            figures=figures,
            devices=devices,
            needed_bytes=needed,
            free_bytes=free,
        )


def _expected_contacts(world: World) -> tuple[float, str]:
    """Return about how many contacts a scenario has, and the factors of that in words."""
    orbit = world.orbit
    stop = world.stop
    ground = world.ground
    clusters = len(ground.clusters or ground.stations or ())
    if world.link.feeder is not None:
        clusters += len(ground.stations or ())
    if (slots := world.slots) is not None:
        by_days = np.inf if stop.days is None else stop.days * 86400 / slots.cycles_s(1)
        cycles = min(by_days, np.inf if stop.cycles is None else stop.cycles)
        return cycles * clusters, f"{cycles:.3g} cycles of {clusters}"
    if not isinstance(orbit, WithGeometry):
        return 0.0, "of a file"
    satellites = orbit.satellites_known
    days = stop.days or 0.0
    kind = "clusters" if ground.clusters else "stations"
    kind = "clusters and stations" if world.link.feeder is not None else kind
    figures = f"{satellites} satellites over {clusters} {kind}, {counted(days, 'day')}"
    return PASSES_A_DAY * satellites * clusters * days, figures


def served_passes(world: World, find: Find = find_windows) -> ContactTable:
    """Return who sees and who serves whom in a scenario; ``find`` looks for the windows."""
    check_plan(world, WINDOW_BYTES)
    passes = passes_of(world, find)
    outages = outages_of(world, passes.servers, passes.start, passes.span_s)
    if world.slots is not None:
        return _served_in_slots(passes, outages)
    if world.topology.grounded == "cluster":
        return _served(passes, world.service, outages, _by_satellites(world, len(passes.servers)))
    planes = [satellite.plane for satellite in passes.satellites]
    passes = passes.with_satellites_as_clients(planes if world.topology.clients == "planes" else ())
    return _served(passes, world.service, outages, _of_satellites(world))


def served_feeder_passes(world: World, outages: Outages, find: Find = find_windows) -> ContactTable:
    """Return which passes over the stations that serve devices get an antenna there.

    A satellite has one link to a station at a time, and none in ``outages`` of one of the two.
    """
    passes = feeder_passes_of(world, find)
    return _served(passes, world.service, outages, _of_satellites(world))


class _Sharing(NamedTuple):
    """How servers are shared, each by so many clients ``at_a_time``: None for any number.

    ``acquisition_s`` is the time that each server takes to the first bit. Where a service ``joins``
    the one before it without a gap, both are one session. A client ``turns`` from one server to
    what has risen. A ``constellation`` serves with whichever server there is.
    """

    at_a_time: Sequence[int | None]
    joins: bool
    turns: bool = False
    constellation: bool = True
    acquisition_s: float | Sequence[float] = 0.0


def _by_satellites(world: World, satellites: int) -> _Sharing:
    """Return how clients on the ground share satellites by their beams."""
    source = world.service
    passes_alone = world.topology.access
    return _Sharing(
        (source.beams,) * satellites,
        joins=not passes_alone and source.session != "contact" and source.serving != "single",
        constellation=passes_alone or source.serving == "any",
    )


def _of_satellites(world: World) -> _Sharing:
    """Return how satellites share the antennas of stations, or the terminals of one satellite."""
    sites = world.sites
    joins = world.service.session not in (None, "contact")
    acquisition_s = sites.acquisition_s or 0.0
    return _Sharing(tuple(sites.antennas), joins, turns=True, acquisition_s=acquisition_s)


def _working(
    passes: WorldPasses, outages: Outages, look: Look | None = None
) -> tuple[orbit.ContactWindows, Ints]:
    """Cut passes into the windows in which nobody is out; return the pass of each, too."""
    flyers, grounded = passes.flyers, passes.grounded
    names = flyers.names, grounded.names
    which, out = outages.of_contacts(names, flyers.which, grounded.which)
    return cut(passes.uncut, which, out, look)


def _served_in_slots(passes: WorldPasses, outages: Outages) -> ContactTable:
    """Serve every cluster once a cycle; the pieces that an outage leaves are one session."""
    windows, numbers = _working(passes, outages)
    return ContactTable(
        **vars(passes),
        outages=outages,
        whole=windows,
        windows=windows,
        pass_numbers=numbers,
        service=orbit.serve(windows),
        session=numbers // len(passes.clients),
        constellation=False,
        at_a_time=(1,) * len(passes.servers),
    )


def _served(
    passes: WorldPasses, source: WithService, outages: Outages, sharing: _Sharing
) -> ContactTable:
    """Share the servers by the rules of ``orbit:`` outside of ``outages``."""
    look = _look(passes) if passes.places else None
    whole, numbers = _working(passes, outages, look)
    # An outage may leave a piece of a pass that begins after the end.
    begun = whole.rise_s < passes.span_s
    whole, numbers = whole.where(begun), numbers[begun]
    seen = None if look is None else lambda number, time_s: look(int(numbers[number]), time_s)

    def elevation_deg(number: int, time_s: float) -> float:
        assert seen is not None
        return float(seen(number, np.array([time_s]))[0, 0])

    service = orbit.serve(
        whole,
        sharing.at_a_time,
        priority=source.priority,
        hand_over=source.hand_over or "longest_remaining",
        min_contact_s=source.min_contact_s,
        elevation_deg=None if look is None else elevation_deg,
        acquisition_s=sharing.acquisition_s,
    )
    if sharing.turns:
        service = one_at_a_time(whole, service)
    service = _until(service, passes.span_s)
    windows = cut_at(whole, passes.span_s, seen)
    return ContactTable(
        **vars(passes),
        outages=outages,
        whole=whole,
        windows=windows,
        pass_numbers=numbers,
        service=service,
        session=session_numbers(windows, service, joins=sharing.joins),
        constellation=sharing.constellation,
        at_a_time=tuple(sharing.at_a_time),
    )


def _until(service: orbit.Service, end_s: float) -> orbit.Service:
    """Return what of a service is before the end."""
    begun = service.start_s < end_s
    waits = service.wait_from_s < end_s
    return replace(
        service,
        served=service.served & begun,
        start_s=np.where(begun, service.start_s, np.nan),
        end_s=np.where(begun, np.minimum(service.end_s, end_s), np.nan),
        wait_from_s=np.where(waits, service.wait_from_s, np.nan),
        setup_s=np.where(begun, service.setup_s, np.nan),
    )


MOMENT_S = 0.01
"""How long a station serves a satellite that is over several ones when a run starts."""


def one_at_a_time(windows: orbit.ContactWindows, service: orbit.Service) -> orbit.Service:
    """End the services of a client where its next one begins: it turns to what has risen.

    Stations with any number of antennas may serve a client together. Those that begin at the same
    instant, at the start of a run, serve it for a moment each, and the last one from then on.
    """
    order = np.lexsort((service.start_s, windows.site))
    order = order[service.served[order]]
    start_s = service.start_s[order]
    end_s = service.end_s[order].copy()
    site = windows.site[order]
    same = site[1:] == site[:-1]
    tied = np.flatnonzero(same & (start_s[1:] == start_s[:-1])) + 1
    for late in tied.tolist():  # one after the other, as there may be more than two
        start_s[late] = start_s[late - 1] + MOMENT_S
    end_s[:-1] = np.where(same, np.minimum(end_s[:-1], start_s[1:]), end_s[:-1])
    kept = end_s > start_s
    starts_s: Floats = np.full(len(windows), np.nan)
    starts_s[order[kept]] = start_s[kept]
    ends_s: Floats = np.full(len(windows), np.nan)
    ends_s[order[kept]] = end_s[kept]
    return replace(service, served=~np.isnan(starts_s), start_s=starts_s, end_s=ends_s)


def session_numbers(windows: orbit.ContactWindows, service: orbit.Service, *, joins: bool) -> Ints:
    """Number the sessions of each client from 0; -1 for windows that were not served.

    A session is one service, or ``joins`` those that follow each other without a gap.
    """
    numbers = np.full(len(windows), -1, dtype=np.int64)
    for of_client in groups(windows.site):
        services = of_client[service.served[of_client]]
        services = services[np.argsort(service.start_s[services], kind="stable")]
        gaps_s = service.start_s[services][1:] - np.maximum.accumulate(service.end_s[services])[:-1]
        parted = (gaps_s > 0.0) | (not joins)
        numbers[services] = np.append(0, np.cumsum(parted))[: len(services)]
    return numbers


def _look(passes: WorldPasses) -> Look:
    def look(number: int, time_s: Floats) -> Floats:
        satellite = passes.satellites[passes.flyers.which[number]]
        place = passes.places[passes.grounded.which[number]]
        angles = orbit.look_angles(satellite, place, passes.start, time_s)
        rows = [
            angles.elevation_deg,
            angles.azimuth_deg,
            angles.slant_range_km,
            angles.range_rate_km_s,
        ]
        return np.stack(rows)[:, :, 0]

    return look
