"""The link budget as a table, one row per elevation, and the SNR that a rate requires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike

from channel import budget
from channel.capacity import LARGEST_SNR_LINEAR, ergodic_capacity
from channel.checks import above_horizon, positive
from channel.efficiency import modcod_thresholds_db
from channel.environment import CLEAR_PATH, OUT_OF_SIGHT
from channel.link import Link
from channel.signal import (
    g_over_t_under_rain_db_k,
    path_losses_db,
    received_signal,
    signal_rate_bps,
    total_loss_db,
)
from statements.arrays import Floats

if TYPE_CHECKING:
    import pandas


def link_budget_terms(
    link: Link,
    elevation_deg: ArrayLike,
    altitude_m: ArrayLike | None = None,
    slant_range_m: ArrayLike | None = None,
) -> dict[str, Floats]:
    """Every term of the budget of `link`, as arrays of one length keyed by column name.

    elevation_deg is a scalar or (N,), above 0 and at most 90; either altitude_m (spherical Earth)
    or slant_range_m is given, a scalar or (N,). The sums are

        c_over_n0_dbhz = eirp_dbw - free_space_path_loss_db - atmospheric_loss_db - rain_loss_db
                         - scintillation_loss_db - clutter_loss_db - shadowing_margin_db
                         - other_losses_db + g_over_t_db_k - 10 log10(Boltzmann's constant)
        snr_db = c_over_n0_dbhz - noise_bandwidth_dbhz
        margin_db = snr_db - required_snr_db

    (TR 38.821, section 6.1.3.1). rain_loss_db is there with an attenuation table only, and
    g_over_t_db_k is that under its rain (`Link.system_temperature_k`). The sums hold below the mask
    too, where the rate is 0. A link with a fixed path_gain_db shows its loss in the free-space
    column. For required_snr_db see `channel.budget_table`. Rates and efficiencies are means over
    the link's duty.

    With an environment the budget is that of a device in sight, with median shadowing and median K.
    Further columns then say what that leaves out: line_of_sight_probability, nlos_clutter_loss_db,
    shadowing_deviation_db (in sight) and rician_k_db (its median); nlos_rate_mbps, the rate out of
    sight, and mean_rate_mbps, that of both by their probability, with median shadowing each.

    Raises ValueError for values outside these ranges and unless exactly one of altitude and range
    is given.
    """
    elevation, distance_m = _rows(elevation_deg, altitude_m, slant_range_m)
    above_horizon(elevation)
    losses_db = path_losses_db(link, elevation, distance_m, CLEAR_PATH)
    g_over_t_db_k = g_over_t_under_rain_db_k(link, elevation)
    density_dbhz = budget.carrier_over_n0_dbhz(
        link.eirp_dbw, g_over_t_db_k, total_loss_db(losses_db)
    )
    bandwidth_dbhz = budget.noise_bandwidth_dbhz(link.bandwidth_hz)
    signal = received_signal(link, elevation, distance_m)
    required_db = required_snr_db(link, signal.rician_k_linear)
    rate = signal_rate_bps(link, signal)
    columns: dict[str, ArrayLike] = {
        "elevation_deg": elevation,
        "slant_range_km": distance_m / 1000.0,
        "eirp_dbw": link.eirp_dbw,
        **losses_db,
        "g_over_t_db_k": g_over_t_db_k,
        "noise_bandwidth_dbhz": bandwidth_dbhz,
        "c_over_n0_dbhz": density_dbhz,
        "snr_db": density_dbhz - bandwidth_dbhz,
        "required_snr_db": required_db,
        "margin_db": density_dbhz - bandwidth_dbhz - required_db,
        "spectral_efficiency_bps_hz": rate / link.bandwidth_hz,
        "rate_mbps": rate / 1e6,
    }
    if place := link.environment:  # what it leaves to chance at each elevation
        in_sight = place.line_of_sight_probability(elevation)
        hidden = signal_rate_bps(link, received_signal(link, elevation, distance_m, OUT_OF_SIGHT))
        columns |= {
            "nlos_rate_mbps": hidden / 1e6,
            "mean_rate_mbps": (in_sight * rate + (1.0 - in_sight) * hidden) / 1e6,
            "line_of_sight_probability": in_sight,
            "nlos_clutter_loss_db": place.clutter_loss_db(elevation),
            "shadowing_deviation_db": place.shadowing_deviation_db(elevation, line_of_sight=True),
            "rician_k_db": place.rician_k_db(elevation)[0],
        }
    return {name: np.array(np.broadcast_to(x, elevation.shape)) for name, x in columns.items()}


def link_budget(
    link: Link,
    elevation_deg: ArrayLike,
    altitude_m: ArrayLike | None = None,
    slant_range_m: ArrayLike | None = None,
) -> pandas.DataFrame:
    """The budget of `link` as a DataFrame; inputs, columns and errors as `link_budget_terms`."""
    import pandas

    return pandas.DataFrame(link_budget_terms(link, elevation_deg, altitude_m, slant_range_m))


def _rows(
    elevation_deg: ArrayLike, altitude_m: ArrayLike | None, slant_range_m: ArrayLike | None
) -> tuple[Floats, Floats]:
    if altitude_m is not None and slant_range_m is None:
        distance_m = budget.slant_range_m(altitude_m, elevation_deg)
    elif altitude_m is None and slant_range_m is not None:
        distance_m = positive("slant_range_m", slant_range_m)
    else:
        given = "neither" if altitude_m is None else "both"
        raise ValueError(f"{given} of altitude_m and slant_range_m given; give exactly one")
    elevation, distance_m = np.broadcast_arrays(
        np.atleast_1d(np.asarray(elevation_deg, dtype=np.float64)), distance_m
    )
    if elevation.ndim > 1:
        raise ValueError(f"elevation_deg has shape {elevation.shape}; give a scalar or (N,)")
    return elevation, distance_m


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
    threshold_db = link.required_snr_db
    if link.rate == "modcod":
        threshold_db = float(modcod_thresholds_db(link.rolloff, link.modcods)[0])
    elif threshold_db == -np.inf:
        if link.fixed_rate_bps is not None:
            return _snr_db_of_capacity(link.fixed_rate_bps / link.bandwidth_hz, k_linear)
        threshold_db = LEAST_USEFUL_DB
    return np.full(k_linear.shape, threshold_db)


def _snr_db_of_capacity(efficiency_bps_hz: float, k_linear: Floats) -> Floats:
    """Inverse of the ergodic capacity by bisection; beyond 1e12 one bit more doubles the SNR."""
    most = ergodic_capacity(LARGEST_SNR_LINEAR, k_linear)
    further_db = 10.0 * np.log10(2.0) * np.maximum(efficiency_bps_hz - most, 0.0)
    low = np.full(k_linear.shape, _LOWEST_DB)
    high = np.full(k_linear.shape, _HIGHEST_DB)
    for _ in range(60):
        middle = 0.5 * (low + high)
        short = ergodic_capacity(10.0 ** (middle / 10.0), k_linear) < efficiency_bps_hz
        low = np.where(short, middle, low)
        high = np.where(short, high, middle)
    return np.asarray(high + further_db)
