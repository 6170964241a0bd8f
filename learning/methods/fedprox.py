"""FedProx: FedAvg with a proximal term, and with the partial work of those who are not done.

Li et al., Federated Optimization in Heterogeneous Networks, MLSys 2020 (arXiv 1812.06127).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import NonNegativeFloat
from pydantic.dataclasses import dataclass

from learning.learner import LocalLoss
from learning.methods.base import Method
from learning.methods.fedavg import FedAvg, FedAvgOptions
from learning.methods.options import CHECKED, option
from learning.requests.cluster import Cluster

if TYPE_CHECKING:
    from learning.training.local_loss import Step


def proximal(step: Step, *, mu: float) -> Any:
    """Return mu/2 ||w - w_server||^2, the term of Algorithm 2's local objective h_k."""
    return mu / 2 * sum((step.weights[n] - step.server[n]).square().sum() for n in step.weights)


class Proximal(Method):
    """A method whose devices train with a proximal term, by the option ``mu``."""

    @property
    def memory_copies(self) -> int:
        """A device keeps the model that it downloaded, for the proximal term."""
        return int(self.options.mu > 0)

    def local_loss(self, me: Cluster) -> LocalLoss | None:
        """Return the proximal term; with mu = 0 there is none, and no bit differs."""
        return LocalLoss(proximal, mu=self.options.mu) if self.options.mu else None


@dataclass(frozen=True, config=CHECKED)
class FedProxOptions(FedAvgOptions):
    """Options of FedProx."""

    mu: NonNegativeFloat = option(0.01, "weight of the proximal term")
    partial: Literal["keep", "drop"] = option(
        "keep", "work that a pass or a deadline leaves unfinished; drop: as fedavg"
    )


class FedProx(Proximal, FedAvg):
    """Federated averaging with a proximal term in the loss of every device.

    A device that could not end its rounds in time trains as many as leave time for its upload.
    """

    colour = "#0a5fd0"
    Options: ClassVar[type] = FedProxOptions

    @property
    def keeps_partial(self) -> bool:
        """Whether a device sends what it has where it cannot end its rounds in time."""
        return bool(self.options.partial == "keep")
