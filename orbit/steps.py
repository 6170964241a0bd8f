"""How far apart a satellite's samples may lie."""

from math import floor, log2, sqrt

from orbit.elements import Satellite

# Radians of true anomaly that a step may cover at perigee, on a circular orbit. The quintic then
# stays within 0.03 m of SGP4 in low orbits, and within 0.1 m at any eccentricity.
_ANOMALY_RAD = 0.25
# Earth's own rotation must stay smooth too, and turning points of the elevation apart.
_LONGEST_S = 900.0
# Steps come in eighths of an octave, so that similar satellites share a grid.
_STEPS_PER_OCTAVE = 16


def grid_step_s(satellite: Satellite) -> float:
    """Seconds between samples that hold the interpolation error below a tenth of a metre."""
    eccentricity = min(satellite.model.ecco, 0.99)
    motion_rad_s = satellite.model.no_kozai / 60
    perigee_rad_s = motion_rad_s * sqrt(1 + eccentricity) / (1 - eccentricity) ** 1.5
    step_s = min(_ANOMALY_RAD / (1 + eccentricity) ** 2 / perigee_rad_s, _LONGEST_S)
    return float(2 ** (floor(log2(step_s) * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE))
