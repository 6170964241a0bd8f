"""Bits per second and hertz of a link: outage under fading, DVB-S2 and S2X, or capacity."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, assert_never

import numpy as np
from numpy.typing import NDArray

from channel.capacity import shannon_capacity, tabulated_capacity
from channel.environment import read_tables
from channel.link import Link
from channel.settings import Modcods
from statements.arrays import Floats, Ints

if TYPE_CHECKING:
    from scipy.interpolate import BSpline


def spectral_efficiency_bps_hz(link: Link, snr_db: Floats, k_linear: float | Floats) -> Floats:
    """Spectral efficiency of the link's rate at an SNR and Rician factor that broadcast.

    Every rate but the fixed one, without duty and threshold; -infinity dB carries nothing. Of an
    outage rate the share that fails is lost.
    """
    if link.rate == "modcod":
        return modcod_efficiency_bps_hz(snr_db, link.rolloff, link.modcods)
    return link.arriving_share * _sent_bps_hz(link, snr_db, k_linear)


def _sent_bps_hz(link: Link, snr_db: Floats, k_linear: float | Floats) -> Floats:
    """What a rate that follows Shannon sends: of an outage rate all, lost or not."""
    # The link's own factor as a number has quicker tables than an array of factors. Which table a
    # point goes through must not depend on the points beside it: a link has one or the other,
    # unless its signal was made by hand.
    constant = fixed_k_factor(link)
    k = k_linear if constant is None or np.any(k_linear != constant) else float(constant)
    fades = not (isinstance(k, float) and k == np.inf)
    match link.rate:
        case "outage" if fades:
            gain = outage_gain(k, link.outage_probability)
            return shannon_capacity(10.0 ** (snr_db / 10.0) * gain)
        case "ergodic" if fades:
            return tabulated_capacity(snr_db, k)
        case "shannon" | "outage" | "ergodic":
            return shannon_capacity(10.0 ** (snr_db / 10.0))
        case "modcod" | "fixed":
            raise ValueError(f"rate {link.rate!r} does not follow Shannon")
        case _:
            assert_never(link.rate)


def fixed_k_factor(link: Link) -> float | None:
    """Rician factor of the link's fading, None where the tables of an environment give it."""
    if link.fading == "rician":
        return link.rician_k_linear if link.environment is None else None
    return 0.0 if link.fading == "rayleigh" else np.inf


TABLE_POINTS: Final = 513
LARGEST_K: Final = 1e8
"""Rician factor beyond which two terms of a series in 1 / sqrt(K) are right to 1e-12."""


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
    """Gains (N,) that Rician fading falls below with the probability.

    Beyond `LARGEST_K`, where chi-square's quantiles take long, they are
    1 + (2 sqrt(2K) z + z^2 - 1) / (2 (1+K)) with the normal deviate z of the probability.
    """
    from scipy.special import chndtrix, ndtri

    k = np.minimum(k_linear, LARGEST_K)
    most = np.minimum(k_linear, 1e300)
    gain = chndtrix(probability, 2.0, 2.0 * k) / (2.0 * (1.0 + k))
    z = ndtri(probability)
    series = 1.0 + np.sqrt(2.0 * most) / (1.0 + most) * z + (z**2 - 1.0) / (2.0 * (1.0 + most))
    return np.asarray(np.where(k_linear > LARGEST_K, series, gain))


Modes = tuple[tuple[str, float, float], ...]


def _modes(table: str) -> Modes:
    return tuple((name, bits, es_n0_db) for name, bits, es_n0_db in read_tables(table)["modes"])


MODCODS: Final[Modes] = _modes("en302307.json")
"""Name, bits per symbol and ideal Es/N0 in dB of the 28 modes (EN 302 307-1, table 13)."""
MODES: Final[Mapping[Modcods, Modes]] = {
    "dvb-s2": MODCODS,
    "dvb-s2x": (*MODCODS, *_modes("en302307-2.json")),
}
"""The same of each standard: S2X adds normal frames up to 256APSK (EN 302 307-2, table 20a)."""


def modcod_thresholds_db(rolloff: float, modcods: Modcods = "dvb-s2") -> Floats:
    """SNR in dB from which each mode that is ever the best one is used, rising.

    The noise bandwidth is the occupied one, (1 + rolloff) times the symbol rate, so that
    C/N = Es/N0 - 10 log10(1 + rolloff).
    """
    return _staircase(rolloff, modcods)[0]


def modcod_level(snr_db: Floats, rolloff: float, modcods: Modcods = "dvb-s2") -> Ints:
    """Number of thresholds that the SNR meets: 0 below the lowest, any shape."""
    thresholds_db = _staircase(rolloff, modcods)[0]
    return np.searchsorted(thresholds_db, snr_db, side="right").astype(np.int64)


def modcod_efficiency_bps_hz(snr_db: Floats, rolloff: float, modcods: Modcods = "dvb-s2") -> Floats:
    """Best efficiency of the modes whose threshold is met, in bit/s per hertz occupied; else 0."""
    return np.asarray(_staircase(rolloff, modcods)[1][modcod_level(snr_db, rolloff, modcods)])


def modcods_used(
    snr_db: Floats, rolloff: float, modcods: Modcods = "dvb-s2"
) -> tuple[NDArray[np.str_], Floats]:
    """Name of the mode used at each SNR, and by how many dB the SNR is above its threshold.

    SNRs are in dB and of any shape. Below the lowest threshold the name is NO_MODE, and the margin
    that to this threshold, negative.
    """
    level = modcod_level(snr_db, rolloff, modcods)
    thresholds_db = _staircase(rolloff, modcods)[0]
    names = np.array([NO_MODE, *(name for name, _, _ in _best_modes(modcods))])
    return names[level], np.asarray(snr_db - thresholds_db[np.maximum(level - 1, 0)])


NO_MODE: Final = "none"
"""Where the SNR is below all thresholds."""


def _best_modes(modcods: Modcods) -> Modes:
    """The modes by threshold, without those that a better one undercuts."""
    best: list[tuple[str, float, float]] = []
    for mode in sorted(MODES[modcods], key=lambda mode: (mode[2], -mode[1])):
        if not best or mode[1] > best[-1][1]:
            best.append(mode)
    return tuple(best)


@lru_cache(maxsize=32)
def _staircase(rolloff: float, modcods: Modcods) -> tuple[Floats, Floats]:
    """Thresholds (M,) and efficiencies (M + 1,) of the modes that are ever the best ones."""
    best = _best_modes(modcods)
    thresholds_db = np.array([es_n0_db for _, _, es_n0_db in best]) - 10.0 * np.log10(1.0 + rolloff)
    thresholds_db.setflags(write=False)
    return thresholds_db, np.array([0.0, *(bits for _, bits, _ in best)]) / (1 + rolloff)
