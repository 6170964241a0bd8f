"""Walker constellations: equal circular orbits whose planes are spread evenly in node."""

from collections.abc import Iterator
from datetime import datetime

from orbit.elements import Satellite
from orbit.kepler import circular_satellite
from orbit.limits import finite, whole


def walker_delta(
    altitude_km: float,
    inclination_deg: float,
    satellites: int,
    planes: int,
    phasing: int,
    epoch: datetime,
    raan_deg: float = 0.0,
    argument_of_latitude_deg: float = 0.0,
) -> list[Satellite]:
    """A Walker delta i: t/p/f, whose planes are spread over 360 deg of node.

    `satellites` is t, `planes` p (a divisor of t) and `phasing` f (0 to p - 1), as in J. G.
    Walker, "Satellite constellations", JBIS 37 (1984). Satellites of a plane lie 360 p/t deg
    apart, and each is 360 f/t deg ahead of its like in the plane before. The first satellite of
    the first plane has `raan_deg` and `argument_of_latitude_deg`. Names run plane by plane from
    P01-S01, with more digits where numbers need them. Altitude, inclination and epoch are those
    of `circular_satellite`. Raises ValueError for numbers that make no constellation.
    """
    places = _places(360.0, satellites, planes, phasing, raan_deg, argument_of_latitude_deg)
    return _on_circles(places, altitude_km, inclination_deg, epoch)


def walker_star(
    altitude_km: float,
    inclination_deg: float,
    satellites: int,
    planes: int,
    phasing: int,
    epoch: datetime,
    raan_deg: float = 0.0,
    argument_of_latitude_deg: float = 0.0,
) -> list[Satellite]:
    """A Walker star: as `walker_delta`, with planes spread over 180 deg of node.

    Near-polar planes then move up one half of the Earth and down the other.
    """
    places = _places(180.0, satellites, planes, phasing, raan_deg, argument_of_latitude_deg)
    return _on_circles(places, altitude_km, inclination_deg, epoch)


def _on_circles(
    places: Iterator[tuple[str, float, float]],
    altitude_km: float,
    inclination_deg: float,
    epoch: datetime,
) -> list[Satellite]:
    return [
        circular_satellite(name, altitude_km, inclination_deg, node, latitude, epoch)
        for name, node, latitude in places
    ]


def _places(
    spread_deg: float, total: int, planes: int, phasing: int, raan_deg: float, latitude_deg: float
) -> Iterator[tuple[str, float, float]]:
    """Name, right ascension of the node and argument of latitude of each satellite."""
    _check(total, planes, phasing)
    finite(raan_deg, "raan_deg", "give an angle in degrees")
    finite(latitude_deg, "argument_of_latitude_deg", "give an angle in degrees")
    each = total // planes
    plane_digits, digits = max(2, len(str(planes))), max(2, len(str(each)))
    for plane in range(planes):
        node = raan_deg + spread_deg * plane / planes
        for place in range(each):
            name = f"P{plane + 1:0{plane_digits}}-S{place + 1:0{digits}}"
            yield name, node, latitude_deg + 360 * place / each + 360 * phasing * plane / total


def _check(total: int, planes: int, phasing: int) -> None:
    for value, what in ((total, "satellites"), (planes, "planes"), (phasing, "phasing")):
        whole(value, what)
    if planes < 1:
        raise ValueError(f"planes {planes} is less than 1; give at least one plane")
    if total < 1 or total % planes:
        raise ValueError(
            f"satellites {total} is no multiple of planes {planes}; give the same number a plane"
        )
    if not 0 <= phasing < planes:
        raise ValueError(f"phasing {phasing} is outside 0 to planes - 1; give 0 to {planes - 1}")
