"""Contact windows for people and files: a list, a summary a site, and batches of all columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import orbit
from sim import columns as plain
from sim.arrow import array
from sim.exports.spreadsheet import FORMULA
from sim.units_text import table

BATCH_ROWS = 250_000
_COORDINATES = re.compile(r"[-+0-9.,eE ]*[.,][-+0-9.,eE ]*")
_SHOWN = {
    "duration_s": "{:.1f}",
    "max_elevation_deg": "{:.2f}",
    "min_slant_range_km": "{:.1f}",
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
    plain.check_path(path)
    plain.write_batches(_batches(found, path.suffix == ".csv"), path)


def list_text(found: Found) -> str:
    """One line a window."""
    if not len(found.windows):
        return "no contacts"
    w = found.windows
    shown: dict[str, Any] = {
        "satellite": [found.satellites[i] for i in w.satellite],
        "site": [found.sites[i] for i in w.site],
        "rise_utc": plain.iso(_utc(found.start, w.rise_s), "ms"),
        "set_utc": plain.iso(_utc(found.start, w.set_s), "ms"),
        "duration_s": w.set_s - w.rise_s,
        "max_elevation_deg": w.max_elevation_deg,
        "min_slant_range_km": w.min_slant_range_km,
    }
    return plain.text(shown, _SHOWN)


def summary_text(found: Found) -> str:
    """One line a site: passes, how long they last, the longest time without; and cycles a day."""
    seen = orbit.coverage(found.windows, len(found.sites), found.span_s)
    rows = [
        [
            name,
            str(seen.passes[i]),
            f"{seen.passes_per_day[i]:.2f}",
            _seconds(seen.mean_duration_s[i]),
            _seconds(seen.longest_duration_s[i]),
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
    return f"{listed}\n{_cycles(found, served)}"


def _cycles(found: Found, served: np.ndarray) -> str:
    """Cycles a day, which the site served least often sets, beside one cycle an orbit."""
    least = int(np.argmin(served))
    a_day = served[least] / found.span_s * 86400
    line = f"cycles a day: {a_day:.2f} ({found.sites[least]} is served least often)"
    ideal = found.revolutions_per_day
    if ideal is None:
        return line
    return f"{line}; one cycle an orbit would be {ideal:.2f}, ratio {a_day / ideal:.3f}"


def _seconds(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.0f}"


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
            times = _utc(found.start, values)
            shown = plain.iso(times) if times_as_text else times
            columns[field.name.replace("_s", "_utc")] = array(shown)
        else:
            columns[field.name] = array(values)
        if field.name == "set_s":
            columns["duration_s"] = array(values - found.windows.rise_s[rows])
    return columns


def _utc(start: datetime, time_s: np.ndarray) -> np.ndarray:
    """Instants (UTC, microseconds) of times in seconds since the start."""
    zero = np.datetime64(start.replace(tzinfo=None), "us")
    return zero + np.rint(time_s * 1e6).astype("timedelta64[us]")
