"""Clients that are never seen, never served, or never asked: why, and what helps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor
from typing import Any

import numpy as np

import orbit
from channel import SPEED_OF_LIGHT_M_S
from orbit.utc import to_second
from sim.advice.remedies import MOST_PLACES_NAMED, longer_run, more_links
from sim.errors import InputError
from sim.formatting import counted, some
from sim.plan.contacts import ContactTable
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.world.world import World
from statements import Code, Lower, Raise, Remedy, Remove, Set, Statement
from statements.arrays import Floats, Ints


def check_served(world: World, plan: Plan, needs_isl: Sequence[str] = ()) -> Iterator[Statement]:
    """Yield a doubt on clients for which beams or antennas are too few: they are never served.

    Raise InputError for a cluster that nothing could serve: it is never seen, or is out or in view
    for too short a time. In slots every cluster is seen and served, unless its satellites are out
    in all windows. Of planes whose rings the method needs (``needs_isl``) one satellite has to be
    served, and none where it needs links between planes, or messages of satellites take links.
    """
    served = plan.contacts
    if world.topology.over_mesh or "between_planes" in needs_isl:
        return
    rings = plan.isls.rings if needs_isl and plan.isls is not None else ()
    longer = [*longer_run(world)]
    of_file = world.link.isl is not None and world.link.isl.windows is not None
    service = served.service
    unserved = {
        name
        for name, windows in zip(served.clients, served.of_clients, strict=True)
        if not service.served[windows].any()
    }
    carried = {name for ring in rings if not unserved.issuperset(ring) for name in ring} & unserved
    figures = orbit.coverage(served.windows, len(served.clients), served.span_s)
    key = served.topology.clients_key
    passes = np.bincount(served.uncut.site, minlength=len(served.clients)).tolist()
    crowded_out: list[int] = []
    for site, name in enumerate(served.clients):
        if name in carried:
            continue
        windows = served.of_clients[site]
        if passes[site] and not len(windows):
            it = "it or its" if world.faults.planned else "its"
            text = f"{{client!r}}: {it} satellites are out in all of its {{windows}} windows"
            helps: Sequence[Remedy] = [*_less_out(world), *longer]
            values = {"client": name, "windows": passes[site]}
            raise InputError.of(Code.NEVER_SERVED, key, text, *helps, **values)
        if world.slots is not None:
            continue
        gap = figures.longest_gap_s[site] / 3600
        if not len(windows):
            why, helps = _never_seen(world, served, site, longer, of_file=of_file)
            text = "{client!r}: {why} (longest gap {longest_gap_h:.1f} h)"
            values = {"client": name, "why": why, "longest_gap_h": gap}
            raise InputError.of(Code.NEVER_SEEN, key, text, *helps, **values)
        if service.served[windows].any():
            continue
        unusable = _why_not_servable(world, served, windows)
        if unusable is None:
            crowded_out.append(site)
            continue
        why, helps = unusable
        text = "{client!r}: seen {windows} times, but never served (longest gap "
        text += "{longest_gap_h:.1f} h): {why}"
        values = {"client": name, "why": why, "longest_gap_h": gap, "windows": len(windows)}
        raise InputError.of(Code.NEVER_SERVED, key, text, *helps, **values)
    if crowded_out:
        yield _crowded_out(world, served, crowded_out)


def check_any_served(world: World, plan: Plan) -> None:
    """Raise InputError for a network that is seen, and in which no contact could be served."""
    served = plan.contacts
    if not len(plan.contacts) or plan.contacts.served.any():
        return
    unusable = _why_not_servable(world, served, np.arange(len(served.windows)), whose="the")
    if unusable is None:
        return
    why, helps = unusable
    key = served.topology.clients_key
    text = "none of {contacts} contacts is served: {why}"
    values = {"contacts": len(plan.contacts), "why": why}
    raise InputError.of(Code.NEVER_SERVED, key, text, *helps, **values)


def check_reached(world: World, plan: Plan) -> None:
    """Raise InputError for a client from which nothing ever reaches the server over links."""
    lost = [name for name, sessions in (plan.mesh or {}).items() if not len(sessions)]
    if not lost:
        return
    if world.topology.access:
        text = "what {client!r} sends never reaches {server}, by no passes and links"
        helps: list[Remedy] = [*more_links(world), *longer_run(world)]
        if plan.feeder is not None:
            helps += ["lower the masks of stations", Raise("ground.antennas")]
    else:
        several = f", nor do {len(lost) - 1} others" if len(lost) > 1 else ""
        text = f"{{client!r}} never reaches the server, by no links and passes of others{several}"
        # Links help where somebody has a pass.
        links = "have more links (between planes, by terminals, grazing_km or windows)"
        nobody = "have stations that satellites pass, or lower their masks"
        some_pass = plan.contacts.served.any()
        helps = [links if some_pass else nobody, "simulate longer"]
    server = repr(plan.server) if plan.server else "a station"
    values = {"client": lost[0], "server": server}
    raise InputError.of(Code.NEVER_REACHED, "link.isl.route", text, *helps, **values)


def _crowded_out(world: World, served: ContactTable, clients: Sequence[int]) -> Statement:
    """Say that clients are seen and never served, as beams or antennas always serve others."""
    windows = np.concatenate([served.of_clients[client] for client in clients])
    why, helps = _why_others_are_served(world, served, windows)
    return Statement.doubt(
        Code.NEVER_SERVED,
        served.topology.clients_key,
        f"{{unserved}} of {{clients}} clients {'is' if len(clients) == 1 else 'are'} seen "
        f"({counted(len(windows), 'time')}), but never served ({{names}}): {{why}}",
        *helps,
        unserved=len(clients),
        clients=len(served.clients),
        windows=len(windows),
        names=some([served.clients[client] for client in clients], MOST_PLACES_NAMED),
        why=why,
    )


def _less_out(world: World) -> list[Remedy]:
    """Return what makes outages fewer or shorter, of those that a scenario has."""
    helps: list[Remedy] = []
    if world.faults.outages is not None:
        helps += [Lower("faults.outages.per_day"), Lower("faults.outages.mean_hours")]
    if world.faults.planned:
        helps.append("plan shorter outages in faults.planned")
    return helps


def _never_seen(
    world: World, served: ContactTable, site: int, longer: Sequence[Remedy], *, of_file: bool
) -> tuple[str, Sequence[Remedy]]:
    """Return why a client is never seen, and what helps."""
    count = served.span_s / 86400
    days = f"{count:g} day{'s' * (count != 1.0)}"
    over = served.topology.grounded
    if over == "relay" and of_file:
        pair = f"{served.clients[site]!r} and {served.servers[0]!r}"
        never = f"no window of link.isl.windows has it with the server in {days}"
        return never, [f"give some of {pair}"]
    if over == "relay":
        isl = ("max_range_km", Raise), ("grazing_km", Lower), ("acquisition_s", Lower)
        never = f"never sees {served.servers[0]!r} in {days}"
        return never, [change(f"link.isl.{name}") for name, change in isl]
    if not served.places:
        if over == "station":
            return f"no window has it with a station of ground.stations in {days}", []
        return _none_of_file(world.windows.read.file, served.clients[site], days)
    places = served.places if over == "station" else served.places[site : site + 1]
    own = {place.min_elevation_deg for place in places}
    mask_deg = min(served.min_elevation_deg if deg is None else deg for deg in own)
    never, lies, move = {
        "station": (
            "never rises above the mask of a station",
            "the nearest lies",
            "have others",
        ),
        "cluster": (
            f"no satellite rises above {mask_deg:g} deg there",
            "it lies",
            "move the cluster",
        ),
    }[over]
    lower: list[Remedy] = []
    if mask_deg and None in own:
        lower = [Lower("orbit.min_elevation_deg", now=mask_deg)]
    elif mask_deg:
        lower = ["lower min_elevation_deg there"]
    latitude_deg = min((place.latitude_deg for place in places), key=abs)
    reach_deg = _reach_deg(served.satellites, mask_deg)
    if abs(latitude_deg) > reach_deg:
        if abs(latitude_deg) > _reach_deg(served.satellites, 0.0):
            lower = []  # down to the horizon it would still not be seen
        why = (
            f"{never}: {lies} at latitude {latitude_deg:g} deg, and orbits of this inclination "
            f"and altitude are seen up to {reach_deg:.1f} deg"
        )
        return why, ["raise the inclination or the altitude", *lower, move]
    return f"{never} in {days}", [*lower, *(() if _stand_still(served) else longer), move]


def _none_of_file(file: orbit.WindowFile, name: str, days: str) -> tuple[str, Sequence[Remedy]]:
    """Return why a site has no window of a file in the run: its name is none there, or the date."""
    never = f"no window has this site in {days}"
    if name not in file.sites:
        return never, ["call a site of the windows like it"]
    number = file.sites.index(name)
    ends_s = file.first_rise_s[number], file.last_set_s[number]
    first, last = (to_second(file.start, time_s) for time_s in ends_s)
    fits = "choose start and stop.days so that they lie in the run"
    return f"{never}: in the file they are from {first} to {last}", [fits]


SIDEREAL_RAD_MIN = 2 * np.pi / (86164.0905 / 60)
"""Rate at which the Earth turns."""


def _stand_still(served: ContactTable) -> bool:
    """Whether satellites come over the same places every day, so that another one brings nothing.

    That is if they drift by less than a third of a degree a day.
    """
    rates = (satellite.model.no_kozai / SIDEREAL_RAD_MIN for satellite in served.satellites)
    return served.span_s >= 86400.0 and all(abs(rate - 1.0) < 1e-3 for rate in rates)


def _reach_deg(satellites: Sequence[orbit.Satellite], mask_deg: float) -> float:
    """Return the highest latitude from which a satellite ever stands above the mask.

    Apogee over a sphere; geodetic latitudes are up to 0.2 degrees higher, and orbits precess.
    """
    mask = np.radians(mask_deg)
    reach = 0.0
    for model in (satellite.model for satellite in satellites):
        highest = min(model.inclo, np.pi - model.inclo)
        apogee = model.a * (1 + model.ecco)  # in radii of the Earth
        reach = max(reach, highest + np.arccos(np.cos(mask) / apogee) - mask)
    return float(np.degrees(reach)) + 0.3


def _why_not_servable(
    world: World, served: ContactTable, windows: Ints, whose: str = "its"
) -> tuple[str, Sequence[Remedy]] | None:
    """Return why none of some windows can be served, and what helps; None where one can."""
    source = world.service
    longest_s = float((served.windows.set_s - served.windows.rise_s)[windows].max())
    if longest_s < source.min_contact_s:
        is_cut = len(served.uncut) != len(served.windows)
        helps = Lower("orbit.min_contact_s", now=source.min_contact_s, to=floor(longest_s))
        lower: list[Remedy] = [helps]
        return (
            f"{whose} longest contact is {longest_s:.0f} s",
            [*lower, *_less_out(world)[:1]] if is_cut else lower,
        )
    at_stations = served.topology.grounded == "station"
    acquisition_of = world.sites.acquisition_s if at_stations else None
    if acquisition_of is not None:
        acquisition_s = np.array(acquisition_of)[served.windows.satellite[windows]]
        lasts_s = (served.windows.set_s - served.windows.rise_s)[windows]
        # A pass that is open at the start has been acquired.
        setup_s = np.where(served.windows.clipped_start[windows], 0.0, acquisition_s)
        least_s = float(source.min_contact_s)
        if not ((lasts_s > setup_s) & (lasts_s - setup_s >= least_s)).any():
            nearest = int(np.argmax(lasts_s - setup_s))
            own_s = float(setup_s[nearest])
            left = f", and {least_s:.0f} s have to be left" if least_s else ""
            return (
                f"a station takes {own_s:.0f} s to acquire it, of passes of "
                f"{lasts_s[nearest]:.0f} s at most{left}",
                [Lower("ground.acquisition_s", now=own_s)]
                if own_s == world.ground.acquisition_s
                else ["lower acquisition_s of the stations"],
            )
    return None


def _why_others_are_served(
    world: World, served: ContactTable, windows: Ints
) -> tuple[str, Sequence[Remedy]]:
    """Return why windows that can be served are not, and what helps."""
    source = world.service
    more: list[Remedy] = [Raise(served.topology.service_key)]
    rivals = served.service.served & np.isin(
        served.windows.satellite, served.windows.satellite[windows]
    )
    endless = rivals & (served.service.start_s <= 0.0) & (served.service.end_s >= served.span_s)
    if endless.any():
        first = served.clients[served.windows.site[endless][0]]
        return (
            f"{first!r} keeps its beam of a satellite that does not set in "
            f"{counted(served.span_s / 86400, 'day')} (one that was served in an earlier pass "
            "could lose it)",
            more,
        )
    if source.priority == "highest_elevation":
        more.append(Set("orbit.priority", "least_recently_served"))
    gear = {"station": "the stations' antennas", "relay": "the server's terminals"}
    if served.topology.grounded in gear:
        return f"{gear[served.topology.grounded]} always serve another satellite", more
    return f"the {source.beams} beam(s) always serve another cluster", more


# Experts in orbit that nobody asks.

REACH_OPTIONS = ("reach_hops", "reach_ms")
"""Options of a method that limit over how many links, and how far, an expert may be asked."""


def check_asked(world: World, plan: Plan, options: Any) -> None:
    """Raise InputError for limits without links that messages take one after the other.

    And, where clients are queried, for an expert that nobody else has in reach at any time: it is
    never asked. Over no link at all, no way at all, or by a local gate, every client is to answer
    by itself, and nothing is refused.
    """
    hops, reach_ms = (getattr(options, key, None) for key in REACH_OPTIONS)
    if plan.mesh is None or plan.isls is None:
        for key, limit in zip(REACH_OPTIONS, (hops, reach_ms), strict=True):
            if limit is not None:
                raise InputError.of(
                    Code.UNUSED,
                    f"learning.options.{key}",
                    "is of links between satellites that messages take one after the other",
                    Remove(),
                    Set("link.isl.route", "earliest"),
                )
        return
    if hops == 0 or reach_ms == 0.0 or getattr(options, "gate", None) == "local":
        return
    if not getattr(options, "inference_samples", 0):
        return
    nearest_ms = _nearest_ms(plan.isls)
    lost = np.flatnonzero(nearest_ms > (np.finfo(float).max if reach_ms is None else reach_ms))
    if not lost.size:
        return
    name, least_ms = plan.isls.names[lost[0]], nearest_ms[lost[0]]
    others = f", nor those of {counted(lost.size - 1, 'other')}" if lost.size > 1 else ""
    if least_ms == np.inf:
        raise InputError.of(
            Code.NEVER_LINKED,
            "link.isl",
            f"nobody reaches the expert of {{name!r}}, which has no link at any time{others}",
            *more_links(world),
            name=name,
        )
    raise InputError.of(
        Code.WRONG_VALUE,
        "learning.options.reach_ms",
        f"nobody reaches the expert of {{name!r}}, whose shortest link takes {{least_ms:.3g}} "
        f"ms{others}",
        Raise(),
        "set it to 0 for the own experts alone",
        name=name,
        least_ms=float(least_ms),
    )


def _nearest_ms(isls: IslPlan) -> Floats:
    """Return the least light time of any link (N,) of each satellite; inf where it has none."""
    nearest_ms = np.full(len(isls.names), np.inf)
    each_ms = isls.min_range_km * 1e6 / SPEED_OF_LIGHT_M_S
    for ends in (isls.a, isls.b):
        np.minimum.at(nearest_ms, ends, each_ms)
    return nearest_ms
