"""FedAsync: the server moves towards every model that arrives, the less the older it is.

Xie, Koyejo and Gupta, Asynchronous Federated Optimization (arXiv 1903.03934), Algorithm 1.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from learning.config import LearningConfig
from learning.methods.asynchronous import Asynchronous, AsynchronousOptions
from learning.methods.fedprox import Proximal
from learning.methods.options import CHECKED, check_whole_downloads


@dataclass(frozen=True, config=CHECKED)
class FedAsyncOptions(AsynchronousOptions):
    """Options of FedAsync."""

    alpha: float = Field(0.6, gt=0, le=1, description="weight of a model that is not stale")
    mu: float = Field(0.0, ge=0, description="weight of the proximal term in the local loss")


class FedAsync(Proximal, Asynchronous):
    """Asynchronous federated optimisation: w <- (1 - alpha_t) w + alpha_t w_k.

    alpha_t is alpha times the staleness function. What arrives from a cluster in a contact is one
    model w_k: the mean of its devices' whole models, by samples. It counts against w as it is then,
    not as it was downloaded.
    """

    Options: ClassVar[type] = FedAsyncOptions
    offers_models: ClassVar[bool] = True

    @classmethod
    def check(cls, config: LearningConfig) -> None:
        """Raise ValueError where changes of low rank go down: the server's are of any rank."""
        check_whole_downloads("fedasync", config)

    @property
    def step_size(self) -> float:
        """The weight alpha of a model that is not stale."""
        return float(self.options.alpha)
