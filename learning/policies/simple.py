"""Assignment without bounds of experts: greedy, at random, and one expert per client."""

from __future__ import annotations

import numpy as np

from learning.policies.problem import InfeasibleAssignment, Problem
from learning.requests.cluster import Floats, Mask


def greedy(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give every client the experts of its highest score, as many as it has room for.

    Of equal scores the first expert is taken. Without memory limits this is the best there is.
    """
    return _first_that_fit(problem, -problem.score)


def at_random(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give every client experts drawn evenly, without replacement, as many as it has room for."""
    return _first_that_fit(problem, rng.random(problem.shape))


def _first_that_fit(problem: Problem, order: Floats) -> Mask:
    """Go through each client's experts from the lowest ``order`` (C, E) and take what fits."""
    assigned = np.zeros(problem.shape, bool)
    for client, ranked in enumerate(np.argsort(order, axis=1, kind="stable")):
        for expert in ranked:
            assigned[client, expert] = True
            assigned[client, expert] = problem.fits(client, assigned[client])
    return assigned


# NMoE's assignment: every client has an expert of its own, and no other.


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
