"""Every device for itself: what federation has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learning.clients.updates import ServerModel
from learning.methods.base import Method, Protocol, World
from learning.requests.cluster import Cluster
from learning.values.lazy import Handle, Operation

if TYPE_CHECKING:
    from learning.training.evaluation import Score

SCORES = Operation("learning.training.references:scores_alone")
MEAN = Operation("learning.training.references:mean_model")


class Local(Method):
    """Every device trains the whole start model on its own data, and sends nothing.

    It trains between contacts, and in each the rounds of a contact, as the devices of other methods
    do. Scores are means over the devices of a cluster, each with its own model. What is evaluated
    is trained up to a cluster's last contact; ``model`` is the mean of all devices' models.
    """

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.experts = list(range(self.learner.architecture.experts))
        start = ServerModel(self.learner.start())
        self.sides = {cluster.name: self.devices(cluster) for cluster in world.clusters}
        for side in self.sides.values():
            side.load_initial(start, self.experts)

    def cluster(self, me: Cluster) -> Protocol:
        """Train, in contact or not."""
        devices = self.sides[me.name]
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
        return [side.state for side in self.sides.values() if side.state is not None]

    def model(self) -> Handle:
        """Return the mean of all devices' models, by samples."""
        return self.learner.make(MEAN, *self.states, clusters=list(self.sides))

    def scores(self) -> list[Score]:
        """Return the mean scores of the devices of each cluster, with their own models."""
        clusters = list(self.sides)
        found: list[Score] = self.learner.number(SCORES, *self.states, clusters=clusters)
        return found
