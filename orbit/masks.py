"""Horizons: masks whose elevation depends on the azimuth, as lists, texts and files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from os import PathLike, fspath
from typing import Any

import numpy as np

from orbit.checks import FloatArray, shown, within
from orbit.files import TableError, read_text

MOST_POINTS = 3600
"""Points of a horizon: a tenth of a degree apart."""
_REMEDY = "give pairs of azimuth (0 to 360, from north through east) and elevation, deg"


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
            raise ValueError(f"{name} {shown(pairs)} is no horizon; {_REMEDY}, two or more")
        if len(pairs) > MOST_POINTS:
            raise ValueError(f"{name} has {len(pairs)} points; give at most {MOST_POINTS}")
        for pair in pairs:
            if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
                raise ValueError(f"{name}: {shown(pair)} is no pair; {_REMEDY}")
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
            raise ValueError(f"{name} has one azimuth; {_REMEDY}, two or more")
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


def horizon_of_text(text: str, name: str) -> list[tuple[float, float]]:
    """Pairs of a cell like `0 5; 90 12.5; 180 3`, `0:5 90:12.5`, or JSON; ValueError otherwise."""
    if text.startswith("["):
        text = re.sub(r"\]\s*,\s*\[", ";", text.strip("[] ")).replace(",", " ")
    pairs = re.split(r"\s*;\s*", text.strip(" ;")) if ";" in text else text.split()
    found = []
    for pair in pairs:
        numbers = re.split(r"\s*[:\s]\s*", pair.strip())
        try:
            azimuth_deg, elevation_deg = map(float, numbers)
        except ValueError:
            raise ValueError(
                f"{name} {shown(text)} is neither a number nor a horizon like 0 5; 90 12.5; 180 3"
            ) from None
        found.append((azimuth_deg, elevation_deg))
    return found


def read_horizon(path: str | PathLike[str]) -> Horizon:
    """The horizon of a file with an azimuth and an elevation (deg) in each line.

    Blanks, commas, semicolons or tabs are between them; lines that begin with # or are blank, and
    one header line, are skipped. Raises TableError (a ValueError) that starts `file:line:` for
    other lines, and for numbers as `Horizon.of`; OSError when the file cannot be read.
    """
    return parse_horizon(read_text(path), fspath(path))


def parse_horizon(text: str, source: str = "<text>") -> Horizon:
    """As `read_horizon`, for text; `source` stands for the file in messages."""
    pairs: list[tuple[float, float]] = []
    header = True
    number = 1
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        words = [word for word in re.split(r"[\s,;]+", line.strip()) if word]
        if not words or words[0][0] in "#%!":
            continue
        try:
            azimuth_deg, elevation_deg = map(float, words)
        except ValueError:
            if header and not any(map(_is_number, words)):
                header = False
                continue
            raise TableError(
                f"{source}:{number}: {shown(line.strip())} is no azimuth and elevation; {_REMEDY}"
            ) from None
        if not (isfinite(azimuth_deg) and 0 <= azimuth_deg <= 360 and 0 <= elevation_deg < 90):
            raise TableError(
                f"{source}:{number}: azimuth {azimuth_deg:g} or elevation {elevation_deg:g} is out "
                "of range; give 0 to 360 (from north through east), and 0 up to below 90"
            )
        header = False
        pairs.append((azimuth_deg, elevation_deg))
    try:
        return Horizon.of(pairs, "the horizon")
    except ValueError as error:
        raise TableError(f"{source}:{number}: {error}") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
