"""The synchronous baseline of EMS-FL (section III-A): only the connected cluster trains."""

from __future__ import annotations

from learning.clients.cluster import ClusterState
from learning.clients.updates import upload_payload
from learning.methods.base import Method, Protocol, World
from learning.requests.cluster import Chain, Cluster, Mask, NextContact, Note, Train, Upload
from learning.values.lazy import Handle


class Synchronous(Method):
    """Federated averaging, one cluster at a time: broadcast, local update, aggregation (28).

    Every device trains all experts and the gate while connected, and rests otherwise. Changes are
    aggregated against the version that was downloaded, which equals (28) as long as contacts do
    not overlap, and loses nobody's update when they do.
    """

    def __init__(self, world: World, options: object = None) -> None:
        super().__init__(world, options)
        self.experts = list(range(self.learner.architecture.experts))
        self.server = self.learner.start()

    def cluster(self, me: Cluster) -> Protocol:
        """Broadcast, local update, upload; a pass too short for the upload is made up for next."""
        side = ClusterState(self.learner, me)
        cost = self.learner.round_cost(self.experts, self.experts, gate=True)
        while (yield NextContact()):
            if side.pending.any():
                receipt = yield Upload(side.payload("model"), side.pending)
                yield from self.aggregate(me, side, side.deliver(receipt))
                if side.pending.any():
                    continue
            broadcast = side.download(
                "model", self.server, self.version, self.experts, changes=self.changes
            )
            version = broadcast.payload.version
            update = upload_payload(self.learner, "model", self.experts, gate=True, version=version)
            down, work, up = yield Chain((broadcast, Train(cost), Upload(update)))
            side.receive(down)
            side.train(work, self.experts, gate=True)
            side.offer(self.experts, gate=True)
            yield from self.aggregate(me, side, side.deliver(up))

    def aggregate(self, me: Cluster, side: ClusterState, done: Mask) -> Protocol:
        """Equation (28) over the devices whose update has arrived."""
        done = yield from side.finite(done)
        if not done.any():
            return
        stale = side.staleness(self.version, done)
        self.server = side.merge(self.server, done)
        self.aggregated(self.experts)
        listed = ",".join(map(str, self.experts))
        devices = f"devices:{int(done.sum())}/{me.devices}"
        yield Note("aggregate", self.version, f"experts:{listed} gate {devices} {stale}")

    def model(self) -> Handle:
        """Return the model at the satellite."""
        return self.server
