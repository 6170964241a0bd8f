"""`ground:` - the clusters of devices, the stations, and their elevation masks."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from scenarios.compute import DeviceCompute
from scenarios.errors import refuse, wrong
from scenarios.orbit import OrbitSource
from scenarios.section import NAME, Positive, Section, TextOrNone, setting, word_or
from statements import Code, Lower, Raise, Statement, unused


def _kind_of_mask(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return "horizon"
    if isinstance(value, str):
        return "file"
    return "other" if value is None or isinstance(value, int | float) else None


def _as_pairs(value: Any) -> Any:
    return tuple(tuple(pair) if isinstance(pair, list) else pair for pair in value)


def _each_azimuth_once(pairs: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    seen: dict[float, float] = {}
    for azimuth_deg, elevation_deg in pairs:
        if seen.setdefault(azimuth_deg % 360.0, elevation_deg) != elevation_deg:
            raise ValueError(
                f"azimuth {azimuth_deg:g} has two elevations; give each azimuth once (0 and 360 "
                "are the same)"
            )
    if len(seen) < 2:
        raise ValueError("a horizon has two azimuths or more; give a number for all azimuths")
    return pairs


_AZIMUTH = Annotated[float, Field(ge=0, le=360)]
_ELEVATION = Annotated[float, Field(ge=0, lt=90)]
MaskOrHorizon = Annotated[
    Annotated[float | None, Field(ge=0, lt=90), Tag("other")]
    | Annotated[
        tuple[tuple[_AZIMUTH, _ELEVATION], ...],
        Field(max_length=3600),
        AfterValidator(_each_azimuth_once),
        BeforeValidator(_as_pairs),
        Tag("horizon"),
    ]
    | Annotated[str, Field(min_length=1), Tag("file")],
    Discriminator(
        _kind_of_mask,
        custom_error_type="choice",
        custom_error_message="must be a number 0..90, a list of pairs [azimuth, elevation], or the "
        "name of a file of them",
    ),
]
"""One elevation for all azimuths, or a horizon: pairs, or a file of them."""


DEVICE_FORMS = ("devices", "places", "places_path")
"""Keys that give the devices of a cluster; it has one of them."""


_LATITUDE = Field(ge=-90, le=90, description="latitude, north +, degrees")
_LONGITUDE = Field(ge=-360, le=360, description="longitude, east +, degrees")
HeightM = Annotated[float, Field(ge=-500, le=50_000, description="height above the ellipsoid, m")]
MaskDeg = Annotated[float | None, Field(ge=0, lt=90)]


def _in_one_turn(longitude_deg: float | None) -> float | None:
    """Return the same longitude from -180 to 180: 289.25 is -70.75."""
    if longitude_deg is None or abs(longitude_deg) <= 180:
        return longitude_deg
    return (longitude_deg + 180) % 360 - 180


_NamedItem = TypeVar("_NamedItem", bound="DevicePlace | GroundNode")


def _uniquely_named(items: tuple[_NamedItem, ...] | None) -> tuple[_NamedItem, ...] | None:
    names = [*enumerate(item.name for item in items or ())]
    first = {name: index for index, name in reversed(names)}
    refuse(
        wrong((index, "name"), f"{name!r} is taken; names must be unique", Code.WRONG_VALUE)
        for index, name in names
        if name is not None and index > first[name]
    )
    return items


class DevicePlace(Section):
    """Where one device is."""

    name: TextOrNone = setting(None, "name of the device's place")
    latitude_deg: Annotated[float, _LATITUDE]
    longitude_deg: Annotated[float, _LONGITUDE, AfterValidator(_in_one_turn)]
    altitude_m: HeightM = 0.0
    min_elevation_deg: MaskDeg = setting(
        None, "elevation above which the device has a link, degrees; null for its cluster's"
    )


Name = Annotated[
    str,
    Field(
        pattern=NAME,
        max_length=64,
        description="unique name, of the letters A to Z, digits, blanks and _ . -",
    ),
]


class GroundNode(Section):
    """What satellites come over: a place that has a name, and a mask of its own if wanted."""

    name: Name
    latitude_deg: Annotated[float | None, _LATITUDE] = None
    longitude_deg: Annotated[float | None, _LONGITUDE, AfterValidator(_in_one_turn)] = None
    altitude_m: HeightM = 0.0
    min_elevation_deg: MaskOrHorizon = setting(
        None,
        "elevation above which it has contact, degrees; null for the orbit's; or a horizon: pairs "
        "[azimuth, elevation], or a file of them",
    )

    @property
    def has_horizon(self) -> bool:
        """Whether its mask depends on the azimuth."""
        return isinstance(self.min_elevation_deg, tuple | str)


class Kind(DeviceCompute):
    """Devices of a cluster that are alike."""

    devices: int = Field(ge=1, le=100_000, description="number of devices of this kind")
    lora_rank: int | None = setting(
        None,
        "rank of their LoRA factors, at most learning.lora.rank; null for that",
        ge=1,
        le=100_000,
    )


class Cluster(GroundNode):
    """Devices that share one place on the ground, and so their contacts."""

    devices: int | None = setting(
        None, "number of devices; 1 if no places are given", ge=1, le=100_000
    )
    radius_km: float = setting(0.0, "radius of the disc in which the devices lie, km", ge=0, le=500)
    places: Annotated[tuple[DevicePlace, ...] | None, AfterValidator(_uniquely_named)] = setting(
        None,
        "list of the devices' places, one per device, in place of devices",
        strict=False,
        min_length=1,
        max_length=10_000,
    )
    places_path: TextOrNone = setting(
        None, "CSV file of such places; relative paths start at the scenario file's folder"
    )
    kinds: tuple[Kind, ...] | None = setting(
        None,
        "devices whose computing is not the scenario's: how many of each kind, in order",
        strict=False,
        min_length=1,
        max_length=10_000,
    )

    @model_validator(mode="before")
    @classmethod
    def _default_devices(cls, values: Any) -> Any:
        if not isinstance(values, dict) or any(values.get(k) is not None for k in DEVICE_FORMS):
            return values
        return {**values, "devices": _counted(values.get("kinds"))}

    rules = (
        unused(
            "radius_km",
            when=lambda cluster: cluster.devices is None,
            by="with {form}, where every device has a place",
        ),
    )

    @property
    def form(self) -> str:
        """The first key that gives the devices."""
        return next(key for key in DEVICE_FORMS if getattr(self, key) is not None)

    def problems(self) -> Iterator[Statement]:
        """Devices that are given twice, and numbers of them that differ."""
        given = [key for key in DEVICE_FORMS if getattr(self, key) is not None]
        if len(given) > 1:
            others = " and ".join(given[:-1])
            yield wrong(
                given[-1], f"cannot be combined with {others}; keep one of them", Code.CONFLICT
            )
        if self.has_horizon and (self.devices is None or self.radius_km > 0):
            other = "radius_km" if self.devices is not None else given[0]
            text = f"a horizon is that of one place, and {other} has several; give one elevation"
            yield wrong("min_elevation_deg", text, Code.CONFLICT)
        if self.kinds is None:
            return
        counted = sum(kind.devices for kind in self.kinds)
        places = None if self.places is None else len(self.places)
        for key, count in (("devices", self.devices), ("places", places)):
            if count not in (None, counted):
                text = f"have {counted} devices in all, but {key} gives {count}; make the numbers "
                yield wrong("kinds", f"{text}equal", Code.WRONG_VALUE)


UNLIMITED = "unlimited"
Antennas = Annotated[
    Annotated[int, Field(ge=1, le=10_000), Tag("other")]
    | Annotated[Literal["unlimited"], Tag("unlimited")],
    word_or(
        UNLIMITED,
        lambda value: isinstance(value, int) and not isinstance(value, bool),
        "must be a whole number from 1 or 'unlimited'",
    ),
]


MOST_ACQUISITION_S = 1e6
MOST_STATIONS = 10_000
"""Stations up to which a scenario lists them, or takes them from a file."""


class Station(GroundNode):
    """A ground station, or a platform in the air: an access point of the server."""

    antennas: Antennas | None = setting(None, "satellites at a time; null for ground.antennas")
    dish_m: Positive = setting(
        None, "diameter of its dishes, m; null for link.station.dish_m", le=100
    )
    acquisition_s: float | None = setting(
        None,
        "time to the first bit of an antenna that is pointed, s; null for ground.acquisition_s",
        ge=0,
        le=MOST_ACQUISITION_S,
    )


class Ground(Section):
    """Everything on the ground: clusters of devices, or the stations of satellites that learn."""

    clusters: Annotated[tuple[Cluster, ...], AfterValidator(_uniquely_named)] = setting(
        (), "list of the device clusters", strict=False
    )
    stations: Annotated[tuple[Station, ...] | None, AfterValidator(_uniquely_named)] = setting(
        None,
        "list of the stations, with roles.server stations",
        strict=False,
        min_length=1,
        max_length=MOST_STATIONS,
    )
    stations_path: TextOrNone = setting(
        None, "CSV or GeoJSON file of stations; relative paths start as those of places"
    )
    stations_used: int | None = setting(
        None, "so many stations, from the first; null for all", ge=1, le=MOST_STATIONS
    )
    antennas: Antennas = setting(
        1, "satellites that a station serves at a time; unlimited: every pass counts"
    )
    acquisition_s: float = setting(
        0.0,
        "time from when a station's antenna is pointed at a satellite to the first bit, s",
        ge=0,
        le=MOST_ACQUISITION_S,
    )


def _counted(kinds: Any) -> int | None:
    """Devices of all kinds, 1 if there are none; None for kinds that will be refused."""
    if kinds is None:
        return 1
    listed = kinds if isinstance(kinds, list | tuple) else []
    counts = [k.get("devices") if isinstance(k, dict) else getattr(k, "devices", 0) for k in listed]
    whole = [count for count in counts if type(count) is int and count > 0]
    return sum(whole) if whole and len(whole) == len(counts) else None


# Rules between the keys of a cluster, and between clusters and the source of contacts.


def ground_problems(ground: Ground, orbit: OrbitSource, rank: int | None) -> Iterator[Statement]:
    """Yield what does not fit together; `rank` is that of LoRA's factors."""
    for key, nodes in (("stations", ground.stations or ()), ("clusters", ground.clusters)):
        for index, node in enumerate(nodes if orbit.has_geometry else ()):
            for problem in _place(node, orbit.source):
                yield problem.below("ground", key, index)
    for index, cluster in enumerate(ground.clusters if rank else ()):
        for number, kind in enumerate(cluster.kinds or ()):
            if (kind.lora_rank or 0) > (rank or 0):
                key_path = ("ground", "clusters", index, "kinds", number, "lora_rank")
                text = f"is above learning.lora.rank, {rank}, the largest of all"
                raised = Raise("learning.lora.rank")
                yield wrong(key_path, text, Code.WRONG_VALUE, Lower(to=rank), raised)


def _place(node: GroundNode, source: str) -> Iterator[Statement]:
    for key in ("latitude_deg", "longitude_deg"):
        if getattr(node, key) is None:
            kind = type(node).__name__.lower()
            text = f"is missing for {kind} {node.name!r}; source {source!r} needs its place"
            yield wrong(key, text, Code.MISSING)


# The one order in which clusters and devices are simulated, however a file lists them.


def in_canonical_order(ground: Ground) -> Ground:
    """Return ``ground`` with its clusters by name, and the places of their devices in order."""
    clusters = sorted(map(_with_places_in_order, ground.clusters), key=lambda c: c.name)
    return ground.model_copy(update={"clusters": tuple(clusters)})


def _with_places_in_order(cluster: Cluster) -> Cluster:
    if cluster.places is None:
        return cluster
    order = places_order([[*dict(place).values()] for place in cluster.places], cluster.kinds)
    places = tuple(cluster.places[number] for number in order)
    kinds = kinds_in_order(cluster.kinds, order)
    return cluster.model_copy(update={"places": places, "kinds": kinds})


def places_order(
    places: Sequence[Sequence[Any]], kinds: Sequence[Kind] | None = None
) -> tuple[int, ...]:
    """Return the numbers of devices in the order of their names; of nameless ones, of their places.

    A place is its name, latitude, longitude (degrees), altitude (m) and mask (degrees or None).
    Places that are called 0, 1, 2, ... have no names, only numbers. ``kinds`` are those of the
    devices in the order of ``places``; they decide where devices share a place.
    """
    names = [name for name, *_ in places]
    nameless = None in names or set(names) == {str(number) for number in range(len(names))}
    keys = [
        ("" if nameless else name, *where, -1.0 if mask_deg is None else mask_deg, repr(kind))
        for (name, *where, mask_deg), kind in zip(places, _of_each(kinds, len(places)), strict=True)
    ]
    return tuple(sorted(range(len(places)), key=keys.__getitem__))


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
    """Return the kind of each device, counted as one; None for devices beyond the kinds."""
    listed = [
        kind.model_copy(update={"devices": 1}) for kind in kinds or () for _ in range(kind.devices)
    ]
    return [*listed, *[None] * devices][:devices]
