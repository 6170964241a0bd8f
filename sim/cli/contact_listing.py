"""Contacts of a scenario, or of elements over sites, as tables."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import orbit
from scenarios import Scenario
from scenarios.link import Isl
from scenarios.section import utc_instant
from sim.devices.satellites import flying_of, satellites_of
from sim.errors import InputError, as_input
from sim.formatting import table
from sim.plan.isl_pairs import isl_pairs
from sim.plan.isl_windows import find_isls
from sim.plan.service import served_passes
from sim.trace import arrow as plain
from sim.trace.arrow import FORMULA, array

BATCH_ROWS = 250_000
_COORDINATES = re.compile(r"[-+0-9.,eE ]*[.,][-+0-9.,eE ]*")
SHOWN = {
    "duration_s": "{:.1f}",
    "max_elevation_deg": "{:.2f}",
    "min_slant_range_km": "{:.1f}",
    "min_range_km": "{:.1f}",
    "max_range_km": "{:.1f}",
}


@dataclass(frozen=True)
class Found:
    """Windows with the names of what they are between, and what there is to say about them.

    ``sessions`` (S,) counts how often each site was served, where that is not once a window;
    ``revolutions_per_day`` is the satellite's (the median of several), None without an orbit.
    """

    satellites: list[str]
    sites: list[str]
    start: datetime
    span_s: float
    windows: orbit.ContactWindows
    complaints: tuple[str, ...] = ()
    revolutions_per_day: float | None = None
    sessions: np.ndarray | None = None


def write(found: Found, path: Path) -> None:
    """Write all columns of ``orbit.find_contacts`` to a .csv or .parquet file, in batches.

    Instants are UTC to the microsecond, in a CSV file as ISO 8601 text.
    """
    plain.write_batches(_batches(found, path.suffix == ".csv"), path)


def list_text(found: Found) -> str:
    """One line a window."""
    if not len(found.windows):
        return "no contacts"
    w = found.windows
    shown: dict[str, Any] = {
        "satellite": [found.satellites[i] for i in w.satellite],
        "site": [found.sites[i] for i in w.site],
        "rise_utc": plain.iso(plain.utc(found.start, w.rise_s), "ms"),
        "set_utc": plain.iso(plain.utc(found.start, w.set_s), "ms"),
        "duration_s": w.set_s - w.rise_s,
        "max_elevation_deg": w.max_elevation_deg,
        "min_slant_range_km": w.min_slant_range_km,
    }
    return plain.text(shown, SHOWN)


def summary_text(found: Found) -> str:
    """One line a site: passes, how long they last, the longest time without; and cycles a day."""
    seen = orbit.coverage(found.windows, len(found.sites), found.span_s)
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
        for i, name in enumerate(found.sites)
    ]
    head = ["site", "passes", "a day", "mean s", "longest s", "longest gap h", "in view %"]
    listed = table(head, rows)
    if found.sessions is None and len(found.satellites) > 1:
        # Who would serve whom is not said: passes of several satellites overlap.
        return listed
    served = seen.passes if found.sessions is None else found.sessions
    least, ideal = int(np.argmin(served)), found.revolutions_per_day
    a_day = served[least] / found.span_s * 86400
    line = f"{listed}\ncycles a day: {a_day:.2f} ({found.sites[least]} is served least often)"
    if ideal is None:
        return line
    return f"{line}; one cycle an orbit would be {ideal:.2f}, ratio {a_day / ideal:.3f}"


def _batches(found: Found, times_as_text: bool) -> Iterator[Any]:
    """Arrow record batches of the windows; one without rows if there are none."""
    listed = {"satellite": found.satellites, "site": found.sites}
    if times_as_text:  # a CSV file, which may end in a spreadsheet
        listed = {key: [_no_formula(name) for name in names] for key, names in listed.items()}
    names = {key: array(values) for key, values in listed.items()}
    for first in range(0, max(len(found.windows), 1), BATCH_ROWS):
        rows = slice(first, first + BATCH_ROWS)
        yield plain.batch(_columns(found, rows, names, times_as_text))


def _no_formula(name: str) -> str:
    """Return a name with a `'` before what would be a formula; places may be called 1.5,-2."""
    is_formula = re.match(FORMULA, name) and not _COORDINATES.fullmatch(name)
    return f"'{name}" if is_formula else name


def _columns(
    found: Found, rows: slice, names: dict[str, Any], times_as_text: bool
) -> dict[str, Any]:
    """Fields of the windows in their order: names for indices, UTC for seconds, and durations."""
    columns: dict[str, Any] = {}
    for field in fields(found.windows):
        values = getattr(found.windows, field.name)[rows]
        if field.name in names:
            columns[field.name] = names[field.name].take(array(values))
        elif field.name in ("rise_s", "culminate_s", "set_s"):
            times = plain.utc(found.start, values)
            shown = plain.iso(times) if times_as_text else times
            columns[field.name.replace("_s", "_utc")] = array(shown)
        else:
            columns[field.name] = array(values)
        if field.name == "set_s":
            columns["duration_s"] = array(values - found.windows.rise_s[rows])
    return columns


_LONGEST_DAYS = 36525
_SHORTEST_DAYS = 1e-6
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def of_scenario(scenario: Scenario) -> Found:
    """Contacts of a scenario's satellites with its clusters, and how often each is served."""
    served = served_passes(scenario)
    return Found(
        served.servers,
        served.clients,
        served.start,
        served.span_s,
        served.windows,
        _warnings(served.doubts),
        _revolutions_per_day(served.satellites),
        np.array(
            [served.sessions[windows].max(initial=-1) + 1 for windows in served.windows_of_clients]
        ),
    )


def of_elements(
    path: Path,
    sites: Sequence[str],
    sites_file: Path | None,
    start: str | None,
    days: float | None,
    min_elevation_deg: float | None,
    skip_bad: bool,
) -> Found:
    """Contacts of every satellite of an element file with every site.

    Elements that cannot be read, and satellites that SGP4 refuses over the whole span, raise
    InputError, or are left out with a complaint if ``skip_bad``.
    """
    if not (sites or sites_file) or start is None or days is None or min_elevation_deg is None:
        raise InputError(
            "contacts: --tle needs --site (or --sites), --start, --days and --min-elevation too"
        )
    begin, end = _span(start, days)
    if not 0 <= min_elevation_deg < 90:
        raise InputError(
            f"--min-elevation {min_elevation_deg:g}: should be degrees from 0 to below 90"
        )
    places = [_site(text) for text in sites] + (orbit.read_sites(sites_file) if sites_file else [])
    names = [place.name for place in places]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:  # the list could not tell them apart
        raise InputError(f"--site: {twice!r} comes twice; give each place a name of its own")
    satellites, left_out = _read(path, skip_bad)
    failures: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        satellites, places, begin, end, min_elevation_deg, refine="sgp4", on_failure=failures.append
    )
    refused = [str(failure) for failure in failures if failure.whole]
    partly = [str(failure) for failure in failures if not failure.whole]
    left_out += _left_out(refused, len(satellites), path, skip_bad)
    return Found(
        [satellite.name for satellite in satellites],
        names,
        begin,
        (end - begin).total_seconds(),
        windows,
        (*left_out, *_warnings([*partly, *orbit.doubts(satellites, begin, end)])),
        _revolutions_per_day(satellites),
    )


def between_satellites(scenario: Scenario, as_text: bool) -> dict[str, Any]:
    """Columns of ``orbit.isl_windows`` for a scenario, with times ``as_text`` or as datetimes.

    Pairs and limits are those of ``link.isl``, with those of a server that is a satellite; without
    it all pairs, 80 km above the Earth.
    """
    if not scenario.orbit.has_geometry:
        source = scenario.orbit.source
        raise InputError(f"contacts: --isl: source {source!r} has no satellites on orbits")
    satellites = satellites_of(scenario)
    if len(flying := flying_of(scenario)) < 2:
        raise InputError("contacts: --isl: the scenario has one satellite; a link needs two")
    start = scenario.start or max(satellite.epoch for satellite in flying)
    isl = scenario.link.isl or Isl.model_construct(between_planes="all")
    pairs = np.array([*combinations(range(len(satellites)), 2)])
    if scenario.link.isl is not None:
        pairs, _ = isl_pairs(isl, satellites, start)
    if scenario.roles.relay:
        to_server = [(client, len(satellites)) for client in range(len(satellites))]
        pairs = np.concatenate([pairs, to_server])
    span_s = 86_400.0 * (scenario.stop.days or 0.0)
    found = find_isls(scenario, isl, start, span_s, pairs)
    names = np.array([satellite.name for satellite in flying])
    times = {"start_utc": plain.utc(start, found.start_s), "end_utc": plain.utc(start, found.end_s)}
    columns = {name: values for name, values in vars(found).items() if not name.endswith("_s")}
    return {
        "a": names[columns.pop("a")],
        "b": names[columns.pop("b")],
        **{name: plain.iso(time) if as_text else time for name, time in times.items()},
        "duration_s": found.end_s - found.start_s,
        **columns,
    }


def _revolutions_per_day(satellites: Sequence[orbit.Satellite]) -> float | None:
    """Of the one satellite, or the median of several; None for none."""
    return median(s.revolutions_per_day for s in satellites) if satellites else None


def _warnings(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"warning: {line}" for line in lines)


def _read(path: Path, skip_bad: bool) -> tuple[list[orbit.Satellite], list[str]]:
    """Satellites of a file, and a complaint for each entry left out."""
    text = orbit.element_text(path)
    entries = list(orbit.scan_satellites(text, str(path)))
    if not entries:
        return orbit.parse_satellites(text, str(path)), []  # which says that there is nothing
    good = [entry for entry in entries if isinstance(entry, orbit.Satellite)]
    bad = [str(entry) for entry in entries if not isinstance(entry, orbit.Satellite)]
    return good, _left_out(bad, len(entries), path, skip_bad)


def _left_out(bad: list[str], total: int, path: Path, skip_bad: bool) -> list[str]:
    """Complaints about bad satellites; InputError if they may not, or must not, be left out."""
    if not bad:
        return []
    if not skip_bad:
        others = f" ({len(bad)} of {total} are bad; --skip-bad leaves them out)"
        raise InputError(bad[0] + (others if total > 1 else ""))
    if len(bad) == total:
        raise InputError(f"{path}: no good elements are left of {total}; the first: {bad[0]}")
    return [f"left out: {line}" for line in bad]


def _span(start: str, days: float) -> tuple[datetime, datetime]:
    if not _SHORTEST_DAYS <= days <= _LONGEST_DAYS:
        raise InputError(
            f"--days {days:g}: should be above 0 ({_SHORTEST_DAYS:g} is a tenth of a second), and "
            f"{_LONGEST_DAYS} at most"
        )
    with as_input("--start: "):
        begin: datetime = utc_instant(start)
    return begin, begin + timedelta(days=days)


def _site(text: str) -> orbit.Site:
    name, named, place = text.rpartition("=")
    parts = [part.strip() for part in place.split(",")]
    if len(parts) not in (2, 3) or not all(map(_NUMBER.fullmatch, parts)) or (named and not name):
        raise InputError(
            f"--site {text}: should be LAT,LON or LAT,LON,ALT_M, for example 48.1,11.6, and may "
            "begin with a name: Munich=48.1,11.6"
        )
    try:
        return orbit.Site(name.strip() or place, *map(float, parts))
    except ValueError as error:
        message = str(error)
        raise InputError(f"--site {text}: {message.partition(': ')[2] or message}") from None
