"""FedSat: the server's model is the mean of the models that satellites have brought last.

Razmi, Matthiesen, Dekorsy and Popovski, Ground-Assisted Federated Learning in LEO Satellite
Constellations (arXiv 2109.01348).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from learning.clients.updates import Update, Weighted
from learning.methods.asynchronous import Asynchronous
from learning.methods.base import Protocol, World
from learning.methods.options import CHECKED, option
from learning.methods.surface import Needs, Traits
from learning.requests.facts import Aggregated
from statements.arrays import Floats


@dataclass(frozen=True, config=CHECKED)
class FedSatOptions:
    """Options of FedSat."""

    plus: bool = option(False, "FedSat+: who has brought a model more often weighs less each time")


class FedSat(Asynchronous):
    """Asynchronous rounds of satellites: w = sum_k (n_k / n) w_k over those that are known.

    A satellite downloads the model in its first contact and trains until the next one, again and
    again. There it uploads its whole model w_k, which takes the place of the one that it brought
    before, the server takes the mean anew, and the satellite downloads it. n counts the samples of
    the satellites that have brought a model. FedSat+, by ``plus``, weighs a model by n_k times the
    mean number of visits of these satellites over the satellite's own, and all weights sum to 1.
    """

    colour = "#b8500a"
    Options: ClassVar[type] = FedSatOptions
    needs: ClassVar[Needs] = replace(Asynchronous.needs, satellites=True)
    traits: ClassVar[Traits] = replace(
        Asynchronous.traits, offers_models=True, lora_refused="download"
    )
    begins_with_model: ClassVar[bool] = False

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.shares: dict[str, Floats] = {}
        self.latest: dict[str, Update] = {}
        self.visits = {me.name: 0 for me in world.clusters}

    def prepare(self) -> Protocol:
        """Ask for each satellite's share of the samples."""
        self.shares = yield from self.measure_shares()

    def collect(self, update: Update | None) -> Protocol:
        """Take a satellite's model in place of its last one, and the mean anew."""
        if update is None:
            return
        self.latest[update.cluster] = update
        self.visits[update.cluster] += 1
        staleness = update.staleness(self.version)
        known = [self.latest[me.name] for me in self.world.clusters if me.name in self.latest]
        yield self.move(self.weighted(known))
        self.aggregated(self.experts, changes=len(known))
        yield Aggregated(
            self.version,
            update.sent.name,
            models=len(known),
            staleness=staleness,
            rounds=update.rounds_held,
        )

    def weighted(self, updates: list[Update]) -> list[Weighted]:
        """Return the known models, each with n_k / n; with ``plus`` by their visits too."""
        names = [update.cluster for update in updates]
        weights = np.array([self.shares[name].sum() for name in names])
        if self.options.plus:
            visits = np.array([self.visits[name] for name in names])
            weights *= visits.mean() / visits
        return list(zip(updates, (weights / weights.sum()).tolist(), strict=True))
