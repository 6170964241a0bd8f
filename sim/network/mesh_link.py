"""MeshLink: a satellite's link to its server over the mesh, step by step."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import simpy

from learning.requests.cluster import Download, Receipt, Step, Train, Upload, Work
from learning.requests.reasons import Reason
from sim.network.endpoint import Endpoint
from sim.network.mesh import Mesh
from sim.network.service_link import ServiceLink
from sim.network.sessions import ClusterSessions
from sim.network.steps import Reply, check_names, way_of

NOTHING_LEFT = np.zeros(1)
"""Bytes that are left of what has arrived; all receipts share it."""
NOTHING_LEFT.setflags(write=False)


class MeshLink(ServiceLink):
    """Chains of one satellite, whose transfers the ``mesh`` carries: one step behind the other.

    No contact cuts a transfer off: a message waits on its way for what is to open.
    """

    def __init__(self, sessions: ClusterSessions, endpoint: Endpoint, mesh: Mesh) -> None:
        super().__init__(sessions, endpoint)
        self._mesh = mesh

    def chain(self, steps: Sequence[Step]) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let the satellite go through ``steps``; reply when it has ended.

        It takes no part in what is behind a transfer that has no route, or a training for which it
        lacks the memory.
        """
        check_names(steps)
        replies: list[Reply] = []
        able = True
        for step in steps:
            asked = able and (step.who is None or bool(step.who[0]))
            if isinstance(step, Train):
                if asked:
                    work = yield from self._train(step)
                    never = work.end_s[0] == math.inf  # for want of charge
                    able = not (work.excluded[0] or never)
                else:
                    work = _no_work()
                replies.append(work)
                continue
            if not asked:
                replies.append(_not_sent(step, Reason.NONE))
                continue
            receipt = yield from self._carry(step)
            able = bool(receipt.done[0])
            replies.append(receipt)
        return replies

    def _train(self, step: Train) -> Generator[simpy.Event, Any, Work]:
        # Nothing cuts the rounds short: there is no contact in which they have to end.
        whole = replace(step, partial=False) if step.partial else step
        return (yield from super().chain([whole]))[0]  # type: ignore[return-value]

    def _carry(self, step: Upload | Download) -> Generator[simpy.Event, Any, Receipt]:
        clock = self.endpoint.clock
        free_s = float(self.endpoint.devices.free_s[0])
        if free_s > clock.now:
            yield clock.at(free_s)
        carried = yield from self._mesh.carry(
            self.endpoint.cluster.name, way_of(step), step.payload
        )
        if carried is None:
            return _not_sent(step, Reason.NO_ROUTE)
        self._sessions.use_open()
        return Receipt(
            np.ones(1, bool),
            np.array([carried.time_s]),
            np.array(step.payload.bytes, float, ndmin=1),
            NOTHING_LEFT,
            given_up=np.zeros(1, bool),
            contact_id=np.array([carried.contact_id]),
        )


def _no_work() -> Work:
    """Of a satellite that takes no part in a training."""
    return Work(np.zeros(1, np.int64), np.full(1, math.inf), np.zeros(1, bool))


def _not_sent(step: Upload | Download, reason: Reason) -> Receipt:
    """Of a transfer of which nothing has moved."""
    size = np.full(1, step.payload.bytes, float)
    return Receipt(
        np.zeros(1, bool), np.full(1, math.inf), np.zeros(1), size, reason, np.zeros(1, bool)
    )
