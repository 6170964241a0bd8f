"""Who flies in a scenario: satellites on orbits, or those that the windows of a file name.

What makes the satellites of a source of contacts, or reads its windows, is registered here:
:func:`satellites_of` and :func:`windows_of` know each class of `scenarios.orbit.Orbit`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from functools import cached_property, partial, singledispatch
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import orbit
import scenarios
from learning import stream
from orbit.utc import to_second
from scenarios import Scenario
from scenarios.orbit import (
    CircularOrbit,
    ContactsOrbit,
    KeplerianOrbit,
    OfFile,
    OrbitSource,
    Shell,
    TleOrbit,
    WalkerOrbit,
    WithElements,
    WithGeometry,
    WithService,
    WithWindows,
)
from scenarios.scenario import DrawnStart
from sim.errors import InputError
from sim.formatting import counted, some
from statements import Code, Remove, Set, Statement


def given_start(start: datetime | DrawnStart | None, seed: int) -> datetime | None:
    """Return the start that is given or drawn, UTC; None if the elements' epoch counts.

    A drawn one is uniform between ``after`` and so many days later, in whole seconds, from the
    stream ``start`` of the seed: it changes no other draw.
    """
    if start is None or isinstance(start, datetime):
        return start
    return None if start.after is None else start.after + _drawn(start, seed)


def start_of(
    start: datetime | DrawnStart | None, seed: int, satellites: Iterable[orbit.Satellite]
) -> datetime:
    """Return the start with these satellites: by default their latest epoch."""
    if (given := given_start(start, seed)) is not None:
        return given
    latest = max(satellite.epoch for satellite in satellites)
    return latest + _drawn(start, seed) if isinstance(start, DrawnStart) else latest


def _drawn(start: DrawnStart, seed: int) -> timedelta:
    within_s = int(start.within_days * 86_400)
    return timedelta(seconds=int(stream(seed, "start").integers(within_s, endpoint=True)))


@dataclass(frozen=True)
class SatelliteOfFile:
    """A satellite of a file of windows: its name and place in the file's list."""

    name: str
    index: int
    norad_id: int = 0


S = TypeVar("S", orbit.Satellite, SatelliteOfFile)


@dataclass(frozen=True, eq=False)
class Fleet:
    """The satellites on orbits of a scenario; each made once.

    Whatever is wrong with elements raises InputError, or the error of ``orbit``.
    """

    scenario: Scenario
    source: WithGeometry
    tells_rates = False

    @cached_property
    def satellites(self) -> list[orbit.Satellite]:
        """The satellites that take part, by name.

        Those that are clients know their planes, where these can be told; where planes are the
        clients, those that cannot be told raise InputError too.
        """
        roles = self.scenario.roles
        found = _chosen(self.scenario, self.source, self._made.satellites)
        if not roles.in_orbit:
            return found
        try:
            each = zip(found, orbit.planes(found), strict=True)
        except ValueError as error:
            if roles.clients == "planes":
                text = f"{error}, or set roles.clients: satellites"
                raise InputError.of(Code.UNSUPPORTED, "roles.clients", text) from None
            return found
        return [replace(satellite, plane=plane) for satellite, plane in each]

    @property
    def names(self) -> list[str]:
        """The names of the satellites that take part."""
        return [satellite.name for satellite in self.satellites]

    @cached_property
    def server(self) -> orbit.Satellite:
        """The one satellite that is the server; InputError where none has its name."""
        name = self.scenario.roles.server_satellite
        assert name is not None  # callers ask others for the rest
        return _meant(self._made.satellites, name, "roles.server")

    @property
    def flying(self) -> list[orbit.Satellite]:
        """The satellites that take part, then the one that serves them, if any."""
        return [*self.satellites, *([self.server] if self.scenario.roles.relay else ())]

    @cached_property
    def start(self) -> datetime:
        """When they start, UTC: by default the latest epoch of those that fly."""
        return start_of(self.scenario.start, self.scenario.seed, self.flying)

    @property
    def left_out(self) -> tuple[Statement, ...]:
        """A line for each of the bad elements that ``orbit.skip_bad`` leaves out."""
        return tuple(_left_out(self._made.bad))

    @cached_property
    def _made(self) -> Made:
        """All satellites of the source: of a file, or of elements at the start."""
        start = given_start(self.scenario.start, self.scenario.seed)
        return satellites_of(self.source, start, _file_of(self.scenario, self.source))


@dataclass(frozen=True, eq=False)
class FileWindows:
    """The windows of a file, and the satellites that it names; read once.

    Whatever is wrong with windows raises InputError, or the error of ``orbit``.
    """

    scenario: Scenario
    source: WithWindows

    @cached_property
    def satellites(self) -> list[SatelliteOfFile]:
        """The satellites that take part."""
        names = self.read.file.satellites
        found = [SatelliteOfFile(name, index) for index, name in enumerate(names)]
        return _chosen(self.scenario, self.source, found)

    @property
    def names(self) -> list[str]:
        """The names of the satellites that take part."""
        return [satellite.name for satellite in self.satellites]

    @property
    def tells_rates(self) -> bool:
        """Whether the windows are those of a contact plan, which tells their rates."""
        return self.read.pieces is not None

    @property
    def left_out(self) -> tuple[Statement, ...]:
        """A line for each of the bad rows that ``orbit.skip_bad`` leaves out, and for the rest."""
        return self.read.left_out

    @cached_property
    def read(self) -> ReadWindows:
        """What is in the file or text; the error of ``orbit`` for bad ones."""
        start = given_start(self.scenario.start, self.scenario.seed)
        path = _file_of(self.scenario, self.source)
        return windows_of(self.source, start, path, self._places)

    @property
    def _places(self) -> list[str]:
        """The names of the stations; of the clusters where there are none."""
        ground = self.scenario.ground
        nodes: Sequence[Any] = ground.stations or ground.clusters
        if ground.stations_path is not None:
            nodes = orbit.read_sites(scenarios.stations_file(self.scenario))
        return [node.name for node in nodes]


Flyers = Fleet | FileWindows
"""Who flies, of whatever source: ``satellites``, ``names``, ``left_out`` and ``tells_rates``."""


def flyers_of(scenario: Scenario) -> Flyers | None:
    """Return who flies in a scenario; None in the idealised cycle, where nobody does."""
    source = scenario.orbit
    if isinstance(source, WithGeometry):
        return Fleet(scenario, source)
    return FileWindows(scenario, source) if isinstance(source, WithWindows) else None


def _file_of(scenario: Scenario, source: WithService) -> Path | None:
    """Return the file of a source; None of one without a file, or with its text at hand."""
    given = isinstance(source, OfFile) and source.text is None
    return scenarios.orbit_file(scenario) if given else None


def _chosen(scenario: Scenario, source: WithService, found: Sequence[S]) -> list[S]:
    """Return all of ``found`` where any serves, is a client or relays, else the one wanted.

    A satellite that serves others is not among its own clients.
    """
    roles = scenario.roles
    wanted = roles.server_satellite or source.named_satellite
    key = "roles.server" if roles.server_satellite else "orbit.satellite"
    together = roles.in_orbit or scenario.link.route == "mesh"
    if together or (wanted is None and source.serving == "any"):
        server = _meant(found, roles.relay, key) if roles.relay else None
        others = _told_apart([satellite for satellite in found if satellite is not server])
        if not others:
            alone = f"{roles.relay!r} is the only satellite; it needs clients"
            raise InputError.of(Code.UNSUPPORTED, key, alone)
        return sorted(others, key=lambda satellite: satellite.name)
    if wanted is not None:
        return [_meant(found, wanted, key)]
    if len(found) > 1:
        named = (
            f"name one of the {len(found)} satellites, or set orbit.serving: any to let all "
            f"serve: {some(list(map(_label, found)), 5)}"
        )
        raise InputError.of(Code.MISSING, key, named)
    return list(found)


MOST_LEFT_OUT = 10
"""Bad rows up to which each has a doubt."""
SKIPPED = "orbit.skip_bad"


def _left_out(bad: Sequence[str]) -> Iterator[Statement]:
    for row in bad[:MOST_LEFT_OUT]:
        yield Statement.doubt(Code.LEFT_OUT, SKIPPED, "left out: {row}", row=row)
    if (more := len(bad) - MOST_LEFT_OUT) > 0:
        text = "left out: {count:,} bad ones more"
        yield Statement.doubt(Code.LEFT_OUT, SKIPPED, text, count=more)


def _told_apart(found: Sequence[S]) -> list[S]:
    """Return satellites with names of their own: equal ones get the catalogue number added.

    Raises InputError for two of a name that have no number.
    """
    told = [replace(s, name=name) for s, name in zip(found, orbit.own_names(found), strict=True)]
    if not told:
        return told
    twice, times = Counter(satellite.name for satellite in told).most_common(1)[0]
    if times > 1:  # traces could not tell them apart
        raise InputError.of(
            Code.UNSUPPORTED,
            "orbit",
            f"{times} satellites are called {twice!r}; where all serve or are clients "
            "each needs a name of its own, so rename or remove one",
        )
    return told


def _meant(found: Sequence[S], wanted: str, key: str) -> S:
    """Return the satellite of a name or catalogue number; raise InputError for none, or several."""
    number = orbit.catalogue_number(wanted)
    meant = [
        satellite
        for satellite in found
        if wanted in (satellite.name, _label(satellite))
        or (number and satellite.norad_id == number)
    ]
    if len(meant) > 1:
        labels = ", ".join(map(_label, meant))
        raise InputError.of(
            Code.AMBIGUOUS,
            key,
            "{count} satellites are called {name!r}: {labels}",
            "give the catalogue number",
            count=len(meant),
            name=wanted,
            labels=labels,
        )
    if not meant:
        names = some([*map(_label, sorted(found, key=partial(_distance, wanted)))], 5)
        text = "no {name!r} among the satellites, which are {names}"
        raise InputError.of(Code.WRONG_VALUE, key, text, name=wanted, names=names)
    return meant[0]


def _distance(wanted: str, satellite: S) -> tuple[bool, float]:
    """Return a sort key that is least for the name that ``wanted`` probably means."""
    wanted = wanted.casefold()
    name = satellite.name.casefold()
    return wanted not in name, -SequenceMatcher(None, wanted, name).ratio()


def _label(satellite: S) -> str:
    return f"{satellite.name} ({satellite.norad_id})" if satellite.norad_id else satellite.name


# What makes the satellites of each source with orbits.


class Made(NamedTuple):
    """Satellites of a source, and what is wrong with each of the elements that are left out."""

    satellites: list[orbit.Satellite]
    bad: Sequence[str] = ()


@singledispatch
def satellites_of(source: WithGeometry, start: datetime | None, path: Path | None) -> Made:
    """Return all satellites of a source, by the function for its class.

    ``start`` is that of the scenario, None where the elements' epoch counts; ``path`` is that of
    the source's file, None for one without, or with its text at hand.
    """
    raise NotImplementedError(
        f"orbit.source {source.source!r} has no maker of its satellites; register a function of "
        f"{type(source).__name__} with satellites_of in sim/world/fleet.py"
    )


@satellites_of.register
def _of_elements(source: WithElements, start: datetime | None, path: Path | None) -> Made:
    checksum: Literal["verify", "ignore"]
    checksum = source.checksum if isinstance(source, TleOrbit) else "verify"
    if path is not None:
        found, bad = orbit.read_elements(path, checksum)
    else:
        found, bad = orbit.parse_elements(source.elements or "", "orbit.elements", checksum)
    if bad and not source.skip_bad:
        raise orbit.ElementError(bad[0])
    if not found:
        what = f"no good elements are left of {len(bad)}; the first: {bad[0]}"
        raise InputError.of(Code.BROKEN_FILE, "orbit.skip_bad", what)
    return Made(orbit.one_each(found, start), bad)  # by default the start is the latest epoch


def _needed(start: datetime | None) -> datetime:
    assert start is not None  # the schema asks for it: there is no epoch
    return start


@satellites_of.register
def _circular(source: CircularOrbit, start: datetime | None, _: None) -> Made:
    satellite = orbit.circular_satellite(
        "circular",
        source.altitude_km,
        _inclination_deg(source, source.propagation),
        source.raan_deg,
        source.argument_of_latitude_deg,
        _needed(start),
        source.propagation,
    )
    return Made([satellite])


@satellites_of.register
def _keplerian(source: KeplerianOrbit, start: datetime | None, _: None) -> Made:
    elements = orbit.Elements(
        semi_major_axis_km=source.semi_major_axis_km,
        inclination_deg=source.inclination_deg,
        eccentricity=source.eccentricity,
        raan_deg=source.raan_deg,
        argument_of_perigee_deg=source.argument_of_perigee_deg,
        mean_anomaly_deg=source.mean_anomaly_deg,
        bstar=source.bstar,
        propagation=source.propagation,
    )
    return Made([elements.satellite("keplerian", _needed(start))])


@satellites_of.register
def _walker(source: WalkerOrbit, start: datetime | None, _: None) -> Made:
    shells = source.patterns
    return Made([made for shell in shells for made in _shell(source, shell, _needed(start))])


def _shell(source: WalkerOrbit, shell: Shell, start: datetime) -> list[orbit.Satellite]:
    """Return those satellites of one Walker pattern that ``orbit.use`` leaves."""
    axis_km = shell.semi_major_axis_km
    if axis_km is None:
        axis_km = orbit.circular_axis_km(shell.altitude_km or 0.0, source.propagation)
    pattern = orbit.Shell(
        spread_deg=180.0 if shell.pattern == "star" else 360.0,
        semi_major_axis_km=axis_km,
        inclination_deg=_inclination_deg(shell, source.propagation),
        satellites=shell.satellites,
        planes=shell.planes,
        phasing=shell.phasing,
        raan_deg=shell.raan_deg,
        argument_of_latitude_deg=shell.argument_of_latitude_deg,
        propagation=source.propagation,
    )
    flying = pattern.satellites_at(start, shell.name or "")
    per_plane = pattern.satellites_per_plane
    use = source.use
    planes = _used(shell.planes, use.planes)
    places = _used(per_plane, use.satellites_per_plane)
    return [flying[plane * per_plane + place] for plane in planes for place in places]


def _used(total: int, wanted: int | None) -> list[int]:
    """Return which of ``total`` are there: all, or some evenly spread up to the last one."""
    wanted = total if wanted is None else wanted
    return [total * (number + 1) // wanted - 1 for number in range(wanted)]


def _inclination_deg(
    shell: CircularOrbit | Shell, propagation: Literal["sgp4", "secular_j2"]
) -> float:
    if isinstance(shell.inclination_deg, str):  # sun-synchronous, of an altitude
        return orbit.sun_synchronous_inclination_deg(shell.altitude_km or 0.0, propagation)
    return shell.inclination_deg


TOLD_FROM_KM = 1.0
"""Difference of an altitude from its key from which on it is told."""


def flown_altitudes(source: OrbitSource) -> Iterator[Statement]:
    """Yield a note on each altitude that SGP4 does not fly, with the one that it does."""
    if not isinstance(source, CircularOrbit | WalkerOrbit):
        return
    if source.propagation != "sgp4":
        return
    if isinstance(source, CircularOrbit):
        patterns: Sequence[CircularOrbit | Shell] = [source]
    else:
        patterns = source.patterns
    for number, pattern in enumerate(patterns):
        if pattern.altitude_km is None:
            continue
        inclination_deg = _inclination_deg(pattern, "sgp4")
        equator_km, mean_km = orbit.flown_altitudes_km(pattern.altitude_km, inclination_deg)
        if abs(equator_km - pattern.altitude_km) < TOLD_FROM_KM:
            continue
        one = getattr(source, "shells", None) is None
        yield Statement.note(
            Code.FLOWN_ALTITUDE,
            "orbit.altitude_km" if one else f"orbit.shells.{number}.altitude_km",
            "{altitude_km:g} is that of the mean semi-major axis; SGP4 flies at "
            "{equator_km:,.0f} km over the equator, {mean_km:,.0f} km on the mean",
            altitude_km=pattern.altitude_km,
            equator_km=equator_km,
            mean_km=mean_km,
        )


# What reads the windows of each source that has them ready.


class ReadWindows(NamedTuple):
    """Windows of a table or a contact plan, and lines for the user on what was left out of it.

    Of a contact plan ``pieces`` are the rates and the light time of each window; else None.
    """

    file: orbit.WindowFile
    left_out: tuple[Statement, ...] = ()
    pieces: Sequence[orbit.Pieces] | None = None


@singledispatch
def windows_of(
    source: WithWindows, start: datetime | None, path: Path | None, places: Sequence[str]
) -> ReadWindows:
    """Return the windows of a source over ``places``, by the function for its class.

    ``start`` and ``path`` are as for :func:`satellites_of`.
    """
    raise NotImplementedError(
        f"orbit.source {source.source!r} has no reader of its windows; register a function of "
        f"{type(source).__name__} with windows_of in sim/world/fleet.py"
    )


@windows_of.register
def _of_table(
    source: ContactsOrbit, start: datetime | None, path: Path | None, places: Sequence[str]
) -> ReadWindows:
    """Return the windows of a table or a contact plan.

    Where a table does not tell the place it is the only one of the scenario, and the satellite is
    the one that the scenario names.
    """
    text, name = source.windows or "", "orbit.windows"
    if path is not None:
        text, name = orbit.window_text(path), str(path)
    bad: list[str] = []
    options: dict[str, Any] = {
        "start": start,
        "names": source.names or {},
        "on_bad": (lambda error: bad.append(str(error))) if source.skip_bad else None,
    }
    if orbit.is_contact_plan(text):
        if source.columns:
            refused = f"{name} is a contact plan, without columns"
            raise InputError.of(Code.UNUSED, "orbit.columns", refused, Remove())
        plan = orbit.parse_contact_plan(text, name, **options)
        return _of_contact_plan(plan, places, name, bad)
    if source.satellite is not None:
        options["satellite"] = source.satellite
    site = places[0] if len(places) == 1 else None
    columns: Any = source.columns
    file = orbit.parse_windows(text, name, columns=columns, site=site, **options)
    return ReadWindows(file, tuple(_left_out(bad)))


def _of_contact_plan(
    contacts: orbit.ContactsOfPlan, places: Sequence[str], name: str, bad: Sequence[str]
) -> ReadWindows:
    try:
        found = orbit.plan_windows(contacts, places)
    except ValueError as error:
        raise InputError.of_file(name, Code.MISSING, "{why}", why=str(error)) from None
    left_out = [*_left_out(bad)]
    if found.aside:
        text = "{file}: not used of the contact plan: {rows}"
        rows = "; ".join(found.aside)
        left_out.append(Statement.doubt(Code.LEFT_OUT, "orbit", text, file=name, rows=rows))
    return ReadWindows(found.file, tuple(left_out), found.pieces)


def other_dates(
    key: str, start: datetime, span_s: float, first_s: float, last_s: float
) -> Statement:
    """Say that a file's windows do not lie in the run, when they do, and which start would fit.

    They are from ``first_s`` to ``last_s`` after its start.
    """
    first, last = (to_second(start, time_s) for time_s in (first_s, last_s))
    return Statement.of(
        Code.WRONG_VALUE,
        key,
        f"none of its windows is in the {counted(span_s / 86_400, 'day')} "
        "from {start}; they are from {first} to {last}",
        Set("start", first),
        days=span_s / 86_400,
        start=to_second(start),
        first=first,
        last=last,
    )
