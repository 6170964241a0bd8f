"""The link budget as a table, one row an elevation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from channel import budget
from channel.arrays import Floats, positive
from channel.atmosphere import atmospheric_attenuation_db
from channel.link import Link
from channel.rate import path_loss_db, rate_bps

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

        c_over_n0_dbhz = eirp_dbw - free_space_path_loss_db - atmospheric_loss_db
                         - other_losses_db + g_over_t_db_k - 10 log10(Boltzmann's constant)
        snr_db = c_over_n0_dbhz - noise_bandwidth_dbhz

    (TR 38.821, section 6.1.3.1). They hold below the mask too, where the rate is 0. A link with
    a fixed path_gain_db shows its loss in the free-space column. Raises ValueError for values
    outside these ranges and unless exactly one of altitude and range is given.
    """
    elevation, distance_m = _rows(elevation_deg, altitude_m, slant_range_m)
    free_space_db = path_loss_db(link, distance_m)
    atmosphere_db = atmospheric_attenuation_db(link.zenith_attenuation_db, elevation)
    loss_db = free_space_db + link.other_losses_db + atmosphere_db
    density_dbhz = budget.carrier_over_n0_dbhz(link.eirp_dbw, link.g_over_t_db_k, loss_db)
    bandwidth_dbhz = budget.noise_bandwidth_dbhz(link.bandwidth_hz)
    rate = rate_bps(link, elevation, distance_m)
    columns: dict[str, ArrayLike] = {
        "elevation_deg": elevation,
        "slant_range_km": distance_m / 1000.0,
        "eirp_dbw": link.eirp_dbw,
        "free_space_path_loss_db": free_space_db,
        "atmospheric_loss_db": atmosphere_db,
        "other_losses_db": link.other_losses_db,
        "g_over_t_db_k": link.g_over_t_db_k,
        "noise_bandwidth_dbhz": bandwidth_dbhz,
        "c_over_n0_dbhz": density_dbhz,
        "snr_db": density_dbhz - bandwidth_dbhz,
        "spectral_efficiency_bps_hz": rate / link.bandwidth_hz,
        "rate_mbps": rate / 1e6,
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
