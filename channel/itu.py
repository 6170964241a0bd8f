"""Gaseous and rain attenuation of a site from the ITU-R Recommendations, by the package itur."""

from typing import Any, Final

import numpy as np

from channel.arrays import Floats, between
from channel.slant_attenuation import SlantAttenuation

LOWEST_ELEVATION_DEG: Final = 5.0
ROWS: Final = 401
VAPOUR_LATITUDE_DEG: Final = 86.6
"""The maps of P.836 have holes nearer to the poles; a site there takes the air of this latitude."""


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
    latitude = _scalar("latitude_deg", latitude_deg, -90.0, 90.0)
    longitude = _scalar("longitude_deg", longitude_deg, -180.0, 180.0)
    site = (latitude, longitude)
    altitude_km = _scalar("altitude_m", altitude_m, -500.0, 9000.0) / 1000.0
    frequency_ghz = _scalar("frequency_hz", frequency_hz, 1e9, 55e9) / 1e9
    share_pct = _scalar("exceedance_pct", exceedance_pct, 0.001, 5.0)
    itur = _itur()
    elevation = _elevations_deg()
    zenith_db = _zenith_gas_db(itur, site, frequency_ghz, altitude_km)
    rain = itur.rain_attenuation(*site, frequency_ghz, elevation, altitude_km, share_pct)
    return SlantAttenuation(elevation, zenith_db / np.sin(np.radians(elevation)), rain.value)


def _itur() -> Any:
    """The package; its import turns numpy's division warnings off for everyone, which we undo."""
    try:
        with np.errstate():
            import itur
    except ModuleNotFoundError as missing:
        raise ValueError(
            "atmosphere 'itu' needs the package itur: pip install \"leomix[itu]\""
        ) from missing
    return itur


def _elevations_deg() -> Floats:
    """Rows that crowd at the zenith, where P.618 goes with the square root of the angle to it."""
    return 90.0 - (90.0 - LOWEST_ELEVATION_DEG) * np.linspace(1.0, 0.0, ROWS) ** 2


def _zenith_gas_db(
    itur: Any, site: tuple[float, float], frequency_ghz: float, altitude_km: float
) -> float:
    """Straight up, from a call at 30 degrees: annex 2 is the cosecant law, and itur warns at 90."""
    latitude = np.clip(site[0], -VAPOUR_LATITUDE_DEG, VAPOUR_LATITUDE_DEG)
    slant = itur.gaseous_attenuation_slant_path(
        frequency_ghz,
        30.0,
        itur.surface_water_vapour_density(latitude, site[1], 50.0, altitude_km),
        itur.standard_pressure(altitude_km),
        itur.surface_mean_temperature(*site),
        h=altitude_km,
    )
    return float(slant.value * np.sin(np.radians(30.0)))


def _scalar(name: str, value: float, low: float, high: float) -> float:
    if np.ndim(value):
        raise ValueError(f"{name} has shape {np.shape(value)}; give one number")
    return float(between(name, value, low, high))
