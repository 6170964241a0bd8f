"""Which satellites have links to each other: rings of planes, and links between planes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import combinations, pairwise
from math import tau

import numpy as np

import orbit
from learning.requests.cluster import Ints, Mask
from orbit.windows import groups
from scenarios.link import Isl
from sim.errors import InputError, as_input


def isl_pairs(
    isl: Isl, satellites: Sequence[orbit.Satellite], start: datetime
) -> tuple[Ints, Mask]:
    """Return pairs (P, 2) of satellites by index, and which of them are of one plane."""
    planes = ring_planes(satellites, start)
    ring: list[tuple[int, int]] = []
    for plane in planes if isl.within_plane == "ring" else ():
        if len(plane) < 2:
            raise InputError(
                f"link.isl.within_plane: {satellites[plane[0]].name!r} is alone in its plane; a "
                "ring needs two satellites or more"
            )
        ring += pairwise(plane)
        if len(plane) > 2:
            ring.append((plane[-1], plane[0]))
    across: list[tuple[int, int]] = []
    for one, other in combinations(range(len(planes)), 2):
        apart = min(other - one, len(planes) - other + one)
        if isl.between_planes == "all" or (isl.between_planes == "neighbours" and apart == 1):
            across += [(a, b) for a in planes[one] for b in planes[other]]
    if isl.among_clients and not ring + across:
        raise InputError(f"link.isl.between_planes: all {len(satellites)} satellites share a plane")
    pairs = np.sort(np.array(ring + across, np.int64).reshape(-1, 2), axis=1)
    return pairs, np.arange(len(pairs)) < len(ring)


def ring_planes(satellites: Sequence[orbit.Satellite], start: datetime) -> list[list[int]]:
    """Return the satellites of each plane in the order of the ring; planes by their nodes.

    Raises InputError where planes cannot be told from the elements.
    """
    with as_input("link.isl: "):
        _, plane = np.unique(orbit.planes(satellites), return_inverse=True)
    angles = np.empty((2, len(satellites)))
    for angle, satellite in zip(angles.T, satellites, strict=True):
        model = satellite.model
        minutes = (start - satellite.epoch).total_seconds() / 60
        angle[0] = model.nodeo + model.nodedot * minutes
        angle[1] = model.argpo + model.mo + (model.argpdot + model.no_kozai) * minutes
    node, place = angles % tau
    # A node next to 0 may lie on either side of it within one plane.
    by_node = sorted(groups(plane), key=lambda members: float(np.median(node[members])))
    return [members[np.argsort(place[members], kind="stable")].tolist() for members in by_node]
