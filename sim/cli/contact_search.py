"""Contacts of a scenario, of elements over sites, and between satellites."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import orbit
from scenarios.link import Isl
from scenarios.section import utc_instant
from sim.cli.contact_listing import ContactList
from sim.errors import InputError, as_input
from sim.plan.isl_planning import find_isls, isl_pairs
from sim.plan.service import served_passes
from sim.trace.instants import iso, utc
from sim.world.world import World
from statements import Code, Other, Statement

_LONGEST_DAYS = 36525
_SHORTEST_DAYS = 1e-6
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def of_scenario(world: World) -> ContactList:
    """Contacts of a scenario's satellites with its clusters or stations, whichever the server is.

    And how often each client is served.
    """
    served = served_passes(world)
    sessions = [served.session[windows] for windows in served.of_clients]
    fleet = list(served.flyers.names)
    norad_ids = {satellite.name: satellite.norad_id for satellite in served.satellites}
    return ContactList(
        fleet,
        [norad_ids.get(name, 0) for name in fleet],
        list(served.grounded.names),
        served.start,
        served.span_s,
        served.flown,
        _warnings((*served.doubts, *world.sites.left_out)),
        _revolutions_per_day(served.satellites),
        np.array([numbers.max(initial=-1) + 1 for numbers in sessions]),
        (served.clients, served.windows),
    )


@dataclass(frozen=True)
class ElementFile:
    """A file of elements, and how it is read.

    Bad elements are left out if ``skip_bad``.
    """

    path: Path
    skip_bad: bool
    checksum: Any


def of_elements(
    file: ElementFile,
    sites: Sequence[str],
    sites_file: Path | None,
    start: str | None,
    days: float | None,
    min_elevation_deg: float | None,
) -> ContactList:
    """Contacts of every satellite of an element file with every site.

    Elements that cannot be read, and satellites that SGP4 refuses over the whole span, raise
    InputError, or are left out with a complaint if ``file.skip_bad``.
    """
    if not (sites or sites_file) or start is None or days is None or min_elevation_deg is None:
        raise InputError.of_option(
            "contacts",
            Code.MISSING,
            "--tle needs --site (or --sites), --start, --days and --min-elevation too",
        )
    begin, end = _span(start, days)
    if not 0 <= min_elevation_deg < 90:
        raise InputError.of_option(
            f"--min-elevation {min_elevation_deg:g}",
            Code.WRONG_VALUE,
            "should be degrees from 0 to below 90",
        )
    unused: list[str] = []
    places = [_site(text) for text in sites]
    places += orbit.read_sites(sites_file, unused.append) if sites_file else []
    names = [place.name for place in places]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:  # the list could not tell them apart
        raise InputError.of_option(
            "--site",
            Code.WRONG_VALUE,
            "{twice!r} comes twice",
            Other(said="give each place a name of its own"),
            twice=twice,
        )
    satellites, left_out = _read(file, begin)
    own_names = orbit.own_names(satellites)
    satellites = [replace(s, name=name) for s, name in zip(satellites, own_names, strict=True)]
    failures: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        satellites, places, begin, end, min_elevation_deg, refine="sgp4", on_failure=failures.append
    )
    refused = [str(failure) for failure in failures if failure.whole]
    partly = [str(failure) for failure in failures if not failure.whole]
    left_out += _left_out(refused, len(satellites), file)
    return ContactList(
        [satellite.name for satellite in satellites],
        [satellite.norad_id for satellite in satellites],
        names,
        begin,
        (end - begin).total_seconds(),
        windows,
        (
            *left_out,
            *_warnings([*unused, *partly, *orbit.doubts(satellites, begin, end)]),
        ),
        _revolutions_per_day(satellites),
    )


def between_satellites(world: World, *, as_text: bool) -> dict[str, Any]:
    """Columns of ``orbit.isl_windows`` for a scenario, with times ``as_text`` or as datetimes.

    Pairs and limits are those of ``link.isl``, with those of a server that is a satellite; without
    it all pairs, 80 km above the Earth.
    """
    if not world.orbit.has_geometry:
        source = world.orbit.source
        raise InputError.of_option(
            "contacts: --isl",
            Code.UNSUPPORTED,
            "source {source!r} has no satellites on orbits",
            source=source,
        )
    satellites = world.fleet.satellites
    if len(flying := world.fleet.flying) < 2:
        raise InputError.of_option(
            "contacts: --isl", Code.UNSUPPORTED, "the scenario has one satellite; a link needs two"
        )
    start = world.fleet.start
    isl = world.link.isl or Isl.model_construct(between_planes="all")
    pairs = np.array([*combinations(range(len(satellites)), 2)])
    if world.link.isl is not None:
        pairs, _ = isl_pairs(isl, satellites, start)
    if world.topology.grounded == "relay":
        to_server = [(client, len(satellites)) for client in range(len(satellites))]
        pairs = np.concatenate([pairs, to_server])
    span_s = 86_400.0 * (world.stop.days or 0.0)
    found = find_isls(world, isl, start, span_s, pairs)
    names = np.array([satellite.name for satellite in flying])
    times = {"start_utc": utc(start, found.start_s), "end_utc": utc(start, found.end_s)}
    columns = {name: values for name, values in vars(found).items() if not name.endswith("_s")}
    return {
        "a": names[columns.pop("a")],
        "b": names[columns.pop("b")],
        **{name: iso(time) if as_text else time for name, time in times.items()},
        "duration_s": found.end_s - found.start_s,
        **columns,
    }


def _revolutions_per_day(satellites: Sequence[orbit.Satellite]) -> float | None:
    """Of the one satellite, or the median of several; None for none."""
    return median(s.revolutions_per_day for s in satellites) if satellites else None


def _warnings(doubts: Sequence[Statement | str]) -> tuple[str, ...]:
    return tuple(f"warning: {doubt}" for doubt in doubts)


def _read(file: ElementFile, start: datetime) -> tuple[list[orbit.Satellite], list[str]]:
    """Satellites of a file as known at the start, and a complaint for each entry left out."""
    with as_input(option="--checksum"):
        orbit.check_checksum(file.checksum)
    good, bad = orbit.read_elements(file.path, file.checksum)
    left_out = _left_out(bad, len(good) + len(bad), file)
    return orbit.one_each(good, start), left_out


def _left_out(bad: list[str], total: int, file: ElementFile) -> list[str]:
    """Complaints about bad satellites; InputError if they may not, or must not, be left out."""
    if not bad:
        return []
    if not file.skip_bad:
        others = f" ({len(bad)} of {total} are bad; --skip-bad leaves them out)"
        text = bad[0] + (others if total > 1 else "")
        raise InputError(Statement.of(Code.BROKEN_FILE, "", text))
    if len(bad) == total:
        text = "no good elements are left of {total}; the first: {first}"
        raise InputError.of_file(file.path, Code.BROKEN_FILE, text, total=total, first=bad[0])
    return [f"left out: {line}" for line in bad]


def _span(start: str, days: float) -> tuple[datetime, datetime]:
    if not _SHORTEST_DAYS <= days <= _LONGEST_DAYS:
        raise InputError.of_option(
            f"--days {days:g}",
            Code.WRONG_VALUE,
            f"should be above 0 ({_SHORTEST_DAYS:g} is a tenth of a second), "
            f"and {_LONGEST_DAYS} at most",
        )
    with as_input(option="--start"):
        begin: datetime = utc_instant(start)
    return begin, begin + timedelta(days=days)


def _site(text: str) -> orbit.Site:
    name, named, place = text.rpartition("=")
    parts = [part.strip() for part in place.split(",")]
    if len(parts) not in (2, 3) or not all(map(_NUMBER.fullmatch, parts)) or (named and not name):
        raise InputError.of_option(
            f"--site {text}",
            Code.WRONG_VALUE,
            "should be LAT,LON or LAT,LON,ALT_M, for example 48.1,11.6, and "
            "may begin with a name: Munich=48.1,11.6",
        )
    with as_input(option="--site"):
        return orbit.Site(name.strip() or place, *map(float, parts))
