"""Contact windows from a CSV file: our own export, or another tool's with its columns named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from os import PathLike, fspath

import numpy as np

from orbit.clock import utc
from orbit.csv_rows import Table, TableError, near, parse_table, read_text
from orbit.window_rows import FLAGS, GEOMETRY, KNOWN, RowReader, RowWindow
from orbit.windows import ContactWindows, bare_windows


@dataclass(frozen=True, eq=False)
class WindowFile:
    """Contact windows of a file; their indices point into `satellites` and `sites`.

    Both lists are sorted by name; times count from `start` (UTC).
    """

    satellites: list[str]
    sites: list[str]
    start: datetime
    windows: ContactWindows


def read_windows(
    path: str | PathLike[str],
    start: datetime | None = None,
    columns: Mapping[str, str] | None = None,
) -> WindowFile:
    """Contact windows of a CSV file in UTF-8; a row each, in any order.

    Needs the columns site (or cluster), rise_utc and set_utc (or duration_s); knows satellite (else
    all are one, called "satellite"), culminate_utc (else the middle), the geometry, `culminations`
    and the flags of `ContactWindows` by their names, and leaves other columns alone. Empty geometry
    is nan. `columns` maps our name to the file's where they differ: {"rise_utc": "AOS"}.

    Times are ISO 8601 with Z or an offset; in a column whose header says UTC also as
    22 Aug 2026 14:02:03.123. They count from `start` (aware), by default the first rise. Windows
    that end by then are left out; one already open is clipped and flagged, and what the file says
    of its rise (and of its culmination, when that is over) becomes unknown.

    Raises TableError (a ValueError) that starts `file:line:` for a column missing, a cell that
    cannot be read or is out of range, a window that does not set after it rises or overlaps another
    of its satellite and site, or no window left; ValueError for a naive start; OSError when the
    file cannot be read.
    """
    return parse_windows(read_text(path), fspath(path), start, columns)


def parse_windows(
    text: str,
    source: str = "<text>",
    start: datetime | None = None,
    columns: Mapping[str, str] | None = None,
) -> WindowFile:
    """As `read_windows`, for text; `source` stands for the file in messages."""
    table = parse_table(text, source)
    reader = RowReader(_chosen_columns(table, columns or {}))
    found = [reader.window(row) for row in table.rows]
    _check_apart(found, source)
    zero = min(window.rise for window in found) if start is None else utc(start, "start")
    satellites = sorted({window.satellite for window in found})
    sites = sorted({window.site for window in found})
    left = [window.since(zero) for window in found if window.set > zero]
    if not left:
        raise table.error(f"all windows end before start {zero:%Y-%m-%dT%H:%M:%SZ}; start earlier")
    return WindowFile(satellites, sites, zero, _windows(left, satellites, sites, zero))


def _chosen_columns(table: Table, columns: Mapping[str, str]) -> dict[str, str]:
    """The file's column for each of our names that it has."""
    for ours, theirs in columns.items():
        if ours not in KNOWN:
            raise ValueError(f"columns: {ours!r} is no column of windows; {near(ours, KNOWN)}")
        if theirs not in table.columns:
            raise table.error(f"column {theirs!r} is missing; {near(theirs, table.columns)}")
    chosen = {name: name for name in KNOWN if name in table.columns} | dict(columns)
    if "site" not in chosen and "cluster" in table.columns:
        chosen["site"] = "cluster"
    for ours, instead in (("site", ()), ("rise_utc", ()), ("set_utc", ("duration_s",))):
        if chosen.keys().isdisjoint({ours, *instead}):
            raise table.error(
                f"no column {' or '.join((ours, *instead))}; add it, or say by "
                f'columns={{"{ours}": "..."}} what it is called here'
            )
    return chosen


def _check_apart(windows: Sequence[RowWindow], source: str) -> None:
    """Raise TableError when two windows of one satellite and site overlap (touching is no harm)."""
    last: dict[tuple[str, str], RowWindow] = {}
    for window in sorted(windows, key=lambda w: w.rise):
        pair = window.satellite, window.site
        earlier = last.get(pair)
        if earlier is not None and window.rise < earlier.set:
            first, second = sorted((earlier.line, window.line))
            raise TableError(
                f"{source}:{second}: the window overlaps that of line {first}, of the same "
                f"satellite and site {pair}; merge them or remove one"
            )
        last[pair] = window


def _windows(
    found: list[RowWindow], satellites: list[str], sites: list[str], zero: datetime
) -> ContactWindows:
    """Sort the windows, and turn names into indices and instants into seconds since `zero`."""
    found = sorted(found, key=lambda w: (w.rise, w.satellite, w.site))
    satellite_index = {name: index for index, name in enumerate(satellites)}
    site_index = {name: index for index, name in enumerate(sites)}
    return bare_windows(
        satellite=np.array([satellite_index[w.satellite] for w in found]),
        site=np.array([site_index[w.site] for w in found]),
        rise_s=np.array([(w.rise - zero).total_seconds() for w in found]),
        culminate_s=np.array([(w.culminate - zero).total_seconds() for w in found]),
        set_s=np.array([(w.set - zero).total_seconds() for w in found]),
        culminations=np.array([w.culminations for w in found]),
        **{name: np.array([w.geometry[name] for w in found]) for name in GEOMETRY},
        **{name: np.array([w.flags[name] for w in found]) for name in FLAGS},
    )
