"""The SNR that a link needs."""

from typing import Final

import numpy as np

from channel.arrays import Floats
from channel.capacity import LARGEST_SNR_LINEAR, ergodic_capacity
from channel.link import Link
from channel.modcod import modcod_thresholds_db

LEAST_USEFUL_DB: Final = -10.0
"""Where the link model of 3GPP TR 36.942, annex A, ends in both directions."""
_HIGHEST_DB = 10.0 * np.log10(LARGEST_SNR_LINEAR)
_LOWEST_DB = -300.0


def required_snr_db(link: Link, k_linear: Floats) -> Floats:
    """SNR in dB that the link needs, of the shape of `k_linear`.

    The link's own threshold where it has one. "modcod": the lowest threshold of the table.
    "fixed": where the capacity, ergodic if there is fading, is the fixed rate. Other rates follow
    the SNR and have no end: for them it is LEAST_USEFUL_DB, and nothing happens below it.
    """
    if link.fixed_rate_bps is not None and link.required_snr_db == -np.inf:
        return _snr_db_of_capacity(link.fixed_rate_bps / link.bandwidth_hz, k_linear)
    return np.full(k_linear.shape, _threshold_db(link))


def _threshold_db(link: Link) -> float:
    if link.rate == "modcod":
        return float(modcod_thresholds_db(link.rolloff)[0])
    return LEAST_USEFUL_DB if link.required_snr_db == -np.inf else link.required_snr_db


def _snr_db_of_capacity(efficiency_bps_hz: float, k_linear: Floats) -> Floats:
    """Inverse of the ergodic capacity by bisection; beyond 1e12 one bit more doubles the SNR."""
    most = ergodic_capacity(LARGEST_SNR_LINEAR, k_linear)
    further_db = 10.0 * np.log10(2.0) * np.maximum(efficiency_bps_hz - most, 0.0)
    low, high = np.full(k_linear.shape, _LOWEST_DB), np.full(k_linear.shape, _HIGHEST_DB)
    for _ in range(60):
        middle = 0.5 * (low + high)
        short = ergodic_capacity(10.0 ** (middle / 10.0), k_linear) < efficiency_bps_hz
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.asarray(high + further_db)
