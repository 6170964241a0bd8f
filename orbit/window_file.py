"""Contact windows read from CSV."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import nan
from os import PathLike, fspath

import numpy as np

from orbit.checks import shown, within
from orbit.files import Row, Table, TableError, near, parse_table, read_text
from orbit.isl import IslWindows
from orbit.utc import parse_instant, utc
from orbit.windows import ContactWindows, bare_windows

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

NO_GEOMETRY, NO_FLAGS = np.full(len(GEOMETRY), nan), dict.fromkeys(FLAGS, False)
_FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}
_LONGEST_S = 1e9
# Other tools round times to a millisecond; ours are in microseconds.
_ROUNDING = timedelta(milliseconds=1)
# Durations may be rounded to whole seconds.
_DURATION_ROUNDING_S = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class RowWindow:
    """A window with names and UTC times; geometry, as in `GEOMETRY`, is nan if not given.

    There may be a million.
    """

    line: int
    satellite: str
    site: str
    rise: datetime
    culminate: datetime
    set: datetime
    geometry: np.ndarray
    culminations: int
    flags: Mapping[str, bool]

    def since(self, start: datetime) -> "RowWindow":
        """What is left of it from `start` on, when it ends later."""
        if self.rise >= start:
            return self
        over = self.culminate < start
        lost = ("rise_", "culminate_", "max_", "min_") if over else ("rise_",)
        flags = {**self.flags, "clipped_start": True}
        return replace(
            self,
            rise=start,
            culminate=max(self.culminate, start),
            geometry=np.where([n.startswith(lost) for n in GEOMETRY], nan, self.geometry),
            culminations=0 if over else self.culminations,
            flags={**flags, "sgp4_error": flags["sgp4_error"] and flags["clipped_end"]},
        )


@dataclass(frozen=True)
class RowReader:
    """Reads rows of a table in which our column `name` is called `columns[name]`."""

    columns: Mapping[str, str]
    _names: dict[str, str] = field(default_factory=dict)

    def window(self, row: Row) -> RowWindow:
        """The row's window; raises TableError with its line."""
        rise = self._instant(row, "rise_utc")
        set_ = self._set(row, rise)
        return RowWindow(
            line=row.line,
            satellite=self._name(row, "satellite") if "satellite" in self.columns else "satellite",
            site=self._name(row, "site"),
            rise=rise,
            culminate=self._culminate(row, rise, set_),
            set=set_,
            geometry=self._geometry(row),
            culminations=self._culminations(row),
            flags=self._flags(row),
        )

    def _name(self, row: Row, name: str) -> str:
        """A cell that must say something; one object for all rows that say the same."""
        text = row.name(self.columns[name])
        return self._names.setdefault(text, text)

    def _geometry(self, row: Row) -> np.ndarray:
        found = [
            nan if self._unknown(row, name) else self._number(row, name, *limits)
            for name, limits in GEOMETRY.items()
        ]
        return NO_GEOMETRY if np.isnan(found).all() else np.array(found)

    def _flags(self, row: Row) -> Mapping[str, bool]:
        found = {name: self._flag(row, name) for name in FLAGS}
        return found if any(found.values()) else NO_FLAGS

    def _text(self, row: Row, name: str) -> str:
        """The cell of our column `name`; empty where the file has no such column."""
        return row.cells[self.columns[name]] if name in self.columns else ""

    def _instant(self, row: Row, name: str) -> datetime:
        try:
            return parse_instant(self._text(row, name), self.columns[name])
        except ValueError as error:
            raise row.error(str(error)) from None

    def _set(self, row: Row, rise: datetime) -> datetime:
        if "set_utc" in self.columns:
            set_ = self._instant(row, "set_utc")
        else:
            set_ = rise + timedelta(seconds=self._number(row, "duration_s", 0.0, _LONGEST_S))
        if set_ <= rise:
            raise row.error(f"the window sets at {set_}, not after it rises; correct its times")
        if "set_utc" in self.columns and not self._unknown(row, "duration_s"):
            lasts_s = (set_ - rise).total_seconds()
            duration_s = self._number(row, "duration_s", 0.0, _LONGEST_S)
            if abs(duration_s - lasts_s) > _DURATION_ROUNDING_S:
                column = self.columns["duration_s"]
                raise row.error(
                    f"the window sets {lasts_s:.10g} s after it rises, but {column} says "
                    f"{duration_s:.10g}; correct one of them, or leave {column} out"
                )
        return set_

    def _culminate(self, row: Row, rise: datetime, set_: datetime) -> datetime:
        if not self._text(row, "culminate_utc"):
            return rise + (set_ - rise) / 2
        top = self._instant(row, "culminate_utc")
        if not rise - _ROUNDING <= top <= set_ + _ROUNDING:
            raise row.error(f"the window culminates at {top}, outside it; correct its times")
        return min(max(top, rise), set_)

    def _unknown(self, row: Row, name: str) -> bool:
        return self._text(row, name).lower() in ("", "nan")

    def _number(self, row: Row, name: str, low: float, high: float) -> float:
        column = self.columns[name]
        try:
            return within(row.number(column), low, high, column)
        except ValueError as error:
            raise error if isinstance(error, TableError) else row.error(str(error)) from None

    def _culminations(self, row: Row) -> int:
        text = self._text(row, "culminations") or "0"
        if not re.fullmatch(r"\d{1,6}", text):
            raise row.error(f"culminations {shown(text)} is not a count; give 0 or a whole number")
        return int(text)

    def _flag(self, row: Row, name: str) -> bool:
        text = self._text(row, name)
        if text.lower() not in _FLAG_WORDS:
            raise row.error(f"{self.columns[name]} {shown(text)} is not a flag; give true or false")
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
    geometry = np.array([w.geometry for w in found]).T.copy()
    return bare_windows(
        satellite=np.array([satellite_index[w.satellite] for w in found]),
        site=np.array([site_index[w.site] for w in found]),
        rise_s=np.array([(w.rise - zero).total_seconds() for w in found]),
        culminate_s=np.array([(w.culminate - zero).total_seconds() for w in found]),
        set_s=np.array([(w.set - zero).total_seconds() for w in found]),
        culminations=np.array([w.culminations for w in found]),
        **dict(zip(GEOMETRY, geometry, strict=True)),
        **{name: np.array([w.flags[name] for w in found]) for name in FLAGS},
    )
