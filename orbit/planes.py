"""Orbital planes of a fleet, told from the elements of its satellites."""

from collections.abc import Sequence

import numpy as np

from orbit.satellite import Satellite
from statements.arrays import Floats, Ints

WIDEST_DEG = 15.0
"""Farthest that satellites of one plane are apart: those of GPS are by 10."""
CLEARLY = 3.0
"""How many times as far as a plane is wide the next one is, at least."""
NARROWEST_DEG = 0.5
"""What counts as the width of planes that are narrower."""


def planes(satellites: Sequence[Satellite]) -> list[str]:
    """Name the orbital plane of each satellite: P01, P02 and so on, by their ascending nodes.

    Satellites that all know their `plane` keep it. Others are grouped by the angle between the
    normals of their orbits at the latest epoch, to which nodes turn at their secular rate under
    J2. Planes are at most 15 deg wide, and the next one is at least three times as far away as any
    of them is wide (or 0.5 deg, where that is more). Raises ValueError where there is no such
    grouping, or more than one.
    """
    if all(satellite.plane for satellite in satellites):
        return [satellite.plane for satellite in satellites]
    normals = _normals(satellites)
    found = _groupings(normals)
    if len(found) != 1:
        several = " or ".join(str(group.max() + 1) for group in found)
        why = f"there may be {several}" if several else "they lie too close to each other"
        raise ValueError(
            f"planes of {len(satellites)} satellites cannot be told from the elements: {why}; keep "
            "those whose planes lie apart, or use a Walker pattern"
        )
    group = found[0]
    many = int(found[0].max()) + 1
    x, y, z = (np.bincount(group, weights=column) for column in normals.T)
    order = np.lexsort((z, np.arctan2(x, -y) % (2 * np.pi)))
    digits = max(2, len(str(many)))
    names = {number: f"P{place:0{digits}}" for place, number in enumerate(order.tolist(), 1)}
    return [names[number] for number in group.tolist()]


def _normals(satellites: Sequence[Satellite]) -> Floats:
    """Unit normals (N, 3) of the orbits, in TEME, at the latest epoch."""
    latest = max(satellite.epoch for satellite in satellites)
    models = [satellite.model for satellite in satellites]
    since_min = [(latest - satellite.epoch).total_seconds() / 60 for satellite in satellites]
    node = np.array([m.nodeo + m.nodedot * t for m, t in zip(models, since_min, strict=True)])
    tilt = np.array([model.inclo for model in models])
    across = np.sin(tilt)
    return np.stack([across * np.sin(node), -across * np.cos(node), np.cos(tilt)], axis=1)


def _groupings(normals: Floats) -> list[Ints]:
    """Groups (N,), numbered from 0, of each way to tell planes: by single linkage."""
    if len(normals) == 1:
        return [np.zeros(1, np.int64)]
    from scipy.cluster.hierarchy import fcluster, linkage  # half a second that few need

    tree = linkage(normals, "single")
    joins = np.concatenate([[0.0], tree[:, 2], [4.0]])  # nothing is farther apart than 2
    apart_deg = np.degrees(2 * np.arcsin(np.minimum(joins / 2, 1.0)))
    found = []
    for within, beyond in zip(range(len(joins)), range(1, len(joins)), strict=False):
        if apart_deg[beyond] < CLEARLY * max(apart_deg[within], NARROWEST_DEG):
            continue
        between = (joins[within] + joins[beyond]) / 2
        group = fcluster(tree, between, "distance").astype(np.int64) - 1
        members = (normals[group == number] for number in range(group.max() + 1))
        widest = min(float((some @ some.T).min()) for some in members)
        width_deg = np.degrees(np.arccos(np.clip(widest, -1.0, 1.0)))
        clear = apart_deg[beyond] >= CLEARLY * max(width_deg, NARROWEST_DEG)
        if clear and width_deg <= WIDEST_DEG:
            found.append(group)
    return found
