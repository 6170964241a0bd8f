"""Contact windows: who sees whom from when to when."""

from dataclasses import dataclass, fields

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray


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

    def where(self, keep: BoolArray) -> "ContactWindows":
        """Those windows for which `keep` (W,) is True."""
        return ContactWindows(**{c.name: getattr(self, c.name)[keep] for c in fields(self)})


def bare_windows(**known: FloatArray | IntArray | BoolArray) -> ContactWindows:
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


def sorted_windows(pieces: list[dict[str, FloatArray | IntArray | BoolArray]]) -> ContactWindows:
    """One ContactWindows of the columns of all pieces (at least one), in the promised order."""
    columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    order = _order(columns["rise_s"], columns["satellite"], columns["site"])
    return ContactWindows(**{name: values[order] for name, values in columns.items()})


def _order(rise_s: FloatArray, satellite: IntArray, site: IntArray) -> IntArray:
    order: IntArray = np.lexsort((site, satellite, rise_s))
    return order
