"""Losses, SNR and rate of a link at an elevation: terms that signals and tables sum up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike

from channel import budget
from channel.atmosphere import COSECANT_FLOOR_DEG, atmospheric_attenuation_db
from channel.budget import unchecked_density_dbhz, unchecked_path_loss_db
from channel.capacity import LARGEST_SNR_LINEAR, ergodic_capacity
from channel.checks import above_horizon, between, checked, positive
from channel.efficiency import (
    fixed_k_factor,
    modcod_level,
    modcod_thresholds_db,
    spectral_efficiency_bps_hz,
)
from channel.environment import (
    CLEAR_PATH,
    OUT_OF_SIGHT,
    Path,
    excess_loss_db,
    line_of_sight,
    rician_k_linear,
)
from channel.link import Link
from statements.arrays import Floats, Ints, Mask

if TYPE_CHECKING:
    import pandas


ENVIRONMENT_BENDS_DEG: Final = tuple(range(10, 90, 10))
"""Where the tables of TR 38.811 go from one straight line to the next."""


PATH_FIELDS: Final = (
    "frequency_hz",
    "path_gain_db",
    "attenuation",
    "zenith_attenuation_db",
    "atmosphere",
    "scintillation_loss_db",
    "shadowing_margin_db",
    "other_losses_db",
    "environment",
    "min_elevation_deg",
)
"""Fields of a link that say what is lost between its antennas, and from which elevation on."""


@dataclass(frozen=True, eq=False)
class Signal:
    """Mean SNR in the link's bandwidth (dB) and Rician factor (ratio of powers), of one shape.

    snr_db is -infinity where there is no link. rician_k_linear is 0 for Rayleigh fading and
    infinite for none. Raises ValueError for other values and for two shapes.
    """

    snr_db: Floats
    rician_k_linear: Floats

    def __post_init__(self) -> None:
        snr = checked("snr_db", self.snr_db, lambda x: x < np.inf, "a number or -infinity")
        k = checked("rician_k_linear", self.rician_k_linear, lambda x: x >= 0, "at least 0")
        if snr.shape != k.shape:
            raise ValueError(
                f"rician_k_linear has shape {k.shape}; allowed is that of snr_db, {snr.shape}"
            )


def received_signal(
    link: Link, elevation_deg: ArrayLike, slant_range_m: ArrayLike, path: Path = CLEAR_PATH
) -> Signal:
    """SNR and Rician factor at the receiver; the SNR is -infinity below the mask.

    elevation_deg (-90 to 90) and slant_range_m (> 0) broadcast, with an environment also with the
    fields of `path`; without one the path plays no part. The sum is that of TR 38.821, section
    6.1.3.1; the gate of EMS-FL equation (16) is elevation >= link.min_elevation_deg, and never at
    or below the horizon. The gate is exact: pass the edges of a contact at the mask itself, not
    a rounding error below it. Raises ValueError for values outside these ranges.
    """
    elevation, distance_m = _checked_place(elevation_deg, slant_range_m)
    above = above_mask(link, elevation)
    sky = _in_the_sky(elevation, above)
    loss_db = unchecked_loss_db(link, sky, distance_m, path)
    snr, k = signal_after_loss(link, sky, loss_db, path)
    return Signal(np.where(above, snr, -np.inf)[()], np.broadcast_to(k, snr.shape)[()])


def unchecked_loss_db(
    link: Link, elevation_deg: Floats, slant_range_m: Floats, path: Path
) -> Floats:
    """Everything between the two antennas in dB, at places that are known to be above the mask.

    It is the same for links that differ in no field of `PATH_FIELDS`.
    """
    return total_loss_db(path_losses_db(link, elevation_deg, slant_range_m, path))


def signal_after_loss(
    link: Link, elevation_deg: Floats, loss_db: Floats, path: Path
) -> tuple[Floats, float | Floats]:
    """SNR and Rician factor behind `unchecked_loss_db`, at the same places.

    The factor is one number where it is the link's own.
    """
    g_over_t_db_k = g_over_t_under_rain_db_k(link, elevation_deg)
    snr = unchecked_density_dbhz(link.eirp_dbw, g_over_t_db_k, loss_db)
    snr -= 10.0 * np.log10(link.bandwidth_hz)
    factor = fixed_k_factor(link)
    if factor is not None:
        return snr, factor
    assert link.environment is not None  # whose tables give it
    return snr, rician_k_linear(link.environment, elevation_deg, path)


def g_over_t_under_rain_db_k(link: Link, elevation_deg: Floats) -> float | Floats:
    """The receiver's G/T in dB/K: less than under a clear sky where rain warms what it sees.

    It falls by 10 log10(1 + dT / T) for rain that is dT warmer than the clear sky (see
    `channel.SlantAttenuation.rain_noise_k`) and a receiver of T = link.system_temperature_k. One
    number where no rain does.
    """
    if link.attenuation is None or link.system_temperature_k is None:
        return link.g_over_t_db_k
    warmer = link.attenuation.rain_noise_k(elevation_deg) / link.system_temperature_k
    return link.g_over_t_db_k - np.asarray(10.0 * np.log10(1.0 + warmer))


def signal_rate_bps(link: Link, signal: Signal, bandwidth_hz: ArrayLike | None = None) -> Floats:
    """Rate in bit/s that a signal carries, averaged over the link's duty; 0 where there is no link.

    In a bandwidth b other than the link's B (> 0, it broadcasts with the signal) the same power
    meets less noise: the SNR rises by B/b. A fixed rate takes the share b/B. Below
    link.required_snr_db, in that bandwidth, the rate is 0. Raises ValueError for other bandwidths.
    """
    snr = np.asarray(signal.snr_db)
    k = np.asarray(signal.rician_k_linear)
    width_hz = np.asarray(link.bandwidth_hz)
    if bandwidth_hz is not None:
        width_hz = positive("bandwidth_hz", bandwidth_hz)
        snr = snr + 10.0 * np.log10(link.bandwidth_hz / width_hz)
    return unchecked_rate_bps(link, snr, k, width_hz)[()]


def unchecked_rate_bps(
    link: Link, snr_db: Floats, k_linear: float | Floats, width_hz: Floats
) -> Floats:
    """Rate in a bandwidth at an SNR and a Rician factor that are known to be right."""
    if link.fixed_rate_bps is not None:
        share = width_hz / link.bandwidth_hz
        rate = np.where(snr_db > -np.inf, link.fixed_rate_bps * share, 0.0)
    else:
        rate = width_hz * spectral_efficiency_bps_hz(link, snr_db, k_linear)
    if link.required_snr_db > -np.inf:
        rate = np.where(snr_db >= link.required_snr_db, rate, 0.0)
    return np.asarray(link.duty * rate)


def rate_state(
    link: Link, elevation_deg: ArrayLike, slant_range_m: ArrayLike, path: Path = CLEAR_PATH
) -> Ints:
    """Whole numbers that are constant wherever the rate is smooth; 0 where the rate is 0.

    They tell apart the ModCods, a receiver that locks from one that does not and, for rates that
    follow the SNR, a device in sight from one out of sight and the elevations between which no
    table bends (see `bends_deg`). Arguments as `received_signal`.
    """
    signal = received_signal(link, elevation_deg, slant_range_m, path)
    snr = np.asarray(signal.snr_db)
    if link.rate == "modcod":
        return modcod_level(snr, link.rolloff, link.modcods)
    locked = (snr > -np.inf) & (snr >= link.required_snr_db)
    if not link.law.follows_shannon:
        return locked.astype(np.int64)
    elevation, _ = _checked_place(elevation_deg, slant_range_m)
    sky = _in_the_sky(elevation, above_mask(link, elevation))
    part = np.searchsorted(bends_deg(link), sky, side="right")
    if link.environment is None:
        return (1 + part) * locked
    return (1 + 2 * part + line_of_sight(link.environment, sky, path)) * locked


def bends_deg(link: Link) -> Floats:
    """Elevations, rising, at which the SNR of a link with an unchanged path has a kink.

    Those of its environment's tables, and where the laws of the atmosphere end. (The rows of a
    table of attenuation lie too close for their kinks to matter.)
    """
    bends = [] if link.environment is None else [float(x) for x in ENVIRONMENT_BENDS_DEG]
    if link.attenuation is None and link.zenith_attenuation_db > 0.0:
        bends.append(COSECANT_FLOOR_DEG)
    return np.sort(np.array(bends, dtype=np.float64))


def has_zenith_kink(link: Link) -> bool:
    """Whether the SNR nearly has a kink where a satellite passes close to the zenith.

    There the elevation itself rises and falls at one speed, and so does what is a table over it or
    goes with its inverse. The sine of the elevation is smooth.
    """
    if link.environment is not None or link.attenuation is not None:
        return True
    return link.atmosphere == "inverse_elevation" and link.zenith_attenuation_db > 0.0


def above_mask(link: Link, elevation_deg: Floats) -> Mask:
    """Where there is a link: at or above the mask, and above the horizon."""
    return np.asarray((elevation_deg >= link.min_elevation_deg) & (elevation_deg > 0.0))


def _checked_place(elevation_deg: ArrayLike, slant_range_m: ArrayLike) -> tuple[Floats, Floats]:
    elevation = between("elevation_deg", elevation_deg, -90.0, 90.0)
    elevation, distance_m = np.broadcast_arrays(elevation, positive("slant_range_m", slant_range_m))
    return elevation, distance_m


def _in_the_sky(elevation_deg: Floats, above: Mask) -> Floats:
    """Elevations with which the losses are defined also where there is no link."""
    return elevation_deg if above.all() else np.where(above, elevation_deg, 90.0)


def path_losses_db(
    link: Link, elevation_deg: Floats, slant_range_m: Floats, path: Path
) -> dict[str, Floats]:
    """Every loss between the two antennas in dB, by its column of the budget and in its order.

    elevation_deg (above 0) and slant_range_m are known to be right, and broadcast with the fields
    of the path; a loss that is one number for all of them stays a scalar. With an environment the
    shadowing is that of the path, and takes in the clutter that stands before a device out of
    sight. A link's fixed large-scale fading takes the place of free space.
    """
    terms: dict[str, ArrayLike] = {}
    if link.path_gain_db is not None:
        terms["free_space_path_loss_db"] = -link.path_gain_db
    else:
        loss_db = unchecked_path_loss_db(slant_range_m, link.frequency_hz)
        terms["free_space_path_loss_db"] = loss_db
    if link.attenuation is not None:
        terms["atmospheric_loss_db"] = link.attenuation.gas_loss_db(elevation_deg)
        terms["rain_loss_db"] = link.attenuation.rain_loss_db(elevation_deg)
    else:
        zenith_db = link.zenith_attenuation_db
        law = link.atmosphere
        terms["atmospheric_loss_db"] = atmospheric_attenuation_db(zenith_db, elevation_deg, law)
    scintillation_db: ArrayLike | None = link.scintillation_loss_db
    shadowing_db: ArrayLike = link.shadowing_margin_db
    if link.environment is not None:
        shadowing_db = excess_loss_db(link.environment, elevation_deg, path)
        if scintillation_db is None:
            table = link.environment.scintillation_loss_db
            scintillation_db = table(elevation_deg, link.frequency_hz)
    terms["scintillation_loss_db"] = 0.0 if scintillation_db is None else scintillation_db
    terms["shadowing_margin_db"] = shadowing_db
    terms["other_losses_db"] = link.other_losses_db
    return {name: np.asarray(loss_db) for name, loss_db in terms.items()}


def total_loss_db(terms: dict[str, Floats]) -> Floats:
    """Sum of the terms, in an order that does not depend on their shapes: nor do its bits."""
    distance_db, *between_db, other_db = terms.values()
    return sum(between_db, start=distance_db + other_db)


def snr_db(
    link: Link, elevation_deg: ArrayLike, slant_range_m: ArrayLike, path: Path = CLEAR_PATH
) -> Floats:
    """Signal-to-noise ratio in dB without small-scale fading, -infinity below the mask.

    Arguments, gate and errors are those of `received_signal`.
    """
    return received_signal(link, elevation_deg, slant_range_m, path).snr_db


def rate_bps(
    link: Link, elevation_deg: ArrayLike, slant_range_m: ArrayLike, path: Path = CLEAR_PATH
) -> Floats:
    """Rate in bit/s in the link's bandwidth, by link.rate; 0 below the mask.

    Arguments, gate and errors are those of `received_signal`.
    """
    return signal_rate_bps(link, received_signal(link, elevation_deg, slant_range_m, path))


# The link budget as a table, one row per elevation, and the SNR that a rate requires.


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
                         - scintillation_loss_db - shadowing_margin_db
                         - other_losses_db + g_over_t_db_k - 10 log10(Boltzmann's constant)
        snr_db = c_over_n0_dbhz - noise_bandwidth_dbhz
        margin_db = snr_db - required_snr_db

    (TR 38.821, section 6.1.3.1). rain_loss_db is there with an attenuation table only, and
    g_over_t_db_k is that under its rain (`Link.system_temperature_k`). The sums hold below the mask
    too, where the rate is 0. A link with a fixed path_gain_db shows its loss in the free-space
    column. For required_snr_db see the function of that name. Rates and efficiencies are means over
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
