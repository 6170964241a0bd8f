"""Where the links of a plan's contacts come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from learning.requests.cluster import Cluster, Ints
from orbit import Site
from scenarios import Scenario
from sim.links.beam import Radios
from sim.links.constant_links import is_steady
from sim.links.device_links import FigureColumns
from sim.plan.bare_links import BareLinks
from sim.plan.contacts import ContactLinks, PlannedContact
from sim.plan.fixed_rate_links import FixedRateLinks
from sim.plan.pass_links import PassLinks
from sim.plan.relay_links import RelayLinks
from sim.plan.service import ServedPasses


class LinkSource(Protocol):
    """Gives the links of contacts by their numbers in a plan."""

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact, made when their curves are first asked for."""
        ...

    def figures(self, numbers: Ints) -> FigureColumns | None:
        """Return the figures of many contacts where links need not be made for that, else None."""
        ...


@dataclass(frozen=True, eq=False)
class GivenLinks:
    """The links of contacts that are there."""

    contacts: Sequence[PlannedContact]

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact."""
        return self.contacts[number].links

    def figures(self, numbers: Ints) -> None:
        """Return None: each contact has its own."""


def link_source(
    scenario: Scenario,
    served: ServedPasses,
    clusters: Sequence[Cluster],
    radios: Sequence[Radios],
    devices: Sequence[Sequence[Site]],
) -> LinkSource:
    """Return the source of the links of a scenario.

    ``radios`` and ``devices`` are those at each of the places, or of each cluster where there is no
    geometry.
    """
    if served.relayed:
        return RelayLinks(scenario, served)
    if not served.places:
        return BareLinks(served, clusters, radios)
    if served.turned and all(map(is_steady, radios)):
        return FixedRateLinks(served, clusters, radios)
    return PassLinks(scenario, served, clusters, radios, devices)
