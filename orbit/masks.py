"""Horizons: masks whose elevation depends on the azimuth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orbit.checks import FloatArray, shown, within

MOST_POINTS = 3600
"""Points of a horizon: a tenth of a degree apart."""
REMEDY = "give pairs of azimuth (0 to 360, from north through east) and elevation, deg"


@dataclass(frozen=True)
class Horizon:
    """A mask by azimuth: linear between its points, all around the circle.

    `azimuth_deg` rise from 0 up to 360 (north, east, south, west), `elevation_deg` lie in [0, 90).
    """

    azimuth_deg: tuple[float, ...]
    elevation_deg: tuple[float, ...]

    @classmethod
    def of(cls, pairs: Any, name: str = "min_elevation_deg") -> "Horizon":
        """Of pairs (azimuth, elevation) in any order; 360 is 0.

        Raises ValueError for anything else than two pairs or more, numbers out of range, and an
        azimuth that comes twice.
        """
        points: dict[float, float] = {}
        if not isinstance(pairs, Sequence) or isinstance(pairs, str) or len(pairs) < 2:
            raise ValueError(f"{name} {shown(pairs)} is no horizon; {REMEDY}, two or more")
        if len(pairs) > MOST_POINTS:
            raise ValueError(f"{name} has {len(pairs)} points; give at most {MOST_POINTS}")
        for pair in pairs:
            if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
                raise ValueError(f"{name}: {shown(pair)} is no pair; {REMEDY}")
            azimuth_deg = within(pair[0], 0, 360, f"{name}: azimuth") % 360.0
            elevation_deg = within(
                pair[1], 0, 90, f"{name}: elevation at azimuth {pair[0]:g}", below=True
            )
            if points.setdefault(azimuth_deg, elevation_deg) != elevation_deg:
                raise ValueError(
                    f"{name}: azimuth {azimuth_deg:g} has the elevations {points[azimuth_deg]:g} "
                    f"and {elevation_deg:g}; give each azimuth once (0 and 360 are the same)"
                )
        azimuths = sorted(points)
        if len(azimuths) < 2:
            raise ValueError(f"{name} has one azimuth; {REMEDY}, two or more")
        return cls(tuple(azimuths), tuple(points[azimuth] for azimuth in azimuths))

    @property
    def pairs(self) -> tuple[tuple[float, float], ...]:
        """Azimuth and elevation of each point."""
        return tuple(zip(self.azimuth_deg, self.elevation_deg, strict=True))

    @property
    def lowest_deg(self) -> float:
        """The lowest elevation of all azimuths."""
        return min(self.elevation_deg)

    def at(self, azimuth_deg: FloatArray) -> FloatArray:
        """Elevations (deg) at azimuths (deg) of any shape."""
        return np.interp(azimuth_deg, self.azimuth_deg, self.elevation_deg, period=360.0)
