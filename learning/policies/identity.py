"""NMoE's assignment: every client has an expert of its own, and no other."""

from __future__ import annotations

import numpy as np

from learning.policies.problem import InfeasibleAssignment, Problem
from learning.requests import Mask


def identity(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give expert i to client i, if that has room for one.

    Raises InfeasibleAssignment where there are not as many experts as clients.
    """
    clients, experts = problem.shape
    if clients != experts:
        raise InfeasibleAssignment(
            f"there are {clients} clients and {experts} experts; with an expert for each client "
            "learning.model.experts is the number of devices"
        )
    own = np.eye(experts, dtype=bool)
    for client in range(clients):
        own[client, client] = problem.fits(client, own[client])
    return own
