"""Who is seen and who is served; windows cut by outages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

import orbit
from learning.requests.cluster import Floats, Ints
from orbit.windows import groups
from sim.devices.faults import Intervals
from sim.errors import InputError
from sim.trace.directions import Topology


@dataclass(frozen=True, eq=False)
class Passes:
    """Windows between access points of the server and clusters, without regard to outages.

    ``servers`` are satellites, ``clients`` what lies on the ground; where ``turned``, satellites
    or planes are the clients of stations. In ``passes`` the columns ``satellite`` and ``site`` are
    places in ``servers`` and ``clients``, whichever these are; ``flying`` says which satellite has
    each pass where these are clients. ``norad_ids`` are those of the servers.
    ``satellites`` and ``places`` (on the ground) are empty where there is no geometry. ``doubts``
    are lines for the user.
    """

    servers: list[str]
    norad_ids: list[int | None]
    clients: list[str]
    start: datetime
    span_s: float
    passes: orbit.ContactWindows
    satellites: tuple[orbit.Satellite, ...] = ()
    places: tuple[orbit.Site, ...] = ()
    min_elevation_deg: float = 0.0
    doubts: tuple[str, ...] = ()
    flying: Ints | None = None

    @property
    def turned(self) -> bool:
        """Whether stations are the servers."""
        return self.flying is not None

    @property
    def relayed(self) -> bool:
        """Whether one satellite serves the others, over links between them."""
        return self.turned and bool(self.satellites) and not self.places

    @property
    def topology(self) -> Topology:
        """Where clients and their server are."""
        if self.relayed:
            return Topology.SATELLITE_SERVER
        return Topology.SATELLITE_CLIENTS if self.turned else Topology.GROUND_CLIENTS

    @property
    def ends(self) -> tuple[Ints, Ints]:
        """Places in ``satellites`` and ``places`` of both ends of each pass."""
        ends = self.passes.satellite, self.passes.site
        return ends if self.flying is None else (self.flying, ends[0])


def turned(seen: Passes, planes: Sequence[str] = ()) -> Passes:
    """Return the same passes with the stations as servers and the satellites as clients.

    With the ``planes`` of satellites each is one client, and has the passes of all its satellites.
    Raises InputError for a name that a station shares with a satellite or a plane.
    """
    for kind, names in (("satellite", seen.servers), ("plane", planes)):
        if both := sorted(set(names) & set(seen.clients)):
            raise InputError(
                f"ground.stations: {both[0]!r} is a station and a {kind} too; rename the station"
            )
    flying, clients = seen.passes.satellite, seen.servers
    columns = vars(seen.passes) | {"satellite": seen.passes.site, "site": flying}
    if planes:
        clients = sorted(set(planes))
        columns["site"] = np.array([clients.index(plane) for plane in planes])[flying]
    order = np.lexsort((flying, columns["site"], columns["satellite"], columns["rise_s"]))
    return replace(
        seen,
        servers=seen.clients,
        norad_ids=[None] * len(seen.clients),
        clients=clients,
        passes=orbit.ContactWindows(**{name: column[order] for name, column in columns.items()}),
        flying=flying[order],
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class View(Passes):
    """Passes cut into ``windows`` in which their satellites work, and which of them are served.

    ``of`` says of which pass each window is a piece, ``out`` when each satellite is. ``sessions``
    numbers the services of each cluster, -1 for windows that are not served.
    """

    out: Sequence[Intervals]
    windows: orbit.ContactWindows
    of: Ints
    service: orbit.Service
    sessions: Ints

    @property
    def window_ends(self) -> tuple[Ints, Ints]:
        """Places in ``satellites`` and ``places`` of both ends of each window."""
        satellite, place = self.ends
        return satellite[self.of], place[self.of]

    @cached_property
    def of_sites(self) -> list[Ints]:
        """Which windows each cluster has."""
        return groups(self.windows.site, len(self.clients))


def served(
    seen: Passes, source: Any, out: Sequence[Intervals], antennas: Sequence[int | None] = ()
) -> View:
    """Share the servers by the rules of ``orbit:`` outside of the satellites' outages ``out``.

    A satellite has ``beams``, and stations so many ``antennas`` each: None for any number.

    In slots every cluster is served once a cycle; what an outage leaves of a slot, in pieces or
    whole, is one session.
    """
    if source.source == "slots":
        windows, of = cut(seen.passes, seen.passes.satellite, out)
        service, sessions = orbit.serve(windows), of // len(seen.clients)
    else:
        look = _look(seen) if seen.places else None
        windows, of = cut(seen.passes, seen.ends[0], out, look)
        service = orbit.serve(
            windows,
            antennas if seen.turned else source.beams,
            priority=source.priority,
            hand_over=source.hand_over or "longest_remaining",
            min_contact_s=source.min_contact_s,
            elevation_deg=(lambda n, time_s: float(look(int(of[n]), np.array([time_s]))[0, 0]))
            if look is not None
            else None,
        )
        if seen.turned:
            service = one_at_a_time(windows, service)
        each = source.session == "contact" or (
            source.session is None if seen.turned else source.serving == "single"
        )
        gap_s = None if each else source.hand_over_gap_s or 0.0
        sessions = orbit.session_numbers(windows, service, gap_s)
    return View(**vars(seen), out=out, windows=windows, of=of, service=service, sessions=sessions)


MOMENT_S = 0.01
"""How long a station serves a satellite that is over several ones when a run starts."""


def one_at_a_time(windows: orbit.ContactWindows, service: orbit.Service) -> orbit.Service:
    """End the services of a client where its next one begins: it turns to what has risen.

    Of stations with any number of antennas a client may be served by several. Those that begin at
    the same instant, at the start of a run, serve it for a moment each, and the last one from then.
    """
    order = np.lexsort((service.start_s, windows.site))
    order = order[service.served[order]]
    start_s, end_s, site = service.start_s[order], service.end_s[order].copy(), windows.site[order]
    same = site[1:] == site[:-1]
    tied = np.flatnonzero(same & (start_s[1:] == start_s[:-1])) + 1
    for late in tied.tolist():  # one behind the other, where there are more than two
        start_s[late] = start_s[late - 1] + MOMENT_S
    end_s[:-1] = np.where(same, np.minimum(end_s[:-1], start_s[1:]), end_s[:-1])
    kept = end_s > start_s
    starts, ends = np.full((2, len(windows)), np.nan)
    starts[order[kept]], ends[order[kept]] = start_s[kept], end_s[kept]
    return replace(service, served=~np.isnan(starts), start_s=starts, end_s=ends)


def _look(seen: Passes) -> Look:
    satellites, places = seen.ends

    def look(number: int, time_s: Floats) -> Floats:
        satellite, place = seen.satellites[satellites[number]], seen.places[places[number]]
        angles = orbit.look_angles(satellite, place, seen.start, time_s)
        ranges = angles.slant_range_km, angles.range_rate_km_s
        return np.stack([angles.elevation_deg, angles.azimuth_deg, *ranges])[:, :, 0]

    return look


def check_served(view: View, source: Any, rings: Iterable[Sequence[str]] = ()) -> None:
    """Raise InputError for a cluster that is never seen, never served or served without end.

    In slots every cluster is seen and served, unless its satellites are out in all windows. Over
    links, one member of each of the ``rings`` is enough.
    """
    sites = enumerate(view.clients)
    alone = {name for site, name in sites if not view.service.served[view.of_sites[site]].any()}
    carried = {name for ring in rings if not alone.issuperset(ring) for name in ring} & alone
    figures = orbit.coverage(view.windows, len(view.clients), view.span_s)
    kind = "roles.clients" if view.turned else "ground.clusters"
    passes_of = np.bincount(view.passes.site, minlength=len(view.clients)).tolist()
    for site, (name, passes) in enumerate(zip(view.clients, passes_of, strict=True)):
        if name in carried:
            continue
        here = view.of_sites[site]
        if passes and not len(here):
            raise InputError(
                f"{kind} {name!r}: its satellites are out in all of its {passes} windows; "
                "lower faults.outages.per_day or mean_hours, or simulate longer"
            )
        if source.source == "slots":
            continue
        gap = f"longest gap {figures.longest_gap_s[site] / 3600:.1f} h"
        days = f"{view.span_s / 86400:g} days"
        if not len(here):
            raise InputError(f"{kind} {name!r}: {_never_seen(view, site, days)} ({gap})")
        if not view.service.served[here].any():
            raise InputError(
                f"{kind} {name!r}: seen {len(here)} times, but never served "
                f"({gap}): {_why_never_served(view, here, source)}"
            )
        mine = here[view.service.served[here]]
        from_s, to_s = view.service.start_s[mine].min(), view.service.end_s[mine].max()
        any_serves = view.turned or source.serving == "any"
        one = any_serves and len(set(view.sessions[mine].tolist())) == 1
        if one and from_s <= 0.0 and to_s >= view.span_s:
            why, cure = "its one contact lasts for", "simulate longer"
            if len(mine) > 1:
                server = "station" if view.turned else "satellite"
                why = f"one {server} hands it over to the next for"
                cure = "set orbit.session: contact (every contact counts), lower "
                cure += "orbit.hand_over_gap_s or raise orbit.min_elevation_deg"
            raise InputError(
                f"{kind} {name!r}: {why} all of {days}, so that its session never ends and no "
                f"cycle is complete; {cure}"
            )


def _never_seen(view: View, site: int, days: str) -> str:
    if view.relayed:
        never = f"never sees {view.servers[0]!r} in {days}; raise link.isl.max_range_km, or lower "
        return f"{never}link.isl.grazing_km or acquisition_s"
    if view.turned and not view.places:
        return f"no window has it with a station of ground.stations in {days}"
    if not view.places:
        return f"no window has this site in {days}; the windows' sites are to be called like it"
    places = view.places if view.turned else view.places[site : site + 1]
    own = {place.min_elevation_deg for place in places}
    mask_deg = min(view.min_elevation_deg if deg is None else deg for deg in own)
    never, lie, move = "never rises above the mask of a station", "the nearest lies", "have others"
    if not view.turned:
        never = f"no satellite rises above {mask_deg:g} deg there"
        lie, move = "it lies", "move the cluster"
    mask = "orbit.min_elevation_deg" if None in own else "min_elevation_deg there"
    lower = f"lower {mask}, " if mask_deg else ""
    latitude_deg = min((place.latitude_deg for place in places), key=abs)
    reach_deg = _reach_deg(view.satellites, mask_deg)
    if abs(latitude_deg) > reach_deg:
        return (
            f"{never}: {lie} at latitude {latitude_deg:g} deg, and orbits of this inclination "
            f"and altitude are seen up to {reach_deg:.1f} deg; raise the inclination or the "
            f"altitude, {lower}or {move}"
        )
    return f"{never} in {days}; {lower}simulate longer, or {move}"


def _reach_deg(satellites: Sequence[orbit.Satellite], mask_deg: float) -> float:
    """Return the highest latitude from which a satellite ever stands above the mask.

    Apogee over a sphere; geodetic latitudes are up to 0.2 degrees higher, and orbits precess.
    """
    mask, reach = np.radians(mask_deg), 0.0
    for model in (satellite.model for satellite in satellites):
        highest = min(model.inclo, np.pi - model.inclo)
        apogee = model.a * (1 + model.ecco)  # in radii of the Earth
        reach = max(reach, highest + np.arccos(np.cos(mask) / apogee) - mask)
    return float(np.degrees(reach)) + 0.3


def _why_never_served(view: View, here: Ints, source: Any) -> str:
    longest_s = float((view.windows.set_s - view.windows.rise_s)[here].max())
    if longest_s < source.min_contact_s:
        cut = " or faults.outages.per_day" if len(view.passes) != len(view.windows) else ""
        return f"its longest contact is {longest_s:.0f} s; lower orbit.min_contact_s{cut}"
    fairer = ", or set orbit.priority: least_recently_served"
    beams = "ground.antennas" if view.turned else "orbit.beams"
    beams = "link.isl.terminals" if view.relayed else beams
    remedy = f"raise {beams}" + (fairer if source.priority == "highest_elevation" else "")
    rivals = view.service.served & np.isin(view.windows.satellite, view.windows.satellite[here])
    endless = rivals & (view.service.start_s <= 0.0) & (view.service.end_s >= view.span_s)
    if endless.any():
        first = view.clients[view.windows.site[endless][0]]
        return (
            f"{first!r} keeps its beam of a satellite that does not set in {view.span_s / 86400:g} "
            f"days (one that was served in an earlier pass could lose it); raise {beams}"
        )
    if view.turned:
        who = "the server's terminals" if view.relayed else "the stations' antennas"
        return f"{who} always serve another satellite; {remedy}"
    return f"the {source.beams} beam(s) always serve another cluster; {remedy}"


# Contact windows without the times in which their satellites are out.


Look = Callable[[int, Floats], Floats]
"""Elevation, azimuth, slant range and range rate (4, T) of the satellite of a window (by index) at
times (T,), as its site sees it."""

SHOWN = ("azimuth_deg", "slant_range_km", "range_rate_km_s")
"""What a window says of its rise, its highest point and its set."""


def cut(
    windows: orbit.ContactWindows,
    satellite: Ints,
    out: Sequence[Intervals],
    look: Look | None = None,
) -> tuple[orbit.ContactWindows, Ints]:
    """Cut windows into the pieces in which their satellites work; return also each one's window.

    ``satellite`` is that of each window, ``out`` has the outages of each satellite. A piece has the
    highest elevation and the shortest range of its window if the window culminates in it; else
    those at its own ends, by ``look``, and nan without. Its ends are clipped where an outage made
    them.
    """
    if not any(len(spells.begin_s) for spells in out):
        return windows, np.arange(len(windows))
    of, begin_s, end_s = pieces(windows.rise_s, windows.set_s, satellite, out)
    order = np.lexsort((windows.site[of], windows.satellite[of], begin_s))
    return _clipped(windows, of[order], begin_s[order], end_s[order], look), of[order]


def pieces(
    start_s: Floats, end_s: Floats, satellite: Ints, out: Sequence[Intervals]
) -> tuple[Ints, Floats, Floats]:
    """Window, begin and end of every piece of satellites' windows outside of their outages."""
    found = []
    for mine, spells in zip(groups(satellite, len(out)), out, strict=True):
        # It works from the end of one outage to the begin of the next.
        up_s, down_s = np.append(-np.inf, spells.end_s), np.append(spells.begin_s, np.inf)
        first = np.searchsorted(down_s, start_s[mine], "right")
        counts = np.maximum(np.searchsorted(up_s, end_s[mine], "left") - first, 0)
        of = np.repeat(mine, counts)
        turn = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        span = np.repeat(first, counts) + turn
        found.append((of, np.maximum(start_s[of], up_s[span]), np.minimum(end_s[of], down_s[span])))
    of, begin_s, until_s = (np.concatenate(part) for part in zip(*found, strict=True))
    return of, begin_s, until_s


def _clipped(
    windows: orbit.ContactWindows, of: Ints, begin_s: Floats, end_s: Floats, look: Look | None
) -> orbit.ContactWindows:
    """The windows ``of`` which there are pieces, from ``begin_s`` to ``end_s``."""
    whole = {name: values[of] for name, values in vars(windows).items()}
    late, early = begin_s > whole["rise_s"], end_s < whole["set_s"]
    highest_s = np.clip(whole["culminate_s"], begin_s, end_s)
    lower = highest_s != whole["culminate_s"]
    time_s = np.stack([begin_s, highest_s, end_s])
    seen: Floats = np.full((4, *time_s.shape), np.nan)
    if look is not None:
        for piece in np.flatnonzero(late | early).tolist():
            seen[:, :, piece] = look(int(of[piece]), time_s[:, piece])
    columns = whole | {"rise_s": begin_s, "culminate_s": highest_s, "set_s": end_s}
    columns["clipped_start"] = whole["clipped_start"] | late
    columns["clipped_end"] = whole["clipped_end"] | early
    columns["culminations"] = np.where(lower, 0, whole["culminations"])
    columns["max_elevation_deg"] = np.where(lower, seen[0, 1], whole["max_elevation_deg"])
    columns["min_slant_range_km"] = np.where(lower, seen[2].min(0), whole["min_slant_range_km"])
    for edge, (event, new) in enumerate((("rise", late), ("culminate", lower), ("set", early))):
        for name, values in zip(SHOWN, seen[1:, edge], strict=True):
            columns[f"{event}_{name}"] = np.where(new, values, whole[f"{event}_{name}"])
    return orbit.ContactWindows(**columns)
