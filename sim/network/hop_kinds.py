"""HopKinds: what the hops over a mesh go over, and which nodes they join, for many at a time."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from learning.requests.cluster import Ints, Mask
from sim.network.hop_rows import OVER_LINK, SERVER_NAME
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan


class HopKind(IntEnum):
    """What a hop goes over."""

    LINK = 0
    CONTACT = 1
    """A contact of a client with the server."""
    TO_GATEWAY = 2
    FROM_GATEWAY = 3


class HopKinds:
    """Tells hops (N,) apart by the number of their ``contact``: links first, then passes.

    ``nodes`` are the names of satellites, that of the server, and those of gateways.
    """

    def __init__(self, plan: Plan, isls: IslPlan) -> None:
        self._links = len(isls)
        self._server = len(isls.names)
        self._feeder = plan.feeder
        gateways = () if plan.feeder is None else plan.feeder.stations
        self.nodes = (*isls.names, SERVER_NAME, *gateways)

    def is_with_server(self, contact: Ints) -> Mask:
        """Return which hops go over a contact of a client with the server."""
        if self._feeder is not None:
            return np.zeros(len(contact), bool)
        return contact >= self._links

    def of(self, contact: Ints, source: Ints) -> Ints:
        """Return of which kind hops are."""
        over_link = contact < self._links
        if self._feeder is None:
            return np.where(over_link, HopKind.LINK, HopKind.CONTACT)
        from_gateway = source == self._server
        passes = np.where(from_gateway, HopKind.FROM_GATEWAY, HopKind.TO_GATEWAY)
        return np.where(over_link, HopKind.LINK, passes)

    def ends(self, contact: Ints, source: Ints, target: Ints) -> tuple[Ints, Ints]:
        """Return which ``nodes`` hops join; one to the ground or from there has its gateway."""
        if self._feeder is None:
            return source, target
        over_pass = contact >= self._links
        gateway = np.zeros_like(contact)
        gateway[over_pass] = self._feeder.station[contact[over_pass] - self._links]
        gateway += self._server + 1
        return (
            np.where(over_pass & (source == self._server), gateway, source),
            np.where(over_pass & (target == self._server), gateway, target),
        )

    def contact_ids(self, contact: Ints) -> Ints:
        """Return the number of each hop's contact with the server, or ``OVER_LINK``."""
        ids = np.full(len(contact), OVER_LINK)
        passes = self.is_with_server(contact)
        ids[passes] = contact[passes] - self._links
        return ids
