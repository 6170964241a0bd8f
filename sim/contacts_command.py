"""``leomix contacts``: contact windows of a scenario, or of an element file over sites."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import orbit
from sim import columns as plain
from sim.errors import InputError
from sim.health import OLD_ELEMENTS_DAYS, age_warning
from sim.orbit_plan import view_of
from sim.slots_plan import cycle_of
from sim.text import table

if TYPE_CHECKING:
    from scenarios import Scenario


@dataclass(frozen=True)
class Found:
    """Windows with the names of what they are between, and what had to be left out."""

    satellites: list[str]
    sites: list[str]
    start: datetime
    span_s: float
    windows: orbit.ContactWindows
    complaints: tuple[str, ...] = ()


def of_scenario(scenario: Scenario) -> Found:
    """Contacts of a scenario's satellite with its clusters."""
    names = [cluster.name for cluster in scenario.ground.clusters]
    if scenario.orbit.source == "slots":
        cycle = cycle_of(scenario)
        return Found(["slots"], names, cycle.start, cycle.span_s, cycle.windows)
    view = view_of(scenario)
    old = age_warning(view.elements_epoch, view.start, view.end)
    complaints = tuple(f"warning: {text}" for text in old)
    return Found([view.satellite.name], names, view.start, view.span_s, view.windows, complaints)


def of_elements(
    path: Path | None,
    sites: list[str] | None,
    start: str | None,
    days: float | None,
    min_elevation_deg: float | None,
    skip_bad: bool,
) -> Found:
    """Contacts of every satellite of an element file with every site."""
    if not (path and sites and start) or days is None or min_elevation_deg is None:
        raise InputError("contacts: --tle needs --site, --start, --days and --min-elevation too")
    if not 0 < days <= 36525:
        raise InputError(f"--days {days:g}: should lie between 0 and 36525")
    begin, span = _utc(start), timedelta(days=days)
    places = [_site(text) for text in sites]
    satellites, complaints = _read(path, skip_bad)
    windows = orbit.contact_windows(
        satellites, places, begin, begin + span, min_elevation_deg, refine="sgp4"
    )
    names = [satellite.name for satellite in satellites]
    old = [s.name for s in satellites if any(age_warning(s.epoch, begin, begin + span))]
    if old:
        complaints.append(
            f"warning: {len(old)} of {len(names)} element sets are more than "
            f"{OLD_ELEMENTS_DAYS:g} days from their epoch in this span, {old[0]} for one; "
            "contact times may be off by minutes, and by far more after months or in a low orbit"
        )
    return Found(
        names, [p.name for p in places], begin, span.total_seconds(), windows, tuple(complaints)
    )


def _read(path: Path, skip_bad: bool) -> tuple[list[orbit.Satellite], list[str]]:
    if not skip_bad:
        return orbit.read_satellites(path), []
    found, complaints = [], []
    for entry in orbit.scan_tle(path.read_text(encoding="utf-8-sig"), str(path)):
        if isinstance(entry, orbit.Satellite):
            found.append(entry)
        else:
            complaints.append(f"left out: {entry}")
    if not found:
        raise InputError(f"{path}: no good elements are left")
    return found, complaints


def _utc(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InputError(f"--start {text}: should be UTC, written like 2026-08-22T00:00:00Z")
    return time.astimezone(UTC)


def _site(text: str) -> orbit.Site:
    try:
        numbers = [float(part) for part in text.split(",")]
        if len(numbers) not in (2, 3):
            raise ValueError("two or three numbers are needed")
    except ValueError:
        raise InputError(
            f"--site {text}: should be LAT,LON or LAT,LON,ALT_M, for example 48.1,11.6"
        ) from None
    return orbit.Site(text, *numbers)


def columns(found: Found) -> dict[str, Any]:
    """Return the windows as columns, named as those of ``orbit.find_contacts``."""
    w = found.windows
    return {
        "satellite": [found.satellites[i] for i in w.satellite],
        "site": [found.sites[i] for i in w.site],
        "rise_utc": _iso(found.start, w.rise_s),
        "culminate_utc": _iso(found.start, w.culminate_s),
        "set_utc": _iso(found.start, w.set_s),
        "duration_s": w.set_s - w.rise_s,
        "max_elevation_deg": w.max_elevation_deg,
        "min_slant_range_km": w.min_slant_range_km,
        "rise_range_rate_km_s": w.rise_range_rate_km_s,
        "set_range_rate_km_s": w.set_range_rate_km_s,
        "clipped_start": w.clipped_start.tolist(),
        "clipped_end": w.clipped_end.tolist(),
    }


def write(found: Found, path: Path) -> None:
    """Write all columns to a .csv or .parquet file."""
    plain.write(columns(found), path)


def list_text(found: Found) -> str:
    """One line a window."""
    shown = ("satellite", "site", "rise_utc", "set_utc", "duration_s", "max_elevation_deg")
    everything = columns(found)
    if not len(found.windows):
        return "no contacts"
    return plain.text(
        {name: everything[name] for name in (*shown, "min_slant_range_km")},
        {"duration_s": "{:.1f}", "max_elevation_deg": "{:.2f}", "min_slant_range_km": "{:.1f}"},
    )


def summary_text(found: Found) -> str:
    """One line a site: how many contacts, how long, and the longest time without one."""
    gaps = orbit.longest_gap_s(found.windows, len(found.sites), found.span_s)
    rows = []
    for index, name in enumerate(found.sites):
        here = found.windows.site == index
        lasts = (found.windows.set_s - found.windows.rise_s)[here]
        median = f"{np.median(lasts):.0f}" if len(lasts) else "-"
        a_day = len(lasts) / found.span_s * 86400
        rows.append([name, str(len(lasts)), f"{a_day:.2f}", median, f"{gaps[index] / 3600:.2f}"])
    return table(["site", "contacts", "a day", "median s", "longest gap h"], rows)


def _iso(start: datetime, times_s: np.ndarray) -> list[str]:
    stamps = (start + timedelta(seconds=float(t)) for t in times_s)
    return [stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z") for stamp in stamps]
