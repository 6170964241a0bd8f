"""Passes of a scenario: windows between access points of its server and its clients.

Windows of satellites over sites are searched for, exact by SGP4; others are those of a file, slots,
or of one satellite over the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import tau
from typing import Any, NamedTuple, Self

import numpy as np

import orbit
from orbit.utc import to_second
from sim.errors import InputError
from sim.formatting import counted, some
from sim.plan.isl_planning import acquisition_doubts, find_isls
from sim.world.fleet import SatelliteOfFile, other_dates
from sim.world.topology import Topology
from sim.world.world import Slots, World
from statements import Code, Remove, Statement
from statements.arrays import Ints

Windows = tuple[orbit.ContactWindows, tuple[str, ...]]
"""Windows, and a line about each satellite whose elements fail at times."""


@dataclass(frozen=True)
class WindowQuery:
    """Windows of ``satellites`` over ``sites``, exact by SGP4, between two aware datetimes."""

    satellites: Sequence[orbit.Satellite]
    sites: Sequence[orbit.Site]
    start: datetime
    end: datetime
    min_elevation_deg: float


Find = Callable[[WindowQuery], Windows]
"""``find_windows``, or a cache in front of it."""


def find_windows(query: WindowQuery) -> Windows:
    """Find windows, whole where they set within a turn of their satellite after the end.

    Raises ElementError for elements that SGP4 cannot use at all.
    """
    met: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        query.satellites,
        query.sites,
        query.start,
        query.end + timedelta(seconds=_turn_s(query.satellites)),
        query.min_elevation_deg,
        refine="sgp4",
        on_failure=met.append,
    )
    span_s = (query.end - query.start).total_seconds()
    windows = windows.where(windows.rise_s < span_s)
    failures = [_until(failure, span_s) for failure in met if failure.first_s < span_s]
    whole = next((failure for failure in failures if failure.whole), None)
    if whole is not None:
        raise orbit.ElementError(str(whole))
    return windows, tuple(map(str, failures))


LONGEST_TURN_S = 86_400.0
"""A higher satellite may never set: its contact is planned for so long after the end."""


def _turn_s(satellites: Sequence[orbit.Satellite]) -> float:
    """Return how long the slowest of satellites takes around the Earth."""
    slowest_rad_min = min(satellite.model.no_kozai for satellite in satellites)
    # Elements that no orbit has are for SGP4 to refuse.
    return min(60.0 * tau / slowest_rad_min, LONGEST_TURN_S) if slowest_rad_min > 0.0 else 0.0


def _until(failure: orbit.Failure, span_s: float) -> orbit.Failure:
    """Return what of a failure is in the span."""
    last_s = min(failure.last_s, span_s)
    whole = failure.whole or (failure.first_s <= 0.0 and failure.last_s >= span_s)
    return replace(failure, last_s=last_s, whole=whole)


LAST_BITS_S = 1.0
"""Longest that the last bits of a contact are on their way: seven times geostationary."""


class PassEnd(NamedTuple):
    """One end of passes: names, and which of them each pass has (N,)."""

    names: Sequence[str]
    which: Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class WorldPasses:
    """Windows between access points of the server and clusters, without regard to outages.

    ``servers`` are satellites, ``clients`` what lies on the ground; or satellites and planes are
    the clients of stations, or of another satellite: ``topology`` says which. In ``uncut`` the
    columns ``satellite`` and ``site`` are indices into ``servers`` and ``clients``, whichever these
    are; those that the end of the span cuts are whole. ``flyers`` are the satellites, and
    ``grounded`` what they fly over, or the satellite that serves them.
    ``satellites`` and ``places`` (on the ground) are empty where there is no geometry. ``doubts``
    are about all of them. ``pieces`` are the rates of each pass where a contact plan tells them.
    """

    servers: list[str]
    clients: list[str]
    start: datetime
    span_s: float
    uncut: orbit.ContactWindows
    flyers: PassEnd
    grounded: PassEnd
    topology: Topology
    satellites: tuple[orbit.Satellite, ...] = ()
    places: tuple[orbit.Site, ...] = ()
    min_elevation_deg: float = 0.0
    doubts: tuple[Statement, ...] = ()
    pieces: Sequence[orbit.Pieces] | None = None

    @classmethod
    def over(
        cls, world: World, servers: list[str], clients: list[str], uncut: Any, **more: Any
    ) -> Self:
        """Return the passes of satellites over what is below them; ``more`` are other fields."""
        return cls(
            servers=servers,
            clients=clients,
            uncut=uncut,
            flyers=PassEnd(servers, uncut.satellite),
            grounded=PassEnd(clients, uncut.site),
            topology=world.topology,
            **more,
        )

    def with_satellites_as_clients(self, planes: Sequence[str] = ()) -> WorldPasses:
        """Return the same passes with the stations as servers and the satellites as clients.

        With the ``planes`` of satellites each plane is one client, and has the passes of all its
        satellites. Raises InputError for a name that a station shares with a satellite or a plane.
        """
        check_apart("station", self.clients, "satellite", self.servers)
        check_apart("station", self.clients, "plane", planes)
        flying = self.uncut.satellite
        clients = self.servers
        columns = vars(self.uncut) | {"satellite": self.uncut.site, "site": flying}
        if planes:
            clients = sorted(set(planes))
            columns["site"] = np.array([clients.index(plane) for plane in planes])[flying]
        order = np.lexsort((flying, columns["site"], columns["satellite"], columns["rise_s"]))
        return replace(
            self,
            servers=self.clients,
            clients=clients,
            uncut=orbit.ContactWindows(**{name: column[order] for name, column in columns.items()}),
            flyers=self.flyers._replace(which=flying[order]),
            grounded=self.grounded._replace(which=columns["satellite"][order]),
            pieces=None if self.pieces is None else [self.pieces[k] for k in order.tolist()],
        )


def check_apart(kind: str, names: Iterable[str], other: str, others: Iterable[str]) -> None:
    """Raise InputError for a name that two of unlike kinds share."""
    if shared := sorted(set(names) & set(others)):
        text = f"{shared[0]!r} is a {kind} and a {other} too; rename the {kind}"
        raise InputError.of(Code.WRONG_VALUE, f"ground.{kind}s", text)


# Where they come from: orbits, a file, slots, or another satellite.


def passes_of(world: World, find: Find) -> WorldPasses:
    """Return the passes of ``orbit.source``, or over another satellite as ``roles.server``.

    Satellites are the servers. ``find`` looks for the windows of satellites over sites. Raises
    InputError where the source is wrong, and for a name that a cluster shares with a satellite.
    """
    if world.topology.grounded == "relay":
        return _of_relay(world)
    if world.slots is not None:
        return _in_slots(world, world.slots)
    if world.orbit.has_geometry:
        passes = _of_orbit(world, find, world.sites.of_passes)
    else:
        passes = _of_file(world)
    if world.topology.grounded == "cluster":
        check_apart("cluster", passes.clients, "satellite", passes.servers)
    return passes


def feeder_passes_of(world: World, find: Find) -> WorldPasses:
    """Return the passes of satellites over the stations that are the server of devices.

    The stations are the servers there. Raises InputError where the source is wrong, and for a name
    that a station shares with a satellite.
    """
    over_stations = _of_orbit(world, find, world.sites.of_stations)
    return replace(
        over_stations.with_satellites_as_clients(), topology=Topology("satellites", "stations")
    )


def _of_orbit(world: World, find: Find, sites: list[orbit.Site]) -> WorldPasses:
    """Return passes over ``sites``, by SGP4 or secular J2; InputError for wrong elements."""
    days = world.stop.days
    assert days is not None  # the schema asks for it on a real orbit
    satellites = world.fleet.satellites
    start = world.fleet.start
    end = start + timedelta(days=days)
    mask_deg = world.orbit.mask_deg
    windows, failures = find(WindowQuery(satellites, sites, start, end, mask_deg))
    return WorldPasses.over(
        world,
        [satellite.name for satellite in satellites],
        [site.name for site in sites],
        windows,
        start=start,
        span_s=(end - start).total_seconds(),  # datetimes have whole microseconds
        satellites=tuple(satellites),
        places=tuple(sites),
        min_elevation_deg=mask_deg,
        doubts=(
            *(doubt.below("orbit") for doubt in orbit.doubts(satellites, start, end)),
            *_unused_mask(world),
            *(_failed(failure) for failure in failures),
            *world.fleet.left_out,
        ),
    )


def _unused_mask(world: World) -> Iterator[Statement]:
    """Say that a mask was given that no place has, as each has one of its own."""
    mask_deg = world.orbit.mask_deg
    usual_deg = type(world.orbit).model_fields["min_elevation_deg"].default
    sites = world.sites.to_draw
    if mask_deg != usual_deg and all(site.min_elevation_deg is not None for site in sites):
        yield Statement.doubt(
            Code.UNUSED,
            "orbit.min_elevation_deg",
            "{mask_deg:g} is not used, as all places on the ground have masks of their own "
            "(min_elevation_deg of {names})",
            Remove(),
            "remove that of a place",
            mask_deg=mask_deg,
            names=some([site.name for site in sites], 3),
        )


def _of_file(world: World) -> WorldPasses:
    """Return the windows of a file, or of the scenario itself, as far as it names their ends.

    Raises InputError (or the error of ``orbit``) for a bad file.
    """
    read = world.windows.read
    file = read.file
    names = [node.name for node in world.sites.nodes]
    satellites = world.windows.satellites
    uncut, numbers = _renumbered(file, satellites, names)
    days = world.stop.days
    span_s = float(uncut.set_s.max(initial=0.0)) if days is None else days * 86400.0
    numbers = numbers[uncut.rise_s < span_s]
    windows = uncut.where(uncut.rise_s < span_s)
    kind = world.topology.grounded
    if not len(windows):
        raise InputError(_no_window(file, uncut, names, kind, span_s))
    pieces = None if read.pieces is None else [read.pieces[k] for k in numbers.tolist()]
    for one in pieces or ():
        if (longest_s := max(one.delay_s)) > LAST_BITS_S:
            raise InputError.of(
                Code.WRONG_VALUE,
                "orbit",
                f"a contact of {longest_s:g} light seconds is simulated by nothing here, "
                f"which reaches up to {LAST_BITS_S:g}, seven times geostationary; leave it out",
            )
    unused = sorted(set(file.sites) - set(names))
    doubt = Statement.doubt(
        Code.LEFT_OUT,
        "orbit.names",
        f"windows of {{sites}} are not used, as no {kind} is called so",
        "say here which is which",
        sites=some(unused, 10),
    )
    return WorldPasses.over(
        world,
        [satellite.name for satellite in satellites],
        names,
        windows,
        start=file.start,
        span_s=span_s,
        doubts=(*([doubt] if unused else []), *read.left_out),
        pieces=pieces,
    )


def _no_window(
    file: orbit.WindowFile, named: orbit.ContactWindows, names: list[str], kind: str, span_s: float
) -> Statement:
    """Return why no window is left: those that are ``named`` have another date, or none is."""
    there = [number for number, name in enumerate(file.sites) if name in names]
    if len(named):
        first_s, last_s = float(named.rise_s.min()), float(named.set_s.max())
        return other_dates("orbit", file.start, span_s, first_s, last_s)
    if there and (last_s := float(file.last_set_s[there].max())) <= 0.0:
        first_s = float(file.first_rise_s[there].min())
        return other_dates("orbit", file.start, span_s, first_s, last_s)
    return Statement.of(
        Code.WRONG_VALUE,
        "orbit",
        f"no window is left for the {kind}s {', '.join(names)} in the first "
        f"{counted(span_s / 86400, 'day')} from {to_second(file.start)}; the sites there "
        f"are {some(file.sites, 10)}; orbit.names says which is which",
    )


def _failed(failure: str) -> Statement:
    """Return the doubt that a satellite has no position for a part of the span."""
    return Statement.doubt(Code.LEFT_OUT, "orbit", "{failure}", failure=failure)


def _renumbered(
    file: orbit.WindowFile, satellites: Sequence[SatelliteOfFile], names: list[str]
) -> tuple[orbit.ContactWindows, Ints]:
    """Windows between these satellites and places, by their indices in the two lists.

    With the number in the file of each.
    """
    satellite_numbers = np.full(len(file.satellites), -1)
    satellite_numbers[[satellite.index for satellite in satellites]] = np.arange(len(satellites))
    place_of = {name: place for place, name in enumerate(names)}
    site_numbers = np.array([place_of.get(name, -1) for name in file.sites], np.int64)
    satellite = satellite_numbers[file.windows.satellite]
    site = site_numbers[file.windows.site]
    kept = np.flatnonzero((satellite >= 0) & (site >= 0))
    kept = kept[np.lexsort((site[kept], satellite[kept], file.windows.rise_s[kept]))]
    columns = vars(file.windows) | {"satellite": satellite, "site": site}
    return orbit.ContactWindows(**{k: column[kept] for k, column in columns.items()}), kept


SLOTS_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of a scenario in slots that names none: there is no orbit that could give one."""
SATELLITE = "slots"
"""Name of the one satellite."""


def _in_slots(world: World, slots: Slots) -> WorldPasses:
    """Return when each slot is; raise InputError where the days do not hold one."""
    cycles = world.stop.cycles
    days = world.stop.days
    assert cycles is not None  # the schema asks for it in slots
    windows = orbit.slot_windows(slots.clusters, slots.seconds, slots.idle, cycles)
    span_s = slots.cycles_s(cycles)
    if days is not None:
        span_s = min(span_s, days * 86400.0)
        windows = windows.where(windows.set_s <= span_s)
        if not len(windows):
            raise InputError.of(
                Code.WRONG_VALUE,
                "stop.days",
                f"no slot is whole in {counted(span_s / 86400, 'day')}",
            )
    start = world.given_start or SLOTS_EPOCH
    names = world.sites.client_names
    return WorldPasses.over(world, [SATELLITE], names, windows, start=start, span_s=span_s)


def _of_relay(world: World) -> WorldPasses:
    """Return when satellites see the one that serves them, which has the place of a site.

    Links that are acquired open so much later. Errors are as of `find_isls`.
    """
    isl = world.link.isl
    days = world.stop.days
    assert isl is not None  # the schema asks for both
    assert days is not None
    *satellites, server = flying = world.fleet.flying
    server_index = len(satellites)
    start = world.fleet.start
    end = start + timedelta(days=days)
    span_s = days * 86400.0
    pairs = np.array([(client, server_index) for client in range(server_index)])
    seen = find_isls(world, isl, start, span_s, pairs)
    rise_s = seen.start_s + np.where(seen.clipped_start, 0.0, isl.acquisition_s)
    acquired = np.flatnonzero(rise_s < seen.end_s)
    opened = int((~seen.clipped_start).sum())
    lost = acquisition_doubts(isl, opened, len(rise_s) - len(acquired))
    acquired = acquired[np.lexsort((seen.a[acquired], rise_s[acquired]))]
    rise_s = rise_s[acquired]
    seen = seen.where(acquired)
    windows = orbit.bare_windows(
        satellite=seen.a,
        site=np.zeros(len(acquired), np.int64),
        rise_s=rise_s,
        culminate_s=(rise_s + seen.end_s) / 2,
        set_s=seen.end_s,
        min_slant_range_km=seen.min_range_km,
        clipped_start=seen.clipped_start,
        clipped_end=seen.clipped_end,
    )
    return WorldPasses.over(
        world,
        [satellite.name for satellite in satellites],
        [server.name],
        windows,
        start=start,
        span_s=span_s,
        satellites=tuple(satellites),
        doubts=(
            *(doubt.below("orbit") for doubt in orbit.doubts(flying, start, end)),
            *lost,
            *world.fleet.left_out,
        ),
    )
