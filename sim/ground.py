"""Ground and links of a scenario as the rooms know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orbit
import scenarios
from channel import Link, rate_bps
from learning import stream
from learning.method import Cluster
from sim.errors import InputError
from sim.links import check_sub_channels, si_link

if TYPE_CHECKING:
    from scenarios import Scenario


LOWEST_ALTITUDE_M = 160e3


def clusters_of(scenario: Scenario) -> tuple[Cluster, ...]:
    """Clusters in canonical order (by name, as the scenario was loaded)."""
    named = enumerate(scenario.ground.clusters)
    return tuple(Cluster(cluster.name, index, cluster.devices) for index, cluster in named)


def cluster_sites(scenario: Scenario) -> list[orbit.Site]:
    """Centres of the clusters of a scenario on a real orbit."""
    sites = []
    for c in scenario.ground.clusters:
        # The schema asks for both wherever a satellite has to see them.
        assert c.latitude_deg is not None
        assert c.longitude_deg is not None
        sites.append(orbit.Site(c.name, c.latitude_deg, c.longitude_deg, c.altitude_m))
    return sites


def device_sites(scenario: Scenario, index: int) -> tuple[orbit.Site, ...]:
    """Where the devices of a cluster are, from a random stream of the cluster's own name."""
    cluster = scenario.ground.clusters[index]
    centre = cluster_sites(scenario)[index]
    generator = stream(scenario.seed, "place", cluster.name)
    return orbit.place_devices(centre, cluster.devices, cluster.radius_km, generator)


def scenario_links(scenario: Scenario) -> tuple[Link, Link | None]:
    """Return uplink and downlink in SI units; None for a neglected downlink."""
    values = scenarios.resolved_link(scenario)
    mask = getattr(scenario.orbit, "min_elevation_deg", 0.0)
    for cluster in scenario.ground.clusters:
        check_sub_channels(values["uplink"], cluster.name, cluster.devices)
    down = values["downlink"]
    downlink = None if isinstance(down, str) else _checked("downlink", down, mask)
    return _checked("uplink", values["uplink"], mask), downlink


def _checked(side: str, values: Mapping[str, Any], mask_deg: float) -> Link:
    """Return one direction, tried where it is strongest: overhead, at the lowest altitude."""
    try:
        link = si_link(values, mask_deg)
        rate_bps(link, 90.0, LOWEST_ALTITUDE_M)
    except ValueError as error:
        raise InputError(f"link.{side}: {error}") from None
    return link
