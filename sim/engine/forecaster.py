"""Forecaster: what the contact plan holds for a cluster next."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats, Forecast, Outlook
from sim.devices.devices import Devices
from sim.links.session_beam import SessionBeam
from sim.network.sessions import ClusterSessions
from sim.plan.contacts import PlannedSession
from sim.trace.directions import Way


@dataclass(eq=False)
class Forecaster:
    """Looks into the planned sessions of one cluster."""

    _sessions: ClusterSessions
    _devices: Devices

    def answer(self, request: Forecast, now_s: float) -> Outlook | list[Outlook] | None:
        """Return what the session that is open, or the next one, can still carry; None at the end.

        With ``fresh`` it is one that begins now or later, with ``sessions`` a list of so many.
        The links of a session that is not open yet are let go again.
        """
        planned = self._sessions.planned
        wanted = request.sessions
        places = range(len(planned))
        begin = bisect_right(places, now_s, key=planned.end_s)
        if request.fresh:
            begin = bisect_left(places, now_s, begin, key=planned.start_s)
        ahead = places[begin : begin + (1 if wanted is None else wanted)]
        left = len(planned) - begin
        outlooks = [self._of(planned[n], now_s, left - k) for k, n in enumerate(ahead)]
        return next(iter(outlooks), None) if wanted is None else outlooks

    def _of(self, session: PlannedSession, now_s: float, left: int) -> Outlook:
        start_s = max(session.start_s, now_s)
        k = self._devices.cluster.devices
        per_contact = self._devices.compute.per_contact
        round_s = self._devices.compute.round_s

        def carried() -> tuple[Floats, Floats]:
            to_server_bits, to_client_bits = (_bits(session.beam(way), start_s) for way in Way)
            if session.start_s > now_s:
                session.close()
            return _bytes(to_server_bits, k), _bytes(to_client_bits, k)

        return Outlook(
            start_s=start_s,
            end_s=session.end_s,
            carried=carried,
            memory_bytes=self._devices.memory_bytes,
            round_s=lambda cost: np.broadcast_to(round_s(cost), (k,)).astype(float),
            rounds=1 if per_contact is None else per_contact,
            sessions=left,
        )


def _bits(beam: SessionBeam | None, from_s: float) -> Floats | float:
    """Bits (K,) that a link carries from a time on; what is neglected carries anything."""
    return np.inf if beam is None else beam.curve.capacity_bits - beam.curve.delivered_bits(from_s)


def _bytes(bits: Floats | float, devices: int) -> Floats:
    return np.broadcast_to(bits / 8, (devices,)).astype(float)
