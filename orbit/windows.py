"""Contact windows: who sees whom from when to when."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray

# Columns of ContactWindows by name.
Columns = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ContactWindows:
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

    satellite: IntArray
    site: IntArray
    rise_s: FloatArray
    culminate_s: FloatArray
    set_s: FloatArray
    max_elevation_deg: FloatArray
    min_slant_range_km: FloatArray
    rise_azimuth_deg: FloatArray
    culminate_azimuth_deg: FloatArray
    set_azimuth_deg: FloatArray
    rise_slant_range_km: FloatArray
    culminate_slant_range_km: FloatArray
    set_slant_range_km: FloatArray
    rise_range_rate_km_s: FloatArray
    culminate_range_rate_km_s: FloatArray
    set_range_rate_km_s: FloatArray
    culminations: IntArray
    clipped_start: BoolArray
    clipped_end: BoolArray
    sgp4_error: BoolArray

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

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.rise_s)

    def where(self, keep: BoolArray) -> "ContactWindows":
        """Those windows for which `keep` (W,) is True."""
        return ContactWindows(**{c.name: getattr(self, c.name)[keep] for c in fields(self)})


def bare_windows(**known: Any) -> ContactWindows:
    """Windows of which only some columns are known, already sorted; the others say nothing."""
    shape = known["rise_s"].shape
    unknown = {
        "culminations": np.zeros(shape, dtype=np.int64),
        **{
            flag: np.zeros(shape, np.bool_)
            for flag in ("clipped_start", "clipped_end", "sgp4_error")
        },
    }
    names = [column.name for column in fields(ContactWindows)]
    nowhere = np.full(shape, np.nan)
    return ContactWindows(**{n: known.get(n, unknown.get(n, nowhere)) for n in names})


def joined(pieces: list[Columns]) -> Columns:
    """The columns of all pieces (at least one) in one; the pieces are emptied on the way."""
    names = list(pieces[0])
    return {name: np.concatenate([piece.pop(name) for piece in pieces]) for name in names}


def sorted_windows(pieces: list[Columns]) -> ContactWindows:
    """One ContactWindows of all pieces (at least one), in the promised order, as `joined`."""
    columns = joined(pieces)
    order = _order(columns["rise_s"], columns["satellite"], columns["site"])
    for name in columns:
        columns[name] = columns[name][order]
    return ContactWindows(**columns)


def _order(rise_s: FloatArray, satellite: IntArray, site: IntArray) -> IntArray:
    """The order that sorts by rise, then satellite, then site."""
    order: IntArray = np.argsort(rise_s)
    sorted_s = rise_s[order]
    # Ties are few, mostly windows open at the start; only they need the other keys.
    tied = np.zeros(len(order) + 1, dtype=np.bool_)
    tied[1:-1] = sorted_s[1:] == sorted_s[:-1]
    among = np.flatnonzero(tied[1:] | tied[:-1])
    rows = order[among]
    order[among] = rows[np.lexsort((site[rows], satellite[rows], rise_s[rows]))]
    return order


def _in_order(rise_s: FloatArray, satellite: IntArray, site: IntArray) -> bool:
    """Whether no row comes before the one above it."""
    if (rise_s[1:] < rise_s[:-1]).any():
        return False
    above = np.flatnonzero(rise_s[1:] == rise_s[:-1])
    one, other = satellite[above], satellite[above + 1]
    earlier = (other < one) | ((other == one) & (site[above + 1] < site[above]))
    return not earlier.any()
