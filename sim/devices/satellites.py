"""The satellites of a scenario: read, or made from its elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from functools import partial, wraps
from typing import Any, Literal, TypeVar

import orbit
import scenarios
from scenarios import Scenario
from scenarios.orbit import CircularOrbit, KeplerianOrbit, WalkerOrbit
from sim.devices.start import given_start
from sim.errors import InputError
from sim.formatting import some
from statements import Code, Statement


@dataclass(frozen=True)
class SatelliteOfFile:
    """A satellite of a file of windows: its name and place in the file's list."""

    name: str
    index: int
    norad_id: int = 0


SEVERAL_SETS = (
    "set orbit.sets: nearest to take at each time the one nearest to it, or latest for the last"
)
S = TypeVar("S", orbit.Satellite, SatelliteOfFile)
Checksum = Literal["verify", "ignore"]
M = TypeVar("M")

_MADE: ContextVar[dict[Any, Any] | None] = ContextVar("_MADE", default=None)


@contextmanager
def made_once() -> Iterator[None]:
    """Make the satellites of a scenario, or read its windows, only once within the context."""
    token = _MADE.set({})
    try:
        yield
    finally:
        _MADE.reset(token)


def _once(make: Callable[[Scenario], M]) -> Callable[[Scenario], M]:
    @wraps(make)
    def made(scenario: Scenario) -> M:
        known = _MADE.get()
        if known is None:  # a file may have changed since
            return make(scenario)
        key = make.__name__, id(scenario)
        if key not in known:
            known[key] = make(scenario), scenario  # as long as it is here, its id is its own
        return known[key][0]

    return made


@_once
def satellites_of(scenario: Scenario) -> list[orbit.Satellite]:
    """Return the satellites that take part, by name; raise InputError for wrong elements.

    Those that are clients know their planes, where these can be told; where planes are the clients,
    those that cannot be told raise InputError too.
    """
    found = chosen(_made(scenario), scenario)
    if not scenario.roles.satellites_learn:
        return found
    try:
        each = zip(found, orbit.planes(found), strict=True)
    except ValueError as error:
        if scenario.roles.clients == "planes":
            text = f"roles.clients: {error}, or set roles.clients: satellites"
            raise InputError(text) from None
        return found
    return [replace(satellite, plane=plane) for satellite, plane in each]


@_once
def server_of(scenario: Scenario) -> orbit.Satellite:
    """Return the one satellite that is the server; raise InputError where none has its name."""
    name = scenario.roles.server_satellite
    assert name is not None  # callers have turned to others for the rest
    return _meant(_made(scenario), name, "roles.server")


def flying_of(scenario: Scenario) -> list[orbit.Satellite]:
    """Return the satellites that take part, then the one that serves them, if any."""
    return [*satellites_of(scenario), *([server_of(scenario)] if scenario.roles.relay else ())]


def satellite_names(scenario: Scenario) -> list[str]:
    """Return the names of the satellites that take part, of a real orbit or a file of windows."""
    if scenario.orbit.source == "contacts":
        return [
            satellite.name for satellite in satellites_of_file(windows_of(scenario).file, scenario)
        ]
    return [satellite.name for satellite in satellites_of(scenario)]


@dataclass(frozen=True, eq=False)
class WindowsOfFile:
    """Windows of a table or a contact plan, and lines for the user on what was left out of it.

    Of a contact plan ``pieces`` are the rates and the light time of each window; else None.
    """

    file: orbit.WindowFile
    left_out: tuple[str, ...] = ()
    pieces: Sequence[orbit.Pieces] | None = None


@_once
def windows_of(scenario: Scenario) -> WindowsOfFile:
    """Return the windows of a file or text; raise the error of ``orbit`` for bad ones.

    Where a table does not tell the place it is the only one of the scenario, and the satellite is
    the one that the scenario names.
    """
    source: Any = scenario.orbit
    text, name = source.windows, "orbit.windows"
    if text is None:
        path = scenarios.windows_file(scenario)
        text, name = orbit.window_text(path), str(path)
    bad: list[str] = []
    options: dict[str, Any] = {
        "start": given_start(scenario),
        "names": source.names or {},
        "on_bad": (lambda error: bad.append(str(error))) if source.skip_bad else None,
    }
    columns = source.columns.model_dump(exclude_none=True)
    ground = scenario.ground
    nodes: Sequence[Any] = ground.stations or ground.clusters
    if ground.stations_path is not None:
        nodes = orbit.read_sites(scenarios.stations_file(scenario))
    places = [node.name for node in nodes]
    if orbit.is_contact_plan(text):
        if columns:
            raise InputError(
                Statement.of(
                    Code.WRONG_VALUE,
                    "orbit.columns",
                    f"{name} is a contact plan, without columns; remove it",
                )
            )
        return _of_contact_plan(orbit.parse_contact_plan(text, name, **options), places, name, bad)
    if source.satellite is not None:
        options["satellite"] = source.satellite
    site = places[0] if len(places) == 1 else None
    file = orbit.parse_windows(text, name, columns=columns, site=site, **options)
    return WindowsOfFile(file, tuple(_left_out(bad)))


def _of_contact_plan(
    contacts: orbit.ContactsOfPlan, places: Sequence[str], name: str, bad: Sequence[str]
) -> WindowsOfFile:
    try:
        found = orbit.plan_windows(contacts, places)
    except ValueError as error:
        raise InputError(f"{name}: {error} by orbit.names, like {{1: {places[0]}}}") from None
    lines = [*_left_out(bad)]
    if found.aside:
        lines.append(f"{name}: not used of the contact plan: {'; '.join(found.aside)}")
    return WindowsOfFile(found.file, tuple(lines), found.pieces)


MOST_LEFT_OUT = 10
"""Bad rows up to which each has a line."""


def _left_out(bad: Sequence[str]) -> Iterator[str]:
    yield from (f"left out: {line}" for line in bad[:MOST_LEFT_OUT])
    if len(bad) > MOST_LEFT_OUT:
        yield f"left out: {len(bad) - MOST_LEFT_OUT:,} bad ones more"


def satellites_of_file(table: orbit.WindowFile, scenario: Scenario) -> list[SatelliteOfFile]:
    """Return the satellites of a file of windows that take part."""
    found = [SatelliteOfFile(name, index) for index, name in enumerate(table.satellites)]
    return chosen(found, scenario)


def chosen(found: Sequence[S], scenario: Scenario) -> list[S]:
    """Return all of ``found`` where any serves, is a client or relays, else the one wanted.

    Of clients of a satellite that one is not among them.
    """
    source = scenario.orbit
    roles = scenario.roles
    assert source.source != "slots"  # callers ask for satellites of a real orbit only
    wanted = roles.server_satellite or getattr(source, "satellite", None)
    key = "roles.server" if roles.server_satellite else "orbit.satellite"
    together = roles.satellites_learn or scenario.devices_over_mesh
    if together or (wanted is None and source.serving == "any"):
        server = _meant(found, roles.relay, key) if roles.relay else None
        others = _told_apart([satellite for satellite in found if satellite is not server])
        if not others:
            raise InputError(f"{key}: {roles.relay!r} is the only satellite; it needs clients")
        return sorted(others, key=lambda satellite: satellite.name)
    if wanted is not None:
        return [_meant(found, wanted, key)]
    if len(found) > 1:
        raise InputError(
            f"{key}: name one of the {len(found)} satellites, or set orbit.serving: any "
            f"to let all serve: {some(list(map(_label, found)), 5)}"
        )
    return list(found)


def _told_apart(found: Sequence[S]) -> list[S]:
    """Return satellites with names of their own: equal ones get the catalogue number added.

    Raises InputError for two of a name that have no number, or the same one.
    """
    told = [replace(s, name=name) for s, name in zip(found, orbit.own_names(found), strict=True)]
    if not told:
        return told
    twice, times = Counter(satellite.name for satellite in told).most_common(1)[0]
    if times > 1:  # traces could not tell them apart
        if any(satellite.norad_id for satellite in told if satellite.name == twice):
            text = f"orbit: {times} element sets are those of {twice!r}; {SEVERAL_SETS}"
            raise InputError(text)
        raise InputError(
            Statement.of(
                Code.UNSUPPORTED,
                "orbit",
                f"{times} satellites are called {twice!r}; where all serve or are clients "
                "each needs a name of its own, so rename or remove one",
            )
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
    if len({satellite.norad_id for satellite in meant} | {0}) == 2 and len(meant) > 1:
        text = f"{key}: {len(meant)} element sets are those of {wanted!r}; {SEVERAL_SETS}"
        raise InputError(text)
    if len(meant) > 1:
        labels = ", ".join(map(_label, meant))
        raise InputError(
            f"{key}: {len(meant)} satellites are called {wanted!r}: {labels}; give the "
            "catalogue number"
        )
    if not meant:
        names = some([*map(_label, sorted(found, key=partial(_distance, wanted)))], 5)
        raise InputError(f"{key}: no {wanted!r} among the satellites, which are {names}")
    return meant[0]


def _distance(wanted: str, satellite: S) -> tuple[bool, float]:
    """Return a sort key that is least for the name that ``wanted`` probably means."""
    wanted = wanted.casefold()
    name = satellite.name.casefold()
    return wanted not in name, -SequenceMatcher(None, wanted, name).ratio()


def _label(satellite: S) -> str:
    return f"{satellite.name} ({satellite.norad_id})" if satellite.norad_id else satellite.name


def _read(scenario: Scenario) -> list[orbit.Satellite]:
    source: Any = scenario.orbit
    found, bad = _elements(scenario)
    if bad and not source.skip_bad:
        raise orbit.ElementError(bad[0])
    if not found:
        what = f"no good elements are left of {len(bad)}; the first: {bad[0]}"
        raise InputError(Statement.of(Code.WRONG_VALUE, "orbit.skip_bad", what))
    return found if source.sets is None else orbit.one_each(found, source.sets)


@_once
def _elements(scenario: Scenario) -> tuple[list[orbit.Satellite], list[str]]:
    """Return the good elements of a file or text, and what is wrong with each of the bad ones."""
    source: Any = scenario.orbit
    text, name = source.elements, "orbit.elements"
    if text is None:
        path = scenarios.element_file(scenario)
        text, name = orbit.element_text(path), str(path)
    checksum: Checksum = getattr(source, "checksum", "verify")
    entries = list(orbit.scan_satellites(text, name, checksum))
    if not entries:
        return orbit.parse_satellites(text, name, checksum), []  # which says that there is nothing
    good = [entry for entry in entries if isinstance(entry, orbit.Satellite)]
    return good, [str(entry) for entry in entries if not isinstance(entry, orbit.Satellite)]


def elements_left_out(scenario: Scenario) -> tuple[str, ...]:
    """Return a line for each of the bad elements that ``orbit.skip_bad`` leaves out."""
    if scenario.orbit.source == "contacts" or not getattr(scenario.orbit, "skip_bad", False):
        return ()
    return tuple(_left_out(_elements(scenario)[1]))


def _made(scenario: Scenario) -> list[orbit.Satellite]:
    """Return all satellites of a scenario's orbit: of a file, or of elements at its start."""
    source: Any = scenario.orbit
    if source.source in ("tle", "omm"):
        return _read(scenario)
    start = given_start(scenario)
    assert start is not None  # the schema asks for it: there is no epoch
    return _MAKERS[source.source](source, start)


def _circular(source: CircularOrbit, start: datetime) -> list[orbit.Satellite]:
    satellite = orbit.circular_satellite(
        "circular",
        source.altitude_km,
        _inclination_deg(source, source.propagation),
        source.raan_deg,
        source.argument_of_latitude_deg,
        start,
        source.propagation,
    )
    return [satellite]


def _keplerian(source: KeplerianOrbit, start: datetime) -> list[orbit.Satellite]:
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
    return [elements.satellite("keplerian", start)]


def _walker(source: WalkerOrbit, start: datetime) -> list[orbit.Satellite]:
    if source.shells is None:
        return _shell(source, source, start, "")
    named = ((shell.name or str(number), shell) for number, shell in enumerate(source.shells, 1))
    return [made for name, shell in named for made in _shell(source, shell, start, name)]


def _shell(source: Any, shell: Any, start: datetime, name: str) -> list[orbit.Satellite]:
    """Return those satellites of one Walker pattern that ``orbit.use`` leaves."""
    axis_km = getattr(shell, "semi_major_axis_km", None)
    pattern = orbit.Shell(
        spread_deg=180.0 if shell.pattern == "star" else 360.0,
        semi_major_axis_km=axis_km or orbit.circular_axis_km(shell.altitude_km, source.propagation),
        inclination_deg=_inclination_deg(shell, source.propagation),
        satellites=shell.satellites,
        planes=shell.planes,
        phasing=shell.phasing,
        raan_deg=shell.raan_deg,
        argument_of_latitude_deg=shell.argument_of_latitude_deg,
        propagation=source.propagation,
    )
    flying = pattern.satellites_at(start, name)
    per_plane = pattern.satellites_per_plane
    use = source.use
    planes = _used(shell.planes, use.planes, use.choose)
    places = _used(per_plane, use.satellites_per_plane, use.choose)
    return [flying[plane * per_plane + place] for plane in planes for place in places]


def _used(total: int, wanted: int | None, choose: str) -> list[int]:
    """Return which of ``total`` are there: the first ones, or evenly spread up to the last one."""
    if wanted is None or choose == "first":
        return list(range(wanted or total))
    return [total * (number + 1) // wanted - 1 for number in range(wanted)]


def _inclination_deg(shell: Any, propagation: Literal["sgp4", "secular_j2"]) -> float:
    if shell.inclination_deg == "sun-synchronous":
        return orbit.sun_synchronous_inclination_deg(shell.altitude_km, propagation)
    return float(shell.inclination_deg)


_MAKERS: dict[str, Callable[[Any, datetime], list[orbit.Satellite]]] = {
    "circular": _circular,
    "keplerian": _keplerian,
    "walker": _walker,
}
