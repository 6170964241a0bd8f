"""Contacts as tables: a line a window, a line a site, or all columns in a file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import orbit
from sim.formatting import table
from sim.trace import plain_tables
from sim.trace.arrow import array
from sim.trace.instants import iso, utc
from sim.trace.plain_tables import FORMULA

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
    return plain_tables.text(shown, SHOWN)


def summary_text(contacts: ContactList) -> str:
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
