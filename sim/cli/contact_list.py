"""Contacts of a scenario, of elements over sites, and between satellites, as lists and files.

A list has a line a window or a line a site, a file all columns.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import orbit
from orbit.formats.tle import IGNORE_CHECKSUM
from scenarios.link import Isl
from scenarios.section import utc_instant
from sim.errors import InputError, as_input
from sim.formatting import table
from sim.plan.isl_planning import find_isls, isl_pairs
from sim.plan.service import served_passes
from sim.trace import plain_tables
from sim.trace.arrow import array
from sim.trace.instants import iso, utc
from sim.trace.plain_tables import FORMULA
from sim.world.world import World
from statements import Code, Statement

BATCH_ROWS = 250_000
_COORDINATES = re.compile(r"[-+0-9.,eE ]*[.,][-+0-9.,eE ]*")
COLUMN_FORMATS = {
    "duration_s": "{:.1f}",
    "max_elevation_deg": "{:.2f}",
    "min_slant_range_km": "{:.1f}",
    "min_range_km": "{:.1f}",
    "max_range_km": "{:.1f}",
}


@dataclass(frozen=True)
class ContactList:
    """Windows with the names of what they are between, and what there is to say about them.

    ``satellites`` fly, whoever the server is, and ``norad_ids`` are theirs, 0 for none. ``of`` has
    those that the summary is of, with the windows by them, where these are not the sites.
    ``sessions`` (S,) counts how often each of them was served, where that is not once a window;
    ``revolutions_per_day`` is the satellite's (the median of several), None without an orbit.
    """

    satellites: list[str]
    norad_ids: list[int]
    sites: list[str]
    start: datetime
    span_s: float
    windows: orbit.ContactWindows
    complaints: tuple[str, ...] = ()
    revolutions_per_day: float | None = None
    sessions: np.ndarray | None = None
    of: tuple[list[str], orbit.ContactWindows] | None = None


def write(contacts: ContactList, path: Path) -> None:
    """Write all columns of ``orbit.find_contacts`` to a .csv or .parquet file, in batches.

    Instants are UTC to the microsecond, in a CSV file as ISO 8601 text.
    """
    plain_tables.write_batches(_batches(contacts, times_as_text=path.suffix == ".csv"), path)


def list_text(contacts: ContactList) -> str:
    """One line a window."""
    if not len(contacts.windows):
        return "no contacts"
    w = contacts.windows
    shown: dict[str, Any] = {
        "satellite": [contacts.satellites[i] for i in w.satellite],
        "site": [contacts.sites[i] for i in w.site],
        "rise_utc": iso(utc(contacts.start, w.rise_s), "ms"),
        "set_utc": iso(utc(contacts.start, w.set_s), "ms"),
        "duration_s": w.set_s - w.rise_s,
        "max_elevation_deg": w.max_elevation_deg,
        "min_slant_range_km": w.min_slant_range_km,
    }
    return plain_tables.text(shown, COLUMN_FORMATS)


def contacts_summary(contacts: ContactList) -> str:
    """One line a site: passes, how long they last, the longest time without; and cycles a day.

    Where satellites or planes are clients, also one line each of them.
    """
    names, windows = contacts.of or (contacts.sites, contacts.windows)
    seen = orbit.coverage(windows, len(names), contacts.span_s)
    if names == contacts.sites:
        listed = _by("site", names, seen)
    else:
        of_sites = orbit.coverage(contacts.windows, len(contacts.sites), contacts.span_s)
        listed = f"{_by('site', contacts.sites, of_sites)}\n\n{_by('client', names, seen)}"
    if contacts.sessions is None and len(contacts.satellites) > 1:
        # Who would serve whom is not said: passes of several satellites overlap.
        return listed
    served = seen.passes if contacts.sessions is None else contacts.sessions
    least = int(np.argmin(served))
    ideal = contacts.revolutions_per_day
    a_day = served[least] / contacts.span_s * 86400
    line = f"{listed}\ncycles a day: {a_day:.2f} ({names[least]} is served least often)"
    if ideal is None:
        return line
    return f"{line}; one cycle an orbit would be {ideal:.2f}, ratio {a_day / ideal:.3f}"


def _by(head: str, names: Sequence[str], seen: orbit.Coverage) -> str:
    """Return the table of those who see passes, or are seen in them."""
    durations_s = np.stack([seen.mean_duration_s, seen.longest_duration_s])
    rows = [
        [
            name,
            str(seen.passes[i]),
            f"{seen.passes_per_day[i]:.2f}",
            *("-" if np.isnan(s) else f"{s:.0f}" for s in durations_s[:, i]),
            f"{seen.longest_gap_s[i] / 3600:.2f}",
            f"{100 * seen.in_view_fraction[i]:.2f}",
        ]
        for i, name in enumerate(names)
    ]
    heads = [
        head,
        "passes",
        "a day",
        "mean s",
        "longest s",
        "longest gap h",
        "in view %",
    ]
    return table(heads, rows)


def _batches(contacts: ContactList, *, times_as_text: bool) -> Iterator[Any]:
    """Arrow record batches of the windows; one without rows if there are none."""
    listed = {"satellite": contacts.satellites, "site": contacts.sites}
    if times_as_text:  # a CSV file, which may end in a spreadsheet
        listed = {key: [_no_formula(name) for name in names] for key, names in listed.items()}
    names = {key: array(values) for key, values in listed.items()}
    norad_ids = np.array(contacts.norad_ids, np.int64)
    for first in range(0, max(len(contacts.windows), 1), BATCH_ROWS):
        rows = slice(first, first + BATCH_ROWS)
        columns = _columns(contacts, rows, names, times_as_text=times_as_text)
        numbers = norad_ids[contacts.windows.satellite[rows]]
        yield plain_tables.batch(columns | {"norad_id": array(numbers, numbers == 0)})


def _no_formula(name: str) -> str:
    """Return a name with a `'` before what would be a formula; places may be called 1.5,-2."""
    is_formula = name.startswith(FORMULA) and not _COORDINATES.fullmatch(name)
    return f"'{name}" if is_formula else name


def _columns(
    contacts: ContactList, rows: slice, names: dict[str, Any], *, times_as_text: bool
) -> dict[str, Any]:
    """Fields of the windows in their order: names for indices, UTC for seconds, and durations."""
    columns: dict[str, Any] = {}
    for field in fields(contacts.windows):
        values = getattr(contacts.windows, field.name)[rows]
        if field.name in names:
            columns[field.name] = names[field.name].take(array(values))
        elif field.name in ("rise_s", "culminate_s", "set_s"):
            times = utc(contacts.start, values)
            shown = iso(times) if times_as_text else times
            columns[field.name.replace("_s", "_utc")] = array(shown)
        else:
            columns[field.name] = array(values)
        if field.name == "set_s":
            columns["duration_s"] = array(values - contacts.windows.rise_s[rows])
    return columns


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
            "give each place a name of its own",
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
    bad = [text.replace(IGNORE_CHECKSUM, "give --checksum ignore") for text in bad]
    left_out = _left_out(bad, len(good) + len(bad), file)
    return orbit.one_each(good, start), left_out


def _left_out(bad: list[str], total: int, file: ElementFile) -> list[str]:
    """Complaints about bad satellites; InputError if they may not, or must not, be left out."""
    if not bad:
        return []
    if not file.skip_bad:
        others = f" ({len(bad)} of {total} are bad; --skip-bad leaves them out)"
        text = bad[0] + (others if total > 1 else "")
        raise InputError.of(Code.BROKEN_FILE, "", text)
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
