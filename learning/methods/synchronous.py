"""The synchronous baseline of EMS-FL (section III-A): only the connected cluster trains.

Federated averaging after McMahan et al., Communication-Efficient Learning of Deep Networks from
Decentralized Data, AISTATS 2017, one cluster at a time.
"""

from __future__ import annotations

from typing import ClassVar

from learning.methods.base import GlobalModelMethod, Protocol
from learning.requests.cluster import Chain, Cluster, NextContact


class Synchronous(GlobalModelMethod):
    """Federated averaging, one cluster at a time: broadcast, local update, aggregation (28).

    Every device trains all experts and the gate while connected, and rests otherwise. Changes are
    aggregated against the version that was downloaded, which equals (28) as long as contacts do
    not overlap, and loses nobody's update when they do.
    """

    colour = "#0a5fd0"
    alone_is_sgd: ClassVar[bool] = True

    def cluster(self, me: Cluster) -> Protocol:
        """Broadcast, local update, upload; a pass too short for the upload is made up for next."""
        devices = self.devices(me)
        while (yield NextContact()):
            yield from self.send(devices, "model")
            if devices.pending.any():
                continue
            broadcast = devices.download("model", self.server, self.experts)
            train = devices.train_round(self.experts, gate=True)
            upload = devices.upload("model", broadcast, self.experts)
            down, work, up = yield Chain((broadcast, train, upload))
            devices.receive(down)
            devices.train(work, self.experts, gate=True)
            devices.offer(self.experts, gate=True)
            yield from self.collect((yield from devices.arrived(up)))
