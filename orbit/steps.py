"""How far apart a satellite's samples may lie."""

from math import cos, floor, isfinite, log2, sqrt
from typing import Any

from orbit.elements import Satellite

# Radians of true anomaly that a step may cover at perigee, on a circular orbit. The quintic then
# stays within 0.08 m of SGP4 in low orbits, and within 0.1 m at any eccentricity.
_ANOMALY_RAD = 0.25
# Turning points of the elevation must stay apart.
_LONGEST_S = 900.0
# Steps come in sixteenths of an octave, so that similar satellites share a grid.
_STEPS_PER_OCTAVE = 16
_EARTH_RATE_RAD_S = 7.292115e-5
# Against the Earth's rotation a satellite turns faster than it does in space. That is little in
# low orbits, and high ones have the longest step to spare. With this weight, and up to this share
# of the satellite's own rate, 0.1 m holds for retrograde orbits of 9,000 to 23,000 km as well.
_EARTH_WEIGHT, _EARTH_SHARE = 5.0, 0.5


def grid_step_s(satellite: Satellite) -> float:
    """Seconds between samples that hold the interpolation error below a tenth of a metre.

    Range rates are then within 0.05 m/s of SGP4's.
    """
    step_s = min(_smooth_s(satellite.model), _LONGEST_S)
    return float(2 ** (floor(log2(step_s) * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE))


def _smooth_s(model: Any) -> float:
    """The step through which a satellite's path is smooth."""
    # Elements that no orbit has are for SGP4 to refuse, at whatever step.
    if not (0 < model.no_kozai < 1 and model.ecco < 1 and isfinite(model.inclo)):
        return _LONGEST_S
    eccentricity = min(max(0.0, model.ecco), 0.99)
    perigee_rad_s = model.no_kozai / 60 * sqrt(1 + eccentricity) / (1 - eccentricity) ** 1.5
    share = min(_EARTH_RATE_RAD_S / perigee_rad_s, _EARTH_SHARE)
    against = (1 - cos(model.inclo)) / 2 * share**2
    smooth_rad = _ANOMALY_RAD / (1 + eccentricity) ** 2
    return float(smooth_rad / (perigee_rad_s * (1 + _EARTH_WEIGHT * against)))
