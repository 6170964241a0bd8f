"""Decisions: who plays a run is shown what the server and the contact plan know, and decides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from learning.requests.cluster import Cost, Forecast, Outlook
from learning.requests.decide import Agent, Decide, Decision, Observation, Situation
from sim.clock import Clock
from sim.engine.client import Client


class Decisions:
    """Answers :class:`Decide`, by the ``player`` or, if there is none, by the method's agent."""

    def __init__(self, clock: Clock, clients: Mapping[str, Client], player: Agent | None) -> None:
        self._clock = clock
        self._clients = clients
        self._player = player

    def answer(self, request: Decide) -> Decision:
        """Return what is decided."""
        agent = request.agent if self._player is None else self._player
        return agent(self._observed(request.situation))

    def _observed(self, situation: Situation) -> Observation:
        now_s = self._clock.now
        clients = self._clients.values()
        rows = np.array([_outlook(client, situation.cost, now_s) for client in clients])
        wait_s, contact_s, uplink_bytes, downlink_bytes, round_s, charge = rows.T
        return Observation(
            **vars(situation),
            time_s=now_s,
            wait_s=wait_s,
            contact_s=contact_s,
            uplink_bytes=uplink_bytes,
            downlink_bytes=downlink_bytes,
            round_s=round_s,
            charge=charge,
        )


def _outlook(client: Client, cost: Cost, now_s: float) -> tuple[float, ...]:
    """Return the figures of one client, in the order of :class:`Observation`."""
    device = float(np.max(client.devices.compute.round_s(cost))), client.charge()
    ahead = client.forecast(Forecast(client.cluster.name))
    if not isinstance(ahead, Outlook):
        return np.inf, 0.0, 0.0, 0.0, *device
    carried = float(ahead.uplink_bytes.min()), float(ahead.downlink_bytes.min())
    return ahead.start_s - now_s, ahead.end_s - ahead.start_s, *carried, *device
