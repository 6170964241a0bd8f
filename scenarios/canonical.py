"""The one order in which clusters and devices are simulated, however a file lists them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from scenarios.compute_section import Kind
    from scenarios.ground_section import Cluster
    from scenarios.scenario import Scenario


class Somewhere(Protocol):
    """What is at a place, and may have a name."""

    @property
    def name(self) -> str | None:
        """Name, or None."""

    @property
    def latitude_deg(self) -> float:
        """Latitude, degrees."""

    @property
    def longitude_deg(self) -> float:
        """Longitude, degrees."""

    @property
    def altitude_m(self) -> float:
        """Height above the ellipsoid, m."""

    @property
    def min_elevation_deg(self) -> float | None:
        """Mask of its own, degrees."""


def in_canonical_order(scenario: Scenario) -> Scenario:
    """Return ``scenario`` with its clusters by name, and the places of their devices in order."""
    clusters = sorted(map(_with_places_in_order, scenario.ground.clusters), key=lambda c: c.name)
    ground = scenario.ground.model_copy(update={"clusters": tuple(clusters)})
    return scenario.model_copy(update={"ground": ground})


def places_order(
    places: Sequence[Somewhere], kinds: Sequence[Kind] | None = None
) -> tuple[int, ...]:
    """Return the numbers of devices in the order of their names; of nameless ones, of their places.

    Places that are called 0, 1, 2, ... have no names, only numbers. ``kinds`` are those of the
    devices in the order of ``places``; they decide where devices share a place.
    """
    each = _of_each(kinds, len(places))
    names = [place.name for place in places]
    nameless = None in names or set(names) == {str(number) for number in range(len(names))}

    def key(number: int) -> tuple[str, tuple[float, ...], str]:
        place = places[number]
        mask_deg = -1.0 if place.min_elevation_deg is None else place.min_elevation_deg
        where = place.latitude_deg, place.longitude_deg, place.altitude_m, mask_deg
        name = "" if nameless else str(place.name)
        return name, where, repr(each[number])

    return tuple(sorted(range(len(places)), key=key))


def kinds_in_order(kinds: Sequence[Kind] | None, order: Sequence[int]) -> tuple[Kind, ...] | None:
    """Return ``kinds`` as they are when device ``order[k]`` has become number k."""
    if kinds is None:
        return None
    each = _of_each(kinds, len(order))
    runs = groupby(each[number] for number in order)
    return tuple(
        kind.model_copy(update={"devices": len(list(run))})
        for kind, run in runs
        if kind is not None
    )


def _of_each(kinds: Sequence[Kind] | None, devices: int) -> list[Kind | None]:
    """Return the kind of each device, counted as one; None where too few are told of."""
    listed = [
        kind.model_copy(update={"devices": 1}) for kind in kinds or () for _ in range(kind.devices)
    ]
    return [*listed, *[None] * devices][:devices]


def _with_places_in_order(cluster: Cluster) -> Cluster:
    if cluster.places is None:
        return cluster
    order = places_order(cluster.places, cluster.kinds)
    places = tuple(cluster.places[number] for number in order)
    kinds = kinds_in_order(cluster.kinds, order)
    return cluster.model_copy(update={"places": places, "kinds": kinds})
