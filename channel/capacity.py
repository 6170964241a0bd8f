"""Capacity in bit/s/Hz: Shannon, and its mean over Rician fading, by quadrature and by table.

The tables hold the logarithm of the share of Shannon's capacity that fading leaves. Shannon's
capacity itself is computed, so that no rounding of a table lifts a rate above it.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from channel.checks import between, checked, not_negative
from statements.arrays import Floats

LARGEST_SNR_LINEAR: Final = 1e12
CHUNK: Final = 2048  # points in a chunk: three work arrays of 4 MB

_LN2: Final = float(np.log(2.0))
_STEP: Final = 0.25
_NODES: Final = np.exp(np.arange(-60.0, 4.2, _STEP))
_WEIGHTS: Final = _STEP / _LN2 * np.exp(-_NODES)


def shannon_capacity(snr_linear: ArrayLike) -> Floats:
    """Spectral efficiency log2(1 + snr) of a channel without fading, in bit/s/Hz.

    Any shape. Raises ValueError unless the ratio is finite and at least 0.
    """
    snr = not_negative("snr_linear", snr_linear)
    return np.log1p(snr) / _LN2


def ergodic_capacity(snr_linear: ArrayLike, k_linear: ArrayLike) -> Floats:
    """Spectral efficiency E[log2(1 + snr |g|^2)] over Rician fading with E|g|^2 = 1, in bit/s/Hz.

    EMS-FL, equation (20), by the moment-generating-function identity of Hamdi (IEEE Trans.
    Commun. 58(2), 2010): C ln 2 = integral over s > 0 of (1 - M(s)) e^-s / s ds with

        M(s) = (1+K)/(1+K+s snr) exp(-K s snr/(1+K+s snr)),

    taken by the trapezoidal rule in ln s. Relative error below 1e-12 for every K and any SNR
    up to 1e12.

    snr_linear (0 to 1e12) and k_linear (0 is Rayleigh fading, infinity no fading) broadcast;
    memory does not grow with their number beyond the result. Raises ValueError for values outside.
    """
    snr = between("snr_linear", snr_linear, 0.0, LARGEST_SNR_LINEAR)
    k = checked("k_linear", k_linear, lambda x: x >= 0, "at least 0; infinity is no fading")
    snr, k = np.broadcast_arrays(snr, k)
    flat = snr.ravel()
    flat_k = k.ravel()
    found = np.empty(snr.size)
    for first in range(0, snr.size, CHUNK):
        chunk = slice(first, first + CHUNK)
        found[chunk] = _quadrature(flat[chunk], flat_k[chunk])
    return found.reshape(snr.shape)[()]


def _quadrature(snr: Floats, k: Floats) -> Floats:
    """Capacity of points (N,) from nodes (Q,): 1 - M is written as a ratio of positive terms.

    With u = s snr/(1+K) and w = K u/(1+u), 1 - M = (u + 1 - e^-w) / (1+u): no cancellation for
    small u. The share of power 1/(1+K) that is scattered keeps an infinite K finite.
    """
    scattered = 1.0 / (1.0 + k)
    spread = np.multiply.outer(snr * scattered, _NODES)
    exponent = np.multiply.outer(-snr * (1.0 - scattered), _NODES)
    below = 1.0 + spread
    exponent /= below
    np.expm1(exponent, out=exponent)
    spread -= exponent
    spread /= below
    spread *= _WEIGHTS
    # A row's sum must not depend on how many rows go with it, which a matrix product would allow.
    return np.asarray(spread.sum(axis=1))


LOWEST_DB = -60.0
HIGHEST_DB = 60.0
STEP_DB = 0.05
NEIGHBOURS = 30  # values on either side that go into a spline's rate; further ones count below eps
GRID_STEP_DB = 0.4
GRID_MARGIN = 24  # nodes beyond both ends: what the filter does at its ends has died out by then
GRID_ANGLES = 129


NEPER_PER_DB: Final = float(np.log(10.0)) / 10.0
"""Logarithm of the ratio of powers that is a decibel: an exponential is quicker than a power."""


def tabulated_capacity(snr_db: Floats, k_linear: float | Floats) -> Floats:
    """Ergodic capacity (20) in bit/s/Hz at `snr_db`; Rician factors, 0 to infinity, broadcast.

    One factor as a float: a cubic spline over decibels, made for this factor. An array of them:
    a surface over both, made once. Within 1e-11 relative of `ergodic_capacity` from -60 dB on;
    above 60 dB it is computed. -infinity dB carries nothing.
    """
    shannon = np.asarray(snr_db * NEPER_PER_DB)
    np.log1p(np.exp(shannon, out=shannon), out=shannon)
    shannon /= _LN2
    if isinstance(k_linear, np.ndarray):
        snr_db, k_linear = np.broadcast_arrays(snr_db, k_linear)
    is_weak = not np.min(snr_db, initial=LOWEST_DB) >= LOWEST_DB
    is_strong = np.max(snr_db, initial=LOWEST_DB) > HIGHEST_DB
    tabulated_db = np.clip(snr_db, LOWEST_DB, HIGHEST_DB) if is_weak or is_strong else snr_db
    log_share = _log_share(tabulated_db, k_linear)
    if is_weak:
        # The leading term for a small SNR: -snr var(|g|^2) / 2, with var = s (2 - s), s = 1/(1+K).
        scattered = 1.0 / (1.0 + k_linear)
        weak = -0.5 * scattered * (2.0 - scattered) * 10.0 ** (snr_db / 10.0)
        log_share = np.where(snr_db < LOWEST_DB, weak, log_share)
    capacity = np.asarray(np.minimum(log_share, 0.0))
    np.multiply(shannon, np.exp(capacity, out=capacity), out=capacity)
    if is_strong:
        strong = snr_db > HIGHEST_DB
        k_strong = np.broadcast_to(k_linear, snr_db.shape)[strong]
        capacity[strong] = ergodic_capacity(10.0 ** (snr_db[strong] / 10.0), k_strong)
    return capacity


def _log_share(snr_db: Floats, k_linear: float | Floats) -> Floats:
    """Logarithm of C(K) over Shannon's capacity, from the tables."""
    if not isinstance(k_linear, np.ndarray):
        pieces = _pieces(k_linear)
        beyond_db = np.asarray(snr_db - LOWEST_DB)
        # Pieces are of equal width: we need not search for the one of an SNR.
        place = np.asarray(beyond_db / STEP_DB).astype(np.intp)
        np.minimum(place, pieces.shape[1] - 1, out=place)
        beyond_db -= place * STEP_DB
        value = np.asarray(pieces[0].take(place))
        for coefficient in pieces[1:]:
            value *= beyond_db
            value += coefficient.take(place)
        return value
    from scipy.ndimage import map_coordinates

    row = (snr_db - LOWEST_DB) / GRID_STEP_DB + GRID_MARGIN
    column = np.arctan2(1.0, np.sqrt(k_linear)) * (2.0 / np.pi * (GRID_ANGLES - 1))
    at = [row.ravel(), column.ravel()]
    found = map_coordinates(_surface(), at, order=5, mode="mirror", prefilter=False)
    return np.asarray(found).reshape(snr_db.shape)


@lru_cache(maxsize=32)
def _pieces(k_linear: float) -> Floats:
    """Cubic polynomials (4, N) of a spline, highest power first.

    Of the spline through values f at all multiples of a step h, whose rates are
    3/h (z f[-1] + z^2 f[-2] + ... - z f[1] - z^2 f[2] - ...) with z = sqrt(3) - 2: the inverse of
    the filter 1, 4, 1 (Unser, Aldroubi and Eden, IEEE Trans. Signal Process. 41(2), 1993).
    """
    nodes = round((HIGHEST_DB - LOWEST_DB) / STEP_DB) + 1
    snr_db: Floats = LOWEST_DB + STEP_DB * np.arange(
        -NEIGHBOURS, nodes + NEIGHBOURS, dtype=np.float64
    )
    value = _log_share_by_quadrature(snr_db, np.array(k_linear))
    powers = 3.0 / STEP_DB * (np.sqrt(3.0) - 2.0) ** np.arange(NEIGHBOURS, 0, -1)
    rate = np.correlate(value, np.concatenate([powers, [0.0], -powers[::-1]]), "valid")
    value = value[NEIGHBOURS:-NEIGHBOURS]
    slope = np.diff(value) / STEP_DB
    bend = (rate[:-1] + rate[1:] - 2 * slope) / STEP_DB
    return np.stack([bend / STEP_DB, (slope - rate[:-1]) / STEP_DB - bend, rate[:-1], value[:-1]])


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
    return np.asarray(np.log(ergodic_capacity(snr, k_linear) / shannon_capacity(snr)))
