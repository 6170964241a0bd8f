"""Forecaster: what the contact plan holds for a cluster next."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

import numpy as np

from learning.requests.cluster import Forecast, Outlook
from sim.devices.devices import Devices
from sim.facts.directions import Way
from sim.network.sessions import ClusterSessions
from sim.plan.sessions import PlannedSessions
from statements.arrays import Floats

Carried = tuple[Floats, Floats]
"""Bytes (K,) up and down."""


@dataclass(eq=False)
class Forecaster:
    """Looks into the planned sessions of one cluster."""

    _sessions: ClusterSessions
    _devices: Devices
    _ahead: tuple[PlannedSessions, int, Carried] | None = field(default=None, init=False)
    """What was worked out last of a session that was not open yet: its plan, place and bytes."""

    def answer(self, request: Forecast, now_s: float) -> Outlook | list[Outlook] | None:
        """Return what the session that is open, or the next one, can still carry; None at the end.

        With ``fresh`` it is one that begins now or later, with ``sessions`` a list of so many.
        The links of a session that is not open yet are let go again.
        """
        planned = self._sessions.planned
        wanted = request.sessions
        places = range(len(planned))
        begin = bisect_right(planned.ends_s, now_s)
        if request.fresh:
            begin = bisect_left(planned.starts_s, now_s, begin)
        ahead = places[begin : begin + (1 if wanted is None else wanted)]
        left = len(planned) - begin
        outlooks = [self._of(planned, n, now_s, left - k) for k, n in enumerate(ahead)]
        return next(iter(outlooks), None) if wanted is None else outlooks

    def _of(self, planned: PlannedSessions, place: int, now_s: float, left: int) -> Outlook:
        begins_s = planned.starts_s[place]
        start_s = max(begins_s, now_s)
        k = self._devices.cluster.devices
        per_contact = self._devices.compute.per_contact
        round_s = self._devices.compute.round_s

        def worked_out() -> Carried:
            to_server, to_client = (planned.carried_bits(place, way, start_s) for way in Way)
            return _bytes(to_server, k), _bytes(to_client, k)

        def carried() -> Carried:
            if begins_s <= now_s:
                return worked_out()
            # Until it begins it carries the same, however often somebody asks.
            known = self._ahead
            if known is None or known[0] is not planned or known[1] != place:
                self._ahead = known = planned, place, worked_out()
                planned.close(place)
            up, down = known[2]
            return up.copy(), down.copy()

        return Outlook(
            start_s=start_s,
            end_s=planned.ends_s[place],
            carried=carried,
            memory_bytes=self._devices.memory_bytes,
            round_s=lambda cost: np.broadcast_to(round_s(cost), (k,)).astype(float),
            rounds=1 if per_contact is None else per_contact,
            sessions=left,
            cuts_off=planned.cuts_off(place),
        )


def _bytes(bits: Floats | float, devices: int) -> Floats:
    return np.broadcast_to(bits / 8, (devices,)).astype(float)
