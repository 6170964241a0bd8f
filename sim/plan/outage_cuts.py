"""Windows without the times in which one of their ends, or the link, is out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

import orbit
from orbit.windows import groups
from sim.devices.intervals import Intervals
from statements.arrays import Floats, Ints

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
