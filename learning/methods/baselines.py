"""References: every device for itself, which federation has to beat; one model of all data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic.dataclasses import dataclass

from learning.clients.updates import ServerModel
from learning.methods.base import GlobalModelMethod, Method, Protocol, World
from learning.methods.options import CHECKED, option
from learning.methods.surface import Traits
from learning.requests.cluster import Cluster, Forecast, NextContact
from learning.values.lazy import Handle

if TYPE_CHECKING:
    from learning.metrics import Score


class Local(Method):
    """Every device trains the whole start model on its own data, and sends nothing.

    It trains between contacts, and in each the rounds of a contact, as the devices of other methods
    do. Scores are means over the devices of a cluster, each with its own model. What is evaluated
    is trained up to a cluster's last contact; ``model`` is the mean of all devices' models.
    """

    colour = "#4c2aa0"
    traits: ClassVar[Traits] = Traits(sends_nothing=True, trains_in_gaps=True)

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.experts = list(range(self.learner.architecture.experts))
        start = ServerModel(self.learner.start())
        for cluster in world.clusters:
            self.devices(cluster).load_initial(start, self.experts)

    def cluster(self, me: Cluster) -> Protocol:
        """Train, in contact or not."""
        devices = self.devices(me)
        while True:
            work, contact = yield devices.train_until_contact(self.experts, gate=True)
            devices.train(work, self.experts, gate=True)
            if contact is None:
                return
            work = yield devices.train_round(self.experts, gate=True)
            devices.train(work, self.experts, gate=True)

    @property
    def states(self) -> list[Handle]:
        """The states of all clusters' devices, in order."""
        return [side.state.whole for side in self.sides.values() if side.state is not None]

    def model(self) -> Handle:
        """Return the mean of all devices' models, by samples."""
        return self.learner.make(
            "learning.training.baselines:mean_model", *self.states, clusters=list(self.sides)
        )

    def scores(self) -> list[Score]:
        """Return the mean scores of the devices of each cluster, with their own models."""
        return list(
            self.learner.number(
                "learning.training.baselines:scores_alone", *self.states, clusters=list(self.sides)
            )
        )


@dataclass(frozen=True, config=CHECKED)
class CentralisedOptions:
    """Options of central training."""

    batch: Literal["one", "clients"] = option(
        "one", "samples of a step: learning.batch_size, or that times the devices of the run"
    )


class Centralised(GlobalModelMethod):
    """The server trains one model on the samples of all devices, as if it had them.

    Nothing is sent, and no time passes. In every cycle it trains the rounds that one client of
    FedAvg trains in it: ``learning.rounds.per_contact`` (1 where they fill a contact). A step is
    over one batch or, with ``batch: clients``, as many as there are devices.
    """

    colour = "#746c6c"
    traits: ClassVar[Traits] = replace(
        GlobalModelMethod.traits,
        sends_nothing=True,
        trains_at_server=True,
    )
    Options: ClassVar[type] = CentralisedOptions

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
        how = {"rounds": rounds, "first_round": self.server_rounds}
        if self.options.batch == "clients":
            how["batches"] = sum(cluster.devices for cluster in self.world.clusters)
        pooled = "learning.training.baselines:pooled_rounds"
        state = self.learner.make(pooled, self.weights, *self.client, **how)
        self.client = (state,)
        self.weights = self.learner.make(
            "learning.training.baselines:pooled_model", self.weights, state
        )
        self.server_rounds += rounds
        self.aggregated(self.experts)
