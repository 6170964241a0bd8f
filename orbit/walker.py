"""Walker patterns: satellites spread evenly over planes of circular orbits."""

from dataclasses import dataclass
from datetime import datetime

from orbit.checks import finite, whole
from orbit.elements import Elements, Propagation, circular_axis_km
from orbit.satellite import Satellite


@dataclass(frozen=True)
class Shell:
    """A Walker pattern i: t/p/f on circular orbits, whose nodes are spread over `spread_deg`.

    Over 360 deg it is a delta; over 180 a star, of which near-polar planes move up one half of the
    Earth and down the other.

    `satellites` is t, `planes` p (a divisor of t) and `phasing` f (0 to p - 1), as in J. G.
    Walker, "Satellite constellations", JBIS 37 (1984). Satellites of a plane lie 360 p/t deg
    apart, and each is 360 f/t deg ahead of its like in the plane before. The first satellite of
    the first plane has `raan_deg` and `argument_of_latitude_deg`. Axis, inclination and propagation
    are those of `Elements`. Raises ValueError for numbers that make no constellation.
    """

    spread_deg: float
    semi_major_axis_km: float
    inclination_deg: float
    satellites: int
    planes: int
    phasing: int
    raan_deg: float = 0.0
    argument_of_latitude_deg: float = 0.0
    propagation: Propagation = "sgp4"

    def __post_init__(self) -> None:
        """Check the numbers, and that both angles are finite."""
        for name in ("satellites", "planes", "phasing"):
            whole(getattr(self, name), name)
        if self.planes < 1:
            raise ValueError(f"planes {self.planes} is less than 1; give at least one plane")
        if self.satellites < 1 or self.satellites % self.planes:
            raise ValueError(
                f"satellites {self.satellites} is no multiple of planes {self.planes}; give the "
                "same number a plane"
            )
        if not 0 <= self.phasing < self.planes:
            raise ValueError(
                f"phasing {self.phasing} is outside 0 to planes - 1; give 0 to {self.planes - 1}"
            )
        for name in ("raan_deg", "argument_of_latitude_deg"):
            finite(getattr(self, name), name, "give an angle in degrees")

    @property
    def satellites_per_plane(self) -> int:
        """Number of satellites in each plane."""
        return self.satellites // self.planes

    def elements(self, plane: int, place: int) -> Elements:
        """Return the elements of the satellite at a place of a plane, both counted from 0."""
        spacing_deg = 360 * place / self.satellites_per_plane
        phase_deg = 360 * self.phasing * plane / self.satellites
        return Elements(
            semi_major_axis_km=self.semi_major_axis_km,
            inclination_deg=self.inclination_deg,
            raan_deg=self.raan_deg + self.spread_deg * plane / self.planes,
            mean_anomaly_deg=self.argument_of_latitude_deg + spacing_deg + phase_deg,
            propagation=self.propagation,
        )

    def satellites_at(self, epoch: datetime, name: str = "") -> list[Satellite]:
        """Return the satellites that fly in this pattern at `epoch`, plane by plane.

        Names run from P01-S01, with more digits where numbers need them, after `name` and a hyphen
        where there is one; `plane` is the part before -S01. Raises ValueError for elements that
        no satellite can have, or an epoch without a time zone.
        """
        prefix = f"{name}-" if name else ""
        plane_digits = max(2, len(str(self.planes)))
        place_digits = max(2, len(str(self.satellites_per_plane)))
        flying = []
        for plane in range(self.planes):
            plane_name = f"{prefix}P{plane + 1:0{plane_digits}}"
            for place in range(self.satellites_per_plane):
                satellite_name = f"{plane_name}-S{place + 1:0{place_digits}}"
                elements = self.elements(plane, place)
                flying.append(elements.satellite(satellite_name, epoch, plane_name))
        return flying


def walker_delta(  # noqa: PLR0913 - the numbers of a pattern and the elements of its orbit
    altitude_km: float,
    inclination_deg: float,
    satellites: int,
    planes: int,
    phasing: int,
    epoch: datetime,
    raan_deg: float = 0.0,
    argument_of_latitude_deg: float = 0.0,
    propagation: Propagation = "sgp4",
) -> list[Satellite]:
    """A Walker delta: a `Shell` over 360 deg at the altitude of `circular_satellite`."""
    axis_km = circular_axis_km(altitude_km, propagation)
    notation = satellites, planes, phasing
    angles_deg = raan_deg, argument_of_latitude_deg
    shell = Shell(360.0, axis_km, inclination_deg, *notation, *angles_deg, propagation)
    return shell.satellites_at(epoch)
