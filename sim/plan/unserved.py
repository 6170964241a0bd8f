"""Clusters that are never seen, or never served: why, and what helps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import orbit
from learning.requests.cluster import Ints
from sim.errors import InputError
from sim.plan.service import ServedPasses
from statements import Code, Statement


def check_served(
    served: ServedPasses,
    source: Any,
    rings: Iterable[Sequence[str]] = (),
    *,
    of_file: bool = False,
) -> None:
    """Raise InputError for a cluster that is never seen or never served.

    In slots every cluster is seen and served, unless its satellites are out in all windows. Over
    links, one member of each of the ``rings`` is enough. ``of_file``: link windows are of a file.
    """
    service = served.service
    unserved = {
        name
        for name, windows in zip(served.clients, served.windows_of_clients, strict=True)
        if not service.served[windows].any()
    }
    carried = {name for ring in rings if not unserved.issuperset(ring) for name in ring} & unserved
    figures = orbit.coverage(served.windows, len(served.clients), served.span_s)
    kind = "roles.clients" if served.topology.in_orbit else "ground.clusters"
    passes = np.bincount(served.passes.site, minlength=len(served.clients)).tolist()
    for site, name in enumerate(served.clients):
        if name in carried:
            continue
        windows = served.windows_of_clients[site]
        if passes[site] and not len(windows):
            raise InputError(
                Statement.of(
                    Code.NEVER_SERVED,
                    "",
                    f"{kind} {name!r}: its satellites are out in all of its {passes[site]} "
                    "windows; lower faults.outages.per_day or mean_hours, or simulate longer",
                )
            )
        if source.source == "slots":
            continue
        gap = f"longest gap {figures.longest_gap_s[site] / 3600:.1f} h"
        days = f"{served.span_s / 86400:g} days"
        if not len(windows):
            raise InputError(
                Statement.of(
                    Code.NEVER_SEEN,
                    "",
                    f"{kind} {name!r}: {_never_seen(served, site, days, of_file=of_file)} ({gap})",
                )
            )
        services = windows[service.served[windows]]
        if not len(services):
            raise InputError(
                Statement.of(
                    Code.NEVER_SERVED,
                    "",
                    f"{kind} {name!r}: seen {len(windows)} times, but never served "
                    f"({gap}): {_why_never_served(served, windows, source)}",
                )
            )


def _never_seen(served: ServedPasses, site: int, days: str, *, of_file: bool) -> str:
    if served.topology.relay and of_file:
        pair = f"{served.clients[site]!r} and {served.servers[0]!r}"
        return (
            f"no window of link.isl.windows has it with the server in {days}; give some of {pair}"
        )
    if served.topology.relay:
        never = (
            f"never sees {served.servers[0]!r} in {days}; raise link.isl.max_range_km, or lower "
        )
        return f"{never}link.isl.grazing_km or acquisition_s"
    if served.topology.in_orbit and not served.places:
        return f"no window has it with a station of ground.stations in {days}"
    if not served.places:
        return f"no window has this site in {days}; the windows' sites are to be called like it"
    places = served.places if served.topology.in_orbit else served.places[site : site + 1]
    own = {place.min_elevation_deg for place in places}
    mask_deg = min(served.min_elevation_deg if deg is None else deg for deg in own)
    if served.topology.in_orbit:
        never = "never rises above the mask of a station"
        lies = "the nearest lies"
        move = "have others"
    else:
        never = f"no satellite rises above {mask_deg:g} deg there"
        lies = "it lies"
        move = "move the cluster"
    mask = "orbit.min_elevation_deg" if None in own else "min_elevation_deg there"
    lower = f"lower {mask}, " if mask_deg else ""
    latitude_deg = min((place.latitude_deg for place in places), key=abs)
    reach_deg = _reach_deg(served.satellites, mask_deg)
    if abs(latitude_deg) > reach_deg:
        if abs(latitude_deg) > _reach_deg(served.satellites, 0.0):
            lower = ""  # down to the horizon it would still not be seen
        return (
            f"{never}: {lies} at latitude {latitude_deg:g} deg, and orbits of this inclination "
            f"and altitude are seen up to {reach_deg:.1f} deg; raise the inclination or the "
            f"altitude, {lower}or {move}"
        )
    longer = "" if _stand_still(served) else "simulate longer, "
    return f"{never} in {days}; {lower}{longer}or {move}"


SIDEREAL_RAD_MIN = 2 * np.pi / (86164.0905 / 60)
"""Rate at which the Earth turns."""


def _stand_still(served: ServedPasses) -> bool:
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


def _why_never_served(served: ServedPasses, windows: Ints, source: Any) -> str:
    longest_s = float((served.windows.set_s - served.windows.rise_s)[windows].max())
    if longest_s < source.min_contact_s:
        cut = " or faults.outages.per_day" if len(served.passes) != len(served.windows) else ""
        return f"its longest contact is {longest_s:.0f} s; lower orbit.min_contact_s{cut}"
    fairer = ", or set orbit.priority: least_recently_served"
    beams = "ground.antennas" if served.topology.in_orbit else "orbit.beams"
    beams = "link.isl.terminals" if served.topology.relay else beams
    remedy = f"raise {beams}" + (fairer if source.priority == "highest_elevation" else "")
    rivals = served.service.served & np.isin(
        served.windows.satellite, served.windows.satellite[windows]
    )
    endless = rivals & (served.service.start_s <= 0.0) & (served.service.end_s >= served.span_s)
    if endless.any():
        first = served.clients[served.windows.site[endless][0]]
        return (
            f"{first!r} keeps its beam of a satellite that does not set in "
            f"{served.span_s / 86400:g} days (one that was served in an earlier pass could lose "
            f"it); raise {beams}"
        )
    if served.topology.in_orbit:
        who = "the server's terminals" if served.topology.relay else "the stations' antennas"
        return f"{who} always serve another satellite; {remedy}"
    return f"the {source.beams} beam(s) always serve another cluster; {remedy}"
