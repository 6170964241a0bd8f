"""ServiceLink: one cluster's link to its server, and the chains that go on over it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import simpy

from learning.requests.cluster import Step
from sim.devices.energy import Use
from sim.network.chains import Chain
from sim.network.endpoint import Endpoint
from sim.network.outcomes import Ending
from sim.network.sessions import ClusterSessions
from sim.network.steps import Reply, check_names
from statements.arrays import Floats


class ServiceLink:
    """Chains of one client that go on, on the clock of its ``endpoint``.

    A chain goes over all contacts of a session as over one link.
    """

    def __init__(self, sessions: ClusterSessions, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._sessions = sessions
        self._going_on: list[Chain] = []

    def chain(self, steps: Sequence[Step]) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let every device run through ``steps``; reply when the last one has ended."""
        check_names(steps)
        endpoint = self.endpoint
        closing = endpoint.rules.closing
        chain = Chain(steps, self._sessions.use(), endpoint.clock.now, closing)
        return (yield from chain.run(endpoint, self._going_on))

    def settle_all(self, end_s: float) -> None:
        """Write what is still going on as far as it got by ``end_s``, when the run has ended."""
        for chain in self._going_on:
            chain.settle(self.endpoint, Ending(end_s, run_over=True))
        self._going_on.clear()

    def training_until_s(self) -> Floats:
        """When each device (K,) will have ended the training of the chains that go on."""
        until_s: Floats = np.zeros(self.endpoint.cluster.devices)
        for chain in self._going_on:
            until_s = np.maximum(until_s, chain.training_until_s())
        return until_s

    def use(self) -> Use:
        """Return what the devices have done by now, in disconnected phases as far as is settled."""
        devices = self.endpoint.devices
        now_s = self.endpoint.clock.now
        use = Use(devices.rounds, devices.computed_s, self.endpoint.sent_s)
        for chain in self._going_on:
            for leg in chain.legs:
                more = leg.use(now_s)
                use = Use(
                    use.rounds + more.rounds,
                    use.computed_s + more.computed_s,
                    use.sending_s + more.sending_s,
                )
        return use
