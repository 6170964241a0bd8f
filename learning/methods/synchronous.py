"""The synchronous baseline of EMS-FL (section III-A): only the connected cluster trains."""

from __future__ import annotations

from learning.cluster_side import ClusterSide
from learning.method import Cluster, Method, Protocol, World
from learning.requests import Chain, Download, Mask, NextContact, Note, Payload, Train, Upload
from learning.values import Handle


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
        side = ClusterSide(self.learner, me)
        sizes = self.learner.architecture
        up_bytes = sizes.upload_bytes(self.experts, gate=True)
        down_bytes = sizes.download_bytes(self.experts, gate=True)
        cost = self.learner.round_cost(self.experts, self.experts, gate=True)
        while (yield NextContact()):
            if side.pending.any():
                receipt = yield Upload(side.payload("model", up_bytes), side.pending)
                yield from self.aggregate(me, side, side.deliver(receipt))
                if side.pending.any():
                    continue
            broadcast = Payload("model", down_bytes, self.version)
            update = Payload("model", up_bytes, self.version)
            base, version = self.server, self.version
            down, work, up = yield Chain((Download(broadcast), Train(cost), Upload(update)))
            side.receive(base, version, down.done, self.experts)
            side.train(work, self.experts, gate=True)
            side.offer(self.experts, gate=True)
            yield from self.aggregate(me, side, side.deliver(up))

    def aggregate(self, me: Cluster, side: ClusterSide, done: Mask) -> Protocol:
        """Equation (28) over the devices whose update has arrived."""
        if side.snapshot is None or not done.any():
            return
        stale = side.staleness(self.version, done)
        self.server = self.learner.merge_experts(
            self.server, side.snapshot, me.name, self.experts, done
        )
        self.server = self.learner.merge_gate(self.server, side.snapshot, me.name, done)
        self.version += 1
        listed = ",".join(map(str, self.experts))
        devices = f"devices:{int(done.sum())}/{me.devices}"
        yield Note("aggregate", self.version, f"experts:{listed} gate {devices} {stale}")

    def model(self) -> Handle:
        """Return the model at the satellite."""
        return self.server
