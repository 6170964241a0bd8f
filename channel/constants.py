"""Physical constants in SI units."""

from math import log10
from typing import Final

SPEED_OF_LIGHT_M_S: Final = 299_792_458.0
BOLTZMANN_J_K: Final = 1.380649e-23
BOLTZMANN_DBW_K_HZ: Final = 10.0 * log10(BOLTZMANN_J_K)
EARTH_RADIUS_M: Final = 6_371_000.0
"""Radius of the spherical Earth of 3GPP TR 38.811, section 6.6.2."""
REFERENCE_TEMPERATURE_K: Final = 290.0
"""Temperature T0 to which a noise figure refers (IEEE definition of noise figure)."""
