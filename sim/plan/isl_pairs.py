"""Which satellites of a scenario may have links to each other: rings, and links between planes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import combinations, pairwise
from math import tau

import numpy as np

import orbit
from learning.requests.cluster import Floats, Ints, Mask
from orbit.windows import groups
from scenarios.link import Isl
from sim.errors import InputError, as_input

TIES = 9
"""Decimals to which orbits are compared: satellites in a regular pattern are equally near."""


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
        are_neighbours = min(other - one, len(planes) - other + one) == 1
        if isl.between_planes == "all" or (isl.between_planes == "neighbours" and are_neighbours):
            across += [(a, b) for a in planes[one] for b in planes[other]]
        elif isl.between_planes == "grid" and are_neighbours:
            across += _abreast(planes[one], planes[other], satellites, start)
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
    node, place = _node_and_place(satellites, start)
    # A node next to 0 may lie on either side of it within one plane.
    by_node = sorted(groups(plane), key=lambda members: float(np.median(node[members])))
    return [members[np.argsort(place[members], kind="stable")].tolist() for members in by_node]


def _node_and_place(
    satellites: Sequence[orbit.Satellite], start: datetime
) -> tuple[Floats, Floats]:
    """Return right ascensions of nodes and mean arguments of latitude (N,) at the start, rad."""
    angles = np.empty((2, len(satellites)))
    for angle, satellite in zip(angles.T, satellites, strict=True):
        model = satellite.model
        minutes = (start - satellite.epoch).total_seconds() / 60
        angle[0] = model.nodeo + model.nodedot * minutes
        angle[1] = model.argpo + model.mo + (model.argpdot + model.no_kozai) * minutes
    node, place = angles % tau
    return node, place


def _abreast(
    one: Sequence[int],
    other: Sequence[int],
    satellites: Sequence[orbit.Satellite],
    start: datetime,
) -> list[tuple[int, int]]:
    """Pair satellites of two planes, each with one at most, so that they stay close together.

    The pairs have the least mean square distance over a revolution, if all orbits are circles with
    one period: the mean product of two positions is that of their phasors.
    """
    from scipy.optimize import linear_sum_assignment

    near, far = (_phasors([satellites[k] for k in plane], start) for plane in (one, other))
    nearness = np.round((near @ far.conj().T).real, TIES)
    rows, columns = linear_sum_assignment(nearness, maximize=True)
    return [(one[row], other[column]) for row, column in zip(rows, columns, strict=True)]


def _phasors(satellites: Sequence[orbit.Satellite], start: datetime) -> np.ndarray:
    """Return complex vectors (N, 3) whose real parts, turned by the mean motion, are directions."""
    node, place = _node_and_place(satellites, start)
    tilt = np.array([satellite.model.inclo for satellite in satellites])
    to_node = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=1)
    ahead = np.stack(
        [-np.sin(node) * np.cos(tilt), np.cos(node) * np.cos(tilt), np.sin(tilt)], axis=1
    )
    phasors: np.ndarray = (to_node - 1j * ahead) * np.exp(1j * place)[:, None]
    return phasors
