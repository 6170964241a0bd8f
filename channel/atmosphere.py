"""Attenuation by the gases of the atmosphere."""

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from channel.arrays import Floats, above_horizon, not_negative, one_of

Atmosphere = Literal["cosecant", "inverse_elevation"]

COSECANT_FLOOR_DEG: Final = 5.0
"""Below this elevation the flat layers behind the cosecant law are no model of the Earth."""


def atmospheric_attenuation_db(
    zenith_attenuation_db: ArrayLike, elevation_deg: ArrayLike, atmosphere: Atmosphere = "cosecant"
) -> Floats:
    """Gaseous attenuation in dB on the way to a satellite at `elevation_deg`.

    "cosecant" is A_zenith / sin(e) (3GPP TR 38.811, equation (6.6-8)). "inverse_elevation" is
    A_zenith 90 deg / e, the loss inversely proportional to the elevation of EMS-FL, section II-B,
    read as decibels: between 0 and 90 degrees it is the larger of the two.

    The cosecant law holds for elevations of 5 degrees and more (ITU-R P.676, annex 2); between
    0 and 5 degrees both forms keep their value at 5 degrees. Inputs broadcast. Raises ValueError
    for another form, a negative zenith attenuation and for elevations outside (0, 90]: there is
    no link below the horizon, which is not the same as a link without loss.
    """
    one_of("atmosphere", atmosphere, get_args(Atmosphere))
    zenith_db = not_negative("zenith_attenuation_db", zenith_attenuation_db)
    elevation = above_horizon(elevation_deg)
    floored = np.maximum(elevation, COSECANT_FLOOR_DEG)
    if atmosphere == "inverse_elevation":
        return zenith_db * (90.0 / floored)
    return zenith_db / np.sin(np.radians(floored))
