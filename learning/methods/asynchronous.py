"""Asynchronous federated averaging: whoever arrives is aggregated, weighted by its staleness.

FedAsync: Xie, Koyejo and Gupta, Asynchronous Federated Optimization (arXiv 1903.03934), Algorithm
1. FedBuff: Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, AISTATS 2022.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.clients.updates import Update, Weighted
from learning.methods.base import GlobalModelMethod, Protocol, World
from learning.methods.fedprox import Proximal
from learning.methods.options import CHECKED, option
from learning.methods.surface import Traits
from learning.requests.cluster import Cluster
from learning.requests.facts import Aggregated, Range
from statements.arrays import Floats, Ints

POLYNOMIAL_A, HINGE_A, HINGE_B = 0.5, 10.0, 4.0
"""a and b of the staleness functions: those of FedAsync's experiments, section 6."""


@dataclass(frozen=True, config=CHECKED)
class AsynchronousOptions:
    """The staleness function, which all asynchronous methods share."""

    staleness: Literal["constant", "polynomial", "hinge"] = option(
        "polynomial", "weight of an update x versions old: 1, (1+x)^-0.5, 1/(10(x-4)+1) from 4 on"
    )

    def divisor(self, behind: Ints) -> Floats:
        """Return 1 / s(x) (n,) of updates that are x versions old, ``behind``.

        Xie et al., Asynchronous Federated Optimization (arXiv 1903.03934), section 5: s = 1;
        (1 + x)^-a; or 1 up to b, and then 1 / (a (x - b) + 1).
        """
        x = np.asarray(behind, np.float64)
        if self.staleness == "constant":
            return np.ones_like(x)
        if self.staleness == "polynomial":
            return np.asarray((1.0 + x) ** POLYNOMIAL_A)
        return np.where(x > HINGE_B, HINGE_A * (x - HINGE_B) + 1.0, 1.0)

    def by_age(self, update: Update, version: int) -> list[tuple[Update, float]]:
        """Return the parts of an update that are of one age each, and the 1 / s(x) of each."""
        ages = np.unique(update.behind(version))
        return [
            (replace(update, who=update.who & (update.version == version - behind)), float(divisor))
            for behind, divisor in zip(ages, self.divisor(ages), strict=True)
        ]


class Asynchronous(GlobalModelMethod):
    """Clusters train all the time, and the server waits for nobody.

    Every cluster trains all experts and what is shared from the model that it downloaded last,
    through the disconnected phase, and uploads at its contact. The server keeps what arrives until
    there are ``buffer_size`` updates; it then adds ``step_size`` times their mean, each divided for
    its staleness. Inside a cluster, devices weigh their shares of its samples. Whoever is in
    contact downloads the model as it is then. Without ``begins_with_model`` devices have none
    before their first contact.
    """

    traits: ClassVar[Traits] = replace(
        GlobalModelMethod.traits, asynchronous=True, trains_in_gaps=True
    )
    Options: ClassVar[type] = AsynchronousOptions
    begins_with_model: ClassVar[bool] = True

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.buffer: list[Update] = []
        self.buffer_size = 1.0
        self.step_size = 1.0

    def cluster(self, me: Cluster) -> Protocol:
        """Train until each contact, and exchange models with the server there."""
        devices = self.devices(me)
        if self.begins_with_model:
            devices.load_initial(self.server, self.experts)
        while True:
            work, contact = yield devices.train_until_contact(self.experts, gate=True)
            devices.train(work, self.experts, gate=True)
            if contact is None:
                return
            yield from self.exchange(devices)

    def exchange(self, devices: ClusterState) -> Protocol:
        """Upload what was trained, download the present model."""
        devices.offer(self.experts, gate=True)
        yield from self.send(devices, "model")
        down = yield devices.download("model", self.server, self.experts)
        devices.receive(down)

    def collect(self, update: Update | None) -> Protocol:
        """Put an update into the buffer, and aggregate the buffer when it is full."""
        if update is None:
            return
        self.buffer.append(update)
        if len(self.buffer) >= self.buffer_size:
            updates = self.buffer
            self.buffer = []
            yield from self.aggregate(updates)

    def aggregate(self, updates: list[Update]) -> Protocol:
        """Add the buffered updates to the server's model by their weights and note it.

        The server's version does not change while the buffer fills, so that the staleness of an
        update when it arrives is also that when it is aggregated.
        """
        stale = np.concatenate([update.behind(self.version) for update in updates])
        weighted = self.weighted(updates)
        yield self.move(weighted)
        self.aggregated(self.experts, self.changes_in(updates))
        yield Aggregated(
            self.version,
            self.learner.architecture.named(self.experts, gate=True),
            devices=len(stale),
            updates=len(updates),
            staleness=Range.of(stale),
        )

    def weighted(self, updates: list[Update]) -> list[Weighted]:
        """Return ``step_size`` times the mean of updates, each divided for its staleness."""
        scale = self.step_size / len(updates)
        return [
            (part, float(scale / divisor))
            for update in updates
            for part, divisor in self.options.by_age(update, self.version)
        ]


@dataclass(frozen=True, config=CHECKED)
class FedAsyncOptions(AsynchronousOptions):
    """Options of FedAsync."""

    alpha: float = option(0.6, "weight of a model that is not stale", gt=0, le=1)
    mu: NonNegativeFloat = option(0.0, "weight of the proximal term in the local loss")


class FedAsync(Proximal, Asynchronous):
    """Asynchronous federated optimisation: w <- (1 - alpha_t) w + alpha_t w_k.

    alpha_t is alpha times the staleness function. What arrives from a cluster in a contact is one
    model w_k: the mean of its devices' whole models, by samples. It counts against w as it is then,
    not as it was downloaded.
    """

    colour = "#0b4a6b"
    Options: ClassVar[type] = FedAsyncOptions
    traits: ClassVar[Traits] = replace(
        Asynchronous.traits, takes_personal=True, offers_models=True, lora_refused="download"
    )

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.step_size = self.options.alpha


@dataclass(frozen=True, config=CHECKED)
class FedBuffOptions(AsynchronousOptions):
    """Options of FedBuff; with a buffer of 1 nothing would be buffered."""

    buffer_size: NonNegativeInt = option(0, "updates at a time; 0: half the clusters, at least 2")
    server_step_size: PositiveFloat = option(1.0, "factor of the mean of the buffer")


class FedBuff(Asynchronous):
    """Buffered asynchronous aggregation: the changes of ``buffer_size`` updates at a time.

    Each is weighted by 1 / sqrt(1 + staleness), unless another staleness function is named.
    """

    colour = "#6b4400"
    Options: ClassVar[type] = FedBuffOptions
    traits: ClassVar[Traits] = replace(Asynchronous.traits, takes_personal=True)

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.buffer_size = self.options.buffer_size or max(2, (len(world.clusters) + 1) // 2)
        self.step_size = self.options.server_step_size
