"""Contact windows read from CSV."""

import re
from collections import defaultdict
from collections.abc import Mapping
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
KNOWN = (
    "satellite", "site", "rise_utc", "culminate_utc", "set_utc", "duration_s", *GEOMETRY,
    "culminations", *FLAGS,
)  # fmt: skip

_FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}
_LONGEST_S = 1e9
# Other tools round times to a millisecond; ours are in microseconds.
_ROUNDING = timedelta(milliseconds=1)
# Durations may be rounded to whole seconds.
_DURATION_ROUNDING_S = 1.0


@dataclass(frozen=True)
class _Cells:
    """A row of a table in which our column `name` is called `columns[name]`."""

    row: Row
    columns: Mapping[str, str]

    def window(self) -> dict[str, Any]:
        """Columns of `ContactWindows`, with names and instants; raises TableError with the line."""
        try:
            return self._window()
        except TableError:
            raise
        except ValueError as error:
            raise self.row.error(str(error)) from None

    def _window(self) -> dict[str, Any]:
        rise = self._instant("rise_utc")
        set_ = self._set(rise)
        return {
            "satellite": self._name("satellite") if "satellite" in self.columns else "satellite",
            "site": self._name("site"),
            "rise_s": rise,
            "culminate_s": self._culminate(rise, set_),
            "set_s": set_,
            **{name: self._geometry(name) for name in GEOMETRY},
            "culminations": self._culminations(),
            **{name: self._flag(name) for name in FLAGS},
        }

    def _name(self, name: str) -> str:
        """A cell that must say something; one object for all rows that say the same."""
        return intern(self.row.name(self.columns[name]))

    def _geometry(self, name: str) -> float:
        return nan if self._unknown(name) else self._number(name, *GEOMETRY[name])

    def _text(self, name: str) -> str:
        """The cell of our column `name`; empty where the file has no such column."""
        return self.row.cells[self.columns[name]] if name in self.columns else ""

    def _instant(self, name: str) -> datetime:
        return parse_instant(self._text(name), self.columns[name])

    def _set(self, rise: datetime) -> datetime:
        if "set_utc" in self.columns:
            set_ = self._instant("set_utc")
        else:
            set_ = rise + timedelta(seconds=self._number("duration_s", 0.0, _LONGEST_S))
        if set_ <= rise:
            raise ValueError(f"the window sets at {set_}, not after it rises; correct its times")
        if "set_utc" in self.columns and not self._unknown("duration_s"):
            lasts_s = (set_ - rise).total_seconds()
            duration_s = self._number("duration_s", 0.0, _LONGEST_S)
            if abs(duration_s - lasts_s) > _DURATION_ROUNDING_S:
                column = self.columns["duration_s"]
                raise ValueError(
                    f"the window sets {lasts_s:.10g} s after it rises, but {column} says "
                    f"{duration_s:.10g}; correct one of them, or leave {column} out"
                )
        return set_

    def _culminate(self, rise: datetime, set_: datetime) -> datetime:
        if not self._text("culminate_utc"):
            return rise + (set_ - rise) / 2
        top = self._instant("culminate_utc")
        if not rise - _ROUNDING <= top <= set_ + _ROUNDING:
            raise ValueError(f"the window culminates at {top}, outside it; correct its times")
        return min(max(top, rise), set_)

    def _unknown(self, name: str) -> bool:
        return self._text(name).lower() in ("", "nan")

    def _number(self, name: str, low: float, high: float) -> float:
        column = self.columns[name]
        return within(self.row.number(column), low, high, column)

    def _culminations(self) -> int:
        text = self._text("culminations") or "0"
        if not re.fullmatch(r"\d{1,6}", text):
            raise ValueError(f"culminations {shown(text)} is not a count; give 0 or a whole number")
        return int(text)

    def _flag(self, name: str) -> bool:
        text = self._text(name)
        if text.lower() not in _FLAG_WORDS:
            raise ValueError(
                f"{self.columns[name]} {shown(text)} is not a flag; give true or false"
            )
        return _FLAG_WORDS[text.lower()]


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
    lines, found = [], defaultdict[str, list[Any]](list)
    for row in table.rows:
        lines.append(row.line)
        for name, value in _Cells(row, called).window().items():
            found[name].append(value)
    _check_apart(found, lines, source)
    zero = min(found["rise_s"]) if start is None else utc(start, "start")
    for name in ("rise_s", "culminate_s", "set_s"):
        found[name] = [(instant - zero).total_seconds() for instant in found[name]]
    names = {what: sorted(set(found[what])) for what in ("satellite", "site")}
    for what, known in names.items():
        index = {name: number for number, name in enumerate(known)}
        found[what] = [index[name] for name in found[what]]
    left = _since_zero({name: np.array(values) for name, values in found.items()})
    if not left["set_s"].size:
        raise table.error(f"all windows end before start {zero:%Y-%m-%dT%H:%M:%SZ}; start earlier")
    return WindowFile(names["satellite"], names["site"], zero, sorted_windows([left]))


def _since_zero(windows: Columns) -> Columns:
    """What is left of windows from the start on."""
    left = {name: values[windows["set_s"] > 0] for name, values in windows.items()}
    begun, over = left["rise_s"] < 0, left["culminate_s"] < 0
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
    names, w = sorted({*read.satellites, *read.sites}), read.windows
    ends = np.searchsorted(names, read.satellites), np.searchsorted(names, read.sites)
    pair = np.sort(np.stack([ends[0][w.satellite], ends[1][w.site]]), axis=0)
    if (pair[0] == pair[1]).any():
        name = names[int(pair[0][pair[0] == pair[1]][0])]
        raise TableError(f"{source}: {name!r} has a window with itself; name two satellites")
    # Sorted by start, then by the pair.
    _, once = np.unique(np.stack([w.rise_s, *pair, w.set_s]), axis=1, return_index=True)
    ranges = w.min_slant_range_km, w.rise_slant_range_km
    times, clipped = (w.rise_s, w.set_s), (w.clipped_start, w.clipped_end)
    every = IslWindows(pair[0], pair[1], *times, *ranges, *clipped)
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
    rises, sets = windows["rise_s"], windows["set_s"]
    for n in sorted(range(len(rises)), key=rises.__getitem__):
        pair = windows["satellite"][n], windows["site"][n]
        if pair in last and rises[n] < sets[last[pair]]:
            first, second = sorted((lines[last[pair]], lines[n]))
            raise TableError(
                f"{source}:{second}: the window overlaps that of line {first}, of the same "
                f"satellite and site {pair}; merge them or remove one"
            )
        last[pair] = n
