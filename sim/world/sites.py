"""The places of a scenario: clusters and the sites of their devices, and the stations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

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
from sim.errors import InputError
from sim.world.fleet import Fleet, Flyers
from statements import Code, Statement
from statements.arrays import Floats

EARTH_RADIUS_KM = 6371.0
FARTHEST_KM = 500.0
"""Farthest that a device may be from its cluster's place, the schema's bound of radius_km."""
Mask = float | tuple[tuple[float, float], ...] | None


@dataclass(frozen=True, eq=False)
class Sites:
    """Clients, and the places of passes: of clusters, of their devices, or of stations.

    Satellites or planes are clients too, of the ``flyers``. Whatever is wrong with a file of places
    raises InputError, or the error of ``orbit``.
    """

    scenario: Scenario
    flyers: Flyers | None

    @cached_property
    def clusters(self) -> tuple[Cluster, ...]:
        """The clients in canonical order, by name: clusters, or each satellite or plane."""
        roles = self.scenario.roles
        if roles.in_orbit and isinstance(self.flyers, Fleet):
            planes = roles.clients == "planes"
            flying = self.flyers.satellites
            named = sorted({(one.plane if planes else one.name, one.plane) for one in flying})
            return tuple(Cluster(name, n, 1, plane) for n, (name, plane) in enumerate(named))
        pairs = zip(self.client_names, self.device_counts, strict=True)
        return tuple(Cluster(name, index, count) for index, (name, count) in enumerate(pairs))

    @cached_property
    def client_names(self) -> list[str]:
        """Names of the clusters, or of the satellites or planes that are clients."""
        clients = self.scenario.roles.clients
        if clients == "planes":
            return [plane.name for plane in self.clusters]
        if clients == "satellites":
            assert self.flyers is not None  # the schema refuses clients in orbit where nobody flies
            return self.flyers.names
        return [cluster.name for cluster in self.scenario.ground.clusters]

    @property
    def holders(self) -> tuple[tuple[str, ...], ...]:
        """Names of the satellites of each plane that is a client, which hold its samples."""
        if self.scenario.roles.clients != "planes":
            return ()
        assert isinstance(self.flyers, Fleet)  # the schema asks for orbits
        flying = self.flyers.satellites
        return tuple(
            tuple(one.name for one in flying if one.plane == plane) for plane in self.client_names
        )

    @cached_property
    def device_counts(self) -> tuple[int, ...]:
        """How many devices each cluster has, by a number or by their places."""
        if self.scenario.roles.in_orbit:
            return (1,) * len(self.client_names)
        counts = []
        for index, cluster in enumerate(self.scenario.ground.clusters):
            # The schema gives a number or places.
            count = cluster.devices
            counts.append(len(self.places_of(index) or ()) if count is None else count)
        return tuple(counts)

    @cached_property
    def nodes(self) -> Sequence[GroundNode]:
        """The places of passes: the clusters in canonical order, or the stations by name."""
        roles = self.scenario.roles
        if not roles.in_orbit:
            return self.scenario.ground.clusters
        return [] if roles.relay else self.stations

    @cached_property
    def of_passes(self) -> list[orbit.Site]:
        """The sites of a real orbit's passes: the clusters' centres, or the stations."""
        return [self._site(node) for node in self.nodes]

    @cached_property
    def of_stations(self) -> list[orbit.Site]:
        """The sites of the stations that are used, by name."""
        return [self._site(station) for station in self.stations]

    @property
    def to_draw(self) -> list[orbit.Site]:
        """The sites of a real orbit's passes, and the gateways behind the clusters."""
        if self.scenario.roles.in_orbit or not self.serving:
            return self.of_passes
        return [*self.of_passes, *self.of_stations]

    @property
    def serving(self) -> list[Station]:
        """The stations that are the server, by name; none where satellites are."""
        return self.stations if self.scenario.roles.server == "stations" else []

    @cached_property
    def stations(self) -> list[Station]:
        """The stations that are used, by name; InputError for a file that has too few of them."""
        ground = self.scenario.ground
        if ground.stations is None:
            read = self._read("ground.stations_path", scenarios.stations_file(self.scenario))
            stations = [Station.model_construct(**place_keys(site)) for site in read]
            if (ground.stations_used or 0) > len(stations):
                few = f"got {ground.stations_used}; there are {len(stations)} stations in "
                raise InputError.of(
                    Code.WRONG_VALUE, "ground.stations_used", f"{few}ground.stations_path"
                )
        else:
            stations = list(ground.stations)
        if len(stations[: ground.stations_used]) > MOST_STATIONS:  # so many a list has at most
            many = f"{scenarios.stations_file(self.scenario)} has {len(stations)} stations; use "
            many += f"{MOST_STATIONS} at most: set ground.stations_used, or shorten the file"
            raise InputError.of(Code.WRONG_VALUE, "ground.stations_path", many)
        return sorted(stations[: ground.stations_used], key=lambda station: station.name)

    @property
    def antennas(self) -> list[int | None]:
        """How many satellites each station, or the one server, serves at a time; None for any."""
        isl = self.scenario.link.isl
        if isl is not None and self.scenario.roles.relay:
            return [isl.terminals]
        common = self.scenario.ground.antennas
        counts = [
            common if station.antennas is None else station.antennas for station in self.stations
        ]
        return [None if antennas == UNLIMITED else int(antennas) for antennas in counts]

    @property
    def acquisition_s(self) -> list[float] | None:
        """How long an antenna of each station takes to the first bit; None where none serves."""
        if self.scenario.roles.relay:
            return None
        ground = self.scenario.ground
        return [
            ground.acquisition_s if station.acquisition_s is None else station.acquisition_s
            for station in self.stations
        ]

    @cached_property
    def lowest_mask_deg(self) -> float:
        """Lowest elevation at which any device has a link, whatever its own gate is."""
        masks = [self.scenario.orbit.mask_deg]
        given = [self.mask_of(node) for node in self.nodes]
        if given and None not in given:
            masks = []
        for mask in given:
            pairs = mask if isinstance(mask, tuple) else [] if mask is None else [(0.0, mask)]
            masks += [elevation_deg for _, elevation_deg in pairs]
        for index in range(len(self.scenario.ground.clusters)):
            places = self.places_of(index) or ()
            masks += [p.min_elevation_deg for p in places if p.min_elevation_deg is not None]
        return float(min(masks))

    def mask_of(self, node: GroundNode) -> Mask:
        """Return the mask of a cluster or station: a number, the pairs of a horizon, or None."""
        mask: Mask | str = node.min_elevation_deg
        if not isinstance(mask, str):
            return mask
        key = f"ground {node.name!r}: min_elevation_deg"
        path = scenarios.named_file(self.scenario, mask, key, "file of a horizon")
        return orbit.read_horizon(path).pairs

    def places_of(self, index: int) -> list[orbit.Site] | None:
        """Return the places of a cluster's devices in canonical order, if they are given."""
        cluster = self.scenario.ground.clusters[index]
        if cluster.places_path is not None:
            sites, order = self._sites_of_file(index)
            return [sites[number] for number in order]
        if cluster.places is None:
            return None
        return [
            orbit.Site(**place.model_dump() | {"name": place.name or str(number)})
            for number, place in enumerate(cluster.places)
        ]

    def kinds_of(self, index: int) -> tuple[Kind, ...] | None:
        """Return the kinds of a cluster's devices in canonical order; a file has its own."""
        cluster = self.scenario.ground.clusters[index]
        if cluster.places_path is None or cluster.kinds is None:
            return cluster.kinds
        sites, order = self._sites_of_file(index)
        devices = sum(kind.devices for kind in cluster.kinds)
        if devices != len(sites):
            raise InputError.of(
                Code.CONFLICT,
                "ground.clusters",
                "kinds of {client!r} are {devices} devices, but places_path holds {places}",
                "give as many",
                client=cluster.name,
                devices=devices,
                places=len(sites),
            )
        return kinds_in_order(cluster.kinds, order)

    def devices_of(self, index: int) -> tuple[orbit.Site, ...]:
        """Return where the devices of a cluster are, each with its mask.

        Without places of their own they are drawn from a random stream of the cluster's own name.
        """
        cluster = self.scenario.ground.clusters[index]
        centre = self._site(cluster)
        if cluster.devices is not None:
            if cluster.radius_km:
                generator = stream(self.scenario.seed, "place", cluster.name)
            else:  # all are at the centre, whatever is drawn
                generator = np.random.default_rng(0)
            return orbit.place_devices(centre, cluster.devices, cluster.radius_km, generator)
        places = self.places_of(index) or []
        far_apart_km = distances_km(centre, places).tolist()
        for place, far_km in zip(places, far_apart_km, strict=True):
            if far_km > FARTHEST_KM:
                raise InputError.of(
                    Code.WRONG_VALUE,
                    "ground.clusters",
                    "device {device!r} of {client!r} is {far_km:.0f} km from the cluster's "
                    f"place, whose contacts are its own; at most {FARTHEST_KM:g} km",
                    device=place.name,
                    client=cluster.name,
                    far_km=far_km,
                )
        return tuple(
            replace(place, min_elevation_deg=centre.min_elevation_deg)
            if place.min_elevation_deg is None
            else place
            for place in places
        )

    def _sites_of_file(self, index: int) -> tuple[list[orbit.Site], tuple[int, ...]]:
        """Sites of a cluster's file in its order, and the numbers in canonical order."""
        cluster = self.scenario.ground.clusters[index]
        named: Any = cluster.places_path
        key = f"ground.clusters {cluster.name!r}: places_path"
        path = scenarios.named_file(self.scenario, named, key, "file of places")
        sites = self._read("ground.clusters", path)
        for site in sites:
            if site.horizon is not None:
                raise InputError.of(
                    Code.UNSUPPORTED,
                    "ground.clusters",
                    "device {device!r} of places_path has a horizon, which clusters and "
                    "stations have only",
                    "give it one elevation",
                    device=site.name,
                )
        rows = [(*place_keys(site).values(),) for site in sites]
        return sites, places_order(rows, cluster.kinds)

    def _read(self, key: str, path: Path) -> list[orbit.Site]:
        """Return the sites of a file that a key names, and keep what of it is not used."""

        def leave(columns: str) -> None:
            doubt = Statement.doubt(Code.LEFT_OUT, key, "{columns}", columns=columns)
            self._left_out[path] = doubt

        return orbit.read_sites(path, leave)

    @property
    def left_out(self) -> tuple[Statement, ...]:
        """A line for each file of places, as far as read, with columns that are not used."""
        return tuple(self._left_out.values())

    @cached_property
    def _left_out(self) -> dict[Path, Statement]:
        return {}

    def _site(self, node: GroundNode) -> orbit.Site:
        # The schema asks for both wherever a satellite has to see them.
        assert node.latitude_deg is not None
        assert node.longitude_deg is not None
        return orbit.Site(
            name=node.name,
            latitude_deg=node.latitude_deg,
            longitude_deg=node.longitude_deg,
            altitude_m=node.altitude_m,
            min_elevation_deg=self.mask_of(node),  # type: ignore[arg-type]
        )


def place_keys(site: orbit.Site) -> dict[str, Any]:
    """Return the keys of a place in a scenario."""
    keys = asdict(site) | {"min_elevation_deg": site.mask}
    del keys["horizon"]
    return keys


def coordinates_deg(sites: Sequence[orbit.Site]) -> Floats:
    """Latitudes and longitudes (N, 2) of sites."""
    return np.array([(site.latitude_deg, site.longitude_deg) for site in sites]).reshape(-1, 2)


def central_angle_rad(one_deg: Floats, other_deg: Floats) -> Floats:
    """Angles between coordinates (..., 2) at the centre of a sphere, by the haversine formula."""
    one = np.radians(one_deg)
    other = np.radians(other_deg)
    half = np.sin((one - other) / 2) ** 2
    across = np.cos(one[..., 0]) * np.cos(other[..., 0]) * half[..., 1]
    angle: Floats = 2.0 * np.arcsin(np.sqrt(np.minimum(half[..., 0] + across, 1.0)))
    return angle


def distances_km(centre: orbit.Site, sites: Sequence[orbit.Site]) -> Floats:
    """Great-circle distances (N,) of sites from a centre."""
    return EARTH_RADIUS_KM * central_angle_rad(coordinates_deg([centre]), coordinates_deg(sites))
