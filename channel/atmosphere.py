"""Attenuation by the gases of the atmosphere."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from channel.arrays import Floats, checked, not_negative

COSECANT_FLOOR_DEG: Final = 5.0
"""Below this elevation the flat layers behind the cosecant law are no model of the Earth."""


def atmospheric_attenuation_db(
    zenith_attenuation_db: ArrayLike, elevation_deg: ArrayLike
) -> Floats:
    """Gaseous attenuation A_zenith / sin(e) in dB (3GPP TR 38.811, equation (6.6-8)).

    The cosecant law holds for elevations of 5 degrees and more (ITU-R P.676, annex 2); between
    0 and 5 degrees the value at 5 degrees is used. Inputs broadcast. Raises ValueError for a
    negative zenith attenuation and for elevations outside (0, 90]: there is no link below the
    horizon, which is not the same as a link without loss.
    """
    zenith_db = not_negative("zenith_attenuation_db", zenith_attenuation_db)
    elevation = checked(
        "elevation_deg",
        elevation_deg,
        lambda x: (x > 0.0) & (x <= 90.0),
        "more than 0 and at most 90 degrees; leave out what is below the horizon",
    )
    return zenith_db / np.sin(np.radians(np.maximum(elevation, COSECANT_FLOOR_DEG)))
