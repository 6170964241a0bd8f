"""DirectTraining: the only device of a cluster trains some rounds, one after the other.

What a :class:`~sim.network.training.Training` works out for any number of devices, with arrays, is
worked out here for one with plain numbers: to the last bit the same times and rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Step, Train, Work
from sim.network.endpoint import Endpoint
from sim.network.legs import Trained
from sim.plan.contacts import PlannedSession


@dataclass(frozen=True, eq=False)
class DirectTraining:
    """Rounds of one device that is always there, has the memory, and is not to end by a time.

    It trains ``rounds`` from ``begin_s`` to ``end_s``, in a ``session`` or out of any.
    """

    session: PlannedSession | None
    rounds: int
    begin_s: float
    end_s: float

    @classmethod
    def plan(
        cls,
        steps: Sequence[Step],
        endpoint: Endpoint,
        session: PlannedSession | None,
        ready_s: float,
    ) -> DirectTraining | None:
        """Plan the only step of a chain for a device ready at ``ready_s``; None for what is not
        of this kind.
        """
        if len(steps) != 1 or not endpoint.has_fast_path:
            return None
        step = steps[0]
        if not isinstance(step, Train) or step.partial:
            return None
        if step.who is not None and not step.who[0]:
            return None
        devices = endpoint.devices
        rounds = devices.compute.per_contact if step.rounds is None else step.rounds
        round_s = devices.round_of_one_s(step.cost)
        if not rounds or not round_s > 0.0:
            return None
        devices.load.add(step.cost)
        begin_s = max(ready_s, float(devices.serving_until_s[0]))
        return cls(session, rounds, begin_s, begin_s + rounds * round_s)

    def settle(self, endpoint: Endpoint) -> Work:
        """Count it when it has ended, and write it down."""
        devices = endpoint.devices
        rounds = np.array([self.rounds])
        devices.free_s = np.array([max(float(devices.free_s[0]), self.end_s)])
        devices.count(rounds, np.array([self.end_s - self.begin_s]))
        contact = None if self.session is None else self.session.at(self.end_s)
        endpoint.log.add(
            Trained(
                endpoint.cluster.name,
                None if contact is None else contact.contact_id,
                who=np.ones(1, bool),
                rounds=rounds,
                start_s=np.array([self.begin_s]),
                end_s=np.array([self.end_s]),
                now_s=self.end_s,
            )
        )
        # What is in the log is not given away: a method may change what it gets.
        return Work(np.array([self.rounds]), np.array([self.end_s]), np.zeros(1, bool))
