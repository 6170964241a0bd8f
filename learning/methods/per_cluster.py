"""One model per cluster: federated averaging among the devices of each, and no mean of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from learning.methods.base import Method, Protocol, World
from learning.methods.fedavg import FedAvg, FedAvgOptions
from learning.requests.cluster import Cluster
from learning.values.lazy import Handle
from statements.arrays import Ints

if TYPE_CHECKING:
    from learning.metrics import Score


class RoundsOfOne(FedAvg):
    """The rounds of a world with one cluster, whose versions the ``whole`` method counts too."""

    def __init__(self, whole: Method, world: World, options: FedAvgOptions) -> None:
        super().__init__(world, options)
        self.whole = whole

    def aggregated(self, experts: Sequence[int], changes: int | Ints = 1) -> None:
        """Count a new version of the cluster's model, and one of the whole method."""
        super().aggregated(experts, changes)
        self.whole.version += 1


class PerCluster(Method):
    """Federated averaging inside of each cluster; clusters never mix.

    The server holds a model for each cluster. In a contact it sends the cluster's model down, and
    adds the mean of the updates of the cluster's devices, by their samples, as FedAvg does in a
    world with that cluster alone: no round waits for other clusters. Each cluster's model is
    evaluated on the cluster's test samples; ``model`` is the mean of these models.
    """

    colour = "#0b4a6b"
    Options: ClassVar[type] = FedAvgOptions

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        rounds = RoundsOfOne.for_options(self.options)
        self.rounds = {
            one.name: rounds(self, replace(world, clusters=(one,)), self.options)
            for one in world.clusters
        }

    def prepare(self) -> Protocol:
        """Ask for each device's share of the samples of its cluster."""
        counts = yield from self.measure_samples(1)
        for name, own in counts.items():
            self.rounds[name].shares = {name: own / own.sum()}

    def cluster(self, me: Cluster) -> Protocol:
        """Take part in the rounds of the cluster."""
        return self.rounds[me.name].cluster(me)

    @property
    def models(self) -> list[Handle]:
        """The clusters' models, in order."""
        return [rounds.weights for rounds in self.rounds.values()]

    def model(self) -> Handle:
        """Return the mean of the clusters' models, by samples."""
        return self.learner.make(
            "learning.training.baselines:mean_of_clusters",
            *self.models,
            clusters=list(self.rounds),
        )

    def scores(self) -> list[Score]:
        """Return the scores of each cluster's model on its own test samples."""
        return list(
            self.learner.number(
                "learning.training.baselines:scores_of_clusters",
                *self.models,
                clusters=list(self.rounds),
            )
        )
