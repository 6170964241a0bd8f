"""What the contact plan holds for a cluster next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.requests.cluster import Cost, Floats, Outlook
from sim.devices import Devices
from sim.planned_session import PlannedSession


class Forecaster:
    """Looks into the planned ``sessions`` of one cluster."""

    def __init__(self, sessions: Sequence[PlannedSession], devices: Devices) -> None:
        self._sessions = sessions
        self._devices = devices

    def outlook(self, now_s: float, fresh: bool = False) -> Outlook | None:
        """Return what the session that is open, or the next one, can still carry; None at the end.

        With ``fresh`` it is one that begins now or later.
        The links of a session that is not open yet are let go again.
        """
        left = [
            session
            for session in self._sessions
            if session.end_s > now_s and (session.start_s >= now_s or not fresh)
        ]
        if not left:
            return None
        session = left[0]
        start_s, k = max(session.start_s, now_s), self._devices.cluster.devices
        up, down = session.uplink.curve, session.downlink
        per_contact = self._devices.compute.per_contact
        outlook = Outlook(
            start_s=start_s,
            end_s=session.end_s,
            uplink_bytes=_bytes(up.capacity_bits - up.delivered_bits(start_s), k),
            downlink_bytes=(
                np.full(k, np.inf)
                if down is None
                else _bytes(down.curve.capacity_bits - down.curve.delivered_bits(start_s), k)
            ),
            memory_bytes=self._devices.memory_bytes,
            round_s=self._round_s,
            rounds=1 if per_contact is None else per_contact,
            sessions=len(left),
        )
        if session.start_s > now_s:
            session.close()
        return outlook

    def _round_s(self, cost: Cost) -> Floats:
        round_s = self._devices.compute.round_s(cost)
        return np.broadcast_to(round_s, (self._devices.cluster.devices,)).astype(float)


def _bytes(bits: Floats, devices: int) -> Floats:
    return np.broadcast_to(bits / 8, (devices,)).astype(float)
