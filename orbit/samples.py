"""The samples of tracks at which a satellite may be near a window, and the steps between."""

from dataclasses import dataclass

import numpy as np

from orbit.arcs import Arcs, View, view
from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.cubics import Cubics
from orbit.propagation import Tracks
from orbit.screen import candidate_samples
from orbit.sites import SiteFrames


@dataclass(frozen=True)
class Samples:
    """What sites see at samples, sorted by site, satellite, time; arrays of one length P.

    `row` is satellite x T + sample; `linked` says whether the next one is the next sample of the
    same pair. A step is named by its first sample: `left` indexes these arrays.
    """

    tracks: Tracks
    frames: SiteFrames
    row: IntArray
    site: IntArray
    view: View
    visible: BoolArray
    linked: BoolArray

    @classmethod
    def of(cls, tracks: Tracks, frames: SiteFrames) -> "Samples":
        """All samples that the screen lets through."""
        site, row = candidate_samples(tracks, frames)
        node = tracks.node[:2].reshape(2, 3, -1)
        line = np.take(node[0], row, axis=1) - np.take(frames.position_km.T, site, axis=1)
        up = np.take(frames.up.T, site, axis=1)
        seen = view(line, np.take(node[1], row, axis=1), up)
        visible = seen.excess(frames.sin_mask[site]) >= 0
        linked = np.append((np.diff(row) == 1) & (np.diff(site) == 0), False)[: len(row)]
        linked &= (row + 1) % tracks.samples != 0
        return cls(tracks, frames, row, site, seen, visible, linked)

    def sin_mask(self, left: IntArray) -> FloatArray:
        """Sine of the mask for steps `left`."""
        sines: FloatArray = self.frames.sin_mask[self.site[left]]
        return sines

    def arcs(self, left: IntArray) -> Arcs:
        """The steps `left` as the tracks have them."""
        return Arcs.of(self.tracks, self.frames, self.row[left], self.site[left])

    def cubics(self, left: IntArray) -> Cubics:
        """The steps `left`, roughly."""
        return Cubics.between(self.view.at(left), self.view.at(left + 1))

    def satellite(self, left: IntArray) -> IntArray:
        """Index of the satellite of samples `left`."""
        satellite: IntArray = self.row[left] // self.tracks.samples
        return satellite

    def time_s(self, left: IntArray, x: FloatArray) -> FloatArray:
        """Seconds since the start at fractions x of steps `left`."""
        # The grid's own times, so that the first and the last are the span's to the last bit.
        grid_s = self.tracks.time_s[self.row[left] % self.tracks.samples]
        time_s: FloatArray = grid_s + x * self.tracks.step_s
        return time_s
