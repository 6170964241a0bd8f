"""Fading that is met but for a given share of the time."""

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from channel.arrays import Floats

if TYPE_CHECKING:
    from scipy.interpolate import BSpline

TABLE_POINTS: Final = 513
REACH: Final = 9.0
"""Standard deviations of one component beyond which a tail is below every rounding."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def outage_gain(k_linear: float | Floats, outage_probability: float) -> Floats:
    """Power gain |g|^2 that Rician fading with E|g|^2 = 1 falls below with this probability.

    A rate of B log2(1 + snr gain) fails with it: 2 (1+K) |g|^2 is noncentral chi-square with 2
    degrees of freedom and noncentrality 2K. k_linear, at least 0 and infinity included, is one
    number, or an array, which goes through a table (1e-10 relative for probabilities of 0.01 and
    more, 1e-7 at 1e-9).
    """
    if not isinstance(k_linear, np.ndarray):
        return _one_gain(k_linear, outage_probability)
    angle = np.arctan2(1.0, np.sqrt(k_linear))
    return np.asarray(np.exp(_table(outage_probability)(angle)))


@lru_cache(maxsize=64)
def _one_gain(k_linear: float, probability: float) -> Floats:
    return np.asarray(_quantile(np.array([k_linear]), probability)[0])


@lru_cache(maxsize=8)
def _table(probability: float) -> "BSpline":
    """Logarithm of the gain over the angle a with K = cot^2 a, which has both limits as its ends.

    The gain is smooth in the angle down to 0, where it is 1 + sqrt(2) a times a normal deviate.
    """
    from scipy.interpolate import make_interp_spline

    angle = np.linspace(0.0, np.pi / 2.0, TABLE_POINTS)
    gain = _quantile(np.append(np.inf, np.tan(angle[1:]) ** -2.0), probability)
    return make_interp_spline(angle, np.log(gain), k=5)


def _quantile(k_linear: Floats, probability: float) -> Floats:
    """Gains (N,): the amplitude b with F(b) = p by bisection, then Newton's method."""
    gain = np.ones(k_linear.shape)
    scattered = np.isfinite(k_linear)
    k = k_linear[scattered]
    direct = np.sqrt(2.0 * k)
    low, high = np.maximum(direct - REACH, 0.0), direct + REACH
    for _ in range(30):
        middle = 0.5 * (low + high)
        below = _distribution(middle, direct) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    amplitude = 0.5 * (low + high)
    for _ in range(3):
        excess = _distribution(amplitude, direct) - probability
        amplitude -= excess / _density(amplitude, direct)
    gain[scattered] = amplitude**2 / (2.0 * (1.0 + k))
    return gain


def _density(amplitude: Floats, direct: Floats) -> Floats:
    """Rice's density, both components of unit variance: b exp(-(b - a)^2 / 2) I0(a b) e^(-a b)."""
    from scipy.special import i0e

    bell = np.exp(-0.5 * (amplitude - direct) ** 2)
    density: Floats = amplitude * bell * i0e(direct * amplitude)
    return density


def _distribution(amplitude: Floats, direct: Floats) -> Floats:
    """Probability of an amplitude below b (N,), by 64 nodes of Gauss and Legendre."""
    low = np.maximum(np.minimum(amplitude, direct) - REACH, 0.0)
    half = 0.5 * (amplitude - low)
    at = low[:, np.newaxis] + half[:, np.newaxis] * (_NODES + 1.0)
    below: Floats = half * (_density(at, direct[:, np.newaxis]) * _WEIGHTS).sum(axis=1)
    return below
