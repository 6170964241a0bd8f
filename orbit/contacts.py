"""The search for contacts of satellites and sites: `contact_windows` and `find_contacts`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, get_args
from warnings import warn

import numpy as np

from orbit.earth import earth_rotation
from orbit.ephemeris import SampledEphemeris, sampled_ephemeris, sampling_step_s
from orbit.look_angles import LookAngles, looks_from
from orbit.masked_passes import above_horizons
from orbit.passes import Passes, Samples, find_passes, refined, visible_candidates
from orbit.propagation import (
    LEAST_INTERVALS,
    ExactStates,
    Failure,
    Source,
    Stretch,
    fails_on_the_way,
    failure,
    good_stretch,
)
from orbit.satellite import ElementError, Satellite, as_satellite
from orbit.sites import Site, SiteFrames, site_frames
from orbit.utc import Start, span_s, utc
from orbit.validity import OrbitWarning, doubts
from orbit.windows import Columns, ContactWindows, joined, sorted_windows
from statements.arrays import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd
    from skyfield.api import EarthSatellite


Refine = Literal["hermite", "sgp4"]
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
    rates exact. A site's own mask wins over `min_elevation_deg` (0 up to 90); above a horizon a
    pass may become several windows.

    Where SGP4 fails (a decayed satellite) windows are cut. `on_failure` is called for each
    satellite that fails; without it one that fails all the time raises ElementError, and one that
    fails at times gives an OrbitWarning. Raises ValueError for an empty list, anything else than a
    satellite, a datetime without time zone, an end not after the start, a mask out of range or
    another `refine`.
    """
    if refine not in get_args(Refine):
        raise ValueError(f'refine {refine!r} is unknown; write "hermite" or "sgp4"')
    models = as_satellites(satellites)
    frames = site_frames(sites, min_elevation_deg)
    search = _AccessSearch(models, frames, Start.of(start), span_s(start, end), refine)
    pieces = []
    recent = []
    failures = []
    for block in _blocks(models, np.arange(len(models)), len(sites), search.span_s):
        found, failed = search.block(*block)
        recent += found
        failures += failed
        if sum(len(piece["rise_s"]) for piece in recent) > _JOIN:
            pieces.append(joined(recent))
            recent = []
    for met in sorted(failures, key=lambda failure: failure.satellite):
        (on_failure or complain)(met)
    return sorted_windows(pieces + recent)


def as_satellites(given: Sequence[Any]) -> list[Satellite]:
    """Satellites of a sequence that may hold Skyfield's; raises ValueError for an empty one."""
    if not given:
        raise ValueError("no satellite given; give at least one Satellite")
    return [as_satellite(satellite) for satellite in given]


def _blocks(
    satellites: list[Satellite], members: Ints, sites: int, span_s: float
) -> Iterator[tuple[Ints, int, float]]:
    """Satellites (by index) that share a grid, sites at a time, and the grid's step."""
    steps = np.array([sampling_step_s(satellites[k]) for k in members])
    for step_s in sorted(set(steps.tolist())):
        alike = members[steps == step_s]
        samples = int(span_s / step_s) + 2
        few = min(sites, max(1, _CHUNK // samples))
        many = max(1, _CHUNK // (samples * few))
        for first in range(0, len(alike), many):
            yield alike[first : first + many], few, step_s


def complain(failure: Failure) -> None:
    """Raise or warn of a failure that no `on_failure` handles."""
    if failure.whole:
        raise ElementError(str(failure))
    warn(str(failure), OrbitWarning, stacklevel=3)


# A satellite that fails gets a finer grid, which reaches up to the failure by extrapolation.
_FINER = 8


@dataclass(frozen=True)
class _AccessSearch:
    """Contacts of satellites over sites within `span_s` seconds of a start."""

    satellites: Sequence[Satellite]
    frames: SiteFrames
    start: Start
    span_s: float
    refine: Refine

    def block(self, members: Ints, few: int, step_s: float) -> tuple[list[Columns], list[Failure]]:
        """Windows of satellites (by index) over `few` sites at a time, and which of them fail."""
        models = [self.satellites[k] for k in members]
        ephemeris = sampled_ephemeris(models, self.start, 0.0, self.span_s, step_s)
        lost = [fails_on_the_way(model, self.start, self.span_s) for model in models]
        failing = ephemeris.failing | np.array(lost)
        whole = Stretch(0.0, self.span_s, fails_before=False, fails_after=False)
        pieces = list(self._windows(ephemeris.where(~failing), members[~failing], few, whole))
        failures = []
        finer_s = step_s / _FINER
        for index in members[failing]:
            model = self.satellites[index]
            good = good_stretch(model, self.start, self.span_s, finer_s)
            if good:
                # Evenly up to the failure: beyond it there is nothing.
                lasts_s = good.last_s - good.first_s
                even_s = lasts_s / max(LEAST_INTERVALS, ceil(lasts_s / finer_s))
                even_s = float(np.nextafter(even_s, np.inf))
                ephemeris = sampled_ephemeris(
                    [model], self.start, good.first_s, good.last_s, even_s
                )
                pieces += self._windows(ephemeris, np.array([index]), few, good)
            if good != whole:
                failures.append(failure(int(index), model, self.start, self.span_s, good))
        return pieces, failures

    def _windows(
        self, ephemeris: SampledEphemeris, members: Ints, few: int, good: Stretch
    ) -> Iterator[Columns]:
        """Columns of ContactWindows over `few` sites at a time."""
        for first in range(0, len(self.frames.sin_mask), few):
            sites = slice(first, first + few)
            passes = find_passes(
                Samples.of(
                    ephemeris, self.frames, *visible_candidates(ephemeris, self.frames, sites)
                ),
                "least",
                good.last_s,
            )
            source: Source = ephemeris
            if self.refine == "sgp4":
                models = [self.satellites[k] for k in members]
                rotation = earth_rotation(self.start, good.first_s, good.last_s)
                source = ExactStates(models, self.start, rotation)
                passes = refined(passes, source, self.frames, good.first_s, good.last_s)
            if self.frames.horizons:
                passes = above_horizons(passes, source, self.frames, ephemeris.step_s)
            columns = window_columns(passes, source, self.frames)
            columns["satellite"] = members[passes.satellite]
            fails_at_start = passes.clipped_start & np.bool_(good.fails_before)
            columns["sgp4_error"] = fails_at_start | passes.clipped_end & np.bool_(good.fails_after)
            yield columns


_AS_OF_PASSES = (
    *("satellite", "site", "rise_s", "culminate_s", "set_s"),
    *("culminations", "clipped_start", "clipped_end"),
)


def window_columns(passes: Passes, source: Source, frames: SiteFrames) -> Columns:
    """Columns of ContactWindows but `sgp4_error`, as the source of states has them."""
    times_s = [passes.rise_s, passes.culminate_s, passes.set_s, passes.closest_s]
    count = len(times_s)
    states = source.states(np.tile(passes.satellite, count), np.concatenate(times_s))
    seen = looks_from(states, frames, np.tile(passes.site, count))
    each = zip(*(np.split(angles, count) for angles in vars(seen).values()), strict=True)
    rise, culminate, set_, closest = (LookAngles(*angles) for angles in each)
    columns: Columns = {name: getattr(passes, name) for name in _AS_OF_PASSES}
    columns["max_elevation_deg"] = culminate.elevation_deg
    for name, seen in (("rise", rise), ("culminate", culminate), ("set", set_)):
        columns[f"{name}_azimuth_deg"] = seen.azimuth_deg
        columns[f"{name}_slant_range_km"] = seen.slant_range_km
        columns[f"{name}_range_rate_km_s"] = seen.range_rate_km_s
    ranges = [seen.slant_range_km for seen in (rise, culminate, set_, closest)]
    columns["min_slant_range_km"] = np.minimum.reduce(ranges)
    return columns


_SHOWN_OTHERWISE = ("satellite", "site", "rise_s", "culminate_s", "set_s")


def find_contacts(
    satellites: "Satellite | EarthSatellite | Sequence[Satellite | EarthSatellite]",
    sites: Site | Sequence[Site],
    start: datetime,
    end: datetime,
    min_elevation_deg: float,
    refine: Refine = "hermite",
    on_failure: OnFailure | None = None,
) -> "pd.DataFrame":
    """`contact_windows` as a DataFrame, one row per window, sorted by rise.

    Columns: satellite, site (names); rise_utc, culminate_utc, set_utc (UTC timestamps, ns);
    duration_s; from max_elevation_deg on those of `ContactWindows`, by the same names; and
    norad_id, the catalogue number (0 for none), which tells satellites of one name apart. One
    satellite or site may stand alone. Gives an OrbitWarning for each of `doubts`. Errors as there.
    """
    import pandas as pd

    models = as_satellites(satellites if isinstance(satellites, Sequence) else [satellites])
    sites = [sites] if isinstance(sites, Site) else list(sites)
    windows = contact_windows(models, sites, start, end, min_elevation_deg, refine, on_failure)
    for doubt in doubts(models, start, end):
        warn(str(doubt), OrbitWarning, stacklevel=2)
    return pd.DataFrame({
        "satellite": named(models, windows.satellite),
        "site": named(sites, windows.site),
        "rise_utc": moments(start, windows.rise_s),
        "culminate_utc": moments(start, windows.culminate_s),
        "set_utc": moments(start, windows.set_s),
        "duration_s": windows.set_s - windows.rise_s,
        **{
            column.name: getattr(windows, column.name)
            for column in fields(windows)
            if column.name not in _SHOWN_OTHERWISE
        },
        "norad_id": np.array([one.norad_id for one in models], np.int64)[windows.satellite],
    })  # fmt: skip


def moments(start: datetime, seconds: Floats) -> "pd.DatetimeIndex":
    """UTC timestamps to the nanosecond."""
    import pandas as pd

    since = pd.to_timedelta(np.rint(seconds * 1e9).astype(np.int64), unit="ns")
    return pd.Timestamp(utc(start, "start")).as_unit("ns") + since


def named(things: Sequence[Satellite | Site], index: Ints) -> "pd.Series":
    """Names as a text column, also when it has no rows."""
    import pandas as pd

    return pd.Series([thing.name for thing in things], dtype="str").take(index).array
