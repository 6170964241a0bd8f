"""Load of the experts: how evenly they are given to clients, and how evenly they are used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learning.requests import Floats, Ints, Mask

Load = NDArray[np.float64] | NDArray[np.int64]


def variation(load: Load) -> float:
    """Coefficient of variation of the experts' ``load`` (E,): std / mean, ddof 0; 0 if unused."""
    return float(np.std(load) / np.mean(load)) if np.any(load) else 0.0


def peak(load: Load) -> float:
    """Largest load over the mean of ``load`` (E,), 1 for even use; 1 if unused."""
    return float(np.max(load) / np.mean(load)) if np.any(load) else 1.0


def jain_index(load: Load) -> float:
    """Jain's index of ``load`` (E,): (sum l)^2 / (E sum l^2), from 1/E to 1; 1 if unused."""
    squares = len(load) * float(np.sum(np.square(load, dtype=np.float64)))
    return float(np.sum(load)) ** 2 / squares if squares else 1.0


class LoadMonitor:
    """Counts how often each of E experts was given to a client, and what it has served.

    ``assignments`` (E,) and ``samples`` (E,) add up over all rounds.
    """

    def __init__(self, experts: int) -> None:
        self.assignments: Ints = np.zeros(experts, np.int64)
        self.samples: Ints = np.zeros(experts, np.int64)

    def assigned(self, who: Mask) -> None:
        """Count one round's assignment (C, E)."""
        self.assignments = self.assignments + who.sum(axis=0)

    def served(self, samples: Ints) -> None:
        """Count what experts have served of clients' samples (C, E)."""
        self.samples = self.samples + samples.sum(axis=0)

    def deficit(self) -> Floats:
        """Return how far (E,) each expert's assignments have fallen behind, from 0 to 1.

        ``D_e = max(0, mean(N) - N_e)``, over max(1, max_e D_e), with N_e the assignments so far.
        """
        behind = np.maximum(0.0, self.assignments.mean() - self.assignments)
        share: Floats = behind / max(1.0, float(behind.max()))
        return share
