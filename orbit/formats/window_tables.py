"""Contact windows read from tables: CSV, or a table as another tool writes it."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf, nan
from os import PathLike, fspath
from sys import intern
from typing import Any

import numpy as np

from orbit.checks import near, shown, within
from orbit.formats.files import TableError, read_text
from orbit.formats.tables import (
    NO_ROWS,
    OF_PASSES,
    OnBad,
    Row,
    Table,
    apart,
    header_factor,
    leave_out,
    parse_table,
    unit_of,
)
from orbit.isl import IslWindows
from orbit.utc import parse_instant, to_second, utc
from orbit.windows import Columns, ContactWindows, sorted_windows
from statements.arrays import Floats, Ints

# Geometry that a row may give, and its range.
GEOMETRY = {
    "max_elevation_deg": (-90.0, 90.0),
    "min_slant_range_km": (0.0, 1e7),
    **{f"{at}_azimuth_deg": (0.0, 360.0) for at in ("rise", "culminate", "set")},
    **{f"{at}_slant_range_km": (0.0, 1e7) for at in ("rise", "culminate", "set")},
    **{f"{at}_range_rate_km_s": (-100.0, 100.0) for at in ("rise", "culminate", "set")},
}
FLAGS = ("clipped_start", "clipped_end", "sgp4_error")
_FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False}
_LONGEST_S = 1e9
# Other tools round times to a millisecond; ours are in microseconds.
_ROUNDING = timedelta(milliseconds=1)
# Durations may be rounded to whole seconds, or to the last digit that is written.
_DURATION_ROUNDING_S = 1.0
SATELLITE = "satellite"
"""Name of the one satellite of a table that names none."""


def _name(row: Row, column: str) -> str:
    return intern(row.name(column))  # one object for all rows that say the same


def _instant(row: Row, column: str) -> datetime | None:
    return None if row.absent(column) else parse_instant(row.cells[column], column)


def _in(low: float, high: float, unit: str) -> Callable[[Row, str], float]:
    """Reads a quantity in a range, nan where there is none."""

    def read(row: Row, column: str) -> float:
        if row.absent(column):
            return nan
        return within(row.in_unit(column, unit)[0], low, high, column)

    return read


def _duration(row: Row, column: str) -> tuple[float, float]:
    """Seconds, and how far they may be rounded; nan where there are none."""
    if row.absent(column):
        return nan, nan
    lasts_s, last_digit_s = row.in_unit(column, "s")
    return within(lasts_s, 0.0, _LONGEST_S, column), max(last_digit_s, _DURATION_ROUNDING_S)


def _count(row: Row, column: str) -> int:
    text = "0" if row.absent(column) else row.cells[column]
    if not re.fullmatch(r"\d{1,6}", text):
        raise ValueError(f"culminations {shown(text)} is not a count; give 0 or a whole number")
    return int(text)


def _flag(row: Row, column: str) -> bool:
    text = row.cells[column]
    if row.absent(column):
        return False
    if text.lower() not in _FLAG_WORDS:
        raise ValueError(f"{column} {shown(text)} is not a flag; give true or false")
    return _FLAG_WORDS[text.lower()]


_READ: dict[str, Callable[[Row, str], Any]] = {
    "satellite": _name, "site": _name, "rise_utc": _instant, "culminate_utc": _instant,
    "set_utc": _instant, "duration_s": _duration,
    **{name: _in(*limits, unit_of(name)) for name, limits in GEOMETRY.items()},
    "culminations": _count, **dict.fromkeys(FLAGS, _flag),
}  # fmt: skip
KNOWN = tuple(_READ)
_ABSENT = {
    "culminate_utc": None, "set_utc": None, "duration_s": (nan, nan),
    **dict.fromkeys(GEOMETRY, nan), "culminations": 0, **dict.fromkeys(FLAGS, False),
}  # fmt: skip


def _window(row: Row, columns: Mapping[str, str], absent: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of `ContactWindows`, with names and instants, of a row.

    Our column `name` is called `columns[name]` there; of those that it has not it is `absent`.
    Raises ValueError for a cell that is wrong, and for times that contradict each other.
    """
    cells = {**absent, **{name: _READ[name](row, column) for name, column in columns.items()}}
    rise, top, set_, (duration_s, rounding_s) = (
        cells.pop(name) for name in ("rise_utc", "culminate_utc", "set_utc", "duration_s")
    )
    if rise is None:
        raise ValueError(f"{columns['rise_utc']} is empty; give the time of the rise")
    if set_ is None:
        if not duration_s >= 0.0:
            column = columns.get("set_utc") or columns["duration_s"]
            raise ValueError(f"{column} is empty; give when the window sets, or its duration")
        set_ = rise + timedelta(seconds=duration_s)
    if set_ <= rise:
        raise ValueError(f"the window sets at {set_}, not after it rises; correct its times")
    lasts_s = (set_ - rise).total_seconds()
    if abs(duration_s - lasts_s) > rounding_s:
        column = columns["duration_s"]
        raise ValueError(
            f"the window sets {lasts_s:.10g} s after it rises, but {column} says "
            f"{duration_s:.10g} s; correct one of them, or leave {column} out"
        )
    if top is None:
        top = rise + (set_ - rise) / 2
    elif not rise - _ROUNDING <= top <= set_ + _ROUNDING:
        raise ValueError(f"the window culminates at {top}, outside it; correct its times")
    return cells | {"rise_s": rise, "culminate_s": min(max(top, rise), set_), "set_s": set_}


@dataclass(frozen=True, eq=False)
class WindowFile:
    """Contact windows of a file; their indices point into `satellites` and `sites`.

    Both lists are sorted by name; times count from `start` (UTC). `first_rise_s` and `last_set_s`
    are those of each site (S,) in the file, also of windows that end by the start.
    """

    satellites: list[str]
    sites: list[str]
    start: datetime
    windows: ContactWindows
    first_rise_s: Floats
    last_set_s: Floats


def read_windows(
    path: str | PathLike[str],
    start: datetime | None = None,
    columns: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    site: str | None = None,
    satellite: str = SATELLITE,
    on_bad: OnBad | None = None,
) -> WindowFile:
    """Contact windows of a table in UTF-8; a row each, in any order.

    Columns are separated by commas, semicolons (numbers may then have decimal commas), tabs, or two
    blanks and more. Lines above the header are skipped where it has the columns that are asked for.

    Needs the columns site (or cluster; else all are over `site`), rise_utc and set_utc (or
    duration_s); knows satellite (else all are of `satellite`), culminate_utc (else the middle), the
    geometry, `culminations` and the flags of `ContactWindows` by their names, and leaves other
    columns alone. Cells without a value, and null or None, are nan. `columns` maps our name to the
    file's where they differ: {"rise_utc": "AOS"}; a unit in that header, like Duration (min), is
    converted. `names` maps names of satellites and sites in the file to others.

    Times are as `2026-08-22T14:02:03.123Z`, with an offset, or dates such as 22 Aug 2026
    14:02:03.123; without zone where the header says UTC: AOS (UTC). They count from `start`
    (aware), by default the first rise. Windows that end by then are left out; one already open is
    clipped and flagged, and what the file says of its rise (and of its culmination, when that is
    over) becomes unknown.

    Raises TableError (a ValueError) that starts `file:line:` for a column missing, a cell that
    cannot be read or is out of range, a window that does not set after it rises or overlaps another
    of its satellite and site, or no window left; ValueError for a naive start; OSError when the
    file cannot be read. With `on_bad` a row that is wrong is left out, and that is told of it.
    """
    return parse_windows(
        read_text(path), fspath(path), start, columns, names, site, satellite, on_bad
    )


def window_text(path: str | PathLike[str]) -> str:
    """Text of a table of windows or a contact plan; errors as of `read_windows`."""
    return read_text(path)


def parse_windows(
    text: str,
    source: str = "<text>",
    start: datetime | None = None,
    columns: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    site: str | None = None,
    satellite: str = SATELLITE,
    on_bad: OnBad | None = None,
) -> WindowFile:
    """As `read_windows`, for text; `source` stands for the file in messages."""
    absent = {**_ABSENT, "satellite": satellite} | ({} if site is None else {"site": site})
    return _parse(text, source, start, columns or {}, names or {}, absent, on_bad)


def _parse(
    text: str,
    source: str,
    start: datetime | None,
    columns: Mapping[str, str],
    names: Mapping[str, str],
    absent: Mapping[str, Any],
    on_bad: OnBad | None = None,
    optional: Collection[str] = (),
) -> WindowFile:
    """Windows of a table; it may lack the columns for those of ours that are `optional`."""
    asked = {theirs for ours, theirs in columns.items() if ours not in optional}
    asked.add(columns.get("rise_utc", "rise_utc"))
    needed = [columns.get(ours, ours) for ours in OF_PASSES]
    called_so = [*KNOWN, "cluster", *columns.values()]
    table = parse_table(text, source, called_so, asked.issubset, needed)
    there = {
        ours: theirs
        for ours, theirs in columns.items()
        if ours not in optional or theirs in table.columns
    }
    called = _chosen_columns(table, there, absent)
    found, lines = _good_rows(table, called, absent, on_bad)
    _rename(found, names, table)
    if len(kept := _apart(found, lines, source, on_bad)) < len(lines):
        found = {name: [values[n] for n in kept] for name, values in found.items()}
    zero = min(found["rise_s"]) if start is None else utc(start, "start")
    for name in ("rise_s", "culminate_s", "set_s"):
        found[name] = [(instant - zero).total_seconds() for instant in found[name]]
    known = {kind: sorted(set(found[kind])) for kind in ("satellite", "site")}
    for kind, of_kind in known.items():
        index = {name: number for number, name in enumerate(of_kind)}
        found[kind] = [index[name] for name in found[kind]]
    every = {name: np.array(values) for name, values in found.items()}
    ends_s = ends_by_site(every["site"], every["rise_s"], every["set_s"], len(known["site"]))
    left = _since_zero(every)
    if not left["set_s"].size:
        raise table.error(all_before(zero, ends_s[0].min(), ends_s[1].max()))
    return WindowFile(known["satellite"], known["site"], zero, sorted_windows([left]), *ends_s)


def ends_by_site(site: Ints, rise_s: Floats, set_s: Floats, sites: int) -> tuple[Floats, Floats]:
    """First rise and last set (s) at each of so many sites, of windows by the index of theirs."""
    first_rise_s, last_set_s = np.full(sites, inf), np.full(sites, -inf)
    np.minimum.at(first_rise_s, site, rise_s)
    np.maximum.at(last_set_s, site, set_s)
    return first_rise_s, last_set_s


def all_before(start: datetime, first_s: float, last_s: float) -> str:
    """Say that a file's windows are over by the start, when they are, and which start would fit."""
    first, last = (to_second(start, time_s) for time_s in (first_s, last_s))
    return (
        f"all windows end before start {to_second(start)}: they are from {first} to {last}; "
        f"start at {first}"
    )


def _good_rows(
    table: Table, called: Mapping[str, str], absent: Mapping[str, Any], on_bad: OnBad | None
) -> tuple[dict[str, list[Any]], list[int]]:
    """Columns of all rows that are right, and the lines of these."""
    lines = []
    found = defaultdict[str, list[Any]](list)
    first_bad = ""
    rise = called["rise_utc"]
    for row in table.rows(on_bad):
        if row.cells[rise] == rise and not called.keys() >= {"satellite", "site"}:
            raise row.error(
                "the header comes again, and the rows below it may be of another satellite or "
                "site; give each its own table, or columns that name both"
            )
        try:
            window = _window(row, called, absent)
        except ValueError as error:
            wrong = error if isinstance(error, TableError) else row.error(str(error))
            leave_out(wrong, on_bad)
            first_bad = first_bad or str(wrong)
            continue
        lines.append(row.line)
        for name, value in window.items():
            found[name].append(value)
    if not lines:
        if first_bad:
            raise table.error(f"no good row is left; the first bad one: {first_bad}")
        raise table.error(NO_ROWS)
    return found, lines


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

    Needs a, b, start_utc and end_utc. Windows of either direction that overlap are one, from the
    first start to the last end: tools give both, which may differ by the light time. Times,
    `start`, `columns` and errors are as in `read_windows`.
    """
    return parse_isl_windows(read_text(path), fspath(path), start, columns)


def parse_isl_windows(
    text: str,
    source: str = "<text>",
    start: datetime | None = None,
    columns: Mapping[str, str] | None = None,
) -> IslFile:
    """As `read_isl_windows`, for text; `source` stands for the file in messages."""
    called = {ours: (columns or {}).get(name, name) for ours, name in _OF_ISLS.items()}
    ranges = [ours for ours in called if ours.endswith("_range_km")]
    read = _parse(text, source, start, called, {}, _ABSENT, optional=ranges)
    names = sorted({*read.satellites, *read.sites})
    w = read.windows
    satellites = np.searchsorted(names, read.satellites)
    sites = np.searchsorted(names, read.sites)
    pair = np.sort(np.stack([satellites[w.satellite], sites[w.site]]), axis=0)
    if (pair[0] == pair[1]).any():
        name = names[int(pair[0][pair[0] == pair[1]][0])]
        raise TableError(f"{source}: {name!r} has a window with itself; name two satellites")
    order = np.lexsort((w.rise_s, *pair[::-1]))
    first = _firsts(pair[:, order].T.tolist(), w.rise_s[order].tolist(), w.set_s[order].tolist())
    a, b = pair[:, order[first]]
    every = IslWindows(
        a=a,
        b=b,
        start_s=w.rise_s[order[first]],
        end_s=np.maximum.reduceat(w.set_s[order], first),
        min_range_km=np.fmin.reduceat(w.min_slant_range_km[order], first),
        max_range_km=np.fmax.reduceat(w.rise_slant_range_km[order], first),
        clipped_start=np.logical_or.reduceat(w.clipped_start[order], first),
        clipped_end=np.logical_or.reduceat(w.clipped_end[order], first),
    )
    return IslFile(names, read.start, every.where(np.lexsort((b, a, every.start_s))))


def _firsts(
    pairs: Sequence[list[int]], start_s: Sequence[float], end_s: Sequence[float]
) -> list[int]:
    """Which windows, sorted by pair and start, begin when none of their pair is open."""
    firsts = []
    of: list[int] = []
    until_s = nan
    for number, (pair, start, end) in enumerate(zip(pairs, start_s, end_s, strict=True)):
        if pair != of or start >= until_s:
            firsts.append(number)
            of, until_s = pair, end
        else:
            until_s = max(until_s, end)
    return firsts


def _chosen_columns(
    table: Table, columns: Mapping[str, str], absent: Mapping[str, Any]
) -> dict[str, str]:
    """The file's column for each of our names that it has, or that is not `absent`."""
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
        if chosen.keys().isdisjoint({ours, *instead}) and absent.get(ours) is None:
            raise table.error(
                f"no column {' or '.join((ours, *instead))}; add it, or say in "
                f"columns what {ours!r} is called here"
            )
    for ours, theirs in columns.items():
        if ours not in _WITHOUT_UNIT:
            try:
                header_factor(theirs, unit_of(ours))
            except ValueError as error:
                raise table.error(f"column {theirs!r} for {ours}: {error}") from None
    return chosen


_WITHOUT_UNIT = {
    "satellite", "site", "rise_utc", "culminate_utc", "set_utc", "culminations", *FLAGS,
}  # fmt: skip


def _rename(windows: Mapping[str, list[Any]], names: Mapping[str, str], table: Table) -> None:
    """Give satellites and sites, in place, the names that the user has for them."""
    there = {*windows["satellite"], *windows["site"]}
    for name in names:
        if name not in there:
            raise table.error(f"names: {name!r} is no satellite or site here; {near(name, there)}")
    for kind in ("satellite", "site") if names else ():
        windows[kind][:] = [names.get(name, name) for name in windows[kind]]


def _apart(
    windows: Mapping[str, list[Any]], lines: Sequence[int], source: str, on_bad: OnBad | None
) -> list[int]:
    """Which windows to keep, in order: those that overlap none of their satellite and site."""
    pairs = list(zip(windows["satellite"], windows["site"], strict=True))
    span_s = windows["rise_s"], windows["set_s"]

    def overlap(before: int, number: int) -> TableError:
        first, second = sorted((lines[before], lines[number]))
        return TableError(
            f"{source}:{second}: the window overlaps that of line {first}, of the same "
            f"satellite and site {pairs[number]}; merge them or remove one"
        )

    order = sorted(range(len(pairs)), key=windows["rise_s"].__getitem__)
    return sorted(apart(order, pairs, span_s, overlap, on_bad))
