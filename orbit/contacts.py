"""Contact windows of satellites over sites, vectorised."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from warnings import warn

import numpy as np

from orbit.arrays import IntArray
from orbit.clock import Start, span_s
from orbit.elements import ElementError, Satellite
from orbit.failures import Failure
from orbit.finder import Finder
from orbit.sites import Site
from orbit.steps import grid_step_s
from orbit.windows import ContactWindows, joined, sorted_windows

if TYPE_CHECKING:
    from skyfield.api import EarthSatellite

Refine = Literal["hermite", "sgp4", "skyfield"]
OnFailure = Callable[[Failure], None]

# Samples of (satellite, site, time) looked at together: few enough to stay in the cache.
_CHUNK = 400_000
# Windows that are joined on the way: the memory of large arrays goes back when they are freed.
_JOIN = 500_000


def contact_windows(
    satellites: "Sequence[Satellite | EarthSatellite]",
    sites: Sequence[Site],
    start: datetime,
    end: datetime,
    min_elevation_deg: float,
    refine: Refine = "hermite",
    on_failure: OnFailure | None = None,
) -> ContactWindows:
    """When each satellite is above the elevation mask of each site between two aware datetimes.

    SGP4 on a grid of a few minutes, turned to the Earth-fixed frame by GMST 1982 of UT1, a quintic
    through its positions between, no atmosphere. With `refine="hermite"` satellites are within
    0.1 m of SGP4 and range rates within 0.05 m/s; `"sgp4"` makes rise, set, angles, ranges and
    rates exact; `"skyfield"` takes them all, the culmination too, from Skyfield's full `altaz` by
    root finding, which is slow. A site's own mask wins over `min_elevation_deg` (0 up to 90).

    Where SGP4 fails (a decayed satellite) windows are cut. `on_failure` is told of each satellite
    that fails; without it one that fails all the time raises ElementError, and one that fails at
    times gives an OrbitWarning. Raises ValueError for an empty list, something that is no
    satellite, a datetime without time zone, an end not after the start, a mask out of range or
    another `refine`.
    """
    if refine not in ("hermite", "sgp4", "skyfield"):
        raise ValueError(f'refine {refine!r} is unknown; write "hermite", "sgp4" or "skyfield"')
    models = as_satellites(satellites)
    finder = Finder(models, sites, min_elevation_deg, Start.of(start), span_s(start, end), refine)
    pieces, recent, failures = [], [], []
    for members, few, step_s in _blocks(models, len(sites), finder.span_s):
        found, failed = finder.block(members, few, step_s)
        recent += found
        failures += failed
        if sum(len(piece["rise_s"]) for piece in recent) > _JOIN:
            pieces.append(joined(recent))
            recent = []
    for failure in sorted(failures, key=lambda failure: failure.satellite):
        (on_failure or _complain)(failure)
    return sorted_windows(pieces + recent)


def as_satellites(given: Sequence[Any]) -> list[Satellite]:
    """Satellites of a sequence that may hold Skyfield's; raises ValueError for an empty one."""
    if not given:
        raise ValueError("no satellite given; give at least one Satellite")
    if all(isinstance(satellite, Satellite) for satellite in given):
        return list(given)
    from orbit.earth_satellite import as_satellite

    return [as_satellite(satellite) for satellite in given]


def _blocks(
    satellites: list[Satellite], sites: int, span_s: float
) -> Iterator[tuple[IntArray, int, float]]:
    """Satellites (by index) that share a grid, sites at a time, and the grid's step."""
    steps = np.array([grid_step_s(satellite) for satellite in satellites])
    for step_s in np.unique(steps):
        alike = np.flatnonzero(steps == step_s)
        samples = int(span_s / step_s) + 2
        few = min(sites, max(1, _CHUNK // samples))
        many = max(1, _CHUNK // (samples * few))
        for first in range(0, len(alike), many):
            yield alike[first : first + many], few, float(step_s)


def _complain(failure: Failure) -> None:
    """What becomes of a failure that nobody asks to be told of."""
    if failure.whole:
        raise ElementError(str(failure))
    from orbit.validity import OrbitWarning

    warn(str(failure), OrbitWarning, stacklevel=3)
