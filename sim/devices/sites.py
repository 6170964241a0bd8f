"""Clients of a scenario as clusters, the sites of their devices, and the stations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from math import asin, cos, radians, sin, sqrt
from typing import Any

import orbit
import scenarios
from learning import stream
from learning.requests.cluster import Cluster
from scenarios import Scenario
from scenarios.ground import (
    MOST_STATIONS,
    UNLIMITED,
    GroundNode,
    Kind,
    Station,
    kinds_in_order,
    places_order,
)
from sim.devices.satellites import satellite_names, satellites_of
from sim.errors import InputError
from statements import Code, Statement

EARTH_RADIUS_KM = 6371.0
FARTHEST_KM = 500.0
"""Farthest that a device may be from its cluster's place, the schema's bound of radius_km."""


def clusters_of(scenario: Scenario) -> tuple[Cluster, ...]:
    """Clusters in canonical order, by name; with others as clients, each satellite or plane."""
    if scenario.roles.satellites_learn and scenario.orbit.has_geometry:
        planes = scenario.roles.clients == "planes"
        flying = satellites_of(scenario)
        named = sorted({(one.plane if planes else one.name, one.plane) for one in flying})
        return tuple(Cluster(name, n, 1, plane) for n, (name, plane) in enumerate(named))
    pairs = zip(client_names(scenario), device_counts(scenario), strict=True)
    return tuple(Cluster(name, index, count) for index, (name, count) in enumerate(pairs))


def client_names(scenario: Scenario) -> list[str]:
    """Names of the clusters, or of the satellites or planes that are clients."""
    if scenario.roles.clients == "planes":
        return [plane.name for plane in clusters_of(scenario)]
    if scenario.roles.satellites_learn:
        return satellite_names(scenario)
    return [cluster.name for cluster in scenario.ground.clusters]


def holders_of(scenario: Scenario) -> tuple[tuple[str, ...], ...]:
    """Names of the satellites of each plane, which hold its samples, where planes are clients."""
    if scenario.roles.clients != "planes":
        return ()
    flying = satellites_of(scenario)
    planes = client_names(scenario)
    return tuple(tuple(one.name for one in flying if one.plane == plane) for plane in planes)


def device_counts(scenario: Scenario) -> tuple[int, ...]:
    """How many devices each cluster has, by a number or by their places."""
    if scenario.roles.satellites_learn:
        return (1,) * len(client_names(scenario))
    counts = []
    for index, cluster in enumerate(scenario.ground.clusters):
        # The schema gives a number or places.
        count = cluster.devices
        counts.append(len(device_places(scenario, index) or ()) if count is None else count)
    return tuple(counts)


def ground_sites(scenario: Scenario) -> list[orbit.Site]:
    """Return the sites of a real orbit's passes: the clusters' centres, or the stations."""
    return [_site(scenario, node) for node in ground_nodes(scenario)]


def station_sites(scenario: Scenario) -> list[orbit.Site]:
    """Return the sites of the stations that are used, by name; errors as of `stations_of`."""
    return [_site(scenario, station) for station in stations_of(scenario)]


def sites_to_draw(scenario: Scenario) -> list[orbit.Site]:
    """Return the sites of a real orbit's passes, and the gateways behind the clusters."""
    gateways = station_sites(scenario) if scenario.has_gateways else []
    return [*ground_sites(scenario), *gateways]


def ground_nodes(scenario: Scenario) -> Sequence[GroundNode]:
    """Return the places of passes: the clusters in canonical order, or the stations by name."""
    if scenario.roles.satellites_learn:
        return [] if scenario.roles.relay else stations_of(scenario)
    return scenario.ground.clusters


def _site(scenario: Scenario, node: GroundNode) -> orbit.Site:
    # The schema asks for both wherever a satellite has to see them.
    assert node.latitude_deg is not None
    assert node.longitude_deg is not None
    return orbit.Site(
        name=node.name,
        latitude_deg=node.latitude_deg,
        longitude_deg=node.longitude_deg,
        altitude_m=node.altitude_m,
        min_elevation_deg=mask_of(scenario, node),  # type: ignore[arg-type]
    )


Mask = float | tuple[tuple[float, float], ...] | None


def mask_of(scenario: Scenario, node: GroundNode) -> Mask:
    """Return the mask of a cluster or station: a number, the pairs of a horizon, or None.

    Raises the error of ``orbit`` for a bad file of a horizon.
    """
    mask: Mask | str = node.min_elevation_deg
    if not isinstance(mask, str):
        return mask
    return orbit.read_horizon(scenarios.horizon_file(scenario, mask, node.name)).pairs


def stations_of(scenario: Scenario) -> list[Station]:
    """Stations that are used, by name; raise InputError for a file that has too few of them."""
    ground = scenario.ground
    if ground.stations is None:
        sites = orbit.read_sites(scenarios.stations_file(scenario))
        stations = [Station.model_construct(**place_keys(site)) for site in sites]
        if (ground.stations_used or 0) > len(stations):
            raise InputError(
                Statement.of(
                    Code.WRONG_VALUE,
                    "ground.stations_used",
                    f"got {ground.stations_used}; there are {len(stations)} "
                    "stations in ground.stations_path",
                )
            )
    else:
        stations = list(ground.stations)
    if len(stations[: ground.stations_used]) > MOST_STATIONS:  # so many a list has at most
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "ground.stations_path",
                f"{scenarios.stations_file(scenario)} has {len(stations)} "
                f"stations; use {MOST_STATIONS} at most: set ground.stations_used, or shorten the "
                "file",
            )
        )
    return sorted(stations[: ground.stations_used], key=lambda station: station.name)


def place_keys(site: orbit.Site) -> dict[str, Any]:
    """Return the keys of a place in a scenario."""
    keys = asdict(site) | {"min_elevation_deg": site.mask}
    del keys["horizon"]
    return keys


def antennas_of(scenario: Scenario) -> list[int | None]:
    """How many satellites each station, or the one satellite, serves at a time; None for any."""
    if scenario.link.isl is not None and scenario.roles.relay:
        return [scenario.link.isl.terminals]
    common = scenario.ground.antennas
    counts = [
        common if station.antennas is None else station.antennas
        for station in stations_of(scenario)
    ]
    return [None if antennas == UNLIMITED else int(antennas) for antennas in counts]


def device_places(scenario: Scenario, index: int) -> list[orbit.Site] | None:
    """Places of a cluster's devices in canonical order, if the scenario gives them one by one."""
    cluster = scenario.ground.clusters[index]
    if cluster.places_path is not None:
        sites, order = _sites_of_file(scenario, index)
        return [sites[number] for number in order]
    if cluster.places is None:
        return None
    return [
        orbit.Site(**place.model_dump() | {"name": place.name or str(number)})
        for number, place in enumerate(cluster.places)
    ]


def device_kinds(scenario: Scenario, index: int) -> tuple[Kind, ...] | None:
    """Kinds of a cluster's devices in canonical order; those of a file are in the order of it."""
    cluster = scenario.ground.clusters[index]
    if cluster.places_path is None or cluster.kinds is None:
        return cluster.kinds
    sites, order = _sites_of_file(scenario, index)
    devices = sum(kind.devices for kind in cluster.kinds)
    if devices != len(sites):
        raise InputError(
            f"ground.clusters {cluster.name!r}: kinds are {devices} devices, but places_path "
            f"holds {len(sites)}; give as many"
        )
    return kinds_in_order(cluster.kinds, order)


def _sites_of_file(scenario: Scenario, index: int) -> tuple[list[orbit.Site], tuple[int, ...]]:
    """Sites of a cluster's file in the order of the file, and the numbers in canonical order."""
    sites = orbit.read_sites(scenarios.places_file(scenario, index))
    for site in sites:
        if site.horizon is not None:
            raise InputError(
                f"ground.clusters {scenario.ground.clusters[index].name!r}: places_path: device "
                f"{site.name!r} has a horizon, which clusters and stations have only; give it one "
                "elevation"
            )
    rows = [(*place_keys(site).values(),) for site in sites]
    return sites, places_order(rows, scenario.ground.clusters[index].kinds)


def device_sites(scenario: Scenario, index: int) -> tuple[orbit.Site, ...]:
    """Where the devices of a cluster are, each with its mask.

    Without places of their own they are drawn from a random stream of the cluster's own name.
    """
    cluster = scenario.ground.clusters[index]
    centre = _site(scenario, cluster)
    if cluster.devices is not None:
        generator = stream(scenario.seed, "place", cluster.name)
        return orbit.place_devices(centre, cluster.devices, cluster.radius_km, generator)
    places = device_places(scenario, index) or []
    for place in places:
        far_km = distance_km(centre, place)
        if far_km > FARTHEST_KM:
            raise InputError(
                f"ground.clusters {cluster.name!r}: device {place.name!r} is {far_km:.0f} km from "
                f"the cluster's place, whose contacts are its own; at most {FARTHEST_KM:g} km"
            )
    return tuple(
        replace(place, min_elevation_deg=centre.min_elevation_deg)
        if place.min_elevation_deg is None
        else place
        for place in places
    )


def distance_km(one: orbit.Site, other: orbit.Site) -> float:
    """Great-circle distance on a sphere, by the haversine formula."""
    north = radians(one.latitude_deg)
    south = radians(other.latitude_deg)
    along = sin((north - south) / 2) ** 2
    across = sin(radians(one.longitude_deg - other.longitude_deg) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(along + cos(north) * cos(south) * across))


def lowest_mask_deg(scenario: Scenario) -> float:
    """Lowest elevation at which any device has a link; each device's own gate is in its contact."""
    general = getattr(scenario.orbit, "min_elevation_deg", 0.0)
    masks = [general]
    given = [mask_of(scenario, node) for node in ground_nodes(scenario)]
    if given and None not in given:
        masks = []
    for mask in given:
        pairs = mask if isinstance(mask, tuple) else [] if mask is None else [(0.0, mask)]
        masks += [elevation_deg for _, elevation_deg in pairs]
    for index in range(len(scenario.ground.clusters)):
        places = device_places(scenario, index) or ()
        masks += [p.min_elevation_deg for p in places if p.min_elevation_deg is not None]
    return float(min(masks))
