"""A cheap screen: which grid samples can be near a window at all."""

import numpy as np
from numpy.typing import NDArray

from orbit.arrays import BoolArray, IntArray
from orbit.propagation import Tracks
from orbit.sites import SiteFrames

# The normal of the ellipsoid and the geocentric radius differ by at most 0.1924 deg.
_DEFLECTION = np.radians(0.2)
# Half a step's motion, and a tenth more for its change and for single precision below.
_STEPS = 0.55
_SLACK = 0.003


def candidate_samples(tracks: Tracks, frames: SiteFrames) -> tuple[IntArray, IntArray, IntArray]:
    """Indices (satellite, site, sample) in this order of sorting, as three arrays.

    Holds both ends of every step during which the satellite can be above the mask: those where its
    central angle from the site is below acos(R/r cos e) - e, widened by its motion in half a step,
    and one sample more on either side. Samples that SGP4 refused are left out.
    """
    directions = frames.position_km / np.linalg.norm(frames.position_km, axis=1)[:, None]
    position = tracks.state[..., :3].astype(np.float32).transpose(0, 2, 1)
    along = np.matmul(directions.astype(np.float32), position)
    near = along >= _thresholds_km(tracks, frames)[:, None, :]
    wide: BoolArray = near.copy()
    wide[..., 1:] |= near[..., :-1]
    wide[..., :-1] |= near[..., 1:]
    wide &= tracks.valid[:, None, :]
    samples = tracks.valid.shape[1]
    pair, sample = np.divmod(np.flatnonzero(wide), samples)
    satellite, site = np.divmod(pair, len(directions))
    return satellite, site, sample


def _thresholds_km(tracks: Tracks, frames: SiteFrames) -> NDArray[np.float32]:
    """Least projection (N, T) of a satellite on a site's radius that can be in view of it."""
    radius = np.linalg.norm(tracks.state[..., :3], axis=2)
    spin = np.linalg.norm(tracks.state[..., 3:], axis=2) / radius
    fastest = np.where(tracks.valid, spin, 0.0).max(axis=1, keepdims=True)
    mask = np.arcsin(frames.sin_mask.min()) - _DEFLECTION
    lowest_site = np.linalg.norm(frames.position_km, axis=1).min()
    # A satellite below the lowest site has no horizon of its own: the cosine stops at 1.
    cosine = np.minimum(lowest_site / radius * np.cos(mask), 1.0)
    reach = np.arccos(cosine) - mask + _STEPS * tracks.step_s * fastest + _SLACK
    least: NDArray[np.float32] = (radius * np.cos(np.minimum(reach, np.pi))).astype(np.float32)
    return least
