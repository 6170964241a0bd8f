"""Fitness of every client for every expert: how well that expert serves the client's data."""

from __future__ import annotations

import numpy as np

from learning.requests import Floats, Ints
from learning.streams import stream

UNKNOWN = 0.5
"""Fitness of a pair that was never tried."""

JITTER = 1e-6
"""What first fitness differs by at most, so that a tie is no matter of the order of clients."""

KINDS = ("accuracy", "loss")


def first_fitness(clients: int, experts: int, seed: int) -> Floats:
    """Return Q_0 (C, E): 1/2 for every pair, and a tiny part drawn from the seed."""
    draw = stream(seed, "fitness").uniform(-JITTER, JITTER, (clients, experts))
    return UNKNOWN + draw


def score(kind: str, alpha: float, accuracy: Floats, loss: Floats) -> Floats:
    """Return s_ce of pairs in use: their ``accuracy``, or ``exp(-alpha loss)``.

    A loss that is not a number counts as infinite: the pair is worth nothing.
    """
    if kind == "accuracy":
        return accuracy
    worth: Floats = np.exp(-alpha * np.nan_to_num(loss, nan=np.inf, posinf=np.inf))
    return worth


def averaged(before: Floats, scored: Floats, samples: Ints, beta: float) -> Floats:
    """Return ``Q_t = (1 - beta) Q_(t-1) + beta s`` (C, E) where an expert has served ``samples``.

    All other pairs keep their fitness: those not assigned, and those assigned but not used.
    """
    moved: Floats = np.where(samples > 0, (1 - beta) * before + beta * scored, before)
    return moved
