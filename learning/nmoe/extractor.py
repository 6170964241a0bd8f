"""Stage 1 of NMoE (arXiv 2511.01743): FedCE or FedSC trains one extractor for all clients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.clients.updates import finite
from learning.methods.base import Protocol
from learning.nmoe.round_trip import RoundTrip
from learning.nmoe.system import Networked
from learning.requests.cluster import Cluster
from learning.requests.payload import Payload
from learning.training.recipe import LocalRounds
from learning.values.lazy import Handle
from statements.arrays import Ints, Mask


class ExtractorStage:
    """``extractor_rounds`` federated rounds of the extractor, each with all clients.

    FedCE trains extractor and head by cross-entropy and averages them by samples. FedSC trains
    extractor and projector by the spectral contrastive loss; clients weigh alike. Its rounds have
    two barriers: correlation matrices R_j up and their sum down, then the weights. In the end all
    clients download the extractor, which is frozen from then on.

    The weight alpha of a client's own matrix falls linearly from 1 in round 0 towards its weight in
    the mean, with which the mean gradient of all clients is that of the loss over all their data.
    ``shared`` are a cluster's matrices, the sum of all, and alpha.
    """

    def __init__(self, system: Networked) -> None:
        self.system = system
        self.trained: dict[str, Handle] = {}
        self.senders: dict[str, Mask] = {}
        self.contacts: dict[str, Ints] = {}
        self.correlations: dict[str, Handle] = {}
        self.shared: dict[str, tuple[Sequence[Handle], float]] = {}

    def cluster(self, me: Cluster) -> Protocol:
        """Run all rounds for one cluster."""
        system = self.system
        options = self.system.options
        if options.extractor == "none" or options.extractor_rounds == 0:
            return
        shares = options.extractor == "fedsc" and len(system.clients.nodes) > 1
        rounds: Ints = np.zeros(me.devices, np.int64)
        for number in range(options.extractor_rounds):
            down = self.down(head=True) if number else None
            if shares:
                yield from self.share_correlations(me, number, down)
                down = Payload("correlations", system.sizes.correlation_bytes, number)
            able = system.clients.able[me.name]
            cost = system.sizes.extractor_round(options.loss)
            done = yield from system.round_trip(me, able, down=down, cost=cost, up=self.up())
            yield from self.collect(me, done, rounds)
            rounds = rounds + done.rounds
            yield from system.meet(f"extractor {number}")
            yield from self.average()
        frozen = self.down(head=False)
        yield from system.round_trip(me, system.clients.everybody(me.name), down=frozen)

    def share_correlations(self, me: Cluster, number: int, down: Payload | None) -> Protocol:
        """First barrier of a round: the model down, then each client's correlation matrix up."""
        system = self.system
        who = self.system.clients.able[me.name]
        yield from system.round_trip(me, who, down=down)
        flops = [system.sizes.correlation_flops(int(n)) for n in system.samples[me.name]]
        yield from system.compute(me, np.where(who, flops, 0.0))
        self.correlations[me.name] = system.learner.make(
            "learning.nmoe.training.extractor:correlation",
            system.server,
            cluster=me.name,
            number=number,
        )
        up = Payload("correlation", system.sizes.correlation_bytes, number)
        yield from system.round_trip(me, who, up=up)
        yield from system.meet(f"correlations {number}")
        clients = system.clients  # the first cluster after the barrier sums up at the satellite
        if self.correlations and clients.able_nodes:
            matrices = self.correlations
            self.correlations = {}
            names = sorted(matrices)
            rounds = system.options.extractor_rounds
            held = [matrices[n] for n in names]
            able = [clients.able[n] for n in names]
            total = system.learner.make("learning.nmoe.training.extractor:total", *held, who=able)
            alpha = 1.0 - (1.0 - 1 / len(clients.able_nodes)) * number / rounds
            self.shared = {name: ((matrices[name], total), alpha) for name in names}

    def collect(self, me: Cluster, done: RoundTrip, before: Ints) -> Protocol:
        """Train a cluster's clients and keep what they have sent until the round ends."""
        system = self.system
        who = done.rounds > 0
        if not who.any():
            return
        options = system.options
        shared, alpha = self.shared.get(me.name, ((), 1.0))
        trained = system.learner.make(
            "learning.nmoe.training.extractor:train_extractor",
            system.server,
            *shared,
            local=LocalRounds(me.name, done.rounds, before),
            loss=options.loss,
            step_size_ratio=options.extractor_step_size_ratio,
            alpha=alpha,
        )
        who = yield from finite(system.learner, trained, who)
        if who.any():
            self.trained[me.name], self.senders[me.name] = trained, who
            self.contacts[me.name] = done.contact_id

    def average(self) -> Protocol:
        """Average what was sent, once per round."""
        if not self.trained:
            return
        system = self.system
        trained = system.in_order(self.trained)
        senders = self.senders
        self.trained = {}
        self.senders = {}
        weighted = system.options.extractor == "fedce"
        system.server = system.learner.make(
            "learning.training.aggregation:average",
            system.server,
            *trained.values(),
            clusters=list(trained),
            who=[senders[name] for name in trained],
            weighted=weighted,
        )
        yield from system.averaged("extractor", senders, self.contacts, weighted=weighted)

    def down(self, *, head: bool) -> Payload:
        """The extractor of the satellite; with head or projector if ``head``."""
        sizes = self.system.sizes
        trained_with = sizes.trained_with(self.system.options.loss) if head else {}
        size = sizes.kept_bytes(sizes.extractor, trained_with)
        return Payload("extractor", size, self.system.version)

    def up(self) -> Payload:
        """The trained extractor of one client, with its head or projector."""
        sizes = self.system.sizes
        trained_with = sizes.trained_with(self.system.options.loss)
        return self.system.upload("extractor", sizes.extractor, trained_with)
