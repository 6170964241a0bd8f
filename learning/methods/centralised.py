"""One model on the data of all devices: what federation may hope for."""

from __future__ import annotations

from typing import Any, ClassVar

from learning.methods.base import GlobalModelMethod, Protocol, World
from learning.requests.cluster import Cluster, Forecast, NextContact
from learning.values.lazy import Handle, Operation

POOLED = Operation("learning.training.references:pooled_rounds", trains=True)
MODEL = Operation("learning.training.references:pooled_model")


class Centralised(GlobalModelMethod):
    """The server trains one model on the samples of all devices, as if it had them.

    Nothing is sent, and no time passes. In every cycle it trains the rounds that one client of
    FedAvg trains in it: ``learning.rounds.per_contact`` (1 where they fill a contact).
    """

    trains_at_server: ClassVar[bool] = True

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.begun = {cluster.name: 0 for cluster in world.clusters}
        self.client: tuple[Handle, ...] = ()

    def cluster(self, me: Cluster) -> Protocol:
        """Train when the last cluster begins its contact of a cycle."""
        while (yield NextContact()):
            self.begun[me.name] += 1
            if min(self.begun.values()) > self.version:
                outlook = yield Forecast(me.name)
                self.train(outlook.rounds)

    def train(self, rounds: int) -> None:
        """Train ``rounds`` rounds on the pooled samples."""
        state = self.learner.make(
            POOLED, self.weights, *self.client, rounds=rounds, first_round=self.server_rounds
        )
        self.client, self.weights = (state,), self.learner.make(MODEL, self.weights, state)
        self.server_rounds += rounds
        self.aggregated(self.experts)
