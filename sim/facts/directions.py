"""Where bytes go: the words of the columns ``toward`` and ``direction`` of the transfers table.

``toward`` is who receives a transfer. ``direction`` is by geometry: ``uplink`` is from the ground
to space, whoever is the client. How the two belong together depends on who the clients and the
server are: :class:`~sim.world.topology.Topology` knows.
"""

from __future__ import annotations

from enum import StrEnum

DIRECTIONS = ("uplink", "downlink", "sidelink", "isl")
"""Directions of the transfers table, in the order in which they are listed."""


class Way(StrEnum):
    """Who receives a transfer between a client and its server: ``toward`` of the table."""

    TO_SERVER = "server"
    TO_CLIENT = "client"


TOWARD_PEER = "peer"
"""``toward`` of a message that one client sends to another."""
