"""Signal-to-noise ratio and rate of a link at given elevations and ranges."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from channel.arrays import Floats, between, positive
from channel.atmosphere import atmospheric_attenuation_db
from channel.budget import carrier_over_n0_dbhz, free_space_path_loss_db, noise_bandwidth_dbhz
from channel.capacity import shannon_capacity
from channel.capacity_table import tabulated_capacity
from channel.link import Link


def snr_db(link: Link, elevation_deg: ArrayLike, slant_range_m: ArrayLike) -> Floats:
    """Signal-to-noise ratio in dB without small-scale fading, -infinity below the mask.

    elevation_deg (-90 to 90) and slant_range_m (> 0) broadcast. The sum of TR 38.821, section
    6.1.3.1; the gate of EMS-FL equation (16) is elevation >= link.min_elevation_deg, and never at
    or below the horizon. The gate is exact: pass the edges of a contact at the mask itself, not
    a rounding error below it. Raises ValueError for values outside these ranges.
    """
    elevation, distance_m = np.broadcast_arrays(
        between("elevation_deg", elevation_deg, -90.0, 90.0),
        positive("slant_range_m", slant_range_m),
    )
    above = above_mask(link, elevation)
    loss_db = path_loss_db(link, distance_m[above]) + link.other_losses_db
    loss_db += atmospheric_attenuation_db(link.zenith_attenuation_db, elevation[above])
    density_dbhz = carrier_over_n0_dbhz(link.eirp_dbw, link.g_over_t_db_k, loss_db)
    snr = np.full(elevation.shape, -np.inf)
    snr[above] = density_dbhz - noise_bandwidth_dbhz(link.bandwidth_hz)
    return snr[()]


def rate_bps(link: Link, elevation_deg: ArrayLike, slant_range_m: ArrayLike) -> Floats:
    """Rate in bit/s: ergodic (EMS-FL equation (20)), Shannon (21) or fixed; 0 below the mask.

    Shapes, gate and errors are those of `snr_db`.
    """
    snr = np.asarray(snr_db(link, elevation_deg, slant_range_m))
    above = snr > -np.inf
    rate = np.zeros(snr.shape)
    if link.fixed_rate_bps is not None:
        rate[above] = link.fixed_rate_bps
    else:
        rate[above] = link.bandwidth_hz * _efficiency_bps_hz(link, snr[above])
    return rate[()]


def above_mask(link: Link, elevation_deg: Floats) -> NDArray[np.bool_]:
    """Where there is a link: at or above the mask, and above the horizon."""
    return np.asarray((elevation_deg >= link.min_elevation_deg) & (elevation_deg > 0.0))


def path_loss_db(link: Link, slant_range_m: ArrayLike) -> Floats:
    """Free-space loss over the range, or the link's fixed large-scale fading in its place."""
    if link.path_gain_db is not None:
        return np.full(np.shape(slant_range_m), -link.path_gain_db)
    return free_space_path_loss_db(slant_range_m, link.frequency_hz)


def _efficiency_bps_hz(link: Link, snr_db: Floats) -> Floats:
    if link.rate == "shannon" or link.fading == "none":
        return shannon_capacity(10.0 ** (snr_db / 10.0))
    k_linear = 0.0 if link.fading == "rayleigh" else link.rician_k_linear
    return tabulated_capacity(snr_db, k_linear)
