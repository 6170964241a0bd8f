"""The search for contacts, a block of satellites at a time."""

from collections.abc import Iterator, Sequence

import numpy as np

from orbit.arrays import IntArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.failures import Failure, Stretch, fails_on_the_way, failure, good_stretch
from orbit.measure import look_from, measured
from orbit.passes import find_passes
from orbit.propagation import Tracks, propagate_tracks
from orbit.refine import ExactStates, refined
from orbit.rotation import earth_rotation
from orbit.sites import Site, SiteFrames, site_frames
from orbit.windows import Columns

# A satellite that fails gets a finer grid, which reaches up to the failure by extrapolation.
_FINER = 8


class Finder:
    """Contacts of satellites over sites within `span_s` seconds of a start."""

    def __init__(
        self, satellites: Sequence[Satellite], sites: Sequence[Site], min_elevation_deg: float,
        start: Start, span_s: float, refine: str,
    ) -> None:  # fmt: skip
        """Raises ValueError for no site or a mask out of range."""
        self.satellites, self.sites = satellites, sites
        self.frames = site_frames(sites, min_elevation_deg)
        self.start, self.span_s, self.refine = start, span_s, refine

    def block(
        self, members: IntArray, few: int, step_s: float
    ) -> tuple[list[Columns], list[Failure]]:
        """Windows of satellites (by index) over `few` sites at a time, and which of them fail."""
        models = [self.satellites[k] for k in members]
        tracks = propagate_tracks(models, self.start, 0.0, self.span_s, step_s)
        lost = [fails_on_the_way(model, self.start, self.span_s) for model in models]
        failing = tracks.failing | np.array(lost)
        whole = Stretch(0.0, self.span_s, False, False)
        pieces = list(self._pieces(tracks.where(~failing), members[~failing], few, whole))
        failures = []
        for index in members[failing]:
            good = good_stretch(self.satellites[index], self.start, self.span_s, step_s / _FINER)
            if good:
                pieces += self._alone(index, few, step_s / _FINER, good)
            if good != whole:
                failures.append(self._failure(index, good))
        return pieces, failures

    def _alone(self, index: int, few: int, step_s: float, good: Stretch) -> Iterator[Columns]:
        """Windows of one satellite in its good stretch."""
        model = [self.satellites[index]]
        tracks = propagate_tracks(model, self.start, good.first_s, good.last_s, step_s)
        return self._pieces(tracks, np.array([index]), few, good)

    def _failure(self, index: int, good: Stretch | None) -> Failure:
        return failure(int(index), self.satellites[index], self.start, self.span_s, good)

    def _pieces(
        self, tracks: Tracks, members: IntArray, few: int, good: Stretch
    ) -> Iterator[Columns]:
        for first in range(0, len(self.sites), few):
            here = slice(first, first + few)
            columns = self._found(tracks, members, here)
            columns["satellite"] = members[columns["satellite"]]
            columns["site"] = columns["site"] + first
            starts, ends = columns["clipped_start"], columns["clipped_end"]
            columns["sgp4_error"] = starts & np.bool_(good.fails_before) | (
                ends & np.bool_(good.fails_after)
            )
            yield columns

    def _found(self, tracks: Tracks, members: IntArray, here: slice) -> Columns:
        """Windows over the sites `here`; both satellites and sites counted from 0."""
        all_ = self.frames
        frames = SiteFrames(all_.position_km[here], all_.axes[here], all_.sin_mask[here])
        passes = find_passes(tracks, frames)
        if self.refine == "hermite":
            return measured(passes, look_from(tracks, frames))
        satellites = [self.satellites[k] for k in members]
        span_s = tracks.first_s, tracks.last_s
        if self.refine == "skyfield":
            from orbit.reference import SkyfieldView, referenced

            view = SkyfieldView(satellites, self.sites[here], self.start)
            mask_deg = np.degrees(np.arcsin(frames.sin_mask))
            return measured(referenced(passes, view, mask_deg, *span_s), view.look)
        exact = ExactStates(satellites, self.start, earth_rotation(self.start, *span_s))
        return measured(refined(passes, exact, frames, *span_s), look_from(exact, frames))
