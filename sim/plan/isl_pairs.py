"""Which satellites of a scenario may have links to each other: rings, and links between planes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import combinations, pairwise
from math import pi, radians, tau

import numpy as np

import orbit
from orbit.windows import groups
from scenarios.link import Isl
from sim.errors import InputError, as_input
from statements import Code, Statement
from statements.arrays import Floats, Ints, Mask


def joined_parts(nodes: int, a: Ints, b: Ints) -> Ints:
    """Return a number from 0 on for each node (N,), the same for those that links (L,) join."""
    # Commands that search no links start without scipy.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(a)), (a, b)), shape=(nodes, nodes))
    _, part = connected_components(links, directed=False)
    numbers: Ints = part
    return numbers


TIES = 9
"""Decimals to which orbits are compared: satellites in a regular pattern are equally near."""

SAME_PERIOD = 5e-4
"""How far periods in one shell are apart at most, as a share: about 2 km of altitude."""
SAME_INCLINATION_DEG = 1.0
"""How far inclinations in one shell are apart at most."""

Plane = list[int]
"""The satellites of a plane by index, in the order of the ring."""


def isl_pairs(
    isl: Isl, satellites: Sequence[orbit.Satellite], start: datetime
) -> tuple[Ints, Mask]:
    """Return pairs (P, 2) of satellites by index, and which of them are of one plane.

    Raises InputError where there are none within or between planes, as is asked for.
    """
    planes = ring_planes(satellites, start)
    ring: list[tuple[int, int]] = []
    for plane in planes if isl.within_plane == "ring" else ():
        if len(plane) < 2:
            raise InputError(
                Statement.of(
                    Code.UNSUPPORTED,
                    "link.isl.within_plane",
                    f"{satellites[plane[0]].name!r} is alone in its plane; a "
                    "ring needs two satellites or more",
                )
            )
        ring += pairwise(plane)
        if len(plane) > 2:
            ring.append((plane[-1], plane[0]))
    across = _pairs_across(isl, planes, satellites, start)
    if isl.between_planes != "none" and not across:
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "link.isl.between_planes",
                _why_none(len(satellites), len(planes)),
            )
        )
    pairs = np.sort(np.array(ring + across, np.int64).reshape(-1, 2), axis=1)
    return pairs, np.arange(len(pairs)) < len(ring)


def _pairs_across(
    isl: Isl, planes: Sequence[Plane], satellites: Sequence[orbit.Satellite], start: datetime
) -> list[tuple[int, int]]:
    """Return pairs of satellites of different planes."""
    if isl.between_planes == "none":
        return []
    if isl.between_planes == "grid":
        return [
            pair
            for shell in _shells(planes, satellites)
            for one, other in _beside(shell)
            for pair in _abreast(one, other, satellites, start)
        ]
    both = combinations(planes, 2) if isl.between_planes == "all" else _beside(planes)
    return [(a, b) for one, other in both for a in one for b in other]


def _why_none(satellites: int, planes: int) -> str:
    if planes == 1:
        return (
            f"all {satellites} satellites share a plane; take within_plane: ring and "
            "between_planes: none, or more planes"
        )
    return (
        "grid links planes of one shell, with the same period and inclination, and each of the "
        f"{planes} planes is in a shell of its own; take neighbours or all"
    )


def _beside(planes: Sequence[Plane]) -> list[tuple[Plane, Plane]]:
    """Return pairs of planes that are next to each other, and the first and the last."""
    return [
        (one, other)
        for (number, one), (farther, other) in combinations(enumerate(planes), 2)
        if min(farther - number, len(planes) - farther + number) == 1
    ]


def _shells(
    planes: Sequence[Plane], satellites: Sequence[orbit.Satellite]
) -> list[Sequence[Plane]]:
    """Return the planes of each shell, whose satellites stay in their places to each other."""
    models = [[satellites[member].model for member in plane] for plane in planes]
    motion = np.array([np.median([model.no_kozai for model in each]) for each in models])
    tilt = np.array([np.median([model.inclo for model in each]) for each in models])
    alike = np.abs(np.log(motion[:, None] / motion)) <= SAME_PERIOD
    alike &= np.abs(tilt[:, None] - tilt) <= radians(SAME_INCLINATION_DEG)
    shell = joined_parts(len(planes), *np.nonzero(alike))
    return [[planes[number] for number in members] for members in groups(shell)]


def ring_planes(satellites: Sequence[orbit.Satellite], start: datetime) -> list[Plane]:
    """Return the satellites of each plane in the order of the ring; planes by their nodes.

    Raises InputError where planes cannot be told from the elements.
    """
    with as_input("link.isl"):
        _, plane = np.unique(orbit.planes(satellites), return_inverse=True)
    found = []
    for members in groups(plane):
        node, place, tilt = _angles([satellites[member] for member in members], start)
        # The nodes of one plane may lie on both sides of 0, and near the equator anywhere: places
        # are counted from one that all have in common.
        aside = (node - node[0] + pi) % tau - pi
        along = (place + np.cos(tilt) * aside) % tau
        in_order = members[np.argsort(along, kind="stable")].tolist()
        found.append(((node[0] + float(np.median(aside))) % tau, in_order))
    return [in_order for _, in_order in sorted(found)]


def _angles(
    satellites: Sequence[orbit.Satellite], start: datetime
) -> tuple[Floats, Floats, Floats]:
    """Return nodes, mean arguments of latitude and inclinations (N,) at the start, rad.

    They are those of the elements, at their secular rates without drag.
    """
    angles = np.empty((3, len(satellites)))
    for angle, satellite in zip(angles.T, satellites, strict=True):
        model = satellite.model
        minutes = (start - satellite.epoch).total_seconds() / 60
        angle[0] = model.nodeo + model.nodedot * minutes
        angle[1] = model.argpo + model.mo + (model.argpdot + model.no_kozai) * minutes
        angle[2] = model.inclo
    node, place = angles[:2] % tau
    return node, place, angles[2]


def _abreast(
    one: Plane, other: Plane, satellites: Sequence[orbit.Satellite], start: datetime
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
    node, place, tilt = _angles(satellites, start)
    to_node = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=1)
    ahead = np.stack(
        [-np.sin(node) * np.cos(tilt), np.cos(node) * np.cos(tilt), np.sin(tilt)], axis=1
    )
    phasors: np.ndarray = (to_node - 1j * ahead) * np.exp(1j * place)[:, None]
    return phasors
