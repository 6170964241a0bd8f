"""Attenuation by gases and rain as a table over elevation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from channel.arrays import Floats, above_horizon, not_negative


@dataclass(frozen=True, eq=False)
class SlantAttenuation:
    """Losses of one site at one frequency on the way up, for elevations of the rows (N,).

    elevation_deg: above 0, increasing, and 90 in the last row.
    gas_db, rain_db: >= 0; rain_db is what one wants to survive, not an average: it is exceeded for
        some share of the time.

    Between rows both losses are linear in 1 / sin(e), the length of a path through flat layers.
    Below the first row they keep its value, as flat layers are no model of the Earth there.
    The rows are kept as read-only copies. Raises ValueError for other shapes and values.
    """

    elevation_deg: Floats
    gas_db: Floats
    rain_db: Floats

    def __post_init__(self) -> None:
        """Check the rows and keep copies of them."""
        for name in ("elevation_deg", "gas_db", "rain_db"):
            rows = not_negative(name, getattr(self, name)).copy()
            rows.setflags(write=False)
            object.__setattr__(self, name, rows)
            if rows.ndim != 1 or rows.shape != self.elevation_deg.shape:
                raise ValueError(f"{name} has shape {rows.shape}; give one number per elevation")
        rows = self.elevation_deg
        if not (rows.size and rows[0] > 0.0 and rows[-1] == 90.0 and (np.diff(rows) > 0.0).all()):
            raise ValueError(
                f"elevation_deg is {str(rows)[:60]}; allowed is above 0, increasing, up to 90"
            )

    def gas_loss_db(self, elevation_deg: ArrayLike) -> Floats:
        """Loss by gases in dB; elevations of any shape, ValueError for those outside (0, 90]."""
        return self._interpolated(elevation_deg, self.gas_db)

    def rain_loss_db(self, elevation_deg: ArrayLike) -> Floats:
        """Loss by rain in dB; elevations of any shape, ValueError for those outside (0, 90]."""
        return self._interpolated(elevation_deg, self.rain_db)

    def _interpolated(self, elevation_deg: ArrayLike, losses_db: Floats) -> Floats:
        elevation = above_horizon(elevation_deg)
        rows = self.elevation_deg
        length = _path_length(np.maximum(elevation, rows[0]))
        return np.asarray(np.interp(-length, -_path_length(rows), losses_db))[()]


def _path_length(elevation_deg: Floats) -> Floats:
    """Length of a path through a flat layer of height 1."""
    return np.asarray(1.0 / np.sin(np.radians(elevation_deg)))
