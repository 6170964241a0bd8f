"""``leomix contacts``: contact windows of a scenario, or of an element file over sites."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

import orbit
from sim.contact_listing import Found
from sim.errors import InputError
from sim.sources import view_of

if TYPE_CHECKING:
    from scenarios import Scenario

_LONGEST_DAYS = 36525
_SHORTEST_DAYS = 1e-6
_YEARS = (1958, 2099)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def of_scenario(scenario: Scenario) -> Found:
    """Contacts of a scenario's satellites with its clusters, and how often each is served."""
    view = view_of(scenario)
    return Found(
        view.satellite_names,
        view.sites,
        view.start,
        view.span_s,
        view.windows,
        _warnings(view.doubts),
        _revolutions_per_day(view.satellites),
        np.array([view.sessions_of(site) for site in range(len(view.sites))]),
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
    mask = _mask(min_elevation_deg)
    places = [_site(text) for text in sites] + (orbit.read_sites(sites_file) if sites_file else [])
    _check_names([place.name for place in places])
    satellites, left_out = _read(path, skip_bad)
    failures: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        satellites, places, begin, end, mask, refine="sgp4", on_failure=failures.append
    )
    refused = [str(failure) for failure in failures if failure.whole]
    partly = [str(failure) for failure in failures if not failure.whole]
    left_out += _left_out(refused, len(satellites), path, skip_bad)
    return Found(
        [satellite.name for satellite in satellites],
        [place.name for place in places],
        begin,
        (end - begin).total_seconds(),
        windows,
        (*left_out, *_warnings([*partly, *orbit.doubts(satellites, begin, end)])),
        _revolutions_per_day(satellites),
    )


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
    """Complaints about bad satellites; raise InputError if they may not, or must not, be left out.

    The error names the first one and counts the others.
    """
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
    try:
        time = datetime.fromisoformat(start)
        if time.tzinfo is None:
            raise ValueError("no time zone")
        if not _YEARS[0] <= time.year <= _YEARS[1]:
            raise ValueError("out of range")
    except ValueError:
        raise InputError(
            f"--start {start}: should be UTC, written like 2026-08-22T00:00:00Z, in the years "
            f"{_YEARS[0]} to {_YEARS[1]}"
        ) from None
    begin = time.astimezone(UTC)
    return begin, begin + timedelta(days=days)


def _mask(min_elevation_deg: float) -> float:
    if not 0 <= min_elevation_deg < 90:
        raise InputError(
            f"--min-elevation {min_elevation_deg:g}: should be degrees from 0 to below 90"
        )
    return min_elevation_deg


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


def _check_names(names: Sequence[str]) -> None:
    """Raise InputError if two sites share a name: the list could not tell them apart."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"--site: {twice!r} comes twice; give each place a name of its own")
