"""Contact windows read from CSV."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import nan
from os import PathLike, fspath
from sys import intern
from typing import Any

import numpy as np

from orbit.checks import shown, within
from orbit.files import Row, Table, TableError, near, parse_table, read_text
from orbit.isl import IslWindows
from orbit.utc import parse_instant, utc
from orbit.windows import Columns, ContactWindows, sorted_windows

# Geometry that a row may give, and its range.
GEOMETRY = {
    "max_elevation_deg": (-90.0, 90.0),
    "min_slant_range_km": (0.0, 1e7),
    **{f"{at}_azimuth_deg": (0.0, 360.0) for at in ("rise", "culminate", "set")},
    **{f"{at}_slant_range_km": (0.0, 1e7) for at in ("rise", "culminate", "set")},
    **{f"{at}_range_rate_km_s": (-100.0, 100.0) for at in ("rise", "culminate", "set")},
}
FLAGS = ("clipped_start", "clipped_end", "sgp4_error")
_FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}
_LONGEST_S = 1e9
# Other tools round times to a millisecond; ours are in microseconds.
_ROUNDING = timedelta(milliseconds=1)
# Durations may be rounded to whole seconds.
_DURATION_ROUNDING_S = 1.0


def _name(row: Row, column: str) -> str:
    return intern(row.name(column))  # one object for all rows that say the same


def _instant(row: Row, column: str) -> datetime:
    return parse_instant(row.cells[column], column)


def _in(low: float, high: float) -> Callable[[Row, str], float]:
    """Reads a number in a range, nan where there is none."""

    def read(row: Row, column: str) -> float:
        unknown = row.cells[column].lower() in ("", "nan")
        return nan if unknown else within(row.number(column), low, high, column)

    return read


def _count(row: Row, column: str) -> int:
    text = row.cells[column] or "0"
    if not re.fullmatch(r"\d{1,6}", text):
        raise ValueError(f"culminations {shown(text)} is not a count; give 0 or a whole number")
    return int(text)


def _flag(row: Row, column: str) -> bool:
    text = row.cells[column]
    if text.lower() not in _FLAG_WORDS:
        raise ValueError(f"{column} {shown(text)} is not a flag; give true or false")
    return _FLAG_WORDS[text.lower()]


_READ: dict[str, Callable[[Row, str], Any]] = {
    "satellite": _name, "site": _name, "rise_utc": _instant,
    "culminate_utc": lambda row, column: _instant(row, column) if row.cells[column] else None,
    "set_utc": _instant, "duration_s": _in(0.0, _LONGEST_S),
    **{name: _in(*limits) for name, limits in GEOMETRY.items()},
    "culminations": _count, **dict.fromkeys(FLAGS, _flag),
}  # fmt: skip
KNOWN = tuple(_READ)
_ABSENT = {
    "satellite": "satellite", "culminate_utc": None, "set_utc": None, "duration_s": nan,
    **dict.fromkeys(GEOMETRY, nan), "culminations": 0, **dict.fromkeys(FLAGS, False),
}  # fmt: skip


def _window(row: Row, columns: Mapping[str, str]) -> dict[str, Any]:
    """Columns of `ContactWindows`, with names and instants, of a row.

    Our column `name` is called `columns[name]` there. Raises ValueError for a cell that is wrong,
    and for times that contradict each other.
    """
    cells = _ABSENT | {name: _READ[name](row, column) for name, column in columns.items()}
    rise, top, set_, duration_s = (
        cells.pop(name) for name in ("rise_utc", "culminate_utc", "set_utc", "duration_s")
    )
    if set_ is None:
        set_ = rise + timedelta(seconds=row.number(columns["duration_s"]))
    if set_ <= rise:
        raise ValueError(f"the window sets at {set_}, not after it rises; correct its times")
    lasts_s = (set_ - rise).total_seconds()
    if abs(duration_s - lasts_s) > _DURATION_ROUNDING_S:
        column = columns["duration_s"]
        raise ValueError(
            f"the window sets {lasts_s:.10g} s after it rises, but {column} says "
            f"{duration_s:.10g}; correct one of them, or leave {column} out"
        )
    if top is None:
        top = rise + (set_ - rise) / 2
    elif not rise - _ROUNDING <= top <= set_ + _ROUNDING:
        raise ValueError(f"the window culminates at {top}, outside it; correct its times")
    return cells | {"rise_s": rise, "culminate_s": min(max(top, rise), set_), "set_s": set_}


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
    called = _chosen_columns(table, columns or {})
    lines = []
    found = defaultdict[str, list[Any]](list)
    for row in table.rows:
        lines.append(row.line)
        try:
            window = _window(row, called)
        except TableError:
            raise
        except ValueError as error:
            raise row.error(str(error)) from None
        for name, value in window.items():
            found[name].append(value)
    _check_apart(found, lines, source)
    zero = min(found["rise_s"]) if start is None else utc(start, "start")
    for name in ("rise_s", "culminate_s", "set_s"):
        found[name] = [(instant - zero).total_seconds() for instant in found[name]]
    names = {kind: sorted(set(found[kind])) for kind in ("satellite", "site")}
    for kind, known in names.items():
        index = {name: number for number, name in enumerate(known)}
        found[kind] = [index[name] for name in found[kind]]
    left = _since_zero({name: np.array(values) for name, values in found.items()})
    if not left["set_s"].size:
        raise table.error(f"all windows end before start {zero:%Y-%m-%dT%H:%M:%SZ}; start earlier")
    return WindowFile(names["satellite"], names["site"], zero, sorted_windows([left]))


def _since_zero(windows: Columns) -> Columns:
    """What is left of windows from the start on."""
    left = {name: values[windows["set_s"] > 0] for name, values in windows.items()}
    begun = left["rise_s"] < 0
    over = left["culminate_s"] < 0
    for name in GEOMETRY:
        if not name.startswith("set_"):
            left[name][begun if name.startswith("rise_") else over] = nan
    left["culminations"][over] = 0
    left["clipped_start"] |= begun
    left["sgp4_error"] &= left["clipped_end"] | ~begun
    for name in ("rise_s", "culminate_s"):
        left[name] = np.maximum(left[name], 0.0)
    return left


@dataclass(frozen=True, eq=False)
class IslFile:
    """Windows between satellites of a file; indices point into `satellites`, sorted by name.

    Times count from `start` (UTC); ranges are nan where the file has none.
    """

    satellites: list[str]
    start: datetime
    windows: IslWindows


# The longest range stands where a contact has that at its rise.
_OF_ISLS = {
    "satellite": "a", "site": "b", "rise_utc": "start_utc", "set_utc": "end_utc",
    "min_slant_range_km": "min_range_km", "rise_slant_range_km": "max_range_km",
}  # fmt: skip


def read_isl_windows(
    path: str | PathLike[str],
    start: datetime | None = None,
    columns: Mapping[str, str] | None = None,
) -> IslFile:
    """Windows between satellites of a CSV file, with the columns of `isl_windows` in any order.

    Needs a, b, start_utc and end_utc. A window that is there for either direction counts once.
    Times, `start`, `columns` and errors are as in `read_windows`.
    """
    return parse_isl_windows(read_text(path), fspath(path), start, columns)


def parse_isl_windows(
    text: str,
    source: str = "<text>",
    start: datetime | None = None,
    columns: Mapping[str, str] | None = None,
) -> IslFile:
    """As `read_isl_windows`, for text; `source` stands for the file in messages."""
    there = parse_table(text, source).columns
    called = {ours: (columns or {}).get(name, name) for ours, name in _OF_ISLS.items()}
    used = {o: name for o, name in called.items() if name in there or not o.endswith("_range_km")}
    read = parse_windows(text, source, start, used)
    names = sorted({*read.satellites, *read.sites})
    w = read.windows
    satellites = np.searchsorted(names, read.satellites)
    sites = np.searchsorted(names, read.sites)
    pair = np.sort(np.stack([satellites[w.satellite], sites[w.site]]), axis=0)
    if (pair[0] == pair[1]).any():
        name = names[int(pair[0][pair[0] == pair[1]][0])]
        raise TableError(f"{source}: {name!r} has a window with itself; name two satellites")
    # Sorted by start, then by the pair.
    _, once = np.unique(np.stack([w.rise_s, *pair, w.set_s]), axis=1, return_index=True)
    every = IslWindows(
        a=pair[0],
        b=pair[1],
        start_s=w.rise_s,
        end_s=w.set_s,
        min_range_km=w.min_slant_range_km,
        max_range_km=w.rise_slant_range_km,
        clipped_start=w.clipped_start,
        clipped_end=w.clipped_end,
    )
    return IslFile(names, read.start, every.where(once))


def _chosen_columns(table: Table, columns: Mapping[str, str]) -> dict[str, str]:
    """The file's column for each of our names that it has."""
    for ours, theirs in columns.items():
        if ours not in KNOWN:
            raise ValueError(f"columns: {ours!r} is no column of windows; {near(ours, KNOWN)}")
        if theirs not in table.columns:
            there = near(theirs, table.columns)[:70]  # quotes the header
            raise table.error(f"column {theirs!r} is missing; {there}")
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


def _check_apart(windows: Mapping[str, list[Any]], lines: list[int], source: str) -> None:
    """Raise TableError when two windows of one satellite and site overlap (touching is no harm)."""
    last: dict[tuple[str, str], int] = {}
    rises = windows["rise_s"]
    sets = windows["set_s"]
    for n in sorted(range(len(rises)), key=rises.__getitem__):
        pair = windows["satellite"][n], windows["site"][n]
        if pair in last and rises[n] < sets[last[pair]]:
            first, second = sorted((lines[last[pair]], lines[n]))
            raise TableError(
                f"{source}:{second}: the window overlaps that of line {first}, of the same "
                f"satellite and site {pair}; merge them or remove one"
            )
        last[pair] = n
