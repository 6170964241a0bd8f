"""Rules between the keys of a cluster, and between clusters and the source of contacts."""

from collections.abc import Iterator

from scenarios.errors import Problem
from scenarios.ground_section import DEVICE_FORMS, Cluster, Ground


def ground_problems(ground: Ground, source: str, geometry: bool) -> Iterator[Problem]:
    """Yield what does not fit together; `geometry`: does the source know where satellites are?"""
    for index, cluster in enumerate(ground.clusters):
        place = _place(cluster, source) if geometry else _no_geometry(cluster, source)
        for problem in [*place, *_devices(cluster)]:
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
