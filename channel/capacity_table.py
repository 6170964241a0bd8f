"""Ergodic capacity by table: for the many points of link curves, ten to a hundred times quicker.

The tables hold the logarithm of the share of Shannon's capacity that fading leaves. Shannon's
capacity itself is computed, so that no rounding of a table lifts a rate above it.
"""

from functools import lru_cache

import numpy as np

from channel.arrays import Floats
from channel.capacity import ergodic_capacity, shannon_capacity
from channel.not_a_knot import not_a_knot

LOWEST_DB, HIGHEST_DB, STEP_DB = -60.0, 60.0, 0.05
GRID_STEP_DB = 0.4
GRID_MARGIN = 24  # nodes beyond both ends: what the filter does at its ends has died out by then
GRID_ANGLES = 129


def tabulated_capacity(snr_db: Floats, k_linear: float | Floats) -> Floats:
    """Ergodic capacity (20) in bit/s/Hz at `snr_db`; Rician factors, 0 to infinity, broadcast.

    One factor as a float: a cubic spline over decibels, made for this factor. An array of them:
    a surface over both, made once. Within 1e-11 relative of `ergodic_capacity` from -60 dB on;
    above 60 dB it is computed. -infinity dB carries nothing.
    """
    shannon = shannon_capacity(10.0 ** (snr_db / 10.0))
    if isinstance(k_linear, np.ndarray):
        snr_db, k_linear = np.broadcast_arrays(snr_db, k_linear)
    log_share = _log_share(np.clip(snr_db, LOWEST_DB, HIGHEST_DB), k_linear)
    if snr_db.size and not snr_db.min() >= LOWEST_DB:
        log_share = np.where(snr_db < LOWEST_DB, _weak_log_share(snr_db, k_linear), log_share)
    capacity = np.asarray(shannon * np.exp(np.minimum(log_share, 0.0)))
    strong = snr_db > HIGHEST_DB
    if strong.any():
        k_strong = np.broadcast_to(k_linear, snr_db.shape)[strong]
        capacity[strong] = ergodic_capacity(10.0 ** (snr_db[strong] / 10.0), k_strong)
    return capacity


def _log_share(snr_db: Floats, k_linear: float | Floats) -> Floats:
    """Logarithm of C(K) over Shannon's capacity, from the tables."""
    if not isinstance(k_linear, np.ndarray):
        return _cubic(_pieces(k_linear), snr_db)
    from scipy.ndimage import map_coordinates

    row = (snr_db - LOWEST_DB) / GRID_STEP_DB + GRID_MARGIN
    column = np.arctan2(1.0, np.sqrt(k_linear)) * (2.0 / np.pi * (GRID_ANGLES - 1))
    at = [row.ravel(), column.ravel()]
    found = map_coordinates(_surface(), at, order=5, mode="mirror", prefilter=False)
    return np.asarray(found).reshape(snr_db.shape)


def _weak_log_share(snr_db: Floats, k_linear: float | Floats) -> Floats:
    """Leading term for a small SNR: -snr var(|g|^2) / 2, with var = s (2 - s), s = 1/(1+K)."""
    scattered = 1.0 / (1.0 + k_linear)
    return -0.5 * scattered * (2.0 - scattered) * 10.0 ** (snr_db / 10.0)


def _cubic(pieces: Floats, snr_db: Floats) -> Floats:
    """Pieces (4, N) of equal width at the SNRs; knowing the piece, we need not search for it."""
    beyond_db = snr_db - LOWEST_DB
    piece = np.minimum((beyond_db / STEP_DB).astype(np.intp), pieces.shape[1] - 1)
    beyond_db = beyond_db - STEP_DB * piece
    value = pieces[0].take(piece)
    for coefficient in pieces[1:]:
        value = value * beyond_db + coefficient.take(piece)
    return np.asarray(value)


@lru_cache(maxsize=32)
def _pieces(k_linear: float) -> Floats:
    """Cubic polynomials (4, N) of a spline, highest power first."""
    nodes_db = np.linspace(LOWEST_DB, HIGHEST_DB, round((HIGHEST_DB - LOWEST_DB) / STEP_DB) + 1)
    log_share = _log_share_by_quadrature(nodes_db, np.array(k_linear))
    return not_a_knot(nodes_db, log_share)


@lru_cache(maxsize=1)
def _surface() -> Floats:
    """Coefficients (SNR, angle) of a spline of fifth order, for `map_coordinates`.

    The angle a, from 0 to a quarter turn, has K = cot^2 a: both no fading and Rayleigh fading are
    ends of the grid. The scattered share of power is sin^2 a, so the capacity is even in the angle
    about either end: mirroring, which the filter needs, is exact there.
    """
    from scipy.ndimage import spline_filter

    nodes = round((HIGHEST_DB - LOWEST_DB) / GRID_STEP_DB) + 1 + 2 * GRID_MARGIN
    snr_db = np.asarray(LOWEST_DB + GRID_STEP_DB * (np.arange(nodes) - GRID_MARGIN))
    angle = np.linspace(0.0, np.pi / 2.0, GRID_ANGLES)
    k_linear = np.append(np.inf, np.tan(angle[1:]) ** -2.0)
    log_share = _log_share_by_quadrature(snr_db[:, np.newaxis], k_linear)
    return np.asarray(spline_filter(log_share, order=5, mode="mirror"))


def _log_share_by_quadrature(snr_db: Floats, k_linear: Floats) -> Floats:
    snr = 10.0 ** (snr_db / 10.0)
    log_share: Floats = np.log(ergodic_capacity(snr, k_linear) / shannon_capacity(snr))
    return log_share
