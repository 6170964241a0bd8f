"""Circular orbits by their altitude, and those whose node follows the Sun."""

from datetime import UTC, datetime
from math import acos, degrees, tau

from orbit.checks import within
from orbit.earth import EARTH_RADIUS_KM
from orbit.elements import WGS72_RADIUS_KM, Elements, Propagation, wrapped_rad
from orbit.satellite import Satellite

_TROPICAL_YEAR_DAYS = 365.2422


def circular_satellite(
    name: str,
    altitude_km: float,
    inclination_deg: float,
    raan_deg: float,
    argument_of_latitude_deg: float,
    epoch: datetime,
    propagation: Propagation = "sgp4",
) -> Satellite:
    """A drag-free satellite on a circular orbit.

    The Brouwer mean semi-major axis is the equatorial radius (of WGS 72 by SGP4, of WGS 84 by
    secular J2) plus `altitude_km` (160 to 2000); inclination 0 to 180 deg; the other two angles are
    any finite degrees. The catalogue number is 0. Raises ValueError outside these ranges or for an
    epoch without a time zone.
    """
    wrapped_rad(argument_of_latitude_deg, "argument_of_latitude_deg")
    elements = Elements(
        semi_major_axis_km=circular_axis_km(altitude_km, propagation),
        inclination_deg=inclination_deg,
        raan_deg=raan_deg,
        mean_anomaly_deg=argument_of_latitude_deg,
        propagation=propagation,
    )
    return elements.satellite(name, epoch)


def circular_axis_km(altitude_km: float, propagation: Propagation = "sgp4") -> float:
    """Semi-major axis (km) of a circular orbit at an altitude of 160 to 2000 km.

    Raises ValueError outside this range.
    """
    return _axis_km(within(altitude_km, 160, 2000, "altitude_km"), propagation)


def _axis_km(altitude_km: float, propagation: Propagation) -> float:
    return altitude_km + (WGS72_RADIUS_KM if propagation == "sgp4" else EARTH_RADIUS_KM)


def sun_synchronous_inclination_deg(altitude_km: float, propagation: Propagation = "sgp4") -> float:
    """Inclination (deg) at which the node of a circular orbit follows the mean sun.

    The node turns once in 365.2422 days at the rate that the propagation gives it, by SGP4 with J2
    squared and J4; the first-order formula is off by up to a third of a percent. `altitude_km`,
    above the equatorial radius, is 160 or more; no inclination does it above about 5980 km.
    Raises ValueError outside this range.
    """
    within(altitude_km, 160, 6000, "altitude_km")
    wanted = tau / _TROPICAL_YEAR_DAYS
    fastest = _node_rate(altitude_km, -1.0, propagation)
    if fastest < wanted:
        raise ValueError(
            f"altitude_km {altitude_km} is too high for a sun-synchronous orbit: its node turns "
            f"at most {degrees(fastest):.4f} of {degrees(wanted):.4f} deg a day; give a lower one"
        )
    cosine = -1.0
    # The rate is proportional to the cosine but for a part in a hundred, so this contracts fast.
    for _ in range(12):
        cosine = max(-1.0, cosine * wanted / _node_rate(altitude_km, cosine, propagation))
    return degrees(acos(cosine))


def _node_rate(altitude_km: float, cosine: float, propagation: Propagation) -> float:
    """The secular rate of the node in rad/day, for the cosine of an inclination."""
    elements = Elements(
        semi_major_axis_km=_axis_km(altitude_km, propagation),
        inclination_deg=degrees(acos(cosine)),
        propagation=propagation,
    )
    satellite = elements.satellite("rate", datetime(2000, 1, 1, tzinfo=UTC))
    return float(satellite.model.nodedot) * 1440
