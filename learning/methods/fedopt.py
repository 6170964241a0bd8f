"""FedOpt: FedAvg with an optimiser at the server, which takes the mean change for a gradient.

Reddi et al., Adaptive Federated Optimization, ICLR 2021 (arXiv 2003.00295), Algorithm 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import PositiveFloat
from pydantic.dataclasses import dataclass

from learning.clients.updates import Moved, Weighted, mean_change
from learning.methods.base import World
from learning.methods.fedavg import FedAvg, FedAvgOptions
from learning.methods.options import CHECKED, option
from learning.methods.surface import Traits
from learning.values.lazy import Handle


@dataclass(frozen=True, config=CHECKED)
class FedOptOptions(FedAvgOptions):
    """Options of FedOpt: the server's optimiser."""

    kind: Literal["avgm", "adam", "yogi", "adagrad"] = option(
        "adam", "optimiser of the server; avgm: momentum"
    )
    step_size: PositiveFloat = option(0.1, "step size of the server")
    beta1: float = option(0.9, "decay of the first moment; the momentum", ge=0, lt=1)
    beta2: float = option(0.99, "decay of the second moment (adam, yogi)", ge=0, lt=1)
    tau: PositiveFloat = option(0.001, "added to the root of the second moment (not with avgm)")


class FedOpt(FedAvg):
    """Federated averaging whose server steps along the mean change by avgm, Adam, Yogi or Adagrad.

    The moments m and v begin at 0 and tau^2, and stay at the server.
    """

    colour = "#b8500a"
    Options: ClassVar[type] = FedOptOptions
    traits: ClassVar[Traits] = replace(FedAvg.traits, lora_refused="download")

    def __init__(self, world: World, options: FedOptOptions | None = None) -> None:
        super().__init__(world, options)
        self.moments: tuple[Handle, ...] = ()

    def server_step(self, updates: Sequence[Weighted]) -> Moved:
        """Take a step of the server's optimiser along the mean change."""
        by = self.options
        change, used = mean_change(self.learner, self.weights, updates)
        decays = {"beta1": by.beta1, "beta2": by.beta2, "tau": by.tau}
        moments = self.learner.make(
            "learning.training.server_optimizers:moments",
            change,
            *self.moments,
            kind=by.kind,
            **decays,
        )
        self.moments = (moments,)
        moved = self.learner.make(
            "learning.training.server_optimizers:step",
            self.weights,
            moments,
            step_size=by.step_size,
            tau=by.tau,
        )
        return moved, used
