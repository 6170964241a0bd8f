"""`ground:` - the clusters of devices."""

from collections.abc import Iterator

from pydantic import Field, field_validator

from scenarios.errors import Problem, ProblemsFound
from scenarios.section import Section


class Cluster(Section):
    """Devices that share one place on the ground, and so their contacts."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9 _.\-]+$",
        max_length=64,
        description="unique name, of the letters A to Z, digits, blanks and _ . -",
    )
    latitude_deg: float | None = Field(
        default=None, ge=-90, le=90, description="latitude, north +, degrees"
    )
    longitude_deg: float | None = Field(
        default=None, ge=-180, lt=360, description="longitude, east +, degrees"
    )
    altitude_m: float = Field(
        default=0.0, ge=-500, le=9000, description="height above the ellipsoid, m"
    )
    devices: int = Field(default=1, ge=1, le=10_000, description="number of devices")
    radius_km: float = Field(
        default=0.0, ge=0, le=500, description="radius of the disc in which the devices lie, km"
    )


class Ground(Section):
    """Everything on the ground."""

    clusters: tuple[Cluster, ...] = Field(
        strict=False, min_length=1, description="list of the device clusters"
    )

    @field_validator("clusters")
    @classmethod
    def _names_are_unique(cls, clusters: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
        problems = tuple(_repeated_names(clusters))
        if problems:
            raise ProblemsFound(problems)
        return clusters


def _repeated_names(clusters: tuple[Cluster, ...]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, cluster in enumerate(clusters):
        if cluster.name in seen:
            yield Problem((index, "name"), f"{cluster.name!r} is taken; names must be unique")
        seen.add(cluster.name)
