"""Ergodic capacity by table: for the many points of link curves, a hundred times quicker."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from channel.arrays import Floats
from channel.capacity import ergodic_capacity

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

LOWEST_DB, HIGHEST_DB, STEP_DB = -60.0, 60.0, 0.05


def tabulated_capacity(snr_db: Floats, k_linear: float) -> Floats:
    """Ergodic capacity (20) in bit/s/Hz at `snr_db`, any shape, for one Rician factor.

    A cubic spline of the logarithm over decibels; within 1e-11 relative of `ergodic_capacity`
    from -60 to 60 dB. Outside of that it is computed.
    """
    inside = (snr_db >= LOWEST_DB) & (snr_db <= HIGHEST_DB)
    capacity = np.empty(snr_db.shape)
    capacity[inside] = np.exp(_spline(k_linear)(snr_db[inside]))
    capacity[~inside] = ergodic_capacity(10.0 ** (snr_db[~inside] / 10.0), k_linear)
    return capacity


@lru_cache(maxsize=32)
def _spline(k_linear: float) -> "CubicSpline":
    from scipy.interpolate import CubicSpline

    nodes_db = np.linspace(LOWEST_DB, HIGHEST_DB, round((HIGHEST_DB - LOWEST_DB) / STEP_DB) + 1)
    capacity = ergodic_capacity(10.0 ** (nodes_db / 10.0), k_linear)
    return CubicSpline(nodes_db, np.log(capacity))
