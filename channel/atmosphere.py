"""Attenuation by gases and rain (ITU-R), as a table over elevation."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from channel.checks import above_horizon, between, not_negative
from channel.settings import EXCEEDANCE_PCT, ITU_FREQUENCY_GHZ, Atmosphere, Range
from statements.arrays import Floats

COSECANT_FLOOR_DEG: Final = 5.0
"""Below this elevation the flat layers behind the cosecant law do not describe the Earth."""


def atmospheric_attenuation_db(
    zenith_db: float | Floats, elevation_deg: Floats, atmosphere: Atmosphere
) -> Floats:
    """Gaseous attenuation in dB on the way to a satellite at `elevation_deg`.

    "cosecant" is A_zenith / sin(e) (3GPP TR 38.811, equation (6.6-8)). "inverse_elevation" is
    A_zenith 90 deg / e, the loss inversely proportional to the elevation of EMS-FL, section II-B,
    read as decibels: between 0 and 90 degrees it is the larger of the two.

    The cosecant law holds for elevations of 5 degrees and more (ITU-R P.676, annex 2); between
    0 and 5 degrees both forms keep their value at 5 degrees. Inputs broadcast, and are known to be
    right: 0 or more, and above the horizon. There is no link below it, which is not the same as a
    link without loss.
    """
    floored = np.maximum(elevation_deg, COSECANT_FLOOR_DEG)
    if atmosphere == "inverse_elevation":
        return np.asarray(zenith_db * (90.0 / floored))
    # 1 / sin = sqrt(1 + 1 / tan^2): NumPy has a tangent that is many times as quick as its sine.
    cotangent = 1.0 / np.tan(floored * (np.pi / 180.0))
    return np.asarray(zenith_db * np.sqrt(1.0 + cotangent * cotangent))


@dataclass(frozen=True, eq=False)
class SlantAttenuation:
    """Losses of one site at one frequency on the way up, for elevations of the rows (N,).

    elevation_deg: above 0, increasing, and 90 in the last row.
    gas_db, rain_db: >= 0; rain_db is what one wants to survive, not an average: it is exceeded for
        some share of the time.

    Between rows both losses are linear in 1 / sin(e), the length of a path through flat layers.
    Below the first row they keep its value, as the Earth is not flat.
    The rows are kept as read-only copies. Raises ValueError for other shapes and values.
    """

    elevation_deg: Floats
    gas_db: Floats
    rain_db: Floats

    def __post_init__(self) -> None:
        for name in ("elevation_deg", "gas_db", "rain_db"):
            rows = not_negative(name, getattr(self, name)).copy()
            rows.setflags(write=False)
            object.__setattr__(self, name, rows)
            if rows.ndim != 1 or rows.shape != self.elevation_deg.shape:
                raise ValueError(f"{name} has shape {rows.shape}; give one number per elevation")
        rows = self.elevation_deg
        if not (rows.size and rows[0] > 0.0 and rows[-1] == 90.0 and (np.diff(rows) > 0.0).all()):
            raise ValueError(
                f"elevation_deg is {str(rows)[:60]}; allowed is above 0, increasing, up to 90"
            )

    def gas_loss_db(self, elevation_deg: ArrayLike) -> Floats:
        """Loss by gases in dB; elevations of any shape, ValueError for those outside (0, 90]."""
        return self._interpolated(elevation_deg, self.gas_db)

    def rain_loss_db(self, elevation_deg: ArrayLike) -> Floats:
        """Loss by rain in dB; elevations of any shape, ValueError for those outside (0, 90]."""
        return self._interpolated(elevation_deg, self.rain_db)

    def rain_noise_k(self, elevation_deg: ArrayLike) -> Floats:
        """How much warmer than a clear sky the sky is in this rain, in K; elevations as above.

        ITU-R P.618-14, section 3: behind an attenuation of A dB an antenna sees a sky of
        T_mr (1 - 10^(-A/10)) + 2.7 K 10^(-A/10) with T_mr = 275 K. This is that of gas and rain
        less that of gas alone.
        """
        clear = 10.0 ** (-self.gas_loss_db(elevation_deg) / 10.0)
        through_rain = 10.0 ** (-self.rain_loss_db(elevation_deg) / 10.0)
        return (RADIATING_K - COSMIC_K) * clear * (1.0 - through_rain)

    def _interpolated(self, elevation_deg: ArrayLike, losses_db: Floats) -> Floats:
        elevation = above_horizon(elevation_deg)
        rows = self.elevation_deg
        length = _path_length(np.maximum(elevation, rows[0]))
        return np.asarray(np.interp(-length, -_path_length(rows), losses_db))[()]


RADIATING_K: Final = 275.0
"""Mean temperature at which air and rain radiate, where none is known of the place (P.618)."""
COSMIC_K: Final = 2.7
"""Temperature of the sky behind them."""


def _path_length(elevation_deg: Floats) -> Floats:
    """Length of a path through a flat layer of height 1."""
    return np.asarray(1.0 / np.sin(np.radians(elevation_deg)))


LOWEST_ELEVATION_DEG: Final = 5.0
ROWS: Final = 401
VAPOUR_LATITUDE_DEG: Final = 86.6
"""The maps of P.836 have holes nearer to the poles; a site there takes the air of this latitude."""


ITU_ALTITUDE_M: Final = Range(-500.0, 9000.0)
"""Heights above the sea for which the models of ITU-R have an atmosphere."""


def itu_attenuation(
    latitude_deg: float,
    longitude_deg: float,
    altitude_m: float,
    frequency_hz: float,
    exceedance_pct: float,
) -> SlantAttenuation:
    """Attenuation by gases and rain over a site, as a table from 5 to 90 degrees of elevation.

    Gases: ITU-R P.676-12, annex 2, in a typical atmosphere of the site: its annual mean temperature
    (P.1510), the standard pressure of its altitude (P.835), and the surface water vapour that is
    exceeded half of an average year (P.836, 50 %). It does not depend on exceedance_pct.
    Rain: what is exceeded exceedance_pct percent of an average year (P.618-13, circular
    polarisation), as if it rained so on every pass. It is 0 above the height of the rain, and in
    the tropics it has its minimum well below the zenith. Clouds are left out.

    Scalars only: latitude_deg -90 to 90, longitude_deg -180 to 180, altitude_m above sea level
    -500 to 9000, frequency_hz 1e9 to 55e9, exceedance_pct 0.001 to 5. Raises ValueError for values
    outside these ranges, and where the optional package itur is not installed.
    """
    latitude = _scalar("latitude_deg", latitude_deg, Range(-90.0, 90.0))
    longitude = _scalar("longitude_deg", longitude_deg, Range(-180.0, 180.0))
    altitude_km = _scalar("altitude_m", altitude_m, ITU_ALTITUDE_M) / 1000.0
    allowed_hz = Range(1e9 * ITU_FREQUENCY_GHZ.low, 1e9 * ITU_FREQUENCY_GHZ.high)
    frequency_ghz = _scalar("frequency_hz", frequency_hz, allowed_hz) / 1e9
    share_pct = _scalar("exceedance_pct", exceedance_pct, EXCEEDANCE_PCT)
    try:
        with np.errstate():  # its import turns numpy's division warnings off for everyone
            import itur
    except ModuleNotFoundError as missing:
        raise ValueError("atmosphere 'itu' needs the package itur: pip install itur") from missing
    # Rows crowd at the zenith, where P.618 goes with the square root of the angle to it.
    elevation = 90.0 - (90.0 - LOWEST_ELEVATION_DEG) * np.linspace(1.0, 0.0, ROWS) ** 2
    # Gases from one call at 30 degrees: annex 2 is the cosecant law, and itur warns at 90.
    wet = np.clip(latitude, -VAPOUR_LATITUDE_DEG, VAPOUR_LATITUDE_DEG)
    slant = itur.gaseous_attenuation_slant_path(
        frequency_ghz,
        30.0,
        itur.surface_water_vapour_density(wet, longitude, 50.0, altitude_km),
        itur.standard_pressure(altitude_km),
        itur.surface_mean_temperature(latitude, longitude),
        h=altitude_km,
    )
    gas_db = float(slant.value * np.sin(np.radians(30.0))) / np.sin(np.radians(elevation))
    rain = itur.rain_attenuation(
        latitude, longitude, frequency_ghz, elevation, altitude_km, share_pct
    )
    return SlantAttenuation(elevation, gas_db, rain.value)


def _scalar(name: str, value: float, allowed: Range) -> float:
    if np.ndim(value):
        raise ValueError(f"{name} has shape {np.shape(value)}; give one number")
    return float(between(name, value, allowed.low, allowed.high))
