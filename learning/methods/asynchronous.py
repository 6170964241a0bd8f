"""Asynchronous federated averaging: whoever arrives is aggregated, weighted by its staleness."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.clients.updates import Update, Weighted
from learning.methods.base import GlobalModelMethod, Protocol, World
from learning.methods.options import CHECKED
from learning.requests.cluster import Cluster, Floats, Ints, Note
from learning.requests.event_details import described

USED = {"constant": (), "polynomial": ("staleness_a",), "hinge": ("staleness_a", "staleness_b")}
"""The numbers that each staleness function has."""
DEFAULTS = {"polynomial": 0.5, "hinge": 10.0}
"""The a of each, as in the paper's experiments."""


@dataclass(frozen=True, config=CHECKED)
class AsynchronousOptions:
    """The staleness function, which all asynchronous methods share."""

    staleness: Literal["constant", "polynomial", "hinge"] = Field(
        "polynomial", description="weight of an update x versions old: 1, (1+x)^-a, 1/(a(x-b)+1)"
    )
    staleness_a: float | None = Field(
        None, gt=0, description="a of the staleness function; null: 0.5 (polynomial), 10 (hinge)"
    )
    staleness_b: float | None = Field(
        None, ge=0, description="b of hinge, versions without a loss of weight; null: 4"
    )

    @model_validator(mode="after")
    def _each_number_with_its_function(self) -> AsynchronousOptions:
        for key in ("staleness_a", "staleness_b"):
            if getattr(self, key) is not None and key not in USED[self.staleness]:
                raise ValueError(f"{key}: is not used with staleness {self.staleness!r}; remove it")
        return self

    def divisor(self, behind: Ints) -> Floats:
        """Return 1 / s(x) (n,) of updates that are x versions old, ``behind``.

        Xie et al., Asynchronous Federated Optimization (arXiv 1903.03934), section 5: s = 1;
        (1 + x)^-a; or 1 up to b, and then 1 / (a (x - b) + 1).
        """
        x = np.asarray(behind, np.float64)
        a = DEFAULTS.get(self.staleness, 1.0) if self.staleness_a is None else self.staleness_a
        b = 4.0 if self.staleness_b is None else self.staleness_b
        if self.staleness == "polynomial":
            grown: Floats = (1.0 + x) ** a
            return grown
        hinge = self.staleness == "hinge"
        return np.where(hinge & (x > b), a * (x - b) + 1.0, 1.0)


class Asynchronous(GlobalModelMethod):
    """Clusters train all the time, and the server waits for nobody.

    Every cluster trains all experts and what is shared from the model that it downloaded last,
    through the disconnected phase, and uploads at its contact. The server keeps what arrives until
    there are ``buffer_size`` updates; it then adds ``step_size`` times their mean, each divided for
    its staleness. Inside a cluster, devices weigh their shares of its samples. Whoever is in
    contact downloads the model as it is then. With ``offers_models`` updates are whole models.
    """

    Options: ClassVar[type] = AsynchronousOptions
    offers_models: ClassVar[bool] = False

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.buffer: list[Update] = []
        self.buffer_size = 1

    @property
    def step_size(self) -> float:
        """Factor of the mean of the buffer."""
        return 1.0

    def cluster(self, me: Cluster) -> Protocol:
        """Train, upload what was trained, download the present model."""
        devices = self.devices(me)
        self.begin(devices)
        while True:
            work, contact = yield devices.train_until_contact(self.experts, gate=True)
            devices.train(work, self.experts, gate=True)
            if contact is None:
                return
            devices.offer(self.experts, gate=True)
            yield from self.send(devices, "model")
            down = yield devices.download("model", self.server, self.experts)
            devices.receive(down)

    def devices(self, me: Cluster) -> ClusterState:
        """Return devices whose updates are changes, or whole models."""
        devices = super().devices(me)
        devices.offers_models = self.offers_models
        return devices

    def begin(self, devices: ClusterState) -> None:
        """Let devices hold the start model before time begins."""
        devices.load_initial(self.server, self.experts)

    def collect(self, update: Update | None) -> Protocol:
        """Put an update into the buffer, and aggregate the buffer when it is full."""
        if update is None:
            return
        self.buffer.append(update)
        if len(self.buffer) >= self.buffer_size:
            updates, self.buffer = self.buffer, []
            yield self.aggregate(updates)

    def aggregate(self, updates: list[Update]) -> Note:
        """Add the buffered updates to the server's model by their weights and note it.

        The server's version does not change while the buffer fills, so that the staleness of an
        update when it arrives is also that when it is aggregated.
        """
        stale = np.concatenate([update.behind(self.version) for update in updates])
        weighted = self.weighted(updates)
        self.weights = self.server_step(weighted)
        self.aggregated(self.experts, changes=len(weighted))
        parts = self.learner.architecture.named(self.experts, gate=True)
        counts = f"devices:{len(stale)} updates:{len(updates)} {described('staleness', stale)}"
        return Note("aggregate", self.version, f"{parts} {counts}")

    def weighted(self, updates: list[Update]) -> list[Weighted]:
        """Return ``step_size`` times the mean of updates, each divided for its staleness."""
        weighted: list[Weighted] = []
        scale = self.step_size / len(updates)
        for update in updates:
            ages = np.unique(update.behind(self.version))
            for behind, divisor in zip(ages, self.options.divisor(ages), strict=True):
                alike = update.who & (update.version == self.version - behind)
                weighted.append((replace(update, who=alike), float(scale / divisor)))
        return weighted
