"""`ground:` - the clusters of devices."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import Field, field_validator, model_validator

from scenarios.compute_section import DeviceCompute, Kind
from scenarios.errors import Problem, ProblemsFound
from scenarios.section import Section

DEVICE_FORMS = ("devices", "places", "places_path")
"""How a cluster says which devices it has: one of these."""


class Place(Section):
    """Where one device is."""

    name: str | None = Field(default=None, min_length=1, description="name of the device's place")
    latitude_deg: float = Field(ge=-90, le=90, description="latitude, north +, degrees")
    longitude_deg: float = Field(ge=-180, lt=360, description="longitude, east +, degrees")
    altitude_m: float = Field(
        default=0.0, ge=-500, le=9000, description="height above the ellipsoid, m"
    )
    min_elevation_deg: float | None = Field(
        default=None,
        ge=0,
        lt=90,
        description="elevation above which the device has a link, degrees; null for its cluster's",
    )


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
    min_elevation_deg: float | None = Field(
        default=None,
        ge=0,
        lt=90,
        description="elevation above which it has contact, degrees; null for the orbit's",
    )
    devices: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="number of devices; 1 if no places are given",
    )
    radius_km: float = Field(
        default=0.0, ge=0, le=500, description="radius of the disc in which the devices lie, km"
    )
    places: tuple[Place, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        max_length=10_000,
        description="list of the devices' places, one for each, in place of devices",
    )
    places_path: str | None = Field(
        default=None,
        min_length=1,
        description="CSV file of such places; relative paths count from the scenario file",
    )
    compute: DeviceCompute | None = Field(
        default=None, description="the devices' computing, where it is not the scenario's"
    )
    kinds: tuple[Kind, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        max_length=10_000,
        description="devices that differ in their computing: how many of which, in their order",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_device_if_unsaid(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        said = any(values.get(key) is not None for key in DEVICE_FORMS)
        return values if said else {**values, "devices": _counted(values.get("kinds"))}

    @field_validator("places")
    @classmethod
    def _names_are_unique(cls, places: tuple[Place, ...] | None) -> tuple[Place, ...] | None:
        return None if places is None else _uniquely_named(places)


class Ground(Section):
    """Everything on the ground."""

    clusters: tuple[Cluster, ...] = Field(
        strict=False, min_length=1, description="list of the device clusters"
    )

    @field_validator("clusters")
    @classmethod
    def _names_are_unique(cls, clusters: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
        return _uniquely_named(clusters)


def _counted(kinds: Any) -> int | None:
    """Devices of all kinds, 1 if there are none; None for kinds that will be refused."""
    if kinds is None:
        return 1
    listed = kinds if isinstance(kinds, list | tuple) else []
    counts = [k.get("devices") if isinstance(k, dict) else getattr(k, "devices", 0) for k in listed]
    whole = [count for count in counts if type(count) is int and count > 0]
    return sum(whole) if whole and len(whole) == len(counts) else None


Named = TypeVar("Named", Place, Cluster)


def _uniquely_named(items: tuple[Named, ...]) -> tuple[Named, ...]:
    problems = tuple(_repeated_names([item.name for item in items]))
    if problems:
        raise ProblemsFound(problems)
    return items


def _repeated_names(names: Sequence[str | None]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield Problem((index, "name"), f"{name!r} is taken; names must be unique")
        if name is not None:
            seen.add(name)
