"""A cheap screen: which grid samples can be near a window at all."""

import numpy as np
from numpy.typing import NDArray

from orbit.arrays import IntArray
from orbit.propagation import Tracks
from orbit.sites import SiteFrames

# The normal of the ellipsoid and the geocentric radius differ by at most 0.1924 deg.
_DEFLECTION = np.radians(0.2)
# Half a step's motion, and a tenth more for its change and for single precision below.
_STEPS = 0.55
_SLACK = 0.003


def candidate_samples(tracks: Tracks, frames: SiteFrames) -> tuple[IntArray, IntArray]:
    """Site and row (satellite x T + sample) of samples, sorted in this order.

    Holds both ends of every step during which the satellite can be above the mask: those where its
    central angle from the site is below acos(R/r cos e) - e, widened by its motion in half a step,
    and one sample more on either side.
    """
    directions = frames.position_km / np.linalg.norm(frames.position_km, axis=1)[:, None]
    position = tracks.node[0].astype(np.float32)
    shape = len(directions), *tracks.slip.shape[1:]
    # Not by BLAS, whose threads cost more than they bring on three terms.
    along = np.einsum("sk,kn->sn", directions.astype(np.float32), position.reshape(3, -1))
    near = along.reshape(shape) >= _thresholds_km(tracks, frames)
    wide = near.copy()
    wide[..., 1:] |= near[..., :-1]
    wide[..., :-1] |= near[..., 1:]
    site, row = np.divmod(np.flatnonzero(wide), position[0].size)
    return site, row


def _thresholds_km(tracks: Tracks, frames: SiteFrames) -> NDArray[np.float32]:
    """Least projection (N, T) of a satellite on a site's radius that can be in view of it."""
    radius, speed = np.sqrt(np.square(tracks.node[:2]).sum(axis=1))
    fastest = (speed / radius).max(axis=1, keepdims=True)
    mask = np.arcsin(frames.sin_mask.min()) - _DEFLECTION
    lowest_site = np.linalg.norm(frames.position_km, axis=1).min()
    # A satellite below the lowest site has no horizon of its own: the cosine stops at 1.
    cosine = np.minimum(lowest_site / radius * np.cos(mask), 1.0)
    reach = np.arccos(cosine) - mask + _STEPS * fastest + _SLACK
    least: NDArray[np.float32] = (radius * np.cos(np.minimum(reach, np.pi))).astype(np.float32)
    return least
