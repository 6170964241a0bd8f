"""SCAFFOLD: FedAvg whose local steps are corrected by control variates.

Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020
(arXiv 1910.06378), Algorithm 1 with option II.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PositiveFloat
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.clients.updates import Moved, Weighted, changes, mean_change
from learning.learner import LocalLoss
from learning.methods.base import World
from learning.methods.fedavg import FedAvg, FedAvgOptions
from learning.methods.options import CHECKED, option
from learning.methods.surface import Traits
from learning.requests.cluster import Cluster
from learning.requests.request import Request
from learning.values.lazy import Handle

if TYPE_CHECKING:
    from learning.training.local_loss import Step


def correction(step: Step, control: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    """Return <c - c_i, y>, whose gradient corrects each local step: y <- y - eta (g - c_i + c)."""
    return sum(((control[n] - own[n]) * y).sum() for n, y in step.weights.items())


@dataclass(frozen=True, config=CHECKED)
class ScaffoldOptions(FedAvgOptions):
    """Options of SCAFFOLD."""

    server_step_size: PositiveFloat = option(1.0, "factor of the mean change: eta_g")


class Scaffold(FedAvg):
    """Federated averaging with a control variate c at the server and one, c_i, on every device.

    Both begin at 0. A device downloads the model and c, and uploads its change and that of c_i. It
    keeps its c_i of before where its update does not come into the round, so that c stays the mean
    of the c_i, by samples.
    """

    colour = "#00734a"
    alone_is_sgd: ClassVar[bool] = True
    Options: ClassVar[type] = ScaffoldOptions
    traits: ClassVar[Traits] = replace(
        FedAvg.traits,
        payload_copies=2,
        uses_optimizer=False,
        lora_refused="rank",
    )

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.control = self.learner.zeros(self.weights)
        self.own: dict[str, Handle] = {}

    @property
    def memory_copies(self) -> int:
        """A device keeps c and its c_i."""
        return 2

    def new_devices(self, me: Cluster) -> ClusterState:
        """Return devices with control variates of zero."""
        self.own[me.name] = self.learner.zeros(self.weights, me.devices)
        return super().new_devices(me)

    def local_loss(self, me: Cluster) -> LocalLoss | None:
        """Return the correction of the cluster's devices."""
        return LocalLoss(correction, self.control, self.own[me.name])

    def server_step(self, updates: Sequence[Weighted]) -> Moved:
        """Add the mean change times the global step size; means of buffers are not scaled."""
        size = self.options.server_step_size
        if size == 1.0:
            return super().server_step(updates)
        change, used = mean_change(self.learner, self.weights, updates)
        plain = {"kind": "avgm", "beta1": 0.0, "beta2": 0.0, "tau": 0.0}
        moments = self.learner.make("learning.training.server_optimizers:moments", change, **plain)
        moved = self.learner.make(
            "learning.training.server_optimizers:step",
            self.weights,
            moments,
            step_size=size,
            tau=0.0,
        )
        return moved, used

    def merge_round(self, shares: dict[str, float]) -> Generator[Request, Any, Sequence[int]]:
        """Renew the control variates of who took part, and add the mean change."""
        control = self.control
        parts = {name: self.shares[name] * side.eligible for name, side in self.sides.items()}
        everybody = sum(float(part.sum()) for part in parts.values())
        for update in self.updates:
            name = update.cluster
            own = self.own[update.cluster]
            moved = changes(self.learner, update)
            self.own[name] = self.learner.make(
                "learning.training.control_variates:renewed",
                own,
                self.control,
                moved,
                who=update.who,
                rounds=update.rounds,
            )
            control = self.learner.make(
                "learning.training.control_variates:moved",
                control,
                self.own[name],
                own,
                shares=parts[name] * update.who / everybody,
            )
        self.control = control
        return (yield from super().merge_round(shares))
