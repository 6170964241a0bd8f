"""Contact windows of satellites over sites, exact by SGP4, and what outages leave of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import tau

import numpy as np

import orbit
from orbit.utc import to_second
from orbit.windows import groups
from sim.devices.outages import Intervals
from sim.formatting import counted
from statements import Code, Set, Statement
from statements.arrays import Floats, Ints

Windows = tuple[orbit.ContactWindows, tuple[str, ...]]
"""Windows, and a line about each satellite whose elements fail at times."""


@dataclass(frozen=True)
class WindowQuery:
    """Windows of ``satellites`` over ``sites``, exact by SGP4, between two aware datetimes."""

    satellites: Sequence[orbit.Satellite]
    sites: Sequence[orbit.Site]
    start: datetime
    end: datetime
    min_elevation_deg: float


Find = Callable[[WindowQuery], Windows]
"""``find_windows``, or a cache in front of it."""


def find_windows(query: WindowQuery) -> Windows:
    """Find windows, whole where they set within a turn of their satellite after the end.

    Raises ElementError for elements that SGP4 cannot use at all.
    """
    met: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        query.satellites,
        query.sites,
        query.start,
        query.end + timedelta(seconds=_turn_s(query.satellites)),
        query.min_elevation_deg,
        refine="sgp4",
        on_failure=met.append,
    )
    span_s = (query.end - query.start).total_seconds()
    windows = windows.where(windows.rise_s < span_s)
    failures = [_until(failure, span_s) for failure in met if failure.first_s < span_s]
    whole = next((failure for failure in failures if failure.whole), None)
    if whole is not None:
        raise orbit.ElementError(str(whole))
    return windows, tuple(map(str, failures))


LONGEST_TURN_S = 86_400.0
"""A higher satellite may never set: its contact is planned for so long after the end."""


def _turn_s(satellites: Sequence[orbit.Satellite]) -> float:
    """Return how long the slowest of satellites takes around the Earth."""
    slowest_rad_min = min(satellite.model.no_kozai for satellite in satellites)
    # Elements that no orbit has are for SGP4 to refuse.
    return min(60.0 * tau / slowest_rad_min, LONGEST_TURN_S) if slowest_rad_min > 0.0 else 0.0


def _until(failure: orbit.Failure, span_s: float) -> orbit.Failure:
    """Return what of a failure is in the span."""
    last_s = min(failure.last_s, span_s)
    whole = failure.whole or (failure.first_s <= 0.0 and failure.last_s >= span_s)
    return replace(failure, last_s=last_s, whole=whole)


def other_dates(
    key: str, start: datetime, span_s: float, first_s: float, last_s: float
) -> Statement:
    """Say that a file's windows do not lie in the run, when they do, and which start would fit.

    They are from ``first_s`` to ``last_s`` after its start.
    """
    first, last = (to_second(start, time_s) for time_s in (first_s, last_s))
    return Statement.of(
        Code.WRONG_VALUE,
        key,
        f"none of its windows is in the {counted(span_s / 86_400, 'day')} "
        "from {start}; they are from {first} to {last}",
        Set("start", first),
        days=span_s / 86_400,
        start=to_second(start),
        first=first,
        last=last,
    )


# Windows without the times in which one of their ends, or the link, is out.


Look = Callable[[int, Floats], Floats]
"""Elevation, azimuth, slant range and range rate (4, T) of the satellite of a window (by index) at
times (T,), as its site sees it."""

EVENT_GEOMETRY = ("azimuth_deg", "slant_range_km", "range_rate_km_s")
"""Columns of a window at each of its rise, its highest point and its set."""


def cut(
    windows: orbit.ContactWindows,
    which: Ints,
    out: Sequence[Intervals],
    look: Look | None = None,
) -> tuple[orbit.ContactWindows, Ints]:
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


def cut_at(windows: orbit.ContactWindows, end_s: float, look: Look | None) -> orbit.ContactWindows:
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
    start_s: Floats, end_s: Floats, which: Ints, out: Sequence[Intervals]
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
        of = np.repeat(cut_alike, counts)
        turn = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        span = np.repeat(first, counts) + turn
        windows.append(of)
        begins_s.append(np.maximum(start_s[of], up_s[span]))
        ends_s.append(np.minimum(end_s[of], down_s[span]))
    return np.concatenate(windows), np.concatenate(begins_s), np.concatenate(ends_s)


def _clipped(
    windows: orbit.ContactWindows, of: Ints, begin_s: Floats, end_s: Floats, look: Look | None
) -> orbit.ContactWindows:
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
    return orbit.ContactWindows(**columns)
