"""Contact windows: who sees whom from when to when."""

from dataclasses import dataclass, fields

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ContactWindows:
    """Arrays of one length W, sorted by (rise_s, satellite, site).

    `satellite` and `site` are indices into the lists that were asked about; times are seconds since
    the start. `culminate_s` is when the elevation is highest. A clipped window was already open
    at the start (or at the first time the elements can be propagated to), or still open at the end.
    Ranges and rates are nan where there is no geometry. Raises ValueError when lengths differ, a
    time is not finite, a window does not set after it rises, or the order is another.
    """

    satellite: IntArray
    site: IntArray
    rise_s: FloatArray
    culminate_s: FloatArray
    set_s: FloatArray
    max_elevation_deg: FloatArray
    min_slant_range_km: FloatArray
    rise_range_rate_km_s: FloatArray
    set_range_rate_km_s: FloatArray
    clipped_start: BoolArray
    clipped_end: BoolArray

    def __post_init__(self) -> None:
        """Check lengths, times and order."""
        for column in fields(self):
            if getattr(self, column.name).shape != self.rise_s.shape or self.rise_s.ndim != 1:
                raise ValueError(
                    f"{column.name} has shape {getattr(self, column.name).shape} but rise_s has "
                    f"{self.rise_s.shape}; give arrays of one length"
                )
        times = np.stack([self.rise_s, self.culminate_s, self.set_s])
        wrong = ~np.isfinite(times).all(axis=0) | ~(self.set_s > self.rise_s)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                f"window {first} rises at {self.rise_s[first]} s, sets at {self.set_s[first]} s; "
                "times must be finite and the set later than the rise"
            )
        if not np.array_equal(_order(self.rise_s, self.satellite, self.site), range(len(self))):
            raise ValueError("windows are not sorted by rise_s, satellite, site; sort them first")

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.rise_s)


def sorted_windows(pieces: list[dict[str, FloatArray | IntArray | BoolArray]]) -> ContactWindows:
    """One ContactWindows of the columns of all pieces (at least one), in the promised order."""
    columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    order = _order(columns["rise_s"], columns["satellite"], columns["site"])
    return ContactWindows(**{name: values[order] for name, values in columns.items()})


def _order(rise_s: FloatArray, satellite: IntArray, site: IntArray) -> IntArray:
    order: IntArray = np.lexsort((site, satellite, rise_s))
    return order


def longest_gap_s(windows: ContactWindows, sites: int, span_s: float) -> FloatArray:
    """Longest time without any contact for each of `sites` sites, (S,) seconds.

    Counts from 0 to `span_s`, ends included: a site without contact has `span_s`. Raises ValueError
    when a window's site is not below `sites` or a window sets after `span_s`.
    """
    if len(windows) and (windows.site.max() >= sites or windows.set_s.max() > span_s):
        raise ValueError(
            f"windows reach site {windows.site.max()} and {windows.set_s.max()} s, beyond {sites} "
            f"sites and span_s {span_s}; give the numbers that the windows were made with"
        )
    gaps = np.empty(sites)
    for site in range(sites):
        mine = windows.site == site
        covered_until = np.maximum.accumulate(np.append(0.0, windows.set_s[mine]))
        gaps[site] = (np.append(windows.rise_s[mine], span_s) - covered_until).max()
    return np.maximum(gaps, 0.0)
