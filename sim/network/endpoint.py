"""Endpoint: one client's end of its link, which plans and settles the steps of its chains."""

from __future__ import annotations

import numpy as np

from learning.requests.cluster import Cluster, Floats
from sim.clock import Clock
from sim.devices.devices import Devices
from sim.network.event_rows import Rows
from sim.network.ledger import Ledger, PayloadList
from sim.network.link_faults import LinkFaults
from sim.network.rules import Rules
from sim.network.synchronisation import Synchronisation
from sim.trace.directions import Topology


class Endpoint:
    """What the steps of one client's chains share, whichever chain they are of.

    Its devices; the ``ledger`` of payloads that are open, the list of all ``payloads``; the rules
    of now, and ``faults`` that they draw (None: nothing fails); ``sent_s`` (K,), the seconds in
    which the devices have sent to the server; and the rows of what they did. ``rows``,
    ``synchronisation`` and ``payloads`` are those of all clients.
    """

    def __init__(
        self,
        clock: Clock,
        devices: Devices,
        rules: Rules,
        *,
        rows: Rows,
        synchronisation: Synchronisation,
        payloads: PayloadList,
    ) -> None:
        self.clock = clock
        self.devices = devices
        self.rules = rules
        self.rows = rows
        self.synchronisation = synchronisation
        self.payloads = payloads
        self.ledger = Ledger(devices.cluster.devices, rows.topology)
        self.faults = self._drawn_by(rules)
        self.sent_s: Floats = np.zeros(devices.cluster.devices)

    def _drawn_by(self, rules: Rules) -> LinkFaults | None:
        return None if rules.faults is None else LinkFaults(rules.faults, self.cluster)

    def under(self, rules: Rules) -> None:
        """Plan later steps by other rules; what is planned ends as it was planned."""
        before, self.faults = self.faults, self._drawn_by(rules)
        if self.faults is not None and before is not None:
            self.faults.continue_from(before)
        self.rules = rules

    @property
    def cluster(self) -> Cluster:
        """The cluster whose end it is."""
        return self.devices.cluster

    @property
    def topology(self) -> Topology:
        """Where the devices and their server are."""
        return self.rows.topology
