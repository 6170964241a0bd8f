"""Contact windows without the times in which their satellites are out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import orbit
from learning.requests.cluster import Floats, Ints
from sim.faults.spells import Spells

Look = Callable[[int, Floats], Floats]
"""Elevation, azimuth, slant range and range rate (4, T) of the satellite of a window (by index) at
times (T,), as its site sees it."""

SHOWN = ("azimuth_deg", "slant_range_km", "range_rate_km_s")
"""What a window says of its rise, its highest point and its set."""


def cut(
    windows: orbit.ContactWindows, out: Sequence[Spells], look: Look | None = None
) -> tuple[orbit.ContactWindows, Ints]:
    """Cut windows into the pieces in which their satellites work; return also each one's window.

    ``out`` has the outages of each satellite. A piece has the highest elevation and the shortest
    range of its window if the window culminates in it; else those at its own ends, by ``look``,
    and nan without. Its ends are clipped where an outage made them.
    """
    if not any(len(spells.begin_s) for spells in out):
        return windows, np.arange(len(windows))
    found = [_pieces(windows, satellite, spells) for satellite, spells in enumerate(out)]
    of, begin_s, end_s = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((windows.site[of], windows.satellite[of], begin_s))
    return _clipped(windows, of[order], begin_s[order], end_s[order], look), of[order]


def _pieces(
    windows: orbit.ContactWindows, satellite: int, spells: Spells
) -> tuple[Ints, Floats, Floats]:
    """Window, begin and end of every piece of one satellite's windows."""
    mine = np.flatnonzero(windows.satellite == satellite)
    # It works from the end of one outage to the begin of the next.
    up_s, down_s = np.append(-np.inf, spells.end_s), np.append(spells.begin_s, np.inf)
    first = np.searchsorted(down_s, windows.rise_s[mine], "right")
    counts = np.maximum(np.searchsorted(up_s, windows.set_s[mine], "left") - first, 0)
    of = np.repeat(mine, counts)
    turn = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    span = np.repeat(first, counts) + turn
    begin_s = np.maximum(windows.rise_s[of], up_s[span])
    return of, begin_s, np.minimum(windows.set_s[of], down_s[span])


def _clipped(
    windows: orbit.ContactWindows, of: Ints, begin_s: Floats, end_s: Floats, look: Look | None
) -> orbit.ContactWindows:
    """The windows ``of`` which there are pieces, from ``begin_s`` to ``end_s``."""
    whole = {name: values[of] for name, values in vars(windows).items()}
    late, early = begin_s > whole["rise_s"], end_s < whole["set_s"]
    highest_s = np.clip(whole["culminate_s"], begin_s, end_s)
    lower = highest_s != whole["culminate_s"]
    seen = _seen(of, np.stack([begin_s, highest_s, end_s]), late | early, look)
    columns = whole | {"rise_s": begin_s, "culminate_s": highest_s, "set_s": end_s}
    columns["clipped_start"] = whole["clipped_start"] | late
    columns["clipped_end"] = whole["clipped_end"] | early
    columns["culminations"] = np.where(lower, 0, whole["culminations"])
    columns["max_elevation_deg"] = np.where(lower, seen[0, 1], whole["max_elevation_deg"])
    columns["min_slant_range_km"] = np.where(lower, seen[2].min(0), whole["min_slant_range_km"])
    for edge, (event, new) in enumerate((("rise", late), ("culminate", lower), ("set", early))):
        for name, values in zip(SHOWN, seen[1:, edge], strict=True):
            columns[f"{event}_{name}"] = np.where(new, values, whole[f"{event}_{name}"])
    return orbit.ContactWindows(**columns)


def _seen(of: Ints, time_s: Floats, cut_off: np.ndarray, look: Look | None) -> Floats:
    """What is seen (4, 3, P) of the pieces that are cut off at their times (3, P)."""
    seen: Floats = np.full((4, *time_s.shape), np.nan)
    if look is not None:
        for piece in np.flatnonzero(cut_off).tolist():
            seen[:, :, piece] = look(int(of[piece]), time_s[:, piece])
    return seen
