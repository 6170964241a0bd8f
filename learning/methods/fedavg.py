"""FedAvg over all clusters, with waiting: a round takes until every cluster has been seen.

McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS
2017; its equation (6).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from learning.methods.barrier_rounds import BarrierRounds


class FedAvg(BarrierRounds):
    """Federated averaging with every cluster in every round.

    Every device trains all experts and the gate. The server adds the mean of all updates, weighted
    by samples (n_k / n over the devices that can take part).
    """

    alone_is_sgd: ClassVar[bool] = True

    def merge_round(self, shares: dict[str, float]) -> Sequence[int]:
        """Add the mean of all updates to the server's model, equation (6)."""
        self.weights = self.server_step([(u, shares[u.cluster]) for u in self.updates])
        self.aggregated(self.experts, changes=len(self.updates))
        return self.experts
