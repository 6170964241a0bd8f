"""`ground:` - the clusters of devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeVar

from pydantic import Field, field_validator, model_validator

from scenarios.errors import KeyPath, Problem, ProblemsFound, dotted
from scenarios.section import Positive, Section

# `compute:` - how fast devices train, and with what memory and power.


class DeviceCompute(Section):
    """How a device trains, where it differs from the scenario's `compute`."""

    seconds_per_round: Positive = Field(
        default=None, le=1e9, description="time of a local round, s"
    )
    tflops: Positive = Field(
        default=None, le=1e9, description="sustained rate of a device, TFLOP/s"
    )
    memory_gib: Positive = Field(default=None, le=1e9, description="memory of a device, GiB")
    power_w: Positive = Field(
        default=None, le=1e9, description="power that a device draws in training, W"
    )


class Kind(DeviceCompute):
    """Devices of a cluster that are alike."""

    devices: int = Field(ge=1, le=10_000, description="number of devices of this kind")


class Compute(DeviceCompute):
    """How fast a device trains: seconds for a round, or its arithmetic rate."""

    seconds_per_round: Positive = Field(
        default=None,
        le=1e9,
        description="time of a local round, s; 60 if tflops is not given either",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_minute_if_unsaid(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        said = values.get("seconds_per_round") is not None or values.get("tflops") is not None
        return values if said else {**values, "seconds_per_round": 60.0}

    def but(self, own: DeviceCompute | None) -> DeviceCompute:
        """Return this with what ``own`` says in its place; one pace replaces the other."""
        if own is None:
            return self
        said = {name: getattr(own, name) for name in DeviceCompute.model_fields}
        if own.seconds_per_round is None and own.tflops is None:
            said |= {"seconds_per_round": self.seconds_per_round, "tflops": self.tflops}
        for name in ("memory_gib", "power_w"):
            said[name] = getattr(self, name) if said[name] is None else said[name]
        return DeviceCompute(**said)


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


# Rules between the keys of a cluster, and between clusters and the source of contacts.


def ground_problems(ground: Ground, source: str, geometry: bool) -> Iterator[Problem]:
    """Yield what does not fit together; `geometry`: does the source know where satellites are?"""
    for index, cluster in enumerate(ground.clusters):
        place = _place(cluster, source) if geometry else _no_geometry(cluster, source)
        for problem in [*place, *_devices(cluster), *_computing(cluster)]:
            yield Problem(("ground", "clusters", index, *problem.path), problem.text)


def _place(cluster: Cluster, source: str) -> Iterator[Problem]:
    for key in ("latitude_deg", "longitude_deg"):
        if getattr(cluster, key) is None:
            text = f"is missing for cluster {cluster.name!r}; source {source!r} needs its place"
            yield Problem((key,), text)


def _no_geometry(cluster: Cluster, source: str) -> Iterator[Problem]:
    for key in ("min_elevation_deg", "places", "places_path"):
        if getattr(cluster, key) is not None:
            text = f"is not used by source {source!r}, which has no geometry; leave it out"
            yield Problem((key,), text)


def _devices(cluster: Cluster) -> Iterator[Problem]:
    given = [key for key in DEVICE_FORMS if getattr(cluster, key) is not None]
    if len(given) > 1:
        others = " and ".join(given[:-1])
        yield Problem((given[-1],), f"cannot stand beside {others}; keep one of them")
    if cluster.devices is None and cluster.radius_km > 0:
        text = f"is not used with {given[0]}, where every device has a place; leave it out"
        yield Problem(("radius_km",), text)


def _computing(cluster: Cluster) -> Iterator[Problem]:
    if cluster.compute is not None:
        yield from pace_problems(("compute",), cluster.compute)
    if cluster.kinds is None:
        return
    if cluster.compute is not None:
        yield Problem(("kinds",), "cannot stand beside compute; keep one of them")
    for index, kind in enumerate(cluster.kinds):
        yield from pace_problems(("kinds", index), kind)
    counted = sum(kind.devices for kind in cluster.kinds)
    places = None if cluster.places is None else len(cluster.places)
    for key, count in (("devices", cluster.devices), ("places", places)):
        if count is not None and count != counted:
            text = f"are {counted} devices in all, but {key} says {count}; make them agree"
            yield Problem(("kinds",), text)


def pace_problems(path: KeyPath, compute: DeviceCompute) -> Iterator[Problem]:
    """Yield the contradiction of a device that has two paces."""
    if compute.seconds_per_round is not None and compute.tflops is not None:
        other = f"{dotted(path)}.seconds_per_round"
        text = f"cannot stand beside {other}; keep one and set the other to null"
        yield Problem((*path, "tflops"), text)


# The one order in which clusters and devices are simulated, however a file lists them.


class Somewhere(Protocol):
    """What is at a place, and may have a name."""

    @property
    def name(self) -> str | None:
        """Name, or None."""

    @property
    def latitude_deg(self) -> float:
        """Latitude, degrees."""

    @property
    def longitude_deg(self) -> float:
        """Longitude, degrees."""

    @property
    def altitude_m(self) -> float:
        """Height above the ellipsoid, m."""

    @property
    def min_elevation_deg(self) -> float | None:
        """Mask of its own, degrees."""


def in_canonical_order(ground: Ground) -> Ground:
    """Return ``ground`` with its clusters by name, and the places of their devices in order."""
    clusters = sorted(map(_with_places_in_order, ground.clusters), key=lambda c: c.name)
    return ground.model_copy(update={"clusters": tuple(clusters)})


def places_order(
    places: Sequence[Somewhere], kinds: Sequence[Kind] | None = None
) -> tuple[int, ...]:
    """Return the numbers of devices in the order of their names; of nameless ones, of their places.

    Places that are called 0, 1, 2, ... have no names, only numbers. ``kinds`` are those of the
    devices in the order of ``places``; they decide where devices share a place.
    """
    each = _of_each(kinds, len(places))
    names = [place.name for place in places]
    nameless = None in names or set(names) == {str(number) for number in range(len(names))}

    def key(number: int) -> tuple[str, tuple[float, ...], str]:
        place = places[number]
        mask_deg = -1.0 if place.min_elevation_deg is None else place.min_elevation_deg
        where = place.latitude_deg, place.longitude_deg, place.altitude_m, mask_deg
        name = "" if nameless else str(place.name)
        return name, where, repr(each[number])

    return tuple(sorted(range(len(places)), key=key))


def kinds_in_order(kinds: Sequence[Kind] | None, order: Sequence[int]) -> tuple[Kind, ...] | None:
    """Return ``kinds`` as they are when device ``order[k]`` has become number k."""
    if kinds is None:
        return None
    each = _of_each(kinds, len(order))
    runs = groupby(each[number] for number in order)
    return tuple(
        kind.model_copy(update={"devices": len(list(run))})
        for kind, run in runs
        if kind is not None
    )


def _of_each(kinds: Sequence[Kind] | None, devices: int) -> list[Kind | None]:
    """Return the kind of each device, counted as one; None where too few are told of."""
    listed = [
        kind.model_copy(update={"devices": 1}) for kind in kinds or () for _ in range(kind.devices)
    ]
    return [*listed, *[None] * devices][:devices]


def _with_places_in_order(cluster: Cluster) -> Cluster:
    if cluster.places is None:
        return cluster
    order = places_order(cluster.places, cluster.kinds)
    places = tuple(cluster.places[number] for number in order)
    kinds = kinds_in_order(cluster.kinds, order)
    return cluster.model_copy(update={"places": places, "kinds": kinds})
