"""Rules between the keys of sidelinks, and between them and where devices are."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.errors import Problem
from scenarios.link_uses import without_geometry
from scenarios.sidelink_values import BUDGET

if TYPE_CHECKING:
    from scenarios.ground_section import Ground
    from scenarios.sidelink_section import Sidelink


def sidelink_problems(
    sidelink: "Sidelink | None", ground: "Ground", source: str, geometry: bool
) -> Iterator[Problem]:
    """Yield what does not fit together; `geometry`: does the source know where devices are?"""
    if sidelink is None:
        return
    distances = _by_places(sidelink, ground) if geometry else _no_places(sidelink, source)
    for key, text in [*_two_forms(sidelink), *distances]:
        yield Problem(("link", "sidelink", key), text)


def _two_forms(sidelink: "Sidelink") -> Iterator[tuple[str, str]]:
    if sidelink.rate_mbps is None:
        return
    for key in BUDGET:
        if getattr(sidelink, key) is not None:
            text = f"is not used with rate_mbps {sidelink.rate_mbps:g}; leave one of the two out"
            yield key, text


def _no_places(sidelink: "Sidelink", source: str) -> Iterator[tuple[str, str]]:
    if sidelink.distance_km is None:
        text = f"is missing; source {source!r} has no places to take distances from, so give it"
        yield "distance_km", f"{text}, in km, like 0.2"
    if sidelink.range_km is not None:
        yield "range_km", without_geometry(source)


def _by_places(sidelink: "Sidelink", ground: "Ground") -> Iterator[tuple[str, str]]:
    apart_km, range_km = sidelink.distance_km, sidelink.range_km
    if apart_km is not None and range_km is not None and apart_km > range_km:
        text = f"got {apart_km:g}; beyond range_km {range_km:g} nobody has a sidelink"
        yield "distance_km", f"{text}; lower it, or raise range_km"
    if apart_km is not None or sidelink.rate_mbps is not None:
        return
    for cluster in ground.clusters:
        if (cluster.devices or 1) > 1 and cluster.radius_km == 0:
            text = f"is missing; the devices of cluster {cluster.name!r} are all in one place"
            yield "distance_km", f"{text}; give it, or that cluster's radius_km or places"
