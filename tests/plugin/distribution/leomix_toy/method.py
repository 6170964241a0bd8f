"""A method: FedAvg with a server that moves only part of the way."""

from dataclasses import dataclass

import learning


@dataclass(frozen=True)
class Options(learning.FedAvg.Options):
    """Options of FedAvg, and ``rate``: the share of the mean change by which the server moves."""

    rate: float = 0.5


class ToyAverage(learning.FedAvg):
    """x <- x + rate * sum_k p_k change_k."""

    Options = Options

    def server_step(self, updates):
        rate = self.options.rate
        return super().server_step([(update, weight * rate) for update, weight in updates])
