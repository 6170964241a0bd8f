"""Rules between the keys of a cluster, and between clusters and the source of contacts."""

from collections.abc import Iterator

from scenarios.compute_section import DeviceCompute
from scenarios.errors import KeyPath, Problem, dotted
from scenarios.ground_section import DEVICE_FORMS, Cluster, Ground


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
