"""How wide an antenna's beam is, and how large the spot that it lights."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from channel.arrays import Floats, checked, finite, positive

APERTURE_EFFICIENCY: Final = 0.6
"""Share of the aperture that counts: G = 0.6 (pi D / wavelength)^2."""
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


def footprint_km(beamwidth_deg: ArrayLike, slant_range_m: ArrayLike) -> Floats:
    """Diameter 2 d tan(beamwidth / 2) of the spot across the line of sight, in kilometres.

    On ground that is seen at elevation e the spot is longer by 1 / sin(e) along the line of sight.
    Inputs broadcast. Raises ValueError for a beamwidth outside 0 to 180 degrees (both excluded)
    and for a range that is not finite and positive.
    """
    width = checked(
        "beamwidth_deg",
        beamwidth_deg,
        lambda x: (x > 0.0) & (x < 180.0),
        "more than 0 and less than 180 degrees",
    )
    return 2e-3 * positive("slant_range_m", slant_range_m) * np.tan(np.radians(width / 2.0))
