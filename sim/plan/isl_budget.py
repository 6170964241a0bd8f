"""The rate of links between satellites by their range, and its curve over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np

import channel
from channel.link_curve import MOST_POINTS, bit_preserving
from learning.requests.cluster import Floats
from scenarios.link import Isl

SAMPLED_S = 1.0
"""Time between two samples of a rate; cells then keep their true bits to microseconds."""


@dataclass(frozen=True, kw_only=True)
class IslBudget:
    """Shannon's rate of equal terminals in free space."""

    frequency_hz: float
    bandwidth_hz: float
    eirp_dbw: float
    g_over_t_db_k: float

    def rate_bps(self, range_km: Floats) -> Floats:
        """Return the rates over distances."""
        signal_db = channel.carrier_to_noise_db(
            self.eirp_dbw, self.g_over_t_db_k, self.bandwidth_hz, self.frequency_hz, range_km * 1e3
        )
        return self.bandwidth_hz * channel.shannon_capacity(10.0 ** (signal_db / 10.0))


def fixed_rate_bps(isl: Isl) -> float | None:
    """Return the rate of ``link.isl`` that does not depend on the range; None under a budget."""
    rate_mbps = isl.values()["rate_mbps"]
    return None if rate_mbps is None else rate_mbps * 1e6


def budget_of(isl: Isl) -> IslBudget | None:
    """Return the budget of ``link.isl`` in SI units; None where the rate is fixed."""
    if fixed_rate_bps(isl) is not None:
        return None
    known = {key: value for key, value in isl.values().items() if value is not None}
    gain_dbi = known["gain_dbi"]
    return IslBudget(
        frequency_hz=known["frequency_ghz"] * 1e9,
        bandwidth_hz=known["bandwidth_mhz"] * 1e6,
        eirp_dbw=float(channel.eirp_dbw(known["tx_power_dbm"], gain_dbi)),
        g_over_t_db_k=float(gain_dbi - 10.0 * np.log10(known["noise_temperature_k"])),
    )


def rate_curve(
    rate_bps: Callable[[Floats], Floats], from_s: float, until_s: float
) -> channel.LinkCurve:
    """Return the curve of rates at times (T,): even points, with the true bits between them."""
    points = max(MOST_POINTS, ceil((until_s - from_s) / SAMPLED_S)) + 1
    time_s = np.linspace(from_s, until_s, points)
    return channel.LinkCurve(time_s, bit_preserving(rate_bps(time_s), np.array([points])))
