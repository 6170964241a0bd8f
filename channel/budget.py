"""Closed forms of a link budget: slant range, free-space loss, EIRP, G/T, beams, Doppler."""

from math import log10
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from channel.checks import between, checked, finite, not_negative, positive
from channel.settings import APERTURE_EFFICIENCY
from statements.arrays import Floats


def slant_range_m(
    altitude_m: ArrayLike, elevation_deg: ArrayLike, earth_radius_m: ArrayLike | None = None
) -> Floats:
    """Distance from a ground site to a satellite over a spherical Earth, of radius 6371 km if none.

    3GPP TR 38.811, equation (6.6-3): d = sqrt(R^2 sin^2 e + h^2 + 2 R h) - R sin e, evaluated as
    (h^2 + 2 R h) / (sqrt(R^2 sin^2 e + h^2 + 2 R h) + R sin e), which does not cancel.

    altitude_m is the height above the sphere (> 0), elevation_deg lies in 0 to 90, earth_radius_m
    is above 0: with that of a site and the height above it, the range is that over the site. Inputs
    broadcast. Raises ValueError for values outside these ranges.
    """
    height_m = positive("altitude_m", altitude_m)
    given_m = EARTH_RADIUS_M if earth_radius_m is None else earth_radius_m
    earth_m = positive("earth_radius_m", given_m)
    rise_m = earth_m * np.sin(np.radians(between("elevation_deg", elevation_deg, 0.0, 90.0)))
    tangent_squared_m2 = height_m * (height_m + 2.0 * earth_m)
    return tangent_squared_m2 / (np.sqrt(rise_m**2 + tangent_squared_m2) + rise_m)


def free_space_path_loss_db(distance_m: ArrayLike, frequency_hz: ArrayLike) -> Floats:
    """Free-space path loss 20 log10(4 pi d f / c), ITU-R P.525 equation (3).

    Raises ValueError unless both are finite and positive.
    """
    distance = positive("distance_m", distance_m)
    return unchecked_path_loss_db(distance, positive("frequency_hz", frequency_hz))


def unchecked_path_loss_db(distance_m: Floats, frequency_hz: float | Floats) -> Floats:
    """The same for numbers that are known to be right."""
    ratio = distance_m * (4.0 * np.pi / SPEED_OF_LIGHT_M_S * frequency_hz)
    return 20.0 * np.log10(ratio)


def eirp_dbw(tx_power_dbm: ArrayLike, tx_gain_dbi: ArrayLike) -> Floats:
    """Equivalent isotropically radiated power: transmit power (dBm) plus gain (dBi), in dBW."""
    return finite("tx_power_dbm", tx_power_dbm) + finite("tx_gain_dbi", tx_gain_dbi) - 30.0


def g_over_t_db_k(
    rx_gain_dbi: ArrayLike, noise_figure_db: ArrayLike, antenna_temperature_k: ArrayLike
) -> Floats:
    """Receiver figure of merit G/T in dB/K: gain over the system noise temperature.

    Equal to the form of TR 38.821, section 6.1.3.1. Errors are those of `system_temperature_k`.
    """
    gain = finite("rx_gain_dbi", rx_gain_dbi)
    return gain - 10.0 * np.log10(system_temperature_k(noise_figure_db, antenna_temperature_k))


def system_temperature_k(noise_figure_db: ArrayLike, antenna_temperature_k: ArrayLike) -> Floats:
    """System noise temperature T_a + T0 (F - 1) in K, referred to the antenna port.

    T0 is 290 K, F the noise figure as a ratio. Raises ValueError for a noise figure below 0 dB, a
    negative antenna temperature or a noiseless receiver (0 K).
    """
    noise_factor = 10.0 ** (not_negative("noise_figure_db", noise_figure_db) / 10.0)
    antenna = not_negative("antenna_temperature_k", antenna_temperature_k)
    system_k = antenna + REFERENCE_TEMPERATURE_K * (noise_factor - 1.0)
    allowed = "more than 0: give an antenna temperature or a noise figure"
    return checked("system temperature in K", system_k, lambda x: x > 0, allowed)


def noise_bandwidth_dbhz(bandwidth_hz: ArrayLike) -> Floats:
    """Bandwidth in dBHz, 10 log10 B. Raises ValueError unless finite and positive."""
    return 10.0 * np.log10(positive("bandwidth_hz", bandwidth_hz))


def carrier_over_n0_dbhz(
    eirp_dbw: ArrayLike, g_over_t_db_k: ArrayLike, loss_db: ArrayLike
) -> Floats:
    """Carrier power over noise density, EIRP + G/T - L - 10 log10 k, in dBHz.

    loss_db is everything between the two antennas. Raises ValueError unless all are finite.
    """
    return unchecked_density_dbhz(
        finite("eirp_dbw", eirp_dbw),
        finite("g_over_t_db_k", g_over_t_db_k),
        finite("loss_db", loss_db),
    )


def unchecked_density_dbhz(
    eirp_dbw: float | Floats, g_over_t_db_k: float | Floats, loss_db: Floats
) -> Floats:
    """The same for numbers that are known to be right."""
    density_dbhz = eirp_dbw + g_over_t_db_k - loss_db
    density_dbhz -= BOLTZMANN_DBW_K_HZ
    return density_dbhz


def carrier_to_noise_db(
    eirp_dbw: ArrayLike,
    g_over_t_db_k: ArrayLike,
    bandwidth_hz: ArrayLike,
    frequency_hz: ArrayLike,
    slant_range_m: ArrayLike,
    losses_db: ArrayLike = 0.0,
) -> Floats:
    """Carrier-to-noise ratio over free space, in dB.

    3GPP TR 38.821, section 6.1.3.1: CNR = EIRP + G/T - k - FSPL - losses - B, all in dB.
    losses_db is the sum of atmospheric, shadowing, scintillation and other losses.
    Raises ValueError for numbers that are not finite and for non-positive range or frequency.
    """
    loss_db = free_space_path_loss_db(slant_range_m, frequency_hz) + finite("losses_db", losses_db)
    density_dbhz = carrier_over_n0_dbhz(eirp_dbw, g_over_t_db_k, loss_db)
    return density_dbhz - noise_bandwidth_dbhz(bandwidth_hz)


SPEED_OF_LIGHT_M_S: Final = 299_792_458.0
BOLTZMANN_J_K: Final = 1.380649e-23
BOLTZMANN_DBW_K_HZ: Final = 10.0 * log10(BOLTZMANN_J_K)
EARTH_RADIUS_M: Final = 6_371_000.0
"""Radius of the spherical Earth of 3GPP TR 38.811, section 6.6.2."""
REFERENCE_TEMPERATURE_K: Final = 290.0
"""Temperature T0 to which a noise figure refers (IEEE definition of noise figure)."""


BEAMWIDTH_CONSTANT_DEG: Final = 70.0
"""Half-power beamwidth of a dish in degrees, times its diameter in wavelengths."""


def beamwidth_deg(gain_dbi: ArrayLike) -> Floats:
    """Half-power beamwidth of a dish of this gain, in degrees; the full angle, not half of it.

    70 wavelength / D with the diameter D of G = 0.6 (pi D / wavelength)^2, so 70 pi sqrt(0.6 / G).
    The law is for narrow beams. Raises ValueError for a gain whose beam would be wider than 180
    degrees (less than -0.5 dBi), and for gains that are not finite.
    """
    gain = 10.0 ** (finite("gain_dbi", gain_dbi) / 10.0)
    width = BEAMWIDTH_CONSTANT_DEG * np.pi * np.sqrt(APERTURE_EFFICIENCY / gain)
    checked("gain_dbi", gain_dbi, lambda _: width <= 180.0, "a gain of a beam of at most 180 deg")
    return width[()]


def aperture_gain_dbi(
    diameter_m: ArrayLike, frequency_hz: ArrayLike, efficiency: ArrayLike = APERTURE_EFFICIENCY
) -> Floats:
    """Gain of a dish by its aperture, 10 log10(efficiency (pi D f / c)^2), in dBi.

    Inputs broadcast. Raises ValueError for a diameter or frequency that is not finite and positive,
    and for an efficiency that is not above 0 and at most 1.
    """
    allowed = "more than 0 and at most 1"
    share = checked("efficiency", efficiency, lambda x: (x > 0.0) & (x <= 1.0), allowed)
    ratio = positive("diameter_m", diameter_m) * positive("frequency_hz", frequency_hz)
    return 20.0 * np.log10(np.pi / SPEED_OF_LIGHT_M_S * ratio) + 10.0 * np.log10(share)


def footprint_km(beamwidth_deg: ArrayLike, slant_range_m: ArrayLike) -> Floats:
    """Diameter 2 d tan(beamwidth / 2) of the spot across the line of sight, in kilometres.

    On ground that is seen at elevation e the spot is longer by 1 / sin(e) along the line of sight.
    Inputs broadcast. Raises ValueError for a beamwidth outside 0 to 180 degrees (both excluded)
    and for a range that is not finite and positive.
    """
    allowed = "more than 0 and less than 180 degrees"
    width = checked("beamwidth_deg", beamwidth_deg, lambda x: (x > 0.0) & (x < 180.0), allowed)
    return 2e-3 * positive("slant_range_m", slant_range_m) * np.tan(np.radians(width / 2.0))


def doppler_hz(range_rate_km_s: ArrayLike, frequency_hz: ArrayLike) -> Floats:
    """First-order Doppler shift -(dd/dt) f / c in Hz, positive while the satellite approaches.

    EMS-FL, equation (18): f_D = v_r / wavelength, with the closing speed v_r = -dd/dt.
    Inputs broadcast. Raises ValueError for numbers that are not finite and for frequencies <= 0.
    """
    closing_speed_m_s = -1000.0 * finite("range_rate_km_s", range_rate_km_s)
    return closing_speed_m_s * positive("frequency_hz", frequency_hz) / SPEED_OF_LIGHT_M_S
