"""Contact windows as arrays; what outages leave of them; slots; how much is in view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite
from operator import index
from typing import Any, Protocol

import numpy as np

from orbit.checks import Rows, finite, whole
from orbit.utc import DAY_S
from statements.arrays import Floats, Ints, Mask, stretches

# Columns of ContactWindows by name.
Columns = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ContactWindows(Rows):
    """Arrays of one length W, sorted by (rise_s, satellite, site).

    `satellite` and `site` are indices into the lists that were asked about; times are seconds since
    the start. `culminate_s` is when the elevation is highest, `culminations` counts its maxima
    inside the window. A clipped window was already open at the start (or at the first time the
    elements can be propagated to), or still open at the end; `sgp4_error` says that it is clipped
    because SGP4 fails there. Azimuths run from north through east, 0 to 360 deg; positive range
    rates recede. Geometry is nan, and culminations 0, where there is none. Raises ValueError when
    lengths differ, a time is not finite, a window does not set after it rises, or the order is
    another.
    """

    satellite: Ints
    site: Ints
    rise_s: Floats
    culminate_s: Floats
    set_s: Floats
    max_elevation_deg: Floats
    min_slant_range_km: Floats
    rise_azimuth_deg: Floats
    culminate_azimuth_deg: Floats
    set_azimuth_deg: Floats
    rise_slant_range_km: Floats
    culminate_slant_range_km: Floats
    set_slant_range_km: Floats
    rise_range_rate_km_s: Floats
    culminate_range_rate_km_s: Floats
    set_range_rate_km_s: Floats
    culminations: Ints
    clipped_start: Mask
    clipped_end: Mask
    sgp4_error: Mask

    def __post_init__(self) -> None:
        """Check lengths, times and order."""
        for column in fields(self):
            if getattr(self, column.name).shape != self.rise_s.shape or self.rise_s.ndim != 1:
                raise ValueError(
                    f"{column.name} has shape {getattr(self, column.name).shape} but rise_s has "
                    f"{self.rise_s.shape}; give arrays of one length"
                )
        wrong = ~(self.set_s > self.rise_s)
        for times in (self.rise_s, self.culminate_s, self.set_s):
            wrong |= ~np.isfinite(times)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                f"window {first} rises at {self.rise_s[first]} s, sets at {self.set_s[first]} s; "
                "times must be finite and the set later than the rise"
            )
        if not _in_order(self.rise_s, self.satellite, self.site):
            raise ValueError("windows are not sorted by rise_s, satellite, site; sort them first")


def bare_windows(**known: Any) -> ContactWindows:
    """Windows of which only some columns are known, sorted; others are nan, 0 or False."""
    shape = known["rise_s"].shape
    columns: Columns = {column.name: np.full(shape, np.nan) for column in fields(ContactWindows)}
    columns["culminations"] = np.zeros(shape, np.int64)
    for flag in ("clipped_start", "clipped_end", "sgp4_error"):
        columns[flag] = np.zeros(shape, np.bool_)
    return ContactWindows(**(columns | known))


def groups(numbers: Ints, many: int | None = None) -> list[Ints]:
    """Where each number from 0 stands, to `many` - 1 or else the largest there is: in one sort."""
    order = np.argsort(numbers, kind="stable")
    many = int(numbers.max(initial=0)) + 1 if many is None else many
    return np.split(order, np.searchsorted(numbers[order], np.arange(1, many)))


def joined(pieces: list[Columns]) -> Columns:
    """Concatenate the columns of all pieces (at least one); the pieces are emptied meanwhile."""
    names = list(pieces[0])
    return {name: np.concatenate([piece.pop(name) for piece in pieces]) for name in names}


def sorted_windows(pieces: list[Columns]) -> ContactWindows:
    """One ContactWindows of all pieces (at least one), in the promised order, as `joined`."""
    columns = joined(pieces)
    order = np.lexsort((columns["site"], columns["satellite"], columns["rise_s"]))
    for name in columns:
        columns[name] = columns[name][order]
    return ContactWindows(**columns)


def _in_order(rise_s: Floats, satellite: Ints, site: Ints) -> bool:
    """Whether no row comes before the one above it."""
    if (rise_s[1:] < rise_s[:-1]).any():
        return False
    above = np.flatnonzero(rise_s[1:] == rise_s[:-1])
    one = satellite[above]
    other = satellite[above + 1]
    earlier = (other < one) | ((other == one) & (site[above + 1] < site[above]))
    return not earlier.any()


def slot_windows(sites: int, slot_s: float, idle: int, cycles: int) -> ContactWindows:
    """`cycles` rounds of one slot for each of `sites` sites in order, then `idle` empty slots.

    One satellite (index 0) at the zenith: elevation 90 deg, ranges and rates nan. Slot n lasts
    from n `slot_s` to (n + 1) `slot_s` seconds. Raises ValueError for counts below 1 (idle below 0)
    or a slot that does not last.
    """
    if not (isfinite(slot_s) and slot_s > 0):
        raise ValueError(
            f"slot_s {slot_s!r} is not a positive number of seconds; give one such as 60"
        )
    for name, count, least in (("sites", sites, 1), ("idle", idle, 0), ("cycles", cycles, 1)):
        if index(count) < least:
            raise ValueError(f"{name} {count} is too few; give {least} or more")
    cycle, site = np.divmod(np.arange(cycles * sites), sites)
    slot = cycle * (sites + idle) + site
    return bare_windows(
        satellite=np.zeros(slot.shape, dtype=np.int64),
        site=site,
        rise_s=slot * slot_s,
        culminate_s=(slot + 0.5) * slot_s,
        set_s=(slot + 1) * slot_s,
        max_elevation_deg=np.full(slot.shape, 90.0),
    )


@dataclass(frozen=True, eq=False)
class Coverage:
    """Arrays (S,) over sites.

    `passes` counts windows of any satellite; `longest_gap_s` is the longest time with no satellite
    in view and `in_view_fraction` the share of the span with at least one. Durations are nan where
    there is no pass.
    """

    passes: Ints
    passes_per_day: Floats
    mean_duration_s: Floats
    longest_duration_s: Floats
    longest_gap_s: Floats
    in_view_fraction: Floats


def merged(begin_s: Floats, end_s: Floats) -> tuple[Floats, Floats]:
    """Return spans (N,) in order of time, with those that overlap or follow at once made one."""
    order = np.argsort(begin_s, kind="stable")
    begin_s, end_s = begin_s[order], np.maximum.accumulate(end_s[order])
    apart = begin_s[1:] > end_s[:-1]
    first, last = np.append(True, apart), np.append(apart, True)
    return begin_s[first[: len(order)]], end_s[last[: len(order)]]


def gaps_s(begin_s: Floats, end_s: Floats, span_s: float) -> Floats:
    """Return how long it is from 0 to `span_s` before, between and after spans (N,): (N + 1,).

    In order of their begins; 0 where one begins within those before it.
    """
    order = np.argsort(begin_s, kind="stable")
    covered_until_s = np.maximum.accumulate(np.append(0.0, end_s[order]))
    return np.maximum(np.append(begin_s[order], span_s) - covered_until_s, 0.0)


def coverage(windows: ContactWindows, sites: int, span_s: float) -> Coverage:
    """Coverage of each of `sites` sites from 0 to `span_s` seconds; gaps count at both ends too.

    Raises ValueError when a window's site is not below `sites`, a window reaches out of the span,
    or the span is not a positive number.
    """
    whole(sites, "sites")
    if finite(span_s, "span_s", "give a positive number of seconds") <= 0:
        raise ValueError(f"span_s {span_s} is not a positive number of seconds; give one")
    first_s = windows.rise_s.min(initial=np.inf)
    last_s = windows.set_s.max(initial=-np.inf)
    last = windows.site.max(initial=-1)
    if last >= sites or first_s < 0 or last_s > span_s:
        raise ValueError(
            f"windows reach site {last} and from {first_s} s to {last_s} s, beyond "
            f"{sites} sites and span_s {span_s}; give the numbers that the windows were made with"
        )
    longest_gap_s, in_view_s = np.empty((2, sites))
    for site, of_site in enumerate(groups(windows.site, sites)):
        unseen_s = gaps_s(windows.rise_s[of_site], windows.set_s[of_site], span_s)
        longest_gap_s[site] = unseen_s.max()
        in_view_s[site] = span_s - unseen_s.sum()
    lasts_s = windows.set_s - windows.rise_s
    passes = np.bincount(windows.site, minlength=sites)
    total_s = np.bincount(windows.site, weights=lasts_s, minlength=sites)
    longest_s = np.full(sites, -np.inf)
    np.maximum.at(longest_s, windows.site, lasts_s)
    seen: Mask = passes > 0
    return Coverage(
        passes=passes,
        passes_per_day=passes.astype(np.float64) * (DAY_S / span_s),
        mean_duration_s=np.where(seen, total_s / np.maximum(passes, 1), np.nan),
        longest_duration_s=np.where(seen, longest_s, np.nan),
        longest_gap_s=longest_gap_s,
        in_view_fraction=in_view_s / span_s,
    )


# Windows without the times in which one of their ends, or the link, is out.


class Spans(Protocol):
    """Times in which something is out, (N,) in order, in seconds since the start."""

    @property
    def begin_s(self) -> Floats:
        """Begins."""

    @property
    def end_s(self) -> Floats:
        """Ends."""


Look = Callable[[int, Floats], Floats]
"""Elevation, azimuth, slant range and range rate (4, T) of the satellite of a window (by index) at
times (T,), as its site sees it."""

EVENT_GEOMETRY = ("azimuth_deg", "slant_range_km", "range_rate_km_s")
"""Columns of a window at each of its rise, its highest point and its set."""


def cut(
    windows: ContactWindows,
    which: Ints,
    out: Sequence[Spans],
    look: Look | None = None,
) -> tuple[ContactWindows, Ints]:
    """Cut windows into the pieces outside of outages; return also each one's window.

    Those of each window are one of ``out``, by ``which``. A piece has the
    highest elevation and the shortest range of its window if the window culminates in it; else
    those at its own ends, by ``look``, and nan without. Its ends are clipped where an outage made
    them.
    """
    if not any(len(spells.begin_s) for spells in out):
        return windows, np.arange(len(windows))
    of, begin_s, end_s = pieces(windows.rise_s, windows.set_s, which, out)
    order = np.lexsort((windows.site[of], windows.satellite[of], begin_s))
    return _clipped(windows, of[order], begin_s[order], end_s[order], look), of[order]


def cut_at(windows: ContactWindows, end_s: float, look: Look | None) -> ContactWindows:
    """Cut windows that have risen by a time and set later, as `cut` does; without ``look`` as far
    as they are known."""
    if not (windows.set_s > end_s).any():
        return windows
    sets_s = np.minimum(windows.set_s, end_s)
    if look is None:
        return replace(
            windows,
            set_s=sets_s,
            culminate_s=np.minimum(windows.culminate_s, end_s),
            clipped_end=windows.clipped_end | (windows.set_s > end_s),
        )
    return _clipped(windows, np.arange(len(windows)), windows.rise_s, sets_s, look)


def pieces(
    start_s: Floats, end_s: Floats, which: Ints, out: Sequence[Spans]
) -> tuple[Ints, Floats, Floats]:
    """Return window, begin and end of every piece of windows outside of outages, as `cut` does."""
    windows: list[Ints] = []
    begins_s: list[Floats] = []
    ends_s: list[Floats] = []
    for cut_alike, spells in zip(groups(which, len(out)), out, strict=True):
        # They work from the end of one outage to the begin of the next.
        up_s = np.append(-np.inf, spells.end_s)
        down_s = np.append(spells.begin_s, np.inf)
        first = np.searchsorted(down_s, start_s[cut_alike], "right")
        beyond = np.searchsorted(up_s, end_s[cut_alike], "left")
        counts = np.maximum(beyond - first, 0)
        which, span = stretches(first, counts)
        of = cut_alike[which]
        windows.append(of)
        begins_s.append(np.maximum(start_s[of], up_s[span]))
        ends_s.append(np.minimum(end_s[of], down_s[span]))
    return np.concatenate(windows), np.concatenate(begins_s), np.concatenate(ends_s)


def _clipped(
    windows: ContactWindows, of: Ints, begin_s: Floats, end_s: Floats, look: Look | None
) -> ContactWindows:
    """Return the windows ``of`` the pieces, cut to ``begin_s`` and ``end_s``."""
    whole = {name: values[of] for name, values in vars(windows).items()}
    late = begin_s > whole["rise_s"]
    early = end_s < whole["set_s"]
    highest_s = np.clip(whole["culminate_s"], begin_s, end_s)
    lower = highest_s != whole["culminate_s"]
    time_s = np.stack([begin_s, highest_s, end_s])
    seen: Floats = np.full((4, *time_s.shape), np.nan)
    if look is not None:
        for piece in np.flatnonzero(late | early).tolist():
            seen[:, :, piece] = look(int(of[piece]), time_s[:, piece])
    columns = whole | {"rise_s": begin_s, "culminate_s": highest_s, "set_s": end_s}
    columns["clipped_start"] = whole["clipped_start"] | late
    columns["clipped_end"] = whole["clipped_end"] | early
    columns["culminations"] = np.where(lower, 0, whole["culminations"])
    columns["max_elevation_deg"] = np.where(lower, seen[0, 1], whole["max_elevation_deg"])
    columns["min_slant_range_km"] = np.where(lower, seen[2].min(0), whole["min_slant_range_km"])
    for edge, (event, new) in enumerate((("rise", late), ("culminate", lower), ("set", early))):
        for name, values in zip(EVENT_GEOMETRY, seen[1:, edge], strict=True):
            columns[f"{event}_{name}"] = np.where(new, values, whole[f"{event}_{name}"])
    return ContactWindows(**columns)
