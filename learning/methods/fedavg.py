"""FedAvg over all clusters, with waiting: a round takes until every cluster has been seen.

McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS
2017; its equation (6).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from learning.methods.barrier_rounds import BarrierRounds
from learning.methods.options import CHECKED


@dataclass(frozen=True, config=CHECKED)
class FedAvgOptions:
    """Options of FedAvg and of what derives from it."""

    weights: Literal["all", "present"] = Field(
        "all", description="an update's share of the samples: of all devices, or of those present"
    )


class FedAvg(BarrierRounds):
    """Federated averaging with every cluster in every round.

    Every device trains all experts and the gate. The server adds the mean of all updates, weighted
    by samples (n_k / n over the devices that can take part, or over those whose update is there).
    """

    Options: ClassVar[type] = FedAvgOptions
    alone_is_sgd: ClassVar[bool] = True

    @property
    def weighs_present(self) -> bool:
        """Whether those whose update is there share the weights; a subclass may lack the option."""
        return super().weighs_present or getattr(self.options, "weights", "all") == "present"

    def merge_round(self, shares: dict[str, float]) -> Sequence[int]:
        """Add the mean of all updates to the server's model, equation (6)."""
        self.weights = self.server_step([(u, shares[u.cluster]) for u in self.updates])
        self.aggregated(self.experts, changes=len(self.updates))
        return self.experts
