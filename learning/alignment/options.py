"""What may stand under ``learning.options`` of the method ``aligned``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning.alignment.fitness import KINDS
from learning.policies import POLICIES


@dataclass(frozen=True)
class AlignedOptions:
    """Options of client-expert alignment.

    ``policy``: who trains what, one of ``learning.policies`` or MODULE:NAME. ``capacity``: most
    experts a device, 0 for as many as its means allow. ``fitness``: ``accuracy`` of the samples
    that an expert serves, or ``loss`` for exp(-``fitness_alpha`` loss); ``fitness_average``: weight
    of the newest in the moving average. ``balance_low``, ``balance_high``: an expert goes to at
    least and at most so many times the even number of devices, rounded down and up.
    ``deficit_weight``: what an expert that has fallen furthest behind gains in fitness.
    ``exploration``: probability that a device swaps one of its experts. ``local_rounds`` a device
    trains, 0 for ``learning.rounds.per_contact``.
    """

    policy: str = "balanced-fitness"
    capacity: int = 0
    fitness: str = "accuracy"
    fitness_alpha: float = 1.0
    fitness_average: float = 0.5
    balance_low: float = 1.0
    balance_high: float = 1.0
    deficit_weight: float = 0.0
    exploration: float = 0.0
    local_rounds: int = 0

    def __post_init__(self) -> None:
        try:
            policy = POLICIES.find(self.policy)
        except ValueError as error:
            raise ValueError(f"policy: {error}") from None
        if not callable(policy):
            raise ValueError(f"policy: {self.policy!r} is a {type(policy).__name__}, no function")
        if self.fitness not in KINDS:
            raise ValueError(f"fitness: {self.fitness!r} should be {' or '.join(KINDS)}")
        for name in ("capacity", "local_rounds"):
            _check(name, getattr(self, name), getattr(self, name) >= 0, "be 0 or more")
        for name in ("exploration", "balance_low"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "lie in 0 to 1")
        high, beta = self.balance_high, self.fitness_average
        _check("balance_high", high, 1 <= high < np.inf, "be 1 or more")
        _check("fitness_average", beta, 0 < beta <= 1, "lie above 0 and up to 1")
        _check("fitness_alpha", self.fitness_alpha, 0 < self.fitness_alpha < np.inf, "be above 0")
        weight = self.deficit_weight
        _check("deficit_weight", weight, 0 <= weight < np.inf, "be 0 or more")


def _check(name: str, value: float, right: bool, should: str) -> None:
    if not right:
        raise ValueError(f"{name}: {value} should {should}")
